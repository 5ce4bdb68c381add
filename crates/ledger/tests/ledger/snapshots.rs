//! Snapshots: made from a running ledger, checked, and begun with.

use crate::chain::{COUNTER, Chain, Disk, SUITE, extend};
use alloy_primitives::{Address, B256, U256};
use lian_crypto::EpochMembers;
use lian_ledger::{
    CertifiedHeader, Crash, EpochLink, Fault, Ledger, LedgerError, Manifest, MemoryView, Report, SnapshotChain,
    SnapshotError, SnapshotFolder, Storage, ViewKind, place_snapshot, verify, verify_snapshot,
};
use lian_types::{BlockNumber, Epoch, MemberIndex, MemberSignature, Members};
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub(crate) fn of(chain: &Chain) -> SnapshotChain<'_> {
    SnapshotChain { suite: SUITE, genesis: &chain.genesis, group: chain.group() }
}

pub(crate) fn folder(disk: &Disk, path: &str) -> SnapshotFolder {
    SnapshotFolder::new(Arc::new(disk.storage.clone()), path)
}

fn check(chain: &Chain, disk: &Disk) -> Report {
    let storage: Arc<dyn Storage> = Arc::new(disk.storage.clone());
    verify(&disk.config(), &storage, SUITE, &chain.genesis, chain.group(), &mut |_| {}).unwrap()
}

/// A ledger with real blocks, others, and a snapshot at its head in `/out`.
fn setup(blocks: u64) -> (Chain, Disk, Arc<Ledger>, Manifest) {
    let (chain, disk) = (Chain::new(), Disk::new(1_024));
    let (ledger, _) = chain.open(&disk).unwrap();
    for _ in 0..blocks {
        let block = chain.real_block(&ledger.head(), &*ledger.nodes(), 2);
        ledger.append(&[block]).unwrap();
    }
    let manifest = ledger.write_snapshot(&ledger.freeze().unwrap(), &folder(&disk, "/out")).unwrap();
    (chain, disk, ledger, manifest)
}

/// A new ledger that begins with the snapshot in `/out` of another disk.
fn join(chain: &Chain, from: &Disk) -> (Disk, Result<Arc<Ledger>, LedgerError>) {
    let disk = Disk::new(1_024);
    let storage: Arc<dyn Storage> = Arc::new(disk.storage.clone());
    let height = folder(from, "/out").find(None).unwrap();
    let placed = place_snapshot(of(chain), &disk.config(), &storage, &folder(from, "/out"), height);
    let opened = placed.and_then(|_| chain.open(&disk).map(|(ledger, _)| ledger));
    (disk, opened)
}

#[test]
fn a_ledger_begins_with_a_snapshot_and_goes_on_as_the_others() {
    let (chain, disk, ledger, manifest) = setup(300);
    let (height, snapshot) = (manifest.height(), folder(&disk, "/out"));
    let report = verify_snapshot(of(&chain), &snapshot, height, &MemoryView::new(), &mut |_| {}).unwrap();
    assert_eq!((report.height, report.hash), (BlockNumber(300), ledger.head().hash));
    assert_eq!(report.state_root, ledger.head().block.header.state_root);

    let (other, joined) = join(&chain, &disk);
    let joined = joined.unwrap();
    assert_eq!(joined.head().hash, ledger.head().hash);
    assert_eq!((joined.oldest_block(), joined.oldest_state()), (height, height));
    assert_eq!(joined.block_by_number(height).unwrap(), ledger.block_by_number(height).unwrap());
    assert_eq!(joined.block_by_number(BlockNumber(0)).unwrap(), ledger.block_by_number(BlockNumber(0)).unwrap());
    assert_eq!(joined.block_by_number(BlockNumber(299)).unwrap(), None);
    assert_eq!(joined.changes(height).unwrap(), None, "nobody here knows what it changed");
    for number in 45..=300 {
        let number = BlockNumber(number);
        assert_eq!(joined.block_hash(number).unwrap(), ledger.block_hash(number).unwrap(), "{number}");
    }
    assert_eq!(joined.block_hash(BlockNumber(44)).unwrap(), None);

    // Blocks that read the state, the codes and the hashes of older blocks, the same on both.
    for _ in 0..3 {
        let block = chain.real_block(&joined.head(), &*joined.nodes(), 3);
        joined.append(std::slice::from_ref(&block)).unwrap();
        ledger.append(&[block]).unwrap();
        assert!(joined.flush_step().unwrap());
    }
    let proof = joined.prove_at(BlockNumber(303), COUNTER, &[U256::ZERO]).unwrap();
    assert_eq!(proof, ledger.prove_at(BlockNumber(303), COUNTER, &[U256::ZERO]).unwrap());
    assert_eq!(proof.storage[0].value, U256::from(609));
    drop(joined);
    let report = check(&chain, &other);
    assert_eq!(report.problems, []);
    assert_eq!((report.head, report.blocks, report.snapshots), (Some(BlockNumber(303)), 4, 1));

    // It makes the next snapshot as any other node would: the same chunks, from headers that it has twice over.
    let (joined, _) = chain.open(&other).unwrap();
    let mine = joined.write_snapshot(&joined.freeze().unwrap(), &folder(&other, "/next")).unwrap();
    let theirs = ledger.write_snapshot(&ledger.freeze().unwrap(), &folder(&disk, "/next")).unwrap();
    assert_eq!(mine, theirs);
}

