//! Which blocks a simulation has.

use super::SimulateError;
use crate::call::apply_block_overrides;
use crate::database::BlockState;
use crate::{BlockEnvironment, OverrideError};
use alloy_consensus::Header;
use alloy_primitives::{B256, U256};
use alloy_rpc_types_eth::simulate::{MAX_SIMULATE_BLOCKS, SimBlock};

/// Time between blocks that name none, in seconds.
const BLOCK_SECONDS: u64 = 1;

/// A block to simulate: one that was asked for, or an empty one before it.
pub(super) struct PlannedBlock<'p> {
    number: u64,
    time: u64,
    /// What was asked for; `None` for an empty one in between.
    pub(super) calls: Option<&'p SimBlock>,
}

/// Puts blocks in line after the base, with empty ones where numbers are left out.
pub(super) fn plan<'p>(base: &Header, asked: &'p [SimBlock]) -> Result<Vec<PlannedBlock<'p>>, SimulateError> {
    let mut plan: Vec<PlannedBlock<'p>> = Vec::new();
    let (mut number, mut time) = (base.number, base.timestamp);
    for block in asked {
        let overrides = block.block_overrides.as_ref();
        let wanted = match overrides.and_then(|overrides| overrides.number) {
            Some(wanted) => small(wanted)?,
            None => number.saturating_add(1),
        };
        if wanted <= number {
            return Err(SimulateError::NumberOrder { number: wanted, parent: number });
        }
        if wanted.saturating_sub(base.number) > MAX_SIMULATE_BLOCKS {
            return Err(SimulateError::TooManyBlocks);
        }
        while number.saturating_add(1) < wanted {
            number = number.saturating_add(1);
            time = time.saturating_add(BLOCK_SECONDS);
            plan.push(PlannedBlock { number, time, calls: None });
        }
        let wanted_time = overrides.and_then(|overrides| overrides.time).unwrap_or(time.saturating_add(BLOCK_SECONDS));
        if wanted_time <= time {
            return Err(SimulateError::TimeOrder { time: wanted_time, parent: time });
        }
        (number, time) = (wanted, wanted_time);
        plan.push(PlannedBlock { number, time, calls: Some(block) });
    }
    Ok(plan)
}

fn small(value: U256) -> Result<u64, SimulateError> {
    u64::try_from(value).map_err(|_| OverrideError::TooLarge { field: "number", value }.into())
}

impl PlannedBlock<'_> {
    /// The surroundings of the block: its parent's, unless overridden.
    pub(super) fn environment(
        &self,
        (parent, hash): &(Header, B256),
        state: &mut BlockState<'_>,
    ) -> Result<BlockEnvironment, SimulateError> {
        let mut environment = BlockEnvironment::new(self.number, self.time, parent.beneficiary, parent.gas_limit);
        environment.parent_hash = Some(*hash);
        if let Some(overrides) = self.calls.and_then(|block| block.block_overrides.as_ref()) {
            apply_block_overrides(&mut environment, state, overrides)?;
        }
        Ok(environment)
    }
}
