//! The accounts and slots that a transaction touches.

use super::{CallError, CallResult, CallSite, CallTransaction, Machine, halt_message};
use alloy_eips::eip2930::{AccessList, AccessListResult};
use alloy_primitives::U256;
use alloy_rpc_types_eth::TransactionRequest;
use revm_inspectors::access_list::AccessListInspector;

/// Runs after which the list is given as it is. Each run may add what the one before made reachable; geth has no bound,
/// but a contract can look at its own gas and never settle.
const ROUNDS_MAX: usize = 16;

/// The access list that a request would profit from, and the gas that it then uses, as `eth_createAccessList`. Sender,
/// target, precompiled contracts and authorities (EIP-7702) are warm anyway and not listed unless for their slots.
///
/// # Errors
/// [`CallError`] where it cannot run; a revert or halt is in the result.
pub fn access_list(site: &CallSite<'_>, request: &TransactionRequest) -> Result<AccessListResult, CallError> {
    let transaction = CallTransaction::new(site.rules, request, site.gas_cap)?;
    let mut list = request.access_list.clone().unwrap_or_default();
    let mut machine = Machine::new(site, AccessListInspector::new(list.clone()))?;
    for _ in 0..ROUNDS_MAX {
        machine.set_inspector(AccessListInspector::new(list.clone()));
        let outcome = machine.run(transaction.with_access_list(list.clone()))?;
        let found = machine.parts().0.access_list();
        let settled = same(&list, &found);
        list = found;
        if settled {
            return Ok(result(list, outcome.result.into()));
        }
    }
    let outcome = machine.run(transaction.with_access_list(list.clone()))?;
    Ok(result(list, outcome.result.into()))
}

fn result(access_list: AccessList, outcome: super::CallOutcome) -> AccessListResult {
    let error = match &outcome.result {
        CallResult::Success { .. } => None,
        CallResult::Revert { .. } => Some("execution reverted".to_owned()),
        CallResult::Halt { reason } => Some(halt_message(reason)),
    };
    AccessListResult { access_list, gas_used: U256::from(outcome.gas_used), error }
}

/// Whether two lists name the same, whatever their order.
fn same(left: &AccessList, right: &AccessList) -> bool {
    let sorted = |list: &AccessList| {
        let mut list = list.clone();
        list.sort();
        list
    };
    sorted(left) == sorted(right)
}
