//! 0x2004: the committee, which decides what changes in a group.
//!
//! A proposal is a list of calls of system contracts. The committee makes them itself, in the call that decides, all or
//! none. Once it is established, it alone has the rights of operators.
//!
//! It cannot lock itself out: there is always a member, every member has weight, and thresholds are at most 100 per cent, so
//! that all members together can decide anything.
//!
//! Storage, laid out as Solidity would:
//!
//! | slot | type | what |
//! |---|---|---|
//! | 0, 1 | `uint8` | the thresholds: participation and approval, in per cent |
//! | 2 | `address[]` | the members |
//! | 3 | `mapping(address => Member)` | a member's weight, position in the list from 1, institution (`committee/membership.rs`) |
//! | 4 | `uint256` | how many proposals there were |
//! | 5 | `mapping(uint256 => Proposal)` | the proposals (`committee/proposals.rs`) |

mod membership;
mod proposals;
mod tally;

use crate::{
    Call, Failure, Halt, Host,
    host::emit,
    interfaces::ICommittee::{self, ICommitteeCalls},
    storage::Storage,
};
use alloy_primitives::{Address, U256, address};
use alloy_sol_types::SolCall;
use lian_types::CommitteeGenesis;
pub use membership::MEMBERS_MAX;
pub(crate) use membership::accounts;
pub use proposals::{ACTIONS_BYTES_MAX, ACTIONS_MAX, DEADLINE_SECONDS_MAX, LIST_MAX};
pub use tally::{Thresholds, Verdict};

/// Where the contract is.
pub const ADDRESS: Address = address!("0000000000000000000000000000000000002004");

/// The thresholds.
const PARTICIPATION: U256 = U256::ZERO;
const APPROVAL: U256 = U256::ONE;
/// Array of members' accounts.
const MEMBERS: U256 = U256::from_limbs([2, 0, 0, 0]);
/// Mapping from an account to the member.
const MEMBER: U256 = U256::from_limbs([3, 0, 0, 0]);
/// How many proposals there were.
const COUNT: U256 = U256::from_limbs([4, 0, 0, 0]);
/// Mapping from a number to the proposal.
const PROPOSALS: U256 = U256::from_limbs([5, 0, 0, 0]);

/// Whether there is a committee.
///
/// # Errors
/// [`Halt`].
pub fn is_established(host: &mut dyn Host) -> Result<bool, Halt> {
    Ok(!load(host, MEMBERS)?.is_zero())
}

/// Whether an account is in the committee.
///
/// # Errors
/// [`Halt`].
pub(crate) fn is_member(host: &mut dyn Host, account: Address) -> Result<bool, Halt> {
    Ok(membership::weight_of(host, account)? > 0)
}

/// What the contract holds at the beginning: the committee of genesis, where it names one.
///
/// # Errors
/// Those of the host.
pub(crate) fn begin(host: &mut dyn Host, committee: Option<&CommitteeGenesis>) -> Result<(), Halt> {
    let Some(CommitteeGenesis { participation, approval, members }) = committee else { return Ok(()) };
    for member in members {
        membership::store_new(host, member.account, &member.institution, member.weight)?;
    }
    store_thresholds(host, Thresholds { participation: *participation, approval: *approval })
}

/// Runs a call.
pub(crate) fn run(host: &mut dyn Host, call: &Call<'_>, input: ICommitteeCalls) -> Result<Vec<u8>, Failure> {
    use ICommittee as C;
    use ICommitteeCalls as Calls;
    let done = |()| Vec::new();
    match input {
        Calls::establish(first) => membership::establish(host, call, &first).map(done),
        Calls::propose(new) => {
            let id = proposals::propose(host, call, &new.actions, new.deadline, &new.reason)?;
            Ok(C::proposeCall::abi_encode_returns(&id))
        }
        Calls::vote(cast) => proposals::vote(host, call, cast.id, cast.approves, &cast.reason).map(done),
        Calls::revokeVote(of) => proposals::revoke_vote(host, call, of.id).map(done),
        Calls::cancel(of) => proposals::cancel(host, call, of.id).map(done),
        Calls::settle(of) => proposals::settle(host, call, of.id).map(done),
        Calls::setMember(set) => {
            decided(call)?;
            membership::set(host, set.account, &set.institution, set.weight).map(done)
        }
        Calls::removeMember(of) => {
            decided(call)?;
            membership::remove(host, of.account).map(done)
        }
        Calls::setThresholds(set) => {
            decided(call)?;
            set_thresholds(host, Thresholds { participation: set.participation, approval: set.approval }).map(done)
        }
        Calls::members(_) => Ok(C::membersCall::abi_encode_returns(&membership::list(host)?)),
        Calls::thresholds(_) => {
            let Thresholds { participation, approval } = thresholds(host)?;
            Ok(C::thresholdsCall::abi_encode_returns(&C::thresholdsReturn { participation, approval }))
        }
        Calls::proposal(of) => Ok(C::proposalCall::abi_encode_returns(&proposals::find(host, of.id)?)),
        Calls::votes(of) => Ok(C::votesCall::abi_encode_returns(&proposals::votes(host, of.id)?)),
        Calls::count(_) => Ok(C::countCall::abi_encode_returns(&load(host, COUNT)?)),
        Calls::proposals(of) => Ok(C::proposalsCall::abi_encode_returns(&proposals::list(host, of.from, of.limit)?)),
    }
}

/// What only a proposal may do.
fn decided(call: &Call<'_>) -> Result<(), Failure> {
    let caller = call.caller;
    if caller == ADDRESS { Ok(()) } else { Err(Failure::revert(&ICommittee::NotAuthorized { caller })) }
}

fn thresholds(host: &mut dyn Host) -> Result<Thresholds, Halt> {
    Ok(Thresholds { participation: load(host, PARTICIPATION)?.byte(0), approval: load(host, APPROVAL)?.byte(0) })
}

fn set_thresholds(host: &mut dyn Host, thresholds: Thresholds) -> Result<(), Failure> {
    let Thresholds { participation, approval } = thresholds;
    if !thresholds.are_valid() {
        return Err(Failure::revert(&ICommittee::InvalidThresholds { participation, approval }));
    }
    store_thresholds(host, thresholds)?;
    emit(host, &ICommittee::ThresholdsSet { participation, approval })
}

fn store_thresholds(host: &mut dyn Host, thresholds: Thresholds) -> Result<(), Halt> {
    store(host, PARTICIPATION, U256::from(thresholds.participation))?;
    store(host, APPROVAL, U256::from(thresholds.approval))
}

fn load(host: &mut dyn Host, slot: U256) -> Result<U256, Halt> {
    Storage::of(host, ADDRESS).load(slot)
}

fn store(host: &mut dyn Host, slot: U256, value: U256) -> Result<(), Halt> {
    Storage::of(host, ADDRESS).store(slot, value)
}
