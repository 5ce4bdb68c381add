//! Opening, appending, reading and recovering a ledger.

use crate::chain::{COUNTER, Chain, Disk, SUITE, account, change, extend};
use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use lian_executor::{AccountChange, AccountState, StateChanges};
use lian_ledger::{
    Crash, Fault, FileStorage, FinalBlock, HistoryError, Ledger, LedgerConfig, LedgerError, LogFilter, LogLimits,
    LogScanError, MemoryView, Storage, Tail, ViewRecovery,
};
use lian_trie::{Hasher, Nibbles, verify_proof};
use lian_types::{BlockNumber, HistoryDepth};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

const LIMITS: LogLimits = LogLimits { blocks_max: 100, results_max: 100 };

/// The slot 0 and nonce of the account that `extend` changed at a height.
fn assert_extended(ledger: &Ledger, upto: u64) {
    for number in 1..=upto {
        let address = Address::repeat_byte(u8::try_from(number % 5).unwrap() + 1);
        let state = ledger.state_at(BlockNumber(number)).unwrap();
        assert_eq!(state.account(address).unwrap(), Some(account(number)), "after {number}");
        let slot = if number % 3 == 0 { number * 7 } else { number };
        assert_eq!(state.storage(address, U256::ZERO).unwrap(), U256::from(slot), "after {number}");
        let before = ledger.state_at(BlockNumber(number - 1)).unwrap();
        let expected = number.checked_sub(5).filter(|last| *last > 0).map(account);
        assert_eq!(before.account(address).unwrap(), expected, "before {number}");
    }
}

#[test]
fn begins_with_genesis_and_goes_on_after_reopening() {
    let (chain, disk) = (Chain::new(), Disk::new(1_024));
    let (ledger, recovery) = chain.open(&disk).unwrap();
    assert_eq!((recovery.tail, recovery.view), (Tail::Fresh, ViewRecovery::Fresh));
    assert_eq!(ledger.head().number, BlockNumber(0));
    let state = ledger.state_at(BlockNumber(0)).unwrap();
    let counter = state.account(COUNTER).unwrap().unwrap();
    assert!(!state.code(counter.code_hash).unwrap().is_empty());
    extend(&chain, &ledger, 12);
    assert_extended(&ledger, 12);
    ledger.flush_step().unwrap();
    assert_extended(&ledger, 12);
    extend(&chain, &ledger, 6);
    let head = ledger.head();
    drop(ledger);

    let (ledger, recovery) = chain.open(&disk).unwrap();
    assert_eq!((recovery.view, recovery.replayed, recovery.head), (ViewRecovery::Usable, 6, BlockNumber(18)));
    assert_eq!(ledger.head().hash, head.hash);
    assert_eq!(ledger.head().parent.trie.root(), head.parent.header.state_root);
    assert_extended(&ledger, 18);
    extend(&chain, &ledger, 4);
    ledger.flush_step().unwrap();
    assert_extended(&ledger, 22);
}

/// Receipts are asked for one by one: the block is not to be read and decoded again for each.
#[test]
fn a_large_block_is_read_once() {
    let (chain, disk) = (Chain::new(), Disk::new(1_024));
    let (ledger, _) = chain.open(&disk).unwrap();
    ledger.append(&[chain.real_block(&ledger.head(), &*ledger.nodes(), 6_000)]).unwrap();
    while ledger.flush_step().unwrap() {}
    let read = || ledger.block_by_number(BlockNumber(1)).unwrap().unwrap();
    assert!(Arc::ptr_eq(&read(), &read()));
}

