//! `lian send`, `lian call`, `lian deploy`.

use super::{NodeArgs, callee::Callee, cns::DeployNameArgs, query::print_receipt};
use crate::output::{printable, say};
use alloy_primitives::{
    Address, Bytes, TxKind, U256, hex,
    utils::{ParseUnits, Unit},
};
use anyhow::{Context, Result, anyhow, bail};
use clap::Args;
use lian_client::{
    AccountStore, Artifact, ClientError, FunctionCall, RpcClient, SendRequest, Sender, encode_constructor,
};
use serde_json::{Value, json};
use std::{path::PathBuf, time::Duration};

/// Who signs.
#[derive(Args, Clone, Debug)]
#[group(required = true, multiple = false)]
pub(crate) struct KeyArgs {
    /// The sender's private key, 0x and 64 hexadecimal digits.
    #[arg(long, env = "LIAN_PRIVATE_KEY", hide_env_values = true)]
    private_key: Option<String>,
    /// A stored account (`lian account list`); LIAN_ACCOUNT_PASSPHRASE has its passphrase.
    #[arg(long)]
    account: Option<Address>,
}

impl KeyArgs {
    fn private_key(&self) -> Result<String> {
        if let Some(key) = &self.private_key {
            return Ok(key.clone());
        }
        let Some(address) = self.account else { bail!("give --private-key or --account") };
        let passphrase = super::account::passphrase()?;
        Ok(AccountStore::at(super::account::default_folder()?).open(address, &passphrase)?)
    }
}

/// How to send.
#[derive(Args, Clone, Debug)]
pub(crate) struct SendArgs {
    #[command(flatten)]
    key: KeyArgs,
    /// Wei to transfer; with a unit as in `1.5ether` or `10gwei`.
    #[arg(long, default_value = "0", value_parser = parse_value)]
    value: U256,
    /// The most gas the transaction may use; estimated where absent.
    #[arg(long)]
    gas_limit: Option<u64>,
    /// The transaction's nonce; the account's next one where absent.
    #[arg(long)]
    nonce: Option<u64>,
    /// How many seconds to wait until it is final.
    #[arg(long, default_value_t = 60)]
    timeout: u64,
    #[command(flatten)]
    node: NodeArgs,
}

/// Who changes something by a system contract, and how.
#[derive(Args, Clone, Debug)]
pub(crate) struct ChangeArgs {
    #[command(flatten)]
    key: KeyArgs,
    /// How many seconds to wait until it is final.
    #[arg(long, default_value_t = 60)]
    timeout: u64,
    #[command(flatten)]
    pub(super) node: NodeArgs,
}

impl ChangeArgs {
    /// Calls a system contract, with the gas that it needs and the next nonce; gives the receipt of what is final and did
    /// not fail. `explain` knows the contract's refusals in words.
    pub(super) async fn send(
        &self,
        contract: Address,
        input: Vec<u8>,
        explain: impl Fn(&[u8]) -> Option<String>,
    ) -> Result<Value> {
        self.send_raw(contract, input).await.map_err(|error| in_words(error, explain))
    }

    /// The same, with refusals as they come.
    pub(super) async fn send_raw(&self, contract: Address, input: Vec<u8>) -> Result<Value> {
        let Self { key, timeout, node } = self.clone();
        let send = SendArgs { key, value: U256::ZERO, gas_limit: None, nonce: None, timeout, node };
        let receipt = transact(&send, TxKind::Call(contract), input.into()).await?;
        if receipt["status"] != "0x1" && self.node.json {
            say(&receipt)?;
        }
        check_success(&send, &receipt)?;
        Ok(receipt)
    }
}

/// What a refused call reverted with.
pub(super) fn revert_data(error: &anyhow::Error) -> Option<Vec<u8>> {
    match error.downcast_ref::<ClientError>() {
        Some(ClientError::Refused { data: Some(data), .. }) => hex::decode(data).ok(),
        _ => None,
    }
}

