//! Which certificates are believed, and for whose nodes.

use super::{
    CertificateFacts, PkiError,
    identity::certificates,
    tls::{ChainVerifiers, provider},
};
use alloy_primitives::B256;
use lian_types::Revoked;
use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, UnixTime},
};
use std::{
    collections::{BTreeMap, HashSet},
    fmt,
    sync::Arc,
    time::SystemTime,
};

/// A certificate authority, and for whose nodes it vouches.
#[derive(Clone, Debug)]
pub struct TrustedAuthority {
    /// The certificate, DER.
    pub certificate: CertificateDer<'static>,
    /// The institution; none: all of them.
    pub institution: Option<String>,
    /// Whether chains may end at it. An intermediate authority completes the chains of nodes that do not send it.
    pub is_root: bool,
}

impl TrustedAuthority {
    /// An authority by its certificate, DER.
    #[must_use]
    pub fn new(certificate: Vec<u8>, institution: Option<String>, is_root: bool) -> Self {
        Self { certificate: certificate.into(), institution, is_root }
    }
}

/// Everything by which certificates are judged.
#[derive(Clone, Debug, Default)]
pub struct TrustSource {
    /// The authorities.
    pub authorities: Vec<TrustedAuthority>,
    /// Fingerprints of what is refused, be it an authority's or a node's.
    pub distrusted: Vec<B256>,
    /// What is revoked, each for the nodes of an institution, or (none) of all.
    pub revoked: Vec<(Option<String>, Revoked)>,
}

impl TrustSource {
    /// The roots in a list of PEM texts, all of which vouch for every institution.
    ///
    /// # Errors
    /// [`PkiError::Pem`] for a text that holds none or a damaged one.
    pub fn from_pem<T: AsRef<str>>(texts: &[T]) -> Result<Self, PkiError> {
        let mut authorities = Vec::new();
        for (position, text) in texts.iter().enumerate() {
            for certificate in certificates(&format!("certificate authority {position}"), text.as_ref())? {
                authorities.push(TrustedAuthority { certificate, institution: None, is_root: true });
            }
        }
        Ok(Self { authorities, ..Self::default() })
    }
}

/// An authority that cannot be used, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unusable {
    /// SHA-256 of what should be its certificate.
    pub fingerprint: B256,
    /// What is wrong with it.
    pub reason: String,
}

/// Why a chain of certificates is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Distrust {
    /// There is no certificate, or one that cannot be read.
    #[error("{reason}")]
    Unreadable {
        /// What is wrong.
        reason: String,
    },
    /// A certificate of the chain is distrusted.
    #[error("the certificate of `{subject}` with the fingerprint {fingerprint} is distrusted")]
    Distrusted {
        /// Whose it is.
        subject: String,
        /// SHA-256 of it.
        fingerprint: B256,
    },
    /// A certificate of the chain is revoked.
    #[error("the certificate of `{subject}` with the serial number {serial} is revoked")]
    Revoked {
        /// Whose it is.
        subject: String,
        /// Its serial number, hexadecimal.
        serial: String,
    },
    /// The key of a certificate of the chain is revoked.
    #[error("the key of `{subject}` is revoked: {key}")]
    KeyRevoked {
        /// Whose it is.
        subject: String,
        /// SHA-256 of the SubjectPublicKeyInfo.
        key: B256,
    },
    /// The chain leads to an authority that vouches for others only.
    #[error("it leads to `{authority}`, which vouches for the nodes of `{vouches_for}`, not of `{institution}`")]
    OtherInstitution {
        /// The authority.
        authority: String,
        /// The institution for whose nodes it vouches.
        vouches_for: String,
        /// The node's; empty where the chain knows none.
        institution: String,
    },
    /// The chain leads to no authority, or is not valid.
    #[error("it leads to no authority of the network: {reason}")]
    NoPath {
        /// What TLS says.
        reason: String,
    },
}

/// The authority at which a chain ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anchor {
    /// SHA-256 of its certificate.
    pub fingerprint: B256,
    /// Its name.
    pub subject: String,
}

