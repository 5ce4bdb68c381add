//! A node without blocks looks for a snapshot before its group starts.

use super::outbox;
use crate::{
    core::{GroupMessage, Recipient},
    node::StartError,
};
use lian_crypto::Suite;
use lian_ledger::{
    Ledger, LedgerConfig, LedgerError, Manifest, SnapshotChain, SnapshotError, SnapshotFolder, Storage, read_whole,
    write_whole,
};
use lian_network::{Class, NetworkEvent, NetworkEvents, NetworkHandle};
use lian_sync::{SnapshotConfig, SnapshotEffect, SnapshotInput, SnapshotOffer, SnapshotPlan, SnapshotSync};
use lian_types::{BlockNumber, ConsensusKey, Genesis, GroupGenesis, Millis};
use std::{
    collections::{BTreeSet, VecDeque},
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::runtime::Runtime;

/// What a peer is charged for a lie about a snapshot, in points of the network's ban.
const OFFENCE_WEIGHT: u32 = 50;
/// The longest wait for an event, so that nothing depends on the machine's deadlines alone.
const WAIT_MAX: Duration = Duration::from_secs(1);

/// Which group looks for a snapshot, and where it is kept.
pub(crate) struct Joining<'a> {
    pub(crate) genesis: &'a Genesis,
    pub(crate) group: &'a GroupGenesis,
    pub(crate) suite: Suite,
    /// This node's key.
    pub(crate) own: ConsensusKey,
    pub(crate) config: LedgerConfig,
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) network: NetworkHandle,
    pub(crate) height_min: BlockNumber,
}

impl Joining<'_> {
    /// Fetches a snapshot and begins the ledger with it, where that is worth it. Messages that come meanwhile and are
    /// about something else are lost, as the protocols that they belong to allow. `connected` is who has a session, and is
    /// kept up to date.
    ///
    /// # Errors
    /// [`StartError::Interrupted`] when the network stops; others if the disk fails.
    pub(crate) fn run(
        self,
        events: &mut NetworkEvents,
        connected: &mut BTreeSet<ConsensusKey>,
    ) -> Result<(), StartError> {
        if !self.config.is_empty(&*self.storage)? {
            return Ok(());
        }
        let begun = Instant::now();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        let runtime = runtime.map_err(|source| StartError::Thread { source })?;
        let mut disk = Disk::new(&self);
        let kept = disk.kept()?;
        let config = SnapshotConfig {
            suite: self.suite,
            height_min: self.height_min,
            peers_min: self.genesis.nodes.iter().filter(|node| node.consensus_key != self.own).count(),
        };
        let mut machine = SnapshotSync::new(Millis::ZERO, config, kept);
        let mut inputs: VecDeque<_> = connected.iter().map(|peer| SnapshotInput::Connected(*peer)).collect();
        let mut effects = Vec::new();
        loop {
            let now = Millis(u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX));
            if inputs.is_empty() {
                inputs.push_back(self.next_input(&runtime, machine.deadline(), now, events, connected)?);
            }
            while let Some(input) = inputs.pop_front() {
                machine.step(now, input, &mut effects);
                for effect in effects.drain(..) {
                    match self.perform(effect, &mut disk)? {
                        Performed::Nothing => {}
                        Performed::Answer(answer) => inputs.push_back(answer),
                        Performed::Over => return Ok(()),
                    }
                }
            }
        }
    }

    /// Waits for the next event that concerns snapshots of this group, or until the machine wants to be called.
    fn next_input(
        &self,
        runtime: &Runtime,
        deadline: Option<Millis>,
        now: Millis,
        events: &mut NetworkEvents,
        connected: &mut BTreeSet<ConsensusKey>,
    ) -> Result<SnapshotInput, StartError> {
        let wait = deadline.map_or(WAIT_MAX, |deadline| Duration::from_millis(deadline.since(now).0).min(WAIT_MAX));
        let event = runtime.block_on(async { tokio::time::timeout(wait, events.recv()).await });
        let Ok(event) = event else { return Ok(SnapshotInput::Tick) };
        Ok(match event.ok_or(StartError::Interrupted)? {
            NetworkEvent::Connected { peer, .. } => {
                connected.insert(peer);
                SnapshotInput::Connected(peer)
            }
            NetworkEvent::Disconnected { peer, .. } => {
                connected.remove(&peer);
                SnapshotInput::Disconnected(peer)
            }
            NetworkEvent::Message { peer, group, class: Class::Sync, bytes } if group == self.group.group => {
                match GroupMessage::decode(Class::Sync, &bytes) {
                    Ok(GroupMessage::Snapshot(message)) => SnapshotInput::Message { peer, message },
                    _ => SnapshotInput::Tick,
                }
            }
            NetworkEvent::Message { .. } => SnapshotInput::Tick,
        })
    }

    fn perform(&self, effect: SnapshotEffect, disk: &mut Disk<'_>) -> Result<Performed, StartError> {
        Ok(match effect {
            SnapshotEffect::Send { peer, message } => {
                let message = GroupMessage::Snapshot(message);
                outbox::send(&self.network, self.group.group, Recipient::One(peer), &message);
                Performed::Nothing
            }
            SnapshotEffect::Check { offer, bytes } => {
                Performed::Answer(SnapshotInput::Checked(disk.check(offer, &bytes)?))
            }
            SnapshotEffect::Store { index, bytes } => {
                disk.store(index, &bytes)?;
                Performed::Answer(SnapshotInput::Stored(index))
            }
            SnapshotEffect::Load(plan) => {
                tracing::info!(height = %plan.offer.height, chunks = plan.chunks.len(), "a snapshot is complete");
                Performed::Answer(SnapshotInput::Loaded(disk.load()?))
            }
            SnapshotEffect::Discard => {
                disk.discard()?;
                Performed::Nothing
            }
            SnapshotEffect::Misbehaved { peer, evidence } => {
                tracing::warn!(%peer, %evidence, "a peer is asked for no snapshot any more");
                self.network.report_misbehaviour(peer, OFFENCE_WEIGHT);
                Performed::Nothing
            }
            SnapshotEffect::Done => Performed::Over,
            SnapshotEffect::GiveUp(why) => {
                tracing::info!(group = %self.group.group, why, "the chain is fetched from its first block on");
                Performed::Over
            }
        })
    }
}