#[test]
fn blocks_are_found_before_and_after_flushing() {
    let (chain, disk) = (Chain::new(), Disk::new(1_024));
    let (ledger, _) = chain.open(&disk).unwrap();
    let mut blocks = Vec::new();
    for count in [3, 0, 2] {
        let block = chain.real_block(&ledger.head(), &*ledger.nodes(), count);
        ledger.append(std::slice::from_ref(&block)).unwrap();
        blocks.push(block);
    }
    let check = |ledger: &Ledger| {
        for block in &blocks {
            let number = BlockNumber(block.executed.block.header.number);
            let stored = ledger.block_by_number(number).unwrap().unwrap();
            assert_eq!(*stored, block.into());
            assert_eq!(ledger.block_by_hash(block.executed.hash).unwrap().unwrap(), stored);
            assert_eq!(ledger.certificate(number).unwrap().unwrap(), block.certificate);
            assert_eq!(ledger.head_by_number(number).unwrap().unwrap().header, block.executed.block.header);
            assert_eq!(ledger.block_hash(number).unwrap(), Some(block.executed.hash));
            assert_eq!(ledger.changes(number).unwrap().unwrap(), *block.executed.changes);
            for (index, transaction) in block.executed.block.transactions.iter().enumerate() {
                let place = ledger.transaction(transaction.hash()).unwrap().unwrap();
                assert_eq!((place.block, place.index), (number.0, u32::try_from(index).unwrap()));
            }
        }
        assert_eq!(ledger.block_by_number(BlockNumber(4)).unwrap(), None);
        assert_eq!(ledger.block_hash(BlockNumber(4)).unwrap(), None);
        assert!(!ledger.is_known_transaction(B256::repeat_byte(1)).unwrap());
        let latest = ledger.state_at(BlockNumber(3)).unwrap();
        assert_eq!(latest.block_hash(2).unwrap(), blocks[1].executed.hash);
        assert_eq!(latest.storage(COUNTER, U256::ZERO).unwrap(), U256::from(5));
    };
    check(&ledger);
    ledger.flush_step().unwrap();
    check(&ledger);
    drop(ledger);
    check(&chain.open(&disk).unwrap().0);
}

#[test]
fn logs_are_found_within_limits() {
    let (chain, disk) = (Chain::new(), Disk::new(1_024));
    let (ledger, _) = chain.open(&disk).unwrap();
    for count in [3, 0, 2] {
        ledger.append(&[chain.real_block(&ledger.head(), &*ledger.nodes(), count)]).unwrap();
    }
    let search = |from, to, filter: &LogFilter, limits| ledger.logs(BlockNumber(from), BlockNumber(to), filter, limits);
    let topic = B256::from(U256::from(7));
    let by_topic = LogFilter { topics: [vec![topic], vec![], vec![], vec![]], ..LogFilter::default() };
    let found = search(0, 9, &by_topic, LIMITS).unwrap();
    let places: Vec<_> = found.iter().map(|log| (log.block.0, log.transaction_index, log.log_index)).collect();
    assert_eq!(places, [(1, 0, 0), (1, 1, 1), (1, 2, 2), (3, 0, 0), (3, 1, 1)]);
    assert_eq!(search(2, 3, &LogFilter { addresses: vec![COUNTER], ..by_topic.clone() }, LIMITS).unwrap().len(), 2);
    let elsewhere = LogFilter { addresses: vec![Address::ZERO], ..by_topic.clone() };
    assert_eq!(search(0, 3, &elsewhere, LIMITS).unwrap(), []);
    let two_topics = LogFilter { topics: [vec![], vec![topic], vec![], vec![]], ..LogFilter::default() };
    assert_eq!(search(0, 3, &two_topics, LIMITS).unwrap(), [], "the logs have one topic");
    assert!(matches!(search(0, 100, &by_topic, LIMITS), Err(LogScanError::RangeTooLarge { asked: 101, .. })));
    assert!(matches!(search(3, 2, &by_topic, LIMITS), Err(LogScanError::Backwards { .. })));
    let few = LogLimits { results_max: 4, ..LIMITS };
    let error = search(0, 3, &by_topic, few).unwrap_err();
    assert_eq!(error.to_string(), "query returned more than 4 results; try with the block range [0, 2]");
}