#[test]
fn a_snapshot_has_the_state_at_its_height_whatever_comes_while_it_is_made() {
    let (chain, disk) = (Chain::new(), Disk::new(4));
    let (ledger, _) = chain.open(&disk).unwrap();
    extend(&chain, &ledger, 7);
    let expected = ledger.write_snapshot(&ledger.freeze().unwrap(), &folder(&disk, "/first")).unwrap();
    let frozen = ledger.freeze().unwrap();
    extend(&chain, &ledger, 9);
    while ledger.flush_step().unwrap() {}
    assert_eq!(ledger.write_snapshot(&frozen, &folder(&disk, "/second")).unwrap(), expected);
}

#[test]
fn a_lost_view_is_rebuilt_from_the_snapshot_and_the_log_after_it() {
    let (chain, disk, _, _) = setup(5);
    let (mut other, joined) = join(&chain, &disk);
    let joined = joined.unwrap();
    extend(&chain, &joined, 4);
    let (head, state) = (joined.head().hash, joined.head().block.header.state_root);
    drop(joined);
    other.view = Arc::default();
    let (joined, recovery) = chain.open(&other).unwrap();
    assert_eq!((joined.head().hash, joined.head().block.header.state_root), (head, state));
    assert_eq!(recovery.replayed, 4);
    let hash = joined.block_by_number(BlockNumber(5)).unwrap().unwrap().block.transactions[1].hash();
    assert_eq!(joined.transaction(hash).unwrap().map(|place| place.block), Some(5));
    drop(joined);
    // Without its snapshot there is nothing to rebuild it from, and that is said.
    other.view = Arc::default();
    folder(&other, "/ledger/snapshots").remove(BlockNumber(5)).unwrap();
    let error = chain.open(&other).map(drop).unwrap_err().to_string();
    assert!(error.contains("begins with block 5") && error.contains("snapshot restore"), "{error}");
}

#[test]
fn a_ledger_with_blocks_takes_no_snapshot() {
    let (chain, disk, ledger, manifest) = setup(2);
    drop(ledger);
    let storage: Arc<dyn Storage> = Arc::new(disk.storage.clone());
    let placed = place_snapshot(of(&chain), &disk.config(), &storage, &folder(&disk, "/out"), manifest.height());
    assert!(matches!(placed, Err(LedgerError::NotEmpty { .. })));
    let other = Chain::with_id(20_201);
    let (_, joined) = join(&other, &disk);
    let error = joined.map(drop).unwrap_err().to_string();
    assert!(error.contains("another chain") && error.contains("chain id 20201"), "{error}");
}

