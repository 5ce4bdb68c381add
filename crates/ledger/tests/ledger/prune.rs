//! Ledgers that let go of old blocks: what they keep, what they say of the rest, and power lost on the way.

use crate::chain::{COUNTER, Chain, Disk, SUITE};
use crate::snapshots::{folder, of, with_every_failure};
use alloy_primitives::{Address, U256};
use lian_ledger::{
    Key, Ledger, LedgerConfig, LogFilter, LogLimits, LogScanError, MemoryView, Report, Storage, View, verify,
    verify_snapshot,
};
use lian_types::BlockNumber;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const LIMITS: LogLimits = LogLimits { blocks_max: 1_000, results_max: 10_000 };

/// A configuration that keeps three blocks or a little more.
fn pruning(disk: &Disk, archive: bool) -> LedgerConfig {
    LedgerConfig {
        // Two or three blocks.
        segment_bytes: 4_000,
        keep_blocks: Some(3),
        archive: archive.then(|| PathBuf::from("/archive")),
        ..disk.config()
    }
}

fn open(chain: &Chain, disk: &Disk, config: LedgerConfig) -> Arc<Ledger> {
    let storage: Arc<dyn Storage> = Arc::new(disk.storage.clone());
    Ledger::open(config, storage, SUITE, &chain.genesis, chain.group()).unwrap().0
}

fn check(chain: &Chain, disk: &Disk, config: &LedgerConfig) -> Report {
    let storage: Arc<dyn Storage> = Arc::new(disk.storage.clone());
    verify(config, &storage, SUITE, &chain.genesis, chain.group(), &mut |_| {}).unwrap()
}

/// Twenty blocks of two calls each, all flushed, with snapshots at 14 and 17.
fn setup(archive: bool) -> (Chain, Disk, LedgerConfig, Arc<Ledger>) {
    let (chain, disk) = (Chain::new(), Disk::new(1_024));
    let config = pruning(&disk, archive);
    let ledger = open(&chain, &disk, config.clone());
    for number in 1..=20 {
        let block = chain.real_block(&ledger.head(), &*ledger.nodes(), 2);
        ledger.append(&[block]).unwrap();
        if [14, 17].contains(&number) {
            ledger.write_snapshot(&ledger.freeze().unwrap(), &ledger.snapshots()).unwrap();
        }
    }
    while ledger.flush_step().unwrap() {}
    (chain, disk, config, ledger)
}

#[test]
fn a_pruned_ledger_answers_and_proves_what_it_keeps_and_names_what_it_lacks() {
    let (chain, disk, config, ledger) = setup(false);
    let hashes: Vec<_> = (0..=20).map(|number| ledger.block_hash(BlockNumber(number)).unwrap().unwrap()).collect();
    let old = ledger.block_by_number(BlockNumber(3)).unwrap().unwrap().block.transactions[0].hash();
    let certificates: Vec<_> = (0..=20).map(|number| ledger.certificate(BlockNumber(number)).unwrap()).collect();
    assert!(ledger.prune().unwrap());
    assert!(!ledger.prune().unwrap(), "there is nothing more to prune");
    let oldest = ledger.oldest_block();
    assert!(oldest > BlockNumber(8) && oldest <= BlockNumber(14), "the older snapshot needs what follows it: {oldest}");

    let verify_kept = |ledger: &Ledger| {
        for number in 0..=20 {
            let number = BlockNumber(number);
            let at = usize::try_from(number.0).unwrap();
            let block = ledger.block_by_number(number).unwrap();
            assert_eq!(block.is_some(), number >= oldest || number.0 == 0, "{number}");
            assert_eq!(ledger.head_by_number(number).unwrap().unwrap().hash, hashes[at]);
            assert_eq!(ledger.number_of(hashes[at]).unwrap(), Some(number));
            assert_eq!(ledger.certificate(number).unwrap(), certificates[at]);
            assert_eq!(ledger.certified_header(number).unwrap().unwrap().certificate.block_hash, hashes[at]);
        }
        assert_eq!(ledger.transaction(old).unwrap(), None);
        assert_eq!(ledger.certified_header(BlockNumber(21)).unwrap(), None);
        // Headers say which blocks may have a log: in one that is pruned it cannot be told.
        let filter = LogFilter { addresses: vec![COUNTER], ..LogFilter::default() };
        let found = ledger.logs(oldest, BlockNumber(20), &filter, LIMITS).unwrap();
        assert_eq!(found.len() as u64, 2 * (21 - oldest.0));
        let error = ledger.logs(BlockNumber(3), BlockNumber(20), &filter, LIMITS).unwrap_err();
        assert!(matches!(error, LogScanError::Pruned { block: BlockNumber(3), .. }), "{error}");
        let other = LogFilter { addresses: vec![Address::repeat_byte(0x77)], ..LogFilter::default() };
        assert_eq!(ledger.logs(BlockNumber(0), BlockNumber(20), &other, LIMITS).unwrap(), []);
        // States have a depth of their own.
        let proof = ledger.prove_at(BlockNumber(20), COUNTER, &[U256::ZERO]).unwrap();
        assert_eq!(proof.storage[0].value, U256::from(40));
    };
    verify_kept(&ledger);
    drop(ledger);
    let report = check(&chain, &disk, &config);
    assert_eq!(report.problems, []);
    assert_eq!((report.heads, report.blocks), (oldest.0, 21 - oldest.0));
    let ledger = open(&chain, &disk, config.clone());
    verify_kept(&ledger);
    drop(ledger);
    // The view is lost: what the snapshot and the logs have is enough.
    let lost = Disk { view: Arc::default(), ..disk };
    verify_kept(&open(&chain, &lost, LedgerConfig { view: lost.config().view, ..config }));
}