/// An authority as a node knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    /// What its certificate says.
    pub facts: CertificateFacts,
    /// For whose nodes it vouches; none: for all.
    pub institution: Option<String>,
    /// Whether chains may end at it.
    pub is_root: bool,
    /// Whether it is distrusted, so that none does.
    pub is_distrusted: bool,
    /// The certificate, PEM.
    pub pem: String,
}

/// What a node believes. Cheap to clone.
#[derive(Clone)]
pub struct Trust(Arc<Believed>);

struct Believed {
    roots: Vec<Root>,
    /// Roots that are distrusted, to say so of chains that lead to them.
    former: Vec<Root>,
    intermediates: Vec<Listed>,
    /// For whom authorities vouch, by fingerprint: what a peer sends along may be one of them.
    vouch: BTreeMap<B256, Option<String>>,
    distrusted: HashSet<B256>,
    revoked_for_all: HashSet<Revoked>,
    revoked_for: BTreeMap<String, HashSet<Revoked>>,
    /// For the handshake of TLS, which knows no institutions.
    verifiers: ChainVerifiers,
}

struct Listed {
    certificate: CertificateDer<'static>,
    facts: CertificateFacts,
}

struct Root {
    listed: Listed,
    /// For chains that end here.
    verifiers: ChainVerifiers,
}

impl Trust {
    /// The authorities in a list of PEM texts, as the genesis file holds them; each may hold several, all vouch for every
    /// institution.
    ///
    /// # Errors
    /// [`PkiError::Pem`] where there is none at all, or a text that holds none or a damaged one.
    pub fn from_pem<T: AsRef<str>>(texts: &[T]) -> Result<Self, PkiError> {
        let (trust, unusable) = Self::new(TrustSource::from_pem(texts)?)?;
        match unusable.into_iter().next() {
            None => Ok(trust),
            Some(Unusable { fingerprint, reason }) => {
                Err(PkiError::Pem { what: format!("certificate authority {fingerprint}"), reason })
            }
        }
    }

    /// What can be used of a source, and what cannot.
    ///
    /// # Errors
    /// [`PkiError::Pem`] where no root is left, so that nobody could connect.
    pub fn new(source: TrustSource) -> Result<(Self, Vec<Unusable>), PkiError> {
        let TrustSource { authorities, distrusted, revoked } = source;
        let distrusted: HashSet<_> = distrusted.into_iter().collect();
        let (mut roots, mut former, mut intermediates) = (Vec::new(), Vec::new(), Vec::new());
        let mut unusable = Vec::new();
        let mut vouch = BTreeMap::<B256, Option<String>>::new();
        let mut all = RootCertStore::empty();
        for TrustedAuthority { certificate, institution, is_root } in authorities {
            let fingerprint = super::sha256(&certificate);
            // Who vouches for all by genesis does so whatever the chain says besides.
            match vouch.get(&fingerprint) {
                Some(None) => continue,
                Some(Some(_)) if institution.is_some() => continue,
                Some(Some(_)) => {
                    vouch.insert(fingerprint, None);
                    continue;
                }
                None => {}
            }
            let read = CertificateFacts::of(&certificate).map_err(|error| error.to_string());
            let listed = match read {
                Ok(facts) if facts.is_authority => Listed { certificate, facts },
                Ok(_) => {
                    unusable.push(Unusable { fingerprint, reason: "it may not issue certificates".into() });
                    continue;
                }
                Err(reason) => {
                    unusable.push(Unusable { fingerprint, reason });
                    continue;
                }
            };
            match (is_root, distrusted.contains(&fingerprint)) {
                (false, true) => {}
                (false, false) => intermediates.push(listed),
                (true, is_former) => match Root::new(listed, (!is_former).then_some(&mut all)) {
                    Ok(root) => if is_former { &mut former } else { &mut roots }.push(root),
                    Err(reason) => {
                        unusable.push(Unusable { fingerprint, reason });
                        continue;
                    }
                },
            }
            vouch.insert(fingerprint, institution);
        }
        if roots.is_empty() {
            let reason = "there is none that can be used, so nobody could connect".into();
            return Err(PkiError::Pem { what: "certificate authorities".into(), reason });
        }
        let (mut revoked_for_all, mut revoked_for) = (HashSet::new(), BTreeMap::<String, HashSet<Revoked>>::new());
        for (institution, revoked) in revoked {
            match institution {
                None => revoked_for_all.insert(revoked),
                Some(institution) => revoked_for.entry(institution).or_default().insert(revoked),
            };
        }
        let verifiers = ChainVerifiers::new(all, &provider())?;
        let believed =
            Believed { roots, former, intermediates, vouch, distrusted, revoked_for_all, revoked_for, verifiers };
        Ok((Self(Arc::new(believed)), unusable))
    }

