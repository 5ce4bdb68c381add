//! 0x2009.

use crate::chain::{Chain, OPERATOR, STRANGER, reverted};
use alloy_primitives::{Address, B256, U256, keccak256};
use alloy_sol_types::SolEvent;
use lian_system_contracts::{
    Failure, Halt,
    assets::{ADDRESS, LIST_MAX, PAYMENTS_MAX},
    interfaces::IAssets as A,
    storage::entry,
};
use lian_types::ConsensusParameters;

/// The issuer of what these tests make.
pub(crate) const BANK: Address = OPERATOR;
const ALICE: Address = Address::repeat_byte(0xa1);
const BOB: Address = Address::repeat_byte(0xb0);

pub(crate) fn chain() -> Chain {
    Chain::new(1, ConsensusParameters::default())
}

pub(crate) fn create(chain: &mut Chain, symbol: &str) -> Result<U256, Failure> {
    chain.call(ADDRESS, &A::createCall { symbol: symbol.into(), name: "An asset".into(), decimals: 2 })
}

fn reference(text: &str) -> B256 {
    keccak256(text)
}

pub(crate) fn issue(chain: &mut Chain, id: U256, to: Address, amount: U256) -> Result<(), Failure> {
    chain.call(ADDRESS, &A::issueCall { id, to, amount, referenceId: reference("issue") }).map(drop)
}

pub(crate) fn transfer(chain: &mut Chain, from: Address, id: U256, to: Address, amount: U256) -> Result<(), Failure> {
    let call = A::transferCall { id, to, amount, referenceId: reference("payment") };
    chain.call_as(from, ADDRESS, &call).map(drop)
}

pub(crate) fn batch(chain: &mut Chain, from: Address, id: U256, payments: &[(Address, U256)]) -> Result<(), Failure> {
    let payment = |(to, amount): &(Address, U256)| A::Payment { to: *to, amount: *amount, referenceId: B256::ZERO };
    let call = A::batchTransferCall { id, payments: payments.iter().map(payment).collect() };
    chain.call_as(from, ADDRESS, &call).map(drop)
}

pub(crate) fn balance(chain: &mut Chain, id: U256, account: Address) -> U256 {
    chain.call(ADDRESS, &A::balanceOfCall { id, account }).unwrap()
}

pub(crate) fn record(chain: &mut Chain, id: U256) -> A::Asset {
    chain.call(ADDRESS, &A::assetCall { id }).unwrap()
}

fn units(amount: u64) -> U256 {
    U256::from(amount)
}

/// A chain with one asset, of which Alice has 100 and Bob nothing.
fn funded() -> (Chain, U256) {
    let mut chain = chain();
    let id = create(&mut chain, "USD").unwrap();
    issue(&mut chain, id, ALICE, units(100)).unwrap();
    (chain, id)
}

#[test]
fn an_asset_has_a_number_a_symbol_and_an_issuer() {
    let mut chain = chain();
    let call = A::createCall { symbol: "EUR.x-1_".into(), name: "Euro €".into(), decimals: 36 };
    assert_eq!(chain.call_as(STRANGER, ADDRESS, &call).unwrap(), units(1));
    let event = A::AssetCreated::decode_log_data(&chain.logs[0]).unwrap();
    let expected = (units(1), STRANGER, "EUR.x-1_", "Euro €", 36);
    assert_eq!((event.asset, event.issuer, &*event.symbol, &*event.name, event.decimals), expected);
    assert_eq!(create(&mut chain, "USD").unwrap(), units(2));
    let first = record(&mut chain, units(1));
    assert_eq!((first.id, first.issuer, &*first.symbol, &*first.name, first.decimals), expected);
    assert_eq!((first.issued, first.redeemed, first.frozen), (U256::ZERO, U256::ZERO, false));
    let number =
        |chain: &mut Chain, symbol: &str| chain.call(ADDRESS, &A::assetOfCall { symbol: symbol.into() }).unwrap();
    assert_eq!(["EUR.x-1_", "USD", "usd"].map(|symbol| number(&mut chain, symbol)), [1, 2, 0].map(units));
    assert_eq!(chain.call(ADDRESS, &A::countCall {}).unwrap(), units(2));
    let taken: A::SymbolTaken = reverted(create(&mut chain, "USD"));
    assert_eq!((&*taken.symbol, taken.asset), ("USD", units(2)));
}

