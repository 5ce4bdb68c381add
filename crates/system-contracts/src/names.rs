//! 0x2002: names for contracts, with versions, one of which answers, and an alias, at which anyone calls whatever answers.
//!
//! An alias is an account with a marker for code ([`alias_of`]). A call of it never runs the marker: the EVM asks [`route`]
//! whose code to run instead. That reads one slot, and two or three while there is a canary.
//!
//! Storage, laid out as Solidity would, a set (`set.rs`) being two slots:
//!
//! | slot | type | what |
//! |---|---|---|
//! | 0 | `bytes32[]` | the nodes of all names |
//! | 1 | `mapping(bytes32 => Record)` | what is known of a name, by its node (`names/record.rs`) |
//! | 2 | `mapping(bytes32 => bytes32)` | from the node by which ENS asks for an alias's name to the name's own |

mod alias;
mod canary;
mod ens;
mod owner;
mod record;
mod register;
mod show;
mod text;
mod version;

use crate::{
    Call, Failure, Halt, Host,
    interfaces::INames::{self, INamesCalls},
    reason::check_reason,
    storage::Storage,
};
pub use alias::{
    Answer, Kind, MARKER_BYTES, Place, Route, alias, alias_of, marker, route, rule_consents, rule_question,
};
use alloy_primitives::{Address, U256, address};
use alloy_sol_types::SolCall;
pub use text::{InvalidName, Name, namehash};

/// Where the contract is.
pub const ADDRESS: Address = address!("0000000000000000000000000000000000002002");

/// Array of all nodes.
const NODES: U256 = U256::ZERO;
/// Mapping from nodes to records.
const RECORDS: U256 = U256::ONE;
/// Mapping from the nodes of aliases' addresses to nodes of names.
const REVERSE: U256 = U256::from_limbs([2, 0, 0, 0]);

/// Most names, versions or switches that are given at once.
pub const LIST_MAX: u64 = 20;
/// Most callers that are listed, or given, at once.
pub const CALLERS_LIST_MAX: u64 = 100;

/// Runs a call.
pub(crate) fn run(host: &mut dyn Host, call: &Call<'_>, input: INamesCalls) -> Result<Vec<u8>, Failure> {
    use INames as N;
    use INamesCalls as Calls;
    let done = |()| Vec::new();
    match input {
        Calls::register(new) => {
            let (node, alias) = register::register(host, call, &new.name, new.kind, None)?;
            Ok(N::registerCall::abi_encode_returns(&N::registerReturn { node, aliasAddress: alias }))
        }
        Calls::registerVersion(new) => {
            let (node, alias) = register::register(host, call, &new.name, new.kind, Some(&new.first))?;
            Ok(N::registerVersionCall::abi_encode_returns(&N::registerVersionReturn { node, aliasAddress: alias }))
        }
        Calls::publish(new) => version::publish(host, call, &new.name, &new.publication).map(done),
        Calls::switchTo(to) => version::switch_to(host, call, &to.name, &to.version, &to.reason).map(done),
        Calls::rollback(to) => version::rollback(host, call, &to.name, &to.version, &to.reason).map(done),
        Calls::startCanary(new) => canary::start(host, call, &new).map(done),
        Calls::setCanaryWeight(set) => {
            canary::set_weight(host, call, &set.name, set.basisPoints, &set.reason).map(done)
        }
        Calls::setCanaryCallers(set) => canary::set_callers(host, call, &set.name, &set.callers, set.listed).map(done),
        Calls::setCanaryRule(set) => canary::set_rule(host, call, &set.name, set.rule, &set.reason).map(done),
        Calls::holdCanary(of) => canary::set_held(host, call, &of.name, true, &of.reason).map(done),
        Calls::releaseCanary(of) => canary::set_held(host, call, &of.name, false, &of.reason).map(done),
        Calls::abortCanary(of) => canary::abort(host, call, &of.name, &of.reason).map(done),
        Calls::finishCanary(of) => canary::finish(host, call, &of.name, &of.reason).map(done),
        Calls::setDelegate(set) => owner::set_delegate(host, call, &set.name, set.account, set.allowed).map(done),
        Calls::transfer(to) => owner::transfer(host, call, &to.name, to.to, &to.reason).map(done),
        question => show::answer(host, question),
    }
}

fn load(host: &mut dyn Host, slot: U256) -> Result<U256, Halt> {
    Storage::of(host, ADDRESS).load(slot)
}

fn store(host: &mut dyn Host, slot: U256, value: U256) -> Result<(), Halt> {
    Storage::of(host, ADDRESS).store(slot, value)
}
