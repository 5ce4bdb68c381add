//! Telling an event over HTTP.

use crate::message::Message;
use bytes::Bytes;
use http::{Method, Request, Uri, header::CONTENT_TYPE};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client as Connections, connect::HttpConnector},
    rt::TokioExecutor,
};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, pem::PemObject},
};
use std::{
    error::Error,
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

/// The longest time from the attempt to connect to the end of the answer. A service that needs longer should note the event
/// and answer first.
const ATTEMPT: Duration = Duration::from_secs(10);
/// Most bytes of an answer's body that are read, and thrown away, so that the connection can serve the next event.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// What calls a hook's service. It follows no redirects: where an event goes is the operator's word alone.
#[derive(Clone)]
pub(crate) struct Client {
    url: Uri,
    connections: Connections<HttpsConnector<HttpConnector>, Full<Bytes>>,
}

/// Why a service cannot be called at all.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The file has no certificate that can be read.
    #[error("{path} has no certificate that can be read: {reason}")]
    Authorities {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Nobody would be trusted.
    #[error(
        "this system has no certificate authorities to trust: install `ca-certificates`, or name a file with them in `certificate_authorities`"
    )]
    NobodyTrusted,
    /// The library refused.
    #[error(transparent)]
    Tls(#[from] rustls::Error),
}

/// Why a service did not take an event.
#[derive(Debug, thiserror::Error)]
pub enum DeliveryError {
    /// It answered otherwise than by 2xx.
    #[error("it answered {0}")]
    Status(http::StatusCode),
    /// It did not answer.
    #[error("no answer within {} seconds", ATTEMPT.as_secs())]
    Timeout,
    /// It could not be reached.
    #[error("it cannot be reached: {0}")]
    Connection(String),
    /// The request could not be made.
    #[error(transparent)]
    Request(#[from] http::Error),
}

impl Client {
    /// A client of one service. `authorities` are trusted beside those of the system: a file and its text, in PEM.
    pub(crate) fn new(url: Uri, authorities: Option<(&Path, &str)>) -> Result<Self, ClientError> {
        let mut roots = RootCertStore::empty();
        if url.scheme_str() == Some("https") {
            trust(&mut roots, authorities)?;
        }
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let connector = HttpsConnectorBuilder::new().with_tls_config(config).https_or_http().enable_http1().build();
        Ok(Self { url, connections: Connections::builder(TokioExecutor::new()).build(connector) })
    }

    /// Sends a message once. It was taken if this returns without an error.
    pub(crate) async fn tell(&self, message: Message, timestamp: u64, signature: String) -> Result<(), DeliveryError> {
        let request = Request::builder()
            .method(Method::POST)
            .uri(self.url.clone())
            .header(CONTENT_TYPE, "application/json")
            .header("webhook-id", message.id)
            .header("webhook-timestamp", timestamp)
            .header("webhook-signature", signature)
            .body(Full::new(Bytes::from(message.body)))?;
        tokio::time::timeout(ATTEMPT, self.attempt(request)).await.map_err(|_| DeliveryError::Timeout)?
    }

    async fn attempt(&self, request: Request<Full<Bytes>>) -> Result<(), DeliveryError> {
        let answer = self.connections.request(request).await;
        let answer = answer.map_err(|error| DeliveryError::Connection(with_sources(&error)))?;
        let status = answer.status();
        if !status.is_success() {
            return Err(DeliveryError::Status(status));
        }
        // The status has said it all; a body that is too long costs the connection.
        let _ = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await;
        Ok(())
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Paths and queries of such URLs often are secrets.
        write!(f, "client of {:?}", self.url.host())
    }
}

fn trust(roots: &mut RootCertStore, authorities: Option<(&Path, &str)>) -> Result<(), ClientError> {
    // Some of a system's certificates may be too old for the library, which is no reason not to use the others.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some((path, text)) = authorities {
        let wrong = |reason: String| ClientError::Authorities { path: path.to_owned(), reason };
        let mut count = 0_usize;
        for certificate in CertificateDer::pem_slice_iter(text.as_bytes()) {
            let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
            roots.add(certificate).map_err(|error| wrong(error.to_string()))?;
            count = count.saturating_add(1);
        }
        if count == 0 {
            return Err(wrong("there is none in PEM".to_owned()));
        }
    }
    if roots.is_empty() { Err(ClientError::NobodyTrusted) } else { Ok(()) }
}

