//! What changes nothing.

use super::{
    ADDRESS, CALLERS_LIST_MAX, LIST_MAX, NODES, Name,
    alias::{Place, Route, alias, route},
    ens, load,
    record::{Pointer, Record},
    version,
};
use crate::{
    Failure, Halt, Host,
    interfaces::INames::{self, INamesCalls},
    storage::{Storage, after, elements},
};
use alloy_primitives::{Address, B256, U256};
use alloy_sol_types::SolCall;
use lian_types::limits::NAME_DELEGATES_MAX;

/// Answers a question.
pub(super) fn answer(host: &mut dyn Host, question: INamesCalls) -> Result<Vec<u8>, Failure> {
    use INames as N;
    use INamesCalls as Calls;
    Ok(match question {
        Calls::count(_) => N::countCall::abi_encode_returns(&load(host, NODES)?),
        Calls::names(of) => N::namesCall::abi_encode_returns(&list(host, of.from, of.limit)?),
        Calls::find(of) => {
            let record = Record::of(host, &of.name)?;
            N::findCall::abi_encode_returns(&show(host, record)?)
        }
        Calls::latest(of) => {
            let record = Record::of(host, &of.name)?;
            let number = version::count(host, record)?;
            if number == 0 {
                return Err(Failure::revert(&N::NoVersion { node: record.node }));
            }
            N::latestCall::abi_encode_returns(&version::show(host, record, number)?)
        }
        Calls::version(of) => {
            let record = Record::of(host, &of.name)?;
            let number = version::find(host, record, &of.text)?;
            N::versionCall::abi_encode_returns(&version::show(host, record, number)?)
        }
        Calls::versions(of) => {
            let record = Record::of(host, &of.name)?;
            let positions = page(version::count(host, record)?, of.from, of.limit);
            let shown = positions.map(|position| version::show(host, record, position.saturating_add(1)));
            N::versionsCall::abi_encode_returns(&shown.collect::<Result<Vec<_>, _>>()?)
        }
        Calls::abiOf(of) => {
            let record = Record::of(host, &of.name)?;
            let number = version::find(host, record, &of.text)?;
            let (content_type, abi) = version::abi_of(host, record, number)?;
            N::abiOfCall::abi_encode_returns(&N::abiOfReturn { contentType: content_type, abiData: abi })
        }
        Calls::history(of) => {
            let record = Record::of(host, &of.name)?;
            let positions = page(version::switches(host, record)?, of.from, of.limit);
            let shown = positions.map(|position| version::show_switch(host, record, position));
            N::historyCall::abi_encode_returns(&shown.collect::<Result<Vec<_>, _>>()?)
        }
        Calls::delegates(of) => {
            let record = Record::of(host, &of.name)?;
            let accounts = record.delegates().page(host, U256::ZERO, NAME_DELEGATES_MAX)?;
            N::delegatesCall::abi_encode_returns(&addresses(accounts))
        }
        Calls::canaryCallers(of) => {
            let record = Record::of(host, &of.name)?;
            let accounts = callers(host, record, of.from, of.limit)?;
            N::canaryCallersCall::abi_encode_returns(&accounts)
        }
        Calls::answer(of) => N::answerCall::abi_encode_returns(&answering(host, &of.name, of.caller)?),
        Calls::normalize(of) => {
            let name = Name::of(host, &of.name)?;
            let (normalized, node) = (name.text().to_owned(), name.node());
            let found = N::normalizeReturn { normalized, node, aliasAddress: alias(node) };
            N::normalizeCall::abi_encode_returns(&found)
        }
        question => return ens::answer(host, question),
    })
}

/// The positions of a list's part that was asked for.
fn page(length: u64, from: U256, limit: U256) -> std::ops::Range<u64> {
    let from = from.saturating_to::<u64>().min(length);
    from..from.saturating_add(limit.saturating_to::<u64>().min(LIST_MAX)).min(length)
}

fn addresses(words: Vec<B256>) -> Vec<Address> {
    words.into_iter().map(Address::from_word).collect()
}

fn list(host: &mut dyn Host, from: U256, limit: U256) -> Result<Vec<INames::Name>, Failure> {
    let count = Storage::of(host, ADDRESS).load_u64(NODES)?;
    let mut names = Vec::new();
    for position in page(count, from, limit) {
        let node = load(host, after(elements(NODES), position))?.into();
        if let Some(record) = Record::find(host, node)? {
            names.push(show(host, record)?);
        }
    }
    Ok(names)
}

fn callers(host: &mut dyn Host, record: Record, from: U256, limit: U256) -> Result<Vec<Address>, Halt> {
    if !record.current(host)?.is_some_and(|current| current.has(Pointer::CANARY)) {
        return Ok(Vec::new());
    }
    let limit = limit.saturating_to::<u64>().min(CALLERS_LIST_MAX);
    Ok(addresses(record.callers(host)?.page(host, from, limit)?))
}

fn answering(host: &mut dyn Host, name: &str, caller: Address) -> Result<INames::answerReturn, Failure> {
    let record = Record::of(host, name)?;
    let (answer, rule) = match route(host, &Place::of(record.node), caller)? {
        None => return Err(Failure::revert(&INames::NoVersion { node: record.node })),
        Some(Route::To(answer)) => (answer, Address::ZERO),
        Some(Route::Rule { rule, current, .. }) => (current, rule),
    };
    Ok(INames::answerReturn { text: version::text_of(host, record, answer.number)?, target: answer.target, rule })
}

fn show(host: &mut dyn Host, record: Record) -> Result<INames::Name, Halt> {
    let current = record.current(host)?.unwrap_or_default();
    let canary = if current.has(Pointer::CANARY) { record.canary(host)? } else { Pointer::default() };
    let callers = if canary.has(Pointer::CALLERS) { record.callers(host)?.length(host)? } else { 0 };
    let rule = if canary.has(Pointer::RULE) { record.rule(host)? } else { Address::ZERO };
    Ok(INames::Name {
        name: record.name(host)?,
        node: record.node,
        aliasAddress: alias(record.node),
        kind: record.kind.into(),
        owner: record.owner,
        versions: U256::from(version::count(host, record)?),
        current: version::text_of(host, record, current.number)?,
        target: current.target,
        canary: INames::Canary {
            version: version::text_of(host, record, canary.number)?,
            target: canary.target,
            basisPoints: canary.basis_points,
            held: canary.has(Pointer::HELD),
            callers: U256::from(callers),
            rule,
        },
    })
}
