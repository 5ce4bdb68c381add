//! What is simulated, as data: the network, its load, and everything that goes wrong in it.

mod byzantine;
mod generate;

pub use byzantine::{Byzantine, Kind, Rule, Trick, Twin};

use lian_types::ConsensusKind;
use std::fmt;

/// How long clients wait, unless a scenario says otherwise, in milliseconds.
const CLIENTS_PATIENCE_MS: u64 = 4_000;

/// A whole simulation. The same scenario always runs in the same way.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Names it, and decides everything that is left to chance while it runs.
    pub seed: u64,
    /// How they agree.
    pub consensus: ConsensusKind,
    /// Nodes that vote in the first epoch.
    pub members: usize,
    /// Nodes that only follow then.
    pub observers: usize,
    /// Heights that may be open at once.
    pub window: u64,
    /// Heights that one leader leads in a row.
    pub leader_term: u64,
    /// The least and the largest timeout of a view, in milliseconds.
    pub view_timeout_ms: (u64, u64),
    /// The longest wait of an eligible transaction, in milliseconds.
    pub censorship_timeout_ms: u64,
    /// The ways between nodes.
    pub links: Links,
    /// How long an fsync takes, least and most, in microseconds.
    pub sync_us: (u64, u64),
    /// How long execution takes, for a block and for each of its transactions, in microseconds.
    pub execution_us: (u64, u64),
    /// What clients do.
    pub load: Load,
    /// How long a client waits for an answer or a block before it asks another node, in milliseconds.
    pub patience_ms: u64,
    /// How far each node's clock is off, in milliseconds; nodes beyond the end have a right one.
    pub skews_ms: Vec<i64>,
    /// Members that are arbitrarily faulty, at most [`Scenario::faulty_max`] together with those that are faulty for ever.
    pub byzantine: Vec<Byzantine>,
    /// What goes wrong.
    pub faults: Vec<TimedFault>,
    /// From when on nothing new goes wrong, in milliseconds: faults with an end have ended, nodes that are to come back
    /// do so.
    pub heal_ms: u64,
    /// When clients send the last new transaction, in milliseconds.
    pub load_end_ms: u64,
    /// The least length of the simulation, in milliseconds.
    pub end_ms: u64,
}

/// The ways between nodes.
#[derive(Clone, Copy, Debug)]
pub struct Links {
    /// The delay of each way, chosen once between least and most, in microseconds.
    pub delay_us: (u64, u64),
    /// What each message takes longer at most, in microseconds. Larger than the time between messages, it reorders them.
    pub jitter_us: u64,
}

/// What clients do.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Time between bursts, in milliseconds.
    pub interval_ms: u64,
    /// Transactions in a burst.
    pub burst: u64,
    /// How many of a thousand transactions compete with another one for their nonce.
    pub rivals_permille: u64,
    /// How many of a thousand transactions are given to several nodes.
    pub copies_permille: u64,
}

/// Something that goes wrong for some time.
#[derive(Clone, Debug)]
pub struct TimedFault {
    /// From when on, in milliseconds.
    pub from_ms: u64,
    /// Until when, in milliseconds; nothing means for ever.
    pub until_ms: Option<u64>,
    /// What.
    pub fault: Fault,
}

/// Which node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// The node with this number.
    Node(usize),
    /// Whoever leads when the fault begins.
    Leader,
}

/// How a node goes down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Down {
    /// The process is killed: its peers notice at once, and what was written reaches the disk although it was not synced.
    Kill,
    /// The machine loses power: peers notice by silence, and any part of what was not synced is lost.
    PowerLoss,
}

/// Where a node can be hit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CrashPoint {
    /// Votes are being written: any part of them may be on the disk, nothing was sent.
    VoteSync,
    /// Votes are durable, nothing that depends on them was sent.
    VoteDurable,
    /// Some of what depends on durable votes was sent.
    Sending,
    /// A proposal was executed, nobody knows.
    Executed,
    /// Final blocks are being written.
    BlockSync,
    /// Final blocks are durable, neither consensus nor clients know.
    BlockDurable,
    /// The vote log was written anew, old records are not removed yet.
    Renewal,
}

