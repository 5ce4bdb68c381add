//! State tests: one transaction on a given state, and the state root and logs that must follow.

use super::{CaseResult, Mismatch, expect_equal, fork};
use crate::proposal::trie_hasher;
use crate::serial::BlockRun;
use crate::{AccountState, BlockEnvironment, Fees, MemoryState, Rules, SkipReason, StateError, StateReader};
use alloy_consensus::TxEnvelope;
use alloy_eips::eip2718::Decodable2718;
use alloy_primitives::map::AddressSet;
use alloy_primitives::{Address, B256, Bytes, Log, U256, keccak256};
use lian_crypto::Suite;
use lian_trie::{MemoryNodes, StateTrie};
use revm::context_interface::block::BlobExcessGasAndPrice;
use revm::primitives::hardfork::SpecId;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// The chain that Ethereum's tests are for.
const CHAIN_ID: u64 = 1;
/// EIP-2718's type byte of blob transactions.
const BLOB_TRANSACTION: u8 = 3;
/// The base fee where a test of London or later names none.
const BASE_FEE_DEFAULT: u64 = 10;

#[derive(Deserialize)]
struct Test {
    env: Environment,
    pre: BTreeMap<Address, Account>,
    transaction: Sender,
    post: BTreeMap<String, Vec<Post>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Environment {
    current_coinbase: Address,
    current_number: U256,
    current_timestamp: U256,
    current_gas_limit: U256,
    current_difficulty: Option<U256>,
    current_base_fee: Option<U256>,
    current_random: Option<U256>,
    current_excess_blob_gas: Option<U256>,
}

#[derive(Deserialize)]
struct Account {
    nonce: U256,
    balance: U256,
    code: Bytes,
    storage: BTreeMap<U256, U256>,
}

#[derive(Deserialize)]
struct Sender {
    sender: Option<Address>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Post {
    hash: B256,
    logs: B256,
    txbytes: Bytes,
    expect_exception: Option<String>,
}

/// The state before, whose past blocks have hashes by the convention of Ethereum's tests.
struct Before {
    state: MemoryState,
    trie: StateTrie,
    /// Accounts with storage but neither nonce nor code, over which no contract is created (EIP-7610).
    occupied: AddressSet,
}

/// Runs all cases of a state test.
pub(super) fn run(name: &str, test: Value) -> Vec<CaseResult> {
    let prepared =
        Test::deserialize(test).map_err(Mismatch::wrong).and_then(|test| Ok((Before::new(&test.pre)?, test)));
    let (before, test) = match prepared {
        Ok(prepared) => prepared,
        Err(mismatch) => return vec![CaseResult::new(name, "", 0, Err(mismatch))],
    };
    let mut results = Vec::new();
    for (fork, posts) in &test.post {
        for (index, post) in posts.iter().enumerate() {
            results.push(CaseResult::new(name, fork, index, run_case(&test, &before, fork, post)));
        }
    }
    results
}

fn run_case(test: &Test, before: &Before, fork: &str, post: &Post) -> Result<(), Mismatch> {
    let spec = fork::spec(fork)?;
    if post.txbytes.first() == Some(&BLOB_TRANSACTION) {
        return Err(Mismatch::Inapplicable("Lian has no blob transactions (type 3)".to_owned()));
    }
    let rules = Rules { spec, fees: Fees::Ethereum, ..Rules::new(Suite::Standard, CHAIN_ID) };
    let environment = test.env.block(spec)?;
    let mut run =
        BlockRun::new(&rules, &environment, before, None, before.occupied.clone()).map_err(Mismatch::wrong)?;
    let refusal = transact(&mut run, test, post)?;
    // A miner's reward of zero still touches the account, even where the transaction is refused.
    run.state_mut().touch(environment.beneficiary, spec).map_err(Mismatch::wrong)?;
    let outcome = run.finish();

    match (&post.expect_exception, refusal) {
        (None, Some(refusal)) => return Err(Mismatch::Wrong(format!("the transaction is refused: {refusal}"))),
        (Some(exception), None) => {
            return Err(Mismatch::Wrong(format!("the transaction is accepted, expected {exception}")));
        }
        _ => {}
    }
    let logs: Vec<Log> = outcome.receipts.into_iter().flat_map(|receipt| receipt.logs).collect();
    expect_equal("the hash of the logs", &post.logs, &keccak256(alloy_rlp::encode(&logs)))?;
    let updates = outcome.changes.trie_updates();
    let (after, _) = before.trie.apply(&MemoryNodes::default(), 1, &updates).map_err(Mismatch::wrong)?;
    expect_equal("the state root", &post.hash, &after.root())
}

/// Decodes, recovers and runs the transaction; gives the reason if it is refused.
fn transact(run: &mut BlockRun<'_>, test: &Test, post: &Post) -> Result<Option<String>, Mismatch> {
    let mut rest = post.txbytes.as_ref();
    let envelope = match TxEnvelope::decode_2718(&mut rest) {
        Ok(envelope) if rest.is_empty() => envelope,
        Ok(_) => return Ok(Some("bytes follow the transaction".to_owned())),
        Err(error) => return Ok(Some(error.to_string())),
    };
    let sender = match Suite::Standard.recover_signer(envelope.signature_hash(), envelope.signature()) {
        Ok(sender) => sender,
        Err(error) => return Ok(Some(error.to_string())),
    };
    if let Some(expected) = &test.transaction.sender {
        expect_equal("the sender", expected, &sender)?;
    }
    let ran: Result<(), SkipReason> = run.transact(&envelope, sender).map_err(Mismatch::wrong)?;
    Ok(ran.err().map(|reason| reason.to_string()))
}

impl Environment {
    fn block(&self, spec: SpecId) -> Result<BlockEnvironment, Mismatch> {
        let number = small("currentNumber", self.current_number)?;
        let timestamp = small("currentTimestamp", self.current_timestamp)?;
        let gas_limit = small("currentGasLimit", self.current_gas_limit)?;
        let mut environment = BlockEnvironment::new(number, timestamp, self.current_coinbase, gas_limit);
        if spec.is_enabled_in(SpecId::LONDON) {
            let base_fee = self.current_base_fee.unwrap_or(U256::from(BASE_FEE_DEFAULT));
            environment.base_fee = small("currentBaseFee", base_fee)?;
        }
        environment.difficulty = self.current_difficulty.unwrap_or_default();
        environment.prevrandao = self.current_random.unwrap_or(environment.difficulty).into();
        if let Some(excess) = self.current_excess_blob_gas {
            let excess = small("currentExcessBlobGas", excess)?;
            environment.blob_base_fee = BlobExcessGasAndPrice::new_with_spec(excess, spec).blob_gasprice;
        }
        Ok(environment)
    }
}

fn small(field: &str, value: U256) -> Result<u64, Mismatch> {
    u64::try_from(value).map_err(|_| Mismatch::Inapplicable(format!("{field} {value} has more than 64 bits")))
}

impl Before {
    fn new(accounts: &BTreeMap<Address, Account>) -> Result<Self, Mismatch> {
        let mut state = MemoryState::default();
        for (address, account) in accounts {
            let storage = account.storage.iter().map(|(slot, value)| (*slot, *value));
            state.insert(*address, small("nonce", account.nonce)?, account.balance, account.code.clone(), storage);
        }
        let empty = StateTrie::empty(trie_hasher(Suite::Standard));
        let (trie, _) =
            empty.apply(&MemoryNodes::default(), 0, &state.as_changes().trie_updates()).map_err(Mismatch::wrong)?;
        let occupied = state.accounts.iter().filter(|(_, account)| {
            account.state.nonce == 0 && !account.state.has_code() && !account.storage.is_empty()
        });
        let occupied = occupied.map(|(address, _)| *address).collect();
        Ok(Self { state, trie, occupied })
    }
}

impl StateReader for Before {
    fn account(&self, address: Address) -> Result<Option<AccountState>, StateError> {
        self.state.account(address)
    }

