//! From a TCP connection to a session, on both ends, and the tasks that dial.

use crate::{
    DisconnectReason, HandshakeError, NetworkConfig, NetworkLimits, RefusalCode,
    config::PeerConfig,
    events::EventQueue,
    handshake::{self, Channel, EXPORTER_LABEL, Hello, Local, Role},
    measure,
    own::{self, OwnCertificate},
    pki::{TlsContext, certificate_names},
    registry::{DialAdvice, Registry},
    session::{Origin, Session},
};
use lian_crypto::{ConsensusSecretKey, Suite};
use lian_types::ConsensusKey;
use parking_lot::Mutex;
use rand::RngExt;
use rustls::pki_types::{CertificateDer, ServerName};
use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    net::TcpStream,
    sync::{mpsc, watch},
    time::{sleep, timeout},
};
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};
use tokio_util::sync::CancellationToken;

/// What all tasks of a network share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) suite: Suite,
    pub(crate) key: ConsensusSecretKey,
    pub(crate) hello: Hello,
    pub(crate) tls: Mutex<TlsContext>,
    pub(crate) limits: NetworkLimits,
    pub(crate) registry: Mutex<Registry>,
    pub(crate) events: Arc<EventQueue>,
    pub(crate) stop: CancellationToken,
    /// This node's own certificate, as it was judged last.
    pub(crate) own: Mutex<Option<OwnCertificate>>,
    /// When a stranger's failed handshake was last worth a warning.
    pub(crate) warned: Mutex<Option<Instant>>,
    /// Every task holds a clone, so that stopping can wait for the last one.
    pub(crate) alive: Mutex<Option<mpsc::Sender<()>>>,
}

impl Shared {
    pub(crate) fn new(config: &NetworkConfig, tls: TlsContext, events: Arc<EventQueue>) -> (Self, mpsc::Receiver<()>) {
        let key = config.consensus_key.public();
        let (alive, ended) = mpsc::channel(1);
        let hello = Hello {
            version_min: handshake::VERSION_MIN,
            version_max: handshake::VERSION_MAX,
            genesis_digest: config.genesis_digest,
            key,
            incarnation: rand::rng().random(),
            advertised: config.advertised.clone(),
            software: config.software.clone(),
        };
        let registry = Registry::new(key, config.trust.clone(), Arc::clone(&events), &config.limits);
        let shared = Self {
            suite: config.suite,
            key: config.consensus_key.clone(),
            hello,
            tls: Mutex::new(tls),
            limits: config.limits.clone(),
            registry: Mutex::new(registry),
            events,
            stop: CancellationToken::new(),
            own: Mutex::new(None),
            warned: Mutex::new(None),
            alive: Mutex::new(Some(alive)),
        };
        (shared, ended)
    }

    /// Runs a task that stopping waits for; nothing once the network stops.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let Some(alive) = self.alive.lock().clone() else { return };
        tokio::spawn(async move {
            task.await;
            drop(alive);
        });
    }
}

/// A connection whose TLS handshake is over.
struct Established {
    stream: TlsStream<TcpStream>,
    remote: SocketAddr,
    role: Role,
    /// The digest of the certificate this node showed, which may be replaced at any time.
    own_certificate: alloy_primitives::B256,
}

/// Accepts TLS and identity of an incoming connection.
///
/// # Errors
/// Any [`HandshakeError`], also after the handshake's deadline.
pub(crate) async fn incoming(
    shared: &Arc<Shared>,
    stream: TcpStream,
    remote: SocketAddr,
) -> Result<(Arc<Session>, TlsStream<TcpStream>), HandshakeError> {
    let limit = shared.limits.handshake_timeout;
    let attempt = async {
        stream.set_nodelay(true).map_err(HandshakeError::Connect)?;
        let tls = shared.tls.lock().clone();
        let own_certificate = shared.suite.hash(tls.identity.certificate());
        let stream = TlsAcceptor::from(tls.server).accept(stream).await.map_err(HandshakeError::Tls)?;
        let established =
            Established { stream: TlsStream::Server(stream), remote, role: Role::Responder, own_certificate };
        identify(shared, established, None).await
    };
    timeout(limit, attempt).await.unwrap_or(Err(HandshakeError::Timeout { ms: limit.as_millis() }))
}

/// Dials a peer.
///
/// # Errors
/// Any [`HandshakeError`], also after the handshake's deadline.
pub(crate) async fn outgoing(
    shared: &Arc<Shared>,
    peer: &PeerConfig,
) -> Result<(Arc<Session>, TlsStream<TcpStream>), HandshakeError> {
    let limit = shared.limits.handshake_timeout;
    let attempt = async {
        let stream = TcpStream::connect(&peer.address).await.map_err(HandshakeError::Connect)?;
        stream.set_nodelay(true).map_err(HandshakeError::Connect)?;
        let remote = stream.peer_addr().map_err(HandshakeError::Connect)?;
        let name = ServerName::try_from(peer.name.clone())
            .map_err(|error| HandshakeError::Tls(std::io::Error::other(error)))?;
        let tls = shared.tls.lock().clone();
        let own_certificate = shared.suite.hash(tls.identity.certificate());
        let stream = TlsConnector::from(tls.client).connect(name, stream).await.map_err(HandshakeError::Tls)?;
        let established =
            Established { stream: TlsStream::Client(stream), remote, role: Role::Initiator, own_certificate };
        identify(shared, established, Some(peer.key)).await
    };
    timeout(limit, attempt).await.unwrap_or(Err(HandshakeError::Timeout { ms: limit.as_millis() }))
}