/// Something that goes wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// So many of a thousand messages are lost.
    Loss {
        /// The chance.
        permille: u64,
    },
    /// So many of a thousand messages come twice.
    Duplication {
        /// The chance.
        permille: u64,
    },
    /// So many of a thousand messages take longer.
    Delay {
        /// The chance.
        permille: u64,
        /// How much longer, least and most, in milliseconds.
        extra_ms: (u64, u64),
    },
    /// What a node sends does not arrive.
    Mute {
        /// The node.
        target: Target,
        /// Whether sessions break by it, as they do where nothing but this is wrong with a way.
        noticed: bool,
    },
    /// What is sent to a node does not arrive.
    Deaf {
        /// The node.
        target: Target,
        /// Whether sessions break by it.
        noticed: bool,
    },
    /// The way from one node to another carries nothing.
    Cut {
        /// The sender.
        from: usize,
        /// The receiver.
        to: usize,
        /// Whether the session breaks by it.
        noticed: bool,
    },
    /// These nodes and the others do not hear each other.
    Partition {
        /// One side.
        side: Vec<usize>,
        /// Whether sessions break by it.
        noticed: bool,
    },
    /// A node goes down, and starts again when the fault ends.
    Crash {
        /// The node.
        target: Target,
        /// How.
        down: Down,
    },
    /// All nodes go down at once, and start again when the fault ends.
    CrashAll {
        /// How.
        down: Down,
    },
    /// A node goes down whenever it passes a point, at most so often, and starts again after some time.
    CrashAt {
        /// The node.
        target: Target,
        /// The point.
        point: CrashPoint,
        /// How often at most.
        times: u32,
        /// For how long it is down, in milliseconds.
        down_ms: u64,
    },
    /// The power of a node goes at the disk operation after so many more, again and again, also while it starts.
    PowerLoss {
        /// The node.
        target: Target,
        /// Operations until then.
        operations: u64,
        /// How often.
        times: u32,
        /// For how long it is down, in milliseconds.
        down_ms: u64,
    },
    /// A node stands still, as if stopped by SIGSTOP, and goes on when the fault ends.
    Freeze {
        /// The node.
        target: Target,
    },
    /// Each fsync of a node takes so much longer.
    SlowDisk {
        /// The node.
        target: Target,
        /// How much longer at most, in milliseconds.
        extra_ms: u64,
    },
    /// A node's disk takes only so many bytes more. The node must stop; its operator makes room and starts it again when
    /// the fault ends.
    DiskFull {
        /// The node.
        target: Target,
        /// Bytes.
        free: u64,
    },
    /// A node's fsyncs fail. The node must stop; it is started again when the fault ends.
    SyncFails {
        /// The node.
        target: Target,
        /// Syncs that still succeed.
        after: u64,
    },
    /// A node goes down and its key-value view is lost; it starts again when the fault ends.
    LoseView {
        /// The node.
        target: Target,
    },
    /// A node goes down and its vote log is lost or damaged in the middle; it starts again when the fault ends, and must
    /// abstain.
    LoseVotes {
        /// The node.
        target: Target,
        /// Whether the files are gone; else one of their bytes is wrong.
        gone: bool,
    },
    /// A node goes down, and something of what was durable on its disk is wrong when it starts again as the fault ends.
    /// It must notice, or run without it; its operator then empties the disk.
    Damage {
        /// The node.
        target: Target,
        /// Whether a write went to a wrong place; else one byte has rotted.
        misdirected: bool,
    },
    /// A node's clock is set forward, or back.
    ClockJump {
        /// The node.
        target: Target,
        /// Milliseconds.
        ms: i64,
    },
    /// When it ends, a machine of a Byzantine member has the disk again that it had when it began: votes and blocks of
    /// the time between are forgotten, and nothing tells.
    Rewind {
        /// The machine.
        machine: usize,
    },
    /// A node gets a program that computes wrong results, and the right one again when the fault ends. Where it has stopped
    /// for a divergence meanwhile it stays down until the operators recover it.
    WrongResults {
        /// The node.
        target: Target,
        /// Programs with different numbers compute different wrong results.
        variant: u64,
    },
    /// The operator makes these nodes the members, and the others observers, as soon as the chain lets it.
    Members {
        /// The nodes, at least one, in rising order; the first eight can be named.
        sealers: Vec<usize>,
    },
    /// The operator changes the parameters of blocks.
    Parameters,
    /// The operators deal with all divergences: they clear, or report, plan and apply, and start the nodes again.
    Recover {
        /// Whether the power goes at each of their disk operations, once.
        loses_power: bool,
    },
}

impl Fault {
    /// Whether it is about the machine with this number by name.
    #[must_use]
    pub fn names(&self, machine: usize) -> bool {
        match self {
            Self::Cut { from, to, .. } => *from == machine || *to == machine,
            Self::Partition { side, .. } => side.contains(&machine),
            _ => self.target() == Some(Target::Node(machine)),
        }
    }

