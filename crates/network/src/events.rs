//! What the network tells its consumer, ordered by class and fair between peers.

use crate::{Class, DisconnectReason, assembly::Message, class::PerClass, session::Session};
use bytes::Bytes;
use lian_types::{ConsensusKey, GroupId};
use parking_lot::{Condvar, Mutex};
use std::{
    collections::{BTreeMap, VecDeque},
    net::SocketAddr,
    sync::Arc,
};
use tokio::sync::Notify;

/// Every so many messages a lower class goes first, so that a flood of votes delays bodies but never stops them.
const LOWER_CLASS_EVERY: u32 = 16;

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NetworkEvent {
    /// A session with a peer exists from now on.
    Connected {
        /// The peer's consensus key.
        peer: ConsensusKey,
        /// Its name in the genesis file.
        name: String,
        /// Where its connection comes from or goes to.
        address: SocketAddr,
    },
    /// The session with a peer is over. No message of it follows; what was received and not yet delivered is dropped,
    /// as everything in flight is.
    Disconnected {
        /// The peer's consensus key.
        peer: ConsensusKey,
        /// Why.
        reason: DisconnectReason,
    },
    /// A message.
    Message {
        /// The peer's consensus key; that the message came from its holder is proved.
        peer: ConsensusKey,
        /// The group it is about.
        group: GroupId,
        /// Its class.
        class: Class,
        /// Its content, at most [`Class::bytes_max`] bytes.
        bytes: Bytes,
    },
}

/// The consumer's end: [`recv`](Self::recv) gives events by falling priority, within a class by turns of the peers,
/// of one peer and class in the order sent.
///
/// Receiving a message gives the peer credit for as many bytes. A slow consumer therefore stops the senders, each class
/// of each peer apart, and never a ping or a higher class.
#[derive(Debug)]
pub struct NetworkEvents {
    queue: Arc<EventQueue>,
}

impl NetworkEvents {
    /// The next event; `None` once the network has stopped and everything was received. Cancel-safe.
    pub async fn recv(&mut self) -> Option<NetworkEvent> {
        loop {
            match self.try_recv() {
                Received::Event(event) => return Some(event),
                Received::Closed => return None,
                Received::Empty => self.queue.notify.notified().await,
            }
        }
    }

    /// As [`recv`](Self::recv), for a thread outside the runtime.
    pub fn blocking_recv(&mut self) -> Option<NetworkEvent> {
        let mut state = self.queue.state.lock();
        loop {
            match state.pop() {
                Received::Event(item) => {
                    drop(state);
                    return Some(item.into_event());
                }
                Received::Closed => return None,
                Received::Empty => self.queue.condition.wait(&mut state),
            }
        }
    }

    /// From now on messages of [`Class::Body`] come by themselves, for a thread of their own: whoever takes them in may
    /// be slow without votes waiting. Only one such end may exist.
    #[must_use]
    pub fn split_bodies(&mut self) -> BodyMessages {
        self.queue.state.lock().bodies_apart = true;
        BodyMessages { queue: Arc::clone(&self.queue) }
    }

    /// The next event, if there is one already.
    pub fn try_recv(&mut self) -> Received<NetworkEvent> {
        let popped = self.queue.state.lock().pop();
        match popped {
            Received::Event(item) => Received::Event(item.into_event()),
            Received::Empty => Received::Empty,
            Received::Closed => Received::Closed,
        }
    }
}

impl Drop for NetworkEvents {
    fn drop(&mut self) {
        self.queue.state.lock().abandoned = true;
    }
}

/// The consumer's end for messages of [`Class::Body`] alone, by turns of the peers and of each in the order sent. What
/// happens to sessions is told elsewhere, so a message may come after its session's end was told.
#[derive(Debug)]
pub struct BodyMessages {
    queue: Arc<EventQueue>,
}

impl BodyMessages {
    /// The next message and those behind it that have come already, until they have `bytes_max` bytes or more: of each the
    /// peer's consensus key, the group, the content. Waits for the first one. `None` once the network has stopped and
    /// everything was received. For a thread outside the runtime.
    pub fn blocking_recv(&mut self, bytes_max: usize) -> Option<Vec<(ConsensusKey, GroupId, Bytes)>> {
        let mut messages = Vec::new();
        let mut sum = 0_usize;
        let mut state = self.queue.state.lock();
        loop {
            let next = if sum < bytes_max { state.pop_class(Class::Body) } else { None };
            match next {
                Some((session, message)) => {
                    sum = sum.saturating_add(message.bytes.len());
                    messages.push((session, message));
                }
                None if !messages.is_empty() => break,
                None if state.closed => return None,
                None => self.queue.bodies.wait(&mut state),
            }
        }
        drop(state);
        let consume = |(session, Message { class, group, bytes }): (Arc<Session>, Message)| {
            session.consumed(class, bytes.len());
            (session.peer, group, bytes)
        };
        Some(messages.into_iter().map(consume).collect())
    }
}

