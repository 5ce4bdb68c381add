//! A group as its genesis file describes it, for work on stopped nodes.

use super::{Operator, RecoverError};
use crate::{
    driver::{never_voted, start_of},
    node::StartError,
};
use lian_crypto::{ConsensusSecretKey, Suite};
use lian_executor::genesis_block;
use lian_ledger::{Ledger, Storage};
use lian_pbft::{Committee, Committees, Plan, PlanError, Rules, SignedReport};
use lian_types::{BlockNumber, ChainContext, Epoch, Genesis, GroupGenesis, GroupId};
use std::{path::Path, sync::Arc};

/// The rules and members of a group.
#[derive(Clone, Debug)]
pub struct Chain {
    rules: Rules,
    committees: Committees,
}

impl Chain {
    /// The group of a genesis file.
    ///
    /// # Errors
    /// [`StartError`] where the file is not consistent.
    pub fn of(suite: Suite, genesis: &Genesis, group: &GroupGenesis) -> Result<Self, StartError> {
        let members = genesis.members(group, |key| suite.consensus_address(key))?;
        let first = genesis_block(suite, genesis, group)?;
        let context =
            ChainContext { genesis: suite.genesis_digest(genesis), group: group.group, chain_id: group.chain_id };
        let rules = Rules {
            suite,
            context,
            genesis: GroupGenesis::proposal_digest(first.hash),
            term: group.consensus.leader_term,
            window: group.consensus.window,
        };
        Ok(Self { rules, committees: Committees::new([Committee::new(Epoch::ZERO, BlockNumber::ZERO, members)]) })
    }

    /// The plan that follows from reports.
    ///
    /// # Errors
    /// [`PlanError`].
    pub fn plan(&self, reports: Vec<SignedReport>) -> Result<Plan, PlanError> {
        Plan::of(&self.rules, &self.committees, reports)
    }

    /// A stopped node whose data lies in a folder.
    ///
    /// # Errors
    /// [`RecoverError`] where something cannot be read.
    pub fn operator<'a>(
        &'a self,
        storage: Arc<dyn Storage>,
        folder: &Path,
        key: &'a ConsensusSecretKey,
        ledger: &Ledger,
    ) -> Result<Operator<'a>, RecoverError> {
        Operator::open(storage, folder, self.rules, &self.committees, key, start_of(ledger).head)
    }
}

/// Whether a node has never run in a group: nothing of its may be touched, so that it starts as the new one that it is.
#[must_use]
pub fn has_never_run(data_dir: &Path, group: GroupId) -> bool {
    never_voted(data_dir, group).exists()
}
