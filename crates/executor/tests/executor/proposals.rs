//! Whole blocks: genesis, proposals, headers.

use crate::support::{ALICE, BOB, sent, transaction};
use alloy_consensus::proofs::{calculate_receipt_root, calculate_transaction_root};
use alloy_consensus::{Eip658Value, ReceiptEnvelope, ReceiptWithBloom, TxEip1559, TxType};
use alloy_eips::eip2935::HISTORY_STORAGE_ADDRESS;
use alloy_primitives::{Address, B256, U256, b256};
use alloy_sol_types::SolCall;
use lian_crypto::{Suite, VerifiedTransaction};
use lian_executor::{
    ExecutedBlock, ExecutionError, GenesisBlockError, LayeredState, MemoryState, Parent, Rules, StateReader, Threads,
    execute_block, execute_proposal, genesis_block,
};
use lian_system_contracts::{configuration, interfaces::IConfiguration as C};
use lian_trie::{Hasher, MemoryNodes, StateTrie};
use lian_types::{
    BlockNumber, ConsensusKey, ConsensusParameters, Epoch, Genesis, GenesisAccount, GroupGenesis, GroupId, Institution,
    Millis, NodeEntry, Proposal, Skipped,
};
use std::collections::BTreeMap;
use std::sync::Arc;

const KEY: ConsensusKey = ConsensusKey([7; 33]);

fn genesis() -> Genesis {
    let account = GenesisAccount { balance: U256::from(100), ..GenesisAccount::default() };
    Genesis {
        version: 1,
        suite: "standard".into(),
        certificate_authorities: vec![],
        institutions: vec![Institution { name: "bank".into() }],
        nodes: vec![NodeEntry { name: "node0".into(), institution: "bank".into(), consensus_key: KEY }],
        groups: vec![GroupGenesis {
            group: GroupId(0),
            chain_id: crate::support::CHAIN_ID,
            time: Millis(1_700_000_000_250),
            block_gas_limit: crate::support::GAS_LIMIT,
            consensus: ConsensusParameters::default(),
            sealers: vec!["node0".into()],
            operators: vec![],
            committee: None,
            protocol_version: 0,
            accounts: BTreeMap::from([(ALICE, account), (BOB, GenesisAccount::default())]),
        }],
    }
}

/// Those of a chain without operators.
fn rules() -> Rules {
    Rules::of_group(Suite::Standard, &genesis().groups[0])
}

fn first_block(genesis: &Genesis) -> Result<ExecutedBlock, GenesisBlockError> {
    genesis_block(Suite::Standard, genesis, &genesis.groups[0])
}

fn parent(block: &ExecutedBlock, below: &Arc<LayeredState>) -> Parent {
    let number = block.block.header.number;
    Parent {
        header: block.block.header.clone(),
        hash: block.hash,
        extension_members: block.block.extension.members,
        state: Arc::new(below.with_block(number, block.hash, Arc::clone(&block.changes))),
        trie: block.trie.clone(),
    }
}

fn proposal(parent: &ExecutedBlock, transactions: &[Arc<VerifiedTransaction>]) -> Proposal {
    Proposal {
        chain_id: crate::support::CHAIN_ID,
        group: GroupId(0),
        epoch: Epoch(3),
        height: BlockNumber(parent.block.header.number + 1),
        parent: parent.digest,
        time: Millis(1_700_000_001_999),
        proposer: KEY,
        transactions: transactions.iter().map(|transaction| transaction.hash()).collect(),
    }
}

fn root_of(state: &MemoryState) -> B256 {
    StateTrie::empty(Hasher::Keccak)
        .apply(&MemoryNodes::default(), 0, &state.as_changes().trie_updates())
        .unwrap()
        .0
        .root()
}

