//! Proposals and votes.

use super::{
    ADDRESS, COUNT, PROPOSALS, Verdict, load,
    membership::{accounts, weight_of},
    store, thresholds,
};
use crate::{
    Call, Failure, Halt, Host, addresses,
    host::{emit, within},
    interfaces::ICommittee::{self, Action, Proposal, State, Tally, Vote},
    reason::check_reason,
    storage::{Storage, after, entry},
};
use alloy_primitives::{Address, B256, Bytes, U256};
use alloy_sol_types::SolValue;

/// Most actions of a proposal.
pub const ACTIONS_MAX: usize = 16;
/// Most bytes of a proposal's encoded actions: what a transaction's gas can store, with room for checking them.
pub const ACTIONS_BYTES_MAX: usize = 12 * 1024;
/// Longest time for votes, in seconds: a year.
pub const DEADLINE_SECONDS_MAX: u64 = 365 * 86_400;
/// Most proposals that `proposals` gives at once.
pub const LIST_MAX: u64 = 20;

/// The slots of a proposal, after its first one, which holds the proposer.
const CREATED: u64 = 1;
const DEADLINE: u64 = 2;
/// The state, as Solidity numbers it.
const STATE: u64 = 3;
const REASON: u64 = 4;
/// The actions, encoded as `Action[]`.
const ACTIONS: u64 = 5;
/// Mapping from accounts to their votes: 1 approves, 2 rejects.
const VOTES: u64 = 6;
/// What decided it: approving, rejecting and all weight, in one slot each.
const TALLY: u64 = 7;

const APPROVES: U256 = U256::ONE;
const REJECTS: U256 = U256::from_limbs([2, 0, 0, 0]);

fn slot_of(id: U256) -> U256 {
    entry(PROPOSALS, B256::from(id))
}

fn vote_slot(id: U256, account: Address) -> U256 {
    entry(after(slot_of(id), VOTES), account.into_word())
}

/// Makes a proposal, with its proposer's vote.
pub(super) fn propose(
    host: &mut dyn Host,
    call: &Call<'_>,
    actions: &[Action],
    deadline: u64,
    reason: &str,
) -> Result<U256, Failure> {
    let proposer = call.caller;
    let weight = voting_weight(host, proposer)?;
    check_reason(reason)?;
    let encoded = check_actions(call, actions)?;
    let (least, most) = (call.time.saturating_add(1), call.time.saturating_add(DEADLINE_SECONDS_MAX));
    if !(least..=most).contains(&deadline) {
        return Err(Failure::revert(&ICommittee::InvalidDeadline { deadline, least, most }));
    }
    let id = load(host, COUNT)?.saturating_add(U256::ONE);
    store(host, COUNT, id)?;
    let slot = slot_of(id);
    store(host, slot, U256::from_be_bytes(proposer.into_word().0))?;
    store(host, after(slot, CREATED), U256::from(call.time))?;
    store(host, after(slot, DEADLINE), U256::from(deadline))?;
    let mut storage = Storage::of(host, ADDRESS);
    storage.store_bytes(after(slot, REASON), reason.as_bytes())?;
    storage.store_bytes(after(slot, ACTIONS), &encoded)?;
    let (actions_of_event, reason) = (actions.to_vec(), reason.to_owned());
    emit(host, &ICommittee::ProposalCreated { id, proposer, actions: actions_of_event, deadline, reason })?;
    let tally = cast(host, id, proposer, weight, true, "")?;
    let is_accepted = thresholds(host)?.decide(&tally, false) == Verdict::Accepted;
    if is_accepted {
        conclude(host, id, State::Executed, &tally)?;
    }
    // What is not possible now is not proposed: it would be found out only after all have voted.
    perform(host, call, actions, is_accepted)?.map_err(Refused::failure)?;
    if is_accepted {
        emit(host, &ICommittee::ProposalExecuted { id, tally })?;
    }
    Ok(id)
}

/// The actions as they are stored, where they may be proposed.
fn check_actions(call: &Call<'_>, actions: &[Action]) -> Result<Vec<u8>, Failure> {
    if actions.is_empty() {
        return Err(Failure::revert(&ICommittee::NoActions {}));
    }
    if actions.len() > ACTIONS_MAX {
        let (count, limit) = (U256::from(actions.len()), U256::from(ACTIONS_MAX));
        return Err(Failure::revert(&ICommittee::TooMany { count, limit }));
    }
    let is_unknown = |(_, action): &(usize, &Action)| addresses(call.protocol).all(|known| known != action.target);
    if let Some((position, Action { target, .. })) = actions.iter().enumerate().find(is_unknown) {
        return Err(Failure::revert(&ICommittee::InvalidTarget { action: U256::from(position), target: *target }));
    }
    let encoded = actions.abi_encode();
    if encoded.len() > ACTIONS_BYTES_MAX {
        let (length, limit) = (U256::from(encoded.len()), U256::from(ACTIONS_BYTES_MAX));
        return Err(Failure::revert(&ICommittee::ActionsTooLong { length, limit }));
    }
    Ok(encoded)
}

