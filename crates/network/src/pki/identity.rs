//! A node's certificate chain with its key.

use super::{CertificateFacts, PkiError, Trust, certificate_names, chain_expires, file, tls};
use rustls::{
    pki_types::{CertificateDer, PrivateKeyDer, UnixTime, pem::PemObject},
    sign::CertifiedKey,
};
use std::{fmt, path::Path, sync::Arc, time::SystemTime};

/// A node's certificate chain and private key, checked to belong together. Cheap to clone.
#[derive(Clone)]
pub struct TlsIdentity(pub(super) Arc<CertifiedKey>);

impl TlsIdentity {
    /// Reads a chain (node's certificate first, no root) and its private key, whose file only the owner may read.
    ///
    /// # Errors
    /// [`PkiError`]: unreadable, wrong mode, not PEM, or key of another certificate.
    pub fn load(chain: &Path, key: &Path) -> Result<Self, PkiError> {
        let name = chain.display().to_string();
        Self::parse(&name, &file::read(chain)?, &key.display().to_string(), &file::read_private(key)?)
    }

    /// The identity in two PEM texts.
    ///
    /// # Errors
    /// [`PkiError`]: not PEM, or key of another certificate.
    pub fn from_pem(chain: &str, key: &str) -> Result<Self, PkiError> {
        Self::parse("certificate chain", chain, "private key", key)
    }

    fn parse(chain_name: &str, chain: &str, key_name: &str, key: &str) -> Result<Self, PkiError> {
        let chain = certificates(chain_name, chain)?;
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes())
            .map_err(|error| PkiError::Pem { what: key_name.into(), reason: error.to_string() })?;
        let names = chain.first().map(certificate_names).unwrap_or_default().join(", ");
        let certified = CertifiedKey::from_der(chain, key, &tls::provider()).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => PkiError::KeyMismatch { name: names },
            error => PkiError::Key { reason: error.to_string() },
        })?;
        Ok(Self(Arc::new(certified)))
    }

    /// The names that the node's certificate carries.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.0.cert.first().map(certificate_names).unwrap_or_default()
    }

    /// What the node's certificate says.
    ///
    /// # Errors
    /// [`PkiError::Pem`] where it cannot be read.
    pub fn facts(&self) -> Result<CertificateFacts, PkiError> {
        CertificateFacts::of(self.certificate())
    }

    /// When the first certificate of the chain expires.
    #[must_use]
    pub fn expires(&self) -> SystemTime {
        chain_expires(&self.0.cert)
    }

    /// The chain, the node's certificate first.
    pub(crate) fn chain(&self) -> &[CertificateDer<'static>] {
        &self.0.cert
    }

    /// The end-entity certificate, DER.
    pub(crate) fn certificate(&self) -> &[u8] {
        self.0.cert.first().map_or(&[], |certificate| certificate.as_ref())
    }

    /// Checks now what peers will check: the chain is valid today, leads to an accepted authority, may be used for both
    /// ends of TLS, and carries the node's name.
    ///
    /// # Errors
    /// [`PkiError`] names what is wrong.
    pub fn check(&self, node_name: &str, trust: &Trust) -> Result<(), PkiError> {
        let presented = self.names();
        if !presented.iter().any(|name| name.eq_ignore_ascii_case(node_name)) {
            return Err(PkiError::WrongName { expected: node_name.into(), presented });
        }
        tls::check_chain(&self.0.cert, trust, UnixTime::now()).map_err(|error| refused(&presented, &error))
    }
}

impl fmt::Debug for TlsIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TlsIdentity({})", self.names().join(", "))
    }
}

/// What webpki says, in words for an operator.
fn refused(names: &[String], error: &rustls::Error) -> PkiError {
    use rustls::CertificateError as Fault;
    let name = names.join(", ");
    match error {
        rustls::Error::InvalidCertificate(Fault::ExpiredContext { time, not_after }) => {
            PkiError::Expired { name, seconds_ago: time.as_secs().saturating_sub(not_after.as_secs()) }
        }
        rustls::Error::InvalidCertificate(Fault::NotValidYet | Fault::NotValidYetContext { .. }) => {
            PkiError::NotYetValid { name }
        }
        rustls::Error::InvalidCertificate(Fault::UnknownIssuer | Fault::BadSignature) => PkiError::NotAccepted { name },
        error => PkiError::Refused { name, reason: error.to_string() },
    }
}

/// The certificates in a PEM text.
pub(super) fn certificates(what: &str, text: &str) -> Result<Vec<CertificateDer<'static>>, PkiError> {
    let error = |reason: String| PkiError::Pem { what: what.into(), reason };
    let chain = CertificateDer::pem_slice_iter(text.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|source| error(source.to_string()))?;
    if chain.is_empty() {
        return Err(error("holds no certificate".into()));
    }
    Ok(chain)
}