#[test]
fn past_states_have_proofs() {
    let (chain, disk) = (Chain::new(), Disk::new(1_024));
    let (ledger, _) = chain.open(&disk).unwrap();
    // What a flush writes replaces in part what the one before has written.
    for _ in 0..3 {
        extend(&chain, &ledger, 3);
        ledger.flush_step().unwrap();
    }
    extend(&chain, &ledger, 3);
    let slots = [U256::ZERO, U256::from(1), U256::from(9)];
    for number in 0..=12 {
        let root = ledger.head_by_number(BlockNumber(number)).unwrap().unwrap().header.state_root;
        let state = ledger.state_at(BlockNumber(number)).unwrap();
        for address in (1..8).map(Address::repeat_byte) {
            let proof = ledger.prove_at(BlockNumber(number), address, &slots).unwrap();
            let key = Nibbles::from(keccak256(address));
            let value = verify_proof(Hasher::Keccak, root, &key, &proof.proof).unwrap();
            let account = state.account(address).unwrap();
            assert_eq!(value.is_some(), account.is_some());
            assert_eq!(proof.account.map(|proven| proven.leaf.nonce), account.map(|account| account.nonce));
            for slot in &proof.storage {
                assert_eq!(slot.value, state.storage(address, slot.slot).unwrap());
                if let Some(account) = proof.account {
                    let key = Nibbles::from(keccak256(slot.slot.to_be_bytes::<32>()));
                    let value = verify_proof(Hasher::Keccak, account.storage_root, &key, &slot.proof).unwrap();
                    assert_eq!(value.is_some(), !slot.value.is_zero());
                }
            }
        }
    }
}

#[test]
fn old_states_are_dropped_and_the_error_names_the_oldest() {
    let (chain, disk) = (Chain::new(), Disk::new(5));
    let (ledger, _) = chain.open(&disk).unwrap();
    let held = ledger.state_at(BlockNumber(0)).unwrap();
    for _ in 0..4 {
        extend(&chain, &ledger, 5);
        ledger.flush_step().unwrap();
    }
    let error = |number| match ledger.state_at(BlockNumber(number)) {
        Err(error) => error,
        Ok(_) => panic!("the state of {number} is kept"),
    };
    let too_old = HistoryError::TooOld { asked: BlockNumber(15), oldest: BlockNumber(16) };
    assert_eq!(error(15), too_old);
    assert_eq!(too_old.to_string(), "state of block 15 is not kept: the oldest kept block is 16");
    assert_eq!(error(21), HistoryError::Future { asked: BlockNumber(21), newest: BlockNumber(20) });
    assert!(matches!(ledger.prove_at(BlockNumber(3), COUNTER, &[]), Err(LedgerError::History(_))));
    for number in 16..=20 {
        assert_eq!(
            ledger.state_at(BlockNumber(number)).unwrap().account(Address::repeat_byte(1)).unwrap(),
            Some(account(number / 5 * 5)),
        );
    }
    assert!(held.account(Address::repeat_byte(1)).is_err(), "a state that has been dropped must not answer");
}

#[test]
fn deleted_accounts_lose_their_storage_and_past_states_keep_it() {
    let (chain, disk) = (Chain::new(), Disk::new(1_024));
    let (ledger, _) = chain.open(&disk).unwrap();
    let address = Address::repeat_byte(9);
    let append = |changes| {
        let block = chain.block(&ledger.head().parent, &*ledger.nodes(), changes);
        ledger.append(&[block]).unwrap();
    };
    let only = |account, storage_cleared, slots: &[(u64, u64)]| {
        let storage = slots.iter().map(|(slot, value)| (U256::from(*slot), U256::from(*value))).collect();
        let change = AccountChange { account, storage_cleared, storage };
        StateChanges { accounts: BTreeMap::from([(address, change)]), ..StateChanges::default() }
    };
    append(change(address, 1, &[(1, 11), (2, 12)]));
    ledger.flush_step().unwrap();
    append(change(address, 2, &[(3, 13)]));
    append(only(Some(account(3)), true, &[(2, 22)]));
    append(only(None, true, &[]));
    append(change(address, 5, &[(1, 31)]));
    let check = || {
        let expected: [(Option<AccountState>, [u64; 3]); 6] = [
            (None, [0, 0, 0]),
            (Some(account(1)), [11, 12, 0]),
            (Some(account(2)), [11, 12, 13]),
            (Some(account(3)), [0, 22, 0]),
            (None, [0, 0, 0]),
            (Some(account(5)), [31, 0, 0]),
        ];
        for (number, (account, slots)) in (0..).zip(expected) {
            let state = ledger.state_at(BlockNumber(number)).unwrap();
            assert_eq!(state.account(address).unwrap(), account, "after {number}");
            for (slot, value) in (1..).zip(slots) {
                let found = state.storage(address, U256::from(slot)).unwrap();
                assert_eq!(found, U256::from(value), "slot {slot} after {number}");
            }
        }
    };
    check();
    ledger.flush_step().unwrap();
    check();
}

