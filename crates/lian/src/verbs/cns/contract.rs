//! Questions to the names of a node's chain.

use super::explain::explain;
use crate::verbs::{NodeArgs, transact::in_words};
use alloy_primitives::{Address, Bytes, U256};
use alloy_sol_types::SolCall;
use anyhow::{Result, bail};
use lian_client::{ClientError, RpcClient};
use lian_system_contracts::{
    interfaces::INames,
    names::{ADDRESS, LIST_MAX, Name},
};
use lian_types::NAMES_PROTOCOL;
use serde_json::json;

/// The contract, as a node knows it.
pub(in crate::verbs) struct Names {
    client: RpcClient,
}

impl Names {
    /// That of a node; nothing is asked yet.
    pub(in crate::verbs) fn of(node: &NodeArgs) -> Result<Self> {
        Ok(Self { client: node.client()? })
    }

    /// Whether there is one.
    pub(super) async fn check(&self) -> Result<()> {
        self.ask(&INames::countCall {}).await.map(drop)
    }

    /// Where a name is called.
    pub(in crate::verbs) async fn alias(&self, name: &Name) -> Result<Address> {
        let alias = self.ask(&INames::addr_0Call { node: name.node() }).await?;
        if alias.is_zero() {
            bail!("there is no name `{}`; `lian cns list` shows all", name.text());
        }
        Ok(alias)
    }

    /// What it answers after the last block.
    pub(super) async fn ask<C: SolCall>(&self, call: &C) -> Result<C::Return> {
        let request = json!({"to": ADDRESS, "input": Bytes::from(call.abi_encode())});
        let answer: Result<Bytes, ClientError> = self.client.request("eth_call", vec![request, json!("latest")]).await;
        let answer = answer.map_err(|error| in_words(error.into(), explain))?;
        if answer.is_empty() {
            bail!(
                "the chain of {} has no names at its last block: it has no operators, or they have not switched version \
                 {NAMES_PROTOCOL} of the protocol on (`lian gov set-parameter protocol_version {NAMES_PROTOCOL}`), which acts \
                 some blocks later",
                self.client.url()
            );
        }
        let unreadable = |error: alloy_sol_types::Error| ClientError::Answer {
            method: "eth_call".to_owned(),
            reason: format!("the contract's answer cannot be read: {error}"),
        };
        Ok(C::abi_decode_returns(&answer).map_err(unreadable)?)
    }

    pub(super) async fn find(&self, name: &str) -> Result<INames::Name> {
        self.ask(&INames::findCall { name: name.to_owned() }).await
    }

    /// All that a list has, which the contract gives in parts.
    pub(super) async fn all<C: SolCall<Return = Vec<T>>, T>(&self, part: impl Fn(U256) -> C) -> Result<Vec<T>> {
        let mut all = Vec::new();
        loop {
            let page = self.ask(&part(U256::from(all.len()))).await?;
            let is_last = u64::try_from(page.len()).is_ok_and(|count| count < LIST_MAX);
            all.extend(page);
            if is_last {
                return Ok(all);
            }
        }
    }

    pub(super) async fn history(&self, name: &str) -> Result<Vec<INames::Switch>> {
        let limit = U256::from(LIST_MAX);
        self.all(|from| INames::historyCall { name: name.to_owned(), from, limit }).await
    }
}