/// What came of an effect.
enum Performed {
    Nothing,
    Answer(SnapshotInput),
    Over,
}

/// The snapshot that is being fetched, on disk. Its chunks lie where the ledger looks for them; the manifest, which would
/// make it count, has another name until all are there.
struct Disk<'a> {
    joining: &'a Joining<'a>,
    snapshots: SnapshotFolder,
    plan: PathBuf,
    manifest: Option<Manifest>,
}

impl<'a> Disk<'a> {
    fn new(joining: &'a Joining<'a>) -> Self {
        let snapshots = joining.config.snapshots(&joining.storage);
        let plan = snapshots.path().join("joining");
        Self { joining, snapshots, plan, manifest: None }
    }

    fn chain(&self) -> SnapshotChain<'a> {
        let Joining { suite, genesis, group, .. } = self.joining;
        SnapshotChain { suite: *suite, genesis, group }
    }

    /// What was being fetched before a restart, and the chunks of it that are here.
    fn kept(&mut self) -> Result<Option<(SnapshotPlan, BTreeSet<u32>)>, StartError> {
        let Some(bytes) = read_whole(&*self.joining.storage, &self.plan).map_err(LedgerError::from)? else {
            return Ok(None);
        };
        let Ok(manifest) = Manifest::decode(&bytes) else {
            self.discard()?;
            return Ok(None);
        };
        let (height, mut durable) = (manifest.height(), BTreeSet::new());
        for (index, info) in (0u32..).zip(&manifest.chunks) {
            let chunk = self.snapshots.read_chunk(height, index).map_err(LedgerError::from)?;
            if chunk.is_some_and(|bytes| info.matches(self.joining.suite, &bytes)) {
                durable.insert(index);
            }
        }
        let (plan, holds) = (self.plan_of(&manifest), self.chain().check(&manifest).is_ok());
        self.manifest = Some(manifest);
        if !holds {
            self.discard()?;
            return Ok(None);
        }
        Ok(Some((plan, durable)))
    }

    fn plan_of(&self, manifest: &Manifest) -> SnapshotPlan {
        let offer = SnapshotOffer { height: manifest.height(), content: manifest.content(self.joining.suite) };
        SnapshotPlan { offer, chunks: manifest.chunks.iter().map(|chunk| (chunk.hash, chunk.length)).collect() }
    }

    /// Checks a manifest and keeps it for a restart.
    fn check(&mut self, offer: SnapshotOffer, bytes: &[u8]) -> Result<Result<SnapshotPlan, String>, StartError> {
        let checked = Manifest::decode(bytes).map_err(LedgerError::from).and_then(|manifest| {
            self.chain().check(&manifest)?;
            Ok(manifest)
        });
        let manifest = match checked {
            Ok(manifest) => manifest,
            Err(error) => return Ok(Err(error.to_string())),
        };
        let plan = self.plan_of(&manifest);
        if plan.offer != offer {
            let found = plan.offer.height;
            return Ok(Err(format!("it is of block {found} with other chunks than were offered")));
        }
        let storage = &*self.joining.storage;
        storage.create_folder(self.snapshots.path()).map_err(LedgerError::from)?;
        write_whole(storage, &self.plan, bytes).map_err(LedgerError::from)?;
        tracing::info!(height = %offer.height, bytes = manifest.bytes(), "a snapshot is being fetched");
        self.manifest = Some(manifest);
        Ok(Ok(plan))
    }

    fn store(&self, index: u32, bytes: &[u8]) -> Result<(), StartError> {
        let Some(manifest) = &self.manifest else { return Ok(()) };
        Ok(self.snapshots.write_chunk(manifest.height(), index, bytes).map_err(LedgerError::from)?)
    }

    /// Lets the snapshot count, and opens the ledger, which begins with it if it holds.
    fn load(&mut self) -> Result<Result<(), String>, StartError> {
        let Some(manifest) = &self.manifest else { return Ok(Err("there is no manifest".to_owned())) };
        self.snapshots.write_manifest(manifest).map_err(LedgerError::from)?;
        let Joining { config, storage, suite, genesis, group, .. } = self.joining;
        match Ledger::open(config.clone(), Arc::clone(storage), *suite, genesis, group) {
            Ok(_) => {
                storage.remove(&self.plan).map_err(LedgerError::from)?;
                Ok(Ok(()))
            }
            Err(LedgerError::Snapshot(error)) if is_lie(&error) => Ok(Err(error.to_string())),
            Err(error) => Err(error.into()),
        }
    }

    fn discard(&mut self) -> Result<(), StartError> {
        if let Some(manifest) = self.manifest.take() {
            self.snapshots.remove(manifest.height()).map_err(LedgerError::from)?;
        }
        Ok(self.joining.storage.remove(&self.plan).map_err(LedgerError::from)?)
    }
}

/// Whether the snapshot itself is wrong, rather than this node's disk.
const fn is_lie(error: &SnapshotError) -> bool {
    matches!(error, SnapshotError::Chunk { .. } | SnapshotError::Content { .. } | SnapshotError::StateRoot { .. })
}
