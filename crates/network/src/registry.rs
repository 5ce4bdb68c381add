//! The peers, and which session each has.

use crate::{
    DisconnectReason, HandshakeError, NetworkError, NetworkLimits, PeerConfig,
    ban::Conduct,
    events::EventQueue,
    measure,
    pki::{Anchor, CertificateFacts, Distrust, Trust},
    session::{Origin, Session},
};
use lian_types::ConsensusKey;
use rustls_pki_types::{CertificateDer, DnsName, UnixTime};
use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};
use tokio::sync::watch;

/// A peer as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerStatus {
    /// Its consensus key.
    pub key: ConsensusKey,
    /// Its name in the genesis file.
    pub name: String,
    /// The configured address, `host:port`.
    pub address: String,
    /// The other end of the session; none without a session.
    pub remote: Option<SocketAddr>,
    /// When the session began; none without a session.
    pub connected_since: Option<SystemTime>,
    /// Whether this node dialled the session.
    pub dialled: bool,
    /// The last measured round-trip time in milliseconds, rounded down; none before the first measurement.
    pub rtt_ms: Option<u64>,
    /// Bytes that wait to be sent.
    pub queued: usize,
    /// Bytes received since the session began, without TLS's own.
    pub bytes_in: u64,
    /// Bytes sent since the session began, without TLS's own.
    pub bytes_out: u64,
    /// Whether it is banned for misbehaviour.
    pub banned: bool,
    /// What its certificate says; none without a session.
    pub certificate: Option<PeerCertificate>,
}

/// The certificate that a peer has shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerCertificate {
    /// What it says.
    pub facts: CertificateFacts,
    /// When the first certificate of its chain expires.
    pub expires: SystemTime,
    /// The authority at which the chain ends.
    pub authority: Anchor,
}

/// What the task that dials a peer should do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum DialAdvice {
    /// Dial.
    Dial(PeerConfig),
    /// There is a session, or no address.
    Wait,
    /// The peer is banned for this long.
    WaitFor(Duration),
    /// The peer is no longer one.
    Stop,
}

/// All peers of this node.
#[derive(Debug)]
pub(crate) struct Registry {
    own_key: ConsensusKey,
    /// The institution that this node belongs to, as far as it is known.
    own_institution: Option<String>,
    trust: Trust,
    peers: BTreeMap<ConsensusKey, Peer>,
    events: Arc<EventQueue>,
    sessions_made: u64,
    /// Silence after which an older session gives way to a new one.
    stale: Duration,
    ban: Duration,
    stopping: bool,
}

#[derive(Debug)]
struct Peer {
    config: PeerConfig,
    session: Option<Arc<Session>>,
    /// What the certificate of the session says; read once.
    certificate: Option<PeerCertificate>,
    conduct: Conduct,
    /// Counts changes, so that the task that dials looks again.
    changed: watch::Sender<u64>,
}

impl Peer {
    fn notify(&self) {
        self.changed.send_modify(|count| *count = count.wrapping_add(1));
    }
}

impl Registry {
    pub(crate) fn new(own_key: ConsensusKey, trust: Trust, events: Arc<EventQueue>, limits: &NetworkLimits) -> Self {
        let NetworkLimits { ping_period, ban, .. } = *limits;
        Self {
            own_key,
            own_institution: None,
            trust,
            peers: BTreeMap::new(),
            events,
            sessions_made: 0,
            stale: ping_period.saturating_add(ping_period / 2),
            ban,
            stopping: false,
        }
    }

