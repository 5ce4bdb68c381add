//! This node's own certificate as its peers judge it.

use crate::{
    connect::Shared,
    measure,
    pki::{Anchor, CertificateFacts, Distrust, TlsIdentity},
};
use std::time::SystemTime;

/// A node's own certificate.
#[derive(Clone, Debug)]
pub struct OwnCertificate {
    /// What it says; none where it cannot be read.
    pub facts: Option<CertificateFacts>,
    /// When the first certificate of the chain expires.
    pub expires: SystemTime,
    /// The authority at which the chain ends, or why peers refuse it.
    pub verdict: Result<Anchor, Distrust>,
}

/// What it is now.
pub(crate) fn certificate(shared: &Shared) -> OwnCertificate {
    let identity: TlsIdentity = shared.tls.lock().identity.clone();
    let verdict = shared.registry.lock().judge_own(identity.chain());
    OwnCertificate { facts: identity.facts().ok(), expires: identity.expires(), verdict }
}

/// Says so where peers begin to refuse this node's certificate, or accept it again, and measures.
pub(crate) fn note(shared: &Shared) {
    let own = certificate(shared);
    let trust = shared.tls.lock().trust.clone();
    measure::own_certificate(own.expires, own.verdict.is_err());
    if let Some(expires) = trust.expires() {
        measure::authorities(expires);
    }
    let refused = own.verdict.err();
    let before = std::mem::replace(&mut *shared.own_refused.lock(), refused.clone());
    match refused {
        Some(reason) if before.as_ref() != Some(&reason) => tracing::error!(
            "peers refuse this node's certificate: {reason}; put another one into its folder and run `lian ca reload`"
        ),
        None if before.is_some() => tracing::info!("peers accept this node's certificate"),
        _ => {}
    }
}
