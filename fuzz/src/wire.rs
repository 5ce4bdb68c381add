//! What other nodes and clients send.

use crate::fixture::{
    CONTEXT, GENESIS, SUITE, certificate, committees, epoch, key, proposal, rules, signed, transactions,
};
use alloy_consensus::TxEnvelope;
use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::{Address, B256, Bytes};
use lian_crypto::verify_certificate;
use lian_group::core::{GroupMessage, NodeReport};
use lian_network::Class;
use lian_pbft::{
    Ancestry, Heartbeat, Message, NewView, PrePrepare, SignedNewView, SignedViewChange, Statement, ViewChange,
    ViewChangeMessage, verify,
};
use lian_sync::{Anchor, BlockRequest, BlockWithCertificate, Checker, SnapshotMessage, SyncMessage, SyncStatus};
use lian_trie::{Hasher, Nibbles, verify_proof};
use lian_txpool::{Body, PoolMessage};
use lian_types::{
    Block, BlockNumber, Certificate, CertificateKind, Epoch, Extension, Header, MemberIndex, Millis, Phase, Skipped,
    Transaction, View,
};
use std::sync::Arc;

/// Frames of a session.
pub(crate) fn frames(data: &[u8]) {
    if let Ok(written) = lian_network::rewrite_frames(data) {
        assert_eq!(data.get(..written.len()), Some(written.as_slice()), "a frame has one encoding");
    }
}

pub(crate) fn frame_seeds() -> Vec<Vec<u8>> {
    let frame = |body: &[u8]| [&u32::try_from(body.len()).unwrap_or(0).to_be_bytes(), body].concat();
    let ping = frame(&[&[1][..], &7_u64.to_be_bytes()].concat());
    let credit = frame(&[&[3, 0][..], &9_u64.to_be_bytes()].concat());
    let start = frame(&[&[0x10, 0, 0, 0, 0, 0, 0, 0, 5][..], b"hel"].concat());
    let next = frame(b"\x20lo");
    vec![ping.clone(), credit.clone(), frame(&[4, 1]), [ping, credit, start, next].concat()]
}

/// The first message of a connection, from a peer that has proved nothing yet.
pub(crate) fn hello(data: &[u8]) {
    if let Ok(written) = lian_network::rewrite_hello(GENESIS, data) {
        // Later versions may append fields.
        assert_eq!(data.get(..written.len()), Some(written.as_slice()), "a hello has one encoding");
    }
}

pub(crate) fn hello_seeds() -> Vec<Vec<u8>> {
    let fields = (1_u16, 1_u16, GENESIS, key(1).public(), 7_u64, "127.0.0.1:30300".to_owned(), "lian".to_owned());
    borsh::to_vec(&fields).into_iter().collect()
}

/// Consensus messages, decoded and checked against fixed members.
pub(crate) fn consensus(data: &[u8]) {
    if let Ok(message) = Message::decode(data) {
        assert_eq!(message.encode(), data, "a consensus message has one encoding");
        if let Ok(verified) = verify(&rules(), &committees(), message.clone()) {
            assert_eq!(*verified, message, "checking changes nothing");
        }
    }
}

pub(crate) fn consensus_seeds() -> Vec<Vec<u8>> {
    let digest = SUITE.proposal_digest(&proposal());
    let statement = Statement::PrePrepare { epoch: Epoch(0), view: View(0), height: BlockNumber(1), digest };
    let pre_prepare = PrePrepare { view: View(0), proposal: proposal(), signature: sign(0, &statement) };
    let change = |signer: u8, base: Option<Certificate>| {
        let change = ViewChange { epoch: Epoch(0), view: View(1), base, prepared: vec![] };
        let signature = sign(signer, &Statement::ViewChange(Box::new(change.clone())));
        Arc::new(SignedViewChange { change, signer: MemberIndex(signer.into()), signature })
    };
    let new_view = NewView {
        epoch: Epoch(0),
        view: View(1),
        changes: (0..3).map(|signer| change(signer, None)).collect(),
        proposals: vec![],
    };
    let signature = sign(1, &Statement::NewView(Box::new(new_view.clone())));
    let new_view = Arc::new(SignedNewView { new_view, signer: MemberIndex(1), signature });
    let checkpoint = certificate(CertificateKind::Checkpoint);
    let beat = Heartbeat {
        epoch: Epoch(0),
        height: BlockNumber(3),
        view: View(1),
        promised: View(2),
        starving: true,
        abstains_until: Some(BlockNumber(9)),
    };
    let changed = ViewChangeMessage { signed: change(2, Some(checkpoint.clone())), proposals: vec![] };
    let messages = [
        Message::PrePrepare(pre_prepare),
        Message::Vote(signed(Phase::Prepare, 1)),
        Message::Vote(signed(Phase::Checkpoint, 2)),
        Message::ViewChange(changed),
        Message::NewView(new_view),
        Message::Heartbeat(beat),
        Message::Certificate(certificate(CertificateKind::Commit { view: View(0) })),
        Message::Ancestry(Ancestry { certificate: checkpoint, proposals: vec![proposal()] }),
    ];
    messages.iter().map(Message::encode).collect()
}