#[test]
fn what_cannot_be_an_asset_is_refused_with_its_value() {
    let mut chain = chain();
    for symbol in ["", "THIRTEENCHARS", "US D", "€", "A/B", "A\n"] {
        assert_eq!(reverted::<A::InvalidSymbol>(create(&mut chain, symbol)).symbol, symbol);
    }
    assert!(create(&mut chain, "TWELVECHARS_").is_ok());
    for (name, is_fine) in [(String::new(), false), ("n".repeat(64), true), ("é".repeat(33), false)] {
        let call = A::createCall { symbol: "N".into(), name: name.clone(), decimals: 0 };
        match chain.call(ADDRESS, &call) {
            Ok(_) => assert!(is_fine),
            refused => assert_eq!(reverted::<A::InvalidName>(refused).name, name),
        }
    }
    let call = A::createCall { symbol: "D".into(), name: "d".into(), decimals: 37 };
    assert_eq!(reverted::<A::InvalidDecimals>(chain.call(ADDRESS, &call)).decimals, 37);
    assert_eq!(chain.call(ADDRESS, &A::countCall {}).unwrap(), units(2));
}

#[test]
fn pages_of_assets() {
    let mut chain = chain();
    for number in 0..LIST_MAX + 5 {
        create(&mut chain, &format!("A{number}")).unwrap();
    }
    let mut page = |from: u64, limit: u64| -> Vec<u64> {
        let list = chain.call(ADDRESS, &A::listCall { from: units(from), limit: units(limit) }).unwrap();
        list.iter().map(|asset| asset.id.to()).collect()
    };
    assert_eq!(page(0, 3), [1, 2, 3]);
    assert_eq!(page(104, 3), [104, 105]);
    assert_eq!(page(106, 3), [0; 0]);
    assert_eq!(page(2, u64::MAX), (2..102).collect::<Vec<_>>());
    let all = A::listCall { from: U256::MAX, limit: U256::MAX };
    assert_eq!(chain.call(ADDRESS, &all).unwrap().len(), 0);
}

#[test]
fn a_payment_moves_what_was_issued() {
    let (mut chain, id) = funded();
    let issued = A::Issued::decode_log_data(&chain.logs[1]).unwrap();
    assert_eq!(
        (issued.asset, issued.to, issued.amount, issued.referenceId),
        (id, ALICE, units(100), reference("issue"))
    );
    transfer(&mut chain, ALICE, id, BOB, units(30)).unwrap();
    let paid = A::Transferred::decode_log_data(&chain.logs[2]).unwrap();
    assert_eq!((paid.asset, paid.from, paid.to, paid.amount), (id, ALICE, BOB, units(30)));
    assert_eq!(paid.referenceId, reference("payment"));
    transfer(&mut chain, BOB, id, BANK, units(30)).unwrap();
    let redeem = A::redeemCall { id, amount: units(20), referenceId: reference("back") };
    chain.call(ADDRESS, &redeem).unwrap();
    let redeemed = A::Redeemed::decode_log_data(&chain.logs[4]).unwrap();
    assert_eq!((redeemed.asset, redeemed.from, redeemed.amount), (id, BANK, units(20)));
    assert_eq!([ALICE, BOB, BANK].map(|account| balance(&mut chain, id, account)), [70, 0, 10].map(units));
    let record = record(&mut chain, id);
    assert_eq!((record.issued, record.redeemed), (units(100), units(20)));
}

