//! One function for every decoder of bytes from outside. Each takes any bytes and panics where a promise is broken:
//!
//! - what decodes is encoded to the same bytes again (or, of text, to what reads as the same), so that nothing has two
//!   encodings;
//! - what is checked after decoding (signatures, certificates, blocks) does not panic either;
//! - a damaged log gives back what was written or says that it is damaged, never anything else;
//! - memory grows with the bytes that came, never with a length that they announce: `tests/fuzz` measures it.
//!
//! An ordinary test runs them over [`Target::seeds`] and some thousand mutations of them ([`mutate`]), always the
//! same. For longer, with another seed: `FUZZ=consensus,600,7 cargo test --release --workspace --test fuzz -- --nocapture`
//! (target, seconds, seed).
//!
//! Not here: `config.toml`, which belongs to the program `lian` and is read before it serves anybody, and the key-value
//! view, which nobody outside writes.

mod fixture;
pub mod mutate;
mod raft;
mod snapshot;
mod stored;
mod text;
mod wire;

/// A decoder under test.
#[derive(Clone, Copy)]
pub struct Target {
    /// Its name, for the command line and messages.
    pub name: &'static str,
    /// Feeds it bytes.
    pub run: fn(&[u8]),
    /// Real encodings, to start from.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// How many bytes it may allocate for an empty input, in all.
    pub allocates: usize,
    /// How many bytes it may allocate for each byte of input, in all: copies, decoded forms, growing vectors.
    pub allocates_per_byte: usize,
}

const fn target(name: &'static str, run: fn(&[u8]), seeds: fn() -> Vec<Vec<u8>>) -> Target {
    Target { name, run, seeds, allocates: 64 * 1024, allocates_per_byte: 64 }
}

/// Every target.
pub const TARGETS: [Target; 23] = [
    target("frames", wire::frames, wire::frame_seeds),
    target("hello", wire::hello, wire::hello_seeds),
    target("consensus", wire::consensus, wire::consensus_seeds),
    target("raft", raft::message, raft::message_seeds),
    target("raft-record", raft::record, raft::record_seeds),
    target("group-body", wire::group_body, wire::pool_seeds),
    target("group-sync", wire::group_sync, wire::sync_seeds),
    target("pool", wire::pool, wire::pool_seeds),
    target("sync", wire::sync, wire::plain_sync_seeds),
    target("transaction", wire::transaction, wire::transaction_seeds),
    target("certificate", wire::certificates, wire::certificate_seeds),
    target("proof", wire::proof, wire::proof_seeds),
    Target { allocates_per_byte: 4096, ..target("rpc", text::rpc, text::rpc_seeds) },
    Target { allocates_per_byte: 512, ..target("genesis", text::genesis, text::genesis_seeds) },
    Target { allocates_per_byte: 512, ..target("key-file", text::key_file, text::key_file_seeds) },
    Target { allocates_per_byte: 1024, ..target("artifact", text::artifact, text::artifact_seeds) },
    target("snapshot-message", snapshot::messages, snapshot::message_seeds),
    target("snapshot-manifest", snapshot::manifests, snapshot::manifest_seeds),
    target("snapshot-chunk", snapshot::chunks, snapshot::chunk_seeds),
    target("block-head", snapshot::heads, snapshot::head_seeds),
    target("vote-record", stored::vote_record, stored::vote_record_seeds),
    Target { allocates: 1024 * 1024, ..target("block-log", stored::block_log, stored::edit_seeds) },
    Target { allocates: 1024 * 1024, ..target("vote-log", stored::vote_log, stored::edit_seeds) },
];

/// The target of a name.
#[must_use]
pub fn find(name: &str) -> Option<Target> {
    TARGETS.into_iter().find(|target| target.name == name)
}
