//! 0x2003: who may do what, besides governing: roles, who may create contracts, who may call which method, and what is
//! frozen.
//!
//! The verdict on a call follows from the state of the block's parent ([`judge_call`], [`judge_creation`]), so that the order of a
//! block's transactions does not matter for it, and those that change nothing here have nothing in common for it.
//!
//! Storage, laid out as Solidity would, a set (`set.rs`) being two slots:
//!
//! | slot | type | what |
//! |---|---|---|
//! | 0 | `bytes32` | the digest of all changes |
//! | 1 | `bool` | whether only deployers create contracts |
//! | 2, 3 | `string[]`, `mapping(bytes32 => uint256)` | names of the chain's own roles; from a name's hash to its position, from 1 |
//! | 4 | `mapping(uint256 => uint256)` | from a role to the one that grants it, from 1 |
//! | 5 | `mapping(uint256 => Set)` | from a role to who has it |
//! | 6 | `mapping(address => uint256)` | standings (`permissions/standing.rs`) |
//! | 7 | `mapping(address => uint256)` | the roles that an address has, a bit each |
//! | 8 | `mapping(bytes32 => Rule)` | rules (`permissions/rules.rs`) |
//! | 9 | `mapping(address => Set)` | the methods that have rules of their own |
//! | 10, 11 | `Set` | all addresses with a standing |
//! | 256 to 319 | `uint256[64]` | a bit for every address that a verdict may depend on (`permissions/filter.rs`) |

mod filter;
mod roles;
mod rules;
mod standing;
mod verdict;

use crate::{
    Call, Failure, Halt, Host, configuration,
    host::emit,
    interfaces::IPermissions::{self, IPermissionsCalls},
    reason::check_reason,
    set::Set,
    storage::Storage,
};
use alloy_primitives::{Address, B256, Bytes, U256, address, keccak256};
use alloy_sol_types::{SolCall, SolEvent};
pub use filter::{FILTER_SLOTS, filter_slot, is_in_filter};
pub use roles::{ROLES_MAX, Role};
pub use rules::{METHODS_MAX, Method, Policy};
pub use verdict::{Because, CallQuestion, Denial, Judgement, Listed, is_frozen_sender, judge_call, judge_creation};

/// Where the contract is.
pub const ADDRESS: Address = address!("0000000000000000000000000000000000002003");

/// The digest of all changes.
const DIGEST: U256 = U256::ZERO;
/// Whether only deployers create contracts.
const CREATION_RESTRICTED: U256 = U256::ONE;
/// All addresses with a standing.
const TARGETS: Set = Set::new(ADDRESS, U256::from_limbs([10, 0, 0, 0]));

/// Gas of a hash, and of each 32 bytes of what is hashed, in units of gas (yellow paper, appendix G).
const HASH_GAS: u64 = 30;
const HASH_WORD_GAS: u64 = 6;

/// Most entries of a list that are given, or accounts that are listed, at once.
pub const LIST_MAX: u64 = 100;

/// The digest of all changes so far, 0 before the first one. Where two states have the same, everything that was decided is the
/// same: the verdicts that are [`Judgement::lasting`] are, too.
///
/// # Errors
/// [`Halt`].
pub fn digest(host: &mut dyn Host) -> Result<B256, Halt> {
    Ok(load(host, DIGEST)?.into())
}

/// Whether only deployers create contracts.
///
/// # Errors
/// [`Halt`].
pub fn is_creation_restricted(host: &mut dyn Host) -> Result<bool, Halt> {
    Ok(!load(host, CREATION_RESTRICTED)?.is_zero())
}

/// Runs a call.
pub(crate) fn run(host: &mut dyn Host, call: &Call<'_>, input: IPermissionsCalls) -> Result<Vec<u8>, Failure> {
    use IPermissionsCalls as Calls;
    let done = |()| Vec::new();
    match input {
        Calls::addRole(new) => roles::add(host, call, &new.role).map(done),
        Calls::setGrantor(set) => roles::set_grantor(host, call, &set.role, &set.grantor).map(done),
        Calls::grantRole(to) => roles::grant(host, call, &to.role, to.account, &to.reason).map(done),
        Calls::revokeRole(of) => roles::revoke(host, call, &of.role, of.account, &of.reason).map(done),
        Calls::restrictCreation(set) => restrict_creation(host, call, set.restricted, &set.reason).map(done),
        Calls::freeze(of) => standing::freeze(host, call, of.target, &of.reason).map(done),
        Calls::thaw(of) => standing::thaw(host, call, of.target, &of.reason).map(done),
        Calls::claim(of) => standing::claim(host, call, of.target, call.caller.create(of.nonce)).map(done),
        Calls::claim2(of) => {
            standing::claim(host, call, of.target, call.caller.create2(of.salt, of.initCodeHash)).map(done)
        }
        Calls::setAdministrator(set) => {
            standing::set_administrator(host, call, set.target, set.administrator).map(done)
        }
        Calls::suspend(of) => standing::suspend(host, call, of.target, &of.reason).map(done),
        Calls::resume(of) => standing::resume(host, call, of.target, &of.reason).map(done),
        Calls::retire(of) => standing::retire(host, call, of.target, &of.reason).map(done),
        Calls::setPolicy(set) => rules::set_policy(host, call, set.target, set.method, set.policy).map(done),
        Calls::listAccounts(set) => rules::list_accounts(host, call, &set).map(done),
        Calls::listRole(set) => rules::list_role(host, call, set.target, set.method, &set.role, set.listed).map(done),
        question => answer(host, question),
    }
}

