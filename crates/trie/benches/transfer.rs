//! What the state root costs a token transfer: `cargo bench -p lian-trie`.
//!
//! A transfer changes the sender's account and two slots of the token's storage, among 100,000 accounts and as many
//! slots that are all in memory. Times are wall times on one thread in µs per transfer, and as multiples of one
//! Keccak of 128 bytes in the same run, because machines differ and are shared.

use std::hint::black_box;
use std::time::Instant;

use alloy_primitives::{Address, U256, keccak256};
use lian_trie::{AccountLeaf, AccountUpdate, Hasher, MemoryNodes, StateTrie, TrieError, ordered_root};

const ACCOUNTS: u64 = 100_000;
const TOKEN: u64 = u64::MAX;
const TRANSFERS: u64 = 30_000;

fn account(number: u64, nonce: u64, storage: Vec<(U256, U256)>) -> AccountUpdate {
    AccountUpdate {
        address: Address::left_padding_from(&number.to_be_bytes()),
        account: Some(AccountLeaf {
            nonce,
            balance: U256::from(10u64).pow(U256::from(22u64)),
            code_hash: Hasher::Keccak.empty_code_hash(),
        }),
        storage_cleared: false,
        storage,
    }
}

/// What a block of `transfers` changes.
fn block(number: u64, transfers: u64) -> Vec<AccountUpdate> {
    let party = |index: u64| {
        keccak256((number * transfers + index).to_be_bytes()).as_slice()[..8]
            .iter()
            .fold(0u64, |sum, byte| sum << 8 | u64::from(*byte))
            % ACCOUNTS
    };
    let senders: std::collections::BTreeSet<_> = (0..transfers).map(party).collect();
    let holders: std::collections::BTreeSet<_> =
        senders.iter().copied().chain((0..transfers).map(|index| party(index + (1 << 40)))).collect();
    let amount = U256::from(1_000_000_000 + number);
    let slots = holders.into_iter().map(|holder| (U256::from(holder), amount)).collect();
    let mut updates: Vec<_> = senders.into_iter().map(|sender| account(sender, number + 1, Vec::new())).collect();
    updates.push(account(TOKEN, 1, slots));
    updates
}

fn measure_blocks(keccak_us: f64) -> Result<(), TrieError> {
    let nodes = MemoryNodes::default();
    let mut all: Vec<_> = (0..ACCOUNTS).map(|number| account(number, 1, Vec::new())).collect();
    all.push(account(TOKEN, 1, (0..ACCOUNTS).map(|slot| (U256::from(slot), U256::from(1_000_000_000))).collect()));
    let start = Instant::now();
    let (genesis, changes) = StateTrie::empty(Hasher::Keccak).apply(&nodes, 0, &all)?;
    let us = start.elapsed().as_secs_f64() * 1e6;
    println!(
        "build    {:>7} entries  {:>7.2} µs an entry, {} nodes",
        2 * ACCOUNTS,
        us / (2 * ACCOUNTS) as f64,
        changes.len()
    );
    for size in [100, 1000, 10_000] {
        let blocks: Vec<_> = (1..=TRANSFERS / size).map(|number| block(number, size)).collect();
        let mut state = genesis.clone();
        let mut changed = 0;
        let start = Instant::now();
        for (number, updates) in (1..).zip(&blocks) {
            let (next, changes) = state.apply(&nodes, number, updates)?;
            changed += changes.len();
            state = next;
        }
        let transfers = (blocks.len() as u64 * size) as f64;
        let us = start.elapsed().as_secs_f64() * 1e6 / transfers;
        println!(
            "update   {size:>7} a block  {us:>7.2} µs a transfer, {:>5.1} × Keccak, {:.1} nodes written",
            us / keccak_us,
            changed as f64 / transfers
        );
        let start = Instant::now();
        let loaded = state.loaded_nodes();
        let kept = state.evict(loaded / 2, u64::MAX).loaded_nodes();
        println!(
            "evict    {loaded:>7} to {kept} nodes  {:>7.2} µs a node",
            start.elapsed().as_secs_f64() * 1e6 / loaded as f64
        );
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // `cargo test --all-targets` runs benchmarks too, without this flag: there is nothing to test here.
    if !std::env::args().any(|argument| argument == "--bench") {
        return Ok(());
    }
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build()?;
    let start = Instant::now();
    for number in 0..100_000u32 {
        let mut bytes = [1; 128];
        bytes[..4].copy_from_slice(&number.to_be_bytes());
        black_box(keccak256(black_box(bytes)));
    }
    let keccak_us = start.elapsed().as_secs_f64() * 1e6 / 1e5;
    println!("keccak   {:>7} bytes    {keccak_us:>7.3} µs", 128);
    pool.install(|| measure_blocks(keccak_us))?;
    let items: Vec<_> = (0..10_000u32).map(|index| [index.to_be_bytes().to_vec(), vec![7; 170]].concat()).collect();
    let start = Instant::now();
    black_box(ordered_root(Hasher::Keccak, &items));
    println!("ordered  {:>7} items    {:>7.2} µs an item", items.len(), start.elapsed().as_secs_f64() * 1e6 / 1e4);
    Ok(())
}
