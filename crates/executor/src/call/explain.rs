//! Why a call is allowed or not.

use super::{CallError, CallOutcome, CallSite, CallTransaction, Machine};
use crate::system::ReadHost;
use crate::{StateError, Verdict};
use alloy_rpc_types_eth::TransactionRequest;
use lian_system_contracts::permissions::{Because, Listed};
use revm::inspector::NoOpInspector;

/// A verdict in the course of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExplainedVerdict {
    /// The verdict.
    pub verdict: Verdict,
    /// The name of the role by which a rule lists the caller, if it does so by a role.
    pub role: Option<String>,
}

/// Runs a request as [`super::call`] does, and tells the verdict on every call and creation in it, in order, with what each
/// hangs on. There are none on chains without the permission contract.
///
/// # Errors
/// As [`super::call`].
pub fn explain_permission(
    site: &CallSite<'_>,
    request: &TransactionRequest,
) -> Result<(CallOutcome, Vec<ExplainedVerdict>), CallError> {
    let mut machine = Machine::explaining(site, NoOpInspector {})?;
    let transaction = CallTransaction::new(site.rules, request, site.gas_cap)?;
    let outcome = machine.run(transaction.into_env())?.result.into();
    let mut explained = Vec::new();
    for verdict in machine.into_verdicts() {
        let role = match verdict.judgement.because {
            Because::Rule { listed: Some(Listed::Role(role)), .. } => {
                Some(role.name(&mut ReadHost(site.state)).map_err(StateError::new)?)
            }
            _ => None,
        };
        explained.push(ExplainedVerdict { verdict, role });
    }
    Ok((outcome, explained))
}
