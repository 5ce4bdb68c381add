//! Making certificates.

use super::{PkiError, chain_expires, file};
use pem::{EncodeConfig, LineEnding, Pem, encode_config};
use rand::{TryRng, rngs::SysRng};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, SanType, SerialNumber,
};
use rustls_pki_types::{CertificateDer, DnsName, pem::PemObject};
use std::{
    net::IpAddr,
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use x509_parser::{certificate::X509Certificate, prelude::FromDer};
use zeroize::Zeroizing;

/// Certificates begin this much before they are made, for machines whose clocks are behind.
const BACKDATED: Duration = Duration::from_secs(3_600);
/// A year for validity periods.
const YEAR: Duration = Duration::from_secs(365 * 24 * 3_600 + 6 * 3_600);
/// Longest name, in bytes (RFC 5280, ub-common-name and ub-organization-name).
const NAME_BYTES_MAX: usize = 64;

/// The algorithm of a new certificate's key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeyAlgorithm {
    /// ECDSA on P-256, which every TLS implementation knows.
    #[default]
    EcdsaP256,
    /// ECDSA on P-384.
    EcdsaP384,
    /// Ed25519 (RFC 8410).
    Ed25519,
}

/// From when until when a certificate is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// The first moment.
    pub from: SystemTime,
    /// The last moment. Where the issuer's certificate ends earlier, so does the new one.
    pub until: SystemTime,
}

impl Validity {
    /// An authority's: 20 years.
    #[must_use]
    pub fn authority() -> Self {
        Self::years(20)
    }

    /// An institution's: 10 years.
    #[must_use]
    pub fn institution() -> Self {
        Self::years(10)
    }

    /// A node's: 2 years.
    #[must_use]
    pub fn node() -> Self {
        Self::years(2)
    }

    /// From now, less an hour for clocks that are behind, for a number of years.
    #[must_use]
    pub fn years(years: u32) -> Self {
        let now = SystemTime::now();
        let until = YEAR.checked_mul(years).and_then(|period| now.checked_add(period)).unwrap_or(now);
        Self { from: now.checked_sub(BACKDATED).unwrap_or(now), until }
    }
}

/// A certificate with the right to issue others, and its private key: the network's authority or an institution.
#[derive(Debug)]
pub struct Authority {
    certificate: CertificateDer<'static>,
    /// What those it issues must send along: itself and those above it, without the root.
    chain: Vec<CertificateDer<'static>>,
    key: KeyPair,
}

/// A node's certificate and key, as PEM.
#[derive(Clone, Debug)]
pub struct NodeCredentials {
    /// The node's certificate first, then those above it, without the root.
    pub chain_pem: String,
    /// The private key (PKCS #8).
    pub key_pem: Zeroizing<String>,
}

impl NodeCredentials {
    /// Writes both to new files, the key with mode 0600. Existing files are never overwritten.
    ///
    /// # Errors
    /// [`PkiError::Exists`] where one exists, then neither is written; [`PkiError::Io`].
    pub fn save(&self, chain: &Path, key: &Path) -> Result<(), PkiError> {
        file::write_pair((chain, &self.chain_pem), (key, &self.key_pem))
    }
}

impl Authority {
    /// Makes a network's authority: a self-signed certificate named `name` and its key.
    ///
    /// # Errors
    /// [`PkiError::Name`], [`PkiError::Issue`].
    pub fn create(name: &str, algorithm: KeyAlgorithm, validity: Validity) -> Result<Self, PkiError> {
        let key = new_key(algorithm)?;
        let mut params = authority_params(name, validity, 1)?;
        params.distinguished_name.push(DnType::OrganizationName, name);
        let certificate = params.self_signed(&key)?.der().clone();
        Ok(Self { certificate, chain: Vec::new(), key })
    }

