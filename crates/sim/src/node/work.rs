//! The execution thread, without the thread.

use super::{Node, blocks::Append, folder};
use crate::{event::NodeEvent, oracle::Origin, scenario::CrashPoint, sim::Sim};
use alloy_primitives::B256;
use lian_executor::ExecutedBlock;
use lian_group::{
    check_blocks,
    core::{GroupMessage, Input, Recipient},
    execution::ProposalWithBodies,
    finality::{self, FinalityError},
    recovery::{Evidence, EvidenceFiles, stop_reason},
};
use lian_sync::{Anchor, BatchId, BlockRequest, BlockWithCertificate, serve};
use lian_types::{BlockNumber, Certificate, ConsensusKey, Header};
use std::{collections::VecDeque, sync::Arc};

/// How long reading for a peer, or discarding, takes, in microseconds.
const SMALL_WORK_US: u64 = 100;
/// How long checking a peer's block takes, in microseconds: a quorum of signatures and some roots.
const CHECK_BLOCK_US: u64 = 300;

/// What the core wants executed, or read.
pub(super) enum Work {
    Execute(ProposalWithBodies),
    DiscardFrom(BlockNumber),
    Append { proposal: ProposalWithBodies, hash: B256, certificate: Arc<Certificate> },
    Verify { batch: BatchId, parent: Anchor, blocks: Arc<Vec<BlockWithCertificate>> },
    Apply(Arc<Vec<BlockWithCertificate>>),
    Serve { to: ConsensusKey, request: BlockRequest },
}

/// The execution thread's queue, and what it is doing.
#[derive(Default)]
pub(super) struct Working {
    waiting: VecDeque<Work>,
    doing: Option<Work>,
}

impl Working {
    pub(super) fn push(&mut self, work: Work) {
        self.waiting.push_back(work);
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len() + usize::from(self.doing.is_some())
    }
}

impl Node {
    /// Begins the next work, unless some is being done.
    pub(super) fn work_on(&mut self, sim: &mut Sim) {
        if self.is_ending() {
            return;
        }
        let Some(run) = self.run.as_mut().filter(|run| run.working.doing.is_none()) else { return };
        let Some(work) = run.working.waiting.pop_front() else { return };
        let (block_us, transaction_us) = sim.scenario.execution_us;
        let executing = |transactions: usize| block_us + transaction_us * transactions as u64;
        let after = match &work {
            Work::Execute(proposal) => executing(proposal.bodies.len()),
            Work::Append { proposal, .. } if run.execution.result(&proposal.digest).is_none() => {
                executing(proposal.bodies.len())
            }
            Work::Apply(blocks) => blocks.iter().map(|block| executing(block.block.transactions.len())).sum(),
            Work::Append { .. } | Work::DiscardFrom(_) | Work::Verify { .. } | Work::Serve { .. } => SMALL_WORK_US,
        };
        run.working.doing = Some(work);
        sim.later(self.id, self.life, after, NodeEvent::Worked);
    }

    pub(super) fn on_worked(&mut self, sim: &mut Sim) {
        let Some(work) = self.run.as_mut().and_then(|run| run.working.doing.take()) else { return };
        if let Err(reason) = self.do_work(sim, work) {
            return self.stop(reason);
        }
        self.work_on(sim);
    }

    fn do_work(&mut self, sim: &mut Sim, work: Work) -> Result<(), String> {
        let Some(run) = &mut self.run else { return Ok(()) };
        match work {
            Work::Execute(proposal) => {
                let results = run.execution.execute(proposal).map_err(|error| format!("execution failed: {error}"))?;
                if self.passes(sim, CrashPoint::Executed) {
                    results.iter().for_each(|result| self.report(sim, result));
                }
            }
            Work::DiscardFrom(height) => run.execution.discard_from(height),
            Work::Append { proposal, hash, certificate } => {
                if proposal.proposal.height > run.ledger.head().number {
                    let finished = finality::finalize(&mut run.execution, &proposal, hash, Arc::clone(&certificate));
                    let block = finished.map_err(|failure| self.failed(sim, &failure, &certificate, None))?;
                    self.explain(sim, &block.executed);
                    self.append(sim, Append { block, bodies: proposal.bodies, origin: Origin::Consensus });
                }
            }
            Work::Verify { batch, parent, blocks } => {
                let after = CHECK_BLOCK_US * blocks.len() as u64;
                sim.later(self.id, self.life, after, NodeEvent::Checked { batch, parent, blocks });
            }
            Work::Apply(blocks) => self.apply(sim, &blocks)?,
            Work::Serve { to, request } => self.serve(sim, to, &request),
        }
        Ok(())
    }