/// An error with what has caused it: the outermost one of this library says only that something failed.
fn with_sources(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        text.push_str(": ");
        text.push_str(&source.to_string());
        next = source.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderMap, Response, StatusCode};
    use hyper::{body::Incoming, server::conn::http1, service::service_fn};
    use hyper_util::rt::TokioIo;
    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
    use rustls::{ServerConfig, pki_types::PrivateKeyDer};
    use std::net::SocketAddr;
    use tokio::{
        io::{AsyncRead, AsyncWrite},
        net::TcpListener,
        sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    };
    use tokio_rustls::TlsAcceptor;

    /// What a service hears: method, path, headers and body of a request.
    type Heard = (Method, String, HeaderMap, Bytes);

    /// A service that answers `/NUMBER` with that status, which may lead to another place.
    struct Service {
        address: SocketAddr,
        heard: UnboundedReceiver<Heard>,
    }

    impl Service {
        async fn start(tls: Option<TlsAcceptor>) -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let (hears, heard) = unbounded_channel();
            tokio::spawn(async move {
                while let Ok((stream, _)) = listener.accept().await {
                    let (tls, hears) = (tls.clone(), hears.clone());
                    tokio::spawn(async move {
                        match tls {
                            None => serve(stream, hears).await,
                            Some(tls) => {
                                // A client that does not trust it goes away.
                                let Ok(stream) = tls.accept(stream).await else { return };
                                serve(stream, hears).await;
                            }
                        }
                    });
                }
            });
            Self { address, heard }
        }
    }

    async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin, hears: UnboundedSender<Heard>) {
        let answer = |request: Request<Incoming>| {
            let hears = hears.clone();
            async move {
                let (head, body) = request.into_parts();
                let path = head.uri.path().to_owned();
                let status: StatusCode = path.trim_start_matches('/').parse().unwrap();
                hears.send((head.method, path, head.headers, body.collect().await?.to_bytes())).unwrap();
                let answer = Response::builder().status(status).header("location", "/200");
                Ok::<_, hyper::Error>(answer.body(Full::new(Bytes::from(vec![b'x'; 100_000]))).unwrap())
            }
        };
        let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(answer)).await;
    }

    async fn tell(url: &str, authorities: Option<&str>) -> Result<(), DeliveryError> {
        let authorities = authorities.map(|text| (Path::new("ca.pem"), text));
        let client = Client::new(url.parse().unwrap(), authorities).unwrap();
        let message = Message { id: "erp-0-1-2".to_owned(), body: b"{}".to_vec() };
        client.tell(message, 17, "v1,abc".to_owned()).await
    }

    #[tokio::test]
    async fn only_an_answer_of_success_counts() {
        let mut service = Service::start(None).await;
        let address = service.address;
        for status in [200, 204, 299] {
            tell(&format!("http://{address}/{status}"), None).await.unwrap();
            let (method, path, headers, body) = service.heard.recv().await.unwrap();
            assert_eq!((method, path, &body[..]), (Method::POST, format!("/{status}"), &b"{}"[..]));
            for (name, value) in [
                ("content-type", "application/json"),
                ("webhook-id", "erp-0-1-2"),
                ("webhook-timestamp", "17"),
                ("webhook-signature", "v1,abc"),
            ] {
                assert_eq!(headers[name], value);
            }
        }
        for status in [302, 307, 400, 404, 409, 500, 503] {
            let error = tell(&format!("http://{address}/{status}"), None).await.unwrap_err();
            assert!(matches!(&error, DeliveryError::Status(found) if found.as_u16() == status), "{error}");
            assert_eq!(service.heard.recv().await.unwrap().1, format!("/{status}"));
        }
        assert!(service.heard.try_recv().is_err(), "no redirect is followed");
        let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let error = tell(&format!("http://{free}/200"), None).await.unwrap_err().to_string();
        assert!(error.starts_with("it cannot be reached") && error.contains("refused"), "{error}");
    }

    #[tokio::test]
    async fn https_by_an_authority_of_its_own() {
        let authority_key = KeyPair::generate().unwrap();
        let mut authority = CertificateParams::new(vec![]).unwrap();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let root = authority.self_signed(&authority_key).unwrap().pem();
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &Issuer::new(authority, authority_key)).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], PrivateKeyDer::try_from(key.serialize_der()).unwrap())
            .unwrap();
        let mut service = Service::start(Some(TlsAcceptor::from(Arc::new(config)))).await;
        let url = format!("https://localhost:{}/200", service.address.port());
        tell(&url, Some(&root)).await.unwrap();
        assert_eq!(service.heard.recv().await.unwrap().1, "/200");

        let other = CertificateParams::new(vec![]).unwrap().self_signed(&KeyPair::generate().unwrap()).unwrap().pem();
        let error = tell(&url, Some(&other)).await.unwrap_err().to_string();
        assert!(error.starts_with("it cannot be reached") && error.contains("certificate"), "{error}");
        let by_address = url.replace("localhost", "127.0.0.1");
        let error = tell(&by_address, Some(&root)).await.unwrap_err().to_string();
        assert!(error.contains("not valid for name"), "{error}");
        assert!(service.heard.try_recv().is_err());
    }
}
