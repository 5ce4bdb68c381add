//! Sessions between nodes, and the ways that carry them.

use crate::{
    byzantine::Outgoing,
    chain::Chain,
    event::{Event, NodeId},
    message::Envelope,
    random::Random,
    scenario::Links,
    sim::Sim,
    time::Moment,
};
use lian_group::core::{GroupMessage, Recipient};
use lian_types::limits::{DIAL_BACKOFF_MS_MAX, DIAL_BACKOFF_MS_MIN};
use std::{rc::Rc, sync::Arc};

/// Bytes that a way carries in a microsecond: 1 Gbit/s.
const BYTES_PER_US: u64 = 125;
/// How long checking a message takes, least and most, in microseconds.
const CHECK_US: (u64, u64) = (40, 150);
/// How much later a lost segment of a stream arrives, least and most, in milliseconds: TCP sends it again.
const RETRANSMISSION_MS: (u64, u64) = (200, 1_500);

/// What messages go over.
pub(crate) struct Network {
    jitter_us: u64,
    /// Delays in microseconds, by sender and receiver.
    delays: Vec<Vec<u64>>,
    /// Each node's end of its session to each other node, by the session's number.
    ends: Vec<Vec<Option<u64>>>,
    /// How many faults cut a way, by sender and receiver: for everything, and for consensus messages.
    cuts: Vec<Vec<Cuts>>,
    /// When the two nodes, the lower number first, try to connect next, if they are about to.
    connecting: Vec<Vec<Option<Moment>>>,
    sessions: u64,
    /// What streams carry once a way is no longer cut, unless the session breaks before.
    held: Vec<Held>,
    /// Chances in a thousand.
    pub(crate) loss_permille: u64,
    pub(crate) duplication_permille: u64,
    /// Chances in a thousand, and how much longer in milliseconds.
    pub(crate) delay: Option<(u64, (u64, u64))>,
}

/// A message in a stream that is interrupted.
struct Held {
    from: NodeId,
    to: NodeId,
    session: u64,
    envelope: Rc<Envelope>,
}

/// How many faults cut a way.
#[derive(Clone, Copy, Debug, Default)]
struct Cuts {
    everything: u32,
    consensus: u32,
}

impl Network {
    /// A network without sessions.
    pub(crate) fn new(nodes: usize, links: &Links, random: &mut Random) -> Self {
        let row = |random: &mut Random| (0..nodes).map(|_| random.between(links.delay_us)).collect();
        Self {
            jitter_us: links.jitter_us,
            delays: (0..nodes).map(|_| row(random)).collect(),
            ends: vec![vec![None; nodes]; nodes],
            cuts: vec![vec![Cuts::default(); nodes]; nodes],
            connecting: vec![vec![None; nodes]; nodes],
            sessions: 0,
            held: Vec::new(),
            loss_permille: 0,
            duplication_permille: 0,
            delay: None,
        }
    }

    /// A node's end of its session to another.
    pub(crate) fn end(&self, node: NodeId, peer: NodeId) -> Option<u64> {
        self.ends[node][peer]
    }

    /// Closes a node's end.
    pub(crate) fn close(&mut self, node: NodeId, peer: NodeId) {
        self.ends[node][peer] = None;
    }

    /// Opens both ends of a new session.
    pub(crate) fn open(&mut self, one: NodeId, two: NodeId) {
        self.sessions += 1;
        self.ends[one][two] = Some(self.sessions);
        self.ends[two][one] = Some(self.sessions);
    }

    /// How many sessions a machine has to the machines of a node.
    pub(crate) fn sessions_to(&self, node: NodeId, seats: &[NodeId], seat: NodeId) -> usize {
        let ends = self.ends[node].iter().zip(seats);
        ends.filter(|(end, other)| end.is_some() && **other == seat).count()
    }

    /// Whether a way carries messages in both directions.
    pub(crate) fn is_sound(&self, one: NodeId, two: NodeId) -> bool {
        self.cuts[one][two].everything == 0 && self.cuts[two][one].everything == 0
    }

    /// Cuts a way, or ends that.
    pub(crate) fn cut(&mut self, from: NodeId, to: NodeId, everything: bool, begins: bool) {
        let cuts = &mut self.cuts[from][to];
        let count = if everything { &mut cuts.everything } else { &mut cuts.consensus };
        *count = if begins { *count + 1 } else { count.saturating_sub(1) };
    }

    /// Notes that two nodes try to connect. Whether they do: an earlier attempt takes the place of a later one.
    pub(crate) fn tries(&mut self, now: Moment, one: NodeId, two: NodeId) -> bool {
        self.connecting[one.min(two)][one.max(two)].take_if(|due| *due <= now).is_some()
    }
}

