//! `lian asset`: the native asset ledger, the contract at 0x2009.

mod amount;
mod batch;
mod explain;
mod ledger;
mod statement;

use super::{NodeArgs, decimal, event, status::columns, text, transact::ChangeArgs};
use crate::output::{print, say};
use alloy_primitives::{Address, B256, U256};
use alloy_sol_types::SolCall;
use amount::{Unit, format_reference, parse_amount, parse_any_amount, parse_reference};
use anyhow::{Context, Result, anyhow};
use clap::{Args, Subcommand};
use explain::explain;
use ledger::Ledger;
use lian_client::Table;
use lian_system_contracts::{
    assets::{ADDRESS, LIST_MAX},
    interfaces::IAssets::{self, Asset, IAssetsEvents},
};
use serde_json::{Value, json};
use std::{fs, path::PathBuf};

/// More events than these are shown by their number.
const SHOWN_EVENTS_MAX: usize = 5;

/// Make, issue, pay, freeze and list assets, and show statements. ASSET is a number or a symbol.
#[derive(Subcommand, Debug)]
pub(crate) enum AssetVerb {
    /// Make an asset. The sender becomes its issuer.
    Create {
        /// 1 to 12 letters, digits, `.`, `-` and `_`, unique on the chain.
        symbol: String,
        /// 1 to 64 bytes.
        name: String,
        /// Digits behind the point, 0 to 36.
        #[arg(long, default_value_t = 2)]
        decimals: u8,
        #[command(flatten)]
        send: ChangeArgs,
    },
    /// Make a new amount of an asset, for an account. The issuer only.
    Issue {
        asset: String,
        /// Who gets it.
        to: Address,
        /// As `12.50`.
        amount: String,
        #[command(flatten)]
        what_for: ReferenceArgs,
        #[command(flatten)]
        send: ChangeArgs,
    },
    /// Destroy some of what the issuer holds itself.
    Redeem {
        asset: String,
        /// As `12.50`.
        amount: String,
        #[command(flatten)]
        what_for: ReferenceArgs,
        #[command(flatten)]
        send: ChangeArgs,
    },
    /// Pay an account.
    Transfer {
        asset: String,
        /// Who gets it.
        to: Address,
        /// As `12.50`.
        amount: String,
        #[command(flatten)]
        what_for: ReferenceArgs,
        #[command(flatten)]
        send: ChangeArgs,
    },
    /// Make the payments of a file, all or none, in one transaction: at most 1,000.
    Batch {
        asset: String,
        /// Lines `to,amount,reference`; nothing is sent if one of them is wrong.
        file: PathBuf,
        #[command(flatten)]
        send: ChangeArgs,
    },
    /// Keep an amount of an account's balance from being paid out. The issuer only.
    Freeze {
        asset: String,
        // Named otherwise than the sender's `--account`.
        #[arg(value_name = "ACCOUNT")]
        holder: Address,
        /// As `12.50`, in place of what was frozen before; `all`, or 0 to free it.
        amount: String,
        #[command(flatten)]
        send: ChangeArgs,
    },
    /// Stop all payments, issues and redemptions of an asset. The issuer only.
    FreezeAsset {
        asset: String,
        /// Allow them again.
        #[arg(long)]
        release: bool,
        #[command(flatten)]
        send: ChangeArgs,
    },
    /// Hand an asset to another issuer. The issuer only.
    SetIssuer {
        asset: String,
        /// Who issues it from then on.
        issuer: Address,
        #[command(flatten)]
        send: ChangeArgs,
    },
    /// Show an asset.
    Show {
        asset: String,
        #[command(flatten)]
        node: NodeArgs,
    },
    /// Show all assets.
    List(NodeArgs),
    /// Show what an account has of an asset, and what is frozen of it.
    Balance {
        asset: String,
        #[arg(value_name = "ACCOUNT")]
        holder: Address,
        #[command(flatten)]
        node: NodeArgs,
    },
    /// Show everything that went into and out of an account, and check that it adds up.
    Statement(statement::StatementVerb),
}

/// What a payment is for.
#[derive(Args, Clone, Debug)]
pub(crate) struct ReferenceArgs {
    /// What it is for: text of at most 32 bytes, or 0x and 64 hexadecimal digits.
    #[arg(long, default_value = "", value_parser = parse_reference)]
    reference: B256,
}