fn sign(member: u8, statement: &Statement) -> lian_types::Signature {
    key(member).sign(&statement.signing_bytes(&CONTEXT))
}

fn group(class: Class, data: &[u8]) {
    if let Ok(message) = GroupMessage::decode(class, data) {
        assert_eq!(message.class(), class, "a message keeps its class");
        assert_eq!(message.encode(), data, "a message of the group has one encoding");
    }
}

/// The group's envelope around transactions.
pub(crate) fn group_body(data: &[u8]) {
    group(Class::Body, data);
    group(Class::Consensus, data);
}

/// The group's envelope around catching up and reports.
pub(crate) fn group_sync(data: &[u8]) {
    group(Class::Sync, data);
}

pub(crate) fn sync_seeds() -> Vec<Vec<u8>> {
    let report = NodeReport {
        height: BlockNumber(3),
        view: View(1),
        peers: 3,
        pending: 10,
        rpc: "http://127.0.0.1:8545".to_owned(),
    };
    let messages = messages().into_iter().map(GroupMessage::Sync).chain([GroupMessage::Report(report)]);
    let messages = messages.chain([GroupMessage::Snapshot(SnapshotMessage::GetOffers)]);
    messages.map(|message| message.encode()).collect()
}

/// The pool's messages.
pub(crate) fn pool(data: &[u8]) {
    if let Ok(message) = PoolMessage::decode(data) {
        assert_eq!(message.encode(), data, "a message of the pool has one encoding");
    }
}

fn bodies() -> Vec<Body> {
    let body = |transaction| Body { transaction, sender: Some(Address::repeat_byte(8)) };
    transactions().into_iter().map(body).collect()
}

pub(crate) fn pool_seeds() -> Vec<Vec<u8>> {
    let unknown = vec![B256::repeat_byte(5)];
    let messages = [
        PoolMessage::Transactions(bodies()).without_senders(),
        PoolMessage::Transactions(bodies()),
        PoolMessage::Request(unknown.clone()),
        PoolMessage::Bodies { transactions: bodies(), unknown },
    ];
    messages.iter().map(PoolMessage::encode).collect()
}

/// Catching up: messages, and the check of blocks in them.
pub(crate) fn sync(data: &[u8]) {
    let Ok(message) = SyncMessage::decode(data) else { return };
    assert_eq!(message.encode(), data, "a message of sync has one encoding");
    let SyncMessage::Blocks { blocks, .. } = message else { return };
    let members = epoch();
    let root = |_: &[Arc<Transaction>]| B256::ZERO;
    let checker = Checker { suite: SUITE, context: &CONTEXT, members: &members, transactions_root: &root };
    let anchor = Anchor { height: BlockNumber(0), hash: B256::ZERO, digest: rules().genesis, members: B256::ZERO };
    if let Ok(last) = checker.check_batch(anchor, &blocks) {
        assert!(last.height >= anchor.height, "blocks lead upwards");
    }
}

fn messages() -> Vec<SyncMessage> {
    let extension = Extension {
        version: 1,
        time: Millis(1_700_000_000_000),
        epoch: Epoch(0),
        members: B256::ZERO,
        skipped: vec![Skipped { position: 1, hash: B256::repeat_byte(8) }],
    };
    let extra_data = SUITE.extension_digest(&extension).to_vec().into();
    let header = Header { number: 1, timestamp: 1_700_000_000, extra_data, ..Header::default() };
    let mut certificate = certificate(CertificateKind::Checkpoint);
    certificate.block_hash = SUITE.header_hash(&header);
    let block = Arc::new(Block { header, extension, transactions: transactions() });
    vec![
        SyncMessage::Status(SyncStatus {
            epoch: Epoch(0),
            height: BlockNumber(4),
            hash: B256::ZERO,
            oldest: BlockNumber(1),
        }),
        SyncMessage::GetBlocks(BlockRequest { request: 1, from: BlockNumber(1), count: 8 }),
        SyncMessage::Blocks { request: 1, blocks: vec![BlockWithCertificate { block, certificate }] },
    ]
}

