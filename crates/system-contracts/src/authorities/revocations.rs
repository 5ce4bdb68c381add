//! Certificates and keys that are revoked.

use super::{
    UNREVOKED, authorized_for, check_reason, institution_id, institution_name, keys::Keys, load, note_change, store,
};
use crate::{
    Call, Failure, Halt, Host,
    host::emit,
    interfaces::IAuthorities::{self, Revocation},
    storage::after,
};
use alloy_primitives::{B256, U256, keccak256};
use lian_types::{
    Revoked,
    limits::{REVOCATIONS_AT_ONCE_MAX, REVOCATIONS_MAX},
};
use std::collections::BTreeMap;

/// Longest serial number, in bytes (RFC 5280, 4.1.2.2).
const SERIAL_BYTES_MAX: usize = 20;
/// Revocations that `revocations` gives at once.
const LIST_MAX: u64 = 100;
/// Bits of the time in an entry's first slot, behind the position; the serial number, a `uint160`, fills the rest.
const TIME_BITS: usize = 64;

const REVOCATIONS: Keys = Keys { array: U256::from_limbs([5, 0, 0, 0]), mapping: U256::from_limbs([6, 0, 0, 0]) };

/// The slots of a revocation, after its first one, which holds time and serial number.
const INSTITUTION: u64 = 1;
/// Of the issuer's name where there is a serial number, else of the key.
const HASH: u64 = 2;

/// A revocation as the contract keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevocationRecord {
    /// For whose nodes it counts; none: for all.
    pub institution: Option<String>,
    /// What is revoked.
    pub revoked: Revoked,
    /// Since when, in seconds since 1970.
    pub time: u64,
}

/// By what a revocation is known: keccak-256 of the institution's id (0: all), the issuer's hash, the key's hash, and the serial
/// number.
#[must_use]
pub fn revocation_id(institution: Option<&str>, revoked: &Revoked) -> B256 {
    id_of(institution.map_or(B256::ZERO, crate::members::id_of), revoked)
}

fn id_of(institution: B256, revoked: &Revoked) -> B256 {
    let (issuer, key, serial) = match revoked {
        Revoked::Certificate { issuer, serial } => (*issuer, B256::ZERO, serial.as_slice()),
        Revoked::Key(key) => (B256::ZERO, *key, &[][..]),
    };
    keccak256([institution.as_slice(), issuer.as_slice(), key.as_slice(), serial].concat())
}

pub(super) fn revoke_certificates(
    host: &mut dyn Host,
    call: &Call<'_>,
    new: &IAuthorities::revokeCertificatesCall,
) -> Result<(), Failure> {
    let IAuthorities::revokeCertificatesCall { institution, issuer, serials, reason } = new;
    check_hash(*issuer)?;
    let mut revoked = Vec::new();
    for serial in serials {
        if serial.is_empty() || serial.len() > SERIAL_BYTES_MAX || serial.starts_with(&[0]) {
            return Err(Failure::revert(&IAuthorities::InvalidSerial { serial: serial.clone() }));
        }
        revoked.push(Revoked::Certificate { issuer: *issuer, serial: serial.to_vec() });
    }
    revoke(host, call, institution, &revoked, reason)
}

pub(super) fn revoke_keys(
    host: &mut dyn Host,
    call: &Call<'_>,
    new: &IAuthorities::revokeKeysCall,
) -> Result<(), Failure> {
    let IAuthorities::revokeKeysCall { institution, keys, reason } = new;
    keys.iter().try_for_each(|key| check_hash(*key))?;
    let revoked: Vec<_> = keys.iter().copied().map(Revoked::Key).collect();
    revoke(host, call, institution, &revoked, reason)
}

fn check_hash(hash: B256) -> Result<(), Failure> {
    if hash.is_zero() { Err(Failure::revert(&IAuthorities::InvalidHash { hash })) } else { Ok(()) }
}

/// Revokes what is not revoked yet. A list that was imported before may be imported again, whoever was first.
fn revoke(
    host: &mut dyn Host,
    call: &Call<'_>,
    institution: &str,
    list: &[Revoked],
    reason: &str,
) -> Result<(), Failure> {
    authorized_for(host, call, institution)?;
    check_reason(reason)?;
    let scope = institution_id(host, institution)?;
    if list.is_empty() {
        return Err(Failure::revert(&IAuthorities::NoRevocations {}));
    }
    check_count(list.len() as u64, REVOCATIONS_AT_ONCE_MAX)?;
    let mut changed = false;
    for revoked in list {
        let id = id_of(scope, revoked);
        if contains(host, id)? {
            continue;
        }
        check_count(count(host)?.saturating_add(1), REVOCATIONS_MAX)?;
        store_new(host, id, scope, revoked, call.time)?;
        announce(host, call, id, institution, revoked, reason)?;
        changed = true;
    }
    if changed { note_change(host) } else { Ok(()) }
}