/// Exchanges hellos and proofs, and lets the deciding side decide.
async fn identify(
    shared: &Arc<Shared>,
    mut established: Established,
    dialled: Option<ConsensusKey>,
) -> Result<(Arc<Session>, TlsStream<TcpStream>), HandshakeError> {
    match prove_and_decide(shared, &mut established, dialled).await {
        Ok(session) => Ok((session, established.stream)),
        Err(error) => {
            if let Some(code) = error.refusal() {
                handshake::refuse(&mut established.stream, code).await;
            }
            Err(error)
        }
    }
}

async fn prove_and_decide(
    shared: &Arc<Shared>,
    established: &mut Established,
    dialled: Option<ConsensusKey>,
) -> Result<Arc<Session>, HandshakeError> {
    let Presented { channel, names, chain } = presented(shared.suite, established)?;
    let local = Local { suite: shared.suite, key: &shared.key, hello: shared.hello.clone() };
    let mut peer_name = String::new();
    let authorise = |hello: &Hello| {
        if dialled.is_some_and(|key| key != hello.key) {
            return Err(HandshakeError::UnknownKey(hello.key));
        }
        let expected = shared.registry.lock().admit(&hello.key, &chain)?.0.name.clone();
        if !names.iter().any(|name| name.eq_ignore_ascii_case(&expected)) {
            return Err(HandshakeError::CertificateName { expected, presented: names });
        }
        peer_name = expected;
        Ok(())
    };
    let stream = &mut established.stream;
    let proved = handshake::exchange(stream, &local, &channel, authorise).await?;
    tracing::debug!(
        peer = peer_name,
        version = proved.version,
        software = proved.hello.software,
        advertised = proved.hello.advertised,
        "peer proved its identity"
    );
    let mut origin = Origin {
        peer: proved.hello.key,
        name: peer_name,
        remote: established.remote,
        dialled: dialled.is_some(),
        incarnation: proved.hello.incarnation,
        sequence: 0,
        version: proved.version,
        chain,
    };
    let decides = shared.registry.lock().decides(&origin.peer);
    if !decides {
        origin.sequence = handshake::accepted(stream).await?;
        return shared.registry.lock().install(origin);
    }
    let session = shared.registry.lock().install(origin)?;
    if let Err(error) = handshake::accept(stream, session.sequence).await {
        shared.registry.lock().ended(&session, DisconnectReason::Io(error.to_string()));
        return Err(error);
    }
    Ok(session)
}

/// What TLS told of the peer.
struct Presented {
    /// What identifies the TLS session.
    channel: Channel,
    /// The names in the peer's certificate.
    names: Vec<String>,
    /// Its chain of certificates.
    chain: Vec<CertificateDer<'static>>,
}

