//! One established session: reading, writing, liveness.

use crate::{
    Class, DisconnectReason, NetworkLimits, SendOutcome,
    assembly::Assembly,
    class::PerClass,
    events::EventQueue,
    frame::{Frame, FrameError, cost},
    handshake::{FAREWELL, drain},
    measure,
    outbox::Outbox,
    pki::chain_expires,
    throttle::Throttle,
};
use bytes::{Bytes, BytesMut};
use futures::future::{FusedFuture, FutureExt};
use lian_types::{ConsensusKey, GroupId, limits};
use parking_lot::Mutex;
use rustls::pki_types::CertificateDer;
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    sync::Notify,
    time::{MissedTickBehavior, interval, sleep, timeout},
};

/// Free space kept in the buffer that is read into: one fragment and its frame.
const READ_BYTES: usize = limits::FRAGMENT_BYTES_MAX + 1024;

/// How an established session came to be.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    /// The peer's consensus key.
    pub(crate) peer: ConsensusKey,
    /// The peer's name.
    pub(crate) name: String,
    /// The other end's address.
    pub(crate) remote: SocketAddr,
    /// Whether this node dialled.
    pub(crate) dialled: bool,
    /// The random number of the peer's process.
    pub(crate) incarnation: u64,
    /// The number that the deciding side gave the session.
    pub(crate) sequence: u64,
    /// The protocol version of the session.
    pub(crate) version: u16,
    /// What the peer has shown of its chain of certificates, its own first.
    pub(crate) chain: Vec<CertificateDer<'static>>,
}

/// The state of one session, shared between its task, the registry and the consumer.
#[derive(Debug)]
pub(crate) struct Session {
    /// Unique in this process.
    pub(crate) id: u64,
    pub(crate) peer: ConsensusKey,
    pub(crate) name: String,
    pub(crate) remote: SocketAddr,
    pub(crate) dialled: bool,
    pub(crate) incarnation: u64,
    pub(crate) sequence: u64,
    pub(crate) version: u16,
    pub(crate) since: SystemTime,
    pub(crate) chain: Vec<CertificateDer<'static>>,
    /// When the first certificate of the chain expires.
    pub(crate) expires: SystemTime,
    started: Instant,
    outbox: Mutex<Outbox>,
    wake: Notify,
    inbound: Mutex<PerClass<Inbound>>,
    reason: Mutex<Option<DisconnectReason>>,
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
    /// Microseconds after `started`.
    heard_us: AtomicU64,
    /// The last round-trip time in microseconds, plus one; zero before the first.
    round_trip_us: AtomicU64,
    ping: Mutex<(u64, Option<Instant>)>,
}

/// Costs of what a peer sent, in bytes since the session's start.
#[derive(Debug, Default)]
struct Inbound {
    received: u64,
    consumed: u64,
    allowed: u64,
}

impl Session {
    pub(crate) fn new(id: u64, origin: Origin) -> Self {
        let Origin { peer, name, remote, dialled, incarnation, sequence, version, chain } = origin;
        let inbound = |class: Class| Inbound { allowed: window(class), ..Inbound::default() };
        Self {
            id,
            peer,
            name,
            remote,
            dialled,
            incarnation,
            sequence,
            version,
            since: SystemTime::now(),
            expires: chain_expires(&chain),
            chain,
            started: Instant::now(),
            outbox: Mutex::new(Outbox::new()),
            wake: Notify::new(),
            inbound: Mutex::new(PerClass::new(inbound)),
            reason: Mutex::new(None),
            bytes_in: AtomicU64::new(0),
            bytes_out: AtomicU64::new(0),
            heard_us: AtomicU64::new(0),
            round_trip_us: AtomicU64::new(0),
            ping: Mutex::new((0, None)),
        }
    }

    #[cfg(test)]
    pub(crate) fn for_tests(id: u64, peer: ConsensusKey) -> Self {
        let remote = SocketAddr::from(([127, 0, 0, 1], 1));
        Self::new(
            id,
            Origin {
                peer,
                name: "peer".into(),
                remote,
                dialled: true,
                incarnation: 1,
                sequence: id,
                version: 1,
                chain: Vec::new(),
            },
        )
    }

