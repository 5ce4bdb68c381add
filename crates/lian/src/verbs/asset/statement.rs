//! Statements: the balance before, everything that came and went, and the balance after, which must add up.

use super::{
    ADDRESS,
    amount::{Unit, format_amount, format_reference},
    ledger::Ledger,
    unit_of,
};
use crate::{
    output::{print, say, utc},
    verbs::{NodeArgs, event, status::columns, text},
};
use alloy_primitives::{Address, B256, U64, U256};
use alloy_sol_types::SolEvent;
use anyhow::{Context, Result, bail};
use clap::Args;
use lian_system_contracts::interfaces::IAssets::{self, IAssetsEvents};
use serde_json::{Value, json};

#[derive(Args, Debug)]
pub(crate) struct StatementVerb {
    asset: String,
    #[arg(value_name = "ACCOUNT")]
    holder: Address,
    /// The first block.
    #[arg(long, default_value_t = 0)]
    from_block: u64,
    /// The last block; that of the chain where absent.
    #[arg(long)]
    to_block: Option<u64>,
    #[command(flatten)]
    node: NodeArgs,
}

/// What an entry does to the account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flow {
    In,
    Out,
    /// It paid itself.
    Own,
}

/// Something that happened to an account.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    block: u64,
    log_index: u64,
    /// Seconds since 1970.
    time: u64,
    transaction: String,
    /// The other account, or what else it was.
    counterparty: String,
    flow: Flow,
    amount: U256,
    reference: B256,
}

/// Everything between two balances.
#[derive(Debug)]
struct Statement {
    account: Address,
    unit: Unit,
    blocks: (u64, u64),
    opening: U256,
    /// In order, each with the balance after it.
    entries: Vec<(Entry, U256)>,
    closing: U256,
}

/// Runs the verb.
///
/// # Errors
/// What the node refused, such as a state that it no longer has; and entries that do not add up.
pub(super) async fn run(verb: &StatementVerb) -> Result<()> {
    let ledger = Ledger::of(&verb.node)?;
    let asset = ledger.find(&verb.asset).await?;
    let height = ledger.height().await?;
    let (from, to) = (verb.from_block, verb.to_block.unwrap_or(height));
    if from > to || to > height {
        bail!("the blocks {from} to {to} are not all there: the chain has blocks 0 to {height}");
    }
    let account = verb.holder;
    let opening = match from.checked_sub(1) {
        Some(before) => ledger.balance_after(asset.id, account, before).await?,
        // Nobody has anything at the beginning.
        None => U256::ZERO,
    };
    let closing = ledger.balance_after(asset.id, account, to).await?;
    let entries = entries(&ledger, asset.id, account, from, to).await?;
    let entries = add_up(opening, entries, closing)?;
    let statement = Statement { account, unit: unit_of(&asset), blocks: (from, to), opening, entries, closing };
    if verb.node.json {
        say(statement.to_json(asset.id))?;
    } else {
        print(statement.show())?;
    }
    Ok(())
}

/// Everything that happened to an account in some blocks, in order.
async fn entries(ledger: &Ledger, asset: U256, account: Address, from: u64, to: u64) -> Result<Vec<Entry>> {
    let (asset, holder) = (json!(B256::from(asset)), json!(account.into_word()));
    let any_of =
        [IAssets::Transferred::SIGNATURE_HASH, IAssets::Issued::SIGNATURE_HASH, IAssets::Redeemed::SIGNATURE_HASH];
    // The payer, the receiver of an issue and the issuer of a redemption stand in the same place.
    let first = [json!(any_of), asset.clone(), holder.clone()];
    let received = [json!(IAssets::Transferred::SIGNATURE_HASH), asset, Value::Null, holder];
    let mut logs = ledger.events(&first, from, to).await?;
    logs.extend(ledger.events(&received, from, to).await?);
    let mut entries = logs.iter().map(|log| entry(log, account)).collect::<Result<Vec<_>>>()?;
    entries.sort_by_key(|entry| (entry.block, entry.log_index));
    // What it paid to itself was found twice.
    entries.dedup_by_key(|entry| (entry.block, entry.log_index));
    Ok(entries)
}

fn entry(log: &Value, account: Address) -> Result<Entry> {
    let number = |field: &str| -> Result<u64> {
        let value = log[field].as_str().and_then(|text| text.parse::<U64>().ok());
        Ok(value.with_context(|| format!("an event without {field}: {log}"))?.to())
    };
    let named = |address: Address| address.to_string();
    let (counterparty, flow, amount, reference) = match event(log, ADDRESS) {
        Some(IAssetsEvents::Issued(made)) => ("issued".to_owned(), Flow::In, made.amount, made.referenceId),
        Some(IAssetsEvents::Redeemed(gone)) => ("redeemed".to_owned(), Flow::Out, gone.amount, gone.referenceId),
        Some(IAssetsEvents::Transferred(IAssets::Transferred { from, to, amount, referenceId, .. })) => {
            let (other, flow) = match (from == account, to == account) {
                (true, true) => (to, Flow::Own),
                (true, false) => (to, Flow::Out),
                _ => (from, Flow::In),
            };
            (named(other), flow, amount, referenceId)
        }
        _ => bail!("an event that was not asked for: {log}"),
    };
    Ok(Entry {
        block: number("blockNumber")?,
        log_index: number("logIndex")?,
        time: number("blockTimestamp")?,
        transaction: text(log, "transactionHash"),
        counterparty,
        flow,
        amount,
        reference,
    })
}

