//! Starting a node's network, and what one can do with it.

use crate::{
    BroadcastOutcome, Class, NetworkConfig, NetworkError, NetworkEvents, PeerConfig, PeerStatus, SendOutcome,
    connect::{Shared, keep_dialling},
    events::EventQueue,
    listen::accept_all,
    own::{self, OwnCertificate},
    pki::{Anchor, Distrust, TlsContext, TlsIdentity, Trust},
};
use bytes::Bytes;
use lian_types::{ConsensusKey, GroupId, limits};
use std::{net::SocketAddr, sync::Arc};
use tokio::{net::TcpListener, sync::mpsc};

/// Starts networks.
#[derive(Debug)]
pub struct Network;

impl Network {
    /// Listens, dials every peer, and keeps one session with each until [`NetworkHandle::shutdown`]. Needs a Tokio
    /// runtime.
    ///
    /// # Errors
    /// [`NetworkError::Listen`] names the address, for example where the port is in use; other [`NetworkError`]s for a
    /// configuration that cannot work. A wrong certificate of this node is not found here but by
    /// [`TlsIdentity::check`].
    pub async fn start(config: NetworkConfig) -> Result<(NetworkHandle, NetworkEvents), NetworkError> {
        check(&config)?;
        let tls = TlsContext::new(&config.identity, &config.trust)?;
        let listen = |source| NetworkError::Listen { address: config.listen, source };
        let (events, consumer) = EventQueue::new();
        let (shared, ended) = Shared::new(&config, tls, events);
        // Before anything is done, so that a refused configuration leaves nothing behind.
        let dial = shared.registry.lock().set_peers(config.peers.clone())?;
        let listener = TcpListener::bind(config.listen).await.map_err(listen)?;
        let local_address = listener.local_addr().map_err(listen)?;
        let shared = Arc::new(shared);
        own::note(&shared);
        shared.spawn(accept_all(Arc::clone(&shared), listener));
        for (key, changed) in dial {
            shared.spawn(keep_dialling(Arc::clone(&shared), key, changed));
        }
        tracing::info!(address = %local_address, key = %shared.key.public(), "listening for nodes");
        let ended = Arc::new(tokio::sync::Mutex::new(ended));
        Ok((NetworkHandle { shared, local_address, ended }, consumer))
    }
}

fn check(config: &NetworkConfig) -> Result<(), NetworkError> {
    for (field, text) in [("software", &config.software), ("advertised", &config.advertised)] {
        if text.len() > limits::HANDSHAKE_TEXT_BYTES_MAX {
            return Err(NetworkError::TextTooLong { field, length: text.len() });
        }
    }
    let bounds = &config.limits;
    let fragment = u64::try_from(limits::FRAGMENT_BYTES_MAX).unwrap_or(u64::MAX);
    let limit = |fits: bool, field, range| if fits { Ok(()) } else { Err(NetworkError::Limit { field, range }) };
    limit(bounds.bytes_per_second_max >= fragment, "bytes_per_second_max", "at least one fragment")?;
    limit(!bounds.ping_period.is_zero(), "ping_period", "above zero")?;
    limit(bounds.silence_max >= bounds.ping_period.saturating_mul(2), "silence_max", "at least two ping periods")?;
    limit(bounds.backoff_max >= bounds.backoff_min, "backoff_max", "at least backoff_min")?;
    limit(!bounds.backoff_min.is_zero(), "backoff_min", "above zero")?;
    limit(bounds.handshakes_max > 0, "handshakes_max", "above zero")?;
    limit(bounds.handshakes_per_address_max > 0, "handshakes_per_address_max", "above zero")
}

/// A running network. Cheap to clone; nothing here waits except [`shutdown`](Self::shutdown).
#[derive(Clone, Debug)]
pub struct NetworkHandle {
    shared: Arc<Shared>,
    local_address: SocketAddr,
    ended: Arc<tokio::sync::Mutex<mpsc::Receiver<()>>>,
}

impl NetworkHandle {
    /// Where this node listens.
    #[must_use]
    pub const fn local_address(&self) -> SocketAddr {
        self.local_address
    }

    /// This node's consensus key.
    #[must_use]
    pub fn key(&self) -> ConsensusKey {
        self.shared.hello.key
    }

    /// Queues a message to one peer and returns at once. A full queue of [`Class::Consensus`] drops its oldest messages,
    /// the others refuse the new one; the outcome says which. What is queued is lost if the session ends.
    pub fn send(&self, peer: ConsensusKey, group: GroupId, class: Class, bytes: Bytes) -> SendOutcome {
        let session = self.shared.registry.lock().session(&peer);
        session.map_or(SendOutcome::NotConnected, |session| session.send(class, group, bytes))
    }