    /// Judges what a node of an institution shows: its certificate first, then those above it. The institution is none where
    /// the chain does not know the node; then only who vouches for all counts.
    ///
    /// Whatever is distrusted, revoked, or vouches for others is passed over when a way to a root is looked for.
    ///
    /// # Errors
    /// [`Distrust`] says why it is not accepted.
    pub fn judge(
        &self,
        chain: &[CertificateDer<'_>],
        institution: Option<&str>,
        now: UnixTime,
    ) -> Result<Anchor, Distrust> {
        let unreadable = |reason: String| Distrust::Unreadable { reason };
        let facts = |certificate: &CertificateDer<'_>| {
            CertificateFacts::of(certificate).map_err(|error| unreadable(error.to_string()))
        };
        let Some((leaf, above)) = chain.split_first() else { return Err(unreadable("it shows none".into())) };
        self.0.objection(&facts(leaf)?, institution).map_or(Ok(()), Err)?;
        let (mut pool, mut sent) = (Vec::new(), None);
        for certificate in above {
            match self.0.objection(&facts(certificate)?, institution) {
                None => pool.push(certificate.clone()),
                Some(objection) => sent = sent.or(Some(objection)),
            }
        }
        let fits = |listed: &&Listed| self.0.objection(&listed.facts, institution).is_none();
        pool.extend(self.0.intermediates.iter().filter(fits).map(|listed| listed.certificate.clone()));
        let mut failure = None;
        for root in self.0.roots.iter().filter(|root| fits(&&root.listed)) {
            match root.verifiers.check_client(leaf, &pool, now) {
                Ok(()) => {
                    let CertificateFacts { fingerprint, subject, .. } = root.listed.facts.clone();
                    return Ok(Anchor { fingerprint, subject });
                }
                Err(error) => failure = Some(more_telling(failure, error)),
            }
        }
        if let Some(objection) = sent {
            return Err(objection);
        }
        Err(self.0.obstacle(leaf, above, institution, now).unwrap_or_else(|| {
            let reason = failure.map_or_else(|| "none vouches for it".to_owned(), |error| error.to_string());
            Distrust::NoPath { reason }
        }))
    }

    /// When the first authority expires that is believed.
    #[must_use]
    pub fn expires(&self) -> Option<SystemTime> {
        self.authorities().map(|facts| facts.ends).min()
    }

    /// The authorities that are believed: roots, then intermediate ones.
    pub fn authorities(&self) -> impl Iterator<Item = &CertificateFacts> {
        let roots = self.0.roots.iter().map(|root| &root.listed.facts);
        roots.chain(self.0.intermediates.iter().map(|listed| &listed.facts))
    }

    /// Everything that is known of authorities, distrusted roots as well.
    pub fn listings(&self) -> impl Iterator<Item = Listing> {
        let believed = &self.0;
        let listing = |listed: &Listed, is_root, is_distrusted| Listing {
            facts: listed.facts.clone(),
            institution: believed.vouch.get(&listed.facts.fingerprint).cloned().flatten(),
            is_root,
            is_distrusted,
            pem: super::pem(&listed.certificate),
        };
        let roots = believed.roots.iter().map(move |root| listing(&root.listed, true, false));
        let intermediates = believed.intermediates.iter().map(move |listed| listing(listed, false, false));
        let former = believed.former.iter().map(move |root| listing(&root.listed, true, true));
        roots.chain(intermediates).chain(former)
    }