/// Puts the balance after each entry to it; the last one must be the closing balance.
fn add_up(opening: U256, entries: Vec<Entry>, closing: U256) -> Result<Vec<(Entry, U256)>> {
    let mut balance = Some(opening);
    let mut with_balances = Vec::with_capacity(entries.len());
    for entry in entries {
        balance = balance.and_then(|balance| match entry.flow {
            Flow::In => balance.checked_add(entry.amount),
            Flow::Out => balance.checked_sub(entry.amount),
            Flow::Own => Some(balance),
        });
        let Some(balance) = balance else {
            bail!("the entries do not add up: that of block {} leaves less than nothing", entry.block);
        };
        with_balances.push((entry, balance));
    }
    if balance != Some(closing) {
        let sum = balance.unwrap_or_default();
        bail!(
            "the entries do not add up: {opening} before and what came and went make {sum}, and the balance is {closing}, in \
             the smallest unit; check the node by `lian verify`"
        );
    }
    Ok(with_balances)
}

impl Statement {
    fn show(&self) -> String {
        let amount = |amount: U256| format_amount(amount, self.unit.decimals);
        let (from, to) = self.blocks;
        let dash = || "-".to_owned();
        let mut rows = vec![
            ["block", "time", "counterparty", "in", "out", "balance", "reference"].map(str::to_owned).to_vec(),
            vec![from.to_string(), dash(), "opening balance".to_owned(), dash(), dash(), amount(self.opening)],
        ];
        for (entry, balance) in &self.entries {
            let (into, out) = match entry.flow {
                Flow::In => (amount(entry.amount), dash()),
                Flow::Out => (dash(), amount(entry.amount)),
                Flow::Own => (amount(entry.amount), amount(entry.amount)),
            };
            let (time, reference) = (utc(entry.time), format_reference(entry.reference));
            let counterparty = entry.counterparty.clone();
            rows.push(vec![entry.block.to_string(), time, counterparty, into, out, amount(*balance), reference]);
        }
        rows.push(vec![to.to_string(), dash(), "closing balance".to_owned(), dash(), dash(), amount(self.closing)]);
        let title = format!("{} of {}, blocks {from} to {to}", self.unit.symbol, self.account);
        format!("{title}\n{}{} entries, which add up\n", columns(&rows), self.entries.len())
    }

    fn to_json(&self, asset: U256) -> Value {
        let entry = |(entry, balance): &(Entry, U256)| {
            let flow = match entry.flow {
                Flow::In => "in",
                Flow::Out => "out",
                Flow::Own => "own",
            };
            json!({
                "block": entry.block, "time": entry.time, "transaction": entry.transaction, "log_index": entry.log_index,
                "counterparty": entry.counterparty, "flow": flow, "amount": entry.amount.to_string(),
                "reference": entry.reference, "balance": balance.to_string(),
            })
        };
        json!({
            "asset": asset.to_string(), "symbol": self.unit.symbol, "decimals": self.unit.decimals,
            "account": self.account, "from_block": self.blocks.0, "to_block": self.blocks.1,
            "opening": self.opening.to_string(), "closing": self.closing.to_string(), "adds_up": true,
            "entries": self.entries.iter().map(entry).collect::<Vec<_>>(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    fn entry(block: u64, flow: Flow, amount: u64) -> Entry {
        Entry {
            block,
            log_index: 0,
            time: 1_709_210_096 + block,
            transaction: "0x1".into(),
            counterparty: "issued".into(),
            flow,
            amount: U256::from(amount),
            reference: B256::right_padding_from(b"INV-1"),
        }
    }

    #[test]
    fn a_statement_adds_up_or_is_refused() {
        let entries = vec![entry(3, Flow::In, 1_000), entry(4, Flow::Own, 5), entry(7, Flow::Out, 250)];
        let refused = add_up(U256::from(50), entries.clone(), U256::from(801)).unwrap_err().to_string();
        assert!(
            refused.starts_with("the entries do not add up: 50 before and what came and went make 800"),
            "{refused}"
        );
        let refused = add_up(U256::ZERO, vec![entry(3, Flow::Out, 1)], U256::ZERO).unwrap_err().to_string();
        assert!(refused.contains("that of block 3 leaves less than nothing"), "{refused}");
        let statement = Statement {
            account: Address::repeat_byte(7),
            unit: Unit { symbol: "USD".into(), decimals: 2 },
            blocks: (2, 9),
            opening: U256::from(50),
            entries: add_up(U256::from(50), entries, U256::from(800)).unwrap(),
            closing: U256::from(800),
        };
        expect![[r#"
            USD of 0x0707070707070707070707070707070707070707, blocks 2 to 9
            block  time                  counterparty     in     out   balance  reference
            2      -                     opening balance  -      -     0.50
            3      2024-02-29T12:34:59Z  issued           10.00  -     10.50    INV-1
            4      2024-02-29T12:35:00Z  issued           0.05   0.05  10.50    INV-1
            7      2024-02-29T12:35:03Z  issued           -      2.50  8.00     INV-1
            9      -                     closing balance  -      -     8.00
            3 entries, which add up
        "#]]
        .assert_eq(&statement.show());
        let json = statement.to_json(U256::from(3));
        assert_eq!((&json["opening"], &json["entries"][2]["balance"]), (&json!("50"), &json!("800")));
    }
}
