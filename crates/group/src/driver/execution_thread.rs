//! Execution: speculation, catching up, and what a certificate makes of both.

use super::{core_thread::Command, inbound, ledger_thread::Append, outbox};
use crate::{
    core::{GroupMessage, Input, Recipient},
    execution::{ProposalWithBodies, SpeculativeChain},
    finality::{self, FinalityError},
    handle::ChainInfo,
    known_members::SharedMembers,
    recovery::{Evidence, EvidenceFiles, Unexplained, stop_reason},
    stop::{StopReason, StopSignal},
};
use alloy_primitives::B256;
use lian_crypto::VerifiedTransaction;
use lian_executor::{ExecutedBlock, ExecutionError};
use lian_ledger::FinalBlock;
use lian_network::NetworkHandle;
use lian_pbft::Divergence;
use lian_sync::{Anchor, BatchId, BlockRequest, BlockWithCertificate, serve};
use lian_types::{BlockNumber, Certificate, ConsensusKey, Header};
use std::sync::{
    Arc,
    mpsc::{Receiver, Sender, SyncSender},
};

/// What the core wants executed, or read.
pub(super) enum Work {
    Execute(ProposalWithBodies),
    DiscardFrom(BlockNumber),
    Append { proposal: ProposalWithBodies, hash: B256, certificate: Arc<Certificate> },
    Verify { batch: BatchId, parent: Anchor, blocks: Arc<Vec<BlockWithCertificate>> },
    Apply(Arc<Vec<BlockWithCertificate>>),
    Serve { to: ConsensusKey, request: BlockRequest },
    Diverged(Box<Divergence>),
}

/// The execution thread's parts.
pub(super) struct ExecutionThread {
    pub(super) chain: SpeculativeChain,
    pub(super) info: Arc<ChainInfo>,
    pub(super) members: Arc<SharedMembers>,
    pub(super) window: u64,
    pub(super) commands: SyncSender<Command>,
    pub(super) appends: Sender<Append>,
    pub(super) network: Option<NetworkHandle>,
    pub(super) stop: StopSignal,
    pub(super) evidence: EvidenceFiles,
    pub(super) unexplained: Unexplained,
    /// What was told last: how many blocks several threads have executed, and whether they disagreed with one.
    pub(super) threads_told: Option<(u64, bool)>,
}

impl ExecutionThread {
    /// Runs until everybody who gives work has ended, or a failure stops the node.
    pub(super) fn run(mut self, work: &Receiver<Work>) {
        while let Ok(work) = work.recv() {
            if let Err(reason) = self.perform(work) {
                self.stop.stop(reason);
                return;
            }
            self.watch_threads();
        }
    }

    /// Tells how several threads fare, when that has changed.
    fn watch_threads(&mut self) {
        let threads = self.chain.threads();
        let now = (threads.parallel_blocks(), threads.disagreed());
        let before = self.threads_told.replace(now);
        if before == Some(now) {
            return;
        }
        let group = self.info.group.to_string();
        metrics::gauge!("lian_execution_parallel_blocks", "group" => group.clone()).set(now.0 as f64);
        metrics::gauge!("lian_execution_threads_disagreed", "group" => group).set(f64::from(u8::from(now.1)));
        if now.1 && !before.is_some_and(|(_, disagreed)| disagreed) {
            tracing::error!(
                "several threads executed a block to another outcome than one: blocks run on one from now on; earlier blocks \
                 must be checked by `lian verify`"
            );
        }
    }

    fn perform(&mut self, work: Work) -> Result<(), StopReason> {
        match work {
            Work::Execute(proposal) => {
                let results = self.chain.execute(proposal).map_err(|error| match error {
                    ExecutionError::Protocol(unknown) => StopReason::for_operator(unknown.to_string()),
                    other => StopReason::from(format!("execution failed: {other}")),
                })?;
                results.iter().for_each(|result| self.report(result));
            }
            Work::DiscardFrom(height) => self.chain.discard_from(height),
            Work::Append { proposal, hash, certificate } => {
                let block = finality::finalize(&mut self.chain, &proposal, hash, Arc::clone(&certificate));
                self.append(block, proposal.bodies, &certificate, None)?;
            }
            Work::Verify { batch, parent, blocks } => self.verify(batch, parent, blocks),
            Work::Apply(blocks) => self.apply(&blocks)?,
            Work::Serve { to, request } => self.serve(to, request),
            Work::Diverged(divergence) => {
                let now = crate::clock::now();
                let evidence = Evidence::of_divergence(&self.info, now, &divergence, &self.chain);
                return Err(StopReason::for_operator(self.write_down(&evidence)));
            }
        }
        Ok(())
    }

