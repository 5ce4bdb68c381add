//! The example contracts, as Solidity compiles them.

use crate::support::{ALICE, BOB, CAROL, Chain, creation};
use alloy_primitives::{Address, U256, keccak256};
use alloy_sol_types::{SolCall, SolEvent, SolValue, sol};
use lian_types::Receipt;

sol! {
    interface Token {
        event Transfer(address indexed from, address indexed to, uint256 value);
        function transfer(address to, uint256 value) returns (bool);
        function balanceOf(address account) returns (uint256);
    }
    interface Hello {
        event Greeted(address indexed by, string greeting);
        function set(string greeting);
    }
    interface Ledger {
        event Registered(address indexed account, string name, uint256 balance);
        event Transferred(address indexed from, address indexed to, uint256 amount);
        function register(address account, string name, uint256 balance);
        function transfer(address to, uint256 amount);
    }
    interface Deed {
        event Transfer(address indexed from, address indexed to, uint256 indexed tokenId);
        function issue(address to, string uri) returns (uint256);
        function transferFrom(address from, address to, uint256 tokenId);
    }
    interface Box {
        event Upgraded(address indexed implementation);
        event ValueChanged(uint256 value);
        function initialize(address owner, uint256 value);
        function store(uint256 value);
        function increment();
        function initializeV2();
        function upgradeToAndCall(address implementation, bytes data);
    }
}

/// The one event of this kind in a receipt, and that it comes from the contract.
fn event<E: SolEvent>(receipt: &Receipt, contract: Address) -> E {
    assert!(receipt.success, "{receipt:?}");
    let mut found = receipt.logs.iter().filter(|log| log.topics().first() == Some(&E::SIGNATURE_HASH));
    let log = found.next().unwrap();
    assert_eq!((log.address, found.count()), (contract, 0));
    E::decode_log_data(&log.data).unwrap()
}

#[test]
fn token() {
    let mut chain = Chain::default();
    let token = chain.deploy_token(ALICE);
    let transfer = |to, value| Token::transferCall { to, value: U256::from(value) }.abi_encode();
    let first = chain.send(ALICE, Some(token), transfer(BOB, 300));
    let Token::Transfer { from, to, value } = event(&first, token);
    assert_eq!((from, to, value), (ALICE, BOB, U256::from(300)));
    // The second transfer finds a balance there: writing over a number costs 17,100 less than writing a new one.
    let second = chain.send(ALICE, Some(token), transfer(BOB, 300));
    assert_eq!(first.gas_used - second.gas_used, 17_100);
    // A refusal is a receipt without events.
    let refused = chain.send(CAROL, Some(token), transfer(BOB, 1));
    assert!(!refused.success && refused.logs.is_empty());
    // OpenZeppelin's balances are the mapping at slot 0.
    let balance = |account: Address| {
        let slot = keccak256((account, U256::ZERO).abi_encode());
        chain.state.accounts[&token].storage.get(&slot.into()).copied().unwrap_or_default()
    };
    assert_eq!((balance(ALICE), balance(BOB), balance(CAROL)), (U256::from(999_400), U256::from(600), U256::ZERO));
}

#[test]
fn hello_world() {
    let mut chain = Chain::default();
    let hello = chain.deploy(ALICE, creation("HelloWorld", &[]));
    let set = |greeting: &str| Hello::setCall { greeting: greeting.to_owned() }.abi_encode();
    let Hello::Greeted { by, greeting } = event(&chain.send(BOB, Some(hello), set("guten Tag")), hello);
    assert_eq!((by, greeting.as_str()), (BOB, "guten Tag"));
    assert!(!chain.send(BOB, Some(hello), set("")).success);
    assert!(!chain.send(BOB, Some(hello), set(&"x".repeat(257))).success);
}

#[test]
fn asset_ledger() {
    let mut chain = Chain::default();
    let ledger = chain.deploy(ALICE, creation("AssetLedger", &[]));
    let register = |account, name: &str, balance| {
        Ledger::registerCall { account, name: name.to_owned(), balance: U256::from(balance) }.abi_encode()
    };
    let registered: Ledger::Registered = event(&chain.send(ALICE, Some(ledger), register(BOB, "bank B", 100)), ledger);
    assert_eq!((registered.account, registered.name.as_str()), (BOB, "bank B"));
    assert!(chain.send(ALICE, Some(ledger), register(CAROL, "bank C", 0)).success);
    // Only the issuer registers, and nobody twice.
    assert!(!chain.send(BOB, Some(ledger), register(ALICE, "bank A", 1)).success);
    assert!(!chain.send(ALICE, Some(ledger), register(BOB, "bank B", 100)).success);
    let transfer = |to, amount| Ledger::transferCall { to, amount: U256::from(amount) }.abi_encode();
    let moved: Ledger::Transferred = event(&chain.send(BOB, Some(ledger), transfer(CAROL, 60)), ledger);
    assert_eq!((moved.from, moved.to, moved.amount), (BOB, CAROL, U256::from(60)));
    assert!(!chain.send(BOB, Some(ledger), transfer(CAROL, 41)).success);
}

#[test]
fn deed() {
    let mut chain = Chain::default();
    let deed = chain.deploy(ALICE, creation("LianDeed", &("Deeds", "DEED").abi_encode_params()));
    let issue = Deed::issueCall { to: BOB, uri: "ipfs://deed".to_owned() }.abi_encode();
    let issued: Deed::Transfer = event(&chain.send(ALICE, Some(deed), issue.clone()), deed);
    assert_eq!((issued.from, issued.to, issued.tokenId), (Address::ZERO, BOB, U256::from(1)));
    assert!(!chain.send(BOB, Some(deed), issue).success);
    let hand_over = Deed::transferFromCall { from: BOB, to: CAROL, tokenId: U256::from(1) }.abi_encode();
    assert!(!chain.send(CAROL, Some(deed), hand_over.clone()).success);
    let moved: Deed::Transfer = event(&chain.send(BOB, Some(deed), hand_over), deed);
    assert_eq!((moved.from, moved.to), (BOB, CAROL));
}

/// An upgrade keeps address and storage and brings new code; only the owner may make it.
#[test]
fn upgradeable_box() {
    let mut chain = Chain::default();
    let first = chain.deploy(ALICE, creation("BoxV1", &[]));
    let initialize = Box::initializeCall { owner: ALICE, value: U256::from(7) }.abi_encode();
    let proxy = chain.deploy(
        ALICE,
        creation("ERC1967Proxy", &(first, alloy_primitives::Bytes::from(initialize)).abi_encode_params()),
    );
    let store = Box::storeCall { value: U256::from(41) }.abi_encode();
    let changed: Box::ValueChanged = event(&chain.send(BOB, Some(proxy), store), proxy);
    assert_eq!(changed.value, U256::from(41));
    let increment = Box::incrementCall {}.abi_encode();
    assert!(!chain.send(BOB, Some(proxy), increment.clone()).success);

    let second = chain.deploy(ALICE, creation("BoxV2", &[]));
    let data = Box::initializeV2Call {}.abi_encode().into();
    let upgrade = Box::upgradeToAndCallCall { implementation: second, data }.abi_encode();
    assert!(!chain.send(BOB, Some(proxy), upgrade.clone()).success);
    let upgraded: Box::Upgraded = event(&chain.send(ALICE, Some(proxy), upgrade), proxy);
    assert_eq!(upgraded.implementation, second);
    let changed: Box::ValueChanged = event(&chain.send(BOB, Some(proxy), increment), proxy);
    assert_eq!(changed.value, U256::from(42));
}