pub(super) fn vote(
    host: &mut dyn Host,
    call: &Call<'_>,
    id: U256,
    approves: bool,
    reason: &str,
) -> Result<(), Failure> {
    let weight = voting_weight(host, call.caller)?;
    check_reason(reason)?;
    open(host, call, id)?;
    let tally = cast(host, id, call.caller, weight, approves, reason)?;
    let verdict = thresholds(host)?.decide(&tally, false);
    finish(host, call, id, verdict, tally)
}

pub(super) fn revoke_vote(host: &mut dyn Host, call: &Call<'_>, id: U256) -> Result<(), Failure> {
    let account = call.caller;
    voting_weight(host, account)?;
    open(host, call, id)?;
    let slot = vote_slot(id, account);
    if load(host, slot)?.is_zero() {
        return Err(Failure::revert(&ICommittee::NoVote { id, account }));
    }
    store(host, slot, U256::ZERO)?;
    let tally = count(host, id)?;
    emit(host, &ICommittee::VoteRevoked { id, account, tally })
}

pub(super) fn cancel(host: &mut dyn Host, call: &Call<'_>, id: U256) -> Result<(), Failure> {
    let (proposer, caller) = (active(host, id)?, call.caller);
    if proposer != caller {
        return Err(Failure::revert(&ICommittee::NotProposer { id, caller }));
    }
    let tally = count(host, id)?;
    conclude(host, id, State::Canceled, &tally)?;
    emit(host, &ICommittee::ProposalCanceled { id })
}

pub(super) fn settle(host: &mut dyn Host, call: &Call<'_>, id: U256) -> Result<(), Failure> {
    active(host, id)?;
    let deadline = deadline_of(host, id)?;
    if call.time < deadline {
        return Err(Failure::revert(&ICommittee::VotingOpen { id, deadline }));
    }
    let tally = count(host, id)?;
    let verdict = thresholds(host)?.decide(&tally, true);
    finish(host, call, id, verdict, tally)
}

/// What a decision brings about, if it is one.
fn finish(host: &mut dyn Host, call: &Call<'_>, id: U256, verdict: Verdict, tally: Tally) -> Result<(), Failure> {
    match verdict {
        Verdict::Undecided => Ok(()),
        Verdict::Defeated => {
            conclude(host, id, State::Defeated, &tally)?;
            emit(host, &ICommittee::ProposalDefeated { id, tally })
        }
        Verdict::Accepted => {
            conclude(host, id, State::Executed, &tally)?;
            let actions = actions_of(host, id)?;
            match perform(host, call, &actions, true)? {
                Ok(()) => emit(host, &ICommittee::ProposalExecuted { id, tally }),
                // It was possible once: what it was to change has changed since. The vote stands.
                Err(Refused { action, data }) => {
                    store(host, after(slot_of(id), STATE), U256::from(State::Failed as u8))?;
                    let action = U256::from(action);
                    emit(host, &ICommittee::ProposalFailed { id, tally, action, revertData: data })
                }
            }
        }
    }
}

/// An action that was refused.
struct Refused {
    action: usize,
    data: Bytes,
}

impl Refused {
    fn failure(self) -> Failure {
        Failure::revert(&ICommittee::ActionFailed { action: U256::from(self.action), revertData: self.data })
    }
}

/// Makes the calls, all or none, or only tries them.
fn perform(
    host: &mut dyn Host,
    call: &Call<'_>,
    actions: &[Action],
    is_kept: bool,
) -> Result<Result<(), Refused>, Failure> {
    /// Why what was done is undone.
    enum Undone {
        Refused(Refused),
        Tried,
        Halted(Halt),
    }
    let all = within(host, ADDRESS, |host| {
        for (action, Action { target, data }) in actions.iter().enumerate() {
            let part = Call { caller: ADDRESS, value: U256::ZERO, input: data, ..call.clone() };
            match within(host, *target, |host| crate::run(host, *target, &part)) {
                Ok(_) => {}
                Err(Failure::Revert(data)) => return Err(Undone::Refused(Refused { action, data })),
                Err(Failure::Halt(halt)) => return Err(Undone::Halted(halt)),
            }
        }
        if is_kept { Ok(()) } else { Err(Undone::Tried) }
    });
    match all {
        Ok(()) | Err(Undone::Tried) => Ok(Ok(())),
        Err(Undone::Refused(refused)) => Ok(Err(refused)),
        Err(Undone::Halted(halt)) => Err(halt.into()),
    }
}

/// A member's weight.
fn voting_weight(host: &mut dyn Host, caller: Address) -> Result<u32, Failure> {
    match weight_of(host, caller)? {
        0 => Err(Failure::revert(&ICommittee::NotMember { caller })),
        weight => Ok(weight),
    }
}

/// The proposer of a proposal that is not decided.
fn active(host: &mut dyn Host, id: U256) -> Result<Address, Failure> {
    let proposer = proposer_of(host, id)?;
    match state_of(host, id)? {
        State::Active => Ok(proposer),
        state => Err(Failure::revert(&ICommittee::NotActive { id, state })),
    }
}

