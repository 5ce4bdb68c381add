//! Planted damage of each kind must be found.

use crate::chain::{COUNTER, Chain, Disk, SUITE};
use alloy_primitives::{Address, Bytes, U256};
use lian_ledger::{
    Entry, FinalBlock, Key, LedgerError, Log, LogOptions, MemoryStorage, Report, Storage, Tail, View, verify,
};
use lian_types::{BlockNumber, Signature};
use std::path::PathBuf;
use std::sync::Arc;

fn check(chain: &Chain, disk: &Disk) -> Result<Report, LedgerError> {
    let storage: Arc<dyn Storage> = Arc::new(disk.storage.clone());
    let mut last = 0;
    let report = verify(&disk.config(), &storage, SUITE, &chain.genesis, chain.group(), &mut |progress| {
        assert_eq!(progress.blocks, last + 1);
        last += 1;
    })?;
    assert_eq!(report.blocks, last);
    Ok(report)
}

/// Three blocks, two of them flushed.
fn setup() -> (Chain, Disk, Vec<FinalBlock>) {
    let (chain, disk) = (Chain::new(), Disk::new(1_024));
    let (ledger, _) = chain.open(&disk).unwrap();
    let mut blocks = Vec::new();
    for count in [3, 2, 4] {
        let block = chain.real_block(&ledger.head(), &*ledger.nodes(), count);
        ledger.append(std::slice::from_ref(&block)).unwrap();
        blocks.push(block);
        if blocks.len() == 2 {
            ledger.flush_step().unwrap();
        }
    }
    (chain, disk, blocks)
}

#[test]
fn a_sound_ledger_is_sound() {
    let (chain, disk, blocks) = setup();
    let before = disk.storage.files();
    let report = check(&chain, &disk).unwrap();
    assert_eq!(report.problems, []);
    assert_eq!((report.head, report.blocks, report.transactions), (Some(BlockNumber(3)), 4, 9));
    assert_eq!((report.view, report.tail), (Some(BlockNumber(2)), Tail::Whole));
    assert_eq!(report.hash, blocks[2].executed.hash);
    assert_eq!(disk.storage.files(), before, "nothing is changed");
}

#[test]
fn flipped_bits_are_found_anywhere() {
    let (chain, disk, _) = setup();
    let path = PathBuf::from("/ledger/blocks/0000000000.log");
    let (_, end) = disk.storage.files().into_iter().find(|(other, _)| *other == path).unwrap();
    for at in (0..end).step_by(97) {
        let copy = Disk { storage: disk.storage.copy(), ..disk.clone() };
        assert!(copy.storage.rot(&path, at, 0x40));
        let report = check(&chain, &copy).unwrap();
        // Damage in the last record looks like a torn end: it is not cut, and the report says so.
        assert!(!report.is_sound() || matches!(report.tail, Tail::Cut { .. }), "byte {at}");
    }
}

/// The log with block 2 replaced, all checksums right.
fn with_second(disk: &Disk, blocks: &[FinalBlock], genesis: &[u8], second: &FinalBlock) -> Disk {
    let storage = MemoryStorage::new();
    let shared: Arc<dyn Storage> = Arc::new(storage.clone());
    let identity = disk.storage.open(&PathBuf::from("/ledger/chain.json")).unwrap();
    let mut bytes = vec![0; usize::try_from(identity.len().unwrap()).unwrap()];
    identity.read_at(0, &mut bytes).unwrap();
    storage.create(&PathBuf::from("/ledger/chain.json")).unwrap().append(&bytes).unwrap();
    let log = Log::open(shared, block_log_options()).unwrap().0;
    let records =
        [genesis.to_vec(), blocks[0].record().unwrap(), second.record().unwrap(), blocks[2].record().unwrap()];
    for (height, payload) in (0..).zip(&records) {
        log.append(&[Entry { kind: 1, height, payload }]).unwrap();
    }
    Disk { storage, view: Arc::default(), history: disk.history }
}

fn block_log_options() -> LogOptions {
    LogOptions {
        folder: "/ledger/blocks".into(),
        purpose: *b"blocks\0\0",
        segment_bytes: 1 << 26,
        durability: lian_ledger::Durability::EveryAppend,
    }
}

