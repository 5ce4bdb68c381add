//! Every transaction creates a small contract.

use super::{Call, Done, Load, Question, token::creation_code};
use alloy_primitives::{Bytes, TxKind, U256, hex};
use anyhow::{Context, Result, ensure};
use std::sync::LazyLock;

/// The contract that `contracts/` compiles.
const ARTIFACT: &str = include_str!("../../../../contracts/artifacts/HelloWorld.json");
/// Gas for its creation, in units of gas: 420,000, with room.
const GAS: u64 = 500_000;

/// Its creation code, decoded once.
static CREATION: LazyLock<Result<Bytes, String>> =
    LazyLock::new(|| creation_code(ARTIFACT).map(Bytes::from).map_err(|error| error.to_string()));

pub(super) fn call() -> Result<Call> {
    let input = CREATION.clone().map_err(anyhow::Error::msg)?;
    Ok(Call { to: TxKind::Create, value: U256::ZERO, input, gas_limit: GAS })
}

/// The code of every contract that a final transaction has created.
pub(super) fn questions(load: &Load, done: &[Done]) -> Vec<Question> {
    let created = |done: &Done| load.address(load.sender(done.turn)).create(load.nonce(done.turn));
    done.iter().filter(|done| done.success).map(|done| Question::Code(created(done))).collect()
}

pub(super) fn check(codes: &[Bytes], done: &[Done]) -> Result<()> {
    let artifact: serde_json::Value = serde_json::from_str(ARTIFACT)?;
    let code = artifact["deployedBytecode"].as_str().context("HelloWorld.json has no deployedBytecode")?;
    let expected = hex::decode(code)?;
    let created = done.iter().filter(|done| done.success);
    ensure!(created.clone().count() == codes.len(), "{} codes were answered", codes.len());
    for (done, code) in created.zip(codes) {
        ensure!(
            **code == *expected,
            "the contract of turn {} has {} bytes of code, not the {} that it was created with",
            done.turn,
            code.len(),
            expected.len()
        );
    }
    Ok(())
}
