//! The machine that fetches a snapshot.

use super::{SnapshotMessage, SnapshotOffer};
use alloy_primitives::B256;
use lian_crypto::Suite;
use lian_types::{BlockNumber, ConsensusKey, Millis, limits};
use std::collections::{BTreeMap, BTreeSet};

/// What a node chooses about beginning with a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotConfig {
    /// The chain's algorithms: chunks are checked by their hashes.
    pub suite: Suite,
    /// The lowest height of a snapshot that is worth it: below, replaying blocks is as quick.
    pub height_min: BlockNumber,
    /// How many other nodes there are at least, as far as is known without blocks: those of genesis.
    pub peers_min: usize,
}

/// A snapshot whose manifest was found to hold: what has to be fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotPlan {
    /// Which snapshot.
    pub offer: SnapshotOffer,
    /// The hash and length, in bytes, of every chunk.
    pub chunks: Vec<(B256, u32)>,
}

/// What happens to the machine.
#[derive(Clone, Debug)]
pub enum SnapshotInput {
    /// A session to a peer begins.
    Connected(ConsensusKey),
    /// A session ended.
    Disconnected(ConsensusKey),
    /// A peer says something.
    Message {
        /// The peer.
        peer: ConsensusKey,
        /// Its words.
        message: SnapshotMessage,
    },
    /// The manifest that was to be checked holds, or not.
    Checked(Result<SnapshotPlan, String>),
    /// A chunk is durable.
    Stored(u32),
    /// The whole snapshot was loaded and holds, or not.
    Loaded(Result<(), String>),
    /// Time has passed.
    Tick,
}

/// What the machine wants done, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SnapshotEffect {
    /// Send a message.
    Send {
        /// To whom.
        peer: ConsensusKey,
        /// What.
        message: SnapshotMessage,
    },
    /// Check this manifest from genesis on, that it is of the offer, keep it for a restart, and answer with
    /// [`SnapshotInput::Checked`].
    Check {
        /// The snapshot that was offered.
        offer: SnapshotOffer,
        /// The manifest's bytes.
        bytes: Vec<u8>,
    },
    /// Make a chunk durable, then answer with [`SnapshotInput::Stored`]. Its hash is right.
    Store {
        /// The chunk's position.
        index: u32,
        /// Its bytes.
        bytes: Vec<u8>,
    },
    /// Load the snapshot, all of whose chunks are durable, compare the state root, and answer with
    /// [`SnapshotInput::Loaded`].
    Load(SnapshotPlan),
    /// Remove what was fetched: it is of no use.
    Discard,
    /// A peer did what an honest one does not, and is not asked any more.
    Misbehaved {
        /// The peer.
        peer: ConsensusKey,
        /// What it did.
        evidence: SnapshotMisbehaviour,
    },
    /// The snapshot is loaded: go on with the blocks after it. Nothing follows.
    Done,
    /// Begin with block 0 and fetch blocks. Nothing follows.
    GiveUp(&'static str),
}

/// What a peer did that an honest one does not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotMisbehaviour {
    /// Its manifest does not hold.
    #[error("sent a manifest that does not hold: {0}")]
    WrongManifest(String),
    /// A chunk of it has not the hash that its own manifest lists.
    #[error("sent other bytes than the manifest lists as chunk {0}")]
    WrongChunk(u32),
    /// The snapshot that it offers gives another state root than its certified header has.
    #[error("offers a snapshot that does not hold: {0}")]
    WrongState(String),
    /// It sends what it was not asked for.
    #[error("sent what it was not asked for")]
    Unrequested,
    /// It does not answer in time, time after time.
    #[error("did not answer in time, {0} times in a row")]
    Unresponsive(u32),
}

/// What is known of a peer.
#[derive(Clone, Debug, Default)]
struct Peer {
    connected: bool,
    /// What it answered last: its head and its snapshots.
    head: Option<BlockNumber>,
    offers: Vec<SnapshotOffer>,
    in_flight: usize,
    late: u32,
    left: bool,
}

impl Peer {
    fn has(&self, offer: &SnapshotOffer) -> bool {
        self.connected && !self.left && self.offers.contains(offer)
    }
}

/// What is being done.
#[derive(Clone, Debug)]
enum Stage {
    /// Peers are asked what they have.
    Looking,
    /// A manifest was asked for.
    Manifest { offer: SnapshotOffer, peer: ConsensusKey, deadline: Millis },
    /// A manifest is being checked.
    Checking { peer: ConsensusKey },
    /// Chunks are being fetched.
    Fetching(Fetch),
    /// The snapshot is being loaded.
    Loading(SnapshotPlan),
    /// The machine has ended.
    Over,
}

