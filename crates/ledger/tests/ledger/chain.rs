//! A small chain to fill ledgers with.

use alloy_consensus::{SignableTransaction, TxEip1559, TxEnvelope};
use alloy_primitives::{Address, B256, Bytes, Signature, TxKind, U256, address, hex, keccak256};
use lian_crypto::{ConsensusSecretKey, Suite, VerifiedTransaction};
use lian_executor::{
    AccountChange, AccountState, ExecutedBlock, Parent, Rules, StateChanges, Threads, execute_proposal,
};
use lian_ledger::{
    FinalBlock, Head, Ledger, LedgerConfig, LedgerError, MemoryStorage, MemoryView, Recovery, Storage, ViewKind,
};
use lian_trie::NodeSource;
use lian_types::{
    Block, BlockNumber, Certificate, CertificateKind, ChainContext, ConsensusParameters, Epoch, Extension, Genesis,
    GenesisAccount, GroupGenesis, GroupId, Header, HistoryDepth, Institution, MemberIndex, MemberSignature, Millis,
    NodeEntry, Proposal, ProposalDigest, Transaction, View, limits,
};
use std::collections::BTreeMap;
use std::sync::Arc;

pub(crate) const SUITE: Suite = Suite::Standard;
/// Counts its calls in slot 0 and logs topic 7 each time.
pub(crate) const COUNTER: Address = address!("00000000000000000000000000000000000000c0");

/// A chain of four members.
pub(crate) struct Chain {
    pub(crate) genesis: Genesis,
    pub(crate) keys: Vec<ConsensusSecretKey>,
}

impl Chain {
    pub(crate) fn new() -> Self {
        Self::with_id(20_200)
    }

    pub(crate) fn with_id(chain_id: u64) -> Self {
        let keys: Vec<_> = (1..=4).map(|i| ConsensusSecretKey::from_bytes(SUITE, &[i; 32])).collect();
        let node = |(i, key): (usize, &ConsensusSecretKey)| NodeEntry {
            name: format!("node{i}"),
            institution: "bank".into(),
            consensus_key: key.public(),
        };
        let code = Bytes::from_static(&hex!("5f546001015f5560075f5fa100"));
        let counter = GenesisAccount { nonce: 1, code, ..GenesisAccount::default() };
        let genesis = Genesis {
            version: 1,
            suite: "standard".into(),
            certificate_authorities: vec![],
            institutions: vec![Institution { name: "bank".into() }],
            nodes: keys.iter().enumerate().map(node).collect(),
            groups: vec![GroupGenesis {
                group: GroupId(0),
                chain_id,
                time: Millis(1_000_000),
                block_gas_limit: limits::BLOCK_GAS_LIMIT_DEFAULT,
                consensus: ConsensusParameters::default(),
                sealers: (0..4).map(|i| format!("node{i}")).collect(),
                operators: vec![],
                committee: None,
                protocol_version: 0,
                accounts: BTreeMap::from([(COUNTER, counter)]),
            }],
        };
        Self { genesis, keys }
    }

    pub(crate) fn group(&self) -> &GroupGenesis {
        &self.genesis.groups[0]
    }

    pub(crate) fn context(&self) -> ChainContext {
        let group = self.group();
        ChainContext { genesis: SUITE.genesis_digest(&self.genesis), group: group.group, chain_id: group.chain_id }
    }

    pub(crate) fn open(&self, disk: &Disk) -> Result<(Arc<Ledger>, Recovery), LedgerError> {
        let storage: Arc<dyn Storage> = Arc::new(disk.storage.clone());
        Ledger::open(disk.config(), storage, SUITE, &self.genesis, self.group())
    }

    pub(crate) fn certificate(&self, number: u64, digest: ProposalDigest, block_hash: B256) -> Arc<Certificate> {
        let mut certificate = Certificate {
            epoch: Epoch(0),
            height: BlockNumber(number),
            digest,
            block_hash,
            kind: CertificateKind::Commit { view: View(0) },
            signatures: vec![],
        };
        let message = certificate.vote().signing_bytes(&self.context());
        let sign = |(i, key): (u16, &ConsensusSecretKey)| MemberSignature {
            signer: MemberIndex(i),
            signature: key.sign(&message),
        };
        certificate.signatures = (0u16..3).zip(&self.keys).map(sign).collect();
        Arc::new(certificate)
    }

