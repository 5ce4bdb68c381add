//! The clients' accounts and the transactions that they sign. They are the same for every seed, so that each is signed
//! once in a process.

use crate::chain::{self, NODES_MAX};
use alloy_consensus::{SignableTransaction, TxEip1559, TxEnvelope};
use alloy_primitives::{Address, B256, Bytes, Signature, TxHash, TxKind, U256, address, map::B256Map};
use alloy_sol_types::SolCall;
use lian_crypto::VerifiedTransaction;
use lian_system_contracts::{
    configuration,
    interfaces::{IConfiguration, IMembers},
    members,
};
use lian_types::{GenesisAccount, Transaction, limits};
use parking_lot::Mutex;
use secp256k1::{Message, PublicKey, SECP256K1, SecretKey};
use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, LazyLock},
};

/// The chain id of every simulated group.
pub(crate) const CHAIN_ID: u64 = 20_200;
/// Accounts that send.
pub(crate) const ACCOUNTS: usize = 16;
/// The operator's account, which owns nothing and takes part in no payment.
pub(crate) const OPERATOR: usize = ACCOUNTS;
/// Gas of the operator's transactions: all nodes change their roles.
const OPERATOR_GAS: u64 = 8_000_000;
/// What each account owns at the beginning, in wei: more than it ever sends.
pub(crate) const BALANCE: u128 = 1_000_000_000_000;
/// What each account owns of the token at the beginning: few enough that some transfers fail.
pub(crate) const TOKENS: u128 = 200;
/// The token.
pub(crate) const TOKEN: Address = address!("0x7000000000000000000000000000000000000007");

/// The token's code: `transfer` with two words, whom to and how much; balances lie in the slots that accounts' addresses
/// name. It fails where the caller has too little, and logs a transfer.
const TOKEN_CODE: &[u8] = &[
    0x33, 0x54, // CALLER SLOAD: what the caller has
    0x60, 0x20, 0x35, // PUSH1 32 CALLDATALOAD: how much
    0x81, 0x81, 0x11, 0x60, 0x23, 0x57, // DUP2 DUP2 GT PUSH1 fail JUMPI
    0x90, 0x81, 0x90, 0x03, // SWAP1 DUP2 SWAP1 SUB
    0x33, 0x55, // CALLER SSTORE
    0x5f, 0x35, 0x80, 0x54, // PUSH0 CALLDATALOAD DUP1 SLOAD: what the receiver has
    0x82, 0x01, 0x90, 0x55, // DUP3 ADD SWAP1 SSTORE
    0x5f, 0x52, // PUSH0 MSTORE: how much, for the log
    0x5f, 0x35, 0x33, // PUSH0 CALLDATALOAD CALLER: its topics
    0x60, 0x20, 0x5f, 0xa2, 0x00, // PUSH1 32 PUSH0 LOG2 STOP
    0x5b, 0x5f, 0x5f, 0xfd, // fail: JUMPDEST PUSH0 PUSH0 REVERT
];

/// Names a transaction: who sends it, at which nonce, and which of several that compete for that nonce.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Name {
    pub(crate) account: usize,
    pub(crate) nonce: u64,
    pub(crate) variant: u8,
}

/// What a transaction does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Moves value.
    Pay { to: usize, amount: u128 },
    /// Moves tokens.
    Token { to: usize, amount: u128 },
    /// Makes these nodes, a bit for each, the sealers and all others observers; or, with none, changes a parameter.
    Govern { sealers: u8 },
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "account {} nonce {} variant {}", self.account, self.nonce, self.variant)
    }
}

impl Name {
    /// What it does.
    #[allow(clippy::cast_possible_truncation)] // A run has some thousands of transactions.
    pub(crate) const fn action(self) -> Action {
        if self.account == OPERATOR {
            return Action::Govern { sealers: self.variant };
        }
        let step = 1 + (self.nonce as usize + self.variant as usize) % (ACCOUNTS - 1);
        let to = (self.account + step) % ACCOUNTS;
        if (self.nonce + self.variant as u64).is_multiple_of(3) {
            Action::Token { to, amount: 1 + ((self.nonce * 37 + self.account as u64) % 120) as u128 }
        } else {
            Action::Pay { to, amount: 1 + (self.nonce + self.variant as u64) as u128 }
        }
    }
}

struct Wallet {
    keys: Vec<(SecretKey, Address)>,
    signed: Mutex<Signed>,
}

/// The transactions signed so far, by name and by hash.
#[derive(Default)]
struct Signed {
    by_name: BTreeMap<Name, Arc<VerifiedTransaction>>,
    by_hash: B256Map<Name>,
}

static WALLET: LazyLock<Wallet> = LazyLock::new(|| Wallet {
    keys: (0..=ACCOUNTS).filter_map(|account| key(account as u64)).collect(),
    signed: Mutex::default(),
});

fn key(account: u64) -> Option<(SecretKey, Address)> {
    let secret = SecretKey::from_byte_array(B256::from(U256::from(account + 1)).0).ok()?;
    let public = PublicKey::from_secret_key(SECP256K1, &secret).serialize_uncompressed();
    Some((secret, Address::from_raw_public_key(&public[1..])))
}

/// The address of an account.
pub(crate) fn address(account: usize) -> Address {
    WALLET.keys.get(account).map(|(_, address)| *address).unwrap_or_default()
}

