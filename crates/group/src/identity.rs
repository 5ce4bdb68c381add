//! Who the nodes are by their certificates.

use crate::status::GroupStatus;
use alloy_primitives::B256;
use lian_network::{
    NetworkHandle, OwnCertificate, PeerCertificate,
    pki::{Anchor, CertificateFacts, Listing},
};
use lian_system_contracts::members::{NodeRecord, NodeRole};
use lian_types::ConsensusKey;
use serde::{Deserialize, Serialize};
use std::time::{SystemTime, UNIX_EPOCH};

/// Seconds of a day.
const DAY_SECONDS: u64 = 86_400;

/// A node: what the chain says of it, and the certificate that it shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Identity {
    /// Its name.
    pub name: String,
    /// The institution that runs it.
    pub institution: String,
    /// What it does in the group: `sealer`, `observer`, `candidate`, or `none` where it is about to leave.
    pub role: String,
    /// Its consensus key.
    pub key: ConsensusKey,
    /// Whether it is the node that was asked.
    pub own: bool,
    /// Its certificate; none where there is no session with it.
    pub certificate: Option<IdentityCertificate>,
    /// Why peers refuse it; known of the node that was asked only.
    pub refused: Option<String>,
}

/// A certificate in the form that people and programs read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IdentityCertificate {
    /// Whose it is.
    pub subject: String,
    /// Who issued it.
    pub issuer: String,
    /// Its serial number, hexadecimal.
    pub serial: String,
    /// SHA-256 of it.
    pub fingerprint: B256,
    /// The kind of its key.
    pub key_type: String,
    /// From when on it is valid, in seconds since 1970.
    pub valid_from: u64,
    /// Until when it is valid, in seconds since 1970.
    pub valid_until: u64,
    /// When the first certificate of its chain expires, in seconds since 1970.
    pub chain_expires: u64,
    /// The authority at which its chain ends; none where it is refused.
    pub authority: Option<String>,
    /// SHA-256 of that authority's certificate.
    pub authority_fingerprint: Option<B256>,
}

impl IdentityCertificate {
    fn new(facts: CertificateFacts, expires: SystemTime, authority: Option<Anchor>) -> Self {
        let serial = facts.serial_text();
        let CertificateFacts { fingerprint, subject, issuer, key_type, begins, ends, .. } = facts;
        let (authority_fingerprint, authority) =
            authority.map(|Anchor { fingerprint, subject }| (fingerprint, subject)).unzip();
        Self {
            subject,
            issuer,
            serial,
            fingerprint,
            key_type,
            valid_from: seconds(begins),
            valid_until: seconds(ends),
            chain_expires: seconds(expires),
            authority,
            authority_fingerprint,
        }
    }
}

/// An authority as a node knows it, of genesis or of the chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KnownAuthority {
    /// SHA-256 of its certificate.
    pub fingerprint: B256,
    /// Its name.
    pub subject: String,
    /// For whose nodes it vouches; none: for those of every institution.
    pub institution: Option<String>,
    /// Whether chains may end at it.
    pub root: bool,
    /// Whether it is distrusted.
    pub distrusted: bool,
    /// The kind of its key.
    pub key_type: String,
    /// From when on it is valid, in seconds since 1970.
    pub valid_from: u64,
    /// Until when it is valid, in seconds since 1970.
    pub valid_until: u64,
    /// The certificate, PEM.
    pub certificate: String,
}

/// The authorities that a node knows.
pub(crate) fn authorities(network: &NetworkHandle) -> Vec<KnownAuthority> {
    let known = |Listing { facts, institution, is_root, is_distrusted, pem }| {
        let CertificateFacts { fingerprint, subject, key_type, begins, ends, .. } = facts;
        KnownAuthority {
            fingerprint,
            subject,
            institution,
            root: is_root,
            distrusted: is_distrusted,
            key_type,
            valid_from: seconds(begins),
            valid_until: seconds(ends),
            certificate: pem,
        }
    };
    network.trust().listings().map(known).collect()
}

/// The nodes that may connect, as a node sees them.
pub(crate) fn of(nodes: &[NodeRecord], own: &str, network: &NetworkHandle) -> Vec<Identity> {
    let peers = network.peers();
    let own_certificate = network.own_certificate();
    let identity = |node: &NodeRecord| {
        let is_own = node.name == own;
        let (certificate, refused) = if is_own {
            shown(own_certificate.clone())
        } else {
            let peer = peers.iter().find(|peer| peer.key == node.key);
            let certificate = peer.and_then(|peer| peer.certificate.clone());
            let read = |PeerCertificate { facts, expires, authority }| {
                IdentityCertificate::new(facts, expires, Some(authority))
            };
            (certificate.map(read), None)
        };
        Identity {
            name: node.name.clone(),
            institution: node.institution.clone(),
            role: role_name(node.role).to_owned(),
            key: node.key,
            own: is_own,
            certificate,
            refused,
        }
    };
    nodes.iter().map(identity).collect()
}

/// A node's own certificate, and why it is refused.
fn shown(own: Option<OwnCertificate>) -> (Option<IdentityCertificate>, Option<String>) {
    let Some(own) = own else { return (None, None) };
    let refused = own.refusal();
    let OwnCertificate { facts, expires, verdict, .. } = own;
    (facts.map(|facts| IdentityCertificate::new(facts, expires, verdict.ok())), refused)
}

/// Writes into a group's state what is known of certificates.
pub(crate) fn note_certificates(status: &mut GroupStatus, network: &NetworkHandle) {
    let now = SystemTime::now();
    if let Some(own) = network.own_certificate() {
        status.certificate_days = Some(days_until(own.expires, now));
        status.certificate_refused = own.refusal();
    }
    let peers = network.peers();
    for node in &mut status.nodes {
        let peer = peers.iter().find(|peer| peer.key == node.key);
        let certificate = peer.and_then(|peer| peer.certificate.as_ref());
        node.certificate_days = certificate.map(|certificate| days_until(certificate.expires, now));
    }
}

/// Whole days until a moment; 0 where it is past.
fn days_until(moment: SystemTime, now: SystemTime) -> u64 {
    moment.duration_since(now).map_or(0, |left| left.as_secs() / DAY_SECONDS)
}

fn seconds(moment: SystemTime) -> u64 {
    moment.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

const fn role_name(role: NodeRole) -> &'static str {
    match role {
        NodeRole::None => "none",
        NodeRole::Candidate => "candidate",
        NodeRole::Observer => "observer",
        NodeRole::Sealer => "sealer",
    }
}
