//! 0x2000.

use crate::chain::{Chain, OPERATOR, STRANGER, reverted};
use alloy_primitives::{Address, U256, b256};
use alloy_sol_types::{SolCall, SolEvent};
use lian_system_contracts::{
    Failure, Halt,
    configuration::{ADDRESS, Parameter, Settings, value_at},
    interfaces::{IConfiguration as C, MalformedArguments, UnknownFunction},
};
use lian_types::{BlockNumber, ConsensusParameters, UnknownProtocol};

fn chain() -> Chain {
    Chain::new(4, ConsensusParameters::default())
}

fn set(chain: &mut Chain, name: &str, value: u64) -> Result<(), Failure> {
    chain.call(ADDRESS, &C::setCall { name: name.to_owned(), value: U256::from(value) }).map(drop)
}

#[test]
fn a_value_acts_a_window_later() {
    let mut chain = chain();
    chain.block = 100;
    set(&mut chain, "block_transactions_max", 500).unwrap();
    let event = C::ParameterSet::decode_log_data(&chain.logs[0]).unwrap();
    assert_eq!((event.name.as_str(), event.value, event.from), ("block_transactions_max", U256::from(500), 108));
    let at = |chain: &mut Chain, block| {
        value_at(&mut chain.reader(), Parameter::BlockTransactionsMax, BlockNumber(block)).unwrap()
    };
    assert_eq!((at(&mut chain, 107), at(&mut chain, 108)), (10_000, 500));
    // In the same block it may still be changed, afterwards only once it acts.
    set(&mut chain, "block_transactions_max", 600).unwrap();
    chain.block = 107;
    let error: C::ChangePending = reverted(set(&mut chain, "block_transactions_max", 700));
    assert_eq!((error.name.as_str(), error.until), ("block_transactions_max", 108));
    let listed = chain.call(ADDRESS, &C::parametersCall {}).unwrap();
    let found = listed.iter().find(|parameter| parameter.name == "block_transactions_max").unwrap();
    assert_eq!((found.value, found.next, found.nextFrom), (U256::from(10_000), U256::from(600), 108));
    chain.block = 108;
    set(&mut chain, "block_transactions_max", 700).unwrap();
    assert_eq!((at(&mut chain, 115), at(&mut chain, 116)), (600, 700));
}

#[test]
fn ranges_make_a_stuck_chain_impossible() {
    let mut chain = chain();
    let cases = [
        ("block_gas_limit", 16_777_215, 16_777_216, u64::MAX >> 1),
        ("block_transactions_max", 0, 1, 10_000),
        ("block_transactions_max", 10_001, 1, 10_000),
        ("view_timeout_ms", 49, 50, 5_000),
        ("view_timeout_ms", 5_001, 50, 5_000),
        ("view_timeout_ms_max", 999, 1_000, 600_000),
        ("censorship_timeout_ms", 999, 1_000, u64::MAX),
    ];
    for (name, value, least, most) in cases {
        let error: C::OutOfRange = reverted(set(&mut chain, name, value));
        let expected = (name, U256::from(value), U256::from(least), U256::from(most));
        assert_eq!((error.name.as_str(), error.value, error.least, error.most), expected);
    }
    let huge = chain.call(ADDRESS, &C::setCall { name: "block_gas_limit".into(), value: U256::MAX });
    assert_eq!(reverted::<C::OutOfRange>(huge).value, U256::MAX);
    let error: C::UnknownParameter = reverted(set(&mut chain, "window", 9));
    assert_eq!(error.name, "window");
}

/// It rises one at a time and never falls; a program knows from when on it does not know the rules.
#[test]
fn the_protocol_version_rises_one_at_a_time() {
    let mut chain = chain();
    let beyond = |chain: &mut Chain, known| Settings::read(&mut chain.reader()).unwrap().protocol_beyond(known);
    assert_eq!(beyond(&mut chain, 0), None);
    chain.block = 100;
    let error: C::OutOfRange = reverted(set(&mut chain, "protocol_version", 2));
    assert_eq!((error.least, error.most), (U256::ZERO, U256::ONE));
    set(&mut chain, "protocol_version", 1).unwrap();
    let change = UnknownProtocol { version: 1, from: BlockNumber(108), known: 0 };
    assert_eq!((beyond(&mut chain, 0), beyond(&mut chain, 1)), (Some(change), None));
    let text = "protocol version 1 acts from block 108 on, and this program knows versions up to 0: replace it with a \
                newer one";
    assert_eq!(change.to_string(), text);
    chain.block = 108;
    let error: C::OutOfRange = reverted(set(&mut chain, "protocol_version", 0));
    assert_eq!((error.least, error.most), (U256::ONE, U256::from(2)));
    set(&mut chain, "protocol_version", 2).unwrap();
    // Who knows neither has passed the first long ago.
    assert_eq!(beyond(&mut chain, 0).map(|change| change.from), Some(BlockNumber(0)));
    assert_eq!(beyond(&mut chain, 1).map(|change| (change.version, change.from)), Some((2, BlockNumber(116))));
    assert_eq!(beyond(&mut chain, 2), None);
}