/// Every file of the snapshot with one byte changed, here and there.
#[test]
fn a_wrong_chunk_or_manifest_is_found_wherever_a_bit_is_wrong() {
    let (chain, disk, _, _) = setup(3);
    let files: Vec<(PathBuf, u64)> =
        disk.storage.files().into_iter().filter(|(path, _)| path.starts_with("/out")).collect();
    assert_eq!(files.len(), 2);
    for (path, length) in &files {
        for offset in (0..*length).step_by(usize::try_from(length / 60 + 1).unwrap()) {
            let copy = Disk { storage: disk.storage.copy(), ..disk.clone() };
            assert!(copy.storage.rot(path, offset, 0x20));
            let (_, joined) = join(&chain, &copy);
            let error = joined.map(drop).unwrap_err();
            assert!(matches!(error, LedgerError::Snapshot(_)), "{} at {offset}: {error}", path.display());
        }
    }
}

/// A snapshot whose parts all fit each other but for one lie.
fn forge(chain: &Chain, disk: &Disk, lie: impl FnOnce(&mut Manifest, &mut Vec<u8>)) -> LedgerError {
    let from = folder(disk, "/out");
    let mut manifest = from.manifest(from.find(None).unwrap()).unwrap();
    let mut bytes = from.read_chunk(manifest.height(), 0).unwrap().unwrap();
    lie(&mut manifest, &mut bytes);
    manifest.chunks = vec![lian_ledger::ChunkInfo::of(SUITE, &bytes)];
    let forged = Disk::new(1_024);
    folder(&forged, "/out").write_chunk(manifest.height(), 0, &bytes).unwrap();
    folder(&forged, "/out").write_manifest(&manifest).unwrap();
    join(chain, &forged).1.map(drop).unwrap_err()
}

#[test]
fn a_manifest_that_lies_consistently_is_found_by_the_root_or_the_certificate() {
    let (chain, disk, _, _) = setup(3);
    let error = |lie: fn(&mut Manifest, &mut Vec<u8>)| forge(&chain, &disk, lie).to_string();
    // The last entries are codes; before them stands a slot's value, in little-endian.
    let root = error(|_, bytes| {
        let needle = COUNTER.as_slice();
        let at = bytes.windows(20).rposition(|window| window == needle).unwrap();
        bytes[at + 20 + 32] ^= 1;
    });
    assert!(root.contains("state root"), "{root}");
    let header = error(|manifest, _| manifest.head.header.state_root = B256::repeat_byte(1));
    assert!(header.contains("certificate of"), "{header}");
    let certificate = error(|manifest, _| manifest.head.certificate.signatures.truncate(2));
    assert!(certificate.contains("a quorum is 3"), "{certificate}");
    let signer = error(|manifest, _| manifest.head.certificate.digest.0 = B256::repeat_byte(1));
    assert!(signer.contains("signature"), "{signer}");
    let ancestors = error(|manifest, _| drop(manifest.ancestors.pop()));
    assert!(ancestors.contains("headers below its own"), "{ancestors}");
    let missing = error(|_, bytes| bytes.truncate(bytes.len() - 1));
    assert!(missing.contains("chunk 0"), "{missing}");
    let empty = error(|_, bytes| bytes.truncate(1));
    assert!(empty.contains("chunk 0"), "{empty}");
}

#[test]
fn old_snapshots_and_unfinished_ones_go() {
    let (chain, disk) = (Chain::new(), Disk::new(8));
    let (ledger, _) = chain.open(&disk).unwrap();
    let mine = ledger.snapshots();
    assert!(matches!(mine.find(None), Err(SnapshotError::None { .. })));
    for _ in 0..4 {
        extend(&chain, &ledger, 2);
        ledger.write_snapshot(&ledger.freeze().unwrap(), &mine).unwrap();
    }
    mine.write_chunk(BlockNumber(99), 0, b"unfinished").unwrap();
    mine.keep_newest(2).unwrap();
    assert_eq!(mine.heights().unwrap(), [BlockNumber(6), BlockNumber(8)]);
    let names: Vec<_> = disk.storage.list(Path::new("/ledger/snapshots")).unwrap();
    assert_eq!(names.len(), 4, "{names:?}");
    let error = mine.find(Some(BlockNumber(4))).unwrap_err().to_string();
    assert_eq!(error, "/ledger/snapshots has no snapshot of block 4");
    let state = ledger.state_at(BlockNumber(8)).unwrap();
    assert!(state.account(Address::repeat_byte(4)).unwrap().is_some());
}