/// A signed transaction with its sender.
pub(crate) fn transaction(name: Name) -> Arc<VerifiedTransaction> {
    if let Some(known) = WALLET.signed.lock().by_name.get(&name) {
        return Arc::clone(known);
    }
    let made = Arc::new(sign(name));
    let mut signed = WALLET.signed.lock();
    signed.by_hash.insert(made.hash(), name);
    Arc::clone(signed.by_name.entry(name).or_insert(made))
}

/// What the transaction with a hash is called.
pub(crate) fn name_of(hash: TxHash) -> Option<Name> {
    WALLET.signed.lock().by_hash.get(&hash).copied()
}

/// The transaction with a hash.
pub(crate) fn known(hash: TxHash) -> Option<Arc<VerifiedTransaction>> {
    name_of(hash).map(transaction)
}

#[allow(clippy::expect_used)] // The key and the encoding are made here; they are well-formed or this program is wrong.
fn sign(name: Name) -> VerifiedTransaction {
    let (secret, sender) = WALLET.keys[name.account];
    let (to, value, input) = match name.action() {
        Action::Govern { sealers } => {
            let (to, input) = govern(name.nonce, sealers);
            (to, U256::ZERO, input.into())
        }
        Action::Pay { to, amount } => (address(to), U256::from(amount), Bytes::new()),
        Action::Token { to, amount } => {
            let words = [address(to).into_word().0, U256::from(amount).to_be_bytes()];
            (TOKEN, U256::ZERO, words.concat().into())
        }
    };
    let unsigned = TxEip1559 {
        chain_id: CHAIN_ID,
        nonce: name.nonce,
        gas_limit: if name.account == OPERATOR { OPERATOR_GAS } else { 150_000 },
        to: TxKind::Call(to),
        value,
        input,
        ..TxEip1559::default()
    };
    let message = Message::from_digest(unsigned.signature_hash().0);
    let (recovery, bytes) = SECP256K1.sign_ecdsa_recoverable(message, &secret).serialize_compact();
    let signature = Signature::from_bytes_and_parity(&bytes, i32::from(recovery) % 2 == 1);
    let envelope: TxEnvelope = unsigned.into_signed(signature).into();
    let transaction = Transaction::from_envelope(&envelope).expect("a well-formed transaction");
    VerifiedTransaction::assume(Arc::new(transaction), sender)
}

/// What the operator calls, and with what.
fn govern(nonce: u64, sealers: u8) -> (Address, Vec<u8>) {
    if sealers == 0 {
        // Small blocks, so that it shows, which hold a second of load; the smallest gas limit that there may be.
        let (name, value) = if nonce.is_multiple_of(2) {
            ("block_transactions_max", 12 + nonce % 8)
        } else {
            ("block_gas_limit", limits::TRANSACTION_GAS_LIMIT_MAX + nonce)
        };
        let call = IConfiguration::setCall { name: name.to_owned(), value: U256::from(value) };
        return (configuration::ADDRESS, call.abi_encode());
    }
    let names = (0..NODES_MAX).map(chain::name).collect();
    let role = |node: usize| if sealers >> node & 1 == 1 { IMembers::Role::Sealer } else { IMembers::Role::Observer };
    let call = IMembers::setRolesCall { names, roles: (0..NODES_MAX).map(role).collect() };
    (members::ADDRESS, call.abi_encode())
}

/// The nodes in a set of bits.
pub(crate) fn nodes_of(bits: u8) -> Vec<usize> {
    (0..NODES_MAX).filter(|node| bits >> node & 1 == 1).collect()
}

/// The bits of nodes.
pub(crate) fn bits_of(nodes: &[usize]) -> u8 {
    nodes.iter().filter(|node| **node < NODES_MAX).fold(0, |bits, node| bits | 1 << node)
}

/// The accounts of every simulated genesis.
pub(crate) fn genesis_accounts() -> BTreeMap<Address, GenesisAccount> {
    let owner = GenesisAccount { balance: U256::from(BALANCE), ..GenesisAccount::default() };
    let mut accounts: BTreeMap<_, _> = (0..ACCOUNTS).map(|account| (address(account), owner.clone())).collect();
    let storage = (0..ACCOUNTS).map(|account| (slot(account), U256::from(TOKENS))).collect();
    accounts.insert(TOKEN, GenesisAccount { code: TOKEN_CODE.into(), nonce: 1, storage, ..GenesisAccount::default() });
    accounts
}

/// The token's slot with an account's balance.
pub(crate) fn slot(account: usize) -> U256 {
    U256::from_be_bytes(address(account).into_word().0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use lian_crypto::Suite;

    #[test]
    fn signatures_name_their_sender() {
        for account in [0, ACCOUNTS - 1] {
            let name = Name { account, nonce: 3, variant: 0 };
            let made = transaction(name);
            let recovered = Suite::Standard.recover_sender(Arc::clone(made.transaction())).unwrap();
            assert_eq!(recovered.sender(), made.sender());
            assert_eq!(recovered.sender(), address(account));
            assert_eq!(name_of(made.hash()), Some(name));
        }
    }

    #[test]
    fn variants_compete_for_a_nonce() {
        let [one, two] = [0, 1].map(|variant| transaction(Name { account: 1, nonce: 0, variant }));
        assert_eq!(one.transaction().nonce(), two.transaction().nonce());
        assert_ne!(one.hash(), two.hash());
    }

    #[test]
    fn the_failing_branch_begins_where_the_jump_goes() {
        assert_eq!(TOKEN_CODE[0x23], 0x5b);
    }
}