/// It can be voted on.
fn open(host: &mut dyn Host, call: &Call<'_>, id: U256) -> Result<(), Failure> {
    active(host, id)?;
    let deadline = deadline_of(host, id)?;
    if call.time < deadline { Ok(()) } else { Err(Failure::revert(&ICommittee::VotingOver { id, deadline })) }
}

/// Records a vote, and gives what all count together.
fn cast(
    host: &mut dyn Host,
    id: U256,
    account: Address,
    weight: u32,
    approves: bool,
    reason: &str,
) -> Result<Tally, Failure> {
    store(host, vote_slot(id, account), if approves { APPROVES } else { REJECTS })?;
    let tally = count(host, id)?;
    emit(
        host,
        &ICommittee::VoteCast { id, account, approves, weight, reason: reason.to_owned(), tally: tally.clone() },
    )?;
    Ok(tally)
}

/// What the votes of those who are members now count, with the weights that they have now.
fn count(host: &mut dyn Host, id: U256) -> Result<Tally, Halt> {
    let mut tally = Tally { approving: 0, rejecting: 0, total: 0 };
    for account in accounts(host)? {
        let weight = u64::from(weight_of(host, account)?);
        let vote = load(host, vote_slot(id, account))?;
        tally.total = tally.total.saturating_add(weight);
        if vote == APPROVES {
            tally.approving = tally.approving.saturating_add(weight);
        } else if vote == REJECTS {
            tally.rejecting = tally.rejecting.saturating_add(weight);
        }
    }
    Ok(tally)
}

/// Records what has become of a proposal, and by which votes.
fn conclude(host: &mut dyn Host, id: U256, state: State, tally: &Tally) -> Result<(), Halt> {
    let slot = slot_of(id);
    store(host, after(slot, STATE), U256::from(state as u8))?;
    for (index, weight) in (TALLY..).zip([tally.approving, tally.rejecting, tally.total]) {
        store(host, after(slot, index), U256::from(weight))?;
    }
    Ok(())
}

fn proposer_of(host: &mut dyn Host, id: U256) -> Result<Address, Failure> {
    if id.is_zero() || id > load(host, COUNT)? {
        return Err(Failure::revert(&ICommittee::UnknownProposal { id }));
    }
    Ok(Address::from_word(load(host, slot_of(id))?.into()))
}

fn state_of(host: &mut dyn Host, id: U256) -> Result<State, Halt> {
    let state = load(host, after(slot_of(id), STATE))?;
    State::try_from(state.byte(0)).map_err(|_| Halt::State(format!("proposal {id} has the state {state}")))
}

fn deadline_of(host: &mut dyn Host, id: U256) -> Result<u64, Halt> {
    Ok(load(host, after(slot_of(id), DEADLINE))?.saturating_to())
}

fn actions_of(host: &mut dyn Host, id: U256) -> Result<Vec<Action>, Halt> {
    let encoded = Storage::of(host, ADDRESS).load_long(after(slot_of(id), ACTIONS), ACTIONS_BYTES_MAX)?;
    let unreadable = |error| Halt::State(format!("the actions of proposal {id} cannot be read: {error}"));
    Vec::<Action>::abi_decode_validate(&encoded).map_err(unreadable)
}

pub(super) fn find(host: &mut dyn Host, id: U256) -> Result<Proposal, Failure> {
    let proposer = proposer_of(host, id)?;
    let (slot, state) = (slot_of(id), state_of(host, id)?);
    let tally = if matches!(state, State::Active) {
        count(host, id)?
    } else {
        let mut weights = [0; 3];
        for (index, weight) in (TALLY..).zip(&mut weights) {
            *weight = load(host, after(slot, index))?.saturating_to();
        }
        let [approving, rejecting, total] = weights;
        Tally { approving, rejecting, total }
    };
    Ok(Proposal {
        id,
        proposer,
        created: load(host, after(slot, CREATED))?.saturating_to(),
        deadline: deadline_of(host, id)?,
        state,
        tally,
        reason: Storage::of(host, ADDRESS).load_text(after(slot, REASON))?,
        actions: actions_of(host, id)?,
    })
}

/// Who has voted, of those who are members now.
pub(super) fn votes(host: &mut dyn Host, id: U256) -> Result<Vec<Vote>, Failure> {
    proposer_of(host, id)?;
    let mut votes = Vec::new();
    for account in accounts(host)? {
        let vote = load(host, vote_slot(id, account))?;
        if !vote.is_zero() {
            votes.push(Vote { account, approves: vote == APPROVES });
        }
    }
    Ok(votes)
}

pub(super) fn list(host: &mut dyn Host, from: U256, limit: U256) -> Result<Vec<Proposal>, Failure> {
    let mut id = from.min(load(host, COUNT)?);
    let mut list = Vec::new();
    for _ in 0..limit.saturating_to::<u64>().min(LIST_MAX) {
        if id.is_zero() {
            break;
        }
        list.push(find(host, id)?);
        id = id.saturating_sub(U256::ONE);
    }
    Ok(list)
}