    /// Makes an institution: a certificate from this authority that may issue its nodes' certificates and no further
    /// authorities. The name stands in the subject's organisation.
    ///
    /// # Errors
    /// [`PkiError::Name`], [`PkiError::Issue`].
    pub fn issue_institution(&self, name: &str, algorithm: KeyAlgorithm, validity: Validity) -> Result<Self, PkiError> {
        let key = new_key(algorithm)?;
        let mut params = authority_params(name, self.within(validity)?, 0)?;
        params.distinguished_name.push(DnType::OrganizationName, name);
        let certificate = self.sign(params, &key)?;
        let mut chain = vec![certificate.clone()];
        chain.extend_from_slice(&self.chain);
        Ok(Self { certificate, chain, key })
    }

    /// Makes a node's certificate and key. `name` becomes the common name and the first DNS alternative name; `hosts`
    /// are further names or IP addresses under which it may be reached.
    ///
    /// # Errors
    /// [`PkiError::Name`] where a name is no DNS name, [`PkiError::Issue`].
    pub fn issue_node(
        &self,
        name: &str,
        hosts: &[String],
        algorithm: KeyAlgorithm,
        validity: Validity,
    ) -> Result<NodeCredentials, PkiError> {
        let key = new_key(algorithm)?;
        let chain_pem = self.issue_node_for_key(name, hosts, &key, validity)?;
        Ok(NodeCredentials { chain_pem, key_pem: Zeroizing::new(key.serialize_pem()) })
    }

    /// As [`Self::issue_node`], for a key that exists; gives the chain.
    pub(crate) fn issue_node_for_key(
        &self,
        name: &str,
        hosts: &[String],
        key: &KeyPair,
        validity: Validity,
    ) -> Result<String, PkiError> {
        let mut params = params(name, self.within(validity)?)?;
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.subject_alt_names.push(dns_name(name)?);
        for host in hosts.iter().filter(|host| *host != name) {
            params.subject_alt_names.push(match host.parse::<IpAddr>() {
                Ok(address) => SanType::IpAddress(address),
                Err(_) => dns_name(host)?,
            });
        }
        if let Some(organization) = self.organization()? {
            params.distinguished_name.push(DnType::OrganizationName, organization);
        }
        let certificate = self.sign(params, key)?;
        Ok(std::iter::once(&certificate).chain(&self.chain).map(|one| pem(one)).collect())
    }

    /// The certificate as PEM: for the network's authority, what the genesis file names.
    #[must_use]
    pub fn certificate_pem(&self) -> String {
        pem(&self.certificate)
    }

    /// Writes the certificate, with those above it but the root, and the key to new files, the key with mode 0600.
    ///
    /// # Errors
    /// [`PkiError::Exists`] where one exists, then neither is written; [`PkiError::Io`].
    pub fn save(&self, certificate: &Path, key: &Path) -> Result<(), PkiError> {
        let text: String = match self.chain.as_slice() {
            [] => pem(&self.certificate),
            chain => chain.iter().map(|one| pem(one)).collect(),
        };
        let secret = Zeroizing::new(self.key.serialize_pem());
        file::write_pair((certificate, &text), (key, &secret))
    }