    /// The protocol version of the session with a peer; none without a session.
    #[must_use]
    pub fn session_version(&self, peer: ConsensusKey) -> Option<u16> {
        self.shared.registry.lock().session(&peer).map(|session| session.version)
    }

    /// Queues a message to every connected peer; the bytes are shared, not copied.
    pub fn broadcast(&self, group: GroupId, class: Class, bytes: Bytes) -> BroadcastOutcome {
        let sessions: Vec<_> = self.shared.registry.lock().sessions().map(|session| session.cloned()).collect();
        let mut outcome = BroadcastOutcome::default();
        for session in sessions {
            let sent = session.map_or(SendOutcome::NotConnected, |session| session.send(class, group, bytes.clone()));
            match sent {
                SendOutcome::Queued | SendOutcome::QueuedAfterDropping { .. } => outcome.queued += 1,
                SendOutcome::Full => outcome.full += 1,
                SendOutcome::NotConnected => outcome.not_connected += 1,
                SendOutcome::TooLarge { .. } => outcome.too_large = true,
            }
        }
        outcome
    }

    /// All peers, connected or not, by key.
    #[must_use]
    pub fn peers(&self) -> Vec<PeerStatus> {
        self.shared.registry.lock().status()
    }

    /// Counts misbehaviour that the content of messages showed. At [`limits::MISBEHAVIOUR_POINTS_MAX`] points the peer
    /// is disconnected and stays out for [`crate::NetworkLimits::ban`]; one point is forgiven per second. True if this
    /// report banned it.
    pub fn report_misbehaviour(&self, peer: ConsensusKey, weight: u32) -> bool {
        let banned = self.shared.registry.lock().report(&peer, weight);
        if banned {
            tracing::warn!(%peer, "banned for misbehaviour");
        }
        banned
    }

    /// Replaces the set of nodes that may have a session: ends those of nodes that are gone, dials those that are new,
    /// and takes over changed addresses and institutions. An entry with this node's own key says to which institution it
    /// belongs itself.
    ///
    /// # Errors
    /// [`NetworkError::PeerName`] and [`NetworkError::DuplicateKey`]; nothing changes then.
    pub fn set_peers(&self, peers: Vec<PeerConfig>) -> Result<(), NetworkError> {
        let dial = self.shared.registry.lock().set_peers(peers)?;
        for (key, changed) in dial {
            self.shared.spawn(keep_dialling(Arc::clone(&self.shared), key, changed));
        }
        own::note(&self.shared);
        Ok(())
    }

    /// Judges certificates by something else: those of handshakes from now on, and those of live sessions at once. Sessions
    /// whose certificates are not accepted any more end before this returns.
    ///
    /// # Errors
    /// [`NetworkError::Pki`]; nothing changes then.
    pub fn set_trust(&self, trust: &Trust) -> Result<(), NetworkError> {
        {
            let mut tls = self.shared.tls.lock();
            *tls = TlsContext::new(&tls.identity, trust)?;
            // Under the lock, so that of two calls the later one counts for both.
            self.shared.registry.lock().set_trust(trust.clone());
        }
        own::note(&self.shared);
        Ok(())
    }

    /// Shows another certificate in sessions that begin from now on; live ones go on.
    ///
    /// # Errors
    /// [`NetworkError::Pki`]; nothing changes then.
    pub fn set_identity(&self, identity: &TlsIdentity) -> Result<(), NetworkError> {
        {
            let mut tls = self.shared.tls.lock();
            *tls = TlsContext::new(identity, &tls.trust)?;
        }
        own::note(&self.shared);
        Ok(())
    }

    /// Where a chain of this node leads by what is believed now.
    ///
    /// # Errors
    /// [`Distrust`]: why peers would refuse it.
    pub fn judge_own(&self, identity: &TlsIdentity) -> Result<Anchor, Distrust> {
        self.shared.registry.lock().judge_own(identity.chain())
    }

    /// This node's own certificate, and whether peers accept it, as of the last change of either.
    #[must_use]
    pub fn own_certificate(&self) -> Option<OwnCertificate> {
        self.shared.own.lock().clone()
    }

    /// By what certificates are judged now.
    #[must_use]
    pub fn trust(&self) -> Trust {
        self.shared.tls.lock().trust.clone()
    }

    /// Says goodbye to all peers, stops listening and dialling, and waits until that is done, at most a second or so.
    /// The events end after those that are already there.
    pub async fn shutdown(&self) {
        self.shared.registry.lock().stop();
        self.shared.stop.cancel();
        // Tasks started from here on would not be waited for, so none is.
        self.shared.alive.lock().take();
        let mut ended = self.ended.lock().await;
        while ended.recv().await.is_some() {}
        self.shared.events.close();
    }
}