#[test]
fn refuses_what_does_not_follow_and_changes_nothing() {
    let (chain, disk) = (Chain::new(), Disk::new(1_024));
    let (ledger, _) = chain.open(&disk).unwrap();
    extend(&chain, &ledger, 1);
    let parent = ledger.head().parent.clone();
    let good = chain.block(&parent, &*ledger.nodes(), change(COUNTER, 2, &[]));
    let mut other_certificate = good.clone();
    other_certificate.certificate = chain.certificate(2, good.executed.digest, B256::ZERO);
    let mut unsigned = good.clone();
    Arc::make_mut(&mut unsigned.certificate).signatures.clear();
    let mut other_trie = good.clone();
    other_trie.executed.trie = parent.trie.clone();
    type Case = (FinalBlock, fn(&LedgerError) -> bool);
    let cases: [Case; 3] = [
        (other_certificate, |error| matches!(error, LedgerError::WrongCertificate { .. })),
        (unsigned, |error| matches!(error, LedgerError::WrongCertificate { .. })),
        (other_trie, |error| matches!(error, LedgerError::StateRoot { .. })),
    ];
    for (block, expected) in cases {
        let error = ledger.append(&[block]).unwrap_err();
        assert!(expected(&error), "{error}");
    }
    let files = disk.storage.files();
    assert!(matches!(ledger.append(&[good.clone(), good.clone()]), Err(LedgerError::NotNext { .. })));
    assert_eq!(disk.storage.files(), files);
    ledger.append(std::slice::from_ref(&good)).unwrap();
    assert!(matches!(ledger.append(&[good]), Err(LedgerError::NotNext { .. })));
    let mut orphan = parent.clone();
    orphan.header.number += 1;
    let orphan = chain.block(&orphan, &*ledger.nodes(), change(COUNTER, 2, &[]));
    assert!(matches!(ledger.append(&[orphan]), Err(LedgerError::WrongParent { .. })));
}

#[test]
fn failing_disks_stop_the_ledger_and_lose_nothing_acknowledged() {
    for fault in [Fault::SyncFails { after: 0 }, Fault::DiskFull { free: 700 }] {
        let (chain, disk) = (Chain::new(), Disk::new(1_024));
        let (ledger, _) = chain.open(&disk).unwrap();
        extend(&chain, &ledger, 3);
        disk.storage.inject(fault.clone());
        let block = chain.block(&ledger.head().parent, &*ledger.nodes(), change(COUNTER, 2, &[]));
        let first = ledger.append(std::slice::from_ref(&block)).unwrap_err();
        disk.storage.heal();
        match ledger.append(&[block]) {
            Err(LedgerError::Stopped { reason }) => assert_eq!(reason, first.to_string()),
            other => panic!("{other:?}"),
        }
        assert!(ledger.flush_step().is_err());
        assert_eq!(ledger.head().number, BlockNumber(3));
        drop(ledger);
        disk.storage.crash(|_, unsynced| Crash { kept: unsynced / 2, zeroed: 0 });
        let (ledger, recovery) = chain.open(&disk).unwrap();
        assert!(matches!(recovery.tail, Tail::Cut { .. }), "{fault:?}: {recovery:?}");
        assert_extended(&ledger, 3);
        extend(&chain, &ledger, 3);
        assert_extended(&ledger, 6);
    }
}