    /// Why the node stops: where its result is not the certified one, with the evidence written down before.
    fn failed(&self, failure: &FinalityError, certificate: &Certificate, header: Option<&Header>) -> StopReason {
        let now = crate::clock::now();
        match Evidence::of_failure(&self.info, now, failure, certificate, header, &self.chain) {
            Some(evidence) => StopReason::for_operator(self.write_down(&evidence)),
            None => match failure {
                FinalityError::Execution { source: ExecutionError::Protocol(unknown), .. } => {
                    StopReason::for_operator(unknown.to_string())
                }
                other => StopReason::from(other.to_string()),
            },
        }
    }

    fn write_down(&self, evidence: &Evidence) -> String {
        let written = self.evidence.write(evidence).map(|()| self.evidence.path());
        stop_reason(evidence, written.as_ref().map(Clone::clone))
    }

    /// Completes the evidence of a divergence that operators have dealt with.
    fn explain(&mut self, executed: &ExecutedBlock) {
        for path in self.unexplained.explain(executed) {
            tracing::info!(path = %path.display(), "the evidence of a divergence is complete");
        }
    }

    fn report(&self, result: &ExecutedBlock) {
        let header = &result.block.header;
        self.tell(Input::Executed {
            height: BlockNumber(header.number),
            digest: result.digest,
            parent: header.parent_hash,
            hash: result.hash,
        });
    }

    /// Checks a batch on the worker pool, so that execution goes on meanwhile.
    fn verify(&self, batch: BatchId, parent: Anchor, blocks: Arc<Vec<BlockWithCertificate>>) {
        let (info, known, window) = (Arc::clone(&self.info), self.members.get(), self.window);
        let commands = self.commands.clone();
        rayon::spawn(move || {
            let checked = inbound::check_blocks(&info, window, &known, parent, &blocks);
            let done = match checked {
                Ok(count) => lian_sync::Input::Verified { batch, count },
                Err(error) => lian_sync::Input::Invalid { batch, error },
            };
            // The core ends only when the node does.
            let _ = commands.send(Command::Input(Box::new(Input::SyncDone(done))));
        });
    }

    /// Executes verified blocks in order. Those that this node has by now are passed over.
    fn apply(&mut self, blocks: &[BlockWithCertificate]) -> Result<(), StopReason> {
        for received in blocks {
            let height = BlockNumber(received.block.header.number);
            // First the parent: while the head stands below the height, its block or one on top of it is the parent.
            let parent = self.chain.digest_of(received.block.header.parent_hash);
            if height <= self.chain.ledger().head().number {
                continue;
            }
            let parent = parent.ok_or_else(|| format!("block {height} of a peer has no known parent here"))?;
            // The block was checked: its certificate names the proposal that it came from.
            let digest = received.certificate.digest;
            let block = finality::replay(&mut self.chain, self.info.suite, parent, digest, received);
            self.append(block, Arc::default(), &received.certificate, Some(&received.block.header))?;
        }
        Ok(())
    }

    /// Hands a final block to the ledger's thread, which may have got it by the other way at any moment.
    fn append(
        &mut self,
        block: Result<FinalBlock, FinalityError>,
        bodies: Arc<Vec<Arc<VerifiedTransaction>>>,
        certificate: &Certificate,
        header: Option<&Header>,
    ) -> Result<(), StopReason> {
        match block {
            Ok(block) => {
                self.explain(&block.executed);
                // The ledger thread ends only when the node does.
                let _ = self.appends.send(Append { block, bodies });
                Ok(())
            }
            Err(FinalityError::AlreadyFinal { .. }) => Ok(()),
            Err(failure) => Err(self.failed(&failure, certificate, header)),
        }
    }

    fn serve(&self, to: ConsensusKey, request: BlockRequest) {
        let Some(network) = &self.network else { return };
        let ledger = self.chain.ledger();
        let answer = serve(&request, |height| {
            let stored = ledger.block_by_number(height).ok().flatten()?;
            Some(BlockWithCertificate {
                block: Arc::clone(&stored.block),
                certificate: stored.certificate.as_ref().clone(),
            })
        });
        outbox::send(network, self.info.group, Recipient::One(to), &GroupMessage::Sync(answer));
    }

    fn tell(&self, input: Input) {
        // The core ends only when the node does.
        let _ = self.commands.send(Command::Input(Box::new(input)));
    }
}