    /// The roots as a file of PEM texts, each with its name before it.
    #[must_use]
    pub fn roots_pem(&self) -> String {
        let text = |root: &Root| format!("{}\n{}", root.listed.facts.subject, super::pem(&root.listed.certificate));
        self.0.roots.iter().map(text).collect()
    }

    /// The verifiers of TLS's own handshake, for chains to any root.
    pub(super) fn verifiers(&self) -> &ChainVerifiers {
        &self.0.verifiers
    }

    /// A chain with what completes it, where the peer has not sent all.
    pub(super) fn complete<'a>(&self, above: &[CertificateDer<'a>]) -> Vec<CertificateDer<'a>> {
        let mut completed = above.to_vec();
        for listed in &self.0.intermediates {
            completed.push(listed.certificate.clone());
        }
        completed
    }
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let subjects: Vec<_> = self.authorities().map(|facts| facts.subject.as_str()).collect();
        write!(f, "Trust({})", subjects.join("; "))
    }
}

impl Believed {
    /// Why a certificate may stand in no chain of a node of an institution.
    fn objection(&self, facts: &CertificateFacts, institution: Option<&str>) -> Option<Distrust> {
        let CertificateFacts { fingerprint, subject, key_hash, .. } = facts;
        let subject = subject.clone();
        if self.distrusted.contains(fingerprint) {
            return Some(Distrust::Distrusted { subject, fingerprint: *fingerprint });
        }
        let own = institution.and_then(|institution| self.revoked_for.get(institution));
        let is_revoked =
            |what: &Revoked| self.revoked_for_all.contains(what) || own.is_some_and(|revoked| revoked.contains(what));
        if is_revoked(&facts.by_serial()) {
            return Some(Distrust::Revoked { subject, serial: facts.serial_text() });
        }
        if is_revoked(&facts.by_key()) {
            return Some(Distrust::KeyRevoked { subject, key: *key_hash });
        }
        let vouches_for = self.vouch.get(fingerprint)?.as_deref()?;
        (institution != Some(vouches_for)).then(|| Distrust::OtherInstitution {
            authority: subject,
            vouches_for: vouches_for.to_owned(),
            institution: institution.unwrap_or_default().to_owned(),
        })
    }

    /// What a chain lacks that leads to a root only by what was passed over.
    fn obstacle(
        &self,
        leaf: &CertificateDer<'_>,
        above: &[CertificateDer<'_>],
        institution: Option<&str>,
        now: UnixTime,
    ) -> Option<Distrust> {
        let objection = |listed: &Listed| self.objection(&listed.facts, institution);
        let mut pool = above.to_vec();
        pool.extend(self.intermediates.iter().map(|listed| listed.certificate.clone()));
        let leads = |root: &&Root| root.verifiers.check_client(leaf, &pool, now).is_ok();
        let root = self.roots.iter().chain(&self.former).find(leads)?;
        objection(&root.listed).or_else(|| self.intermediates.iter().find_map(objection))
    }
}

impl Root {
    /// With the verifiers of chains that end at it; it counts among all roots from then on.
    fn new(listed: Listed, all: Option<&mut RootCertStore>) -> Result<Self, String> {
        let mut own = RootCertStore::empty();
        own.add(listed.certificate.clone()).map_err(|error| error.to_string())?;
        let verifiers = ChainVerifiers::new(own, &provider()).map_err(|error| error.to_string())?;
        if let Some(all) = all {
            all.add(listed.certificate.clone()).map_err(|error| error.to_string())?;
        }
        Ok(Self { listed, verifiers })
    }
}

/// Of two failures the one that says more than that an issuer is unknown.
fn more_telling(before: Option<rustls::Error>, new: rustls::Error) -> rustls::Error {
    use rustls::{CertificateError::UnknownIssuer, Error::InvalidCertificate};
    match before {
        Some(before) if before != InvalidCertificate(UnknownIssuer) => before,
        _ => new,
    }
}
