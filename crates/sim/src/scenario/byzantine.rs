//! Members that are arbitrarily faulty, as data.

use super::{Fault, Scenario, TimedFault};
use crate::random::Random;

/// The purpose of the random numbers that choose Byzantine members.
const PURPOSE: u64 = 4;
/// How many of a thousand places that are free for a faulty member a Byzantine one takes.
const SHARE_PERMILLE: u64 = 600;
/// The most rules of one member.
const RULES_MAX: u64 = 6;
/// When the first trick may be played: the network has made its first blocks by then.
const FIRST_TRICK_MS: u64 = 2_000;

/// A member that does what it likes. It counts as faulty for the whole simulation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Byzantine {
    /// The member.
    pub member: usize,
    /// A second machine with its key, if there is one.
    pub twin: Option<Twin>,
    /// How it changes what its machines, which are honest themselves, send.
    pub rules: Vec<Rule>,
}

/// A second machine with a member's key: with a disk, a ledger, a pool and votes of its own. It has the number after
/// all nodes and earlier twins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Twin {
    /// The nodes that the member's own machine has sessions with, and those of the second one; nothing means all. Of
    /// partitions and other faults the two machines can be on different sides as well.
    pub peers: [Vec<usize>; 2],
}

/// What a member does to some of its messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// What.
    pub trick: Trick,
    /// To how many of a thousand messages that the trick fits.
    pub permille: u64,
    /// Towards which nodes; nothing means all.
    pub peers: Vec<usize>,
    /// Whether the message itself is sent, too: both votes to one peer.
    pub besides: bool,
    /// From when on, in milliseconds.
    pub from_ms: u64,
    /// Until when, in milliseconds.
    pub until_ms: u64,
}

/// Kinds of messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// All.
    Any,
    /// Proposals.
    Proposals,
    /// Prepares, commits and checkpoints.
    Votes,
    /// View-changes and new-views.
    ViewChanges,
    /// Heartbeats.
    Heartbeats,
    /// Transactions and bodies.
    Pool,
    /// Catch-up.
    CatchUp,
}

/// What is done to a message. What must be signed is signed anew with the member's own key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trick {
    /// Another proposal, with its own votes for it; later heights follow it.
    OtherProposal,
    /// A proposal without the transactions of accounts below this number.
    Censor {
        /// The number.
        accounts: usize,
    },
    /// A proposal that names a transaction twice.
    Duplicate,
    /// A proposal with a transaction that was proposed long ago.
    Stale,
    /// A proposal with a transaction whose turn has not come.
    Early,
    /// A proposal with a transaction that nobody has.
    Unknown,
    /// A proposal on another parent.
    OtherParent,
    /// A proposal with its time off by so much.
    OtherTime {
        /// Milliseconds.
        ms: i64,
    },
    /// A vote for another proposal.
    OtherDigest,
    /// A vote for another result.
    OtherResult,
    /// A vote without a result.
    NoResult,
    /// A vote for a height that is off by so much.
    OtherHeight {
        /// Heights.
        by: i64,
    },
    /// A vote in a view that is off by so much.
    OtherView {
        /// Views.
        by: u64,
    },
    /// A commit in place of a prepare and the other way round.
    OtherPhase,
    /// A vote in another member's name.
    OtherSigner,
    /// A view-change that says nothing of what was prepared.
    OmitPrepared,
    /// A view-change with an old certificate as its base.
    OldBase,
    /// A view-change whose prepare certificates lack a signer.
    StripSigners,
    /// A view-change whose prepare certificates name a signer twice.
    DuplicateSigners,
    /// A view-change whose prepare certificates are of another epoch.
    WrongEpoch,
    /// A view-change that claims what was not prepared.
    ClaimPrepared,
    /// A view-change for a view far away.
    HugeView,
    /// A new-view from other view-changes than the first one, with the own one forged.
    OtherNewView,
    /// A new-view that leaves out what it must propose.
    OmitForced,
    /// A heartbeat that lies.
    LieHeartbeat,
    /// A heartbeat that hides that the sender has left its view or starves. Only scenarios written by hand play it.
    HideLeaving,
    /// A catch-up status that lies.
    LieStatus,
    /// Blocks for who catches up, one of them wrong.
    LieBlocks,
    /// A report that lies.
    LieReport,
    /// "I do not have it", where bodies were asked for.
    Withhold,
    /// An old message once more, its own or another member's.
    Replay,
    /// Nothing is sent.
    Silence {
        /// Of which kind.
        kind: Kind,
    },
    /// It is sent later.
    Delay {
        /// Of which kind.
        kind: Kind,
        /// How much later, least and most, in milliseconds.
        ms: (u64, u64),
    },
    /// So many proposals that nobody can accept come with it.
    Flood {
        /// How many.
        count: u64,
    },
}

impl Rule {
    /// A rule for all messages to all peers, at any time.
    #[must_use]
    pub const fn always(trick: Trick) -> Self {
        Self { trick, permille: 1_000, peers: Vec::new(), besides: false, from_ms: 0, until_ms: u64::MAX }
    }

    /// The same towards some nodes only.
    #[must_use]
    pub fn towards(mut self, peers: &[usize]) -> Self {
        self.peers = peers.to_vec();
        self
    }
}

impl Scenario {
    /// Machines: nodes, and after them the second machines of twins.
    #[must_use]
    pub fn machines(&self) -> usize {
        self.nodes().saturating_add(self.byzantine.iter().filter(|member| member.twin.is_some()).count())
    }