/// The payer's balance is enough to the last unit and not one further; paying oneself changes nothing.
#[test]
fn nobody_pays_more_than_there_is() {
    let (mut chain, id) = funded();
    let before = chain.clone();
    let error: A::InsufficientBalance = reverted(transfer(&mut chain, ALICE, id, BOB, units(101)));
    assert_eq!((error.asset, error.account, error.available, error.needed), (id, ALICE, units(100), units(101)));
    let error: A::InsufficientBalance = reverted(transfer(&mut chain, ALICE, id, ALICE, units(101)));
    assert_eq!(error.available, units(100));
    let redeem = A::redeemCall { id, amount: units(1), referenceId: B256::ZERO };
    assert_eq!(reverted::<A::InsufficientBalance>(chain.call(ADDRESS, &redeem)).account, BANK);
    assert_eq!(chain, before, "refused calls change nothing");
    transfer(&mut chain, ALICE, id, ALICE, units(100)).unwrap();
    assert_eq!(balance(&mut chain, id, ALICE), units(100));
    transfer(&mut chain, BOB, id, ALICE, U256::ZERO).unwrap();
    transfer(&mut chain, ALICE, id, BOB, units(100)).unwrap();
    assert_eq!([ALICE, BOB].map(|account| balance(&mut chain, id, account)), [0, 100].map(units));
    let error: A::InvalidAccount = reverted(transfer(&mut chain, BOB, id, Address::ZERO, units(1)));
    assert_eq!(error.account, Address::ZERO);
    let nobody: A::InvalidAccount = reverted(issue(&mut chain, id, Address::ZERO, units(1)));
    assert_eq!(nobody.account, Address::ZERO);
}

#[test]
fn a_batch_is_paid_whole_or_not_at_all() {
    let (mut chain, id) = funded();
    let before = chain.clone();
    let payments = [(BOB, units(60)), (ALICE, units(10)), (STRANGER, units(31))];
    let error: A::InsufficientBalance = reverted(batch(&mut chain, ALICE, id, &payments));
    assert_eq!((error.available, error.needed), (units(100), units(101)));
    let overflow = [(BOB, U256::MAX), (BOB, units(1))];
    assert_eq!(reverted::<A::TotalTooLarge>(batch(&mut chain, ALICE, id, &overflow)).asset, id);
    let lost = [(BOB, units(1)), (Address::ZERO, units(1))];
    assert_eq!(reverted::<A::InvalidAccount>(batch(&mut chain, ALICE, id, &lost)).account, Address::ZERO);
    let many = vec![(BOB, U256::ZERO); PAYMENTS_MAX + 1];
    let error: A::TooManyPayments = reverted(batch(&mut chain, ALICE, id, &many));
    assert_eq!((error.count, error.limit), (units(1_001), units(1_000)));
    assert_eq!(chain, before, "refused calls change nothing");

    batch(&mut chain, ALICE, id, &[(BOB, units(60)), (ALICE, units(10)), (STRANGER, units(29)), (BOB, units(1))])
        .unwrap();
    assert_eq!([ALICE, BOB, STRANGER].map(|account| balance(&mut chain, id, account)), [10, 61, 29].map(units));
    let paid: Vec<_> = chain.logs[2..].iter().map(|log| A::Transferred::decode_log_data(log).unwrap().amount).collect();
    assert_eq!(paid, [60, 10, 29, 1].map(units));
    chain.gas = 16_000_000;
    batch(&mut chain, BOB, id, &many[1..]).unwrap();
    batch(&mut chain, BOB, id, &[]).unwrap();
}

#[test]
fn what_was_ever_issued_fits() {
    let (mut chain, id) = funded();
    let error: A::IssueTooLarge = reverted(issue(&mut chain, id, BOB, U256::MAX - units(99)));
    assert_eq!((error.asset, error.issued, error.amount), (id, units(100), U256::MAX - units(99)));
    issue(&mut chain, id, BANK, U256::MAX - units(100)).unwrap();
    // What was redeemed makes no room again.
    let redeem = A::redeemCall { id, amount: units(7), referenceId: B256::ZERO };
    chain.call(ADDRESS, &redeem).unwrap();
    assert_eq!(reverted::<A::IssueTooLarge>(issue(&mut chain, id, BOB, units(1))).issued, U256::MAX);
    transfer(&mut chain, BANK, id, ALICE, U256::MAX - units(107)).unwrap();
    assert_eq!(balance(&mut chain, id, ALICE), U256::MAX - units(7));
}

