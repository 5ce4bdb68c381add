//! `lian cns call`: by name, with the interface that the chain has.

use super::{contract::Names, explain::explain};
use crate::{
    output::{printable, say},
    verbs::{NodeArgs, transact::in_words},
};
use alloy_primitives::{Address, Bytes, U256};
use anyhow::{Context, Result, bail};
use clap::Args;
use lian_client::{ClientError, FunctionCall};
use lian_system_contracts::interfaces::INames;
use serde_json::json;

/// Of an ABI in JSON (EIP-205); compressed ones are for programs.
const JSON: U256 = U256::ONE;

#[derive(Args, Debug)]
pub(crate) struct CallVerb {
    name: String,
    /// A function's name, or its signature where there are several of that name.
    function: String,
    /// The function's arguments.
    #[arg(allow_negative_numbers = true)]
    arguments: Vec<String>,
    /// The caller's address that the contract sees, and that a canary answers or does not.
    #[arg(long)]
    from: Option<Address>,
    #[command(flatten)]
    node: NodeArgs,
}

pub(super) async fn run(verb: CallVerb) -> Result<()> {
    let CallVerb { name, function, arguments, from, node } = verb;
    let names = Names::of(&node)?;
    let found = names.find(&name).await?;
    let caller = from.unwrap_or_default();
    let answering = names.ask(&INames::answerCall { name: name.clone(), caller }).await?;
    let abi = names.ask(&INames::abiOfCall { name: name.clone(), text: answering.text.clone() }).await?;
    if abi.contentType != JSON {
        bail!(
            "version `{}` of `{name}` was published without an ABI in JSON: `lian call {name} SIGNATURE …` calls it",
            answering.text
        );
    }
    let abi = std::str::from_utf8(&abi.abiData).context("the published ABI is no text")?;
    let call = FunctionCall::find(abi, &function, &arguments)?;
    let request = json!({"from": caller, "to": found.aliasAddress, "input": call.data()});
    let output: Result<Bytes, ClientError> = node.client()?.request("eth_call", vec![request, json!("latest")]).await;
    let output = output.map_err(|error| in_words(error.into(), explain))?;
    if node.json {
        say(json!(output))?;
        return Ok(());
    }
    call.decode_output(&output)?.iter().try_for_each(|value| say(printable(value)))?;
    Ok(())
}