#[test]
fn content_that_contradicts_itself_is_found() {
    let (chain, disk, blocks) = setup();
    let shared: Arc<dyn Storage> = Arc::new(disk.storage.clone());
    let log = Arc::new(Log::open_read_only(shared, block_log_options()).unwrap().0);
    let genesis = log.cursor().next().unwrap().unwrap().1.into_payload();
    let same = with_second(&disk, &blocks, &genesis, &blocks[1]);
    assert_eq!(check(&chain, &same).unwrap().problems, [], "without a change nothing is found");

    type Change = fn(&mut FinalBlock);
    let cases: [(&str, Change); 11] = [
        ("certificate: signature does not match", |block| {
            Arc::make_mut(&mut block.certificate).signatures[1].signature = Signature([7; 64]);
        }),
        ("certificate has 2 signatures, a quorum is 3", |block| {
            Arc::make_mut(&mut block.certificate).signatures.pop();
        }),
        ("is not about this block", |block| Arc::make_mut(&mut block.certificate).height = BlockNumber(9)),
        ("its receipts do not have the root", |block| {
            Arc::make_mut(&mut block.executed.receipts)[0].success = false;
        }),
        ("executing it again gives other receipts", |block| {
            // Not part of what the root covers.
            Arc::make_mut(&mut block.executed.receipts)[1].gas_used += 1;
        }),
        ("its recorded changes give state root", |block| {
            let changes = Arc::make_mut(&mut block.executed.changes);
            changes.accounts.get_mut(&COUNTER).unwrap().storage.insert(U256::ZERO, U256::from(99));
        }),
        ("executing it again gives other changes", |block| {
            Arc::make_mut(&mut block.executed.changes).codes.insert(Default::default(), Bytes::from_static(b"x"));
        }),
        ("was sent by", |block| Arc::make_mut(&mut block.executed.senders)[0] = Address::ZERO),
        ("its transactions do not have the root", |block| {
            Arc::make_mut(&mut block.executed.block).transactions.swap(0, 1);
        }),
        ("its extension does not have the digest", |block| {
            Arc::make_mut(&mut block.executed.block).extension.time.0 += 1;
        }),
        ("its header has hash", |block| Arc::make_mut(&mut block.executed.block).header.gas_used += 1),
    ];
    for (expected, change) in cases {
        let mut second = blocks[1].clone();
        change(&mut second);
        let report = check(&chain, &with_second(&disk, &blocks, &genesis, &second)).unwrap();
        let texts: Vec<_> = report.problems.iter().map(ToString::to_string).collect();
        let wanted = |text: &&String| text.contains(expected) && text.starts_with("block 2: ");
        assert!(texts.iter().any(|text| wanted(&text)), "{expected}: {texts:#?}");
    }
}

#[test]
fn a_wrong_view_is_found() {
    let (chain, disk, blocks) = setup();
    let transaction = blocks[0].executed.block.transactions[0].hash();
    let cases = [
        ("another account", Key::account(COUNTER), Some(Bytes::from_static(b"x"))),
        ("accounts, the log gives", Key::account(COUNTER), None),
        ("accounts, the log gives", Key::account(Address::repeat_byte(0x77)), Some(Bytes::from_static(b"x"))),
        ("slot 0", Key::storage(COUNTER, U256::ZERO), Some(Bytes::from_static(&[99]))),
        ("storage slots", Key::storage(COUNTER, U256::from(5)), Some(Bytes::from_static(&[1]))),
        ("the view's trie", Key::node(None, &lian_trie::Nibbles::EMPTY), None),
        ("place and hash", Key::block(1), None),
        ("by its hash", Key::hash(blocks[0].executed.hash), None),
        ("the place of transaction", Key::transaction(transaction), None),
    ];
    for (expected, key, value) in cases {
        let view = disk.view.copy();
        view.commit(vec![(key, value)]).unwrap();
        let report = check(&chain, &Disk { view: Arc::new(view), ..disk.clone() }).unwrap();
        let texts: Vec<_> = report.problems.iter().map(ToString::to_string).collect();
        assert!(texts.iter().any(|text| text.contains(expected)), "{expected}: {texts:#?}");
    }
}

#[test]
fn damaged_past_states_and_votes_are_found() {
    let (chain, disk, _) = setup();
    let path = PathBuf::from("/ledger/history/0000000000.log");
    assert!(disk.storage.rot(&path, 10, 1));
    let report = check(&chain, &disk).unwrap();
    assert!(report.problems[0].to_string().starts_with("past states: "), "{:?}", report.problems);
}

#[test]
fn refuses_folders_that_are_open_or_have_no_ledger() {
    let (chain, disk, _) = setup();
    let (ledger, _) = chain.open(&disk).unwrap();
    assert!(matches!(check(&chain, &disk), Err(LedgerError::Locked { .. })));
    drop(ledger);
    assert!(matches!(check(&Chain::with_id(7), &disk), Err(LedgerError::WrongChain { .. })));
    assert!(matches!(check(&chain, &Disk::new(1)), Err(LedgerError::NoIdentity { .. })));
}