/// What changes nothing.
fn answer(host: &mut dyn Host, question: IPermissionsCalls) -> Result<Vec<u8>, Failure> {
    use IPermissions as P;
    use IPermissionsCalls as Calls;
    let limit = |asked: U256| u64::try_from(asked).unwrap_or(u64::MAX).min(LIST_MAX);
    Ok(match question {
        Calls::standing(of) => P::standingCall::abi_encode_returns(&standing::show(host, of.target)?),
        Calls::rule(of) => {
            let (policy, roles) = rules::show(host, of.target, of.method)?;
            P::ruleCall::abi_encode_returns(&P::ruleReturn { policy, roles })
        }
        Calls::isListed(of) => {
            P::isListedCall::abi_encode_returns(&rules::lists(host, of.target, of.method, of.account)?)
        }
        Calls::listed(of) => {
            let page = rules::accounts(of.target, of.method).page(host, of.from, limit(of.limit))?;
            P::listedCall::abi_encode_returns(&addresses(page))
        }
        Calls::roles(_) => P::rolesCall::abi_encode_returns(&roles::list(host)?),
        Calls::hasRole(of) => {
            let role = roles::known(host, &of.role)?;
            P::hasRoleCall::abi_encode_returns(&roles::has(host, role, of.account)?)
        }
        Calls::holders(of) => {
            let role = roles::known(host, &of.role)?;
            P::holdersCall::abi_encode_returns(&roles::holders(host, role, of.from, limit(of.limit))?)
        }
        Calls::targets(of) => {
            P::targetsCall::abi_encode_returns(&addresses(TARGETS.page(host, of.from, limit(of.limit))?))
        }
        Calls::isCreationRestricted(_) => {
            P::isCreationRestrictedCall::abi_encode_returns(&is_creation_restricted(host)?)
        }
        Calls::digest(_) => P::digestCall::abi_encode_returns(&digest(host)?),
        Calls::verdict(on) => {
            let question = CallQuestion { caller: on.caller, target: on.target, method: on.method };
            let denial = judge_call(host, &question)?.denial;
            P::verdictCall::abi_encode_returns(&P::verdictReturn {
                allowed: denial.is_none(),
                revertData: data(denial),
            })
        }
        Calls::verdictOnCreation(by) => {
            let denial = judge_creation(host, by.creator, by.created)?.denial;
            let allowed = denial.is_none();
            P::verdictOnCreationCall::abi_encode_returns(&P::verdictOnCreationReturn {
                allowed,
                revertData: data(denial),
            })
        }
        _ => Vec::new(),
    })
}

fn data(denial: Option<Denial>) -> Bytes {
    denial.map(|denial| denial.revert_data()).unwrap_or_default()
}

fn addresses(words: Vec<B256>) -> Vec<Address> {
    words.into_iter().map(Address::from_word).collect()
}

fn restrict_creation(host: &mut dyn Host, call: &Call<'_>, restricted: bool, reason: &str) -> Result<(), Failure> {
    governing(host, call)?;
    check_reason(reason)?;
    if is_creation_restricted(host)? == restricted {
        return Ok(());
    }
    store(host, CREATION_RESTRICTED, U256::from(restricted))?;
    let event = IPermissions::CreationRestricted { restricted, by: call.caller, reason: reason.to_owned() };
    changed(host, &event)
}

/// Tells of a change, and adds it to the digest: an event has all that a change consists of.
fn changed(host: &mut dyn Host, event: &impl SolEvent) -> Result<(), Failure> {
    let log = event.encode_log_data();
    let mut bytes = digest(host)?.to_vec();
    log.topics().iter().for_each(|topic| bytes.extend_from_slice(topic.as_slice()));
    bytes.extend_from_slice(&log.data);
    let words = u64::try_from(bytes.len().div_ceil(32)).unwrap_or(u64::MAX);
    host.charge(HASH_GAS.saturating_add(HASH_WORD_GAS.saturating_mul(words)))?;
    store(host, DIGEST, keccak256(&bytes).into())?;
    emit(host, event)
}

fn not_authorized(call: &Call<'_>) -> Failure {
    Failure::revert(&IPermissions::NotAuthorized { caller: call.caller })
}

/// What only the governing body may do.
fn governing(host: &mut dyn Host, call: &Call<'_>) -> Result<(), Failure> {
    if configuration::has_authority(host, call)? { Ok(()) } else { Err(not_authorized(call)) }
}

/// Whether an address is the chain's own: its system contracts, Ethereum's precompiled ones, and what is kept free for more.
pub(crate) fn is_chains_own(address: Address) -> bool {
    address.starts_with(&[0; 18])
}

/// Nobody makes rules for the chain's own addresses, nor are there roles for them.
fn check_target(target: Address) -> Result<(), Failure> {
    if is_chains_own(target) { Err(Failure::revert(&IPermissions::InvalidTarget { target })) } else { Ok(()) }
}

fn load(host: &mut dyn Host, slot: U256) -> Result<U256, Halt> {
    Storage::of(host, ADDRESS).load(slot)
}

fn store(host: &mut dyn Host, slot: U256, value: U256) -> Result<(), Halt> {
    Storage::of(host, ADDRESS).store(slot, value)
}
