//! What is to be known of a certificate beyond what TLS checks.

use super::PkiError;
use alloy_primitives::B256;
use lian_types::Revoked;
use rustls::pki_types::CertificateDer;
use sha2::{Digest, Sha256};
use std::{
    fmt::Write as _,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use x509_parser::{
    certificate::X509Certificate,
    extensions::GeneralName,
    prelude::FromDer,
    public_key::PublicKey,
    x509::{SubjectPublicKeyInfo, X509Name},
};

/// Longest text taken from a certificate, in characters; what is longer is cut.
const TEXT_CHARS_MAX: usize = 128;

/// What a certificate says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFacts {
    /// SHA-256 of the certificate.
    pub fingerprint: B256,
    /// Whose it is, such as `CN=node0, O=bank0`.
    pub subject: String,
    /// Who issued it.
    pub issuer: String,
    /// SHA-256 of the issuer's name, DER.
    pub issuer_hash: B256,
    /// SHA-256 of the subject's name, DER: the issuer's hash of what it issues.
    pub subject_hash: B256,
    /// The serial number, big-endian, without zeros before it.
    pub serial: Vec<u8>,
    /// SHA-256 of the SubjectPublicKeyInfo, DER.
    pub key_hash: B256,
    /// The kind of the key, such as `RSA 2048` or `ECDSA P-256`.
    pub key_type: String,
    /// The first moment at which it is valid.
    pub begins: SystemTime,
    /// The last one.
    pub ends: SystemTime,
    /// Whether it may issue others.
    pub is_authority: bool,
}

impl CertificateFacts {
    /// Reads a certificate, DER.
    ///
    /// # Errors
    /// [`PkiError::Pem`] for bytes that are none.
    pub fn of(certificate: &[u8]) -> Result<Self, PkiError> {
        let unreadable = |reason: String| PkiError::Pem { what: "certificate".into(), reason };
        let (rest, parsed) = X509Certificate::from_der(certificate).map_err(|error| unreadable(error.to_string()))?;
        if !rest.is_empty() {
            return Err(unreadable(format!("{} bytes follow it", rest.len())));
        }
        let validity = parsed.validity();
        Ok(Self {
            fingerprint: sha256(certificate),
            subject: text(parsed.subject()),
            issuer: text(parsed.issuer()),
            issuer_hash: sha256(parsed.issuer().as_raw()),
            subject_hash: sha256(parsed.subject().as_raw()),
            serial: without_zeros(parsed.raw_serial()).to_vec(),
            key_hash: sha256(parsed.public_key().raw),
            key_type: key_type(parsed.public_key()),
            begins: moment(validity.not_before.timestamp()),
            ends: moment(validity.not_after.timestamp()),
            is_authority: parsed.is_ca(),
        })
    }

    /// Whether its issuer is itself, so that chains end at it.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.issuer_hash == self.subject_hash
    }

    /// What revokes it alone.
    #[must_use]
    pub fn by_serial(&self) -> Revoked {
        Revoked::Certificate { issuer: self.issuer_hash, serial: self.serial.clone() }
    }

    /// What revokes it by its key.
    #[must_use]
    pub const fn by_key(&self) -> Revoked {
        Revoked::Key(self.key_hash)
    }

    /// The serial number in hexadecimal, as other programs show it.
    #[must_use]
    pub fn serial_text(&self) -> String {
        self.serial.iter().fold(String::new(), |mut text, byte| {
            // Writing to a string cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
    }
}

/// SHA-256.
#[must_use]
pub fn sha256(bytes: &[u8]) -> B256 {
    B256::from_slice(&Sha256::digest(bytes))
}

/// A number's bytes without zeros before it.
pub(super) fn without_zeros(bytes: &[u8]) -> &[u8] {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    bytes.get(zeros..).unwrap_or_default()
}

/// A name for people. It comes from whoever issued the certificate, so that what could steer a terminal is taken out.
pub(super) fn text(name: &X509Name<'_>) -> String {
    name.to_string().chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).take(TEXT_CHARS_MAX).collect()
}

fn moment(seconds: i64) -> SystemTime {
    let since = Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
    UNIX_EPOCH.checked_add(since).unwrap_or(UNIX_EPOCH)
}

fn key_type(key: &SubjectPublicKeyInfo<'_>) -> String {
    match key.parsed() {
        Ok(PublicKey::RSA(key)) => format!("RSA {}", key.key_size()),
        Ok(PublicKey::EC(_)) => {
            let curve = key.algorithm.parameters.as_ref().and_then(|curve| curve.as_oid().ok());
            match curve.map(|curve| curve.to_id_string()).as_deref() {
                Some("1.2.840.10045.3.1.7") => "ECDSA P-256".to_owned(),
                Some("1.3.132.0.34") => "ECDSA P-384".to_owned(),
                Some(other) => format!("ECDSA {other}"),
                None => "ECDSA".to_owned(),
            }
        }
        _ => match key.algorithm.algorithm.to_id_string().as_str() {
            "1.3.101.112" => "Ed25519".to_owned(),
            other => other.to_owned(),
        },
    }
}

/// The DNS names in a certificate's subject alternative names; none for bytes that are not a certificate.
#[must_use]
pub fn certificate_names(certificate: &CertificateDer<'_>) -> Vec<String> {
    let Ok((_, parsed)) = X509Certificate::from_der(certificate) else { return Vec::new() };
    let Ok(Some(names)) = parsed.subject_alternative_name() else { return Vec::new() };
    let dns = names.value.general_names.iter().filter_map(|name| match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        _ => None,
    });
    dns.collect()
}

/// When the first certificate of a chain expires; at once where one cannot be read.
#[must_use]
pub(crate) fn chain_expires(chain: &[CertificateDer<'_>]) -> SystemTime {
    let ends = chain.iter().map(|certificate| CertificateFacts::of(certificate).map_or(UNIX_EPOCH, |facts| facts.ends));
    ends.min().unwrap_or(UNIX_EPOCH)
}