/// What [`NetworkEvents::try_recv`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Received<T> {
    /// An event.
    Event(T),
    /// Nothing yet.
    Empty,
    /// Nothing, and nothing will come: the network has stopped.
    Closed,
}

/// The network's end.
#[derive(Debug, Default)]
pub(crate) struct EventQueue {
    state: Mutex<State>,
    notify: Notify,
    condition: Condvar,
    /// For [`BodyMessages`].
    bodies: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Sessions' beginnings and ends, which go first. At most two per peer wait: an end, and the next beginning.
    lifecycle: VecDeque<(u64, NetworkEvent)>,
    sessions: BTreeMap<u64, Waiting>,
    /// The sessions that have messages of a class, by turns.
    turns: PerClass<VecDeque<u64>>,
    count: u32,
    closed: bool,
    /// Whether somebody else receives the messages of [`Class::Body`].
    bodies_apart: bool,
    /// The consumer is gone: messages are accepted and dropped.
    abandoned: bool,
}

#[derive(Debug)]
struct Waiting {
    session: Arc<Session>,
    messages: PerClass<VecDeque<(GroupId, Bytes)>>,
}

#[derive(Debug)]
enum Item {
    Lifecycle(NetworkEvent),
    Message(Arc<Session>, Message),
}

impl Item {
    fn into_event(self) -> NetworkEvent {
        match self {
            Self::Lifecycle(event) => event,
            Self::Message(session, Message { class, group, bytes }) => {
                session.consumed(class, bytes.len());
                NetworkEvent::Message { peer: session.peer, group, class, bytes }
            }
        }
    }
}

impl EventQueue {
    pub(crate) fn new() -> (Arc<Self>, NetworkEvents) {
        let queue = Arc::new(Self::default());
        (Arc::clone(&queue), NetworkEvents { queue })
    }

    pub(crate) fn connected(&self, session: &Arc<Session>) {
        let event = NetworkEvent::Connected { peer: session.peer, name: session.name.clone(), address: session.remote };
        let mut state = self.state.lock();
        if state.abandoned {
            return;
        }
        state.lifecycle.push_back((session.id, event));
        state.sessions.insert(session.id, Waiting { session: Arc::clone(session), messages: PerClass::default() });
        drop(state);
        self.wake();
    }

    pub(crate) fn disconnected(&self, session: &Session, reason: DisconnectReason) {
        let mut state = self.state.lock();
        state.sessions.remove(&session.id);
        let before = state.lifecycle.len();
        state.lifecycle.retain(|(id, _)| *id != session.id);
        // A session whose beginning nobody saw need not be seen ending, so that reconnecting cannot fill the queue.
        if state.lifecycle.len() == before && !state.abandoned {
            state.lifecycle.push_back((session.id, NetworkEvent::Disconnected { peer: session.peer, reason }));
        }
        drop(state);
        self.wake();
    }

    pub(crate) fn message(&self, session: &Session, message: Message) {
        let mut state = self.state.lock();
        let State { sessions, turns, .. } = &mut *state;
        // A session that was replaced may still be reading; what it reads is dropped with it.
        let Some(waiting) = sessions.get_mut(&session.id) else { return };
        let queue = waiting.messages.get_mut(message.class);
        if queue.is_empty() {
            turns.get_mut(message.class).push_back(session.id);
        }
        queue.push_back((message.group, message.bytes));
        let is_apart = message.class == Class::Body && state.bodies_apart;
        drop(state);
        // Only who takes it, since waking a thread costs more than a vote.
        if is_apart {
            self.bodies.notify_one();
        } else {
            self.notify.notify_one();
            self.condition.notify_one();
        }
    }

    pub(crate) fn close(&self) {
        self.state.lock().closed = true;
        self.wake();
    }

    fn wake(&self) {
        self.notify.notify_one();
        self.condition.notify_one();
        self.bodies.notify_one();
    }
}

impl State {
    fn pop(&mut self) -> Received<Item> {
        if let Some((_, event)) = self.lifecycle.pop_front() {
            return Received::Event(Item::Lifecycle(event));
        }
        self.count = self.count.wrapping_add(1);
        let order = if self.count.is_multiple_of(LOWER_CLASS_EVERY * 4) {
            [Class::Sync, Class::Body, Class::Consensus]
        } else if self.count.is_multiple_of(LOWER_CLASS_EVERY) {
            [Class::Body, Class::Sync, Class::Consensus]
        } else {
            Class::ALL
        };
        let bodies_apart = self.bodies_apart;
        for class in order.into_iter().filter(|class| *class != Class::Body || !bodies_apart) {
            if let Some((session, message)) = self.pop_class(class) {
                return Received::Event(Item::Message(session, message));
            }
        }
        if self.closed { Received::Closed } else { Received::Empty }
    }

