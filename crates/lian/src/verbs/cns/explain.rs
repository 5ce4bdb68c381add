//! The contract's refusals in words.

use super::canary::percent;
use crate::verbs::gov::explain::of_any;
use alloy_sol_types::SolInterface;
use lian_system_contracts::interfaces::INames::{self, INamesErrors};

/// A revert's data in words; nothing where it is none of the contract's errors.
pub(super) fn explain(data: &[u8]) -> Option<String> {
    INamesErrors::abi_decode(data).ok().map(in_words).or_else(|| of_any(data))
}

fn in_words(error: INamesErrors) -> String {
    use INamesErrors as E;
    match error {
        E::NotAuthorized(INames::NotAuthorized { caller, .. }) => {
            format!("{caller} may not do this: the name's owner may, and for versions and canaries its delegates")
        }
        E::NameLength(INames::NameLength { length, limit }) => {
            format!("a name has 1 to {limit} bytes, this one has {length}")
        }
        E::InvalidName(INames::InvalidName { name, position }) => format!(
            "`{name}` is not a name: byte {position} (from 0) cannot stand there; allowed are letters, digits, `.`, `-`, `_` \
             and Chinese characters"
        ),
        E::ReservedName(INames::ReservedName { name }) => {
            format!("`{name}` is reserved: no name ends in `reverse` or begins with `0x`")
        }
        E::NameTaken(INames::NameTaken { name, owner }) => format!("the name `{name}` is taken: {owner} owns it"),
        E::AliasTaken(INames::AliasTaken { aliasAddress }) => {
            format!("there is an account at {aliasAddress}, where the name's alias would be")
        }
        E::UnderName(INames::UnderName { name, parent, caller }) => {
            format!("`{name}` lies under `{parent}`, which {caller} does not own")
        }
        E::UnknownName(INames::UnknownName { name }) => {
            format!("there is no name `{name}`; `lian cns list` shows all")
        }
        E::InvalidKind(_) => "a name is state-keeping or forwarding".to_owned(),
        E::InvalidOwner(INames::InvalidOwner { owner }) => format!("{owner} is nobody's address"),
        other => of_versions(other),
    }
}

fn of_versions(error: INamesErrors) -> String {
    use INamesErrors as E;
    match error {
        E::InvalidVersion(INames::InvalidVersion { version }) => {
            format!("`{version}` is not a version: 1 to 32 letters, digits, `.`, `-`, `_` and `+`")
        }
        E::VersionTaken(INames::VersionTaken { version }) => format!("there is a version `{version}` already"),
        E::UnknownVersion(INames::UnknownVersion { version }) => format!("there is no version `{version}`"),
        E::NoVersion(_) => "the name has no version yet: `lian cns publish` adds one".to_owned(),
        E::InvalidTarget(INames::InvalidTarget { target }) => {
            format!(
                "{target} is no contract that can stand here: it has no code, delegates, is an alias or the chain's own"
            )
        }
        E::InvalidAbi(INames::InvalidAbi { contentType, length }) => {
            format!(
                "an ABI of {length} bytes and content type {contentType} cannot be kept: at most 16,384 bytes, type 1 or 2"
            )
        }
        E::MetadataTooLong(INames::MetadataTooLong { length, limit }) => {
            format!("metadata of {length} bytes is too long, the limit is {limit}")
        }
        E::ReasonTooLong(INames::ReasonTooLong { length, limit }) => {
            format!("a reason of {length} bytes is too long, the limit is {limit}: refer to a document")
        }
        E::TooMany(INames::TooMany { count, limit }) => format!("{count} are too many, the limit is {limit}"),
        E::AlreadyCurrent(INames::AlreadyCurrent { version }) => format!("version `{version}` answers already"),
        E::NotEarlier(INames::NotEarlier { version, current }) => format!(
            "version `{version}` was not published before `{current}`, which answers: `lian cns switch` goes to later ones"
        ),
        E::CanaryRunning(_) => "there is a canary: finish or abort it first".to_owned(),
        E::NoCanary(_) => "there is no canary".to_owned(),
        E::CanaryIsHeld(_) => "the canary is held: release or abort it first".to_owned(),
        E::CanaryNotHeld(_) => "the canary is not held".to_owned(),
        E::InvalidWeight(INames::InvalidWeight { basisPoints }) => {
            format!("a share of {} is none: 0 to 100 %", percent(basisPoints))
        }
        _ => "the name cannot be resolved".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::Address;
    use alloy_sol_types::SolError;

    #[test]
    fn refusals_are_explained() {
        let owner = Address::repeat_byte(7);
        let data = INames::NameTaken { name: "bank".into(), owner }.abi_encode();
        assert_eq!(explain(&data), Some(format!("the name `bank` is taken: {owner} owns it")));
        let data = INames::AlreadyCurrent { version: "2".into() }.abi_encode();
        assert_eq!(explain(&data).as_deref(), Some("version `2` answers already"));
        assert_eq!(explain(&[1, 2, 3, 4]), None);
    }
}