    /// Replaces the set of peers: ends the sessions of those that are gone, or whose institution has changed to one whose
    /// authorities do not vouch for them; gives those that are new and want a task that dials.
    ///
    /// # Errors
    /// [`NetworkError`] for a name that no certificate can carry or a key that stands twice; nothing changes then.
    pub(crate) fn set_peers(
        &mut self,
        configs: Vec<PeerConfig>,
    ) -> Result<Vec<(ConsensusKey, watch::Receiver<u64>)>, NetworkError> {
        let (mut wanted, mut own_institution) = (BTreeMap::new(), None);
        for config in configs {
            if config.key == self.own_key {
                own_institution = config.institution;
                continue;
            }
            if DnsName::try_from(config.name.as_str()).is_err() {
                return Err(NetworkError::PeerName { name: config.name });
            }
            if let Some(twice) = wanted.insert(config.key, config) {
                return Err(NetworkError::DuplicateKey { key: twice.key });
            }
        }
        self.own_institution = own_institution;
        let gone: Vec<_> = self.peers.keys().filter(|key| !wanted.contains_key(*key)).copied().collect();
        for key in gone {
            self.end(&key, DisconnectReason::Removed);
            if let Some(peer) = self.peers.remove(&key) {
                peer.notify();
            }
        }
        let mut new = Vec::new();
        for (key, config) in wanted {
            if let Some(peer) = self.peers.get_mut(&key) {
                peer.config = config;
                peer.notify();
                continue;
            }
            let (changed, receiver) = watch::channel(0);
            self.peers
                .insert(key, Peer { config, session: None, certificate: None, conduct: Conduct::default(), changed });
            new.push((key, receiver));
        }
        self.judge_sessions();
        Ok(new)
    }

    /// Judges certificates by something else from now on, those of live sessions at once.
    pub(crate) fn set_trust(&mut self, trust: Trust) {
        self.trust = trust;
        self.judge_sessions();
    }

    /// Ends the sessions whose certificates are not accepted any more.
    fn judge_sessions(&mut self) {
        let now = UnixTime::now();
        let mut refused = Vec::new();
        for (key, peer) in &mut self.peers {
            let (Some(session), Some(certificate)) = (&peer.session, &mut peer.certificate) else { continue };
            match self.trust.judge(&session.chain, peer.config.institution.as_deref(), now) {
                Ok(authority) => certificate.authority = authority,
                Err(distrust) => refused.push((*key, peer.config.name.clone(), distrust)),
            }
        }
        for (key, peer, distrust) in refused {
            tracing::warn!(peer, "session ended: {distrust}");
            self.end(&key, DisconnectReason::Untrusted(distrust));
        }
    }