/// Runs a verb.
///
/// # Errors
/// Why the ledger or the node refused; nothing was changed then.
pub(crate) async fn run(verb: AssetVerb) -> Result<()> {
    match verb {
        AssetVerb::Create { symbol, name, decimals, send } => {
            Ledger::of(&send.node)?.check().await?;
            change(&send, &IAssets::createCall { symbol, name, decimals }, None).await
        }
        AssetVerb::Issue { asset, to, amount, what_for, send } => {
            let (id, unit) = find(&send.node, &asset).await?;
            let (amount, reference) = (parse_amount(&amount, unit.decimals).map_err(refusal)?, what_for.reference);
            change(&send, &IAssets::issueCall { id, to, amount, referenceId: reference }, Some(&unit)).await
        }
        AssetVerb::Redeem { asset, amount, what_for, send } => {
            let (id, unit) = find(&send.node, &asset).await?;
            let (amount, reference) = (parse_amount(&amount, unit.decimals).map_err(refusal)?, what_for.reference);
            change(&send, &IAssets::redeemCall { id, amount, referenceId: reference }, Some(&unit)).await
        }
        AssetVerb::Transfer { asset, to, amount, what_for, send } => {
            let (id, unit) = find(&send.node, &asset).await?;
            let (amount, reference) = (parse_amount(&amount, unit.decimals).map_err(refusal)?, what_for.reference);
            change(&send, &IAssets::transferCall { id, to, amount, referenceId: reference }, Some(&unit)).await
        }
        AssetVerb::Batch { asset, file, send } => {
            let (id, unit) = find(&send.node, &asset).await?;
            let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
            let payments = batch::parse(&text, unit.decimals);
            let payments = payments.map_err(|reason| anyhow!("{}: {reason}; nothing was sent", file.display()))?;
            change(&send, &IAssets::batchTransferCall { id, payments }, Some(&unit)).await
        }
        AssetVerb::Freeze { asset, holder, amount, send } => {
            let (id, unit) = find(&send.node, &asset).await?;
            let all = amount == "all";
            let amount = if all { Ok(U256::MAX) } else { parse_any_amount(&amount, unit.decimals) }.map_err(refusal)?;
            change(&send, &IAssets::setFrozenCall { id, account: holder, amount }, Some(&unit)).await
        }
        AssetVerb::FreezeAsset { asset, release, send } => {
            let (id, unit) = find(&send.node, &asset).await?;
            change(&send, &IAssets::freezeAssetCall { id, frozen: !release }, Some(&unit)).await
        }
        AssetVerb::SetIssuer { asset, issuer, send } => {
            let (id, unit) = find(&send.node, &asset).await?;
            change(&send, &IAssets::setIssuerCall { id, newIssuer: issuer }, Some(&unit)).await
        }
        AssetVerb::Show { asset, node } => show(&node, &asset).await,
        AssetVerb::List(node) => list(&node).await,
        AssetVerb::Balance { asset, holder, node } => balance(&node, &asset, holder).await,
        AssetVerb::Statement(verb) => statement::run(&verb).await,
    }
}

fn refusal(reason: String) -> anyhow::Error {
    anyhow!("{reason}")
}

/// The number and unit of an asset.
async fn find(node: &NodeArgs, asset: &str) -> Result<(U256, Unit)> {
    let found = Ledger::of(node)?.find(asset).await?;
    Ok((found.id, unit_of(&found)))
}

fn unit_of(asset: &Asset) -> Unit {
    Unit { symbol: asset.symbol.clone(), decimals: asset.decimals }
}

async fn change(args: &ChangeArgs, call: &impl SolCall, unit: Option<&Unit>) -> Result<()> {
    let receipt = args.send(ADDRESS, call.abi_encode(), |data| explain(data, unit)).await?;
    if args.node.json {
        say(&receipt)?;
    } else {
        print(summary(&receipt, unit))?;
    }
    Ok(())
}

