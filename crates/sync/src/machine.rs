//! The machine that catches up.

use crate::{
    Anchor, BlockRequest, BlockWithCertificate, Misbehaviour, SyncError, SyncMessage, SyncStatus,
    download::{Download, Request},
    peers::Peers,
};
use lian_types::{BlockNumber, ConsensusKey, Epoch, Millis, limits};
use std::{collections::VecDeque, sync::Arc};

/// The number of a batch that is being verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BatchId(u64);

/// What a chain chooses about catching up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SyncConfig {
    /// How many heights consensus keeps open (W). A node no farther behind is served by consensus itself, as long as
    /// that gets on.
    pub window: u64,
    /// The time that a peer has for an answer, before it is doubled for one that was late.
    pub timeout: Millis,
    /// Time without a new final block after which a node that is less than a window behind catches up.
    pub stalled: Millis,
    /// Time between two reports of the own height, while it changes.
    pub status_interval: Millis,
}

impl SyncConfig {
    /// The defaults of [`lian_types::limits`] for a window.
    #[must_use]
    pub const fn new(window: u64) -> Self {
        Self {
            window,
            timeout: Millis(limits::SYNC_TIMEOUT_MS),
            stalled: Millis(limits::SYNC_STALLED_MS),
            status_interval: Millis(limits::SYNC_STATUS_MS),
        }
    }
}

/// What happens to the machine.
#[derive(Clone, Debug)]
pub enum Input {
    /// A session to a peer begins.
    Connected(ConsensusKey),
    /// A session ended.
    Disconnected(ConsensusKey),
    /// A peer says what it has.
    Status {
        /// The peer.
        peer: ConsensusKey,
        /// Its words.
        status: SyncStatus,
    },
    /// Consensus saw evidence that a peer has a final block of this height.
    Claim {
        /// The peer.
        peer: ConsensusKey,
        /// The height.
        height: BlockNumber,
    },
    /// A peer answers a request.
    Blocks {
        /// The peer.
        peer: ConsensusKey,
        /// The request's number.
        request: u64,
        /// The blocks.
        blocks: Vec<BlockWithCertificate>,
    },
    /// The first blocks of a batch were checked by [`crate::Checker`] and hold. Who decides the others is not known before
    /// those below are final here; they are given out again then.
    Verified {
        /// The batch.
        batch: BatchId,
        /// How many blocks hold; all, unless the members change.
        count: usize,
    },
    /// A block of a batch does not hold.
    Invalid {
        /// The batch.
        batch: BatchId,
        /// The first block refused, and why.
        error: SyncError,
    },
    /// A block is final and durable here, whether consensus or this machine brought it.
    Final {
        /// The block.
        anchor: Anchor,
        /// Its epoch.
        epoch: Epoch,
        /// The lowest block that this node can serve.
        oldest: BlockNumber,
    },
    /// Time has passed.
    Tick,
}

/// What the machine wants done, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Send a message.
    Send {
        /// To whom.
        peer: ConsensusKey,
        /// What.
        message: SyncMessage,
    },
    /// Check the blocks by [`crate::Checker`], starting from `parent`, and answer with [`Input::Verified`] or
    /// [`Input::Invalid`]. One batch is checked at a time.
    Verify {
        /// The number to answer with.
        batch: BatchId,
        /// The block below the first.
        parent: Anchor,
        /// The blocks.
        blocks: Arc<Vec<BlockWithCertificate>>,
    },
    /// Execute these verified blocks in order, compare the headers, and make them final. Each is answered by
    /// [`Input::Final`] when it is durable. Blocks at or below the node's own height by then are to be passed over.
    Apply {
        /// The blocks; they follow what was handed out before.
        blocks: Arc<Vec<BlockWithCertificate>>,
    },
    /// A peer did what an honest one does not, and is not asked for a while.
    Misbehaved {
        /// The peer.
        peer: ConsensusKey,
        /// What it did.
        evidence: Misbehaviour,
    },
    /// Catching up begins.
    Behind {
        /// The height to reach, as peers say.
        target: BlockNumber,
    },
    /// The node has what its peers have.
    CaughtUp {
        /// Its height.
        height: BlockNumber,
    },
}

