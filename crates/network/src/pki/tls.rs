//! TLS 1.3 with certificates on both sides.

use super::{AcceptedAuthorities, PkiError, TlsIdentity};
use rustls::{
    ClientConfig, ServerConfig,
    client::{Resumption, WebPkiServerVerifier, danger::ServerCertVerifier},
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, ServerName, UnixTime},
    server::{NoServerSessionStorage, WebPkiClientVerifier, danger::ClientCertVerifier},
    sign::SingleCertAndKey,
    version::TLS13,
};
use std::sync::Arc;

/// The application protocol (RFC 7301).
const PROTOCOL: &[u8] = b"lian/1";

/// rustls's own algorithms over ring: RSA, ECDSA and Ed25519 certificates.
pub(super) fn provider() -> CryptoProvider {
    ring::default_provider()
}

/// Both ends' configurations.
#[derive(Clone, Debug)]
pub(crate) struct TlsContext {
    pub(crate) client: Arc<ClientConfig>,
    pub(crate) server: Arc<ServerConfig>,
    pub(crate) identity: TlsIdentity,
}

impl TlsContext {
    /// Mutual TLS 1.3 under the accepted authorities: nothing older, no resumption and no early data, so that every
    /// session proves both identities afresh.
    pub(crate) fn new(identity: &TlsIdentity, authorities: &AcceptedAuthorities) -> Result<Self, PkiError> {
        let provider = Arc::new(provider());
        let failed = |error: &dyn std::fmt::Display| PkiError::Tls(error.to_string());
        let resolver = Arc::new(SingleCertAndKey::from(Arc::clone(&identity.0)));
        let mut client = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&TLS13])
            .map_err(|error| failed(&error))?
            .with_webpki_verifier(server_verifier(authorities, &provider)?)
            .with_client_cert_resolver(Arc::clone(&resolver) as Arc<_>);
        client.resumption = Resumption::disabled();
        client.alpn_protocols = vec![PROTOCOL.to_vec()];
        let mut server = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&TLS13])
            .map_err(|error| failed(&error))?
            .with_client_cert_verifier(client_verifier(authorities, &provider)?)
            .with_cert_resolver(resolver);
        server.session_storage = Arc::new(NoServerSessionStorage {});
        server.send_tls13_tickets = 0;
        server.alpn_protocols = vec![PROTOCOL.to_vec()];
        Ok(Self { client: Arc::new(client), server: Arc::new(server), identity: identity.clone() })
    }
}

fn server_verifier(
    authorities: &AcceptedAuthorities,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<WebPkiServerVerifier>, PkiError> {
    WebPkiServerVerifier::builder_with_provider(Arc::clone(&authorities.0), Arc::clone(provider))
        .build()
        .map_err(|error| PkiError::Tls(error.to_string()))
}

fn client_verifier(
    authorities: &AcceptedAuthorities,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, PkiError> {
    WebPkiClientVerifier::builder_with_provider(Arc::clone(&authorities.0), Arc::clone(provider))
        .build()
        .map_err(|error| PkiError::Tls(error.to_string()))
}

/// Verifies a chain as both kinds of peers will.
pub(super) fn check_chain(
    chain: &[CertificateDer<'static>],
    authorities: &AcceptedAuthorities,
    now: UnixTime,
) -> Result<(), rustls::Error> {
    let general = |error: PkiError| rustls::Error::General(error.to_string());
    let provider = Arc::new(provider());
    let Some((leaf, above)) = chain.split_first() else { return Err(rustls::Error::NoCertificatesPresented) };
    client_verifier(authorities, &provider).map_err(general)?.verify_client_cert(leaf, above, now)?;
    let name = super::certificate_names(leaf).into_iter().find_map(|name| ServerName::try_from(name).ok());
    let Some(name) = name else {
        return Err(rustls::Error::General("it carries no DNS name".into()));
    };
    server_verifier(authorities, &provider).map_err(general)?.verify_server_cert(leaf, above, &name, &[], now)?;
    Ok(())
}
