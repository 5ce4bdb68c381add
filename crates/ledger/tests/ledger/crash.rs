//! Random blocks, flushes, crashes and losses against a plain model of every state.

use crate::chain::{Chain, Disk};
use alloy_primitives::{Address, Bytes, U256, keccak256};
use lian_executor::{AccountChange, AccountState, MemoryState, StateChanges, StateReader};
use lian_ledger::{Crash, Ledger, MemoryView};
use lian_types::BlockNumber;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;

const HISTORY: u64 = 6;
const ADDRESSES: u8 = 5;
const SLOTS: u64 = 4;

#[derive(Clone, Debug)]
enum Step {
    /// Appends blocks together, one for each list of changes.
    Append(Vec<StateChanges>),
    Flush,
    /// The machine stops; so much of what was not synced remains of each file, in eighths.
    Crash {
        eighths: u64,
        zeroed: u64,
    },
    Reopen,
    LoseView,
    /// The view is as it was at this step's last snapshot.
    OldView,
    LoseHistory,
}

fn changes() -> impl Strategy<Value = StateChanges> {
    let account = (1u64..4, 0u64..50, any::<bool>());
    let slots = prop::collection::btree_map(0..SLOTS, 0u64..3, 0..4);
    let one = (0..ADDRESSES, prop::option::weighted(0.85, account), prop::bool::weighted(0.15), slots);
    prop::collection::vec(one, 0..4).prop_map(|accounts| {
        let mut changes = StateChanges::default();
        for (address, account, storage_cleared, slots) in accounts {
            let mut code_hash = AccountState::default().code_hash;
            if let Some((nonce, _, true)) = account {
                let code = Bytes::from(vec![address, u8::try_from(nonce).unwrap()]);
                code_hash = keccak256(&code);
                changes.codes.insert(code_hash, code);
            }
            let state =
                account.map(|(nonce, balance, _)| AccountState { nonce, balance: U256::from(balance), code_hash });
            let storage = slots.into_iter().map(|(slot, value)| (U256::from(slot), U256::from(value)));
            let storage = if state.is_some() { storage.collect() } else { BTreeMap::new() };
            let change = AccountChange { account: state, storage_cleared, storage };
            changes.accounts.insert(Address::repeat_byte(address + 1), change);
        }
        changes
    })
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => prop::collection::vec(changes(), 1..4).prop_map(Step::Append),
        4 => Just(Step::Flush),
        2 => (0u64..9, 0u64..20).prop_map(|(eighths, zeroed)| Step::Crash { eighths, zeroed }),
        1 => Just(Step::Reopen),
        1 => Just(Step::LoseView),
        1 => Just(Step::OldView),
        1 => Just(Step::LoseHistory),
    ]
}

fn assert_equal(ledger: &Ledger, model: &[MemoryState]) {
    let head = ledger.head().number.0;
    assert_eq!(head + 1, model.len() as u64);
    let oldest = ledger.oldest_state().0;
    for number in oldest..=head {
        let state = ledger.state_at(BlockNumber(number)).unwrap();
        let expected = &model[usize::try_from(number).unwrap()];
        for address in (0..ADDRESSES).map(|i| Address::repeat_byte(i + 1)) {
            let account = state.account(address).unwrap();
            assert_eq!(account, expected.account(address).unwrap(), "{address} after {number}");
            let slots: Vec<_> = (0..SLOTS).map(U256::from).collect();
            let proof = ledger.prove_at(BlockNumber(number), address, &slots).unwrap();
            assert_eq!(proof.account.map(|proven| proven.leaf.balance), account.map(|account| account.balance));
            for slot in proof.storage {
                let value = expected.storage(address, slot.slot).unwrap();
                assert_eq!(state.storage(address, slot.slot).unwrap(), value, "{address} after {number}");
                assert_eq!(slot.value, value, "proof of {address} after {number}");
            }
            if let Some(account) = account {
                assert_eq!(state.code(account.code_hash).unwrap(), expected.code(account.code_hash).unwrap());
            }
        }
    }
    assert!(oldest == 0 || ledger.state_at(BlockNumber(oldest - 1)).is_err());
}

struct Run {
    chain: Chain,
    disk: Disk,
    snapshot: MemoryView,
    ledger: Option<Arc<Ledger>>,
    model: Vec<MemoryState>,
}

impl Run {
    fn new() -> Self {
        let (chain, disk) = (Chain::new(), Disk::new(HISTORY));
        let (ledger, _) = chain.open(&disk).unwrap();
        let mut first = MemoryState::default();
        first.apply(&ledger.changes(BlockNumber(0)).unwrap().unwrap());
        Self { chain, disk, snapshot: MemoryView::new(), ledger: Some(ledger), model: vec![first] }
    }

    fn ledger(&self) -> &Ledger {
        self.ledger.as_ref().unwrap()
    }

    fn reopen(&mut self) {
        self.ledger = None;
        self.ledger = Some(self.chain.open(&self.disk).unwrap().0);
    }

    fn run(&mut self, step: Step) {
        match step {
            Step::Append(all) => self.append(all),
            Step::Flush => {
                self.snapshot = self.disk.view.copy();
                self.ledger().flush_step().unwrap();
            }
            Step::Crash { eighths, zeroed } => {
                self.disk.storage.crash(|_, unsynced| Crash { kept: unsynced * eighths / 8, zeroed });
                self.reopen();
            }
            Step::Reopen => self.reopen(),
            Step::LoseView => {
                self.ledger = None;
                self.disk.view = Arc::default();
                self.reopen();
            }
            Step::OldView => {
                self.ledger = None;
                self.disk.view = Arc::new(self.snapshot.copy());
                self.reopen();
            }
            Step::LoseHistory => {
                self.ledger = None;
                for (path, _) in self.disk.storage.files() {
                    if path.starts_with("/ledger/history") {
                        assert!(self.disk.storage.cut(&path, 60));
                    }
                }
                self.reopen();
            }
        }
    }

    fn append(&mut self, all: Vec<StateChanges>) {
        let head = self.ledger().head();
        let (mut parent, mut blocks) = (head.parent.clone(), Vec::new());
        for changes in all {
            let mut state = self.model.last().unwrap().clone();
            state.apply(&changes);
            self.model.push(state);
            let block = self.chain.block(&parent, &*self.ledger().nodes(), changes);
            parent.header = block.executed.block.header.clone();
            (parent.hash, parent.trie) = (block.executed.hash, block.executed.trie.clone());
            blocks.push(block);
        }
        self.ledger().append(&blocks).unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn every_kept_state_is_the_models_whatever_happens(steps in prop::collection::vec(step(), 1..25)) {
        let mut run = Run::new();
        for step in steps {
            run.run(step);
            assert_equal(run.ledger(), &run.model);
        }
    }
}
