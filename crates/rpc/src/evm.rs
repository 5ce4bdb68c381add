//! Running contracts for a client: the bounds of a call, and how its end is told.

use crate::{
    block_id::BlockId,
    chain::{Chain, state_error},
    error::CallError,
};
use alloy_primitives::Bytes;
use alloy_rpc_types_eth::{BlockOverrides, state::StateOverride};
use alloy_sol_types::{Panic, PanicKind, Revert, SolError};
use lian_executor::{BlockEnvironment, CallSite, Overrides, StateReader};
use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// Where a call runs: on top of a block, with what its caller wants to be different.
pub(crate) struct Stage<'a> {
    chain: &'a Chain,
    environment: BlockEnvironment,
    state: Arc<dyn StateReader>,
    overrides: Overrides,
}

impl<'a> Stage<'a> {
    /// On top of a block that must exist.
    pub(crate) fn new(
        chain: &'a Chain,
        id: BlockId,
        state: Option<StateOverride>,
        block: Option<BlockOverrides>,
    ) -> Result<Self, CallError> {
        let number = chain.require(id)?;
        let environment = BlockEnvironment::on_top_of(&chain.header(number)?);
        Ok(Self { chain, environment, state: chain.state_at(number)?, overrides: Overrides { state, block } })
    }

    /// On top of the last block as the next one will be: what is estimated will be there, and an idle chain's last block may
    /// be old. On top of an earlier block as it is.
    pub(crate) fn at_next_block(mut self) -> Self {
        if self.environment.number == self.chain.height() {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
            self.environment = self.environment.following(now);
        }
        self
    }

    /// Gives the work its bounds of gas and time, and does it.
    pub(crate) fn within_limits<T>(&self, work: impl FnOnce(&CallSite<'_>) -> T) -> T {
        let limits = self.chain.limits();
        let out_of_time = clock(limits.call_ms_max);
        work(&CallSite {
            rules: &self.chain.group().info().rules,
            environment: &self.environment,
            state: &*self.state,
            overrides: &self.overrides,
            gas_cap: limits.call_gas_max,
            cancelled: &out_of_time,
        })
    }

    /// What a call's failure means to the caller.
    pub(crate) fn failure(&self, error: lian_executor::CallError) -> CallError {
        call_failure(error, self.chain.limits().call_ms_max)
    }
}

/// Says true once this many milliseconds have passed.
pub(crate) fn clock(milliseconds: u64) -> impl Fn() -> bool {
    let end = Instant::now().checked_add(Duration::from_millis(milliseconds));
    move || end.is_some_and(|end| Instant::now() >= end)
}

/// What a call's failure means to the caller.
pub(crate) fn call_failure(error: lian_executor::CallError, milliseconds: u64) -> CallError {
    use lian_executor::{CallError as Failure, OverrideError};
    match error {
        Failure::State(error) | Failure::Overrides(OverrideError::State(error)) => state_error(error),
        Failure::Request(error) => CallError::InvalidParams(error.to_string()),
        Failure::Overrides(error) => CallError::InvalidParams(error.to_string()),
        Failure::Invalid(reason) => CallError::refused(reason),
        Failure::Cancelled => CallError::LimitExceeded(format!("execution aborted (timeout = {milliseconds} ms)")),
        Failure::Evm(reason) => CallError::Internal(reason),
    }
}

/// A revert, with its reason where it has one that Solidity defines.
pub(crate) fn reverted(data: Bytes) -> CallError {
    CallError::Reverted { reason: revert_reason(&data), data }
}

/// The text of `Error(string)`, or the meaning of `Panic(uint256)`.
fn revert_reason(data: &[u8]) -> Option<String> {
    if let Ok(revert) = Revert::abi_decode(data) {
        return Some(revert.reason);
    }
    let panic = Panic::abi_decode(data).ok()?;
    Some(match u32::try_from(panic.code).ok().and_then(PanicKind::from_number) {
        Some(kind) => kind.as_str().to_owned(),
        None => format!("unknown panic code: {:#x}", panic.code),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::{U256, hex};

    #[test]
    fn reasons() {
        // `revert("no")`, as solc encodes it.
        let text = hex!(
            "08c379a0"
            "0000000000000000000000000000000000000000000000000000000000000020"
            "0000000000000000000000000000000000000000000000000000000000000002"
            "6e6f000000000000000000000000000000000000000000000000000000000000"
        );
        assert_eq!(revert_reason(&text), Some("no".to_owned()));
        let panic = |code: u64| Panic { code: U256::from(code) }.abi_encode();
        assert_eq!(revert_reason(&panic(0x11)), Some("arithmetic underflow or overflow".to_owned()));
        assert_eq!(revert_reason(&panic(0x99)), Some("unknown panic code: 0x99".to_owned()));
        assert_eq!(revert_reason(&[]), None);
        assert_eq!(revert_reason(&hex!("deadbeef")), None);
    }
}