    /// The node whose key a machine has.
    #[must_use]
    pub fn seat(&self, machine: usize) -> usize {
        let Some(twin) = machine.checked_sub(self.nodes()) else { return machine };
        let mut twins = self.byzantine.iter().filter(|member| member.twin.is_some());
        twins.nth(twin).map_or(machine, |member| member.member)
    }

    /// The same with a Byzantine member.
    #[must_use]
    pub fn with_byzantine(mut self, member: Byzantine) -> Self {
        self.byzantine.push(member);
        self
    }

    /// Makes Byzantine members of some that may still be faulty. `faulty` are so already.
    pub(super) fn add_byzantine(&mut self, faulty: &mut Vec<usize>) {
        let mut random = Random::new(self.seed, PURPOSE);
        while faulty.len() < self.faulty_max() && random.permille(SHARE_PERMILLE) {
            let member = random.index(self.members);
            if faulty.contains(&member) {
                continue;
            }
            faulty.push(member);
            let twin = random.permille(400).then(|| self.twin(&mut random));
            let rules = if twin.is_some() && random.permille(500) { 0 } else { random.between((1, RULES_MAX)) };
            let rules = (0..rules).map(|_| self.rule(&mut random)).collect();
            self.byzantine.push(Byzantine { member, twin, rules });
            if random.permille(300) {
                self.add_rewind(&mut random, member);
            }
        }
    }

    fn twin(&self, random: &mut Random) -> Twin {
        let some = |random: &mut Random| (0..self.nodes()).filter(|_| random.permille(600)).collect::<Vec<_>>();
        let peers = match random.below(3) {
            0 => [Vec::new(), Vec::new()],
            1 => [some(random), some(random)],
            _ => {
                let one = some(random);
                let two = (0..self.nodes()).filter(|node| !one.contains(node)).collect();
                [one, two]
            }
        };
        Twin { peers }
    }

    /// Amnesia: a machine's disk goes back to what it was, votes and all, and nothing tells.
    fn add_rewind(&mut self, random: &mut Random, member: usize) {
        let second = (self.nodes()..self.machines()).find(|machine| self.seat(*machine) == member);
        let machine = second.filter(|_| random.permille(500)).unwrap_or(member);
        let from_ms = if random.permille(300) { 0 } else { random.between((0, self.heal_ms - 1)) };
        let until_ms = random.between((from_ms.max(FIRST_TRICK_MS), self.heal_ms));
        self.faults.push(TimedFault { from_ms, until_ms: Some(until_ms), fault: Fault::Rewind { machine } });
    }

    fn rule(&self, random: &mut Random) -> Rule {
        let trick = self.trick(random);
        let peers = match random.below(3) {
            0 => Vec::new(),
            _ => (0..self.nodes()).filter(|_| random.permille(500)).collect(),
        };
        let from_ms = random.between((FIRST_TRICK_MS, self.heal_ms));
        let until_ms = if random.permille(500) { u64::MAX } else { random.between((from_ms, self.end_ms)) };
        let permille = match trick {
            Trick::Replay | Trick::Flood { .. } => random.choose([10, 50, 200]),
            _ => random.choose([50, 300, 1_000]),
        };
        Rule { trick, permille, peers, besides: random.permille(400), from_ms, until_ms }
    }

    fn trick(&self, random: &mut Random) -> Trick {
        let timeout = self.view_timeout_ms.0;
        let kind = random.choose([
            Kind::Any,
            Kind::Proposals,
            Kind::Proposals,
            Kind::Votes,
            Kind::ViewChanges,
            Kind::Heartbeats,
            Kind::Pool,
            Kind::CatchUp,
        ]);
        let delay = Trick::Delay { kind, ms: (timeout / 2, timeout.saturating_mul(5) / 4) };
        random.choose([
            Trick::OtherProposal,
            Trick::OtherProposal,
            Trick::OtherProposal,
            Trick::Censor { accounts: 8 },
            Trick::Duplicate,
            Trick::Stale,
            Trick::Stale,
            Trick::Early,
            Trick::Early,
            Trick::Unknown,
            Trick::OtherParent,
            Trick::OtherTime { ms: -60_000 },
            Trick::OtherTime { ms: 4_000 },
            Trick::OtherTime { ms: 3_600_000 },
            Trick::OtherDigest,
            Trick::OtherResult,
            Trick::OtherResult,
            Trick::NoResult,
            Trick::OtherHeight { by: 1 },
            Trick::OtherHeight { by: 1_000_000 },
            Trick::OtherView { by: 1 },
            Trick::OtherView { by: u64::MAX },
            Trick::OtherPhase,
            Trick::OtherSigner,
            Trick::OmitPrepared,
            Trick::OmitPrepared,
            Trick::OldBase,
            Trick::StripSigners,
            Trick::DuplicateSigners,
            Trick::WrongEpoch,
            Trick::ClaimPrepared,
            Trick::HugeView,
            Trick::OtherNewView,
            Trick::OtherNewView,
            Trick::OmitForced,
            Trick::LieHeartbeat,
            Trick::LieStatus,
            Trick::LieBlocks,
            Trick::LieReport,
            Trick::Withhold,
            Trick::Replay,
            Trick::Silence { kind },
            Trick::Silence { kind },
            delay,
            delay,
            Trick::Flood { count: 8 },
        ])
    }
}
