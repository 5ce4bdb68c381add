//! Block 0.

use crate::proposal::{extra_data, header, trie_hasher};
use crate::state::MemoryState;
use crate::system::{GenesisHost, STUB_CODE};
use crate::{BlockEnvironment, ExecutedBlock, Outcome};
use alloy_eips::eip2935::{HISTORY_STORAGE_ADDRESS, HISTORY_STORAGE_CODE};
use alloy_primitives::{Address, B256, Bytes, U256};
use lian_crypto::Suite;
use lian_system_contracts::Halt;
use lian_trie::{MemoryNodes, StateTrie, TrieError};
use lian_types::{Block, Epoch, Extension, Genesis, GenesisError, GroupGenesis};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Why no first block can be made of a genesis file.
#[derive(Debug, thiserror::Error)]
pub enum GenesisBlockError {
    /// The file is not valid.
    #[error(transparent)]
    Genesis(#[from] GenesisError),
    /// The file gives content to the account that keeps the hashes of past blocks.
    #[error("genesis: account {0} is reserved for the history contract of EIP-2935")]
    Reserved(Address),
    /// The file gives content to an address of the system contracts.
    #[error("genesis: account {0} is reserved for a system contract")]
    System(Address),
    /// The system contracts could not be filled.
    #[error("genesis: system contracts: {0}")]
    Contracts(#[from] Halt),
    /// The file gives storage to an account that no transaction could write for.
    #[error("genesis: account {0} has storage but neither code nor nonce")]
    StorageAlone(Address),
    /// The trie could not be built.
    #[error("state root cannot be computed: {0}")]
    Trie(#[from] TrieError),
}

/// The first block of a group. Nobody proposed it: the digest that stands for its proposal is its hash.
///
/// # Errors
/// [`GenesisBlockError`] for a genesis that is not valid.
pub fn genesis_block(
    suite: Suite,
    genesis: &Genesis,
    group: &GroupGenesis,
) -> Result<ExecutedBlock, GenesisBlockError> {
    let changes = genesis_state(genesis, group)?.as_changes();
    let (trie, nodes) =
        StateTrie::empty(trie_hasher(suite)).apply(&MemoryNodes::default(), 0, &changes.trie_updates())?;
    let members = genesis.members(group, |key| suite.consensus_address(key))?;
    let extension = Extension {
        version: Extension::VERSION,
        time: group.time,
        epoch: Epoch::ZERO,
        members: suite.members_digest(&members),
        skipped: Vec::new(),
    };
    let environment = BlockEnvironment::new(0, group.time.as_secs(), Address::ZERO, group.block_gas_limit);
    let header = header(
        trie_hasher(suite),
        &environment,
        B256::ZERO,
        extra_data(suite, &extension),
        &[] as &[&[u8]],
        &Outcome::default(),
        trie.root(),
    );
    let hash = suite.header_hash(&header);
    Ok(ExecutedBlock {
        block: Arc::new(Block { header, extension, transactions: Vec::new() }),
        hash,
        digest: GroupGenesis::proposal_digest(hash),
        receipts: Arc::default(),
        senders: Arc::default(),
        changes: Arc::new(changes),
        trie,
        nodes: Arc::new(nodes),
        governance: None,
    })
}

/// The state that genesis names, with the history contract in it and, where operators are named, the system contracts.
fn genesis_state(genesis: &Genesis, group: &GroupGenesis) -> Result<MemoryState, GenesisBlockError> {
    let mut state = MemoryState::default();
    for (address, account) in &group.accounts {
        if *address == HISTORY_STORAGE_ADDRESS {
            return Err(GenesisBlockError::Reserved(*address));
        }
        if lian_types::is_reserved(address) {
            return Err(GenesisBlockError::System(*address));
        }
        // A contract could otherwise be created over the storage (EIP-7610).
        if account.nonce == 0 && account.code.is_empty() && !account.storage.is_empty() {
            return Err(GenesisBlockError::StorageAlone(*address));
        }
        let storage = account.storage.iter().map(|(slot, value)| (*slot, *value));
        state.insert(*address, account.nonce, account.balance, account.code.clone(), storage);
    }
    // EIP-161: empty accounts do not exist.
    state.accounts.retain(|_, account| !account.state.is_empty());
    state.insert(HISTORY_STORAGE_ADDRESS, 1, U256::ZERO, HISTORY_STORAGE_CODE.clone(), BTreeMap::new());
    if !group.is_governed() {
        return Ok(state);
    }
    let mut slots = BTreeMap::new();
    for contract in lian_system_contracts::addresses(group.protocol_version) {
        lian_system_contracts::begin(&mut GenesisHost { slots: &mut slots, contract }, contract, genesis, group)?;
    }
    for contract in lian_system_contracts::addresses(group.protocol_version) {
        let own = slots.iter().filter(|((owner, _), value)| *owner == contract && !value.is_zero());
        let storage: BTreeMap<_, _> = own.map(|((_, slot), value)| (*slot, *value)).collect();
        state.insert(contract, 1, U256::ZERO, Bytes::from_static(&STUB_CODE), storage);
    }
    Ok(state)
}