/// A batch that is being checked.
#[derive(Debug)]
struct Verifying {
    batch: BatchId,
    peer: ConsensusKey,
    blocks: Arc<Vec<BlockWithCertificate>>,
    bytes: usize,
}

/// The machine that catches up: it watches the heights that peers report; when this node is behind, it asks several
/// peers for different heights at once, has the blocks checked in order, and hands them out.
#[derive(Debug)]
pub struct Sync {
    config: SyncConfig,
    /// The time of the last input.
    now: Millis,
    peers: Peers,
    download: Download,
    /// The node's last final block.
    own: SyncStatus,
    /// The last block that is verified, at or above the own one.
    verified: Anchor,
    next_batch: u64,
    verifying: Option<Verifying>,
    /// The last block that must be final here before it is known who decides the ones above it.
    undecided: Option<BlockNumber>,
    /// Last height and bytes of batches that were handed out and are not final yet.
    applying: VecDeque<(BlockNumber, usize)>,
    active: bool,
    /// Since when peers are ahead without a new final block here.
    stalled_since: Option<Millis>,
    status_sent: Millis,
    status_changed: bool,
}

impl Sync {
    /// A machine for a node whose last final block is `anchor`, of `epoch`, and that keeps blocks from `oldest` on.
    #[must_use]
    pub fn new(config: SyncConfig, anchor: Anchor, epoch: Epoch, oldest: BlockNumber) -> Self {
        let mut download = Download::default();
        download.restart(anchor.height.0.saturating_add(1));
        Self {
            config,
            now: Millis::ZERO,
            peers: Peers::default(),
            download,
            own: SyncStatus { epoch, height: anchor.height, hash: anchor.hash, oldest },
            verified: anchor,
            next_batch: 0,
            verifying: None,
            undecided: None,
            applying: VecDeque::new(),
            active: false,
            stalled_since: None,
            status_sent: Millis::ZERO,
            status_changed: false,
        }
    }

    /// Takes one input, and appends what is to be done to `effects`.
    pub fn step(&mut self, now: Millis, input: Input, effects: &mut Vec<Effect>) {
        self.now = now;
        match input {
            Input::Connected(peer) => {
                if self.peers.connected(peer) {
                    effects.push(Effect::Send { peer, message: SyncMessage::Status(self.own) });
                }
            }
            Input::Disconnected(peer) => {
                self.download.abandon(&peer);
                self.peers.disconnected(&peer);
            }
            Input::Status { peer, status } => self.on_status(now, peer, status, effects),
            Input::Claim { peer, height } => self.on_claim(peer, height),
            Input::Blocks { peer, request, blocks } => self.on_blocks(now, peer, request, blocks, effects),
            Input::Verified { batch, count } => self.on_verified(batch, count, effects),
            Input::Invalid { batch, error } => self.on_invalid(now, batch, error, effects),
            Input::Final { anchor, epoch, oldest } => self.on_final(anchor, epoch, oldest),
            Input::Tick => {}
        }
        self.advance(now, effects);
    }

    /// When the machine wants to be called again at the latest.
    #[must_use]
    pub fn deadline(&self) -> Option<Millis> {
        let stalled = self.stalled_since.filter(|_| !self.active);
        let stalled = stalled.map(|since| since.saturating_add(self.config.stalled.0));
        let status = self.status_changed.then(|| self.status_sent.saturating_add(self.config.status_interval.0));
        [self.download.deadline(), stalled, status, self.peers.deadline(self.now)].into_iter().flatten().min()
    }

    /// Whether the node is catching up.
    #[must_use]
    pub const fn is_active(&self) -> bool {
        self.active
    }

    /// The largest height that peers say they have, or the own one.
    #[must_use]
    pub fn target(&self) -> BlockNumber {
        self.peers.height_max(self.now).max(self.own.height)
    }