/// Signs a header anew, by some of the chain's nodes in some epoch.
fn certify(chain: &Chain, head: &mut CertifiedHeader, epoch: u64, signers: &[usize]) {
    head.extension.epoch = Epoch(epoch);
    head.header.extra_data = SUITE.extension_digest(&head.extension).to_vec().into();
    let certificate = &mut head.certificate;
    certificate.epoch = Epoch(epoch);
    certificate.block_hash = SUITE.header_hash(&head.header);
    let message = certificate.vote().signing_bytes(&chain.context());
    let sign = |(place, node): (u16, &usize)| MemberSignature {
        signer: MemberIndex(place),
        signature: chain.keys[*node].sign(&message),
    };
    certificate.signatures = (0..).zip(signers).map(sign).collect();
}

/// A manifest over three epochs: of all four nodes, from block 5 on of nodes 3 and 2, from block 9 on of node 1.
fn three_epochs() -> (Chain, Manifest, EpochMembers) {
    let (chain, _, _, mut manifest) = setup(12);
    let genesis = of(&chain).first_members().unwrap();
    let pick = |nodes: &[u16]| {
        Members::new(nodes.iter().map(|i| genesis.members.get(MemberIndex(*i)).unwrap().clone()).collect()).unwrap()
    };
    let link = |height: u64, epoch, signers: &[usize], next: &[u16]| {
        let mut last = manifest.head.clone();
        last.header.number = height;
        last.certificate.height = BlockNumber(height);
        last.extension.members = SUITE.members_digest(&pick(next));
        certify(&chain, &mut last, epoch, signers);
        EpochLink { last, members: pick(next) }
    };
    manifest.epochs = vec![link(4, 0, &[0, 1, 2], &[3, 2]), link(8, 1, &[3, 2], &[1])];
    certify(&chain, &mut manifest.head, 2, &[1]);
    (chain, manifest, genesis)
}

#[test]
fn members_are_proven_from_genesis_on_over_every_epoch() {
    let (chain, manifest, genesis) = three_epochs();
    let verify = |manifest: &Manifest| manifest.verify(SUITE, &chain.context(), &genesis);
    let epochs = verify(&manifest).unwrap();
    let found: Vec<_> =
        epochs.iter().map(|(first, members)| (first.0, members.epoch.0, members.members.len())).collect();
    assert_eq!(found, [(0, 0, 4), (5, 1, 2), (9, 2, 1)]);
    assert_eq!(Manifest::decode(&manifest.encode()).unwrap(), manifest);

    let refused = |lie: fn(&Chain, &mut Manifest), words: &str| {
        let mut forged = manifest.clone();
        lie(&chain, &mut forged);
        let error = verify(&forged).unwrap_err().to_string();
        assert!(error.contains(words), "{words}: {error}");
    };
    refused(|_, manifest| drop(manifest.epochs.pop()), "is of epoch 2, proven is epoch 1");
    refused(|_, manifest| manifest.epochs.clear(), "is of epoch 2, proven is epoch 0");
    refused(|_, manifest| manifest.epochs.swap(0, 1), "is of epoch 1, proven is epoch 0");
    refused(|_, manifest| manifest.epochs[1].members = manifest.epochs[0].members.clone(), "listed are");
    // The members of an epoch that is over sign for the next one.
    refused(|chain, manifest| certify(chain, &mut manifest.head, 2, &[2]), "signature");
    refused(|chain, manifest| certify(chain, &mut manifest.epochs[1].last, 1, &[0, 1]), "signature");
    refused(
        |chain, manifest| {
            manifest.epochs[1].last.header.number = 3;
            manifest.epochs[1].last.certificate.height = BlockNumber(3);
            certify(chain, &mut manifest.epochs[1].last, 1, &[3, 2]);
        },
        "begins at 5 and ends at 3",
    );
}