#[test]
fn a_view_that_cannot_be_used_is_built_again() {
    let (chain, mut disk) = (Chain::new(), Disk::new(1_024));
    let (ledger, _) = chain.open(&disk).unwrap();
    extend(&chain, &ledger, 7);
    let short = disk.storage.copy();
    extend(&chain, &ledger, 7);
    ledger.flush_step().unwrap();
    drop(ledger);

    // Ahead of the log: the log lost blocks that the view has.
    let ahead = Disk { storage: short, view: Arc::new(disk.view.copy()), history: 1_024 };
    let (ledger, recovery) = chain.open(&ahead).unwrap();
    assert!(matches!(&recovery.view, ViewRecovery::Rebuilt(reason) if reason.contains("not in the log")));
    assert_eq!((recovery.replayed, recovery.head), (8, BlockNumber(7)));
    assert_extended(&ledger, 7);
    extend(&chain, &ledger, 4);
    ledger.flush_step().unwrap();
    assert_extended(&ledger, 11);
    drop(ledger);

    // Marked as wrong by whoever found out.
    let (ledger, recovery) = chain.open(&disk).unwrap();
    assert_eq!(recovery.view, ViewRecovery::Usable);
    ledger.distrust_view("a node of the trie has another hash");
    assert!(matches!(ledger.append(&[]), Err(LedgerError::Stopped { .. })));
    drop(ledger);
    let (ledger, recovery) = chain.open(&disk).unwrap();
    assert_eq!(recovery.view, ViewRecovery::Rebuilt("a node of the trie has another hash".to_owned()));
    assert_extended(&ledger, 14);
    drop(ledger);
    assert_eq!(chain.open(&disk).unwrap().1.view, ViewRecovery::Rebuilt("it is empty".to_owned()));

    // Gone.
    disk.view = Arc::new(MemoryView::new());
    let (ledger, recovery) = chain.open(&disk).unwrap();
    assert_eq!(recovery.replayed, 15);
    assert_extended(&ledger, 14);
}

/// The log lost blocks and got others, of the same size, in their place: the place alone proves nothing.
#[test]
fn a_view_of_other_blocks_is_built_again() {
    let (chain, disk) = (Chain::new(), Disk::new(1_024));
    let (ledger, _) = chain.open(&disk).unwrap();
    extend(&chain, &ledger, 2);
    let other = Disk { storage: disk.storage.copy(), view: Arc::default(), history: 1_024 };
    let append = |ledger: &Ledger, nonce| {
        let changes = change(COUNTER, nonce, &[(1, nonce)]);
        ledger.append(&[chain.block(&ledger.head().parent, &*ledger.nodes(), changes)]).unwrap();
    };
    append(&ledger, 7);
    ledger.flush_step().unwrap();
    drop(ledger);
    let (ledger, _) = chain.open(&other).unwrap();
    append(&ledger, 8);
    drop(ledger);
    assert_eq!(disk.storage.files()[0], other.storage.files()[0]);

    let mixed = Disk { storage: other.storage, view: Arc::clone(&disk.view), history: 1_024 };
    let (ledger, recovery) = chain.open(&mixed).unwrap();
    assert!(matches!(recovery.view, ViewRecovery::Rebuilt(_)), "{recovery:?}");
    assert_eq!(ledger.head().parent.state.account(COUNTER).unwrap(), Some(account(8)));
}

#[test]
fn a_missing_log_is_not_taken_for_a_new_chain() {
    let (chain, disk) = (Chain::new(), Disk::new(1_024));
    let (ledger, _) = chain.open(&disk).unwrap();
    extend(&chain, &ledger, 2);
    ledger.flush_step().unwrap();
    drop(ledger);
    for (path, _) in disk.storage.files().iter().filter(|(path, _)| path.starts_with("/ledger/blocks")) {
        disk.storage.remove(path).unwrap();
    }
    assert!(matches!(chain.open(&disk), Err(LedgerError::LogMissing { height: BlockNumber(2), .. })));
}

