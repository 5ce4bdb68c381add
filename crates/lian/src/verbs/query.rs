//! `lian tx`, `lian receipt`, `lian block`.

use super::{NodeArgs, decimal, text};
use crate::output::{print, say};
use alloy_primitives::B256;
use anyhow::{Result, bail};
use clap::Args;
use lian_client::Table;
use serde_json::{Value, json};

#[derive(Args, Debug)]
pub(crate) struct HashArgs {
    /// The transaction's hash.
    hash: B256,
    #[command(flatten)]
    node: NodeArgs,
}

#[derive(Args, Debug)]
pub(crate) struct BlockArgs {
    /// A number, a hash, or `latest`, `earliest`.
    #[arg(default_value = "latest")]
    block: String,
    #[command(flatten)]
    node: NodeArgs,
}

pub(crate) async fn transaction(args: HashArgs) -> Result<()> {
    let found: Option<Value> = args.node.client()?.request("eth_getTransactionByHash", vec![json!(args.hash)]).await?;
    let Some(transaction) = found else { bail!("no transaction {} on {}", args.hash, args.node.rpc_url) };
    if args.node.json {
        say(transaction)?;
        return Ok(());
    }
    let mut table = Table::new();
    table.line("hash", text(&transaction, "hash"));
    let pending = transaction.get("blockNumber").is_none_or(Value::is_null);
    if pending {
        table.line("block", "pending");
    } else {
        table.line("block", decimal(&transaction["blockNumber"]));
        table.line("index", decimal(&transaction["transactionIndex"]));
    }
    table.line("from", text(&transaction, "from")).line("to", text(&transaction, "to"));
    for field in ["value", "nonce", "gas", "type"] {
        table.line(field, decimal(&transaction[field]));
    }
    table.line("input", text(&transaction, "input"));
    print(table)?;
    Ok(())
}

pub(crate) async fn receipt(args: HashArgs) -> Result<()> {
    let found: Option<Value> = args.node.client()?.request("eth_getTransactionReceipt", vec![json!(args.hash)]).await?;
    let Some(receipt) = found else {
        bail!("no receipt of {} on {}: unknown, or not final yet", args.hash, args.node.rpc_url)
    };
    print_receipt(&receipt, args.node.json)
}

/// Prints a receipt, for this verb and for those that wait for one.
pub(crate) fn print_receipt(receipt: &Value, raw: bool) -> Result<()> {
    if raw {
        say(receipt)?;
        return Ok(());
    }
    let mut table = Table::new();
    table.line("transaction", text(receipt, "transactionHash"));
    table.line("status", if receipt["status"] == "0x1" { "success" } else { "failed" });
    table.line("block", decimal(&receipt["blockNumber"]));
    table.line("from", text(receipt, "from")).line("to", text(receipt, "to"));
    if receipt.get("contractAddress").is_some_and(|address| !address.is_null()) {
        table.line("contract", text(receipt, "contractAddress"));
    }
    table.line("gas used", decimal(&receipt["gasUsed"]));
    for (index, log) in receipt["logs"].as_array().into_iter().flatten().enumerate() {
        table.line(format!("log {index}"), format!("{} {}", text(log, "address"), log["topics"]));
        table.line("", text(log, "data"));
    }
    print(table)?;
    Ok(())
}

pub(crate) async fn block(args: BlockArgs) -> Result<()> {
    let client = args.node.client()?;
    let found: Option<Value> = match args.block.parse::<B256>() {
        Ok(hash) => client.request("eth_getBlockByHash", vec![json!(hash), json!(false)]).await?,
        Err(_) => {
            let tag = match args.block.parse::<u64>() {
                Ok(number) => json!(format!("{number:#x}")),
                Err(_) => json!(args.block),
            };
            client.request("eth_getBlockByNumber", vec![tag, json!(false)]).await?
        }
    };
    let Some(block) = found else { bail!("no block {} on {}", args.block, args.node.rpc_url) };
    if args.node.json {
        say(block)?;
        return Ok(());
    }
    let mut table = Table::new();
    table.line("number", decimal(&block["number"])).line("hash", text(&block, "hash"));
    table.line("parent", text(&block, "parentHash"));
    table.line("time", decimal(&block["timestamp"]));
    table.line("proposer", text(&block, "miner"));
    table.line("transactions", block["transactions"].as_array().map_or(0, Vec::len));
    table.line("gas used", decimal(&block["gasUsed"]));
    table.line("state root", text(&block, "stateRoot"));
    print(table)?;
    Ok(())
}
