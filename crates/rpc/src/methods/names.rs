//! `lian_nameShares`: how many callers of a name which version has answered.

use crate::{
    block_id::{BlockId, BlockTag},
    chain::Chain,
    error::CallError,
    evm::{Stage, clock, reverted},
    parameters::Parameters,
    quantity::Quantity,
    registry::Registry,
};
use alloy_consensus::Transaction as _;
use alloy_primitives::{Address, Bytes};
use alloy_rpc_types_eth::{TransactionInput, TransactionRequest};
use alloy_sol_types::{SolCall, SolError};
use jsonrpsee::core::RegisterMethodError;
use lian_executor::{CallResult, halt_message};
use lian_ledger::StoredBlock;
use lian_system_contracts::{interfaces::INames, names::ADDRESS};
use lian_types::{
    NAMES_PROTOCOL,
    limits::{NAME_SHARES_BLOCKS_DEFAULT, NAME_SHARES_BLOCKS_MAX},
};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet, HashMap};

pub(super) fn register(registry: &mut Registry) -> Result<(), RegisterMethodError> {
    registry.call("lian_nameShares", 2, shares)
}

/// Which versions the senders of transactions to a name's alias were answered by, by what the name said before each block.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Shares {
    /// The name as it is kept.
    name: String,
    alias: Address,
    from_block: Quantity,
    to_block: Quantity,
    /// Transactions to the alias, whatever became of them.
    calls: usize,
    /// Their senders.
    callers: usize,
    /// The versions, and rules, that there were calls for.
    shares: Vec<Share>,
    /// The canary after the last block; not there where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    canary: Option<ShownCanary>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Share {
    /// The version; that which answers where the rule does not consent, where a rule decides; not there for a name without any.
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    /// The contract that decides whether the canary answers in place of the version.
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<Address>,
    calls: usize,
    /// Senders; one may stand at several versions.
    callers: usize,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ShownCanary {
    version: String,
    /// The share of callers that was decided, in hundredths of a per cent.
    basis_points: u16,
}

/// What answers a caller: a version, a version unless a rule says otherwise, or nothing.
type Answer = (Option<String>, Option<Address>);

/// Calls of one kind, and who made them.
#[derive(Default)]
struct Count {
    calls: usize,
    callers: BTreeSet<Address>,
}

fn shares(chain: &Chain, parameters: &mut Parameters<'_>) -> Result<Shares, CallError> {
    let name: String = parameters.required("name")?;
    let blocks: u64 = parameters.optional("blocks")?.unwrap_or(NAME_SHARES_BLOCKS_DEFAULT);
    if !(1..=NAME_SHARES_BLOCKS_MAX).contains(&blocks) {
        let message = format!("invalid argument 1 (blocks): {blocks}, must be 1 to {NAME_SHARES_BLOCKS_MAX}");
        return Err(CallError::InvalidParams(message));
    }
    let last = chain.height();
    let found = view(&stage(chain, last)?, &INames::findCall { name: name.clone() })?.map_err(reverted)?;
    let first = last.saturating_sub(blocks.saturating_sub(1)).max(1);
    let mut counts = BTreeMap::<Answer, Count>::new();
    let milliseconds = chain.limits().call_ms_max;
    let is_late = clock(milliseconds);
    for number in first..=last {
        if is_late() {
            let message = format!("counting took more than {milliseconds} ms: ask for fewer than {blocks} blocks");
            return Err(CallError::LimitExceeded(message));
        }
        let Some(block) = chain.block(number)? else { continue };
        let senders: Vec<_> = senders_to(&block, found.aliasAddress).collect();
        if senders.is_empty() {
            continue;
        }
        let before = stage(chain, number.saturating_sub(1))?;
        let mut answers = HashMap::<Address, Answer>::new();
        for sender in senders {
            let answer = match answers.get(&sender) {
                Some(answer) => answer.clone(),
                None => answers.entry(sender).or_insert(answer(&before, &name, sender)?).clone(),
            };
            let count = counts.entry(answer).or_default();
            count.calls = count.calls.saturating_add(1);
            count.callers.insert(sender);
        }
    }
    let calls = counts.values().map(|count| count.calls).sum();
    let callers = counts.values().flat_map(|count| &count.callers).collect::<BTreeSet<_>>().len();
    let share = |((version, rule), count): (Answer, Count)| Share {
        version,
        rule,
        calls: count.calls,
        callers: count.callers.len(),
    };
    let INames::Canary { version, basisPoints: basis_points, .. } = found.canary;
    Ok(Shares {
        name: found.name,
        alias: found.aliasAddress,
        from_block: Quantity(first),
        to_block: Quantity(last),
        calls,
        callers,
        shares: counts.into_iter().map(share).collect(),
        canary: (!version.is_empty()).then_some(ShownCanary { version, basis_points }),
    })
}

/// The senders of a block's transactions to an address.
fn senders_to(block: &StoredBlock, to: Address) -> impl Iterator<Item = Address> {
    let sent = block.block.transactions.iter().zip(block.senders.iter());
    sent.filter(move |(transaction, _)| transaction.as_ethereum().to() == Some(to)).map(|(_, sender)| *sender)
}

fn stage(chain: &Chain, number: u64) -> Result<Stage<'_>, CallError> {
    Stage::new(chain, BlockId::Tag(BlockTag::Number(number)), None, None)
}

fn answer(stage: &Stage<'_>, name: &str, caller: Address) -> Result<Answer, CallError> {
    match view(stage, &INames::answerCall { name: name.to_owned(), caller })? {
        Ok(found) => Ok((Some(found.text), (!found.rule.is_zero()).then_some(found.rule))),
        // Before it was registered, and while it has no version, nothing answers.
        Err(data) if INames::UnknownName::abi_decode(&data).is_ok() || INames::NoVersion::abi_decode(&data).is_ok() => {
            Ok((None, None))
        }
        Err(data) => Err(reverted(data)),
    }
}

/// What the contract of names answers, or the data that it reverts with.
fn view<C: SolCall>(stage: &Stage<'_>, call: &C) -> Result<Result<C::Return, Bytes>, CallError> {
    let input = TransactionInput::new(call.abi_encode().into());
    let request = TransactionRequest::default().to(ADDRESS).input(input);
    let outcome = stage.within_limits(|site| lian_executor::call(site, &request));
    match outcome.map_err(|error| stage.failure(error))?.result {
        CallResult::Success { output, .. } if output.is_empty() => {
            let message = format!("the chain has no names: the version of its protocol is below {NAMES_PROTOCOL}");
            Err(CallError::Refused(message))
        }
        CallResult::Success { output, .. } => C::abi_decode_returns(&output).map(Ok).map_err(CallError::internal),
        CallResult::Revert { output } => Ok(Err(output)),
        CallResult::Halt { reason } => Err(CallError::Refused(halt_message(&reason))),
    }
}