fn presented(suite: Suite, established: &Established) -> Result<Presented, HandshakeError> {
    let tls_error = |error: rustls::Error| HandshakeError::Tls(std::io::Error::other(error));
    let stream = &established.stream;
    let exporter = match stream {
        TlsStream::Client(stream) => stream.get_ref().1.export_keying_material([0; 32], EXPORTER_LABEL, None),
        TlsStream::Server(stream) => stream.get_ref().1.export_keying_material([0; 32], EXPORTER_LABEL, None),
    }
    .map_err(tls_error)?;
    let chain: &[CertificateDer<'static>] = stream.get_ref().1.peer_certificates().unwrap_or_default();
    let Some(certificate) = chain.first() else {
        return Err(tls_error(rustls::Error::NoCertificatesPresented));
    };
    let channel = Channel {
        role: established.role,
        exporter,
        own_certificate: established.own_certificate,
        peer_certificate: suite.hash(certificate),
    };
    Ok(Presented { channel, names: certificate_names(certificate), chain: chain.to_vec() })
}

/// Serves an installed session in a task of its own.
pub(crate) fn serve(shared: &Arc<Shared>, session: Arc<Session>, stream: TlsStream<TcpStream>) {
    own::note_peer(shared, None);
    let task = {
        let shared = Arc::clone(shared);
        async move {
            tracing::info!(peer = session.name, address = %session.remote, dialled = session.dialled, "connected");
            let reason = session.run(stream, &shared.limits, &shared.events).await;
            tracing::info!(peer = session.name, seconds = session.age().as_secs(), "disconnected: {reason}");
            if reason == DisconnectReason::Goodbye(RefusalCode::Untrusted) {
                own::note_peer(&shared, Some(&session.name));
            }
            if matches!(reason, DisconnectReason::Protocol(_)) {
                // Two broken sessions within a minute and a half are no accident.
                shared.registry.lock().report(&session.peer, PROTOCOL_POINTS);
            }
            shared.registry.lock().ended(&session, reason);
        }
    };
    shared.spawn(task);
}

/// Points for breaking the protocol, of [`lian_types::limits::MISBEHAVIOUR_POINTS_MAX`].
const PROTOCOL_POINTS: u32 = 60;

/// Dials one peer whenever there is no session with it, until it is no longer one.
pub(crate) async fn keep_dialling(shared: Arc<Shared>, peer: ConsensusKey, mut changed: watch::Receiver<u64>) {
    // The side with the larger key lets the other dial first, so that they rarely cross.
    let mut failures = u32::from(!shared.registry.lock().decides(&peer));
    loop {
        changed.mark_unchanged();
        let advice = shared.registry.lock().advise(&peer);
        match advice {
            DialAdvice::Stop => return,
            DialAdvice::Wait => {
                failures = 1;
                if changed.changed().await.is_err() {
                    return;
                }
            }
            DialAdvice::WaitFor(rest) => pause(&mut changed, rest).await,
            DialAdvice::Dial(config) => {
                let delay = backoff(&shared.limits, failures);
                pause(&mut changed, delay).await;
                if shared.registry.lock().advise(&peer) != DialAdvice::Dial(config.clone()) {
                    continue;
                }
                let outcome = tokio::select! {
                    outcome = outgoing(&shared, &config) => outcome,
                    () = shared.stop.cancelled() => return,
                };
                match outcome {
                    Ok((session, stream)) => serve(&shared, session, stream),
                    Err(error) => {
                        failures = failures.saturating_add(1);
                        if matches!(error, HandshakeError::Refused(RefusalCode::Untrusted)) {
                            own::note_peer(&shared, Some(&config.name));
                        }
                        dial_failed(&error, &config, failures);
                    }
                }
            }
        }
    }
}

/// Waits, but not beyond a change.
async fn pause(changed: &mut watch::Receiver<u64>, time: Duration) {
    tokio::select! {
        () = sleep(time) => {}
        _ = changed.changed() => {}
    }
}

/// Nothing before the first attempt; then from the shortest wait, doubling to the longest, each with a random half
/// taken off so that nodes that lost each other together do not return together.
fn backoff(limits: &NetworkLimits, failures: u32) -> Duration {
    let Some(doublings) = failures.checked_sub(1) else { return Duration::ZERO };
    let factor = 1u32.checked_shl(doublings).unwrap_or(u32::MAX);
    let full = limits.backoff_min.saturating_mul(factor).min(limits.backoff_max);
    let half = full / 2;
    let spread = u64::try_from(half.as_micros()).unwrap_or(u64::MAX);
    half.saturating_add(Duration::from_micros(rand::rng().random_range(0..=spread)))
}

/// Counts and logs a failed attempt to dial; what is ordinary, and what repeats, only for those who look closely.
fn dial_failed(error: &HandshakeError, peer: &PeerConfig, failures: u32) {
    measure::handshake_failure(error);
    let PeerConfig { name, address, .. } = peer;
    if error.is_ordinary() || failures > REPEATS_LOGGED {
        tracing::debug!(peer = name, address, "no session: {error}");
    } else {
        tracing::warn!(peer = name, address, "no session: {error}");
    }
}

/// Counts and logs an incoming connection that failed; strangers cannot fill the log.
pub(crate) fn accept_failed(shared: &Shared, error: &HandshakeError, remote: SocketAddr) {
    measure::handshake_failure(error);
    if matches!(error, HandshakeError::Refused(RefusalCode::Untrusted)) {
        own::note_peer(shared, Some(&remote.to_string()));
    }
    let now = Instant::now();
    let mut warned = shared.warned.lock();
    let recent = warned.is_some_and(|last| now.saturating_duration_since(last) < WARNING_PERIOD);
    if error.is_ordinary() || recent {
        tracing::debug!(%remote, "no session: {error}");
    } else {
        *warned = Some(now);
        tracing::warn!(%remote, "no session: {error}");
    }
}

/// After so many failures in a row an operator has been told often enough.
const REPEATS_LOGGED: u32 = 5;
/// Shortest time between two warnings about strangers.
const WARNING_PERIOD: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backs_off_with_jitter_up_to_the_bound() {
        let limits = NetworkLimits::default();
        assert_eq!(backoff(&limits, 0), Duration::ZERO);
        for (failures, full_ms) in [(1, 100), (2, 200), (4, 800), (7, 5_000), (40, 5_000), (u32::MAX, 5_000)] {
            let full = Duration::from_millis(full_ms);
            for _ in 0..50 {
                let wait = backoff(&limits, failures);
                assert!(wait >= full / 2 && wait <= full, "{failures}: {wait:?}");
            }
        }
    }
}
