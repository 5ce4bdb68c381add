//! The chain that is measured: how it is paid, what is set up on it, and what it answers.

use crate::{
    http::Connection,
    tracker::{Final, quantity},
    workload::{Account, Call, Done, Load, Pricing, Question, Terms},
};
use alloy_primitives::{Bytes, TxHash, TxKind, U256};
use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

/// Calls in one batch of the set-up and of the check.
const QUERY_BATCH: usize = 500;
/// The longest wait for a transaction of the set-up.
const PATIENCE: Duration = Duration::from_secs(120);
/// By how much the base fee may rise during the load: thirty full blocks of Ethereum's rule (EIP-1559).
const BASE_FEE_RISE: u128 = 32;
/// Gas of a plain transfer, in units of gas.
const TRANSFER_GAS: u64 = 21_000;

/// An Ethereum JSON-RPC endpoint.
pub struct Target {
    connection: Connection,
    terms: Terms,
}

impl Target {
    /// Connects, and finds out how transactions must be priced: for nothing where the chain charges nothing, by type 0
    /// where blocks have no base fee, else by EIP-1559.
    ///
    /// # Errors
    /// Where nobody answers as an Ethereum node.
    pub async fn open(url: &str) -> Result<Self> {
        let mut connection = Connection::open(url).await?;
        let chain_id = quantity(&connection.call("eth_chainId", json!([])).await?)?;
        let block = connection.call("eth_getBlockByNumber", json!(["latest", false])).await?;
        let gas_price = wide(&connection.call("eth_gasPrice", json!([])).await?)?;
        let pricing = match &block["baseFeePerGas"] {
            Value::Null => Pricing::Legacy { gas_price },
            base_fee => {
                let base_fee = wide(base_fee)?;
                let priority_fee = gas_price.saturating_sub(base_fee);
                Pricing::Dynamic {
                    max_fee: base_fee.saturating_mul(BASE_FEE_RISE).saturating_add(priority_fee),
                    priority_fee,
                }
            }
        };
        Ok(Self { connection, terms: Terms { chain_id, pricing } })
    }

    /// What transactions must be signed for.
    #[must_use]
    pub const fn terms(&self) -> Terms {
        self.terms
    }

    /// The last block's number.
    ///
    /// # Errors
    /// Where the node does not answer.
    pub async fn height(&mut self) -> Result<u64> {
        quantity(&self.connection.call("eth_blockNumber", json!([])).await?)
    }

    /// The number of the next transaction of an account, with those that wait.
    ///
    /// # Errors
    /// Where the node does not answer.
    pub async fn nonce(&mut self, account: &Account) -> Result<u64> {
        quantity(&self.connection.call("eth_getTransactionCount", json!([account.address, "pending"])).await?)
    }

    /// What a node of Lian says about its network; nothing of other systems.
    pub async fn status(&mut self) -> Value {
        self.connection.call("lian_status", json!([])).await.unwrap_or_default()
    }

    /// Makes everything that a load of `turns` needs. `funder` pays, from `nonce` on.
    ///
    /// # Errors
    /// Where the funder owns too little, or a transaction fails.
    pub async fn set_up(&mut self, load: &Load, funder: &Account, nonce: u64, turns: usize) -> Result<()> {
        let price = self.terms.pricing.max_price();
        let coins = load.coins(turns, price)?;
        let mut calls = load.set_up()?;
        if !coins.is_zero() {
            calls.extend(load.accounts().iter().map(|account| Call {
                to: TxKind::Call(account.address),
                value: coins,
                input: Bytes::new(),
                gas_limit: TRANSFER_GAS,
            }));
        }
        let cost = |call: &Call| U256::from(call.gas_limit).checked_mul(U256::from(price))?.checked_add(call.value);
        let needed = calls.iter().try_fold(U256::ZERO, |sum, call| sum.checked_add(cost(call)?));
        let needed = needed.context("the set-up costs more than there can be")?;
        let balance = self.connection.call("eth_getBalance", json!([funder.address, "latest"])).await?;
        let balance: U256 = serde_json::from_value(balance).context("eth_getBalance gave no number")?;
        ensure!(
            balance >= needed,
            "{} owns {balance} wei, but funding {} accounts for {turns} transactions takes up to {needed}: name a richer \
             account by --private-key, or use less of --accounts, --rate or --seconds",
            funder.address,
            load.accounts().len()
        );
        self.send_all(funder, nonce, calls).await
    }

    /// Sends what an account does, and waits until all of it is final and has succeeded.
    async fn send_all(&mut self, sender: &Account, first_nonce: u64, calls: Vec<Call>) -> Result<()> {
        let signed: Vec<_> =
            (first_nonce..).zip(calls).map(|(nonce, call)| sender.sign_call(&self.terms, nonce, call)).collect();
        for chunk in signed.chunks(QUERY_BATCH) {
            let raw = chunk.iter().map(|signed| json!([signed.raw]));
            self.connection.batch("eth_sendRawTransaction", raw).await?;
            if let Some(last) = chunk.last() {
                self.wait_for(last.hash).await?;
            }
            let hashes: Vec<_> = chunk.iter().map(|signed| signed.hash).collect();
            for (hash, receipt) in hashes.iter().zip(self.receipts(&hashes).await?) {
                ensure!(receipt["status"] == "0x1", "transaction {hash} of the set-up failed");
            }
        }
        Ok(())
    }