#[derive(Clone, Debug)]
struct Fetch {
    plan: SnapshotPlan,
    /// Chunks to ask for.
    missing: BTreeSet<u32>,
    /// Chunks that were asked for: of whom, and until when.
    requests: BTreeMap<u32, (ConsensusKey, Millis)>,
    /// Chunks that are here but not durable yet.
    storing: BTreeSet<u32>,
    /// When a chunk came last.
    progress: Millis,
}

/// Fetches a snapshot: it asks all peers what they have, chooses what most of them have, has the manifest checked, fetches
/// the chunks from all that have them, checks each, and leaves a peer that lies or stalls.
#[derive(Clone, Debug)]
pub struct SnapshotSync {
    config: SnapshotConfig,
    peers: BTreeMap<ConsensusKey, Peer>,
    stage: Stage,
    /// Since when peers are being asked.
    since: Millis,
    /// What was fetched before a restart, until it is clear whether peers still have it.
    kept: Option<Fetch>,
}

impl SnapshotSync {
    /// A machine that starts at a time. `kept` is a plan that was followed before a restart, with the chunks that are
    /// durable already.
    #[must_use]
    pub fn new(now: Millis, config: SnapshotConfig, kept: Option<(SnapshotPlan, BTreeSet<u32>)>) -> Self {
        let resume = |(plan, durable): (SnapshotPlan, BTreeSet<u32>)| Fetch::new(now, plan, &durable);
        Self { config, peers: BTreeMap::new(), stage: Stage::Looking, since: now, kept: kept.map(resume) }
    }

    /// Takes one input, and appends what is to be done to `effects`.
    pub fn step(&mut self, now: Millis, input: SnapshotInput, effects: &mut Vec<SnapshotEffect>) {
        if matches!(self.stage, Stage::Over) {
            return;
        }
        match input {
            SnapshotInput::Connected(peer) => {
                let room = self.peers.len() < limits::SYNC_PEERS_MAX;
                if room || self.peers.contains_key(&peer) {
                    self.peers.entry(peer).or_default().connected = true;
                    effects.push(SnapshotEffect::Send { peer, message: SnapshotMessage::GetOffers });
                }
            }
            SnapshotInput::Disconnected(peer) => self.disconnected(&peer),
            SnapshotInput::Message { peer, message } => self.message(now, peer, message, effects),
            SnapshotInput::Checked(outcome) => self.checked(now, outcome, effects),
            SnapshotInput::Stored(index) => {
                if let Stage::Fetching(fetch) = &mut self.stage {
                    fetch.storing.remove(&index);
                }
            }
            SnapshotInput::Loaded(outcome) => self.loaded(now, outcome, effects),
            SnapshotInput::Tick => {}
        }
        self.advance(now, effects);
    }

    /// When the machine wants to be called again at the latest.
    #[must_use]
    pub fn deadline(&self) -> Option<Millis> {
        match &self.stage {
            Stage::Looking => Some(self.looking_until()),
            Stage::Manifest { deadline, .. } => Some(*deadline),
            Stage::Fetching(fetch) => {
                let requests = fetch.requests.values().map(|(_, deadline)| *deadline);
                requests.chain([fetch.progress.saturating_add(limits::SNAPSHOT_STALLED_MS)]).min()
            }
            Stage::Checking { .. } | Stage::Loading(_) | Stage::Over => None,
        }
    }

    /// How many chunks are durable, and how many there are; while a snapshot is being fetched.
    #[must_use]
    pub fn progress(&self) -> Option<(usize, usize)> {
        let Stage::Fetching(fetch) = &self.stage else { return None };
        let open = fetch.missing.len() + fetch.requests.len() + fetch.storing.len();
        Some((fetch.plan.chunks.len().saturating_sub(open), fetch.plan.chunks.len()))
    }

    fn disconnected(&mut self, peer: &ConsensusKey) {
        if let Some(known) = self.peers.get_mut(peer) {
            *known = Peer { left: known.left, ..Peer::default() };
        }
        self.give_up_requests(peer);
    }

    /// What a peer was asked for is to be asked for again.
    fn give_up_requests(&mut self, peer: &ConsensusKey) {
        match &mut self.stage {
            Stage::Fetching(fetch) => {
                let lost: Vec<_> =
                    fetch.requests.iter().filter(|(_, (asked, _))| asked == peer).map(|(index, _)| *index).collect();
                for index in lost {
                    fetch.requests.remove(&index);
                    fetch.missing.insert(index);
                }
            }
            Stage::Manifest { peer: asked, .. } if asked == peer => self.stage = Stage::Looking,
            _ => {}
        }
        if let Some(known) = self.peers.get_mut(peer) {
            known.in_flight = 0;
        }
    }

