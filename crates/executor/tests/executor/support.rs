//! A small chain in memory that runs transactions block by block.

use alloy_consensus::{SignableTransaction, Signed, TxEip1559, TxEnvelope};
use alloy_primitives::{Address, Bytes, Signature, TxKind, U256, address, hex};
use alloy_sol_types::SolValue;
use lian_crypto::{Suite, VerifiedTransaction};
use lian_executor::{BlockEnvironment, MemoryState, Outcome, Rules, execute_transactions};
use lian_types::{Receipt, Transaction};
use std::collections::BTreeMap;
use std::sync::Arc;

pub(crate) const CHAIN_ID: u64 = 20_200;
pub(crate) const ALICE: Address = address!("a11ce00000000000000000000000000000000000");
pub(crate) const BOB: Address = address!("b0b0000000000000000000000000000000000000");
pub(crate) const CAROL: Address = address!("ca40100000000000000000000000000000000000");
/// The proposer of every block.
pub(crate) const PROPOSER: Address = address!("9409000000000000000000000000000000000000");
pub(crate) const GAS_LIMIT: u64 = 1_000_000_000;

pub(crate) const fn rules() -> Rules {
    Rules::new(Suite::Standard, CHAIN_ID).with_system_contracts()
}

/// A transaction of type 2 with room for anything, to be changed with struct update syntax.
pub(crate) fn transaction(to: Option<Address>, input: impl Into<Bytes>) -> TxEip1559 {
    TxEip1559 {
        chain_id: CHAIN_ID,
        gas_limit: 5_000_000,
        to: to.map_or(TxKind::Create, TxKind::Call),
        input: input.into(),
        ..TxEip1559::default()
    }
}

/// What the signature of a transaction is does not matter here: its sender is given.
pub(crate) fn signed<T>(transaction: T) -> TxEnvelope
where
    T: SignableTransaction<Signature>,
    TxEnvelope: From<Signed<T>>,
{
    transaction.into_signed(Signature::new(U256::from(1), U256::from(2), false)).into()
}

pub(crate) fn sent<T>(sender: Address, transaction: T) -> Arc<VerifiedTransaction>
where
    T: SignableTransaction<Signature>,
    TxEnvelope: From<Signed<T>>,
{
    let transaction = Transaction::from_envelope(&signed(transaction)).unwrap();
    Arc::new(VerifiedTransaction::assume(Arc::new(transaction), sender))
}

/// The creation code of one of the example contracts.
pub(crate) fn artifact(name: &str) -> Vec<u8> {
    let path = format!("{}/../../contracts/artifacts/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let artifact: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    hex::decode(artifact["bytecode"].as_str().unwrap()).unwrap()
}

/// Creation code with constructor arguments behind it.
pub(crate) fn creation(name: &str, arguments: &[u8]) -> Bytes {
    let mut code = artifact(name);
    code.extend_from_slice(arguments);
    code.into()
}

/// A chain whose blocks have one transaction each, sent with the right nonce.
#[derive(Default)]
pub(crate) struct Chain {
    pub(crate) state: MemoryState,
    pub(crate) number: u64,
}

impl Chain {
    pub(crate) fn environment(&self) -> BlockEnvironment {
        BlockEnvironment::new(self.number, 1_700_000_000 + self.number, PROPOSER, GAS_LIMIT)
    }

    pub(crate) fn nonce(&self, address: Address) -> u64 {
        self.state.accounts.get(&address).map_or(0, |account| account.state.nonce)
    }

    pub(crate) fn balance(&self, address: Address) -> U256 {
        self.state.accounts.get(&address).map_or(U256::ZERO, |account| account.state.balance)
    }

    pub(crate) fn give(&mut self, address: Address, balance: u64) {
        self.state.insert(address, 0, U256::from(balance), Bytes::new(), BTreeMap::new());
    }

    /// Runs transactions as a block and keeps what they changed.
    pub(crate) fn block(&mut self, transactions: &[Arc<VerifiedTransaction>]) -> Outcome {
        self.number += 1;
        let outcome = execute_transactions(&rules(), &self.environment(), &self.state, transactions).unwrap();
        self.state.apply(&outcome.changes);
        outcome
    }

    /// Runs one valid transaction.
    pub(crate) fn send(&mut self, from: Address, to: Option<Address>, input: impl Into<Bytes>) -> Receipt {
        let nonce = self.nonce(from);
        let outcome = self.block(&[sent(from, TxEip1559 { nonce, ..transaction(to, input) })]);
        assert_eq!(outcome.skipped, vec![]);
        outcome.receipts.into_iter().next().unwrap()
    }

    /// Creates a contract.
    pub(crate) fn deploy(&mut self, from: Address, code: impl Into<Bytes>) -> Address {
        let address = from.create(self.nonce(from));
        let receipt = self.send(from, None, code);
        assert!(receipt.success, "{receipt:?}");
        address
    }

    pub(crate) fn deploy_token(&mut self, from: Address) -> Address {
        let arguments = ("Lian", "LIAN", U256::from(1_000_000)).abi_encode_params();
        self.deploy(from, creation("LianToken", &arguments))
    }
}
