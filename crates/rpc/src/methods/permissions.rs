//! `lian_explainPermission`: whether a call is allowed, and why.

use super::eth_call;
use crate::{chain::Chain, error::CallError, parameters::Parameters, registry::Registry};
use alloy_primitives::{Address, Bytes};
use jsonrpsee::core::RegisterMethodError;
use lian_executor::{CallResult, ExplainedVerdict, Question, Verdict};
use lian_system_contracts::permissions::{Because, CallQuestion, Denial, Listed, Method, Policy};
use serde::Serialize;

pub(super) fn register(registry: &mut Registry) -> Result<(), RegisterMethodError> {
    registry.call("lian_explainPermission", 4, explain)
}

/// What became of a call, and the verdict on every call and creation in it.
#[derive(Clone, Debug, Serialize)]
struct Explanation {
    /// Whether all of them are allowed.
    allowed: bool,
    /// Whether the call itself succeeds, as far as one can tell without sending it.
    success: bool,
    /// In the order in which they are judged; none on a chain without the permission contract.
    verdicts: Vec<ShownVerdict>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ShownVerdict {
    /// How deep, 0 being the transaction itself.
    depth: usize,
    /// `call` or `create`.
    kind: &'static str,
    /// Who calls or creates.
    from: Address,
    /// Who is called, or where the contract will be.
    to: Address,
    /// The first four bytes that are sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    method: Option<Method>,
    allowed: bool,
    /// A sentence for people.
    reason: String,
    /// What it reverts with.
    #[serde(skip_serializing_if = "Option::is_none")]
    revert_data: Option<Bytes>,
    /// The rule that decides, if one does.
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<ShownRule>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ShownRule {
    /// The method whose rule it is; not there for that of all methods without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    method: Option<Method>,
    /// `open`, `allow-list` or `deny-list`.
    policy: &'static str,
    /// How it lists the caller: `account`, or the name of a role with `role ` before it; not there where it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    listed_by: Option<String>,
}

fn explain(chain: &Chain, parameters: &mut Parameters<'_>) -> Result<Explanation, CallError> {
    let (request, stage) = eth_call::read(chain, parameters)?;
    let explained = stage.within_limits(|site| lian_executor::explain_permission(site, &request));
    let (outcome, verdicts) = explained.map_err(|error| stage.failure(error))?;
    let verdicts: Vec<_> = verdicts.into_iter().map(show).collect();
    Ok(Explanation {
        allowed: verdicts.iter().all(|verdict| verdict.allowed),
        success: matches!(outcome.result, CallResult::Success { .. }),
        verdicts,
    })
}

fn show(explained: ExplainedVerdict) -> ShownVerdict {
    let ExplainedVerdict { verdict: Verdict { depth, question, judgement }, role } = explained;
    let (kind, from, to, method) = match question {
        Question::Call(CallQuestion { caller, target, method }) => ("call", caller, target, Some(method)),
        Question::Creation { creator, created } => ("create", creator, created, None),
    };
    let rule = match judgement.because {
        Because::Rule { method, policy, listed } => {
            let by = |listed| match (listed, role) {
                (Listed::Role(_), Some(role)) => format!("role {role}"),
                _ => "account".to_owned(),
            };
            Some(ShownRule { method, policy: name(policy), listed_by: listed.map(by) })
        }
        _ => None,
    };
    ShownVerdict {
        depth,
        kind,
        from,
        to,
        method,
        allowed: judgement.denial.is_none(),
        reason: reason(judgement.because, judgement.denial, rule.as_ref()),
        revert_data: judgement.denial.map(|denial| denial.revert_data()),
        rule,
    }
}

const fn name(policy: Policy) -> &'static str {
    match policy {
        Policy::None => "none",
        Policy::Open => "open",
        Policy::AllowList => "allow-list",
        Policy::DenyList => "deny-list",
    }
}

fn reason(because: Because, denial: Option<Denial>, rule: Option<&ShownRule>) -> String {
    match (because, denial) {
        (_, Some(Denial::Frozen(address))) => format!("{address} is frozen"),
        (_, Some(Denial::Suspended(address))) => format!("{address} is suspended by its administrator"),
        (_, Some(Denial::Retired(address))) => format!("{address} is retired"),
        (Because::Governance, _) => "contracts of governance can always be called".to_owned(),
        (Because::NoRuleApplies, _) => {
            "the chain's own addresses have no rules, and a contract may call itself".to_owned()
        }
        (Because::Rule { .. }, _) => rule.map(sentence).unwrap_or_default(),
        (Because::Creation { restricted: false, .. }, _) => "anybody may create contracts".to_owned(),
        (Because::Creation { is_deployer: true, .. }, _) => "the creator has the role deployer".to_owned(),
        (Because::Creation { .. }, _) => "only who has the role deployer may create contracts".to_owned(),
        (Because::NoRule | Because::Standing, _) => "there is no rule".to_owned(),
    }
}

fn sentence(ShownRule { method, policy, listed_by }: &ShownRule) -> String {
    let of = match method {
        Some(method) => format!("the method {method}"),
        None => "the contract".to_owned(),
    };
    match (*policy, listed_by) {
        ("open", _) => format!("{of} is open to everybody"),
        (_, None) => format!("the {policy} of {of} does not have the caller"),
        (_, Some(by)) if by == "account" => format!("the {policy} of {of} has the caller"),
        (_, Some(role)) => format!("the {policy} of {of} has the caller's {role}"),
    }
}
