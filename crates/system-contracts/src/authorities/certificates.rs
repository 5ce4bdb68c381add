//! Authorities that are listed, and what is distrusted.

use super::{ADDRESS, institution_id, institution_name, keys::Keys, load, store};
use crate::{
    Failure, Halt, Host,
    host::emit,
    interfaces::IAuthorities::{self, Authority},
    members,
    storage::{Storage, after},
};
use alloy_primitives::{B256, U256};
use lian_types::limits::{AUTHORITIES_MAX, AUTHORITY_BYTES_MAX};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;

/// Authorities that `authorities` gives at once: what a call's gas can read of the longest ones.
const LIST_MAX: u64 = 16;
/// Gas of hashing 32 bytes, as the precompiled SHA-256 takes it.
const HASH_GAS: u64 = 12;

const AUTHORITIES: Keys = Keys { array: U256::ONE, mapping: U256::from_limbs([2, 0, 0, 0]) };
const DISTRUSTED: Keys = Keys { array: U256::from_limbs([3, 0, 0, 0]), mapping: U256::from_limbs([4, 0, 0, 0]) };

/// The slots of an authority, after its first one, which holds whether it is a root.
const INSTITUTION: u64 = 1;
const CERTIFICATE: u64 = 2;

/// An authority as the contract keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthorityRecord {
    /// SHA-256 of the certificate.
    pub fingerprint: B256,
    /// For whose nodes it vouches; none: for those of every institution.
    pub institution: Option<String>,
    /// Whether chains may end at it.
    pub is_root: bool,
    /// The certificate, DER as far as the contract knows.
    pub certificate: Vec<u8>,
}

/// The fingerprint of a certificate in DER: SHA-256, as other programs show it.
#[must_use]
pub fn fingerprint(certificate: &[u8]) -> B256 {
    B256::from_slice(&Sha256::digest(certificate))
}

pub(super) fn add(host: &mut dyn Host, new: &IAuthorities::addCall) -> Result<(), Failure> {
    let IAuthorities::addCall { certificate, institution, isRoot: is_root, reason } = new;
    if certificate.is_empty() || certificate.len() > AUTHORITY_BYTES_MAX {
        let (length, limit) = (U256::from(certificate.len()), U256::from(AUTHORITY_BYTES_MAX));
        return Err(Failure::revert(&IAuthorities::CertificateLength { length, limit }));
    }
    let words = u64::try_from(certificate.len().div_ceil(32)).unwrap_or(u64::MAX);
    host.charge(words.saturating_mul(HASH_GAS))?;
    let fingerprint = fingerprint(certificate);
    if AUTHORITIES.contains(host, fingerprint)? {
        return Err(Failure::revert(&IAuthorities::AuthorityExists { fingerprint }));
    }
    if DISTRUSTED.contains(host, fingerprint)? {
        return Err(Failure::revert(&IAuthorities::Distrusted { fingerprint }));
    }
    let id = institution_id(host, institution)?;
    check_room(host, AUTHORITIES)?;
    AUTHORITIES.append(host, fingerprint, U256::from(*is_root))?;
    let slot = AUTHORITIES.slot(fingerprint);
    store(host, after(slot, INSTITUTION), id.into())?;
    Storage::of(host, ADDRESS).store_bytes(after(slot, CERTIFICATE), certificate)?;
    emit(
        host,
        &IAuthorities::AuthorityAdded {
            fingerprint,
            institution: institution.clone(),
            isRoot: *is_root,
            certificate: certificate.clone(),
            reason: reason.clone(),
        },
    )
}

pub(super) fn remove(host: &mut dyn Host, fingerprint: B256, reason: &str) -> Result<(), Failure> {
    if !AUTHORITIES.contains(host, fingerprint)? {
        return Err(Failure::revert(&IAuthorities::UnknownAuthority { fingerprint }));
    }
    let slot = AUTHORITIES.slot(fingerprint);
    AUTHORITIES.remove(host, fingerprint)?;
    store(host, after(slot, INSTITUTION), U256::ZERO)?;
    Storage::of(host, ADDRESS).store_bytes(after(slot, CERTIFICATE), &[])?;
    check_vouched(host)?;
    emit(host, &IAuthorities::AuthorityRemoved { fingerprint, reason: reason.to_owned() })
}

pub(super) fn distrust(host: &mut dyn Host, fingerprint: B256, reason: &str) -> Result<(), Failure> {
    if DISTRUSTED.contains(host, fingerprint)? {
        return Err(Failure::revert(&IAuthorities::Distrusted { fingerprint }));
    }
    check_room(host, DISTRUSTED)?;
    DISTRUSTED.append(host, fingerprint, U256::ZERO)?;
    check_vouched(host)?;
    emit(host, &IAuthorities::AuthorityDistrusted { fingerprint, reason: reason.to_owned() })
}

