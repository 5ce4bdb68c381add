//! A group as its genesis file describes it, for work on stopped nodes.

use super::{Operator, RecoverError};
use crate::{
    driver::{never_voted, start_of},
    known_members::committees_of,
    node::StartError,
};
use lian_crypto::{ConsensusSecretKey, Suite};
use lian_executor::{Governance, genesis_block};
use lian_ledger::{Ledger, Storage};
use lian_pbft::{Committees, Plan, PlanError, Rules, SignedReport};
use lian_types::{ChainContext, Genesis, GenesisError, GroupGenesis, GroupId};
use std::{path::Path, sync::Arc};

/// The rules and members of a group.
#[derive(Clone, Debug)]
pub struct Chain {
    rules: Rules,
    committees: Committees,
}

impl Chain {
    /// The group of a genesis file, with the members that it has after the last final block of a stopped node; without
    /// one, those of genesis.
    ///
    /// # Errors
    /// [`StartError`] where the file is not consistent or the ledger cannot be read.
    pub fn of(
        suite: Suite,
        genesis: &Genesis,
        group: &GroupGenesis,
        ledger: Option<&Ledger>,
    ) -> Result<Self, StartError> {
        let governance = match ledger {
            Some(ledger) => Governance::of(genesis, group, ledger.head().parent.state.as_ref())?,
            None => Governance::of_genesis(genesis, group)?,
        };
        let invalid = |source| GenesisError::Members { group: group.group, source };
        let committees = committees_of(suite, group.consensus.kind, &governance).map_err(invalid)?;
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
        Ok(Self { rules, committees })
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
