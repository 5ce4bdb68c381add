//! What a name may be, and what it comes to: its node (EIP-137).

use crate::{Failure, Halt, Host, interfaces::INames};
use alloy_primitives::{B256, U256, keccak256};
use lian_types::limits::NAME_BYTES_MAX;

/// Gas for each label of a name, in units of gas: hashing it, and again with the node of what it lies under, as the EVM
/// charges both for the longest label.
const LABEL_GAS: u64 = 96;
/// The last label of names that say whose an address is (EIP-181), which nobody registers.
const REVERSE: &str = "reverse";
/// How addresses begin, which no name shall be taken for.
const HEXADECIMAL: &str = "0x";

/// A name as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    text: String,
    /// The nodes of all that it lies under, the highest first, and its own last.
    nodes: Vec<B256>,
}

/// Why something is no name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidName {
    /// Nothing, or too much.
    #[error("a name has 1 to {NAME_BYTES_MAX} bytes, not {0}")]
    Length(usize),
    /// What stands at this byte cannot stand there.
    #[error("byte {0} of the name cannot stand there")]
    Position(usize),
    /// It is kept for ENS, or begins as addresses do.
    #[error("names under `{REVERSE}`, and such as begin with `{HEXADECIMAL}`, are reserved")]
    Reserved,
}

impl Name {
    /// A name from what somebody wrote.
    ///
    /// # Errors
    /// [`InvalidName`].
    pub fn parse(written: &str) -> Result<Self, InvalidName> {
        if !(1..=NAME_BYTES_MAX).contains(&written.len()) {
            return Err(InvalidName::Length(written.len()));
        }
        let text = written.to_ascii_lowercase();
        check_characters(&text)?;
        let last = text.rsplit('.').next();
        if last == Some(REVERSE) || text.starts_with(HEXADECIMAL) {
            return Err(InvalidName::Reserved);
        }
        let mut node = B256::ZERO;
        let mut nodes = Vec::new();
        for label in text.rsplit('.') {
            node = under(node, label.as_bytes());
            nodes.push(node);
        }
        Ok(Self { text, nodes })
    }

    /// The same in a call, for gas.
    pub(super) fn of(host: &mut dyn Host, written: &str) -> Result<Self, Failure> {
        let name = Self::parse(written).map_err(|error| refusal(written, error))?;
        charge_labels(host, name.nodes.len())?;
        Ok(name)
    }

    /// The name.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Its node.
    #[must_use]
    pub fn node(&self) -> B256 {
        self.nodes.last().copied().unwrap_or_default()
    }

    /// What it lies under, from below: each with its node.
    pub(super) fn parents(&self) -> impl Iterator<Item = (&str, B256)> {
        let names = std::iter::successors(Some(self.text.as_str()), |name| name.split_once('.').map(|(_, rest)| rest));
        names.zip(self.nodes.iter().rev().copied()).skip(1)
    }
}

fn refusal(written: &str, error: InvalidName) -> Failure {
    let name = written.to_owned();
    match error {
        InvalidName::Length(length) => {
            let (length, limit) = (U256::from(length), U256::from(NAME_BYTES_MAX));
            Failure::revert(&INames::NameLength { length, limit })
        }
        InvalidName::Position(position) => {
            Failure::revert(&INames::InvalidName { name, position: U256::from(position) })
        }
        InvalidName::Reserved => Failure::revert(&INames::ReservedName { name }),
    }
}

/// Labels of allowed characters, none of them empty, and no `-` at their ends.
fn check_characters(text: &str) -> Result<(), InvalidName> {
    let mut before = '.';
    for (position, character) in text.char_indices() {
        let is_misplaced = match character {
            '.' | '-' => before == '.',
            _ => !is_allowed(character),
        };
        if is_misplaced {
            return Err(InvalidName::Position(position));
        }
        if character == '.' && before == '-' {
            return Err(InvalidName::Position(position.saturating_sub(1)));
        }
        before = character;
    }
    // A dot or hyphen at the end is one byte.
    let is_open = before == '.' || before == '-';
    if is_open { Err(InvalidName::Position(text.len().saturating_sub(1))) } else { Ok(()) }
}

