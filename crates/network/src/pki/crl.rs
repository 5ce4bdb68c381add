//! Lists of revoked certificates (RFC 5280, 5), for operators to import.

use super::{
    PkiError,
    facts::{sha256, text, without_zeros},
    file,
};
use alloy_primitives::B256;
use std::path::Path;
use x509_parser::{
    certificate::X509Certificate, oid_registry::OID_X509_EXT_DELTA_CRL_INDICATOR, prelude::FromDer,
    revocation_list::CertificateRevocationList, x509::ReasonCode,
};

/// The extension by which an entry names another issuer than the list's (RFC 5280, 5.3.3).
const CERTIFICATE_ISSUER: &str = "2.5.29.29";

/// A list as an authority publishes it.
#[derive(Debug)]
pub struct RevocationList {
    der: Vec<u8>,
    /// Who says so.
    pub issuer: String,
    /// SHA-256 of that name, DER.
    pub issuer_hash: B256,
    /// The serial numbers of what is revoked, big-endian, without zeros before them.
    pub serials: Vec<Vec<u8>>,
}

impl RevocationList {
    /// Reads a file, DER or PEM.
    ///
    /// # Errors
    /// [`PkiError::Io`]; [`PkiError::Pem`] for what is no such list, or one of a kind that says less than it seems to: a part of
    /// a list (delta), or one that speaks for other issuers (indirect).
    pub fn read(path: &Path) -> Result<Self, PkiError> {
        let bytes = file::read_bytes(path)?;
        let what = path.display().to_string();
        Self::parse(&what, bytes)
    }

    /// As [`Self::read`], of bytes that are called so in errors.
    ///
    /// # Errors
    /// [`PkiError::Pem`].
    pub fn parse(what: &str, bytes: Vec<u8>) -> Result<Self, PkiError> {
        let refused = |reason: String| PkiError::Pem { what: what.to_owned(), reason };
        let der = match pem::parse(&bytes) {
            Ok(block) if block.tag() == "X509 CRL" => block.into_contents(),
            Ok(block) => return Err(refused(format!("holds a {}, not an X509 CRL", block.tag()))),
            Err(_) => bytes,
        };
        let (rest, list) = CertificateRevocationList::from_der(&der).map_err(|error| refused(error.to_string()))?;
        if !rest.is_empty() {
            return Err(refused(format!("{} bytes follow the list", rest.len())));
        }
        if list.extensions().iter().any(|extension| extension.oid == OID_X509_EXT_DELTA_CRL_INDICATOR) {
            return Err(refused("is a part of a list (delta); import the whole one".to_owned()));
        }
        let mut serials = Vec::new();
        for revoked in list.iter_revoked_certificates() {
            if revoked.extensions().iter().any(|extension| extension.oid.to_id_string() == CERTIFICATE_ISSUER) {
                return Err(refused("speaks for other issuers (indirect), which is not supported".to_owned()));
            }
            if revoked.reason_code().is_none_or(|(_, code)| code != ReasonCode::RemoveFromCRL) {
                serials.push(without_zeros(revoked.raw_serial()).to_vec());
            }
        }
        let (issuer, issuer_hash) = (text(list.issuer()), sha256(list.issuer().as_raw()));
        Ok(Self { issuer, issuer_hash, serials, der })
    }

    /// Whether an authority, by its certificate (DER), has signed the list.
    #[must_use]
    pub fn is_signed_by(&self, certificate: &[u8]) -> bool {
        let Ok((_, list)) = CertificateRevocationList::from_der(&self.der) else { return false };
        let Ok((_, authority)) = X509Certificate::from_der(certificate) else { return false };
        let may_sign = match authority.key_usage() {
            Ok(Some(usage)) => usage.value.crl_sign(),
            Ok(None) => true,
            Err(_) => false,
        };
        may_sign
            && authority.subject().as_raw() == list.issuer().as_raw()
            && list.verify_signature(authority.public_key()).is_ok()
    }
}