    fn on_status(&mut self, now: Millis, peer: ConsensusKey, status: SyncStatus, effects: &mut Vec<Effect>) {
        if status.height == self.own.height && status.hash != self.own.hash {
            let (height, theirs, ours) = (status.height, status.hash, self.own.hash);
            self.leave(now, peer, Misbehaviour::Forked { height, theirs, ours }, effects);
        } else if let Some(known) = self.peers.get_mut(&peer) {
            known.status = Some(status);
        }
    }

    fn on_claim(&mut self, peer: ConsensusKey, height: BlockNumber) {
        let own = self.own;
        if let Some(known) = self.peers.get_mut(&peer)
            && height > own.height
        {
            let first = known.status.map_or(own.height.next(), |status| status.oldest);
            let last = known.claimed.map_or(height, |(_, last)| last.max(height));
            known.claimed = Some((first, last));
        }
    }

    fn on_blocks(
        &mut self,
        now: Millis,
        peer: ConsensusKey,
        number: u64,
        mut blocks: Vec<BlockWithCertificate>,
        effects: &mut Vec<Effect>,
    ) {
        let Some(request) = self.download.take_request(number, &peer) else {
            // An answer that is only late is no crime.
            if !self.download.was_used(number) && self.peers.trusts(&peer) {
                self.leave(now, peer, Misbehaviour::Unrequested(number), effects);
            }
            return;
        };
        let heights = request.heights.clone();
        let fits = (heights.start..).zip(&blocks).all(|(height, block)| {
            block.certificate.height.0 == height && block.block.header.number == height && height < heights.end
        });
        if !fits {
            let (from, count) = (BlockNumber(heights.start), heights.end.saturating_sub(heights.start));
            self.download.give_back(heights);
            self.leave(now, peer, Misbehaviour::WrongBlocks { from, count }, effects);
            return;
        }
        let count = u64::try_from(blocks.len()).unwrap_or(u64::MAX);
        let bytes = blocks.iter().fold(0usize, |sum, block| sum.saturating_add(block.encoded_len()));
        let end = heights.start.saturating_add(count);
        self.download.give_back(end..heights.end);
        if count > 0 {
            let needed = self.needed().max(heights.start);
            blocks
                .drain(..usize::try_from(needed.saturating_sub(heights.start)).unwrap_or(usize::MAX).min(blocks.len()));
            if !blocks.is_empty() {
                self.download.keep(needed, peer, blocks);
            }
        }
        let complete = end >= heights.end || bytes >= limits::SYNC_RESPONSE_BYTES_MAX / 2;
        if let Some(evidence) = self.score(now, &request, count > 0, complete) {
            self.leave(now, peer, evidence, effects);
        }
    }

    /// Judges an answer in form. Its content is judged by verification.
    fn score(&mut self, now: Millis, request: &Request, delivered: bool, complete: bool) -> Option<Misbehaviour> {
        let base = self.config.timeout;
        let known = self.peers.get_mut(&request.peer)?;
        known.in_flight = known.in_flight.saturating_sub(1);
        known.answered(now.since(request.sent), base);
        if delivered {
            known.withheld = 0;
        } else if !known.says(request.heights.start) {
            // It knows of the block, and has not said that it has it.
            known.claimed = None;
            known.not_before = now.saturating_add(base.0);
            return None;
        } else if known.serves(request.heights.start) {
            // It still says so; one that has pruned the block meanwhile has done no wrong.
            known.withheld = known.withheld.saturating_add(1);
            known.not_before = now.saturating_add(base.0);
        }
        known.short = if complete { 0 } else { known.short.saturating_add(1) };
        if known.withheld >= limits::SYNC_WITHHELD_MAX {
            Some(Misbehaviour::Withheld { height: BlockNumber(request.heights.start) })
        } else if known.short >= limits::SYNC_STRIKES_MAX {
            Some(Misbehaviour::ShortAnswers(known.short))
        } else {
            None
        }
    }