/// Where the change is, and what it was.
fn summary(receipt: &Value, unit: Option<&Unit>) -> Table {
    let mut table = Table::new();
    table.line("transaction", text(receipt, "transactionHash")).line("block", decimal(&receipt["blockNumber"]));
    let logs: Vec<_> = receipt["logs"].as_array().into_iter().flatten().filter_map(|log| event(log, ADDRESS)).collect();
    if logs.len() > SHOWN_EVENTS_MAX {
        table.line("payments", logs.len());
        return table;
    }
    let show = |amount: U256| unit.map_or_else(|| amount.to_string(), |unit| unit.show(amount));
    let paid = |amount: U256, reference: B256| match format_reference(reference).as_str() {
        "-" => show(amount),
        reference => format!("{} for {reference}", show(amount)),
    };
    for log in logs {
        use IAssetsEvents as E;
        match log {
            E::AssetCreated(made) => {
                table.line("asset", made.asset).line("symbol", made.symbol).line("issuer", made.issuer)
            }
            E::Issued(made) => table.line("issued", paid(made.amount, made.referenceId)).line("to", made.to),
            E::Redeemed(gone) => table.line("redeemed", paid(gone.amount, gone.referenceId)),
            E::Transferred(one) => table.line("paid", paid(one.amount, one.referenceId)).line("to", one.to),
            E::Frozen(set) => {
                let amount = if set.amount == U256::MAX { "all".to_owned() } else { show(set.amount) };
                table.line("frozen", amount).line("of", set.account)
            }
            E::AssetFrozen(set) => table.line("asset is frozen", if set.frozen { "yes" } else { "no" }),
            E::IssuerChanged(set) => table.line("issuer", set.to),
        };
    }
    table
}

async fn show(node: &NodeArgs, asset: &str) -> Result<()> {
    let found = Ledger::of(node)?.find(asset).await?;
    if node.json {
        say(to_json(&found))?;
        return Ok(());
    }
    let unit = unit_of(&found);
    let mut table = Table::new();
    table.line("asset", found.id).line("symbol", &found.symbol).line("name", &found.name);
    table.line("decimals", found.decimals).line("issuer", found.issuer);
    table.line("issued", unit.show(found.issued)).line("redeemed", unit.show(found.redeemed));
    table.line("supply", unit.show(found.issued.saturating_sub(found.redeemed)));
    table.line("frozen", if found.frozen { "yes" } else { "no" });
    print(table)?;
    Ok(())
}

fn to_json(asset: &Asset) -> Value {
    let Asset { id, symbol, name, decimals, issuer, issued, redeemed, frozen } = asset;
    json!({
        "asset": id.to_string(), "symbol": symbol, "name": name, "decimals": decimals, "issuer": issuer,
        "issued": issued.to_string(), "redeemed": redeemed.to_string(),
        "supply": issued.saturating_sub(*redeemed).to_string(), "frozen": frozen,
    })
}

async fn list(node: &NodeArgs) -> Result<()> {
    let ledger = Ledger::of(node)?;
    let mut all: Vec<Asset> = Vec::new();
    loop {
        let from = all.last().map_or(U256::ONE, |last| last.id.saturating_add(U256::ONE));
        let page = ledger.ask(&IAssets::listCall { from, limit: U256::from(LIST_MAX) }).await?;
        let is_last = page.len() < LIST_MAX;
        all.extend(page);
        if is_last {
            break;
        }
    }
    if node.json {
        say(json!(all.iter().map(to_json).collect::<Vec<_>>()))?;
        return Ok(());
    }
    let mut rows = vec![["asset", "symbol", "name", "supply", "frozen", "issuer"].map(str::to_owned).to_vec()];
    for asset in all {
        let supply = unit_of(&asset).show(asset.issued.saturating_sub(asset.redeemed));
        let frozen = if asset.frozen { "yes" } else { "no" }.to_owned();
        rows.push(vec![asset.id.to_string(), asset.symbol, asset.name, supply, frozen, asset.issuer.to_string()]);
    }
    print(columns(&rows))?;
    Ok(())
}

async fn balance(node: &NodeArgs, asset: &str, account: Address) -> Result<()> {
    let ledger = Ledger::of(node)?;
    let found = ledger.find(asset).await?;
    let (id, unit) = (found.id, unit_of(&found));
    let balance = ledger.ask(&IAssets::balanceOfCall { id, account }).await?;
    let available = ledger.ask(&IAssets::availableOfCall { id, account }).await?;
    let frozen = ledger.ask(&IAssets::frozenOfCall { id, account }).await?;
    if node.json {
        let [balance, available, frozen] = [balance, available, frozen].map(|amount| amount.to_string());
        say(json!({
            "asset": id.to_string(), "symbol": unit.symbol, "decimals": unit.decimals, "account": account,
            "balance": balance, "available": available, "frozen": frozen,
        }))?;
        return Ok(());
    }
    let mut table = Table::new();
    table.line("account", account).line("balance", unit.show(balance)).line("available", unit.show(available));
    table.line("frozen", if frozen == U256::MAX { "all".to_owned() } else { unit.show(frozen) });
    print(table)?;
    Ok(())
}