fn check_count(count: u64, limit: u64) -> Result<(), Failure> {
    if count <= limit {
        return Ok(());
    }
    let (count, limit) = (U256::from(count), U256::from(limit));
    Err(Failure::revert(&IAuthorities::TooManyRevocations { count, limit }))
}

fn store_new(host: &mut dyn Host, id: B256, institution: B256, revoked: &Revoked, time: u64) -> Result<(), Halt> {
    let (serial, hash) = match revoked {
        // At most 20 bytes of 32, so that every one is read.
        Revoked::Certificate { issuer, serial } => (U256::try_from_be_slice(serial).unwrap_or_default(), *issuer),
        Revoked::Key(key) => (U256::ZERO, *key),
    };
    REVOCATIONS.append(host, id, U256::from(time) | (serial << TIME_BITS))?;
    let slot = REVOCATIONS.slot(id);
    store(host, after(slot, INSTITUTION), institution.into())?;
    store(host, after(slot, HASH), hash.into())
}

fn announce(
    host: &mut dyn Host,
    call: &Call<'_>,
    id: B256,
    institution: &str,
    revoked: &Revoked,
    reason: &str,
) -> Result<(), Failure> {
    let (account, institution, reason) = (call.caller, institution.to_owned(), reason.to_owned());
    match revoked {
        Revoked::Certificate { issuer, serial } => {
            let (issuer, serial) = (*issuer, serial.clone().into());
            emit(host, &IAuthorities::CertificateRevoked { id, account, institution, issuer, serial, reason })
        }
        Revoked::Key(key) => emit(host, &IAuthorities::KeyRevoked { id, account, institution, key: *key, reason }),
    }
}

pub(super) fn unrevoke(host: &mut dyn Host, call: &Call<'_>, id: B256, reason: &str) -> Result<(), Failure> {
    if !contains(host, id)? {
        return Err(Failure::revert(&IAuthorities::UnknownRevocation { id }));
    }
    REVOCATIONS.remove(host, id)?;
    let slot = REVOCATIONS.slot(id);
    store(host, after(slot, INSTITUTION), U256::ZERO)?;
    store(host, after(slot, HASH), U256::ZERO)?;
    let before = load(host, UNREVOKED)?;
    store(host, UNREVOKED, before.saturating_add(U256::ONE))?;
    emit(host, &IAuthorities::Unrevoked { id, account: call.caller, reason: reason.to_owned() })
}

pub(super) fn count(host: &mut dyn Host) -> Result<u64, Halt> {
    REVOCATIONS.count(host)
}

pub(super) fn contains(host: &mut dyn Host, id: B256) -> Result<bool, Halt> {
    REVOCATIONS.contains(host, id)
}

/// Reads those that stand behind what is known.
pub(super) fn read_after(host: &mut dyn Host, known: &mut Vec<RevocationRecord>) -> Result<(), Halt> {
    let mut names = BTreeMap::new();
    for id in REVOCATIONS.page(host, U256::from(known.len()), REVOCATIONS_MAX)? {
        let scope: B256 = load(host, after(REVOCATIONS.slot(id), INSTITUTION))?.into();
        let name = match names.get(&scope) {
            Some(name) => String::clone(name),
            None => {
                let name = institution_name(host, scope)?;
                names.insert(scope, name.clone());
                name
            }
        };
        let (revoked, time) = load_revoked(host, id)?;
        known.push(RevocationRecord { institution: (!scope.is_zero()).then_some(name), revoked, time });
    }
    Ok(())
}

fn load_revoked(host: &mut dyn Host, id: B256) -> Result<(Revoked, u64), Halt> {
    let rest = REVOCATIONS.rest(host, id)?;
    let hash: B256 = load(host, after(REVOCATIONS.slot(id), HASH))?.into();
    let serial = (rest >> TIME_BITS).to_be_bytes_trimmed_vec();
    let revoked = if serial.is_empty() { Revoked::Key(hash) } else { Revoked::Certificate { issuer: hash, serial } };
    Ok((revoked, rest.wrapping_to()))
}

pub(super) fn list(host: &mut dyn Host, from: U256, limit: U256) -> Result<Vec<Revocation>, Halt> {
    let mut list = Vec::new();
    for id in REVOCATIONS.page(host, from, limit.saturating_to::<u64>().min(LIST_MAX))? {
        let scope: B256 = load(host, after(REVOCATIONS.slot(id), INSTITUTION))?.into();
        let institution = institution_name(host, scope)?;
        let (revoked, time) = load_revoked(host, id)?;
        let (issuer, serial, key) = match revoked {
            Revoked::Certificate { issuer, serial } => (issuer, serial, B256::ZERO),
            Revoked::Key(key) => (B256::ZERO, Vec::new(), key),
        };
        list.push(Revocation { id, institution, issuer, serial: serial.into(), key, time });
    }
    Ok(list)
}
