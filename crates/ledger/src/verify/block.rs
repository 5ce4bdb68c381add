//! Checking one block after the other.

use super::base::Base;
use super::view::ViewCheck;
use super::{Progress, Report};
use crate::block_record::StoredBlock;
use crate::ledger::{LedgerError, check_links, decode, trie_hasher};
use crate::log::{Location, Log, LogError};
use crate::view::View;
use alloy_primitives::{Address, B256, Bloom, Bytes, U256};
use lian_crypto::{EpochMembers, Suite, VerifiedTransaction, verify_certificate};
use lian_executor::{
    AccountState, ExecutedBlock, MemoryState, Parent, Rules, StateChanges, StateError, StateReader, Threads,
    execute_block, genesis_block, members_at,
};
use lian_trie::{MemoryNodes, StateTrie, ordered_root};
use lian_types::{BlockNumber, ChainContext, Epoch, Genesis, GroupGenesis, Proposal, ProposalDigest};
use parking_lot::RwLock;
use std::sync::Arc;

/// A state that changes while others read it.
#[derive(Default)]
pub(super) struct SharedState(pub(super) RwLock<MemoryState>);

impl StateReader for SharedState {
    fn account(&self, address: Address) -> Result<Option<AccountState>, StateError> {
        self.0.read().account(address)
    }

    fn storage(&self, address: Address, slot: U256) -> Result<U256, StateError> {
        self.0.read().storage(address, slot)
    }

    fn code(&self, hash: B256) -> Result<Bytes, StateError> {
        self.0.read().code(hash)
    }

    fn block_hash(&self, number: u64) -> Result<B256, StateError> {
        self.0.read().block_hash(number)
    }
}

/// The chain up to the block before the one being checked.
pub(super) struct Checker<'a> {
    suite: Suite,
    chain: ChainContext,
    group: &'a GroupGenesis,
    /// Those of genesis; for ever where there is no contract for them.
    members: EpochMembers,
    first: ExecutedBlock,
    state: Arc<SharedState>,
    parent: Option<(Parent, ProposalDigest)>,
    /// Where the log begins later than with block 0: the state of a snapshot, from which on blocks are executed.
    base: Option<Base>,
    view: Option<ViewCheck>,
}

impl<'a> Checker<'a> {
    pub(super) fn new(
        suite: Suite,
        chain: ChainContext,
        genesis: &Genesis,
        group: &'a GroupGenesis,
        base: Option<Base>,
        view: Option<Arc<dyn View>>,
    ) -> Result<Self, LedgerError> {
        let members = genesis
            .members(group, |key| suite.consensus_address(key))
            .map_err(|error| LedgerError::Genesis(error.into()))?;
        Ok(Self {
            suite,
            chain,
            group,
            members: EpochMembers { epoch: Epoch::ZERO, members, consensus: group.consensus.kind },
            first: genesis_block(suite, genesis, group)?,
            state: Arc::default(),
            parent: None,
            base,
            view: view.map(ViewCheck::new).transpose()?.flatten(),
        })
    }