/// A contract's refusal in words, where it is one.
pub(super) fn in_words(error: anyhow::Error, explain: impl Fn(&[u8]) -> Option<String>) -> anyhow::Error {
    match revert_data(&error).and_then(|data| explain(&data)) {
        Some(words) => anyhow!("{words}"),
        None => error,
    }
}

/// That a call is not allowed, in words; any other error as it is.
fn in_words_of_permissions(error: anyhow::Error) -> anyhow::Error {
    in_words(error, super::gov::explain::denial)
}

#[derive(Args, Debug)]
pub(crate) struct SendVerb {
    /// The callee's address, or its name.
    to: Callee,
    /// A function's signature, such as `transfer(address,uint256)`, or call data in hexadecimal.
    signature: Option<String>,
    /// The function's arguments.
    #[arg(allow_negative_numbers = true)]
    arguments: Vec<String>,
    #[command(flatten)]
    send: SendArgs,
}

#[derive(Args, Debug)]
pub(crate) struct CallVerb {
    /// The callee's address, or its name.
    to: Callee,
    /// A function's signature, such as `balanceOf(address)(uint256)`, or call data in hexadecimal.
    signature: String,
    /// The function's arguments.
    #[arg(allow_negative_numbers = true)]
    arguments: Vec<String>,
    /// The caller's address that the contract sees.
    #[arg(long)]
    from: Option<Address>,
    /// The block after which to call: a number or a tag.
    #[arg(long, default_value = "latest")]
    block: String,
    #[command(flatten)]
    node: NodeArgs,
}

#[derive(Args, Debug)]
pub(crate) struct DeployVerb {
    /// The compiled contract: JSON of solc, Hardhat or Foundry.
    artifact: PathBuf,
    /// The constructor's arguments.
    #[arg(allow_negative_numbers = true)]
    arguments: Vec<String>,
    #[command(flatten)]
    name: DeployNameArgs,
    #[command(flatten)]
    send: SendArgs,
}

pub(crate) async fn send(verb: SendVerb) -> Result<()> {
    let input = match &verb.signature {
        None => Bytes::new(),
        Some(signature) => call_data(signature, &verb.arguments)?.0,
    };
    let to = verb.to.address(&verb.send.node).await?;
    let receipt = transact(&verb.send, TxKind::Call(to), input).await.map_err(in_words_of_permissions)?;
    print_receipt(&receipt, verb.send.node.json)?;
    check_success(&verb.send, &receipt)
}

pub(crate) async fn deploy(verb: DeployVerb) -> Result<()> {
    let artifact = Artifact::read(&verb.artifact)?;
    let arguments = encode_constructor(artifact.abi.constructor.as_ref(), &verb.arguments)?;
    let code: Vec<u8> = artifact.bytecode.iter().chain(arguments.iter()).copied().collect();
    let name = verb.name.given();
    if let Some(name) = &name {
        name.check(&verb.send.node).await?;
    }
    let receipt = transact(&verb.send, TxKind::Create, code.into()).await.map_err(in_words_of_permissions)?;
    print_receipt(&receipt, verb.send.node.json)?;
    check_success(&verb.send, &receipt)?;
    let Some(name) = name else { return Ok(()) };
    let address = super::text(&receipt, "contractAddress").parse().context("the receipt names no contract")?;
    let SendArgs { key, timeout, node, .. } = verb.send;
    name.publish(&ChangeArgs { key, timeout, node }, address, serde_json::to_value(&artifact.abi)?).await
}