    fn storage(&self, address: Address, slot: U256) -> Result<U256, StateError> {
        self.state.storage(address, slot)
    }

    fn code(&self, hash: B256) -> Result<Bytes, StateError> {
        self.state.code(hash)
    }

    fn block_hash(&self, number: u64) -> Result<B256, StateError> {
        Ok(keccak256(number.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_consensus::{SignableTransaction, TxLegacy};
    use alloy_eips::eip2718::Encodable2718;
    use alloy_primitives::{Signature, TxKind, hex};
    use serde_json::json;

    fn root(state: &MemoryState) -> B256 {
        let empty = StateTrie::empty(trie_hasher(Suite::Standard));
        empty.apply(&MemoryNodes::default(), 0, &state.as_changes().trie_updates()).unwrap().0.root()
    }

    /// EIP-7610: a creation over storage fails, uses all gas and changes nothing but the creator.
    #[test]
    fn nothing_is_created_over_storage() {
        for (storage, succeeds) in [(0, true), (1, false)] {
            let signature = Signature::new(U256::from(1), U256::from(2), false);
            // The code to create writes 7 to slot 1 and returns nothing.
            let input = Bytes::from_static(&hex!("6007600155"));
            let gas_limit = 200_000;
            let creation = TxLegacy { gas_limit, gas_price: 10, to: TxKind::Create, input, ..TxLegacy::default() };
            let signed = creation.into_signed(signature);
            let sender = Suite::Standard.recover_signer(signed.signature_hash(), signed.signature()).unwrap();
            let created = sender.create(0);
            let mut after = MemoryState::default();
            // 53,000 for the creation, 2 a word and 16 a byte of its code, two pushes and a write to a cold slot.
            let used = if succeeds { 53_000 + 2 + 5 * 16 + 6 + 22_100 } else { gas_limit };
            after.insert(sender, 1, U256::from(10_000_000 - 10 * used), Bytes::new(), []);
            let slot = if succeeds { (U256::from(1), U256::from(7)) } else { (U256::ZERO, U256::from(storage)) };
            after.insert(created, u64::from(succeeds), U256::ZERO, Bytes::new(), [slot]);
            let test = json!({
                "env": {
                    "currentCoinbase": "0x00000000000000000000000000000000000000c0", "currentNumber": "0x01",
                    "currentTimestamp": "0x03e8", "currentGasLimit": "0x0f4240", "currentBaseFee": "0x0a",
                    "currentRandom": "0x00", "currentExcessBlobGas": "0x00",
                },
                "pre": {
                    sender.to_string(): {"nonce": "0x00", "balance": "0x989680", "code": "0x", "storage": {}},
                    created.to_string(): {
                        "nonce": "0x00", "balance": "0x00", "code": "0x", "storage": {"0x00": U256::from(storage)},
                    },
                },
                "transaction": {"sender": sender},
                "post": {"Cancun": [{
                    "hash": root(&after), "logs": keccak256([0xc0]),
                    "txbytes": Bytes::from(alloy_consensus::TxEnvelope::from(signed).encoded_2718()),
                }]},
            });
            let verdicts: Vec<_> = run("creation", test).into_iter().map(|result| result.verdict).collect();
            assert_eq!(verdicts, vec![super::super::Verdict::Passed], "storage {storage}");
        }
    }
}