    /// Queues a message; never waits.
    pub(crate) fn send(&self, class: Class, group: GroupId, bytes: Bytes) -> SendOutcome {
        let length = bytes.len();
        let outcome = self.outbox.lock().push(class, group, bytes);
        match outcome {
            SendOutcome::Queued => measure::queued(class, length),
            SendOutcome::QueuedAfterDropping { messages } => {
                measure::queued(class, length);
                measure::dropped(messages);
            }
            SendOutcome::Full | SendOutcome::NotConnected | SendOutcome::TooLarge { .. } => measure::refused(class),
        }
        if outcome.is_queued() {
            self.wake.notify_one();
        }
        outcome
    }

    /// Ends the session, soon; the first reason counts.
    pub(crate) fn close(&self, reason: DisconnectReason) {
        let code = reason.farewell();
        self.reason.lock().get_or_insert(reason);
        self.outbox.lock().say_goodbye(code);
        self.wake.notify_one();
    }

    /// The consumer took a message: the peer may send as much more. Credit goes back in quarters of a window.
    pub(crate) fn consumed(&self, class: Class, bytes: usize) {
        let allowed = {
            let mut inbound = self.inbound.lock();
            let inbound = inbound.get_mut(class);
            inbound.consumed = inbound.consumed.saturating_add(cost(bytes, true));
            let allowed = inbound.consumed.saturating_add(window(class));
            if allowed.saturating_sub(inbound.allowed) < window(class) / 4 {
                return;
            }
            inbound.allowed = allowed;
            allowed
        };
        self.outbox.lock().give_credit(class, allowed);
        self.wake.notify_one();
    }

    /// How long nothing has come.
    pub(crate) fn silent_for(&self) -> Duration {
        self.started.elapsed().saturating_sub(Duration::from_micros(self.heard_us.load(Ordering::Relaxed)))
    }

    /// How long the session has existed.
    pub(crate) fn age(&self) -> Duration {
        self.started.elapsed()
    }

    /// The last measured round-trip time.
    pub(crate) fn round_trip(&self) -> Option<Duration> {
        self.round_trip_us.load(Ordering::Relaxed).checked_sub(1).map(Duration::from_micros)
    }

    pub(crate) fn queued_bytes(&self) -> usize {
        self.outbox.lock().queued_bytes()
    }

    /// Bytes received and sent, without TLS's own.
    pub(crate) fn traffic(&self) -> (u64, u64) {
        (self.bytes_in.load(Ordering::Relaxed), self.bytes_out.load(Ordering::Relaxed))
    }