impl Sim {
    /// Lets two nodes try to connect after a while, as their dialling does: each dials for itself, so that one that has
    /// just started does not wait for the patience of the other.
    pub(crate) fn connect_later(&mut self, one: NodeId, two: NodeId, least_ms: u64, most_ms: u64) {
        let (one, two) = (one.min(two), one.max(two));
        if one == two {
            return;
        }
        let at = self.now.after_us(self.random.between((least_ms * 1_000, most_ms * 1_000)));
        let next = &mut self.network.connecting[one][two];
        if next.is_none_or(|next| at < next) {
            *next = Some(at);
            self.queue.push(at, Event::Connect { one, two });
        }
    }

    /// Lets two nodes try again after the wait of a failed attempt.
    pub(crate) fn redial(&mut self, one: NodeId, two: NodeId) {
        self.connect_later(one, two, DIAL_BACKOFF_MS_MIN, DIAL_BACKOFF_MS_MAX);
    }

    /// Lets a node notice after a while that its session to a peer is broken.
    pub(crate) fn lose_session(&mut self, node: NodeId, peer: NodeId, after_us: u64) {
        if let Some(session) = self.network.end(node, peer) {
            self.queue.push(self.now.after_us(after_us), Event::SessionLost { node, peer, session });
        }
    }

    /// Sends a message over every session that it is meant for. A Byzantine machine's may be changed on the way out.
    pub(crate) fn send(&mut self, from: NodeId, to: Recipient, message: &GroupMessage) {
        let chain = Arc::clone(&self.chain);
        let receivers: Vec<_> = (0..chain.seats.len()).filter(|peer| is_meant(&chain, to, *peer)).collect();
        if let Some(traitor) = self.traitors.get_mut(&from) {
            let outgoing = traitor.turn(&chain, self.now.ms(), &receivers, message);
            return outgoing.into_iter().for_each(|outgoing| self.send_one(from, outgoing));
        }
        let envelope = match Envelope::new(message) {
            Ok(envelope) => Rc::new(envelope),
            Err(error) => return self.fail("messages", || format!("n{from}: {error}")),
        };
        self.trace.add(envelope.digest());
        self.count_sent(from, &envelope);
        receivers.into_iter().for_each(|peer| self.transmit(from, peer, &envelope));
    }

    /// Sends what a Byzantine machine makes of a message. What no program can read is dropped where it arrives.
    fn send_one(&mut self, from: NodeId, outgoing: Outgoing) {
        let Outgoing { to, after_ms, message } = outgoing;
        let Ok(envelope) = Envelope::new(&message) else { return self.count("messages refused") };
        self.trace.add(envelope.digest());
        self.count_sent(from, &envelope);
        let envelope = Rc::new(envelope);
        if after_ms == 0 {
            self.transmit(from, to, &envelope);
        } else {
            self.queue.push(self.now.after_ms(after_ms), Event::Late { from, to, envelope });
        }
    }

    /// Lets streams go on whose way is no longer cut.
    pub(crate) fn resume_streams(&mut self) {
        for held in std::mem::take(&mut self.network.held) {
            let Held { from, to, session, envelope } = &held;
            if self.network.end(*from, *to) != Some(*session) {
                continue;
            }
            if self.network.cuts[*from][*to].everything > 0 {
                self.network.held.push(held);
            } else {
                self.transmit(*from, *to, envelope);
            }
        }
    }

    pub(crate) fn transmit(&mut self, from: NodeId, to: NodeId, envelope: &Rc<Envelope>) {
        let Some(session) = self.network.end(from, to) else { return };
        let is_consensus = matches!(envelope.payload(), GroupMessage::Consensus(_) | GroupMessage::Raft(_));
        let cuts = self.network.cuts[from][to];
        if is_consensus && (cuts.everything > 0 || cuts.consensus > 0) {
            return;
        }
        if cuts.everything > 0 {
            self.network.held.push(Held { from, to, session, envelope: Rc::clone(envelope) });
            return;
        }
        let network = &self.network;
        let random = &mut self.random;
        let mut delay = network.delays[from][to] + random.below(network.jitter_us + 1) + random.between(CHECK_US);
        delay += envelope.length() as u64 / BYTES_PER_US;
        if let Some((permille, extra_ms)) = network.delay
            && random.permille(permille)
        {
            delay += random.between((extra_ms.0 * 1_000, extra_ms.1 * 1_000));
        }
        if network.loss_permille > 0 && random.permille(network.loss_permille) {
            // Consensus must do without single messages. Gossip and catch-up rely on their stream.
            if is_consensus {
                self.count("messages lost");
                return;
            }
            delay += random.between((RETRANSMISSION_MS.0 * 1_000, RETRANSMISSION_MS.1 * 1_000));
        }
        let copies = 1 + u64::from(is_consensus && random.permille(network.duplication_permille));
        for copy in 0..copies {
            let at = self.now.after_us(delay * (1 + copy));
            self.queue.push(at, Event::Deliver { from, to, session, envelope: Rc::clone(envelope) });
        }
    }
}

/// Whether a message is meant for a machine. Who writes to a twin writes to both of its machines.
fn is_meant(chain: &Chain, to: Recipient, machine: NodeId) -> bool {
    match to {
        Recipient::All => true,
        Recipient::One(key) => chain.publics[machine] == key,
    }
}