/// A wide window leaves less room for transactions in a view change.
#[test]
fn messages_of_a_view_change_bound_blocks() {
    let mut chain = Chain::new(4, ConsensusParameters { window: 50, ..ConsensusParameters::default() });
    set(&mut chain, "block_transactions_max", 10_000).unwrap();
    let parameters = ConsensusParameters { window: 64, block_transactions_max: 100, ..ConsensusParameters::default() };
    let mut chain = Chain::new(4, parameters);
    let error: C::OutOfRange = reverted(set(&mut chain, "block_transactions_max", 9_000));
    assert!(error.most < U256::from(9_000) && error.most > U256::from(7_000), "{}", error.most);
    set(&mut chain, "block_transactions_max", error.most.to()).unwrap();
}

#[test]
fn only_operators_change_anything() {
    let mut chain = chain();
    let before = chain.clone();
    let calls = C::setCall { name: "block_transactions_max".into(), value: U256::from(1) };
    let error: C::NotAuthorized = reverted(chain.call_as(STRANGER, ADDRESS, &calls));
    assert_eq!(error.caller, STRANGER);
    let call = C::setOperatorCall { account: STRANGER, isOperator: true };
    assert_eq!(reverted::<C::NotAuthorized>(chain.call_as(STRANGER, ADDRESS, &call)).caller, STRANGER);
    assert_eq!(chain, before, "a refused call changes nothing");

    chain.call(ADDRESS, &call).unwrap();
    assert!(chain.call(ADDRESS, &C::isOperatorCall { account: STRANGER }).unwrap());
    let call = C::setOperatorCall { account: OPERATOR, isOperator: false };
    chain.call_as(STRANGER, ADDRESS, &call).unwrap();
    assert_eq!(reverted::<C::NotAuthorized>(chain.call(ADDRESS, &calls)).caller, OPERATOR);
    let last = C::setOperatorCall { account: STRANGER, isOperator: false };
    assert_eq!(reverted::<C::LastOperator>(chain.call_as(STRANGER, ADDRESS, &last)).account, STRANGER);
}

#[test]
fn bad_calls_have_typed_errors() {
    let mut chain = chain();
    for input in [&[][..], &[1, 2, 3], &[1, 2, 3, 4, 5]] {
        let error: UnknownFunction = reverted(chain.input(ADDRESS, input));
        assert_eq!(&error.selector[..input.len().min(4)], &input[..input.len().min(4)]);
    }
    let mut input = C::setCall { name: "x".into(), value: U256::ZERO }.abi_encode();
    input.truncate(40);
    let error: MalformedArguments = reverted(chain.input(ADDRESS, &input));
    assert_eq!(error.selector, C::setCall::SELECTOR);
    // Lengths that announce more than there is.
    let mut input = C::setCall { name: "x".into(), value: U256::ZERO }.abi_encode();
    input[4..36].fill(0xff);
    let _: MalformedArguments = reverted(chain.input(ADDRESS, &input));
    let call = C::setCall { name: "block_transactions_max".into(), value: U256::from(2) };
    assert_eq!(chain.static_call(ADDRESS, &call), Err(Failure::Halt(Halt::Static)));
    assert!(chain.static_call(ADDRESS, &C::windowCall {}).is_ok());
    chain.gas = 10_000;
    assert_eq!(chain.call(ADDRESS, &call).err(), Some(Failure::Halt(Halt::OutOfGas)));
}

/// Where things stand in storage is part of the chain's format: as Solidity lays mappings out.
#[test]
fn the_layout_is_that_of_solidity() {
    let slot = lian_system_contracts::storage::entry(U256::ONE, Address::repeat_byte(1).into_word());
    // cast index address 0x0101010101010101010101010101010101010101 1
    let expected = b256!("4309bf34fc91344cc0a8ea3e79206eea6b909414ad812d86d0beef670ac89dca");
    assert_eq!(slot, U256::from_be_bytes(expected.0));
}