#[test]
fn genesis_is_an_ethereum_block() {
    let block = first_block(&genesis()).unwrap();
    let header = &block.block.header;
    assert_eq!(block.hash, header.hash_slow());
    assert_eq!(block.digest.0, block.hash);
    assert_eq!((header.number, header.timestamp, header.parent_hash), (0, 1_700_000_000, B256::ZERO));
    assert_eq!(header.extra_data.as_ref(), Suite::Standard.extension_digest(&block.block.extension).as_slice());
    assert_eq!((header.base_fee_per_gas, header.gas_limit), (Some(0), crate::support::GAS_LIMIT));
    // EIP-7685: the hash of no requests, SHA-256 of nothing.
    let no_requests = b256!("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    assert_eq!(header.requests_hash, Some(no_requests));
    let mut state = MemoryState::default();
    state.apply(&block.changes);
    assert_eq!(root_of(&state), header.state_root);
    assert!(state.account(HISTORY_STORAGE_ADDRESS).unwrap().unwrap().has_code());
    assert_eq!(state.account(ALICE).unwrap().unwrap().balance, U256::from(100));
    // An account without content does not exist.
    assert_eq!(state.account(BOB).unwrap(), None);
    assert_eq!(first_block(&genesis()).unwrap().hash, block.hash);
}

#[test]
fn genesis_refuses_accounts_that_cannot_be() {
    let mut reserved = genesis();
    reserved.groups[0].accounts.insert(HISTORY_STORAGE_ADDRESS, GenesisAccount::default());
    let mut storage = genesis();
    let account =
        GenesisAccount { storage: BTreeMap::from([(U256::ZERO, U256::from(1))]), ..GenesisAccount::default() };
    storage.groups[0].accounts.insert(BOB, account);
    let cases = [
        (
            reserved,
            format!("genesis: account {HISTORY_STORAGE_ADDRESS} is reserved for the history contract of EIP-2935"),
        ),
        (storage, format!("genesis: account {BOB} has storage but neither code nor nonce")),
    ];
    for (genesis, message) in cases {
        assert_eq!(first_block(&genesis).err().map(|error| error.to_string()), Some(message));
    }
}

#[test]
fn a_proposal_becomes_a_block() {
    let first = first_block(&genesis()).unwrap();
    let below = Arc::new(LayeredState::new(Arc::new(MemoryState::default())));
    let parent = parent(&first, &below);
    let pay =
        |nonce, value| sent(ALICE, TxEip1559 { nonce, value: U256::from(value), ..transaction(Some(BOB), vec![]) });
    // LOG0 with nothing, as creation code.
    let create = sent(BOB, transaction(None, vec![0x5f, 0x5f, 0xa0]));
    let transactions = vec![pay(0, 30), pay(0, 31), create, pay(1, 1_000), pay(1, 32)];
    let proposal = proposal(&first, &transactions);
    let nodes = MemoryNodes::default();
    let executed = execute_proposal(
        &Threads::one(),
        &rules(),
        crate::support::GAS_LIMIT,
        &parent,
        &nodes,
        &proposal,
        &transactions,
    )
    .unwrap();

    let block = &executed.block;
    let header = &block.header;
    assert_eq!(executed.hash, header.hash_slow());
    assert_eq!(executed.digest, Suite::Standard.proposal_digest(&proposal));
    assert_eq!(block.proposed_hashes(), proposal.transactions);
    let skipped = [1, 3].map(|i| Skipped { position: i, hash: transactions[i as usize].hash() });
    assert_eq!(block.extension.skipped, skipped);
    assert_eq!((block.extension.time, block.extension.epoch), (proposal.time, Epoch(3)));
    assert_eq!(block.extension.members, first.block.extension.members);
    assert_eq!(*executed.senders, vec![ALICE, BOB, ALICE]);
    assert_eq!((header.number, header.timestamp, header.parent_hash), (1, 1_700_000_001, first.hash));
    assert_eq!(header.beneficiary, Suite::Standard.consensus_address(&KEY));

    // Roots and filter by alloy, which is not what made them.
    let envelopes: Vec<_> = block.transactions.iter().map(|transaction| transaction.as_ethereum().clone()).collect();
    assert_eq!(header.transactions_root, calculate_transaction_root(&envelopes));
    let receipts: Vec<_> = executed
        .receipts
        .iter()
        .map(|receipt| {
            let inner = alloy_consensus::Receipt {
                status: Eip658Value::Eip658(receipt.success),
                cumulative_gas_used: receipt.cumulative_gas_used,
                logs: receipt.logs.clone(),
            };
            ReceiptEnvelope::from_typed(TxType::Eip1559, ReceiptWithBloom::from(inner))
        })
        .collect();
    assert_eq!(header.receipts_root, calculate_receipt_root(&receipts));
    let bloom = alloy_primitives::logs_bloom(executed.receipts.iter().flat_map(|receipt| &receipt.logs));
    assert_eq!(header.logs_bloom, bloom);
    assert!(!bloom.is_zero());
    assert_eq!(header.gas_used, executed.receipts.last().unwrap().cumulative_gas_used);

    let mut state = MemoryState::default();
    state.apply(&first.changes);
    state.apply(&executed.changes);
    assert_eq!(header.state_root, root_of(&state));
    assert_eq!(state.account(BOB).unwrap().unwrap().balance, U256::from(62));
    assert_eq!(state.storage(HISTORY_STORAGE_ADDRESS, U256::ZERO).unwrap(), U256::from_be_bytes(first.hash.0));

    // The block that others get: the same without the bodies that were skipped.
    let bodies = [0, 2, 4].map(|i| Arc::clone(&transactions[i]));
    let again = execute_block(&Threads::one(), &rules(), &parent, &nodes, block, executed.digest, &bodies).unwrap();
    assert_eq!((again.hash, &again.block, &again.changes), (executed.hash, block, &executed.changes));
}

#[test]
fn a_proposal_without_transactions_still_records_its_parent() {
    let first = first_block(&genesis()).unwrap();
    let below = Arc::new(LayeredState::new(Arc::new(MemoryState::default())));
    let parent = parent(&first, &below);
    let proposal = proposal(&first, &[]);
    let executed = execute_proposal(
        &Threads::one(),
        &rules(),
        crate::support::GAS_LIMIT,
        &parent,
        &MemoryNodes::default(),
        &proposal,
        &[],
    )
    .unwrap();
    assert_eq!(executed.changes.accounts.keys().copied().collect::<Vec<Address>>(), vec![HISTORY_STORAGE_ADDRESS]);
}

#[test]
fn bodies_must_be_the_proposals() {
    let first = first_block(&genesis()).unwrap();
    let below = Arc::new(LayeredState::new(Arc::new(MemoryState::default())));
    let parent = parent(&first, &below);
    let transactions: Vec<_> =
        (0..2).map(|nonce| sent(ALICE, TxEip1559 { nonce, ..transaction(Some(BOB), vec![]) })).collect();
    let proposal = proposal(&first, &transactions);
    let run = |bodies: &[_]| {
        execute_proposal(
            &Threads::one(),
            &rules(),
            crate::support::GAS_LIMIT,
            &parent,
            &MemoryNodes::default(),
            &proposal,
            bodies,
        )
        .err()
    };
    assert!(matches!(run(&transactions[..1]), Some(ExecutionError::BodyCount { proposed: 2, given: 1 })));
    let swapped: Vec<_> = transactions.iter().rev().cloned().collect();
    assert!(matches!(run(&swapped), Some(ExecutionError::BodyMismatch { position: 0, .. })));
}

/// What an operator decides rides on its block, and the block gas limit acts a window later, for who executes a proposal
/// and for who executes the block alike.
#[test]
fn a_block_tells_what_it_has_decided() {
    let mut genesis = genesis();
    genesis.groups[0].operators = vec![ALICE];
    genesis.groups[0].consensus.window = 2;
    let rules = Rules::of_group(Suite::Standard, &genesis.groups[0]);
    let mut block = first_block(&genesis).unwrap();
    let mut state = Arc::new(LayeredState::new(Arc::new(MemoryState::default())));
    let mut nodes = MemoryNodes::default();
    nodes.apply_state(&block.nodes);
    let set = C::setCall { name: "block_gas_limit".into(), value: U256::from(20_000_000) }.abi_encode();
    let decision = sent(ALICE, transaction(Some(configuration::ADDRESS), set));
    let mut limits = Vec::new();
    for height in 1..=4 {
        let parent = parent(&block, &state);
        state = Arc::new(state.with_block(height - 1, block.hash, Arc::clone(&block.changes)));
        let bodies = if height == 2 { vec![Arc::clone(&decision)] } else { vec![] };
        let proposal = proposal(&block, &bodies);
        let next =
            execute_proposal(&Threads::one(), &rules, crate::support::GAS_LIMIT, &parent, &nodes, &proposal, &bodies)
                .unwrap();
        assert_eq!(next.governance.is_some(), height == 2);
        limits.push(next.block.header.gas_limit);
        // Whoever made the block may have claimed anything.
        let mut claimed = (*next.block).clone();
        claimed.header.gas_limit = 7;
        let again = execute_block(&Threads::one(), &rules, &parent, &nodes, &claimed, next.digest, &bodies).unwrap();
        assert_eq!(again.hash, next.hash);
        if let Some(governance) = &next.governance {
            assert_eq!(governance.block_gas_limit_at(BlockNumber(3)), crate::support::GAS_LIMIT);
            assert_eq!(governance.block_gas_limit_at(BlockNumber(4)), 20_000_000);
            assert_eq!(governance.schedule.current, governance.schedule.next);
        }
        nodes.apply_state(&next.nodes);
        block = next;
    }
    assert_eq!(limits, [crate::support::GAS_LIMIT, crate::support::GAS_LIMIT, crate::support::GAS_LIMIT, 20_000_000]);
}