    async fn wait_for(&mut self, hash: TxHash) -> Result<()> {
        let until = Instant::now() + PATIENCE;
        while self.connection.call("eth_getTransactionReceipt", json!([hash])).await?.is_null() {
            if Instant::now() > until {
                bail!("transaction {hash} of the set-up is not final after {} s", PATIENCE.as_secs());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    async fn receipts(&mut self, hashes: &[TxHash]) -> Result<Vec<Value>> {
        self.connection.batch("eth_getTransactionReceipt", hashes.iter().map(|hash| json!([hash]))).await
    }

    /// What became of transactions that were seen final, in the order of the chain.
    ///
    /// # Errors
    /// Where a receipt is missing or not of Ethereum's form.
    pub async fn done(&mut self, finals: &[Final]) -> Result<Vec<Done>> {
        let mut all = Vec::with_capacity(finals.len());
        for of_block in finals.chunk_by(|one, next| one.block == next.block) {
            let receipts = self.receipts_of_block(of_block).await?;
            for seen in of_block {
                let read = || done(seen.turn, receipts.get(&seen.hash).context("it is missing")?, self.terms.pricing);
                all.push(read().with_context(|| format!("the receipt of {}", seen.hash))?);
            }
        }
        Ok(all)
    }

    /// The receipts of transactions of one block. A node reads a block once for all its receipts, but again and again for one
    /// after the other; these are for systems that do not know `eth_getBlockReceipts`.
    async fn receipts_of_block(&mut self, finals: &[Final]) -> Result<HashMap<TxHash, Value>> {
        let block = finals.first().map_or(0, |seen| seen.block);
        let params = json!([format!("{block:#x}")]);
        let receipts = match self.connection.call("eth_getBlockReceipts", params).await {
            Ok(Value::Array(receipts)) => receipts,
            _ => {
                let mut receipts = Vec::with_capacity(finals.len());
                for chunk in finals.chunks(QUERY_BATCH) {
                    let hashes: Vec<_> = chunk.iter().map(|seen| seen.hash).collect();
                    receipts.extend(self.receipts(&hashes).await?);
                }
                receipts
            }
        };
        let by_hash = |receipt: Value| {
            let hash = receipt["transactionHash"].as_str().and_then(|hash| hash.parse().ok())?;
            Some((hash, receipt))
        };
        Ok(receipts.into_iter().filter_map(by_hash).collect())
    }

    /// Asks for what the check needs to know.
    ///
    /// # Errors
    /// Where the node does not answer, or refuses a question.
    pub async fn ask(&mut self, questions: &[Question]) -> Result<Vec<Bytes>> {
        let mut answers = Vec::with_capacity(questions.len());
        for chunk in questions.chunks(QUERY_BATCH) {
            // All questions of a load are of one kind.
            let method = match chunk.first() {
                Some(Question::Call(..)) => "eth_call",
                Some(Question::Balance(_)) => "eth_getBalance",
                _ => "eth_getCode",
            };
            let params = chunk.iter().map(|question| match question {
                Question::Call(to, data) => json!([{"to": to, "data": data}, "latest"]),
                Question::Balance(address) | Question::Code(address) => json!([address, "latest"]),
            });
            for answer in self.connection.batch(method, params).await? {
                answers.push(if method == "eth_getBalance" {
                    let balance: U256 = serde_json::from_value(answer).context("eth_getBalance gave no number")?;
                    balance.to_be_bytes::<32>().into()
                } else {
                    serde_json::from_value(answer).with_context(|| format!("{method} gave no bytes"))?
                });
            }
        }
        Ok(answers)
    }
}

fn done(turn: usize, receipt: &Value, pricing: Pricing) -> Result<Done> {
    let gas = quantity(&receipt["gasUsed"])?;
    // Chains from before the London fork do not repeat the price.
    let price = match &receipt["effectiveGasPrice"] {
        Value::Null => pricing.max_price(),
        price => wide(price)?,
    };
    let fee = U256::from(gas).checked_mul(U256::from(price)).context("a fee is too large")?;
    let logs = receipt["logs"].as_array().context("a receipt without logs")?;
    let events = logs.iter().map(|log| Ok(serde_json::from_value(log["data"].clone())?)).collect::<Result<_>>()?;
    Ok(Done { turn, success: receipt["status"] == "0x1", fee, events })
}

/// A quantity of up to 128 bits.
fn wide(value: &Value) -> Result<u128> {
    let text = value.as_str().and_then(|text| text.strip_prefix("0x")).context("not a quantity")?;
    Ok(u128::from_str_radix(text, 16)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receipt_tells_success_fee_and_events() {
        let mut receipt =
            json!({"status": "0x1", "gasUsed": "0x5208", "effectiveGasPrice": "0x2", "logs": [{"data": "0x0102"}]});
        let read = done(3, &receipt, Pricing::FREE).unwrap();
        let events = vec![Bytes::from_static(&[1, 2])];
        assert_eq!(read, Done { turn: 3, success: true, fee: U256::from(42_000), events });
        receipt["effectiveGasPrice"] = Value::Null;
        receipt["status"] = json!("0x0");
        let read = done(3, &receipt, Pricing::Legacy { gas_price: 3 }).unwrap();
        assert_eq!((read.success, read.fee), (false, U256::from(63_000)));
        assert!(done(3, &Value::Null, Pricing::FREE).is_err());
    }
}