/// Each of them is its own composed form, whichever of Unicode's is asked for, so that no name can be written in two ways but
/// for capital letters.
const fn is_allowed(character: char) -> bool {
    matches!(
        character,
        'a'..='z' | '0'..='9' | '_'
            | '\u{3007}'
            | '\u{3400}'..='\u{4dbf}'
            | '\u{4e00}'..='\u{9fff}'
            | '\u{20000}'..='\u{2f7ff}'
            | '\u{2fa20}'..='\u{323af}'
    )
}

/// Charges for hashing so many labels.
pub(super) fn charge_labels(host: &mut dyn Host, count: usize) -> Result<(), Halt> {
    host.charge(u64::try_from(count).unwrap_or(u64::MAX).saturating_mul(LABEL_GAS))
}

/// The node of a label under another one.
fn under(node: B256, label: &[u8]) -> B256 {
    let mut bytes = [0; 64];
    bytes[..32].copy_from_slice(node.as_slice());
    bytes[32..].copy_from_slice(keccak256(label).as_slice());
    keccak256(bytes)
}

/// The node of labels, the lowest first (EIP-137), whatever they are.
pub fn namehash<'a>(labels: impl DoubleEndedIterator<Item = &'a [u8]>) -> B256 {
    labels.rev().fold(B256::ZERO, under)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::b256;

    #[test]
    fn nodes_are_those_of_ens() {
        // From EIP-137, and <https://docs.ens.domains/resolution/names>.
        let cases = [
            ("eth", b256!("93cdeb708b7545dc668eb9280176169d1c33cfd8ed6f04690a0bcc88a93fc4ae")),
            ("foo.eth", b256!("de9b09fd7c5f901e23a3f19fecc54828e9c848539801e86591bd9801b019f84f")),
            ("alice.eth", b256!("787192fc5378cc32aa956ddfdedbf26b24e8d78e40109add0eea2c1a012c3dec")),
        ];
        for (text, node) in cases {
            assert_eq!(Name::parse(text).unwrap().node(), node, "{text}");
            assert_eq!(namehash(text.split('.').map(str::as_bytes)), node, "{text}");
        }
        assert_eq!(namehash(std::iter::empty()), B256::ZERO);
    }

    #[test]
    fn capital_letters_are_small_ones() {
        let name = Name::parse("Pay.工行-2_B").unwrap();
        assert_eq!(name.text(), "pay.工行-2_b");
        assert_eq!(name, Name::parse("pay.工行-2_b").unwrap());
    }

    #[test]
    fn what_a_name_lies_under_comes_from_below() {
        let name = Name::parse("a.b.c").unwrap();
        let node = |text| Name::parse(text).unwrap().node();
        assert_eq!(name.parents().collect::<Vec<_>>(), [("b.c", node("b.c")), ("c", node("c"))]);
        assert_eq!(Name::parse("c").unwrap().parents().count(), 0);
    }

    #[test]
    fn what_is_no_name_is_refused_with_the_place() {
        use InvalidName::{Length, Position, Reserved};
        let long = "a".repeat(97);
        let cases = [
            ("", Length(0)),
            (long.as_str(), Length(97)),
            ("a b", Position(1)),
            (".a", Position(0)),
            ("a..b", Position(2)),
            ("a.", Position(1)),
            ("-a", Position(0)),
            ("a.-b", Position(2)),
            ("a-.b", Position(1)),
            ("工-", Position(3)),
            ("工.", Position(3)),
            ("工é", Position(3)),
            // Full-width, compatibility (two ranges), zero-width, combining, and what another alphabet has of the same look.
            ("ａ", Position(0)),
            ("\u{f900}", Position(0)),
            ("a\u{2f800}", Position(1)),
            ("a\u{200d}", Position(1)),
            ("a\u{301}", Position(1)),
            ("\u{430}", Position(0)),
            ("a。b", Position(1)),
            ("reverse", Reserved),
            ("addr.Reverse", Reserved),
            ("0X00", Reserved),
        ];
        for (written, error) in cases {
            assert_eq!(Name::parse(written), Err(error), "{written:?}");
        }
        for written in ["a".repeat(96).as_str(), "a--b", "_", "1", "〇", "𠀀㐀", "reverse.a", "a.0x"] {
            assert!(Name::parse(written).is_ok(), "{written:?}");
        }
    }
}