    fn message(
        &mut self,
        now: Millis,
        peer: ConsensusKey,
        message: SnapshotMessage,
        effects: &mut Vec<SnapshotEffect>,
    ) {
        match message {
            SnapshotMessage::Offers { head, offers } => {
                if let Some(known) = self.peers.get_mut(&peer).filter(|known| !known.left) {
                    (known.head, known.offers) = (Some(head), offers);
                }
            }
            SnapshotMessage::Manifest { height, bytes } => self.manifest(peer, height, bytes, effects),
            SnapshotMessage::Chunk { height, index, bytes } => self.chunk(now, peer, height, index, bytes, effects),
            // This node has nothing either, and says so, that a new network's nodes need not wait for each other.
            SnapshotMessage::GetOffers => {
                let message = SnapshotMessage::Offers { head: BlockNumber::ZERO, offers: Vec::new() };
                effects.push(SnapshotEffect::Send { peer, message });
            }
            SnapshotMessage::GetManifest { .. } | SnapshotMessage::GetChunk { .. } => {}
        }
    }

    fn manifest(&mut self, peer: ConsensusKey, height: BlockNumber, bytes: Vec<u8>, effects: &mut Vec<SnapshotEffect>) {
        let Stage::Manifest { offer, peer: asked, .. } = &self.stage else { return };
        let offer = *offer;
        if *asked != peer || height != offer.height {
            return;
        }
        if let Some(known) = self.peers.get_mut(&peer) {
            known.in_flight = known.in_flight.saturating_sub(1);
        }
        if bytes.is_empty() {
            self.withdraw(&peer, &offer);
            self.stage = Stage::Looking;
            return;
        }
        self.stage = Stage::Checking { peer };
        effects.push(SnapshotEffect::Check { offer, bytes });
    }

    fn checked(&mut self, now: Millis, outcome: Result<SnapshotPlan, String>, effects: &mut Vec<SnapshotEffect>) {
        let Stage::Checking { peer } = self.stage else { return };
        match outcome {
            Ok(plan) => self.stage = Stage::Fetching(Fetch::new(now, plan, &BTreeSet::new())),
            Err(reason) => {
                self.stage = Stage::Looking;
                self.leave(peer, SnapshotMisbehaviour::WrongManifest(reason), effects);
            }
        }
    }

    fn chunk(
        &mut self,
        now: Millis,
        peer: ConsensusKey,
        height: BlockNumber,
        index: u32,
        bytes: Vec<u8>,
        effects: &mut Vec<SnapshotEffect>,
    ) {
        let Stage::Fetching(fetch) = &mut self.stage else { return };
        let offer = fetch.plan.offer;
        if height != offer.height || fetch.requests.get(&index).is_none_or(|(asked, _)| *asked != peer) {
            // A late answer is no crime; one for a chunk that there is not is.
            if height == offer.height && fetch.plan.chunk(index).is_none() {
                self.leave(peer, SnapshotMisbehaviour::Unrequested, effects);
            }
            return;
        }
        fetch.requests.remove(&index);
        if let Some(known) = self.peers.get_mut(&peer) {
            known.in_flight = known.in_flight.saturating_sub(1);
            known.late = 0;
        }
        let is_right = fetch.plan.chunk(index).is_some_and(|(hash, length)| {
            usize::try_from(length).is_ok_and(|length| length == bytes.len()) && self.config.suite.hash(&bytes) == hash
        });
        if is_right {
            fetch.progress = now;
            fetch.storing.insert(index);
            effects.push(SnapshotEffect::Store { index, bytes });
            return;
        }
        fetch.missing.insert(index);
        if bytes.is_empty() {
            self.withdraw(&peer, &offer);
        } else {
            self.leave(peer, SnapshotMisbehaviour::WrongChunk(index), effects);
        }
    }

    fn loaded(&mut self, now: Millis, outcome: Result<(), String>, effects: &mut Vec<SnapshotEffect>) {
        let Stage::Loading(plan) = &self.stage else { return };
        let offer = plan.offer;
        match outcome {
            Ok(()) => {
                self.stage = Stage::Over;
                effects.push(SnapshotEffect::Done);
            }
            Err(reason) => {
                // Every chunk is what the manifest lists: whoever offers this list lies.
                let liars: Vec<_> =
                    self.peers.iter().filter(|(_, peer)| peer.has(&offer)).map(|(key, _)| *key).collect();
                effects.push(SnapshotEffect::Discard);
                self.look_again(now, effects);
                for peer in liars {
                    self.leave(peer, SnapshotMisbehaviour::WrongState(reason.clone()), effects);
                }
            }
        }
    }