#[test]
fn the_issuer_freezes_accounts_and_the_asset() {
    let (mut chain, id) = funded();
    let freeze = |chain: &mut Chain, amount: U256| {
        chain.call(ADDRESS, &A::setFrozenCall { id, account: ALICE, amount }).unwrap();
    };
    let available = |chain: &mut Chain| chain.call(ADDRESS, &A::availableOfCall { id, account: ALICE }).unwrap();
    freeze(&mut chain, units(60));
    let event = A::Frozen::decode_log_data(chain.logs.last().unwrap()).unwrap();
    assert_eq!((event.asset, event.account, event.amount), (id, ALICE, units(60)));
    assert_eq!(available(&mut chain), units(40));
    assert_eq!(chain.call(ADDRESS, &A::frozenOfCall { id, account: ALICE }).unwrap(), units(60));
    let error: A::InsufficientBalance = reverted(transfer(&mut chain, ALICE, id, BOB, units(41)));
    assert_eq!((error.available, error.needed), (units(40), units(41)));
    transfer(&mut chain, ALICE, id, BOB, units(40)).unwrap();
    // It may still receive, and has more frozen than it has where the issuer wants so.
    transfer(&mut chain, BOB, id, ALICE, units(5)).unwrap();
    assert_eq!(available(&mut chain), units(5));
    freeze(&mut chain, U256::MAX);
    assert_eq!(available(&mut chain), U256::ZERO);
    assert_eq!(
        reverted::<A::InsufficientBalance>(transfer(&mut chain, ALICE, id, BOB, units(1))).available,
        U256::ZERO
    );
    freeze(&mut chain, U256::ZERO);

    chain.call(ADDRESS, &A::freezeAssetCall { id, frozen: true }).unwrap();
    assert!(A::AssetFrozen::decode_log_data(chain.logs.last().unwrap()).unwrap().frozen);
    assert!(record(&mut chain, id).frozen);
    assert_eq!((available(&mut chain), balance(&mut chain, id, ALICE)), (U256::ZERO, units(65)));
    let redeem = A::redeemCall { id, amount: U256::ZERO, referenceId: B256::ZERO };
    let refused = [
        transfer(&mut chain, ALICE, id, BOB, units(1)),
        batch(&mut chain, ALICE, id, &[]),
        issue(&mut chain, id, ALICE, units(1)),
        chain.call(ADDRESS, &redeem).map(drop),
    ];
    for outcome in refused {
        assert_eq!(reverted::<A::AssetIsFrozen>(outcome).asset, id);
    }
    let other = create(&mut chain, "EUR").unwrap();
    issue(&mut chain, other, ALICE, units(3)).unwrap();
    transfer(&mut chain, ALICE, other, BOB, units(3)).unwrap();
    chain.call(ADDRESS, &A::freezeAssetCall { id, frozen: false }).unwrap();
    transfer(&mut chain, ALICE, id, BOB, units(65)).unwrap();
}

#[test]
fn only_the_issuer_decides_and_it_can_hand_over() {
    let (mut chain, id) = funded();
    let before = chain.clone();
    let (account, amount, reference) = (STRANGER, units(1), B256::ZERO);
    let refused = [
        chain.call_as(STRANGER, ADDRESS, &A::issueCall { id, to: account, amount, referenceId: reference }).map(drop),
        chain.call_as(STRANGER, ADDRESS, &A::redeemCall { id, amount, referenceId: reference }).map(drop),
        chain.call_as(STRANGER, ADDRESS, &A::setFrozenCall { id, account, amount }).map(drop),
        chain.call_as(STRANGER, ADDRESS, &A::freezeAssetCall { id, frozen: true }).map(drop),
        chain.call_as(STRANGER, ADDRESS, &A::setIssuerCall { id, newIssuer: STRANGER }).map(drop),
    ];
    for outcome in refused {
        let error: A::NotIssuer = reverted(outcome);
        assert_eq!((error.asset, error.caller), (id, STRANGER));
    }
    let nobody = A::setIssuerCall { id, newIssuer: Address::ZERO };
    assert_eq!(reverted::<A::InvalidAccount>(chain.call(ADDRESS, &nobody)).account, Address::ZERO);
    assert_eq!(chain, before, "refused calls change nothing");
    chain.call(ADDRESS, &A::setIssuerCall { id, newIssuer: STRANGER }).unwrap();
    let event = A::IssuerChanged::decode_log_data(chain.logs.last().unwrap()).unwrap();
    assert_eq!((event.asset, event.from, event.to), (id, BANK, STRANGER));
    assert_eq!(reverted::<A::NotIssuer>(issue(&mut chain, id, ALICE, units(1))).caller, BANK);
    let issue = A::issueCall { id, to: ALICE, amount, referenceId: reference };
    chain.call_as(STRANGER, ADDRESS, &issue).unwrap();
    let record = record(&mut chain, id);
    assert_eq!((record.issuer, record.decimals, record.issued), (STRANGER, 2, units(101)));
}