#[test]
fn archived_blocks_are_still_readable() {
    let (chain, disk, config, ledger) = setup(true);
    let blocks: Vec<_> = (0..=20).map(|number| ledger.block_by_number(BlockNumber(number)).unwrap().unwrap()).collect();
    assert!(ledger.prune().unwrap());
    let moved = disk.storage.list(Path::new("/archive")).unwrap();
    assert!(moved.len() > 2 && moved.iter().all(|name| name.ends_with(".log")), "{moved:?}");
    assert!(disk.storage.list(Path::new("/ledger/blocks")).unwrap().iter().all(|name| !moved.contains(name)));
    let all_readable = |ledger: &Ledger| {
        assert_eq!(ledger.oldest_block(), BlockNumber(0));
        for block in &blocks {
            assert_eq!(ledger.block_by_number(BlockNumber(block.number())).unwrap().as_ref(), Some(block));
            for transaction in &block.block.transactions {
                assert_eq!(ledger.transaction(transaction.hash()).unwrap().unwrap().block, block.number());
            }
        }
    };
    all_readable(&ledger);
    drop(ledger);
    let report = check(&chain, &disk, &config);
    assert_eq!((report.problems.as_slice(), report.blocks), (&[][..], 21));
    all_readable(&open(&chain, &disk, config.clone()));
    // The archive is not there, as a disk that is not mounted: its blocks count as pruned, and come back with it.
    let without = LedgerConfig { archive: Some("/elsewhere".into()), ..config.clone() };
    let ledger = open(&chain, &disk, without.clone());
    assert!(ledger.oldest_block() > BlockNumber(8));
    assert_eq!(ledger.block_by_number(BlockNumber(3)).unwrap(), None);
    assert_eq!(ledger.certificate(BlockNumber(3)).unwrap().unwrap(), blocks[3].certificate);
    drop(ledger);
    assert_eq!(check(&chain, &disk, &without).problems, []);
    all_readable(&open(&chain, &disk, config));
}

#[test]
fn nothing_is_pruned_that_rebuilding_needs() {
    let (chain, disk) = (Chain::new(), Disk::new(1_024));
    let ledger = open(&chain, &disk, pruning(&disk, false));
    for number in 1..=12 {
        let block = chain.real_block(&ledger.head(), &*ledger.nodes(), 2);
        ledger.append(&[block]).unwrap();
        while ledger.flush_step().unwrap() {}
        assert!(!ledger.prune().unwrap(), "{number}");
        if number == 6 {
            ledger.write_snapshot(&ledger.freeze().unwrap(), &ledger.snapshots()).unwrap();
        }
    }
    // One snapshot may be damaged; only with a second one does the log go, and back to the older one at most.
    ledger.write_snapshot(&ledger.freeze().unwrap(), &ledger.snapshots()).unwrap();
    assert!(ledger.prune().unwrap());
    assert!(ledger.oldest_block() <= BlockNumber(6));
    let newest = folder(&disk, "/ledger/snapshots").find(None).unwrap();
    drop(ledger);
    // The newer snapshot rots: the older one serves.
    let chunk = disk.storage.files().into_iter().rfind(|(path, _)| path.extension().is_some_and(|e| e == "chunk"));
    assert!(disk.storage.rot(&chunk.unwrap().0, 40, 1));
    let lost = Disk { view: Arc::default(), ..disk };
    assert!(
        verify_snapshot(of(&chain), &folder(&lost, "/ledger/snapshots"), newest, &MemoryView::new(), &mut |_| {})
            .is_err()
    );
    let ledger = open(&chain, &lost, pruning(&lost, false));
    assert_eq!(ledger.head().number, BlockNumber(12));
    let lost_place = lost.view.get(&Key::block(12)).unwrap();
    assert_eq!(lost_place, None, "block 12 was replayed and is not flushed yet");
}

#[test]
fn power_lost_while_pruning_loses_nothing() {
    for archive in [false, true] {
        let (chain, disk, config, ledger) = setup(archive);
        let head = ledger.head().hash;
        drop(ledger);
        let with_view = |disk: &Disk| LedgerConfig { view: disk.config().view, ..config.clone() };
        let prune = |disk: &Disk| {
            let storage: Arc<dyn Storage> = Arc::new(disk.storage.clone());
            let opened = Ledger::open(with_view(disk), storage, SUITE, &chain.genesis, chain.group());
            opened.is_ok_and(|(ledger, _)| ledger.prune().is_ok())
        };
        with_every_failure(&disk, prune, |disk| {
            let ledger = open(&chain, disk, with_view(disk));
            assert_eq!(ledger.head().hash, head);
            for number in 0..=20 {
                assert!(ledger.certified_header(BlockNumber(number)).unwrap().is_some(), "{number}");
            }
            ledger.prune().unwrap();
            for number in ledger.oldest_block().0..=20 {
                assert!(ledger.block_by_number(BlockNumber(number)).unwrap().is_some(), "{number}");
            }
            drop(ledger);
            assert_eq!(check(&chain, disk, &with_view(disk)).problems, []);
        });
    }
}
