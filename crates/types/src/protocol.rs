//! Versions of the rules that all members of a group must have in common.
//!
//! A rule that decides what is in a block may change only for all members at the same height. Whoever changes one adds a
//! version here and asks for the version that acts at a height wherever the rule is applied. Operators switch it on by the
//! configuration contract's parameter [`PROTOCOL_PARAMETER`]; it acts a window of blocks later, as every parameter does. A
//! new chain begins with the latest version.

use crate::BlockNumber;

/// A version of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Protocol {
    /// Its number; the position in [`PROTOCOLS`].
    pub version: u64,
    /// Its name.
    pub name: &'static str,
    /// What it changes, in a sentence for operators.
    pub changes: &'static str,
}

/// Every version that this program knows, by rising number.
pub const PROTOCOLS: [Protocol; 6] = [
    Protocol { version: 0, name: "base", changes: "The first rules." },
    Protocol {
        version: ASSETS_PROTOCOL,
        name: "assets",
        changes: "There is the native asset ledger, the system contract at 0x2009.",
    },
    Protocol {
        version: COMMITTEE_PROTOCOL,
        name: "committee",
        changes: "Operators can hand over to a committee, the system contract at 0x2004.",
    },
    Protocol {
        version: PERMISSIONS_PROTOCOL,
        name: "permissions",
        changes: "There are roles, rules about calls and creations, and freezing, by the system contract at 0x2003.",
    },
    Protocol {
        version: NAMES_PROTOCOL,
        name: "names",
        changes: "Contracts have names, with aliases to call them by, in the system contract at 0x2002.",
    },
    Protocol {
        version: AUTHORITIES_PROTOCOL,
        name: "authorities",
        changes: "Certificate authorities and revocations are on chain, in the system contract at 0x2008.",
    },
];

/// The version that brings the native asset ledger.
pub const ASSETS_PROTOCOL: u64 = 1;

/// The version that brings the committee.
pub const COMMITTEE_PROTOCOL: u64 = 2;

/// The version that brings permissions.
pub const PERMISSIONS_PROTOCOL: u64 = 3;

/// The version that brings names for contracts.
pub const NAMES_PROTOCOL: u64 = 4;

/// The version that brings certificate authorities and revocations.
pub const AUTHORITIES_PROTOCOL: u64 = 5;

/// The latest version that this program knows.
pub const PROTOCOL_VERSION_MAX: u64 = PROTOCOLS[PROTOCOLS.len() - 1].version;

/// The parameter's name.
pub const PROTOCOL_PARAMETER: &str = "protocol_version";

/// The chain's rules change to what this program does not know: it must stop below that block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "protocol version {version} acts from block {from} on, and this program knows versions up to {known}: \
     replace it with a newer one"
)]
pub struct UnknownProtocol {
    /// The version.
    pub version: u64,
    /// The first block made by its rules.
    pub from: BlockNumber,
    /// The latest version that this program knows.
    pub known: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_their_positions_and_say_what_they_change() {
        for (position, protocol) in (0..).zip(PROTOCOLS) {
            assert_eq!(protocol.version, position);
            assert!(!protocol.name.is_empty() && protocol.changes.ends_with('.'), "{protocol:?}");
        }
        assert_eq!(PROTOCOLS.last().map(|protocol| protocol.version), Some(PROTOCOL_VERSION_MAX));
    }
}