pub(super) fn trust(host: &mut dyn Host, fingerprint: B256, reason: &str) -> Result<(), Failure> {
    if !DISTRUSTED.contains(host, fingerprint)? {
        return Err(Failure::revert(&IAuthorities::NotDistrusted { fingerprint }));
    }
    DISTRUSTED.remove(host, fingerprint)?;
    emit(host, &IAuthorities::AuthorityTrusted { fingerprint, reason: reason.to_owned() })
}

fn check_room(host: &mut dyn Host, keys: Keys) -> Result<(), Failure> {
    let count = U256::from(keys.count(host)?.saturating_add(1));
    let limit = U256::from(AUTHORITIES_MAX);
    if count <= limit { Ok(()) } else { Err(Failure::revert(&IAuthorities::TooManyAuthorities { count, limit })) }
}

/// Every institution that seals has a root which certainly vouches for it. The roots of genesis vouch for all, but the
/// contract does not know them: once anything is distrusted that is not listed, they do not count.
fn check_vouched(host: &mut dyn Host) -> Result<(), Failure> {
    let mut genesis_stands = true;
    for fingerprint in distrusted(host)? {
        genesis_stands &= AUTHORITIES.contains(host, fingerprint)?;
    }
    if genesis_stands {
        return Ok(());
    }
    let mut vouched = BTreeSet::new();
    for fingerprint in AUTHORITIES.page(host, U256::ZERO, AUTHORITIES_MAX as u64)? {
        if is_root(host, fingerprint)? && !DISTRUSTED.contains(host, fingerprint)? {
            vouched.insert(institution_of(host, fingerprint)?);
        }
    }
    if vouched.contains(&B256::ZERO) {
        return Ok(());
    }
    for institution in members::sealing_institutions(host)? {
        if !vouched.contains(&members::id_of(&institution)) {
            return Err(Failure::revert(&IAuthorities::LastAuthority { institution }));
        }
    }
    Ok(())
}

fn is_root(host: &mut dyn Host, fingerprint: B256) -> Result<bool, Halt> {
    Ok(!AUTHORITIES.rest(host, fingerprint)?.is_zero())
}

fn institution_of(host: &mut dyn Host, fingerprint: B256) -> Result<B256, Halt> {
    Ok(load(host, after(AUTHORITIES.slot(fingerprint), INSTITUTION))?.into())
}

/// How many are listed and how many distrusted.
pub(super) fn counts(host: &mut dyn Host) -> Result<(u64, u64), Halt> {
    Ok((AUTHORITIES.count(host)?, DISTRUSTED.count(host)?))
}

pub(super) fn distrusted(host: &mut dyn Host) -> Result<Vec<B256>, Halt> {
    DISTRUSTED.page(host, U256::ZERO, AUTHORITIES_MAX as u64)
}

/// All that are listed.
pub(super) fn all(host: &mut dyn Host) -> Result<Vec<AuthorityRecord>, Halt> {
    let fingerprints = AUTHORITIES.page(host, U256::ZERO, AUTHORITIES_MAX as u64)?;
    fingerprints.into_iter().map(|fingerprint| record(host, fingerprint)).collect()
}

fn record(host: &mut dyn Host, fingerprint: B256) -> Result<AuthorityRecord, Halt> {
    let id = institution_of(host, fingerprint)?;
    let institution = institution_name(host, id)?;
    let slot = after(AUTHORITIES.slot(fingerprint), CERTIFICATE);
    Ok(AuthorityRecord {
        fingerprint,
        institution: (!id.is_zero()).then_some(institution),
        is_root: is_root(host, fingerprint)?,
        certificate: Storage::of(host, ADDRESS).load_long(slot, AUTHORITY_BYTES_MAX)?,
    })
}

pub(super) fn list(host: &mut dyn Host, from: U256, limit: U256) -> Result<Vec<Authority>, Halt> {
    let mut list = Vec::new();
    for fingerprint in AUTHORITIES.page(host, from, limit.saturating_to::<u64>().min(LIST_MAX))? {
        let AuthorityRecord { fingerprint, institution, is_root, certificate } = record(host, fingerprint)?;
        list.push(Authority {
            fingerprint,
            institution: institution.unwrap_or_default(),
            isRoot: is_root,
            certificate: certificate.into(),
        });
    }
    Ok(list)
}
