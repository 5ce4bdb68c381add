//! This node's own certificate as its peers judge it.

use crate::{
    connect::Shared,
    measure,
    pki::{Anchor, CertificateFacts, Distrust},
};
use std::time::SystemTime;

/// A node's own certificate.
#[derive(Clone, Debug)]
pub struct OwnCertificate {
    /// What it says; none where it cannot be read.
    pub facts: Option<CertificateFacts>,
    /// When the first certificate of the chain expires.
    pub expires: SystemTime,
    /// The authority at which the chain ends, or why peers refuse it by what this node believes itself.
    pub verdict: Result<Anchor, Distrust>,
    /// The peer that has refused it since a session was accepted last: who is refused may not learn from the chain why.
    pub refused_by: Option<String>,
}

impl OwnCertificate {
    /// Why peers refuse it, if they do.
    #[must_use]
    pub fn refusal(&self) -> Option<String> {
        let by_peer = || self.refused_by.as_ref().map(|peer| format!("{peer} does not accept it, or no longer"));
        self.verdict.as_ref().err().map(ToString::to_string).or_else(by_peer)
    }
}

/// Judges it anew, after anything has changed that may matter; measures, and says so where peers begin to refuse it, or accept
/// it again.
pub(crate) fn note(shared: &Shared) {
    let mut own = shared.own.lock();
    let (identity, trust) = {
        let tls = shared.tls.lock();
        (tls.identity.clone(), tls.trust.clone())
    };
    let verdict = shared.registry.lock().judge_own(identity.chain());
    if let Some(expires) = trust.expires() {
        measure::authorities(expires);
    }
    let was_refused = own.as_ref().and_then(|own| own.verdict.as_ref().err());
    match (was_refused, &verdict) {
        (before, Err(reason)) if before != Some(reason) => tracing::error!(
            "peers refuse this node's certificate: {reason}; put another one into its folder and run `lian ca reload`"
        ),
        (Some(_), Ok(_)) => tracing::info!("peers accept this node's certificate"),
        _ => {}
    }
    let refused_by = own.take().and_then(|own| own.refused_by);
    let new = OwnCertificate { facts: identity.facts().ok(), expires: identity.expires(), verdict, refused_by };
    measure::own_certificate(new.expires, new.refusal().is_some());
    *own = Some(new);
}

/// A peer has refused it, or (none) accepted it in a new session.
pub(crate) fn note_peer(shared: &Shared, refused_by: Option<&str>) {
    let mut own = shared.own.lock();
    let Some(own) = own.as_mut() else { return };
    if own.refused_by.is_none()
        && let Some(peer) = refused_by
    {
        tracing::error!(
            peer,
            "the peer does not accept this node's certificate; `lian ca identities` at another node and its log say why"
        );
    }
    own.refused_by = refused_by.map(str::to_owned);
    measure::own_certificate(own.expires, own.refusal().is_some());
}