    fn pop_class(&mut self, class: Class) -> Option<(Arc<Session>, Message)> {
        let turns = self.turns.get_mut(class);
        while let Some(id) = turns.pop_front() {
            // Ended sessions leave their turns behind.
            let Some(waiting) = self.sessions.get_mut(&id) else { continue };
            let queue = waiting.messages.get_mut(class);
            let Some((group, bytes)) = queue.pop_front() else { continue };
            if !queue.is_empty() {
                turns.push_back(id);
            }
            return Some((Arc::clone(&waiting.session), Message { class, group, bytes }));
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(id: u64) -> Arc<Session> {
        Arc::new(Session::for_tests(id, ConsensusKey([u8::try_from(id).unwrap(); 33])))
    }

    fn message(class: Class, text: &'static str) -> Message {
        Message { class, group: GroupId(0), bytes: Bytes::from_static(text.as_bytes()) }
    }

    /// What is received, as short texts.
    fn drain(events: &mut NetworkEvents) -> Vec<String> {
        let mut all = Vec::new();
        while let Received::Event(event) = events.try_recv() {
            all.push(match event {
                NetworkEvent::Connected { peer, .. } => format!("+{}", peer.0[0]),
                NetworkEvent::Disconnected { peer, .. } => format!("-{}", peer.0[0]),
                NetworkEvent::Message { peer, bytes, .. } => {
                    format!("{}{}", peer.0[0], String::from_utf8_lossy(&bytes))
                }
            });
        }
        all
    }

    #[test]
    fn votes_first_and_peers_by_turns() {
        let (queue, mut events) = EventQueue::new();
        let (one, two) = (session(1), session(2));
        queue.connected(&one);
        queue.connected(&two);
        for text in ["a", "b", "c"] {
            queue.message(&one, message(Class::Body, text));
        }
        for text in ["x", "y"] {
            queue.message(&one, message(Class::Consensus, text));
        }
        queue.message(&two, message(Class::Consensus, "v"));
        queue.message(&two, message(Class::Body, "w"));
        assert_eq!(drain(&mut events), ["+1", "+2", "1x", "2v", "1y", "1a", "2w", "1b", "1c"]);
        assert_eq!(events.try_recv(), Received::Empty);
        queue.close();
        assert_eq!(events.try_recv(), Received::Closed);
    }

    #[test]
    fn a_flood_of_votes_does_not_stop_bodies() {
        let (queue, mut events) = EventQueue::new();
        let one = session(1);
        queue.connected(&one);
        (0..100).for_each(|_| queue.message(&one, message(Class::Consensus, "v")));
        queue.message(&one, message(Class::Body, "b"));
        queue.message(&one, message(Class::Sync, "s"));
        let all = drain(&mut events);
        let position = |text: &str| all.iter().position(|item| item == text).unwrap();
        assert!(position("1b") <= 16 && position("1s") <= 64, "{all:?}");
    }

    #[test]
    fn a_thread_can_wait() {
        let (queue, mut events) = EventQueue::new();
        let consumer = std::thread::spawn(move || {
            let mut count = 0;
            while events.blocking_recv().is_some() {
                count += 1;
            }
            count
        });
        let one = session(1);
        queue.connected(&one);
        (0..100).for_each(|_| queue.message(&one, message(Class::Body, "b")));
        queue.close();
        assert_eq!(consumer.join().unwrap(), 101);
    }

    #[test]
    fn bodies_can_be_received_apart() {
        let (queue, mut events) = EventQueue::new();
        let mut bodies = events.split_bodies();
        let one = session(1);
        queue.connected(&one);
        for (class, text) in [(Class::Body, "b"), (Class::Consensus, "v"), (Class::Body, "c"), (Class::Sync, "s")] {
            queue.message(&one, message(class, text));
        }
        assert_eq!(drain(&mut events), ["+1", "1v", "1s"]);
        let consumer = std::thread::spawn(move || {
            let batches = std::iter::from_fn(|| bodies.blocking_recv(2));
            batches.map(|batch| batch.into_iter().map(|(peer, _, bytes)| (peer.0[0], bytes)).collect()).collect()
        });
        queue.message(&one, message(Class::Body, "d"));
        queue.close();
        let received: Vec<Vec<_>> = consumer.join().unwrap();
        assert_eq!(received.first().map(Vec::len), Some(2), "what has come is received together, up to a size");
        assert_eq!(received.concat(), [(1, Bytes::from("b")), (1, Bytes::from("c")), (1, Bytes::from("d"))]);
        assert_eq!(events.try_recv(), Received::Closed);
    }

    #[test]
    fn nothing_follows_the_end_of_a_session() {
        let (queue, mut events) = EventQueue::new();
        let (old, new) = (session(1), Arc::new(Session::for_tests(2, ConsensusKey([1; 33]))));
        queue.connected(&old);
        assert_eq!(drain(&mut events), ["+1"]);
        queue.message(&old, message(Class::Body, "lost"));
        queue.disconnected(&old, DisconnectReason::Closed);
        queue.message(&old, message(Class::Consensus, "late"));
        queue.connected(&new);
        queue.message(&new, message(Class::Body, "b"));
        assert_eq!(drain(&mut events), ["-1", "+1", "1b"]);
        let unseen = session(3);
        queue.connected(&unseen);
        queue.disconnected(&unseen, DisconnectReason::Closed);
        assert_eq!(drain(&mut events), Vec::<String>::new());
    }
}
