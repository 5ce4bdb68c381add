//! The members of a group in one epoch, and their consensus keys.

use crate::limits::MEMBERS_MAX;
use alloy_primitives::Address;
use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize, de::Error as _};
use std::{fmt, str::FromStr};

/// A public key that signs consensus votes: one byte that names the algorithm, then 32 bytes.
///
/// `0xed` is an Ed25519 key (RFC 8032). An SM2 key in compressed form (`0x02` or `0x03`, GB/T 32918) has the same
/// length, so that a GM chain needs no other layout.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize)]
pub struct ConsensusKey(pub [u8; 33]);

impl ConsensusKey {
    /// The first byte of an Ed25519 key.
    pub const ED25519: u8 = 0xed;

    /// The key's bytes after the algorithm byte.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        self.0.split_first().map_or(&[], |(_, body)| body)
    }

    /// The byte that names the algorithm.
    #[must_use]
    pub const fn algorithm(&self) -> u8 {
        self.0[0]
    }
}

impl fmt::Display for ConsensusKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("0x")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ConsensusKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for ConsensusKey {
    type Err = MembersError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut bytes = [0; 33];
        alloy_primitives::hex::decode_to_slice(text, &mut bytes)
            .map_err(|_| MembersError::KeyText { text: text.chars().take(80).collect() })?;
        Ok(Self(bytes))
    }
}

impl Serialize for ConsensusKey {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ConsensusKey {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <String as Deserialize>::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

/// The position of a member in its epoch's [`Members`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize, Serialize)]
pub struct MemberIndex(pub u16);

impl fmt::Display for MemberIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// A node that votes.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
pub struct Member {
    /// The key that signs its votes.
    pub key: ConsensusKey,
    /// The address that its blocks name as `miner`.
    pub address: Address,
}

/// The voting members of one group in one epoch, in the order of genesis: at least one, at most
/// [`MEMBERS_MAX`], no key twice.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, Serialize)]
pub struct Members(Vec<Member>);

/// Why a set of members was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MembersError {
    /// No member at all.
    #[error("a group needs at least one member")]
    Empty,
    /// More than the limit.
    #[error("{0} members exceed the limit of {MEMBERS_MAX}")]
    TooMany(usize),
    /// One key stands twice.
    #[error("consensus key {0} stands twice among the members")]
    Duplicate(ConsensusKey),
    /// The text is not 33 bytes in hexadecimal.
    #[error("`{text}` is not a consensus key: expected 0x and 66 hexadecimal digits")]
    KeyText {
        /// The offending text, cut to 80 characters.
        text: String,
    },
}

impl Members {
    /// A checked set of members.
    ///
    /// # Errors
    /// [`MembersError`] for an empty or too large set and for a key that stands twice.
    pub fn new(members: Vec<Member>) -> Result<Self, MembersError> {
        if members.is_empty() {
            return Err(MembersError::Empty);
        }
        if members.len() > MEMBERS_MAX {
            return Err(MembersError::TooMany(members.len()));
        }
        let mut keys: Vec<_> = members.iter().map(|member| member.key).collect();
        keys.sort_unstable();
        for (left, right) in keys.iter().zip(keys.iter().skip(1)) {
            if left == right {
                return Err(MembersError::Duplicate(*left));
            }
        }
        Ok(Self(members))
    }

    /// How many members there are (n), at least 1.
    #[must_use]
    #[allow(clippy::len_without_is_empty)] // A set is never empty.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// How many members may be arbitrarily faulty: f = ⌊(n−1)/3⌋.
    #[must_use]
    pub fn faulty_max(&self) -> usize {
        self.0.len().saturating_sub(1) / 3
    }

    /// How many votes decide: q = ⌈(n+f+1)/2⌉. Two quorums share at least one honest member.
    #[must_use]
    pub fn quorum(&self) -> usize {
        self.0.len().saturating_add(self.faulty_max()).saturating_add(1).div_ceil(2)
    }

    /// How many members are more than half of them. Two majorities share a member.
    #[must_use]
    pub fn majority(&self) -> usize {
        (self.0.len() / 2).saturating_add(1)
    }

    /// The member at a position, if there is one.
    #[must_use]
    pub fn get(&self, index: MemberIndex) -> Option<&Member> {
        self.0.get(usize::from(index.0))
    }

    /// The position of the member that holds a key.
    #[must_use]
    pub fn index_of(&self, key: &ConsensusKey) -> Option<MemberIndex> {
        let position = self.0.iter().position(|member| member.key == *key)?;
        u16::try_from(position).ok().map(MemberIndex)
    }

    /// All members with their positions, in order.
    pub fn iter(&self) -> impl Iterator<Item = (MemberIndex, &Member)> {
        (0u16..).map(MemberIndex).zip(self.0.iter())
    }
}

impl BorshDeserialize for Members {
    fn deserialize_reader<R: std::io::Read>(reader: &mut R) -> std::io::Result<Self> {
        let members = Vec::<Member>::deserialize_reader(reader)?;
        Self::new(members).map_err(|error| std::io::Error::new(std::io::ErrorKind::InvalidData, error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(n: u8) -> Members {
        let member = |i| Member { key: ConsensusKey([i; 33]), address: Address::repeat_byte(i) };
        Members::new((0..n).map(member).collect()).unwrap()
    }

    /// n, f and q as PBFT tabulates them; q = 2f+1 where n = 3f+1.
    #[test]
    fn quorums() {
        let table =
            [(1, 0, 1), (2, 0, 2), (3, 0, 2), (4, 1, 3), (5, 1, 4), (6, 1, 4), (7, 2, 5), (10, 3, 7), (13, 4, 9)];
        for (n, f, q) in table {
            let members = members(n);
            assert_eq!((members.faulty_max(), members.quorum()), (f, q), "n = {n}");
        }
        for (n, majority) in [(1, 1), (2, 2), (3, 2), (4, 3), (5, 3), (6, 4), (7, 4)] {
            assert_eq!(members(n).majority(), majority, "n = {n}");
        }
    }

    #[test]
    fn refuses_bad_sets() {
        let member = Member { key: ConsensusKey([7; 33]), address: Address::ZERO };
        assert_eq!(Members::new(vec![]), Err(MembersError::Empty));
        assert_eq!(Members::new(vec![member.clone(), member.clone()]), Err(MembersError::Duplicate(member.key)));
        let bytes = borsh::to_vec(&vec![member.clone(), member]).unwrap();
        assert!(borsh::from_slice::<Members>(&bytes).is_err());
    }
}
