//! 0x2008: certificate authorities and revocations, by which nodes believe each other's certificates.
//!
//! The contract reads no certificates, since a parser in consensus would be a risk to all members at once: nodes read them,
//! and pass over what they cannot use. The authorities of genesis are not in it; they vouch for every institution until they
//! are distrusted by fingerprint.
//!
//! One mistake cannot lock the network out: what would leave sealers of an institution without a root is refused.
//!
//! Storage, laid out as Solidity would:
//!
//! | slot | type | what |
//! |---|---|---|
//! | 0 | `uint256` | how often anything has changed |
//! | 1, 2 | `bytes32[]`, `mapping(bytes32 => Authority)` | authorities by fingerprint (`authorities/certificates.rs`) |
//! | 3, 4 | `bytes32[]`, `mapping(bytes32 => uint32)` | the fingerprints of what is distrusted |
//! | 5, 6 | `bytes32[]`, `mapping(bytes32 => Revocation)` | revocations (`authorities/revocations.rs`) |
//! | 7 | `uint256` | how many revocations were taken back |
//! | 8 | `mapping(bytes32 => address)` | institutions' administrators |
//! | 9 | `mapping(bytes32 => bytes)` | institutions' contacts |

mod certificates;
mod keys;
mod revocations;

use crate::{
    Call, Failure, Halt, Host, configuration,
    host::emit,
    interfaces::IAuthorities::{self, IAuthoritiesCalls},
    members,
    reason::check_reason,
    storage::{Storage, entry},
};
use alloy_primitives::{Address, B256, U256, address};
use alloy_sol_types::SolCall;
pub use certificates::{AuthorityRecord, fingerprint};
use lian_types::limits::CONTACT_BYTES_MAX;
pub use revocations::{RevocationRecord, revocation_id};

/// Where the contract is.
pub const ADDRESS: Address = address!("0000000000000000000000000000000000002008");

/// How often anything has changed.
const VERSION: U256 = U256::ZERO;
/// How many revocations were taken back.
const UNREVOKED: U256 = U256::from_limbs([7, 0, 0, 0]);
/// Mapping from an institution's id to its administrator.
const ADMINISTRATORS: U256 = U256::from_limbs([8, 0, 0, 0]);

/// Mapping from an institution's id to whom others reach there.
const CONTACTS: U256 = U256::from_limbs([9, 0, 0, 0]);

/// All that nodes need to judge certificates.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuthoritySet {
    /// How often anything had changed; 0 where the contract has never been called.
    pub version: u64,
    /// The authorities that are listed, distrusted ones as well.
    pub authorities: Vec<AuthorityRecord>,
    /// The fingerprints of what is distrusted.
    pub distrusted: Vec<B256>,
    /// What is revoked.
    pub revocations: Vec<RevocationRecord>,
    unrevoked: U256,
}

impl AuthoritySet {
    /// Reads all of it from a state. Of the revocations, only those are read that are not `known` from an earlier state of
    /// the same chain: they are many, and new ones stand behind the older ones as long as none is taken back.
    ///
    /// # Errors
    /// [`Halt`].
    pub fn read(host: &mut dyn Host, known: Self) -> Result<Self, Halt> {
        let unrevoked = load(host, UNREVOKED)?;
        let mut revocations = if unrevoked == known.unrevoked { known.revocations } else { Vec::new() };
        revocations::read_after(host, &mut revocations)?;
        Ok(Self {
            version: version(host)?,
            authorities: certificates::all(host)?,
            distrusted: certificates::distrusted(host)?,
            revocations,
            unrevoked,
        })
    }
}

/// How often anything has changed: what a node looks at after each block.
///
/// # Errors
/// [`Halt`].
pub fn version(host: &mut dyn Host) -> Result<u64, Halt> {
    Ok(load(host, VERSION)?.saturating_to())
}

/// Runs a call.
pub(crate) fn run(host: &mut dyn Host, call: &Call<'_>, input: IAuthoritiesCalls) -> Result<Vec<u8>, Failure> {
    use IAuthorities as A;
    use IAuthoritiesCalls as Calls;
    let done = |()| Vec::new();
    match input {
        Calls::add(new) => governed(host, call, &new.reason, |host| certificates::add(host, &new)).map(done),
        Calls::remove(of) => {
            governed(host, call, &of.reason, |host| certificates::remove(host, of.fingerprint, &of.reason)).map(done)
        }
        Calls::distrust(of) => {
            governed(host, call, &of.reason, |host| certificates::distrust(host, of.fingerprint, &of.reason)).map(done)
        }
        Calls::trust(of) => {
            governed(host, call, &of.reason, |host| certificates::trust(host, of.fingerprint, &of.reason)).map(done)
        }
        Calls::revokeCertificates(new) => revocations::revoke_certificates(host, call, &new).map(done),
        Calls::revokeKeys(new) => revocations::revoke_keys(host, call, &new).map(done),
        Calls::unrevoke(of) => {
            governed(host, call, &of.reason, |host| revocations::unrevoke(host, call, of.id, &of.reason)).map(done)
        }
        Calls::setAdministrator(set) => {
            authorized(host, call)?;
            set_administrator(host, &set.institution, set.account).map(done)
        }
        Calls::setContact(set) => set_contact(host, call, &set.institution, &set.contact).map(done),
        Calls::version(_) => Ok(A::versionCall::abi_encode_returns(&load(host, VERSION)?)),
        Calls::counts(_) => {
            let (authorities, distrusted) = certificates::counts(host)?;
            let revocations = revocations::count(host)?;
            let [authorities, distrusted, revocations] = [authorities, distrusted, revocations].map(U256::from);
            Ok(A::countsCall::abi_encode_returns(&A::countsReturn { authorities, distrusted, revocations }))
        }
        Calls::authorities(of) => {
            Ok(A::authoritiesCall::abi_encode_returns(&certificates::list(host, of.from, of.limit)?))
        }
        Calls::distrusted(_) => Ok(A::distrustedCall::abi_encode_returns(&certificates::distrusted(host)?)),
        Calls::revocations(of) => {
            Ok(A::revocationsCall::abi_encode_returns(&revocations::list(host, of.from, of.limit)?))
        }
        Calls::isRevoked(of) => Ok(A::isRevokedCall::abi_encode_returns(&revocations::contains(host, of.id)?)),
        Calls::administrator(of) => {
            Ok(A::administratorCall::abi_encode_returns(&administrator(host, &of.institution)?))
        }
        Calls::contact(of) => {
            let contact = Storage::of(host, ADDRESS).load_text(contact_slot(&of.institution))?;
            Ok(A::contactCall::abi_encode_returns(&contact))
        }
    }
}

