//! Questions to the ledger of a node's chain.

use super::explain::explain;
use crate::verbs::{NodeArgs, transact::in_words};
use alloy_primitives::{Address, Bytes, U64, U256};
use alloy_sol_types::{SolCall, SolError};
use anyhow::{Context, Result, bail};
use lian_client::{ClientError, RpcClient};
use lian_system_contracts::{
    assets::ADDRESS,
    interfaces::IAssets::{self, Asset},
};
use serde_json::{Value, json};

/// The range of a query was too large, or what it would give (EIP-1474).
const LIMIT_EXCEEDED: i32 = -32_005;
/// Blocks that are asked for at once: half of what a node allows where it is not told otherwise.
const PAGE_BLOCKS: u64 = 5_000;

/// The ledger, as a node knows it.
pub(super) struct Ledger {
    client: RpcClient,
}

impl Ledger {
    /// That of a node; nothing is asked yet.
    pub(super) fn of(node: &NodeArgs) -> Result<Self> {
        Ok(Self { client: node.client()? })
    }

    /// Whether there is one: a chain without it would take a payment and do nothing.
    pub(super) async fn check(&self) -> Result<()> {
        self.ask(&IAssets::countCall {}).await.map(drop)
    }

    /// What it answers after the last block.
    pub(super) async fn ask<C: SolCall>(&self, call: &C) -> Result<C::Return> {
        let answer = self
            .call(call, json!("latest"))
            .await
            .map_err(|error| in_words(error.into(), |data| explain(data, None)))?;
        match answer {
            Some(answer) => Ok(answer),
            None => bail!(
                "the chain of {} has no asset ledger at its last block: it has no operators, or they have not switched \
                 version 1 of the protocol on (`lian gov set-parameter protocol_version 1`), which acts some blocks later",
                self.client.url()
            ),
        }
    }

    /// The asset that a number or symbol names. What has digits only is a number.
    pub(super) async fn find(&self, text: &str) -> Result<Asset> {
        let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let id = if is_number {
            U256::from_str_radix(text, 10).with_context(|| format!("`{text}` is no asset's number"))?
        } else {
            self.ask(&IAssets::assetOfCall { symbol: text.to_owned() }).await?
        };
        if id.is_zero() {
            bail!("there is no asset `{text}`; `lian asset list` shows all");
        }
        self.ask(&IAssets::assetCall { id }).await
    }

    /// An account's balance after a block; nothing before there was the asset.
    pub(super) async fn balance_after(&self, id: U256, account: Address, block: u64) -> Result<U256> {
        match self.call(&IAssets::balanceOfCall { id, account }, json!(format!("{block:#x}"))).await {
            Ok(balance) => Ok(balance.unwrap_or_default()),
            Err(ClientError::Refused { data: Some(data), .. }) if is_unknown(&data) => Ok(U256::ZERO),
            Err(error) => Err(error).with_context(|| format!("the balance after block {block}")),
        }
    }

    /// The height of the last block.
    pub(super) async fn height(&self) -> Result<u64> {
        Ok(self.client.request::<U64>("eth_blockNumber", vec![]).await?.to())
    }

    /// The ledger's events of some blocks with these topics, in order; a topic of `null` may be any.
    pub(super) async fn events(&self, topics: &[Value], from: u64, to: u64) -> Result<Vec<Value>> {
        let (mut found, mut at, mut page) = (Vec::new(), from, PAGE_BLOCKS);
        while at <= to {
            let end = at.saturating_add(page.saturating_sub(1)).min(to);
            let filter = json!({
                "address": ADDRESS, "topics": topics, "fromBlock": format!("{at:#x}"), "toBlock": format!("{end:#x}"),
            });
            match self.client.request::<Vec<Value>>("eth_getLogs", vec![filter]).await {
                Ok(logs) => {
                    found.extend(logs);
                    at = end.saturating_add(1);
                }
                // The node allows fewer blocks, or fewer events.
                Err(ClientError::Refused { code: LIMIT_EXCEEDED, .. }) if end > at => {
                    page = page.div_ceil(2).min(end.abs_diff(at))
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(found)
    }

    /// What a call answers after a block; nothing where there is no ledger.
    async fn call<C: SolCall>(&self, call: &C, block: Value) -> Result<Option<C::Return>, ClientError> {
        let request = json!({"to": ADDRESS, "input": Bytes::from(call.abi_encode())});
        let answer: Bytes = self.client.request("eth_call", vec![request, block]).await?;
        if answer.is_empty() {
            return Ok(None);
        }
        let unreadable = |error: alloy_sol_types::Error| ClientError::Answer {
            method: "eth_call".to_owned(),
            reason: format!("the asset ledger's answer cannot be read: {error}"),
        };
        C::abi_decode_returns(&answer).map(Some).map_err(unreadable)
    }
}

/// Whether a revert says that there is no such asset.
fn is_unknown(data: &str) -> bool {
    data.parse::<Bytes>().is_ok_and(|data| IAssets::UnknownAsset::abi_decode(&data).is_ok())
}