    /// Checks all blocks of a log, and the view.
    pub(super) fn run(
        &mut self,
        log: &Arc<Log>,
        report: &mut Report,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(), LedgerError> {
        let first = log.first_sequence();
        if first > 0 && !log.is_empty() && self.base.is_none() {
            report.add(None, format!("the log begins with block {first}, and no snapshot has the state to go on from"));
            return Ok(());
        }
        let total = log.next_sequence().saturating_sub(first);
        let mut cursor = log.cursor();
        report.view = self.view.as_ref().map(|view| BlockNumber(view.height()));
        loop {
            let next = cursor.next().map_err(LedgerError::from);
            let decoded = next.and_then(|next| match next {
                Some((location, record)) => decode(log, location, &record).map(|parts| Some((location, parts))),
                None => Ok(None),
            });
            match decoded {
                Ok(Some((location, (stored, changes)))) => self.block(location, &stored, changes, report)?,
                Ok(None) => break,
                // What follows cannot be checked without this block.
                Err(LedgerError::Log(error @ LogError::Damaged { .. })) => {
                    report.add(Some(BlockNumber(first.saturating_add(report.blocks))), error.to_string());
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
            report.blocks += 1;
            progress(Progress { blocks: report.blocks, total });
        }
        if let (Some(view), Some(head)) = (&self.view, report.head)
            && view.height() > head.0
        {
            report.add(None, format!("the key-value view is at block {}, but the log ends at {head}", view.height()));
        }
        Ok(())
    }

    fn block(
        &mut self,
        location: Location,
        stored: &StoredBlock,
        changes: StateChanges,
        report: &mut Report,
    ) -> Result<(), LedgerError> {
        let number = BlockNumber(stored.number());
        let mut problems = Vec::new();
        if let Err(error) = check_links(self.suite, stored) {
            problems.push(error.to_string());
        }
        check_roots(self.suite, stored, &mut problems);
        if let Some(base) = &mut self.base
            && number.0 < base.block.number()
        {
            below_base(self.suite, &self.chain, base, stored, &mut problems);
            return self.done(location, stored, problems, report);
        }
        let trie = match (self.parent.take(), self.base.take()) {
            (None, Some(base)) => self.begin(stored, base, &mut problems),
            (None, None) => self.genesis(stored, &changes, &mut problems),
            (Some((parent, digest)), _) => {
                self.certificate(stored, digest, &mut problems);
                self.execution(stored, &parent, &changes, &mut problems);
                let trie = parent.trie.apply(&MemoryNodes::default(), number.0, &changes.trie_updates());
                trie.map(|(trie, _)| trie).unwrap_or_else(|error| {
                    problems.push(format!("its recorded changes cannot be applied: {error}"));
                    parent.trie.clone()
                })
            }
        };
        let (root, expected) = (trie.root(), stored.block.header.state_root);
        if root != expected {
            problems.push(format!("its recorded changes give state root {root}, its header says {expected}"));
        }
        {
            let mut state = self.state.0.write();
            state.apply(&changes);
            state.block_hashes.insert(number.0, stored.hash);
            if let Some(old) = number.0.checked_sub(257) {
                state.block_hashes.remove(&old);
            }
        }
        if let Some(view) = &self.view
            && number.0 == view.height()
        {
            view.state(self.suite, &self.state.0.read(), stored, &mut problems)?;
        }
        self.parent = Some((self.as_parent(stored, trie), stored.digest));
        self.done(location, stored, problems, report)
    }

    /// Checks a block's indexes and notes what was found.
    fn done(
        &self,
        location: Location,
        stored: &StoredBlock,
        mut problems: Vec<String>,
        report: &mut Report,
    ) -> Result<(), LedgerError> {
        let number = BlockNumber(stored.number());
        if let Some(view) = &self.view {
            view.block(location, stored, &mut problems)?;
        }
        problems.into_iter().for_each(|what| report.add(Some(number), what));
        report.transactions += stored.block.transactions.len() as u64;
        (report.head, report.hash, report.state_root) = (Some(number), stored.hash, stored.block.header.state_root);
        Ok(())
    }

    /// Takes over a snapshot's state at its block.
    fn begin(&mut self, stored: &StoredBlock, base: Base, problems: &mut Vec<String>) -> StateTrie {
        if stored.hash != base.block.hash {
            problems.push(format!("it is {}, its snapshot has {}", stored.hash, base.block.hash));
        }
        if base.below.is_some_and(|below| below != stored.block.header.parent_hash) {
            problems.push("its parent is not the block before it".to_owned());
        }
        if let Some(members) = base.members_at(BlockNumber(stored.number())) {
            self.members = members.clone();
        }
        *self.state.0.write() = base.state;
        base.trie
    }

    fn as_parent(&self, stored: &StoredBlock, trie: StateTrie) -> Parent {
        Parent {
            header: stored.block.header.clone(),
            hash: stored.hash,
            extension_members: stored.block.extension.members,
            state: Arc::clone(&self.state) as Arc<dyn StateReader>,
            trie,
        }
    }

    fn genesis(&self, stored: &StoredBlock, changes: &StateChanges, problems: &mut Vec<String>) -> StateTrie {
        if stored.hash != self.first.hash || stored.block != self.first.block {
            problems.push(format!("it is {}, genesis makes {}", stored.hash, self.first.hash));
        }
        if *changes != *self.first.changes {
            problems.push("its recorded changes are not those of genesis".to_owned());
        }
        let empty = StateTrie::empty(trie_hasher(self.suite));
        empty.apply(&MemoryNodes::default(), 0, &changes.trie_updates()).map_or(empty, |(trie, _)| trie)
    }

    /// The proposal's digest, and signatures on it and the block by a quorum of the members that the state before it
    /// names.
    fn certificate(&self, stored: &StoredBlock, parent: ProposalDigest, problems: &mut Vec<String>) {
        let block = &stored.block;
        let deciding = if self.group.is_governed() {
            members_at(self.suite, self.group.consensus.kind, self.state.as_ref(), BlockNumber(stored.number()))
        } else {
            Ok(self.members.clone())
        };
        let deciding = match deciding {
            Ok(deciding) => deciding,
            Err(error) => return problems.push(format!("who decides it is not known: {error}")),
        };
        let proposers = deciding.members.iter().filter(|(_, member)| member.address == block.header.beneficiary);
        let proposal = proposers.map(|(_, member)| Proposal {
            chain_id: self.chain.chain_id,
            group: self.group.group,
            epoch: block.extension.epoch,
            height: BlockNumber(block.header.number),
            parent,
            time: block.extension.time,
            proposer: member.key,
            transactions: block.proposed_hashes(),
        });
        if !proposal.map(|proposal| self.suite.proposal_digest(&proposal)).any(|digest| digest == stored.digest) {
            problems.push("its proposal does not have the digest that is recorded".to_owned());
        }
        if let Err(error) = verify_certificate(self.suite, &self.chain, &deciding, &stored.certificate) {
            problems.push(error.to_string());
        }
    }

    /// Recovers the senders and executes the block again.
    fn execution(&self, stored: &StoredBlock, parent: &Parent, changes: &StateChanges, problems: &mut Vec<String>) {
        if stored.block.header.parent_hash != parent.hash {
            let found = stored.block.header.parent_hash;
            problems.push(format!("its parent is {found}, but the block before it is {}", parent.hash));
        }
        let mut transactions = Vec::with_capacity(stored.senders.len());
        for (transaction, sender) in stored.block.transactions.iter().zip(stored.senders.iter()) {
            match self.suite.recover_sender(Arc::clone(transaction)) {
                Ok(verified) if verified.sender() == *sender => transactions.push(Arc::new(verified)),
                Ok(verified) => {
                    let (hash, found) = (transaction.hash(), verified.sender());
                    problems.push(format!("transaction {hash} was sent by {found}, but {sender} is recorded"));
                    transactions.push(Arc::new(verified));
                }
                Err(error) => {
                    problems.push(format!("transaction {}: {error}", transaction.hash()));
                    transactions.push(Arc::new(VerifiedTransaction::assume(Arc::clone(transaction), *sender)));
                }
            }
        }
        let rules = Rules::of_group(self.suite, self.group);
        let nodes = MemoryNodes::default();
        match execute_block(&Threads::one(), &rules, parent, &nodes, &stored.block, stored.digest, &transactions) {
            Ok(executed) => {
                if executed.hash != stored.hash {
                    let differing = differing_fields(&executed, stored);
                    problems.push(format!("executing it again gives another header; it differs in: {differing}"));
                }
                if executed.receipts != stored.receipts {
                    problems.push("executing it again gives other receipts than recorded".to_owned());
                }
                if *executed.changes != *changes {
                    problems.push("executing it again gives other changes than recorded".to_owned());
                }
            }
            Err(error) => problems.push(format!("it cannot be executed again: {error}")),
        }
    }
}

/// Checks a block below the snapshot whose state is the first one known: everything but its execution.
fn below_base(suite: Suite, chain: &ChainContext, base: &mut Base, stored: &StoredBlock, problems: &mut Vec<String>) {
    if base.below.is_some_and(|below| below != stored.block.header.parent_hash) {
        problems.push("its parent is not the block before it".to_owned());
    }
    base.below = Some(stored.hash);
    match base.members_at(BlockNumber(stored.number())) {
        Some(members) => {
            if let Err(error) = verify_certificate(suite, chain, members, &stored.certificate) {
                problems.push(error.to_string());
            }
        }
        None => problems.push("nobody is known who decided it".to_owned()),
    }
}

/// Checks what the header says about transactions and receipts.
pub(crate) fn check_roots(suite: Suite, stored: &StoredBlock, problems: &mut Vec<String>) {
    let header = &stored.block.header;
    let hasher = trie_hasher(suite);
    let bodies: Vec<_> = stored.block.transactions.iter().map(|transaction| transaction.encoded()).collect();
    if ordered_root(hasher, &bodies) != header.transactions_root {
        problems.push("its transactions do not have the root that its header names".to_owned());
    }
    let mut bloom = Bloom::ZERO;
    let encode = |receipt: &lian_types::Receipt| {
        let own = receipt.bloom();
        bloom.accrue_bloom(&own);
        receipt.encoded_2718(own)
    };
    let receipts: Vec<_> = stored.receipts.iter().map(encode).collect();
    if ordered_root(hasher, &receipts) != header.receipts_root {
        problems.push("its receipts do not have the root that its header names".to_owned());
    }
    if bloom != header.logs_bloom {
        problems.push("its logs do not have the bloom filter that its header names".to_owned());
    }
}

fn differing_fields(executed: &ExecutedBlock, stored: &StoredBlock) -> String {
    let (new, old) = (&executed.block.header, &stored.block.header);
    let fields = [
        ("parent hash", new.parent_hash == old.parent_hash),
        ("state root", new.state_root == old.state_root),
        ("transactions root", new.transactions_root == old.transactions_root),
        ("receipts root", new.receipts_root == old.receipts_root),
        ("logs bloom", new.logs_bloom == old.logs_bloom),
        ("gas limit", new.gas_limit == old.gas_limit),
        ("gas used", new.gas_used == old.gas_used),
        ("extension", new.extra_data == old.extra_data),
    ];
    let names: Vec<_> = fields.iter().filter(|(_, same)| !same).map(|(name, _)| *name).collect();
    if names.is_empty() { "a constant field".to_owned() } else { names.join(", ") }
}
