//! Aliases: where they are, what their code says, and whose code runs instead.

use super::{
    ADDRESS, load,
    record::{Pointer, answering_slot, canary_callers, canary_round_slot, canary_rule_slot, canary_slot},
};
use crate::{
    Halt, Host,
    interfaces::{INameRule, INames},
};
use alloy_primitives::{Address, B256, FixedBytes, U256, keccak256};
use alloy_sol_types::SolCall;

/// How a marker begins. No contract's code does (EIP-3541), and EIP-7702 has the next byte 1.
const MAGIC: [u8; 2] = [0xef, 0x02];
/// Length of a marker, in bytes: the magic ones, the kind and the node.
pub const MARKER_BYTES: usize = 35;
/// Gas for finding a caller's share, in units of gas: hashing 52 bytes, as the EVM charges it.
const SHARE_GAS: u64 = 42;
/// All callers, in hundredths of a per cent.
pub(super) const BASIS_POINTS: u16 = 10_000;

/// What calling an alias means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// The version's code runs with the alias's storage and balance.
    StateKeeping = 1,
    /// The call goes on to the version's own contract.
    Forwarding = 2,
}

impl Kind {
    pub(super) const fn of(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::StateKeeping),
            2 => Some(Self::Forwarding),
            _ => None,
        }
    }
}

impl From<Kind> for INames::Kind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::StateKeeping => Self::StateKeeping,
            Kind::Forwarding => Self::Forwarding,
        }
    }
}

/// Where the alias of a name is.
#[must_use]
pub fn alias(node: B256) -> Address {
    let mut bytes = [0; 52];
    bytes[..20].copy_from_slice(ADDRESS.as_slice());
    bytes[20..].copy_from_slice(node.as_slice());
    Address::from_word(keccak256(bytes))
}

/// Where a name has its alias, and where it says what answers: two hashes, which whoever routes many calls keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    node: B256,
    /// The alias.
    pub alias: Address,
    answering: U256,
}

impl Place {
    /// That of a node.
    #[must_use]
    pub fn of(node: B256) -> Self {
        Self { node, alias: alias(node), answering: answering_slot(node) }
    }
}

/// The code of an alias.
#[must_use]
pub fn marker(kind: Kind, node: B256) -> [u8; MARKER_BYTES] {
    let mut code = [0; MARKER_BYTES];
    code[..2].copy_from_slice(&MAGIC);
    code[2] = kind as u8;
    code[3..].copy_from_slice(node.as_slice());
    code
}

/// What an alias's code says; nothing of any other code, of which two bytes are looked at.
#[must_use]
pub fn alias_of(code: &[u8]) -> Option<(Kind, B256)> {
    let (kind, node) = code.strip_prefix(&MAGIC)?.split_first()?;
    Some((Kind::of(*kind)?, B256::try_from(node).ok()?))
}

/// A version that answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Its number under the name, from 1 in the order of publication.
    pub number: u16,
    /// Where its code is.
    pub target: Address,
}

/// What answers a caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// This version.
    To(Answer),
    /// What a contract decides.
    Rule {
        /// The contract.
        rule: Address,
        /// What answers unless it says that the canary does.
        current: Answer,
        /// The canary.
        candidate: Answer,
    },
}

/// Which version of a name answers a caller; nothing where none does.
///
/// # Errors
/// [`Halt`].
pub fn route(host: &mut dyn Host, place: &Place, caller: Address) -> Result<Option<Route>, Halt> {
    let node = place.node;
    let current = Pointer::of(load(host, place.answering)?);
    if current.target.is_zero() {
        return Ok(None);
    }
    if !current.has(Pointer::CANARY) {
        return Ok(Some(Route::To(current.answer())));
    }
    let canary = Pointer::of(load(host, canary_slot(node))?);
    if canary.has(Pointer::CALLERS) {
        let round = load(host, canary_round_slot(node))?;
        if canary_callers(node, round).contains(host, caller.into_word())? {
            return Ok(Some(Route::To(canary.answer())));
        }
    }
    if canary.has(Pointer::RULE) {
        let rule = Address::from_word(load(host, canary_rule_slot(node))?.into());
        return Ok(Some(Route::Rule { rule, current: current.answer(), candidate: canary.answer() }));
    }
    host.charge(SHARE_GAS)?;
    let is_within = share(node, caller) < canary.basis_points;
    Ok(Some(Route::To(if is_within { canary } else { current }.answer())))
}

/// What a rule is asked: whether the canary answers a call of a function.
#[must_use]
pub fn rule_question(node: B256, caller: Address, selector: FixedBytes<4>) -> Vec<u8> {
    INameRule::routeCall { node, caller, selector }.abi_encode()
}

/// Whether a rule has said that it does. What is neither yes nor no is no.
#[must_use]
pub fn rule_consents(output: &[u8]) -> bool {
    output.len() == 32 && INameRule::routeCall::abi_decode_returns_validate(output).unwrap_or(false)
}

/// Where a caller stands among all, from 0 on, in hundredths of a per cent: the same at any time, and another under each name.
fn share(node: B256, caller: Address) -> u16 {
    let mut bytes = [0; 52];
    bytes[..32].copy_from_slice(node.as_slice());
    bytes[32..].copy_from_slice(caller.as_slice());
    let hash = U256::from_be_bytes(keccak256(bytes).0);
    hash.checked_rem(U256::from(BASIS_POINTS)).unwrap_or_default().saturating_to()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markers_are_told_from_other_code() {
        let node = B256::repeat_byte(0xab);
        for kind in [Kind::StateKeeping, Kind::Forwarding] {
            let code = marker(kind, node);
            assert_eq!(alias_of(&code), Some((kind, node)));
            assert_eq!(alias_of(&code[..34]), None);
            assert_eq!(alias_of(&[code.as_slice(), &[0]].concat()), None);
        }
        for (position, value) in [(0, 0x60), (1, 0x01), (2, 0), (2, 3)] {
            let mut code = marker(Kind::Forwarding, node);
            code[position] = value;
            assert_eq!(alias_of(&code), None);
        }
        assert_eq!(alias_of(&[]), None);
    }

    #[test]
    fn only_a_whole_yes_is_one() {
        let yes = U256::ONE.to_be_bytes::<32>();
        assert!(rule_consents(&yes));
        let two = U256::from(2).to_be_bytes::<32>();
        for other in [[0; 32].as_slice(), &two, &yes[..31], &[yes, yes].concat(), &[]] {
            assert!(!rule_consents(other), "{other:?}");
        }
    }

    #[test]
    fn shares_are_even() {
        let node = B256::repeat_byte(7);
        let below = |limit| {
            (0..10_000_u64).filter(|number| share(node, Address::from_word(U256::from(*number).into())) < limit).count()
        };
        assert_eq!(below(0), 0);
        assert!((900..1_100).contains(&below(1_000)), "{}", below(1_000));
        assert!((4_800..5_200).contains(&below(5_000)), "{}", below(5_000));
        assert_eq!(below(10_000), 10_000);
    }
}