    /// Why the program stops: where its result is not the certified one, with the evidence on the disk.
    fn failed(
        &mut self,
        sim: &mut Sim,
        failure: &FinalityError,
        certificate: &Certificate,
        header: Option<&Header>,
    ) -> String {
        let Some(run) = &self.run else { return failure.to_string() };
        let evidence =
            Evidence::of_failure(&sim.chain.info, run.clock.now(), failure, certificate, header, &run.execution);
        if let Some(evidence) = evidence {
            self.diverge(sim, &evidence);
        }
        failure.to_string()
    }

    /// Writes evidence down and stops.
    pub(super) fn diverge(&mut self, sim: &Sim, evidence: &Evidence) {
        let files = self.evidence_files(sim);
        let written = files.write(evidence).map(|()| files.path());
        self.diverged = Some(evidence.kind);
        self.stop(stop_reason(evidence, written.as_ref().map(Clone::clone)));
    }

    /// Where its evidence lies.
    pub(super) fn evidence_files(&self, sim: &Sim) -> EvidenceFiles {
        EvidenceFiles::new(Arc::new(self.disk.clone()), &folder(&sim.chain))
    }

    fn explain(&mut self, sim: &mut Sim, executed: &ExecutedBlock) {
        let Some(run) = &mut self.run else { return };
        for path in run.unexplained.explain(executed) {
            sim.tell(|| format!("n{} completes {}", self.id, path.display()));
            sim.count("divergences explained");
        }
    }

    fn report(&mut self, sim: &mut Sim, result: &ExecutedBlock) {
        let header = &result.block.header;
        let (height, parent) = (BlockNumber(header.number), header.parent_hash);
        self.step(sim, Input::Executed { height, digest: result.digest, parent, hash: result.hash });
    }

    pub(super) fn on_checked(
        &mut self,
        sim: &mut Sim,
        batch: BatchId,
        parent: Anchor,
        blocks: &[BlockWithCertificate],
    ) {
        let chain = Arc::clone(&sim.chain);
        let Some(run) = &self.run else { return };
        let known = run.core.members().get();
        let done = match check_blocks(&chain.info, chain.rules.window, &known, parent, blocks) {
            Ok(count) => lian_sync::Input::Verified { batch, count },
            Err(error) => lian_sync::Input::Invalid { batch, error },
        };
        self.step(sim, Input::SyncDone(done));
    }

    /// Executes verified blocks in order. Those that this node has by now are passed over.
    fn apply(&mut self, sim: &mut Sim, blocks: &[BlockWithCertificate]) -> Result<(), String> {
        let chain = Arc::clone(&sim.chain);
        for received in blocks {
            let Some(run) = &mut self.run else { return Ok(()) };
            let height = BlockNumber(received.block.header.number);
            if height <= run.ledger.head().number {
                continue;
            }
            let parent = run.execution.digest_of(received.block.header.parent_hash);
            let parent = parent.ok_or_else(|| format!("block {height} of a peer has no known parent here"))?;
            let digest = received.certificate.digest;
            let finished = finality::replay(&mut run.execution, chain.info.suite, parent, digest, received);
            let (certificate, header) = (&received.certificate, Some(&received.block.header));
            let block = finished.map_err(|failure| self.failed(sim, &failure, certificate, header))?;
            self.explain(sim, &block.executed);
            sim.count("blocks caught up");
            self.append(sim, Append { block, bodies: Arc::default(), origin: Origin::CaughtUp });
        }
        Ok(())
    }

    fn serve(&self, sim: &mut Sim, to: ConsensusKey, request: &BlockRequest) {
        let Some(run) = &self.run else { return };
        let answer = serve(request, |height| {
            let stored = run.ledger.block_by_number(height).ok().flatten()?;
            let certificate = stored.certificate.as_ref().clone();
            Some(BlockWithCertificate { block: Arc::clone(&stored.block), certificate })
        });
        sim.send(self.id, Recipient::One(to), &GroupMessage::Sync(answer));
    }
}