    /// Does all that time and the state of things allow.
    fn advance(&mut self, now: Millis, effects: &mut Vec<SnapshotEffect>) {
        self.note_late(now, effects);
        if matches!(self.stage, Stage::Looking) {
            self.choose(now, effects);
        }
        let Stage::Fetching(fetch) = &mut self.stage else { return };
        if fetch.missing.is_empty() && fetch.requests.is_empty() && fetch.storing.is_empty() {
            let plan = fetch.plan.clone();
            effects.push(SnapshotEffect::Load(plan.clone()));
            self.stage = Stage::Loading(plan);
            return;
        }
        let offer = fetch.plan.offer;
        let has_source = self.peers.values().any(|peer| peer.has(&offer));
        if now >= fetch.progress.saturating_add(limits::SNAPSHOT_STALLED_MS) {
            if has_source {
                self.give_up("the snapshot's chunks do not arrive", effects);
            } else {
                // Peers have newer ones by now, or none.
                effects.push(SnapshotEffect::Discard);
                self.look_again(now, effects);
            }
            return;
        }
        self.ask(now, effects);
    }

    fn note_late(&mut self, now: Millis, effects: &mut Vec<SnapshotEffect>) {
        let late: Vec<ConsensusKey> = match &mut self.stage {
            Stage::Manifest { peer, deadline, .. } if *deadline <= now => {
                let peer = *peer;
                self.stage = Stage::Looking;
                vec![peer]
            }
            Stage::Fetching(fetch) => {
                let late: Vec<_> =
                    fetch.requests.iter().filter(|(_, (_, deadline))| *deadline <= now).map(|(at, _)| *at).collect();
                let asked = late.into_iter().filter_map(|index| {
                    fetch.missing.insert(index);
                    fetch.requests.remove(&index).map(|(peer, _)| peer)
                });
                asked.collect()
            }
            _ => return,
        };
        for peer in late {
            let Some(known) = self.peers.get_mut(&peer) else { continue };
            known.in_flight = known.in_flight.saturating_sub(1);
            known.late = known.late.saturating_add(1);
            if known.late >= limits::SNAPSHOT_STRIKES_MAX {
                let late = known.late;
                self.leave(peer, SnapshotMisbehaviour::Unresponsive(late), effects);
            }
        }
    }

    /// Chooses a snapshot as soon as enough peers have answered: one that was begun before a restart if anybody has it,
    /// else the one that most have, and of those the newest.
    fn choose(&mut self, now: Millis, effects: &mut Vec<SnapshotEffect>) {
        if let Some(kept) = &self.kept
            && self.peers.values().any(|peer| peer.has(&kept.plan.offer))
            && let Some(mut kept) = self.kept.take()
        {
            kept.progress = now;
            self.stage = Stage::Fetching(kept);
            return;
        }
        let answered = || self.peers.values().filter(|peer| peer.connected && !peer.left && peer.head.is_some());
        // Who joined after genesis counts as soon as it is connected.
        let connected = self.peers.values().filter(|peer| peer.connected && !peer.left).count();
        let expected = self.config.peers_min.max(connected);
        let (heard, half) = (answered().count(), expected.div_ceil(2));
        let is_short = answered().all(|peer| peer.head < Some(self.config.height_min));
        let in_time = now < self.looking_until();
        if heard < expected && in_time && !(is_short && heard >= half.max(1)) {
            return;
        }
        if self.kept.take().is_some() {
            effects.push(SnapshotEffect::Discard);
        }
        let mut votes: BTreeMap<SnapshotOffer, usize> = BTreeMap::new();
        for offer in answered().flat_map(|peer| BTreeSet::from_iter(&peer.offers)) {
            if offer.height >= self.config.height_min {
                *votes.entry(*offer).or_default() += 1;
            }
        }
        let best = votes.iter().max_by_key(|(offer, count)| (**count, **offer)).map(|(offer, _)| *offer);
        let source = best.and_then(|best| Some((best, self.source(&best)?)));
        let Some((offer, peer)) = source else {
            let why = if is_short { "the chain is short" } else { "no peer has a snapshot that is worth it" };
            return self.give_up(why, effects);
        };
        let deadline = now.saturating_add(limits::SNAPSHOT_TIMEOUT_MS);
        if let Some(known) = self.peers.get_mut(&peer) {
            known.in_flight = known.in_flight.saturating_add(1);
        }
        self.stage = Stage::Manifest { offer, peer, deadline };
        let message = SnapshotMessage::GetManifest { height: offer.height };
        effects.push(SnapshotEffect::Send { peer, message });
    }