/// Makes a change of the governing body's, and counts it.
fn governed(
    host: &mut dyn Host,
    call: &Call<'_>,
    reason: &str,
    change: impl FnOnce(&mut dyn Host) -> Result<(), Failure>,
) -> Result<(), Failure> {
    authorized(host, call)?;
    check_reason(reason)?;
    change(host)?;
    note_change(host)
}

fn authorized(host: &mut dyn Host, call: &Call<'_>) -> Result<(), Failure> {
    let caller = call.caller;
    if configuration::has_authority(host, call)? {
        return Ok(());
    }
    Err(Failure::revert(&IAuthorities::NotAuthorized { caller }))
}

/// Whoever governs decides about every institution, and about all of them (the empty name); an institution's administrator,
/// about its own.
fn authorized_for(host: &mut dyn Host, call: &Call<'_>, institution: &str) -> Result<(), Failure> {
    if !institution.is_empty() && !call.caller.is_zero() && administrator(host, institution)? == call.caller {
        return Ok(());
    }
    authorized(host, call)
}

/// The id of an institution that there is; 0 for the empty name, which stands for all of them.
fn institution_id(host: &mut dyn Host, name: &str) -> Result<B256, Failure> {
    if name.is_empty() {
        return Ok(B256::ZERO);
    }
    if !members::has_institution(host, name)? {
        return Err(Failure::revert(&IAuthorities::UnknownInstitution { name: name.to_owned() }));
    }
    Ok(members::id_of(name))
}

/// The name of an institution by its id; empty for 0.
fn institution_name(host: &mut dyn Host, id: B256) -> Result<String, Halt> {
    if id.is_zero() { Ok(String::new()) } else { members::institution_name(host, id) }
}

fn set_administrator(host: &mut dyn Host, institution: &str, account: Address) -> Result<(), Failure> {
    let id = institution_id(host, institution)?;
    if id.is_zero() {
        return Err(Failure::revert(&IAuthorities::UnknownInstitution { name: String::new() }));
    }
    store(host, entry(ADMINISTRATORS, id), U256::from_be_bytes(account.into_word().0))?;
    emit(host, &IAuthorities::AdministratorSet { institution: institution.to_owned(), account })
}

fn administrator(host: &mut dyn Host, institution: &str) -> Result<Address, Halt> {
    Ok(Address::from_word(load(host, entry(ADMINISTRATORS, members::id_of(institution)))?.into()))
}

fn contact_slot(institution: &str) -> U256 {
    entry(CONTACTS, members::id_of(institution))
}

fn set_contact(host: &mut dyn Host, call: &Call<'_>, institution: &str, contact: &str) -> Result<(), Failure> {
    authorized_for(host, call, institution)?;
    if institution_id(host, institution)?.is_zero() {
        return Err(Failure::revert(&IAuthorities::UnknownInstitution { name: String::new() }));
    }
    if contact.len() > CONTACT_BYTES_MAX {
        let (length, limit) = (U256::from(contact.len()), U256::from(CONTACT_BYTES_MAX));
        return Err(Failure::revert(&IAuthorities::ContactTooLong { length, limit }));
    }
    if let Some(position) = contact.find(char::is_control) {
        return Err(Failure::revert(&IAuthorities::InvalidContact { position: U256::from(position) }));
    }
    Storage::of(host, ADDRESS).store_bytes(contact_slot(institution), contact.as_bytes())?;
    let (institution, contact) = (institution.to_owned(), contact.to_owned());
    emit(host, &IAuthorities::ContactSet { institution, account: call.caller, contact })
}

/// Counts a change, for nodes to see.
fn note_change(host: &mut dyn Host) -> Result<(), Failure> {
    let version = load(host, VERSION)?;
    Ok(store(host, VERSION, version.saturating_add(U256::ONE))?)
}

fn load(host: &mut dyn Host, slot: U256) -> Result<U256, Halt> {
    Storage::of(host, ADDRESS).load(slot)
}

fn store(host: &mut dyn Host, slot: U256, value: U256) -> Result<(), Halt> {
    Storage::of(host, ADDRESS).store(slot, value)
}