    fn on_verified(&mut self, batch: BatchId, count: usize, effects: &mut Vec<Effect>) {
        let Some(mut verifying) = self.verifying.take_if(|verifying| verifying.batch == batch) else { return };
        let mut rest = Vec::new();
        if count < verifying.blocks.len() {
            let mut blocks = Arc::unwrap_or_clone(verifying.blocks);
            rest = blocks.split_off(count);
            verifying.bytes = blocks.iter().fold(0usize, |sum, block| sum.saturating_add(block.bytes()));
            verifying.blocks = Arc::new(blocks);
        }
        if let Some(last) = verifying.blocks.last().map(Anchor::of)
            && last.height > self.verified.height
        {
            self.verified = last;
            self.applying.push_back((last.height, verifying.bytes));
            effects.push(Effect::Apply { blocks: verifying.blocks });
        }
        if !rest.is_empty() {
            self.undecided = Some(self.verified.height);
            let from = rest.first().map_or(self.needed(), |first| first.certificate.height.0);
            self.download.keep(from, verifying.peer, rest);
        }
    }

    fn on_invalid(&mut self, now: Millis, batch: BatchId, error: SyncError, effects: &mut Vec<Effect>) {
        let Some(verifying) = self.verifying.take_if(|verifying| verifying.batch == batch) else { return };
        if let (Some(first), Some(last)) = (verifying.blocks.first(), verifying.blocks.last()) {
            let needed = self.verified.height.0.saturating_add(1);
            let from = first.certificate.height.0.max(needed);
            self.download.give_back(from..last.certificate.height.0.saturating_add(1));
        }
        self.leave(now, verifying.peer, Misbehaviour::BadBlock(error), effects);
    }

    fn on_final(&mut self, anchor: Anchor, epoch: Epoch, oldest: BlockNumber) {
        if anchor.height > self.own.height {
            self.stalled_since = None;
            self.status_changed = true;
        }
        self.own = SyncStatus { epoch, height: anchor.height, hash: anchor.hash, oldest };
        while self.applying.front().is_some_and(|(last, _)| *last <= anchor.height) {
            self.applying.pop_front();
        }
        if anchor.height > self.verified.height {
            self.verified = anchor;
        }
    }

    /// Does all that time and the state of things allow.
    fn advance(&mut self, now: Millis, effects: &mut Vec<Effect>) {
        self.peers.forgive(now);
        self.note_late(now, effects);
        self.download.skip_to(self.needed());
        self.switch(now, effects);
        if self.active {
            self.verify_next(effects);
            self.ask(now, effects);
        }
        self.report(now, effects);
    }

    fn note_late(&mut self, now: Millis, effects: &mut Vec<Effect>) {
        while let Some(request) = self.download.take_late(now) {
            self.download.give_back(request.heights);
            let Some(peer) = self.peers.get_mut(&request.peer) else { continue };
            peer.in_flight = peer.in_flight.saturating_sub(1);
            peer.missed(now, request.sent, self.config.timeout);
            let late = peer.late;
            if late >= limits::SYNC_STRIKES_MAX {
                self.leave(now, request.peer, Misbehaviour::Unresponsive(late), effects);
            }
        }
    }

    /// Begins and ends catching up.
    fn switch(&mut self, now: Millis, effects: &mut Vec<Effect>) {
        let (own, target) = (self.own.height, self.target());
        if self.active {
            if own >= target && self.verifying.is_none() && self.applying.is_empty() {
                self.active = false;
                self.stalled_since = None;
                effects.push(Effect::CaughtUp { height: own });
            }
            return;
        }
        if target <= own {
            self.stalled_since = None;
            return;
        }
        let since = *self.stalled_since.get_or_insert(now);
        if target > own.saturating_add(self.config.window) || now.since(since) >= self.config.stalled {
            self.active = true;
            effects.push(Effect::Behind { target });
        }
    }

