//! The hash function of a chain's trie, chosen by its cryptographic suite.

use alloy_primitives::{B256, b256, keccak256};

/// The hash function under which a trie is built.
///
/// It decides every node hash, the hashed keys of the state trie and the root of an empty trie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Hasher {
    /// Keccak-256, as on Ethereum, so that any Ethereum library verifies the proofs.
    #[default]
    Keccak,
}

impl Hasher {
    /// The digest of `bytes`.
    #[must_use]
    pub fn hash(self, bytes: &[u8]) -> B256 {
        match self {
            Self::Keccak => keccak256(bytes),
        }
    }

    /// The root of a trie without entries: the hash of the RLP of the empty string
    /// (yellow paper, appendix D).
    #[must_use]
    pub const fn empty_root(self) -> B256 {
        match self {
            Self::Keccak => b256!("56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421"),
        }
    }

    /// The hash of no bytes: the code hash of an account without code.
    #[must_use]
    pub const fn empty_code_hash(self) -> B256 {
        match self {
            Self::Keccak => b256!("c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constants_are_what_the_hash_function_gives() {
        assert_eq!(Hasher::Keccak.empty_root(), Hasher::Keccak.hash(&[alloy_rlp::EMPTY_STRING_CODE]));
        assert_eq!(Hasher::Keccak.empty_code_hash(), Hasher::Keccak.hash(&[]));
    }
}