    /// Serves the session until it ends; gives the reason.
    pub(crate) async fn run<S>(
        self: &Arc<Self>,
        stream: S,
        limits: &NetworkLimits,
        events: &EventQueue,
    ) -> DisconnectReason
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let (mut reader, mut writer) = tokio::io::split(stream);
        let ended = {
            let write = self.write(&mut writer, limits).fuse();
            tokio::pin!(write);
            let ended = tokio::select! {
                reason = self.read(&mut reader, limits, events) => reason,
                reason = &mut write => reason,
                reason = self.keep_alive(limits) => reason,
            };
            self.close(ended.clone());
            // The writer ends by itself after its current fragment and the goodbye; a peer that hears nothing any more
            // is not waited for.
            if !write.is_terminated() {
                let _ = timeout(FAREWELL, write).await;
            }
            ended
        };
        // A peer that broke the protocol is owed no patience.
        let polite = !matches!(ended, DisconnectReason::Protocol(_));
        if polite && self.reason.lock().as_ref().is_some_and(|reason| reason.farewell().is_some()) {
            let _ = timeout(FAREWELL, drain(&mut reader)).await;
        }
        self.reason.lock().clone().unwrap_or(ended)
    }

    async fn read(
        &self,
        reader: &mut (impl AsyncRead + Unpin),
        limits: &NetworkLimits,
        events: &EventQueue,
    ) -> DisconnectReason {
        let mut buffer = BytesMut::with_capacity(READ_BYTES);
        let mut assembly = Assembly::default();
        let mut throttle = Throttle::new(Instant::now(), limits.bytes_per_second_max);
        loop {
            buffer.reserve(READ_BYTES);
            let count = match timeout(limits.silence_max, reader.read_buf(&mut buffer)).await {
                Err(_) => return DisconnectReason::Silent { ms: limits.silence_max.as_millis() },
                Ok(Err(error)) => return DisconnectReason::Io(error.to_string()),
                Ok(Ok(0)) => return DisconnectReason::Closed,
                Ok(Ok(count)) => u64::try_from(count).unwrap_or(u64::MAX),
            };
            self.bytes_in.fetch_add(count, Ordering::Relaxed);
            let heard = u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX);
            self.heard_us.store(heard, Ordering::Relaxed);
            loop {
                let accepted = match Frame::take(&mut buffer) {
                    Ok(Some(frame)) => self.accept(frame, &mut assembly, events),
                    Ok(None) => break,
                    Err(error) => Err(error),
                };
                match accepted {
                    Ok(None) => {}
                    Ok(Some(goodbye)) => return goodbye,
                    Err(error) => return DisconnectReason::Protocol(error),
                }
            }
            if let Some(wait) = throttle.spend(Instant::now(), count) {
                sleep(wait).await;
            }
        }
    }

    /// Acts on one frame; gives a reason where the peer ends the session.
    fn accept(
        &self,
        frame: Frame,
        assembly: &mut Assembly,
        events: &EventQueue,
    ) -> Result<Option<DisconnectReason>, FrameError> {
        let message = match frame {
            Frame::Ping(number) => {
                self.outbox.lock().pong(number);
                self.wake.notify_one();
                None
            }
            Frame::Pong(number) => {
                self.measure_round_trip(number);
                None
            }
            Frame::Credit { class, allowed } => {
                self.outbox.lock().receive_credit(class, allowed);
                self.wake.notify_one();
                None
            }
            Frame::Goodbye(code) => return Ok(Some(DisconnectReason::Goodbye(code))),
            Frame::Start { class, group, total, chunk } => {
                self.charge(class, cost(chunk.len(), true))?;
                measure::received(class, chunk.len());
                assembly.start(class, group, total, &chunk)?
            }
            Frame::Next { class, chunk } => {
                self.charge(class, cost(chunk.len(), false))?;
                measure::received(class, chunk.len());
                assembly.next(class, &chunk)?
            }
        };
        if let Some(message) = message {
            events.message(self, message);
        }
        Ok(None)
    }

    /// Counts a fragment against the credit given. The sender may begin a fragment while it has any credit left.
    fn charge(&self, class: Class, cost: u64) -> Result<(), FrameError> {
        let mut inbound = self.inbound.lock();
        let inbound = inbound.get_mut(class);
        if inbound.received >= inbound.allowed {
            return Err(FrameError::BeyondCredit { class });
        }
        inbound.received = inbound.received.saturating_add(cost);
        Ok(())
    }

    fn measure_round_trip(&self, number: u64) {
        let mut ping = self.ping.lock();
        let (expected, sent) = &mut *ping;
        if number != *expected {
            return;
        }
        if let Some(sent) = sent.take() {
            let time = sent.elapsed();
            let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
            self.round_trip_us.store(micros.saturating_add(1), Ordering::Relaxed);
            measure::round_trip(time);
        }
    }

    /// Pings, until the peer's certificate has expired: the clock on the wall decides, as it does in the handshake.
    async fn keep_alive(&self, limits: &NetworkLimits) -> DisconnectReason {
        let mut period = interval(limits.ping_period);
        period.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            period.tick().await;
            if SystemTime::now() >= self.expires {
                return DisconnectReason::Expired;
            }
            let number = {
                let mut ping = self.ping.lock();
                *ping = (ping.0.wrapping_add(1), Some(Instant::now()));
                ping.0
            };
            self.outbox.lock().ping(number);
            self.wake.notify_one();
        }
    }

    async fn write(&self, writer: &mut (impl AsyncWrite + Unpin), limits: &NetworkLimits) -> DisconnectReason {
        let mut batch = BytesMut::with_capacity(READ_BYTES);
        loop {
            batch.clear();
            let over = {
                let mut outbox = self.outbox.lock();
                outbox.fill(&mut batch);
                outbox.is_over()
            };
            if !batch.is_empty() {
                let result = timeout(limits.stall_max, async {
                    writer.write_all(&batch).await?;
                    writer.flush().await
                });
                match result.await {
                    Err(_) => return DisconnectReason::Stalled { ms: limits.stall_max.as_millis() },
                    Ok(Err(error)) => return DisconnectReason::Io(error.to_string()),
                    Ok(Ok(())) => {}
                }
                self.bytes_out.fetch_add(u64::try_from(batch.len()).unwrap_or(u64::MAX), Ordering::Relaxed);
                measure::sent(batch.len());
            }
            if over {
                let _ = writer.shutdown().await;
                return DisconnectReason::Closed;
            }
            if batch.is_empty() {
                self.wake.notified().await;
            }
        }
    }
}

fn window(class: Class) -> u64 {
    u64::try_from(class.window_bytes()).unwrap_or(u64::MAX)
}