#[test]
fn an_unknown_asset_is_named() {
    let (mut chain, _) = funded();
    for id in [U256::ZERO, units(2), U256::MAX] {
        let account = ALICE;
        let refused = [
            transfer(&mut chain, ALICE, id, BOB, U256::ZERO),
            issue(&mut chain, id, BOB, units(1)),
            chain.call(ADDRESS, &A::assetCall { id }).map(drop),
            chain.call(ADDRESS, &A::balanceOfCall { id, account }).map(drop),
            chain.call(ADDRESS, &A::availableOfCall { id, account }).map(drop),
            chain.call(ADDRESS, &A::frozenOfCall { id, account }).map(drop),
            chain.call(ADDRESS, &A::setFrozenCall { id, account, amount: units(1) }).map(drop),
        ];
        for outcome in refused {
            assert_eq!(reverted::<A::UnknownAsset>(outcome).asset, id);
        }
    }
}

#[test]
fn a_static_call_changes_nothing() {
    let (mut chain, id) = funded();
    let call = A::transferCall { id, to: BOB, amount: U256::ZERO, referenceId: B256::ZERO };
    assert_eq!(chain.static_call(ADDRESS, &call), Err(Failure::Halt(Halt::Static)));
    assert!(chain.static_call(ADDRESS, &A::countCall {}).is_ok());
}

/// The slots as the documentation has them, and what a payment touches: nothing that a payment of another payer writes.
#[test]
fn the_layout_is_that_of_solidity_and_payments_share_nothing_that_they_write() {
    let (mut chain, id) = funded();
    let word = |value: u64| U256::from(value);
    let head = entry(word(2), id.into());
    let mut expected = BANK.into_word();
    expected[11] = 2;
    assert_eq!(chain.slot(ADDRESS, head), U256::from_be_bytes(expected.0));
    assert_eq!(chain.slot(ADDRESS, U256::ZERO), units(1));
    assert_eq!(chain.slot(ADDRESS, entry(word(1), keccak256("USD"))), id);
    assert_eq!(chain.slot(ADDRESS, head + word(1)), units(100));
    let of = |mapping: u64, account: Address| entry(entry(word(mapping), id.into()), account.into_word());
    assert_eq!(chain.slot(ADDRESS, of(3, ALICE)), units(100));

    transfer(&mut chain, ALICE, id, BOB, units(30)).unwrap();
    let accesses = &chain.accesses;
    assert_eq!(accesses.loaded, [head, of(3, ALICE), of(4, ALICE)]);
    assert_eq!((&accesses.stored[..], &accesses.credited[..]), (&[of(3, ALICE)][..], &[of(3, BOB)][..]));
    issue(&mut chain, id, BOB, units(1)).unwrap();
    assert_eq!(chain.accesses.credited, [of(3, BOB)]);
    assert!(!chain.accesses.loaded.contains(&of(3, BOB)));
    batch(&mut chain, ALICE, id, &[(BOB, units(1)), (STRANGER, units(2)), (ALICE, units(3))]).unwrap();
    let accesses = &chain.accesses;
    assert_eq!(accesses.loaded, [head, of(3, ALICE), of(4, ALICE)]);
    assert_eq!(accesses.credited, [of(3, BOB), of(3, STRANGER), of(3, ALICE)]);
    chain.call(ADDRESS, &A::setFrozenCall { id, account: BOB, amount: units(9) }).unwrap();
    assert_eq!(chain.accesses.stored, [of(4, BOB)]);
}