#[test]
fn one_process_and_one_chain_per_folder() {
    let (chain, disk) = (Chain::new(), Disk::new(1_024));
    let (ledger, _) = chain.open(&disk).unwrap();
    let error = chain.open(&disk).map(|_| ()).unwrap_err();
    assert_eq!(error.to_string(), "/ledger is in use by another process; stop it first");
    drop(ledger);
    let other = Chain::with_id(7);
    let error = other.open(&disk).map(|_| ()).unwrap_err().to_string();
    let digests = [&chain, &other].map(|chain| SUITE.genesis_digest(&chain.genesis).to_string());
    assert!(digests.iter().all(|digest| error.contains(digest)), "{error}");
    disk.storage.remove(&PathBuf::from("/ledger/chain.json")).unwrap();
    assert!(matches!(chain.open(&disk), Err(LedgerError::NoIdentity { .. })));
}

#[test]
fn damage_in_the_log_is_refused_at_replay() {
    let (chain, mut disk) = (Chain::new(), Disk::new(1_024));
    let (ledger, _) = chain.open(&disk).unwrap();
    extend(&chain, &ledger, 3);
    drop(ledger);
    let path = PathBuf::from("/ledger/blocks/0000000000.log");
    assert!(disk.storage.rot(&path, 600, 1));
    disk.view = Arc::default();
    let error = chain.open(&disk).map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("0000000000.log is damaged at byte 52"), "{error}");
}

#[test]
fn on_real_files_with_the_background_thread() {
    let folder = tempfile::tempdir().unwrap();
    let chain = Chain::new();
    let storage: Arc<dyn Storage> = Arc::new(FileStorage);
    let config = LedgerConfig { history: HistoryDepth::Blocks(64), ..LedgerConfig::new(folder.path().join("group0")) };
    let open = || Ledger::open(config.clone(), Arc::clone(&storage), SUITE, &chain.genesis, chain.group());
    let (ledger, _) = open().unwrap();
    let flusher = ledger.start_flusher().unwrap();
    extend(&chain, &ledger, 150);
    assert!(matches!(open(), Err(LedgerError::Locked { .. })));
    drop(flusher);
    assert_eq!(ledger.flushed(), BlockNumber(150));
    drop(ledger);

    let (ledger, recovery) = open().unwrap();
    assert_eq!((recovery.view, recovery.replayed), (ViewRecovery::Usable, 0));
    let check = |ledger: &Ledger| {
        for number in 87..=150u64 {
            let address = Address::repeat_byte(u8::try_from(number % 5).unwrap() + 1);
            let state = ledger.state_at(BlockNumber(number)).unwrap();
            assert_eq!(state.account(address).unwrap(), Some(account(number)));
            let proof = ledger.prove_at(BlockNumber(number), address, &[U256::ZERO]).unwrap();
            assert_eq!(proof.storage[0].value, state.storage(address, U256::ZERO).unwrap());
        }
        assert!(ledger.state_at(BlockNumber(86)).is_err());
    };
    check(&ledger);
    drop(ledger);

    std::fs::remove_dir_all(config.folder.join("view")).unwrap();
    let (ledger, recovery) = open().unwrap();
    assert_eq!((recovery.view, recovery.replayed), (ViewRecovery::Rebuilt("it is empty".to_owned()), 151));
    check(&ledger);
    extend(&chain, &ledger, 1);
}

#[test]
fn codes_are_kept() {
    let (chain, disk) = (Chain::new(), Disk::new(4));
    let (ledger, _) = chain.open(&disk).unwrap();
    let code = Bytes::from_static(b"code");
    let hash = keccak256(&code);
    let mut changes = change(COUNTER, 1, &[]);
    changes.codes.insert(hash, code.clone());
    ledger.append(&[chain.block(&ledger.head().parent, &*ledger.nodes(), changes)]).unwrap();
    assert_eq!(ledger.head().parent.state.code(hash).unwrap(), code);
    ledger.flush_step().unwrap();
    assert_eq!(ledger.head().parent.state.code(hash).unwrap(), code);
    assert!(ledger.head().parent.state.code(B256::repeat_byte(1)).is_err());
}