    /// Reads what [`Self::save`] wrote, or an authority's certificate and key from elsewhere.
    ///
    /// # Errors
    /// [`PkiError`]: unreadable, key readable by others, not PEM, not an authority, key of another certificate.
    pub fn load(certificate: &Path, key: &Path) -> Result<Self, PkiError> {
        let what = || certificate.display().to_string();
        let text = file::read(certificate)?;
        let chain = CertificateDer::pem_slice_iter(text.as_bytes())
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| PkiError::Pem { what: what(), reason: error.to_string() })?;
        let Some(first) = chain.first().cloned() else {
            return Err(PkiError::Pem { what: what(), reason: "holds no certificate".into() });
        };
        let key = KeyPair::from_pem(&file::read_private(key)?)?;
        let (is_authority, is_root, matches) = {
            let parsed = parse(&first)?;
            let matches = parsed.public_key().subject_public_key.data.as_ref() == key.public_key_raw();
            (parsed.is_ca(), parsed.issuer() == parsed.subject(), matches)
        };
        if !is_authority {
            return Err(PkiError::Pem { what: what(), reason: "is not an authority's certificate".into() });
        }
        if !matches {
            return Err(PkiError::KeyMismatch { name: what() });
        }
        let chain = if is_root { Vec::new() } else { chain };
        Ok(Self { certificate: first, chain, key })
    }

    fn sign(&self, params: CertificateParams, key: &KeyPair) -> Result<CertificateDer<'static>, PkiError> {
        let issuer = Issuer::from_ca_cert_der(&self.certificate, &self.key)?;
        Ok(params.signed_by(key, &issuer)?.der().clone())
    }

    /// A validity that does not outlive this certificate's own.
    fn within(&self, validity: Validity) -> Result<Validity, PkiError> {
        let end = chain_expires(std::slice::from_ref(&self.certificate));
        Ok(Validity { from: validity.from, until: validity.until.min(end) })
    }

    fn organization(&self) -> Result<Option<String>, PkiError> {
        let parsed = parse(&self.certificate)?;
        let organization = parsed.subject().iter_organization().next().and_then(|name| name.as_str().ok());
        Ok(organization.map(str::to_owned))
    }
}

fn parse<'a>(certificate: &'a CertificateDer<'static>) -> Result<X509Certificate<'a>, PkiError> {
    X509Certificate::from_der(certificate)
        .map(|(_, parsed)| parsed)
        .map_err(|error| PkiError::Pem { what: "certificate".into(), reason: error.to_string() })
}

fn new_key(algorithm: KeyAlgorithm) -> Result<KeyPair, PkiError> {
    Ok(KeyPair::generate_for(match algorithm {
        KeyAlgorithm::EcdsaP256 => &PKCS_ECDSA_P256_SHA256,
        KeyAlgorithm::EcdsaP384 => &PKCS_ECDSA_P384_SHA384,
        KeyAlgorithm::Ed25519 => &PKCS_ED25519,
    })?)
}

fn params(name: &str, validity: Validity) -> Result<CertificateParams, PkiError> {
    let reason = match name.len() {
        0 => Some("it is empty".to_owned()),
        length if length > NAME_BYTES_MAX => Some(format!("{length} bytes are more than {NAME_BYTES_MAX}")),
        _ if name.chars().any(char::is_control) => Some("it contains a control character".to_owned()),
        _ => None,
    };
    if let Some(reason) = reason {
        return Err(PkiError::Name { name: name.chars().take(NAME_BYTES_MAX).collect(), reason });
    }
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    params.not_before = epoch + since_epoch(validity.from);
    params.not_after = epoch + since_epoch(validity.until);
    params.use_authority_key_identifier_extension = true;
    // Random, so that a certificate that is renewed with the same key can be told from its predecessor.
    let mut serial = [0u8; 16];
    SysRng.try_fill_bytes(&mut serial).map_err(|error| PkiError::Tls(error.to_string()))?;
    serial[0] &= 0x7f;
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    Ok(params)
}

fn authority_params(name: &str, validity: Validity, levels_below: u8) -> Result<CertificateParams, PkiError> {
    let mut params = params(name, validity)?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(levels_below));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(params)
}

fn dns_name(name: &str) -> Result<SanType, PkiError> {
    let refused = |reason: String| PkiError::Name { name: name.chars().take(NAME_BYTES_MAX).collect(), reason };
    DnsName::try_from(name).map_err(|_| refused("it is not a DNS name".into()))?;
    Ok(SanType::DnsName(name.to_owned().try_into().map_err(|error: rcgen::Error| refused(error.to_string()))?))
}

fn since_epoch(time: SystemTime) -> Duration {
    Duration::from_secs(time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs())
}

/// PEM (RFC 7468) of one certificate.
#[must_use]
pub fn pem(certificate: &CertificateDer<'_>) -> String {
    let config = EncodeConfig::new().set_line_ending(LineEnding::LF);
    encode_config(&Pem::new("CERTIFICATE", certificate.as_ref()), config)
}