    /// Starts checking the blocks whose turn it is.
    fn verify_next(&mut self, effects: &mut Vec<Effect>) {
        self.undecided = self.undecided.filter(|below| *below > self.own.height);
        if self.verifying.is_some() || self.undecided.is_some() {
            return;
        }
        let Some(received) = self.download.take_received(self.needed()) else { return };
        let batch = BatchId(self.next_batch);
        self.next_batch = self.next_batch.saturating_add(1);
        let blocks = Arc::new(received.blocks);
        effects.push(Effect::Verify { batch, parent: self.verified, blocks: Arc::clone(&blocks) });
        self.verifying = Some(Verifying { batch, peer: received.peer, blocks, bytes: received.bytes });
    }

    /// Sends as many requests as peers and memory allow, the lowest heights first.
    fn ask(&mut self, now: Millis, effects: &mut Vec<Effect>) {
        let ahead = self.own.height.saturating_add(limits::SYNC_AHEAD_BLOCKS_MAX);
        loop {
            let until = self.target().min(ahead).0.saturating_add(1);
            let room = self.bytes().saturating_add(limits::SYNC_RESPONSE_BYTES_MAX) <= limits::SYNC_BUFFER_BYTES_MAX;
            let needed = self.needed();
            // The next heights to verify are always asked for: without them, no memory would ever be freed.
            let wanted = self.download.wanted(until).into_iter().filter(|heights| room || heights.start == needed);
            let choice = wanted.into_iter().find_map(|heights| Some((self.peers.choose(now, heights.start)?, heights)));
            let Some((key, heights)) = choice else { return };
            let Some(peer) = self.peers.get_mut(&key) else { return };
            peer.in_flight = peer.in_flight.saturating_add(1);
            let has = peer.height().map_or(heights.end, |height| height.0.saturating_add(1));
            let end = heights.start.saturating_add(peer.count).min(heights.end).min(has);
            let count = u32::try_from(end.saturating_sub(heights.start)).unwrap_or(u32::MAX);
            let deadline = now.saturating_add(peer.timeout(self.config.timeout).0);
            let from = BlockNumber(heights.start);
            let request = Request { peer: key, heights: heights.start..end, sent: now, deadline };
            let request = BlockRequest { request: self.download.request(request), from, count };
            effects.push(Effect::Send { peer: key, message: SyncMessage::GetBlocks(request) });
        }
    }

    /// Tells peers about new own blocks, not more often than the interval.
    fn report(&mut self, now: Millis, effects: &mut Vec<Effect>) {
        if !self.status_changed || now < self.status_sent.saturating_add(self.config.status_interval.0) {
            return;
        }
        self.status_changed = false;
        self.status_sent = now;
        let message = || SyncMessage::Status(self.own);
        effects.extend(self.peers.all_connected().map(|peer| Effect::Send { peer, message: message() }));
    }

    /// Stops asking a peer, gives up what came from it, and says why.
    fn leave(&mut self, now: Millis, peer: ConsensusKey, evidence: Misbehaviour, effects: &mut Vec<Effect>) {
        self.download.abandon(&peer);
        if let Some(known) = self.peers.get_mut(&peer) {
            known.in_flight = 0;
            known.banned_until = Some(now.saturating_add(limits::SYNC_BAN_MS));
        }
        effects.push(Effect::Misbehaved { peer, evidence });
    }

    /// The first height that is neither verified nor being verified.
    fn needed(&self) -> u64 {
        let verifying = self.verifying.as_ref().and_then(|verifying| verifying.blocks.last());
        let last = verifying.map_or(self.verified.height, |last| last.certificate.height.max(self.verified.height));
        last.0.saturating_add(1)
    }

    /// Bytes of blocks that are here, or may arrive.
    fn bytes(&self) -> usize {
        let verifying = self.verifying.as_ref().map_or(0, |verifying| verifying.bytes);
        let here = self.download.bytes().saturating_add(verifying);
        self.applying.iter().fold(here, |sum, (_, bytes)| sum.saturating_add(*bytes))
    }
}