    /// The node that it is about, if it is about one.
    #[must_use]
    pub const fn target(&self) -> Option<Target> {
        match self {
            Self::Loss { .. }
            | Self::Duplication { .. }
            | Self::Delay { .. }
            | Self::Cut { .. }
            | Self::Partition { .. }
            | Self::CrashAll { .. }
            | Self::Members { .. }
            | Self::Parameters
            | Self::Recover { .. } => None,
            Self::Mute { target, .. }
            | Self::Deaf { target, .. }
            | Self::Crash { target, .. }
            | Self::CrashAt { target, .. }
            | Self::PowerLoss { target, .. }
            | Self::Freeze { target }
            | Self::SlowDisk { target, .. }
            | Self::DiskFull { target, .. }
            | Self::SyncFails { target, .. }
            | Self::LoseView { target }
            | Self::LoseVotes { target, .. }
            | Self::Damage { target, .. }
            | Self::WrongResults { target, .. }
            | Self::ClockJump { target, .. } => Some(*target),
            Self::Rewind { machine } => Some(Target::Node(*machine)),
        }
    }
}

impl Scenario {
    /// Nodes, members first.
    #[must_use]
    pub const fn nodes(&self) -> usize {
        self.members + self.observers
    }

    /// Whether members or parameters change.
    #[must_use]
    pub fn has_changes(&self) -> bool {
        self.faults.iter().any(|fault| matches!(fault.fault, Fault::Members { .. } | Fault::Parameters))
    }

    /// How many members of the first epoch may be faulty.
    #[must_use]
    pub const fn faulty_max(&self) -> usize {
        faulty_max(self.consensus, self.members)
    }

    /// A network in which nothing goes wrong, for so many milliseconds.
    #[must_use]
    pub const fn calm(seed: u64, members: usize, end_ms: u64) -> Self {
        Self {
            seed,
            consensus: ConsensusKind::Pbft,
            members,
            observers: 0,
            window: 8,
            leader_term: 1_024,
            view_timeout_ms: (1_000, 8_000),
            censorship_timeout_ms: 5_000,
            links: Links { delay_us: (200, 1_000), jitter_us: 200 },
            sync_us: (300, 1_500),
            execution_us: (200, 50),
            load: Load { interval_ms: 100, burst: 1, rivals_permille: 0, copies_permille: 0 },
            patience_ms: CLIENTS_PATIENCE_MS,
            skews_ms: Vec::new(),
            byzantine: Vec::new(),
            faults: Vec::new(),
            heal_ms: 0,
            load_end_ms: end_ms.saturating_sub(2_000),
            end_ms,
        }
    }

    /// The same by Raft.
    #[must_use]
    pub const fn by_raft(mut self) -> Self {
        self.consensus = ConsensusKind::Raft;
        self
    }

    /// The same with a fault.
    #[must_use]
    pub fn with(mut self, from_ms: u64, until_ms: Option<u64>, fault: Fault) -> Self {
        self.heal_ms = self.heal_ms.max(until_ms.unwrap_or(from_ms));
        self.faults.push(TimedFault { from_ms, until_ms, fault });
        self
    }
}

/// How many of so many members may be faulty: arbitrarily with PBFT, down or cut off with Raft.
pub(crate) const fn faulty_max(consensus: ConsensusKind, members: usize) -> usize {
    match consensus {
        ConsensusKind::Pbft => members.saturating_sub(1) / 3,
        ConsensusKind::Raft => members.saturating_sub(1) / 2,
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, members, observers, window, leader_term, .. } = self;
        let consensus = self.consensus.name();
        writeln!(
            f,
            "seed {seed}: {consensus}, {members} members, {observers} observers, window {window}, leader term {leader_term}"
        )?;
        writeln!(
            f,
            "view timeouts {:?} ms, censorship {} ms, links {:?}, fsync {:?} µs, execution {:?} µs, clocks off by {:?} ms",
            self.view_timeout_ms,
            self.censorship_timeout_ms,
            self.links,
            self.sync_us,
            self.execution_us,
            self.skews_ms
        )?;
        writeln!(f, "{:?}, patience {} ms", self.load, self.patience_ms)?;
        for Byzantine { member, twin, rules } in &self.byzantine {
            writeln!(f, "  n{member} is Byzantine, {twin:?}")?;
            for rule in rules {
                writeln!(f, "    {rule:?}")?;
            }
        }
        for TimedFault { from_ms, until_ms, fault } in &self.faults {
            match until_ms {
                Some(until) => writeln!(f, "  {from_ms}–{until} ms: {fault:?}")?,
                None => writeln!(f, "  from {from_ms} ms on: {fault:?}")?,
            }
        }
        write!(f, "  healed at {} ms, load until {} ms, at least {} ms", self.heal_ms, self.load_end_ms, self.end_ms)
    }
}
