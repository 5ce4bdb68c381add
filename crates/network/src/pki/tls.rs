//! TLS 1.3 with certificates on both sides.

use super::{PkiError, TlsIdentity, Trust};
use rustls::{
    ClientConfig, DigitallySignedStruct, DistinguishedName, RootCertStore, ServerConfig, SignatureScheme,
    client::{
        Resumption, WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, ServerName, UnixTime},
    server::{
        NoServerSessionStorage, WebPkiClientVerifier,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
    sign::SingleCertAndKey,
    version::TLS13,
};
use std::sync::Arc;

/// The application protocol (RFC 7301).
const PROTOCOL: &[u8] = b"lian/1";

/// rustls's own algorithms over ring: RSA, ECDSA and Ed25519 certificates.
pub(super) fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// rustls's verifiers of chains that lead to certain roots.
pub(super) struct ChainVerifiers {
    client: Arc<dyn ClientCertVerifier>,
    server: Arc<WebPkiServerVerifier>,
}

impl ChainVerifiers {
    /// Those for at least one root.
    pub(super) fn new(roots: RootCertStore, provider: &Arc<CryptoProvider>) -> Result<Self, PkiError> {
        let failed = |error: rustls::server::VerifierBuilderError| PkiError::Tls(error.to_string());
        let roots = Arc::new(roots);
        let client = WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots), Arc::clone(provider));
        let server = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(provider));
        Ok(Self { client: client.build().map_err(failed)?, server: server.build().map_err(failed)? })
    }

    /// Whether a chain is valid for the end that opens a connection.
    pub(super) fn check_client(
        &self,
        leaf: &CertificateDer<'_>,
        above: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), rustls::Error> {
        self.client.verify_client_cert(leaf, above, now).map(drop)
    }
}

/// Both ends' configurations.
#[derive(Clone, Debug)]
pub(crate) struct TlsContext {
    pub(crate) client: Arc<ClientConfig>,
    pub(crate) server: Arc<ServerConfig>,
    pub(crate) identity: TlsIdentity,
    pub(crate) trust: Trust,
}

impl TlsContext {
    /// Mutual TLS 1.3 under the authorities that are believed: nothing older, no resumption and no early data, so that
    /// every session proves both identities afresh.
    pub(crate) fn new(identity: &TlsIdentity, trust: &Trust) -> Result<Self, PkiError> {
        let failed = |error: &dyn std::fmt::Display| PkiError::Tls(error.to_string());
        let resolver = Arc::new(SingleCertAndKey::from(Arc::clone(&identity.0)));
        let verifier = Arc::new(PeerVerifier(trust.clone()));
        let mut client = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&TLS13])
            .map_err(|error| failed(&error))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::clone(&verifier) as Arc<_>)
            .with_client_cert_resolver(Arc::clone(&resolver) as Arc<_>);
        client.resumption = Resumption::disabled();
        client.alpn_protocols = vec![PROTOCOL.to_vec()];
        let mut server = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&TLS13])
            .map_err(|error| failed(&error))?
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(resolver);
        server.session_storage = Arc::new(NoServerSessionStorage {});
        server.send_tls13_tickets = 0;
        server.alpn_protocols = vec![PROTOCOL.to_vec()];
        let (client, server) = (Arc::new(client), Arc::new(server));
        Ok(Self { client, server, identity: identity.clone(), trust: trust.clone() })
    }
}

/// rustls's own verification, with what a peer does not send of its chain added from what the network knows.
#[derive(Debug)]
struct PeerVerifier(Trust);

impl ServerCertVerifier for PeerVerifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        above: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        self.0.verifiers().server.verify_server_cert(leaf, &self.0.complete(above), name, ocsp, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verifiers().server.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verifiers().server.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.verifiers().server.supported_verify_schemes()
    }
}

impl ClientCertVerifier for PeerVerifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.0.verifiers().client.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        above: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        self.0.verifiers().client.verify_client_cert(leaf, &self.0.complete(above), now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verifiers().client.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verifiers().client.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.verifiers().client.supported_verify_schemes()
    }
}

/// Verifies a chain as both kinds of peers will.
pub(super) fn check_chain(
    chain: &[CertificateDer<'static>],
    trust: &Trust,
    now: UnixTime,
) -> Result<(), rustls::Error> {
    let Some((leaf, above)) = chain.split_first() else { return Err(rustls::Error::NoCertificatesPresented) };
    let verifier = PeerVerifier(trust.clone());
    verifier.verify_client_cert(leaf, above, now)?;
    let name = super::certificate_names(leaf).into_iter().find_map(|name| ServerName::try_from(name).ok());
    let Some(name) = name else {
        return Err(rustls::Error::General("it carries no DNS name".into()));
    };
    verifier.verify_server_cert(leaf, above, &name, &[], now)?;
    Ok(())
}