/// Readers of every kept state while blocks are appended and flushed: nobody ever sees a value of another height.
#[test]
fn readers_see_one_height_while_the_chain_moves() {
    const BLOCKS: u64 = 400;
    let (chain, disk) = (Chain::new(), Disk::new(32));
    let (ledger, _) = chain.open(&disk).unwrap();
    let flusher = ledger.start_flusher().unwrap();
    let seen = std::thread::scope(|scope| {
        let reader = |seed: u64| {
            let ledger = &ledger;
            move || {
                let (mut seen, mut turn) = (0u64, seed);
                while ledger.head().number.0 < BLOCKS || seen < 200 {
                    turn = turn.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    let newest = ledger.head().number.0;
                    let Ok(state) = ledger.state_at(BlockNumber(newest.saturating_sub((turn >> 40) % 34))) else {
                        continue;
                    };
                    let number = newest.saturating_sub((turn >> 40) % 34);
                    let address = Address::repeat_byte(u8::try_from(turn >> 60).unwrap() % 5 + 1);
                    // Whoever falls out of the kept history meanwhile gets an error, never another height's value.
                    let (Ok(found), Ok(slot)) = (state.account(address), state.storage(address, U256::ZERO)) else {
                        continue;
                    };
                    let last =
                        (1..=number).rev().find(|n| Address::repeat_byte(u8::try_from(n % 5).unwrap() + 1) == address);
                    assert_eq!(found, last.map(account), "{address} after {number}");
                    let expected = last.map_or(0, |last| if last % 3 == 0 { last * 7 } else { last });
                    assert_eq!(slot, U256::from(expected), "{address} after {number}");
                    seen += 1;
                }
                seen
            }
        };
        let readers: Vec<_> = (0..3).map(|seed| scope.spawn(reader(seed))).collect();
        for _ in 0..BLOCKS / 4 {
            extend(&chain, &ledger, 4);
            ledger.flush_step().unwrap();
        }
        readers.into_iter().map(|reader| reader.join().unwrap()).sum::<u64>()
    });
    assert!(seen >= 600, "{seen}");
    drop(flusher);
}

#[test]
fn past_states_take_bounded_space() {
    let (chain, disk) = (Chain::new(), Disk::new(3));
    let (ledger, _) = chain.open(&disk).unwrap();
    let segments = || {
        let files = disk.storage.files();
        files
            .into_iter()
            .filter(|(path, _)| path.starts_with("/ledger/history"))
            .map(|(_, size)| size)
            .collect::<Vec<_>>()
    };
    let mut most = 0;
    for number in 1..40u64 {
        let slots: Vec<_> = (0..4_000).map(|slot| (slot, slot + number)).collect();
        let block = chain.block(&ledger.head().parent, &*ledger.nodes(), change(COUNTER, number, &slots));
        ledger.append(&[block]).unwrap();
        ledger.flush_step().unwrap();
        most = most.max(segments().len());
    }
    let names: Vec<_> = disk.storage.files().into_iter().map(|(path, _)| path).collect();
    assert!(!names.contains(&PathBuf::from("/ledger/history/0000000000.log")), "{names:?}");
    assert!(most <= 3 && segments().iter().sum::<u64>() < 48 << 20, "{most} {:?}", segments());
    for number in 37..40 {
        let state = ledger.state_at(BlockNumber(number)).unwrap();
        assert_eq!(state.storage(COUNTER, U256::from(5)).unwrap(), U256::from(5 + number));
    }
    drop(ledger);
    let (ledger, _) = chain.open(&disk).unwrap();
    assert_eq!(ledger.state_at(BlockNumber(37)).unwrap().storage(COUNTER, U256::ZERO).unwrap(), U256::from(37));
}