    /// A block that changes the state in any way wanted, without transactions that would explain it.
    pub(crate) fn block(&self, parent: &Parent, nodes: &dyn NodeSource, changes: StateChanges) -> FinalBlock {
        let number = parent.header.number + 1;
        let (trie, nodes) = parent.trie.apply(nodes, number, &changes.trie_updates()).unwrap();
        let extension = Extension {
            version: 1,
            time: Millis(1_000_000 + number),
            epoch: Epoch(0),
            members: parent.extension_members,
            skipped: vec![],
        };
        let header = Header {
            parent_hash: parent.hash,
            number,
            state_root: trie.root(),
            timestamp: extension.time.as_secs(),
            extra_data: Bytes::copy_from_slice(SUITE.extension_digest(&extension).as_slice()),
            base_fee_per_gas: Some(0),
            ..Header::default()
        };
        let hash = SUITE.header_hash(&header);
        let digest = ProposalDigest(keccak256(hash));
        let executed = ExecutedBlock {
            block: Arc::new(Block { header, extension, transactions: vec![] }),
            hash,
            digest,
            receipts: Arc::default(),
            senders: Arc::default(),
            changes: Arc::new(changes),
            trie,
            nodes: Arc::new(nodes),
            governance: None,
        };
        FinalBlock { certificate: self.certificate(number, digest, hash), executed }
    }

    /// A block as a leader would propose it, with `count` calls of the counter from senders of their own.
    pub(crate) fn real_block(&self, head: &Head, nodes: &dyn NodeSource, count: u64) -> FinalBlock {
        let number = head.number.0 + 1;
        let transactions: Vec<_> = (0..count).map(|i| Arc::new(self.call(number * 1_000 + i))).collect();
        let proposal = Proposal {
            chain_id: self.group().chain_id,
            group: self.group().group,
            epoch: Epoch(0),
            height: BlockNumber(number),
            parent: head.digest,
            time: Millis(1_000_000 + number * 400),
            proposer: self.keys[0].public(),
            transactions: transactions.iter().map(|transaction| transaction.hash()).collect(),
        };
        let rules = Rules::of_group(SUITE, self.group());
        let gas = self.group().block_gas_limit;
        let executed =
            execute_proposal(&Threads::one(), &rules, gas, &head.parent, nodes, &proposal, &transactions).unwrap();
        assert_eq!(executed.receipts.len() as u64, count);
        FinalBlock { certificate: self.certificate(number, executed.digest, executed.hash), executed }
    }

    /// A call of the counter. Any signature has a sender of its own, and on this chain even who owns nothing may send.
    fn call(&self, seed: u64) -> VerifiedTransaction {
        let fields = TxEip1559 {
            chain_id: self.group().chain_id,
            gas_limit: 100_000,
            to: TxKind::Call(COUNTER),
            ..TxEip1559::default()
        };
        let sign = |r: u64| -> TxEnvelope {
            fields.clone().into_signed(Signature::new(U256::from(r), U256::from(1), false)).into()
        };
        (seed * 1_000..)
            .skip(1)
            .map(|r| Arc::new(Transaction::from_envelope(&sign(r)).unwrap()))
            .find_map(|transaction| SUITE.recover_sender(transaction).ok())
            .unwrap()
    }
}

/// A simulated disk with a view.
#[derive(Clone)]
pub(crate) struct Disk {
    pub(crate) storage: MemoryStorage,
    pub(crate) view: Arc<MemoryView>,
    pub(crate) history: u64,
}

impl Disk {
    pub(crate) fn new(history: u64) -> Self {
        Self { storage: MemoryStorage::new(), view: Arc::default(), history }
    }

    pub(crate) fn config(&self) -> LedgerConfig {
        LedgerConfig {
            history: HistoryDepth::Blocks(self.history),
            view: ViewKind::Memory(Arc::clone(&self.view)),
            ..LedgerConfig::new("/ledger")
        }
    }
}

/// The account that addresses of tests have.
pub(crate) fn account(nonce: u64) -> AccountState {
    AccountState { nonce, balance: U256::from(nonce * 10), ..AccountState::default() }
}

/// A change of one account's nonce and slots.
pub(crate) fn change(address: Address, nonce: u64, slots: &[(u64, u64)]) -> StateChanges {
    let storage = slots.iter().map(|(slot, value)| (U256::from(*slot), U256::from(*value))).collect();
    let change = AccountChange { account: Some(account(nonce)), storage_cleared: false, storage };
    StateChanges { accounts: BTreeMap::from([(address, change)]), codes: BTreeMap::new() }
}

/// Appends `count` blocks, each with changes of its own, in one go each.
pub(crate) fn extend(chain: &Chain, ledger: &Ledger, count: u64) {
    for _ in 0..count {
        let head = ledger.head();
        let number = head.number.0 + 1;
        let address = Address::repeat_byte(u8::try_from(number % 5).unwrap() + 1);
        let changes = change(address, number, &[(0, number), (number % 3, number * 7)]);
        ledger.append(&[chain.block(&head.parent, &*ledger.nodes(), changes)]).unwrap();
    }
}