pub(crate) fn plain_sync_seeds() -> Vec<Vec<u8>> {
    messages().iter().map(SyncMessage::encode).collect()
}

/// Transactions, and the recovery of their senders.
pub(crate) fn transaction(data: &[u8]) {
    if let Ok(transaction) = Transaction::decode(Bytes::copy_from_slice(data)) {
        let envelope: &TxEnvelope = transaction.as_ethereum();
        assert_eq!(envelope.encoded_2718(), data, "a transaction has one encoding");
        assert_eq!(transaction.hash(), alloy_primitives::keccak256(data), "its hash is that of its bytes");
        let transaction = Arc::new(transaction);
        let first = SUITE.recover_sender(Arc::clone(&transaction)).ok().map(|verified| verified.sender());
        let second = SUITE.recover_sender(transaction).ok().map(|verified| verified.sender());
        assert_eq!(first, second, "a transaction has one sender");
    }
}

pub(crate) fn transaction_seeds() -> Vec<Vec<u8>> {
    transactions().iter().map(|transaction| transaction.encoded().to_vec()).collect()
}

/// Certificates by themselves, as they stand beside blocks.
pub(crate) fn certificates(data: &[u8]) {
    if let Ok(certificate) = borsh::from_slice::<Certificate>(data) {
        assert_eq!(borsh::to_vec(&certificate).ok().as_deref(), Some(data), "a certificate has one encoding");
        if verify_certificate(SUITE, &CONTEXT, &epoch(), &certificate).is_ok() {
            assert!(certificate.signatures.len() >= 3, "a certificate that holds has a quorum");
        }
    }
}

pub(crate) fn certificate_seeds() -> Vec<Vec<u8>> {
    let kinds = [CertificateKind::Checkpoint, CertificateKind::Commit { view: View(0) }];
    kinds.into_iter().filter_map(|kind| borsh::to_vec(&certificate(kind)).ok()).collect()
}

/// A proof of an entry of a trie: a key's length and the key, then nodes, each after its length in two bytes.
pub(crate) fn proof(data: &[u8]) {
    let Some((&length, rest)) = data.split_first() else { return };
    let Some((key, mut rest)) = rest.split_at_checked(usize::from(length)) else { return };
    let Ok(key) = Nibbles::from_bytes(key) else { return };
    let mut nodes = Vec::new();
    while let Some((length, after)) = rest.split_first_chunk::<2>() {
        let length = usize::from(u16::from_be_bytes(*length)).min(after.len());
        let (node, after) = after.split_at(length);
        nodes.push(Bytes::copy_from_slice(node));
        rest = after;
    }
    // Against the root that the first node makes: so the nodes are decoded.
    let root = nodes.first().map_or(B256::ZERO, |node| Hasher::Keccak.hash(node));
    if verify_proof(Hasher::Keccak, root, &key, &nodes).is_ok() && nodes.len() > 1 {
        let without = verify_proof(Hasher::Keccak, root, &key, &nodes[..nodes.len() - 1]);
        assert!(without.is_err(), "a proof that lacks its last node proves nothing");
    }
}

pub(crate) fn proof_seeds() -> Vec<Vec<u8>> {
    // A leaf at the whole path of the key 0x1234, and an extension above nothing that is known.
    let leaf = [0xc8, 0x83, 0x20, 0x12, 0x34, 0x83, b'a', b'b', b'c'];
    let extension = [&[0xe4, 0x82, 0x00, 0x12, 0xa0][..], &[7; 32]].concat();
    let seed = |nodes: &[&[u8]]| {
        let mut bytes = vec![2, 0x12, 0x34];
        for node in nodes {
            bytes.extend_from_slice(&u16::try_from(node.len()).unwrap_or(0).to_be_bytes());
            bytes.extend_from_slice(node);
        }
        bytes
    };
    vec![seed(&[&leaf]), seed(&[&extension, &leaf])]
}