#[test]
fn a_backup_is_a_ledger_of_its_own_without_votes() {
    let (chain, disk, ledger, _) = setup(6);
    ledger.write_snapshot(&ledger.freeze().unwrap(), &ledger.snapshots()).unwrap();
    extend(&chain, &ledger, 2);
    disk.storage.create(Path::new("/ledger/votes/0000000000.log")).unwrap().append(b"votes").unwrap();
    let report = ledger.back_up(Path::new("/backup")).unwrap();
    assert_eq!((report.oldest, report.newest), (BlockNumber(0), BlockNumber(8)));
    // What comes later is not in it, and does not disturb it.
    let head = ledger.head().hash;
    extend(&chain, &ledger, 3);
    assert!(matches!(ledger.back_up(Path::new("/backup")), Err(LedgerError::NotEmpty { .. })));
    drop(ledger);

    let mut config = disk.config();
    config.folder = "/backup".into();
    config.view = ViewKind::Memory(Arc::default());
    let storage: Arc<dyn Storage> = Arc::new(disk.storage.clone());
    let checked = verify(&config, &storage, SUITE, &chain.genesis, chain.group(), &mut |_| {}).unwrap();
    assert_eq!((checked.head, checked.snapshots), (Some(BlockNumber(8)), 1));
    // Blocks that `extend` makes have changes that no transaction explains.
    assert!(checked.problems.iter().all(|problem| problem.block > Some(BlockNumber(6))), "{:?}", checked.problems);
    assert!(disk.storage.files().iter().all(|(path, _)| !path.starts_with("/backup/votes")));
    let (opened, _) = Ledger::open(config, storage, SUITE, &chain.genesis, chain.group()).unwrap();
    assert_eq!(opened.head().hash, head);
}

/// Does something while the disk's syncs fail from the `k`-th on, for every `k`, then loses power; until it succeeds.
pub(crate) fn with_every_failure(disk: &Disk, act: impl Fn(&Disk) -> bool, check: impl Fn(&Disk)) {
    for k in 0..1_000 {
        for eighths in [0, 5] {
            let copy = Disk { storage: disk.storage.copy(), view: Arc::new(disk.view.copy()), ..disk.clone() };
            copy.storage.inject(Fault::SyncFails { after: k });
            let done = act(&copy);
            copy.storage.heal();
            copy.storage.crash(|_, unsynced| Crash { kept: unsynced * eighths / 8, zeroed: 0 });
            check(&copy);
            if done {
                assert!(k > 3, "the faults never came");
                return;
            }
        }
    }
    panic!("it never succeeds");
}

#[test]
fn power_lost_while_a_snapshot_is_made_leaves_a_whole_one_or_none() {
    let (chain, disk, ledger, expected) = setup(4);
    while ledger.flush_step().unwrap() {}
    drop(ledger);
    let make = |disk: &Disk| {
        let Ok((ledger, _)) = chain.open(disk) else { return false };
        ledger.write_snapshot(&ledger.freeze().unwrap(), &ledger.snapshots()).is_ok()
    };
    with_every_failure(&disk, make, |disk| {
        let report = check(&chain, disk);
        assert_eq!(report.problems, []);
        let (ledger, _) = chain.open(disk).unwrap();
        assert_eq!(ledger.snapshots().heights().unwrap().len() as u64, report.snapshots);
        ledger.snapshots().keep_newest(2).unwrap();
        let again = ledger.write_snapshot(&ledger.freeze().unwrap(), &ledger.snapshots()).unwrap();
        assert_eq!(again, expected);
    });
}

#[test]
fn power_lost_while_a_snapshot_is_restored_leaves_it_restored_or_the_node_empty() {
    let (chain, disk, ledger, manifest) = setup(4);
    let from = folder(&disk, "/out");
    let place = |disk: &Disk| {
        let storage: Arc<dyn Storage> = Arc::new(disk.storage.clone());
        place_snapshot(of(&chain), &disk.config(), &storage, &from, manifest.height())
    };
    let restore = |disk: &Disk| place(disk).is_ok() && chain.open(disk).is_ok();
    with_every_failure(&Disk::new(8), restore, |disk| {
        let is_placed = !folder(disk, "/ledger/snapshots").heights().unwrap().is_empty();
        if !is_placed {
            place(disk).unwrap();
        }
        let (joined, _) = chain.open(disk).unwrap();
        assert_eq!(joined.head().hash, ledger.head().hash);
        drop(joined);
        assert_eq!(check(&chain, disk).problems, []);
    });
}