pub(crate) async fn call(verb: CallVerb) -> Result<()> {
    let client = verb.node.client()?;
    let (data, function) = call_data(&verb.signature, &verb.arguments)?;
    let mut request = json!({"to": verb.to.address(&verb.node).await?, "input": data});
    if let (Some(from), Some(fields)) = (verb.from, request.as_object_mut()) {
        fields.insert("from".to_owned(), json!(from));
    }
    let block = match verb.block.parse::<u64>() {
        Ok(number) => json!(format!("{number:#x}")),
        Err(_) => json!(verb.block),
    };
    let output: Result<Bytes, _> = client.request("eth_call", vec![request, block]).await;
    let output = output.map_err(|error| in_words_of_permissions(error.into()))?;
    if verb.node.json {
        say(json!(output))?;
        return Ok(());
    }
    match function {
        Some(function) => function.decode_output(&output)?.iter().try_for_each(|value| say(printable(value)))?,
        None => say(output)?,
    }
    Ok(())
}

/// The bytes of a call: from a signature and arguments, or given in hexadecimal.
pub(super) fn call_data(signature: &str, arguments: &[String]) -> Result<(Bytes, Option<FunctionCall>)> {
    if signature.starts_with("0x") {
        if !arguments.is_empty() {
            bail!("call data `{signature}` takes no arguments, {} given", arguments.len());
        }
        let data = signature.parse().with_context(|| format!("`{signature}` is not hexadecimal call data"))?;
        return Ok((data, None));
    }
    let call = FunctionCall::parse(signature, arguments)?;
    Ok((call.data().clone(), Some(call)))
}

async fn transact(args: &SendArgs, to: TxKind, input: Bytes) -> Result<Value> {
    let client: RpcClient = args.node.client()?;
    let sender = Sender::new(&client, &args.key.private_key()?)?;
    let request = SendRequest { to, value: args.value, input, gas_limit: args.gas_limit, nonce: args.nonce };
    let hash = sender.send(&request).await?;
    Ok(sender.wait(hash, Duration::from_secs(args.timeout)).await?)
}

fn check_success(args: &SendArgs, receipt: &Value) -> Result<()> {
    if receipt["status"] == "0x1" {
        return Ok(());
    }
    let hash = super::text(receipt, "transactionHash");
    bail!("transaction {hash} failed; `lian tx {hash} --rpc-url {}` shows it", args.node.rpc_url)
}

/// Wei, or a decimal number with a unit: `wei`, `gwei`, `ether`.
pub(crate) fn parse_value(text: &str) -> Result<U256, String> {
    let split = text.find(|c: char| c.is_ascii_alphabetic()).filter(|_| !text.starts_with("0x"));
    let (digits, unit) = text.split_at(split.unwrap_or(text.len()));
    let refuse = |reason: String| format!("`{text}` is not an amount: {reason}");
    if digits.starts_with("0x") {
        return digits.parse().map_err(|error| refuse(format!("{error}")));
    }
    let unit: Unit = if unit.is_empty() { "wei" } else { unit }.parse().map_err(|error| refuse(format!("{error}")))?;
    let digits = digits.trim();
    let fraction = digits.split_once('.').map_or("", |(_, fraction)| fraction);
    let is_number =
        digits.starts_with(|c: char| c.is_ascii_digit()) && digits.chars().all(|c| c.is_ascii_digit() || c == '.');
    if !is_number {
        return Err(refuse("not a number".to_owned()));
    }
    // The library would cut further digits off without a word.
    if fraction.len() > usize::from(unit.get()) {
        return Err(refuse(format!("more than {} digits after the point", unit.get())));
    }
    ParseUnits::parse_units(digits, unit).map(|amount| amount.get_absolute()).map_err(|error| refuse(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts() {
        for (text, wei) in [
            ("0", 0u128),
            ("15", 15),
            ("0x10", 16),
            ("10gwei", 10_000_000_000),
            ("1.5ether", 1_500_000_000_000_000_000),
        ] {
            assert_eq!(parse_value(text), Ok(U256::from(wei)), "{text}");
        }
        for text in ["-1", "1.5", "0.0000000001gwei", "ten", "1furlong", "", "ether", ".", "1.2.3ether"] {
            assert!(parse_value(text).is_err(), "{text}");
        }
    }
}