    /// Where this node's own chain leads, as peers judge it.
    ///
    /// # Errors
    /// [`Distrust`]: why they refuse it.
    pub(crate) fn judge_own(&self, chain: &[CertificateDer<'_>]) -> Result<Anchor, Distrust> {
        self.trust.judge(chain, self.own_institution.as_deref(), UnixTime::now())
    }

    /// The configuration of a peer that may have a session, and the authority at which its chain of certificates ends.
    ///
    /// # Errors
    /// [`HandshakeError::UnknownKey`], [`HandshakeError::Banned`], [`HandshakeError::Stopping`] or
    /// [`HandshakeError::Untrusted`].
    pub(crate) fn admit(
        &self,
        key: &ConsensusKey,
        chain: &[CertificateDer<'_>],
    ) -> Result<(&PeerConfig, Anchor), HandshakeError> {
        if self.stopping {
            return Err(HandshakeError::Stopping);
        }
        let peer = self.peers.get(key).ok_or(HandshakeError::UnknownKey(*key))?;
        if peer.conduct.banned_for(Instant::now()).is_some() {
            return Err(HandshakeError::Banned);
        }
        let authority = self.trust.judge(chain, peer.config.institution.as_deref(), UnixTime::now());
        Ok((&peer.config, authority.map_err(HandshakeError::Untrusted)?))
    }

    /// Whether this node decides which session of a pair stays: the one with the smaller key does, alone, so that the
    /// two can never keep different ones.
    pub(crate) fn decides(&self, peer: &ConsensusKey) -> bool {
        self.own_key < *peer
    }

    /// Takes a new session in place of any older one, or refuses it. On the deciding side an older session stays if it
    /// is alive and was dialled by the smaller key; a session that is silent, or of a process that has ended, never
    /// stands in the way. The other side follows the decision.
    ///
    /// # Errors
    /// As [`Self::admit`], and [`HandshakeError::Duplicate`].
    pub(crate) fn install(&mut self, mut origin: Origin) -> Result<Arc<Session>, HandshakeError> {
        // The second time: what is believed may have changed since the handshake began.
        let (_, authority) = self.admit(&origin.peer, &origin.chain)?;
        let decides = self.decides(&origin.peer);
        self.sessions_made = self.sessions_made.saturating_add(1);
        let id = self.sessions_made;
        if decides {
            origin.sequence = id;
        }
        let stale = self.stale;
        let Some(peer) = self.peers.get_mut(&origin.peer) else {
            return Err(HandshakeError::UnknownKey(origin.peer));
        };
        let same_process = |old: &Arc<Session>| old.incarnation == origin.incarnation;
        if let Some(old) = peer.session.as_ref().filter(|old| same_process(old)) {
            // Here the smaller key is this node's own, so a session that it dialled is the preferred one.
            let keeps = decides && old.dialled && !origin.dialled && old.silent_for() < stale;
            let outdated = !decides && old.sequence > origin.sequence;
            if keeps || outdated {
                return Err(HandshakeError::Duplicate);
            }
        }
        if let Some(old) = peer.session.take() {
            old.close(DisconnectReason::Replaced);
            self.events.disconnected(&old, DisconnectReason::Replaced);
        }
        let session = Arc::new(Session::new(id, origin));
        let facts = session.chain.first().and_then(|leaf| CertificateFacts::of(leaf).ok());
        peer.certificate = facts.map(|facts| PeerCertificate { facts, expires: session.expires, authority });
        peer.session = Some(Arc::clone(&session));
        peer.notify();
        self.events.connected(&session);
        self.measure();
        Ok(session)
    }

    /// A session's task has ended.
    pub(crate) fn ended(&mut self, session: &Session, reason: DisconnectReason) {
        let Some(peer) = self.peers.get_mut(&session.peer) else { return };
        if peer.session.as_ref().is_some_and(|current| current.id == session.id) {
            peer.session = None;
            peer.notify();
            self.events.disconnected(session, reason);
        }
        self.measure();
    }

    /// Ends a peer's session from this side.
    fn end(&mut self, key: &ConsensusKey, reason: DisconnectReason) {
        let Some(peer) = self.peers.get_mut(key) else { return };
        if let Some(session) = peer.session.take() {
            session.close(reason.clone());
            self.events.disconnected(&session, reason);
            peer.notify();
        }
        self.measure();
    }

    /// Counts misbehaviour; at the threshold the peer is disconnected and banned. True if it is.
    pub(crate) fn report(&mut self, key: &ConsensusKey, weight: u32) -> bool {
        let ban = self.ban;
        let Some(peer) = self.peers.get_mut(key) else { return false };
        if !peer.conduct.report(Instant::now(), weight, ban) {
            return false;
        }
        self.end(key, DisconnectReason::Banned);
        true
    }

    /// Ends every session and refuses new ones.
    pub(crate) fn stop(&mut self) {
        self.stopping = true;
        let keys: Vec<_> = self.peers.keys().copied().collect();
        for key in keys {
            self.end(&key, DisconnectReason::Shutdown);
        }
        // Also those without a session: the tasks that dial them wait for a change.
        self.peers.values().for_each(Peer::notify);
    }

    pub(crate) fn advise(&self, key: &ConsensusKey) -> DialAdvice {
        let Some(peer) = self.peers.get(key) else { return DialAdvice::Stop };
        if self.stopping {
            return DialAdvice::Stop;
        }
        if peer.session.is_some() || peer.config.address.is_empty() {
            return DialAdvice::Wait;
        }
        match peer.conduct.banned_for(Instant::now()) {
            Some(rest) => DialAdvice::WaitFor(rest),
            None => DialAdvice::Dial(peer.config.clone()),
        }
    }

    pub(crate) fn session(&self, key: &ConsensusKey) -> Option<Arc<Session>> {
        self.peers.get(key)?.session.clone()
    }

    /// Every peer's session, if it has one.
    pub(crate) fn sessions(&self) -> impl Iterator<Item = Option<&Arc<Session>>> {
        self.peers.values().map(|peer| peer.session.as_ref())
    }

    pub(crate) fn status(&self) -> Vec<PeerStatus> {
        self.peers.values().map(Peer::status).collect()
    }

    fn measure(&self) {
        measure::sessions(self.sessions().flatten().count());
    }
}

impl Peer {
    fn status(&self) -> PeerStatus {
        let session = self.session.as_ref();
        let (bytes_in, bytes_out) = session.map(|session| session.traffic()).unwrap_or_default();
        let rtt = session.and_then(|session| session.round_trip());
        PeerStatus {
            key: self.config.key,
            name: self.config.name.clone(),
            address: self.config.address.clone(),
            remote: session.map(|session| session.remote),
            connected_since: session.map(|session| session.since),
            dialled: session.is_some_and(|session| session.dialled),
            rtt_ms: rtt.map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX)),
            queued: session.map_or(0, |session| session.queued_bytes()),
            bytes_in,
            bytes_out,
            banned: self.conduct.banned_for(Instant::now()).is_some(),
            certificate: session.and(self.certificate.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{NetworkEvent, NetworkEvents, Received, hostile::fixture::Certificates};
    use std::sync::LazyLock;

    fn certificates() -> &'static Certificates {
        static MADE: LazyLock<Certificates> = LazyLock::new(Certificates::new);
        &MADE
    }

    const SMALL: ConsensusKey = ConsensusKey([1; 33]);
    const LARGE: ConsensusKey = ConsensusKey([2; 33]);

    fn registry(own: ConsensusKey, ping: Duration) -> (Registry, NetworkEvents) {
        let (events, consumer) = EventQueue::new();
        let limits = NetworkLimits { ping_period: ping, ban: Duration::from_secs(60), ..NetworkLimits::default() };
        let mut registry = Registry::new(own, certificates().trust(), events, &limits);
        let peer = |key| PeerConfig { key, name: "peer".into(), institution: None, address: "127.0.0.1:1".into() };
        registry.set_peers(vec![peer(SMALL), peer(LARGE)]).unwrap();
        (registry, consumer)
    }

    fn origin(peer: ConsensusKey, dialled: bool, incarnation: u64, sequence: u64) -> Origin {
        let remote = SocketAddr::from(([127, 0, 0, 1], 2));
        let chain = certificates().identity("peer").chain().to_vec();
        Origin { peer, name: "peer".into(), remote, dialled, incarnation, sequence, version: 1, chain }
    }

    fn drain(events: &mut NetworkEvents) -> String {
        let mut text = String::new();
        while let Received::Event(event) = events.try_recv() {
            text.push(match event {
                NetworkEvent::Connected { .. } => '+',
                NetworkEvent::Disconnected { .. } => '-',
                NetworkEvent::Message { .. } => 'm',
            });
        }
        text
    }

    /// Rows: who dialled the older session and the newer, whether the peer has restarted between, whether the newer is
    /// taken by the deciding side.
    #[test]
    fn the_smaller_keys_dial_wins_while_it_lives() {
        let table = [
            (true, false, false, false),
            (true, true, false, true),
            (false, true, false, true),
            (false, false, false, true),
            (true, false, true, true),
        ];
        for (old, new, restarted, taken) in table {
            let (mut registry, mut events) = registry(SMALL, Duration::from_secs(60));
            registry.install(origin(LARGE, old, 1, 0)).unwrap();
            assert_eq!(drain(&mut events), "+");
            let outcome = registry.install(origin(LARGE, new, 1 + u64::from(restarted), 0));
            assert_eq!(outcome.is_ok(), taken, "{old} {new} {restarted}");
            assert_eq!(drain(&mut events), if taken { "-+" } else { "" });
        }
    }

    #[test]
    fn a_silent_session_blocks_nothing() {
        let (mut registry, _events) = registry(SMALL, Duration::ZERO);
        registry.install(origin(LARGE, true, 1, 0)).unwrap();
        registry.install(origin(LARGE, false, 1, 0)).unwrap();
    }

    #[test]
    fn the_other_side_follows_the_latest_decision() {
        let (mut registry, _events) = registry(LARGE, Duration::from_secs(60));
        registry.install(origin(SMALL, true, 1, 5)).unwrap();
        registry.install(origin(SMALL, false, 1, 6)).unwrap();
        assert!(matches!(registry.install(origin(SMALL, true, 1, 5)), Err(HandshakeError::Duplicate)));
        registry.install(origin(SMALL, true, 2, 1)).unwrap();
    }

    #[test]
    fn an_old_sessions_end_leaves_the_new_one() {
        let (mut registry, mut events) = registry(SMALL, Duration::from_secs(60));
        let old = registry.install(origin(LARGE, false, 1, 0)).unwrap();
        let new = registry.install(origin(LARGE, true, 1, 0)).unwrap();
        assert_eq!(drain(&mut events), "+", "nobody saw the first");
        registry.ended(&old, DisconnectReason::Closed);
        assert_eq!(registry.session(&LARGE).map(|session| session.id), Some(new.id));
        assert_eq!(registry.advise(&LARGE), DialAdvice::Wait);
        registry.ended(&new, DisconnectReason::Closed);
        assert!(matches!(registry.advise(&LARGE), DialAdvice::Dial(_)));
        assert_eq!(drain(&mut events), "-");
    }

    #[test]
    fn misbehaviour_bans() {
        let (mut registry, mut events) = registry(SMALL, Duration::from_secs(60));
        registry.install(origin(LARGE, true, 1, 0)).unwrap();
        assert!(!registry.report(&LARGE, 99));
        assert!(registry.report(&LARGE, 50));
        assert!(matches!(registry.install(origin(LARGE, true, 2, 0)), Err(HandshakeError::Banned)));
        assert!(matches!(registry.advise(&LARGE), DialAdvice::WaitFor(_)));
        assert!(registry.status().iter().all(|peer| peer.banned && peer.connected_since.is_none()));
        assert_eq!(drain(&mut events), "");
    }

    #[test]
    fn peers_are_replaced() {
        let (mut registry, _events) = registry(SMALL, Duration::from_secs(60));
        registry.install(origin(LARGE, true, 1, 0)).unwrap();
        let bad = PeerConfig { key: LARGE, name: "not a name".into(), institution: None, address: String::new() };
        assert!(matches!(registry.set_peers(vec![bad]), Err(NetworkError::PeerName { .. })));
        assert!(registry.session(&LARGE).is_some(), "a refused change changes nothing");
        registry.set_peers(vec![]).unwrap();
        assert_eq!(registry.advise(&LARGE), DialAdvice::Stop);
        assert!(matches!(registry.admit(&LARGE, &[]), Err(HandshakeError::UnknownKey(_))));
    }

    /// What is believed may change between a peer's proof and its session.
    #[test]
    fn a_session_begins_by_what_is_believed_then() {
        let (mut registry, mut events) = registry(SMALL, Duration::from_secs(60));
        let under_way = origin(LARGE, true, 1, 0);
        registry.admit(&LARGE, &under_way.chain).unwrap();
        registry.install(origin(LARGE, true, 1, 0)).unwrap();
        registry.set_trust(Certificates::new().trust());
        assert_eq!(drain(&mut events), "", "the session was never seen");
        assert!(registry.session(&LARGE).is_none());
        assert!(matches!(registry.install(under_way), Err(HandshakeError::Untrusted(_))));
        registry.set_trust(certificates().trust());
        registry.install(origin(LARGE, true, 1, 0)).unwrap();
    }
}