    /// The least busy peer that has a snapshot; of those the one that was late least.
    fn source(&self, offer: &SnapshotOffer) -> Option<ConsensusKey> {
        let having = self.peers.iter().filter(|(_, peer)| peer.has(offer));
        having.min_by_key(|(key, peer)| (peer.in_flight, peer.late, **key)).map(|(key, _)| *key)
    }

    fn ask(&mut self, now: Millis, effects: &mut Vec<SnapshotEffect>) {
        loop {
            let Stage::Fetching(fetch) = &self.stage else { return };
            let offer = fetch.plan.offer;
            let open = fetch.requests.len().saturating_add(fetch.storing.len());
            let Some(index) = fetch.missing.first().copied().filter(|_| open < limits::SNAPSHOT_REQUESTS_MAX) else {
                return;
            };
            let Some(peer) = self.source(&offer) else { return };
            let Some(known) = self.peers.get_mut(&peer) else { return };
            if known.in_flight >= limits::SYNC_PEER_REQUESTS_MAX {
                return;
            }
            known.in_flight = known.in_flight.saturating_add(1);
            let deadline = now.saturating_add(limits::SNAPSHOT_TIMEOUT_MS);
            if let Stage::Fetching(fetch) = &mut self.stage {
                fetch.missing.remove(&index);
                fetch.requests.insert(index, (peer, deadline));
            }
            let message = SnapshotMessage::GetChunk { height: offer.height, index };
            effects.push(SnapshotEffect::Send { peer, message });
        }
    }

    /// Asks everybody anew what they have.
    fn look_again(&mut self, now: Millis, effects: &mut Vec<SnapshotEffect>) {
        (self.stage, self.since) = (Stage::Looking, now);
        for (key, peer) in self.peers.iter_mut().filter(|(_, peer)| peer.connected && !peer.left) {
            (peer.head, peer.in_flight) = (None, 0);
            peer.offers.clear();
            effects.push(SnapshotEffect::Send { peer: *key, message: SnapshotMessage::GetOffers });
        }
    }

    /// A peer does not have any more what it offered.
    fn withdraw(&mut self, peer: &ConsensusKey, offer: &SnapshotOffer) {
        if let Some(known) = self.peers.get_mut(peer) {
            known.offers.retain(|offered| offered != offer);
        }
    }

    /// Asks a peer for nothing any more, and says why.
    fn leave(&mut self, peer: ConsensusKey, evidence: SnapshotMisbehaviour, effects: &mut Vec<SnapshotEffect>) {
        self.give_up_requests(&peer);
        if let Some(known) = self.peers.get_mut(&peer) {
            known.left = true;
        }
        effects.push(SnapshotEffect::Misbehaved { peer, evidence });
    }

    fn give_up(&mut self, why: &'static str, effects: &mut Vec<SnapshotEffect>) {
        if self.kept.take().is_some() || matches!(self.stage, Stage::Fetching(_)) {
            effects.push(SnapshotEffect::Discard);
        }
        self.stage = Stage::Over;
        effects.push(SnapshotEffect::GiveUp(why));
    }

    /// How long peers are waited for: longer for the first answer, which needs a session.
    fn looking_until(&self) -> Millis {
        let heard = self.peers.values().any(|peer| peer.connected && peer.head.is_some());
        let patience = if heard { limits::SNAPSHOT_ANSWERS_MS } else { limits::SNAPSHOT_FIRST_ANSWER_MS };
        self.since.saturating_add(patience)
    }
}

impl SnapshotPlan {
    fn chunk(&self, index: u32) -> Option<(B256, u32)> {
        self.chunks.get(usize::try_from(index).ok()?).copied()
    }
}

impl Fetch {
    fn new(now: Millis, plan: SnapshotPlan, durable: &BTreeSet<u32>) -> Self {
        let all = 0..u32::try_from(plan.chunks.len()).unwrap_or(u32::MAX);
        let missing = all.filter(|index| !durable.contains(index)).collect();
        Self { plan, missing, requests: BTreeMap::new(), storing: BTreeSet::new(), progress: now }
    }
}
