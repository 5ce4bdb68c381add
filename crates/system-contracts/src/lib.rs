//! The contracts that a chain of Lian has from its first block, as native code over ordinary contract storage.
//!
//! Invariants of this crate:
//! - it does no I/O and knows no EVM: storage, events and gas come in through [`Host`], so that the same code runs in
//!   blocks, calls, traces and tests;
//! - what a contract knows stands in its own storage, under the state root; nothing is kept beside it;
//! - rights are those of the caller, never of whoever signed the transaction;
//! - a call that is refused reverts with a typed Solidity error and has changed nothing.
//!
//! Main function: [`run`].

pub mod assets;
pub mod authorities;
pub mod committee;
pub mod configuration;
mod host;
pub mod interfaces;
pub mod members;
pub mod names;
pub mod permissions;
mod reason;
mod set;
pub mod storage;

pub use host::{CREDIT_GAS, Call, Failure, Halt, Host, credited};

use alloy_primitives::{Address, FixedBytes, U256};
use alloy_sol_types::SolInterface;
use interfaces::{
    IAssets, IAuthorities, ICommittee, IConfiguration, IMembers, INames, IPermissions, MalformedArguments, NotPayable,
    UnknownFunction,
};
use lian_types::{
    ASSETS_PROTOCOL, AUTHORITIES_PROTOCOL, COMMITTEE_PROTOCOL, Genesis, GroupGenesis, NAMES_PROTOCOL,
    PERMISSIONS_PROTOCOL,
};

/// Gas of a call besides storage and events: about what a Solidity contract pays to find its function and decode the
/// arguments, in units of gas.
const CALL_GAS: u64 = 1_000;
/// Gas of each 32 bytes of input, in units of gas: copying costs 3, hashing 6.
const WORD_GAS: u64 = 12;

/// The contracts that every chain with operators has from its first block.
const ORIGINAL: [Address; 2] = [configuration::ADDRESS, members::ADDRESS];
/// Those that came later, each with the version of the protocol that brings it ([`lian_types::PROTOCOLS`]).
const ADDED: [(Address, u64); 5] = [
    (assets::ADDRESS, ASSETS_PROTOCOL),
    (committee::ADDRESS, COMMITTEE_PROTOCOL),
    (permissions::ADDRESS, PERMISSIONS_PROTOCOL),
    (names::ADDRESS, NAMES_PROTOCOL),
    (authorities::ADDRESS, AUTHORITIES_PROTOCOL),
];

/// The contracts that there are by a version of the protocol.
pub fn addresses(protocol: u64) -> impl Iterator<Item = Address> {
    ORIGINAL.into_iter().chain(added(protocol))
}

/// Those of them that are not as old as the oldest chains: the first block by the version that brings one makes its
/// account.
pub fn added(protocol: u64) -> impl Iterator<Item = Address> {
    ADDED.into_iter().filter(move |(_, version)| *version <= protocol).map(|(address, _)| address)
}

/// Runs a call of the system contract at an address; gives what it returns.
///
/// # Errors
/// [`Failure`]; what was stored and emitted until then must be undone by the caller.
pub fn run(host: &mut dyn Host, contract: Address, call: &Call<'_>) -> Result<Vec<u8>, Failure> {
    let words = u64::try_from(call.input.len().div_ceil(32)).unwrap_or(u64::MAX);
    host.charge(CALL_GAS.saturating_add(words.saturating_mul(WORD_GAS)))?;
    if call.value > U256::ZERO {
        return Err(Failure::revert(&NotPayable { value: call.value }));
    }
    if contract == configuration::ADDRESS {
        configuration::run(host, call, decode::<IConfiguration::IConfigurationCalls>(call.input)?)
    } else if contract == members::ADDRESS {
        members::run(host, call, decode::<IMembers::IMembersCalls>(call.input)?)
    } else if contract == assets::ADDRESS {
        assets::run(host, call, decode::<IAssets::IAssetsCalls>(call.input)?)
    } else if contract == committee::ADDRESS {
        committee::run(host, call, decode::<ICommittee::ICommitteeCalls>(call.input)?)
    } else if contract == permissions::ADDRESS {
        permissions::run(host, call, decode::<IPermissions::IPermissionsCalls>(call.input)?)
    } else if contract == names::ADDRESS {
        names::run(host, call, decode::<INames::INamesCalls>(call.input)?)
    } else if contract == authorities::ADDRESS {
        authorities::run(host, call, decode::<IAuthorities::IAuthoritiesCalls>(call.input)?)
    } else {
        Err(Failure::revert(&UnknownFunction { selector: selector(call.input) }))
    }
}

/// Writes what a system contract holds at the beginning of a chain. One that comes later holds nothing then, nor do the
/// asset ledger, permissions, names and the authorities ever.
///
/// # Errors
/// Those of the host.
pub fn begin(host: &mut dyn Host, contract: Address, genesis: &Genesis, group: &GroupGenesis) -> Result<(), Halt> {
    if contract == configuration::ADDRESS {
        configuration::begin(host, group)
    } else if contract == members::ADDRESS {
        members::begin(host, genesis, group)
    } else if contract == committee::ADDRESS {
        committee::begin(host, group.committee.as_ref())
    } else {
        Ok(())
    }
}

fn selector(input: &[u8]) -> FixedBytes<4> {
    let mut selector = [0; 4];
    for (to, from) in selector.iter_mut().zip(input) {
        *to = *from;
    }
    selector.into()
}

fn decode<T: SolInterface>(input: &[u8]) -> Result<T, Failure> {
    let selector = selector(input);
    if input.len() < 4 || !T::valid_selector(selector.0) {
        return Err(Failure::revert(&UnknownFunction { selector }));
    }
    T::abi_decode_validate(input)
        .map_err(|error| Failure::revert(&MalformedArguments { selector, reason: error.to_string() }))
}
