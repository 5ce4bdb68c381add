//! 0x2002 step by step: who takes a name, what answers under it, and what ENS is told.

use crate::chain::{Chain, OPERATOR, STRANGER, reverted};
use alloy_primitives::{Address, B256, Bytes, FixedBytes, U256, address, b256, keccak256};
use alloy_sol_types::{SolCall, SolEvent};
use lian_system_contracts::{
    Failure, Halt, assets,
    interfaces::INames::{self as N, Kind, Publication},
    names::{ADDRESS, Answer, Name, Place, Route, alias, alias_of, namehash, route},
};
use lian_types::{ConsensusParameters, limits};

pub(crate) const ANN: Address = address!("a000000000000000000000000000000000000001");
const BEN: Address = address!("b000000000000000000000000000000000000002");
/// Contracts.
const ONE: Address = address!("c000000000000000000000000000000000000001");
const TWO: Address = address!("c000000000000000000000000000000000000002");
/// An account that delegates to a contract.
const DELEGATING: Address = address!("d000000000000000000000000000000000000001");

pub(crate) fn chain() -> Chain {
    let mut chain = Chain::new(4, ConsensusParameters::default());
    chain.block = 7;
    for contract in [ONE, TWO, assets::ADDRESS, ADDRESS] {
        chain.codes.insert(contract, Bytes::from_static(&[0x5f, 0x5f, 0xfd]));
    }
    chain.codes.insert(DELEGATING, [&[0xef, 0x01, 0x00], ONE.as_slice()].concat().into());
    chain
}

pub(crate) fn publication(version: &str, target: Address) -> Publication {
    let (version, metadata) = (version.to_owned(), format!("notes on {version}"));
    Publication { version, target, contentType: U256::ONE, abiData: Bytes::from_static(b"[]"), metadata }
}

fn register(chain: &mut Chain, by: Address, name: &str) -> Result<B256, Failure> {
    let call = N::registerCall { name: name.into(), kind: Kind::StateKeeping };
    chain.call_as(by, ADDRESS, &call).map(|registered| registered.node)
}

fn publish(chain: &mut Chain, by: Address, publication: Publication) -> Result<(), Failure> {
    chain.call_as(by, ADDRESS, &N::publishCall { name: "bank".into(), publication }).map(drop)
}

fn switch_to(chain: &mut Chain, by: Address, version: &str) -> Result<(), Failure> {
    let call = N::switchToCall { name: "bank".into(), version: version.into(), reason: "release 12".into() };
    chain.call_as(by, ADDRESS, &call).map(drop)
}

fn rollback(chain: &mut Chain, version: &str) -> Result<(), Failure> {
    let call = N::rollbackCall { name: "bank".into(), version: version.into(), reason: "incident 4".into() };
    chain.call_as(ANN, ADDRESS, &call).map(drop)
}

fn find(chain: &mut Chain) -> N::Name {
    chain.call_as(STRANGER, ADDRESS, &N::findCall { name: "bank".into() }).unwrap()
}

fn node_of(name: &str) -> B256 {
    Name::parse(name).unwrap().node()
}

fn answer(chain: &mut Chain, caller: Address) -> Option<Route> {
    route(&mut chain.reader(), &Place::of(node_of("bank")), caller).unwrap()
}

/// `bank` with the versions 1 and 2, of which the first answers.
fn two_versions() -> Chain {
    let mut chain = chain();
    register(&mut chain, ANN, "bank").unwrap();
    publish(&mut chain, ANN, publication("1.0", ONE)).unwrap();
    publish(&mut chain, ANN, publication("2.0-rc+1", TWO)).unwrap();
    chain
}

fn start(chain: &mut Chain, basis_points: u16) -> Result<(), Failure> {
    let (name, version, reason) = ("bank".into(), "2.0-rc+1".into(), "trial".into());
    chain.call_as(ANN, ADDRESS, &N::startCanaryCall { name, version, basisPoints: basis_points, reason }).map(drop)
}

const FIRST: Answer = Answer { number: 1, target: ONE };
const SECOND: Answer = Answer { number: 2, target: TWO };

/// So many callers, and how many of them the canary answers.
fn callers() -> impl Iterator<Item = Address> {
    (1..=200_u64).map(|number| Address::from_word(keccak256(number.to_be_bytes())))
}

#[test]
fn who_comes_first_has_a_name_with_its_alias() {
    let mut chain = chain();
    let call = N::registerCall { name: "Bank".into(), kind: Kind::Forwarding };
    let registered = chain.call_as(ANN, ADDRESS, &call).unwrap();
    let node = node_of("bank");
    assert_eq!((registered.node, registered.aliasAddress), (node, alias(node)));
    // The alias as the interface says where it is: for whoever computes it without this code.
    let expected = keccak256([ADDRESS.as_slice(), node.as_slice()].concat());
    assert_eq!(alias(node), Address::from_slice(&expected[12..]));
    let (kind, marked) = alias_of(&chain.codes[&alias(node)]).unwrap();
    assert_eq!((N::Kind::from(kind) as u8, marked), (Kind::Forwarding as u8, node));
    let event = N::Registered::decode_log_data(chain.logs.last().unwrap()).unwrap();
    assert_eq!((event.node, event.owner, event.aliasAddress, event.name.as_str()), (node, ANN, alias(node), "bank"));

    let taken = reverted::<N::NameTaken>(register(&mut chain, BEN, "BANK"));
    assert_eq!((taken.name.as_str(), taken.owner), ("bank", ANN));
    assert_eq!(answer(&mut chain, BEN), None);
    let none = chain.call(ADDRESS, &N::latestCall { name: "bank".into() });
    assert_eq!(reverted::<N::NoVersion>(none).node, node);
    let kind = chain.call(ADDRESS, &N::registerCall { name: "other".into(), kind: Kind::None });
    assert_eq!(reverted::<N::InvalidKind>(kind).kind as u8, 0);
}

#[test]
fn what_lies_under_a_name_is_its_owners() {
    let mut chain = chain();
    register(&mut chain, ANN, "bank").unwrap();
    let under = reverted::<N::UnderName>(register(&mut chain, BEN, "pay.eu.bank"));
    assert_eq!((under.name.as_str(), under.parent.as_str(), under.caller), ("pay.eu.bank", "bank", BEN));
    chain.call_as(ANN, ADDRESS, &N::setDelegateCall { name: "bank".into(), account: BEN, allowed: true }).unwrap();
    register(&mut chain, BEN, "eu.bank").unwrap();
    // The nearest one decides.
    let under = reverted::<N::UnderName>(register(&mut chain, ANN, "pay.eu.bank"));
    assert_eq!(under.parent, "eu.bank");
    register(&mut chain, BEN, "pay.eu.bank").unwrap();
    register(&mut chain, BEN, "mybank").unwrap();
    register(&mut chain, BEN, "bank.eu").unwrap();
}

#[test]
fn names_are_refused_with_what_is_wrong_about_them() {
    let mut chain = chain();
    let mut refused = |name: &str| register(&mut chain, ANN, name);
    let error = reverted::<N::InvalidName>(refused("a b"));
    assert_eq!((error.name.as_str(), error.position), ("a b", U256::ONE));
    assert_eq!(reverted::<N::NameLength>(refused("")).length, U256::ZERO);
    let long = reverted::<N::NameLength>(refused(&"a".repeat(97)));
    assert_eq!((long.length, long.limit), (U256::from(97), U256::from(96)));
    assert_eq!(reverted::<N::ReservedName>(refused("a.reverse")).name, "a.reverse");
    let unknown = chain.call(ADDRESS, &N::findCall { name: "Nobody".into() });
    assert_eq!(reverted::<N::UnknownName>(unknown).name, "nobody");
}

#[test]
fn the_first_version_answers_and_others_once_they_are_switched_to() {
    let mut chain = two_versions();
    assert_eq!(answer(&mut chain, BEN), Some(Route::To(FIRST)));
    let shown = find(&mut chain);
    assert_eq!((shown.current.as_str(), shown.target, shown.versions), ("1.0", ONE, U256::from(2)));
    assert_eq!(chain.call(ADDRESS, &N::latestCall { name: "bank".into() }).unwrap().version, "2.0-rc+1");
    switch_to(&mut chain, ANN, "2.0-rc+1").unwrap();
    assert_eq!(answer(&mut chain, BEN), Some(Route::To(SECOND)));
    assert_eq!(reverted::<N::AlreadyCurrent>(switch_to(&mut chain, ANN, "2.0-rc+1")).version, "2.0-rc+1");
    assert_eq!(reverted::<N::UnknownVersion>(switch_to(&mut chain, ANN, "3")).version, "3");
    rollback(&mut chain, "1.0").unwrap();
    let later = reverted::<N::NotEarlier>(rollback(&mut chain, "2.0-rc+1"));
    assert_eq!((later.version.as_str(), later.current.as_str()), ("2.0-rc+1", "1.0"));
    assert_eq!(answer(&mut chain, BEN), Some(Route::To(FIRST)));

    let history = N::historyCall { name: "bank".into(), from: U256::ZERO, limit: U256::MAX };
    let history = chain.call(ADDRESS, &history).unwrap();
    let shown: Vec<_> =
        history.iter().map(|switch| (switch.from.as_str(), switch.to.as_str(), switch.reason.as_str())).collect();
    assert_eq!(shown, [("", "1.0", ""), ("1.0", "2.0-rc+1", "release 12"), ("2.0-rc+1", "1.0", "incident 4")]);
    assert!(history.iter().all(|switch| (switch.by, switch.blockNumber, switch.time) == (ANN, 7, 1_700_000_000)));
}

#[test]
fn versions_are_contracts_with_texts_of_their_own() {
    let mut chain = two_versions();
    let before = chain.clone();
    let target = |target| publication("3", target);
    for address in [BEN, DELEGATING, alias(node_of("bank")), assets::ADDRESS, ADDRESS] {
        assert_eq!(reverted::<N::InvalidTarget>(publish(&mut chain, ANN, target(address))).target, address);
    }
    assert_eq!(reverted::<N::VersionTaken>(publish(&mut chain, ANN, publication("1.0", TWO))).version, "1.0");
    for text in ["", "a b", "1/2", "é", &"1".repeat(33)] {
        assert_eq!(reverted::<N::InvalidVersion>(publish(&mut chain, ANN, publication(text, ONE))).version, text);
    }
    for (content_type, length) in [(0, 2), (1, 0), (3, 2), (4, 2), (1, 16_385)] {
        let abi = vec![b' '; length].into();
        let wrong = Publication { contentType: U256::from(content_type), abiData: abi, ..target(ONE) };
        let error = reverted::<N::InvalidAbi>(publish(&mut chain, ANN, wrong));
        assert_eq!((error.contentType, error.length), (U256::from(content_type), U256::from(length)));
    }
    let long = Publication { metadata: "m".repeat(257), ..target(ONE) };
    assert_eq!(reverted::<N::MetadataTooLong>(publish(&mut chain, ANN, long)).length, U256::from(257));
    assert_eq!(chain, before);

    let bare = Publication { contentType: U256::ZERO, abiData: Bytes::new(), metadata: String::new(), ..target(ONE) };
    publish(&mut chain, ANN, bare).unwrap();
    chain.gas = 16_777_216;
    let abi = Bytes::from(vec![7; limits::NAME_ABI_BYTES_MAX]);
    publish(&mut chain, ANN, Publication { contentType: U256::from(2), abiData: abi.clone(), ..publication("4", TWO) })
        .unwrap();
    let found = chain.call(ADDRESS, &N::abiOfCall { name: "bank".into(), text: "4".into() }).unwrap();
    assert_eq!((found.contentType, found.abiData), (U256::from(2), abi));
    let page = N::versionsCall { name: "bank".into(), from: U256::ONE, limit: U256::from(2) };
    let page: Vec<_> = chain.call(ADDRESS, &page).unwrap().into_iter().map(|version| version.version).collect();
    assert_eq!(page, ["2.0-rc+1", "3"]);
    let second = chain.call(ADDRESS, &N::versionCall { name: "bank".into(), text: "2.0-rc+1".into() }).unwrap();
    assert_eq!((second.target, second.metadata.as_str(), second.by), (TWO, "notes on 2.0-rc+1", ANN));
    assert_eq!((second.blockNumber, second.time, second.contentType), (7, 1_700_000_000, U256::ONE));
}

#[test]
fn versions_are_bounded() {
    let mut chain = chain();
    register(&mut chain, ANN, "bank").unwrap();
    for number in 0..limits::NAME_VERSIONS_MAX {
        publish(&mut chain, ANN, publication(&number.to_string(), ONE)).unwrap();
    }
    let error = reverted::<N::TooMany>(publish(&mut chain, ANN, publication("one-more", ONE)));
    assert_eq!((error.count, error.limit), (U256::from(257), U256::from(256)));
    switch_to(&mut chain, ANN, "255").unwrap();
    assert_eq!(answer(&mut chain, BEN), Some(Route::To(Answer { number: 256, target: ONE })));
}

#[test]
fn delegates_steer_and_only_the_owner_and_who_governs_give_a_name_away() {
    let mut chain = two_versions();
    let node = node_of("bank");
    let delegate = |account, allowed| N::setDelegateCall { name: "bank".into(), account, allowed };
    let transfer = |to| N::transferCall { name: "bank".into(), to, reason: "dispute 9".into() };
    let denied = reverted::<N::NotAuthorized>(switch_to(&mut chain, BEN, "2.0-rc+1"));
    assert_eq!((denied.node, denied.caller), (node, BEN));
    chain.call_as(ANN, ADDRESS, &delegate(BEN, true)).unwrap();
    switch_to(&mut chain, BEN, "2.0-rc+1").unwrap();
    for call in [delegate(STRANGER, true), delegate(BEN, false)] {
        assert_eq!(reverted::<N::NotAuthorized>(chain.call_as(BEN, ADDRESS, &call)).caller, BEN);
    }
    assert_eq!(reverted::<N::NotAuthorized>(chain.call_as(BEN, ADDRESS, &transfer(BEN))).caller, BEN);
    assert_eq!(reverted::<N::NotAuthorized>(switch_to(&mut chain, OPERATOR, "1.0")).caller, OPERATOR);
    let nobody = chain.call_as(ANN, ADDRESS, &transfer(Address::ZERO));
    assert_eq!(reverted::<N::InvalidOwner>(nobody).owner, Address::ZERO);

    chain.call_as(ANN, ADDRESS, &transfer(STRANGER)).unwrap();
    assert_eq!(chain.call(ADDRESS, &N::delegatesCall { name: "bank".into() }).unwrap(), [] as [Address; 0]);
    for former in [ANN, BEN] {
        assert_eq!(reverted::<N::NotAuthorized>(switch_to(&mut chain, former, "1.0")).caller, former);
    }
    switch_to(&mut chain, STRANGER, "1.0").unwrap();
    chain.call_as(OPERATOR, ADDRESS, &transfer(ANN)).unwrap();
    let event = N::OwnershipTransferred::decode_log_data(chain.logs.last().unwrap()).unwrap();
    assert_eq!((event.from, event.to, event.by, event.reason.as_str()), (STRANGER, ANN, OPERATOR, "dispute 9"));
    assert_eq!(find(&mut chain).owner, ANN);
}

#[test]
fn delegates_are_bounded() {
    let mut chain = two_versions();
    let set = |number: u8, allowed| {
        let account = Address::with_last_byte(number);
        N::setDelegateCall { name: "bank".into(), account, allowed }
    };
    for number in 0..16 {
        chain.call_as(ANN, ADDRESS, &set(number, true)).unwrap();
    }
    let before = chain.clone();
    assert_eq!(reverted::<N::TooMany>(chain.call_as(ANN, ADDRESS, &set(16, true))).limit, U256::from(16));
    chain.call_as(ANN, ADDRESS, &set(3, true)).unwrap();
    assert_eq!(chain.logs, before.logs);
    chain.call_as(ANN, ADDRESS, &set(3, false)).unwrap();
    chain.call_as(ANN, ADDRESS, &set(16, true)).unwrap();
}

#[test]
fn raising_a_share_moves_callers_one_way_only() {
    let mut chain = two_versions();
    start(&mut chain, 0).unwrap();
    let mut answered: Vec<Address> = Vec::new();
    for basis_points in [0, 100, 2_500, 5_000, 9_999, 10_000] {
        let (name, reason) = ("bank".into(), String::new());
        let raise = N::setCanaryWeightCall { name, basisPoints: basis_points, reason };
        chain.call_as(ANN, ADDRESS, &raise).unwrap();
        let now: Vec<_> = callers().filter(|caller| answer(&mut chain, *caller) == Some(Route::To(SECOND))).collect();
        assert!(answered.iter().all(|caller| now.contains(caller)), "somebody went back");
        let expected = 200 * usize::from(basis_points) / 10_000;
        assert!(now.len().abs_diff(expected) < 25, "{} of 200 for {basis_points}", now.len());
        answered = now;
    }
    assert_eq!(answered.len(), 200);
    let much = N::setCanaryWeightCall { name: "bank".into(), basisPoints: 10_001, reason: String::new() };
    assert_eq!(reverted::<N::InvalidWeight>(chain.call_as(ANN, ADDRESS, &much)).basisPoints, 10_001);
}

#[test]
fn listed_callers_are_always_answered_by_the_canary() {
    let mut chain = two_versions();
    let list = |callers, listed| N::setCanaryCallersCall { name: "bank".into(), callers, listed };
    let none = chain.call_as(ANN, ADDRESS, &list(vec![BEN], true));
    assert_eq!(reverted::<N::NoCanary>(none).node, node_of("bank"));
    start(&mut chain, 0).unwrap();
    chain.call_as(ANN, ADDRESS, &list(vec![BEN, STRANGER], true)).unwrap();
    assert_eq!(answer(&mut chain, BEN), Some(Route::To(SECOND)));
    assert_eq!(answer(&mut chain, ANN), Some(Route::To(FIRST)));
    chain.call_as(ANN, ADDRESS, &list(vec![BEN], false)).unwrap();
    assert_eq!(answer(&mut chain, BEN), Some(Route::To(FIRST)));
    let all = N::canaryCallersCall { name: "bank".into(), from: U256::ZERO, limit: U256::MAX };
    assert_eq!(chain.call(ADDRESS, &all).unwrap(), [STRANGER]);
    let many = chain.call_as(ANN, ADDRESS, &list(vec![BEN; 101], true));
    assert_eq!(reverted::<N::TooMany>(many).limit, U256::from(100));

    // The next canary begins without them.
    chain.call_as(ANN, ADDRESS, &N::abortCanaryCall { name: "bank".into(), reason: String::new() }).unwrap();
    assert_eq!(chain.call(ADDRESS, &all).unwrap(), [] as [Address; 0]);
    start(&mut chain, 0).unwrap();
    assert_eq!(answer(&mut chain, STRANGER), Some(Route::To(FIRST)));
    chain.gas = 100_000_000;
    for part in
        callers().chain((1..=800_u64).map(|n| Address::from_word(U256::from(n).into()))).collect::<Vec<_>>().chunks(100)
    {
        chain.call_as(ANN, ADDRESS, &list(part.to_vec(), true)).unwrap();
    }
    let error = reverted::<N::TooMany>(chain.call_as(ANN, ADDRESS, &list(vec![BEN], true)));
    assert_eq!((error.count, error.limit), (U256::from(1_001), U256::from(1_000)));
}

#[test]
fn a_held_canary_stays_as_it_is_until_it_is_released_or_aborted() {
    let mut chain = two_versions();
    start(&mut chain, 5_000).unwrap();
    let (name, reason) = (|| "bank".to_owned(), String::new);
    chain.call_as(ANN, ADDRESS, &N::holdCanaryCall { name: name(), reason: "audit".into() }).unwrap();
    let held = chain.clone();
    let weight = N::setCanaryWeightCall { name: name(), basisPoints: 1, reason: reason() };
    reverted::<N::CanaryIsHeld>(chain.call_as(ANN, ADDRESS, &weight));
    let list = N::setCanaryCallersCall { name: name(), callers: vec![BEN], listed: true };
    reverted::<N::CanaryIsHeld>(chain.call_as(ANN, ADDRESS, &list));
    let rule = N::setCanaryRuleCall { name: name(), rule: ONE, reason: reason() };
    reverted::<N::CanaryIsHeld>(chain.call_as(ANN, ADDRESS, &rule));
    reverted::<N::CanaryIsHeld>(chain.call_as(ANN, ADDRESS, &N::holdCanaryCall { name: name(), reason: reason() }));
    let finish = N::finishCanaryCall { name: name(), reason: reason() };
    reverted::<N::CanaryIsHeld>(chain.call_as(ANN, ADDRESS, &finish));
    assert_eq!(chain, held);
    let shown = find(&mut chain).canary;
    assert_eq!((shown.version.as_str(), shown.basisPoints, shown.held), ("2.0-rc+1", 5_000, true));
    // There is a way out at any time.
    let mut aborted = chain.clone();
    aborted.call_as(ANN, ADDRESS, &N::abortCanaryCall { name: name(), reason: reason() }).unwrap();
    assert!(callers().all(|caller| answer(&mut aborted, caller) == Some(Route::To(FIRST))));

    let release = N::releaseCanaryCall { name: name(), reason: reason() };
    chain.call_as(ANN, ADDRESS, &release).unwrap();
    reverted::<N::CanaryNotHeld>(chain.call_as(ANN, ADDRESS, &release));
    chain.call_as(ANN, ADDRESS, &weight).unwrap();
    chain.call_as(ANN, ADDRESS, &finish).unwrap();
    assert!(callers().all(|caller| answer(&mut chain, caller) == Some(Route::To(SECOND))));
    assert_eq!(find(&mut chain).canary.version, "");
    reverted::<N::NoCanary>(chain.call_as(ANN, ADDRESS, &finish));
}

#[test]
fn what_answers_changes_by_the_canary_alone_while_there_is_one() {
    let mut chain = two_versions();
    assert_eq!(
        reverted::<N::AlreadyCurrent>({
            let (name, version, reason) = ("bank".into(), "1.0".into(), String::new());
            chain.call_as(ANN, ADDRESS, &N::startCanaryCall { name, version, basisPoints: 1, reason })
        })
        .version,
        "1.0"
    );
    start(&mut chain, 1).unwrap();
    reverted::<N::CanaryRunning>(start(&mut chain, 1));
    reverted::<N::CanaryRunning>(switch_to(&mut chain, ANN, "2.0-rc+1"));
    reverted::<N::CanaryRunning>(rollback(&mut chain, "2.0-rc+1"));
    publish(&mut chain, ANN, publication("3", ONE)).unwrap();
}

#[test]
fn a_rule_decides_in_place_of_the_share_but_not_about_listed_callers() {
    let mut chain = two_versions();
    start(&mut chain, 10_000).unwrap();
    let rule = |rule| N::setCanaryRuleCall { name: "bank".into(), rule, reason: String::new() };
    assert_eq!(reverted::<N::InvalidTarget>(chain.call_as(ANN, ADDRESS, &rule(BEN))).target, BEN);
    chain.call_as(ANN, ADDRESS, &rule(ONE)).unwrap();
    let asked = Route::Rule { rule: ONE, current: FIRST, candidate: SECOND };
    assert_eq!(answer(&mut chain, BEN), Some(asked));
    let callers = N::setCanaryCallersCall { name: "bank".into(), callers: vec![BEN], listed: true };
    chain.call_as(ANN, ADDRESS, &callers).unwrap();
    assert_eq!(answer(&mut chain, BEN), Some(Route::To(SECOND)));
    let told = chain.call(ADDRESS, &N::answerCall { name: "bank".into(), caller: ANN }).unwrap();
    assert_eq!((told.text.as_str(), told.target, told.rule), ("1.0", ONE, ONE));
    chain.call_as(ANN, ADDRESS, &rule(Address::ZERO)).unwrap();
    assert_eq!(answer(&mut chain, ANN), Some(Route::To(SECOND)));
}

#[test]
fn names_are_listed_in_the_order_of_registration() {
    let mut chain = chain();
    for name in ["b", "a", "工行"] {
        register(&mut chain, ANN, name).unwrap();
    }
    let page = |from: u64, limit| N::namesCall { from: U256::from(from), limit };
    let mut names = |page: N::namesCall| -> Vec<_> {
        chain.call(ADDRESS, &page).unwrap().into_iter().map(|name| name.name).collect()
    };
    assert_eq!(names(page(0, U256::MAX)), ["b", "a", "工行"]);
    assert_eq!(names(page(1, U256::ONE)), ["a"]);
    assert!(names(page(3, U256::ONE)).is_empty());
    assert_eq!(chain.call(ADDRESS, &N::countCall {}).unwrap(), U256::from(3));
}

#[test]
fn a_plain_call_reads_one_slot() {
    let mut chain = two_versions();
    chain.accesses = crate::chain::Accesses::default();
    answer(&mut chain, BEN);
    assert_eq!(chain.accesses.loaded.len(), 1);
    start(&mut chain, 5_000).unwrap();
    chain.accesses = crate::chain::Accesses::default();
    answer(&mut chain, BEN);
    assert_eq!(chain.accesses.loaded.len(), 2);
}

#[test]
fn nothing_is_changed_in_a_static_call() {
    let mut chain = chain();
    let call = N::registerCall { name: "bank".into(), kind: Kind::StateKeeping };
    assert_eq!(chain.static_call(ADDRESS, &call), Err(Failure::Halt(Halt::Static)));
    assert!(chain.static_call(ADDRESS, &N::countCall {}).is_ok());
}

fn dns(name: &str) -> Bytes {
    let mut bytes: Vec<u8> =
        name.split('.').flat_map(|label| [&[u8::try_from(label.len()).unwrap()], label.as_bytes()].concat()).collect();
    bytes.push(0);
    bytes.into()
}

#[test]
fn ens_finds_aliases_and_their_names() {
    let mut chain = two_versions();
    register(&mut chain, ANN, "pay.bank").unwrap();
    let (node, other) = (node_of("bank"), node_of("nobody"));
    assert_eq!(chain.call(ADDRESS, &N::resolverCall { node }).unwrap(), ADDRESS);
    assert_eq!(chain.call(ADDRESS, &N::resolverCall { node: other }).unwrap(), Address::ZERO);
    assert_eq!(chain.call(ADDRESS, &N::ownerCall { node }).unwrap(), ANN);
    assert!(chain.call(ADDRESS, &N::recordExistsCall { node }).unwrap());
    assert_eq!(chain.call(ADDRESS, &N::addr_0Call { node }).unwrap(), alias(node));
    assert_eq!(chain.call(ADDRESS, &N::addr_0Call { node: other }).unwrap(), Address::ZERO);
    let coin = |coin_type: u64| N::addr_1Call { node, coinType: U256::from(coin_type) };
    assert_eq!(chain.call(ADDRESS, &coin(60)).unwrap(), Bytes::copy_from_slice(alias(node).as_slice()));
    assert_eq!(chain.call(ADDRESS, &coin(0)).unwrap(), Bytes::new());
    let abi = |types: u64| N::ABICall { node, contentTypes: U256::from(types) };
    let found = chain.call(ADDRESS, &abi(3)).unwrap();
    assert_eq!((found._0, found._1), (U256::ONE, Bytes::from_static(b"[]")));
    assert_eq!(chain.call(ADDRESS, &abi(2)).unwrap()._0, U256::ZERO);
    let texts = [("kind", "state-keeping"), ("version", "1.0"), ("description", "notes on 1.0"), ("url", "")];
    for (key, text) in texts {
        assert_eq!(chain.call(ADDRESS, &N::textCall { node, key: key.into() }).unwrap(), text);
    }
    for (id, is_supported) in [([0x01, 0xff, 0xc9, 0xa7], true), ([0x90, 0x61, 0xb9, 0x23], true), ([0xff; 4], false)] {
        let call = N::supportsInterfaceCall { interfaceId: FixedBytes(id) };
        assert_eq!(chain.call(ADDRESS, &call).unwrap(), is_supported);
    }

    let reverse = namehash([format!("{:x}", alias(node)).as_bytes(), b"addr", b"reverse"].into_iter());
    assert_eq!(chain.call(ADDRESS, &N::nameCall { node: reverse }).unwrap(), "bank");
    assert_eq!(chain.call(ADDRESS, &N::resolverCall { node: reverse }).unwrap(), ADDRESS);
    let of = |account: Address| N::reverseWithGatewaysCall {
        account: Bytes::copy_from_slice(account.as_slice()),
        coinType: U256::from(60),
        gateways: vec!["x-batch-gateway:true".into()],
    };
    let found = chain.call(ADDRESS, &of(alias(node))).unwrap();
    assert_eq!((found._0.as_str(), found._1, found._2), ("bank", ADDRESS, ADDRESS));
    assert_eq!(chain.call(ADDRESS, &of(ANN)).unwrap()._0, "");
}

#[test]
fn ens_resolves_by_names_in_the_encoding_of_dns() {
    let mut chain = two_versions();
    register(&mut chain, ANN, "pay.工行.bank").unwrap();
    let resolve = |name: &str, data: Vec<u8>| N::resolveCall { dnsName: dns(name), data: data.into() };
    for name in ["bank", "pay.工行.bank"] {
        let node = node_of(name);
        let found = chain.call(ADDRESS, &resolve(name, N::addr_0Call { node }.abi_encode())).unwrap();
        assert_eq!(N::addr_0Call::abi_decode_returns(&found._0).unwrap(), alias(node));
        assert_eq!(found._1, ADDRESS);
    }
    let node = node_of("nobody");
    let unknown = chain.call(ADDRESS, &resolve("nobody", N::addr_0Call { node }.abi_encode()));
    assert_eq!(reverted::<N::ResolverNotFound>(unknown).name, dns("nobody"));
    for data in [N::countCall {}.abi_encode(), vec![1, 2, 3, 4], vec![]] {
        let unsupported = chain.call(ADDRESS, &resolve("bank", data.clone()));
        let mut selector = [0; 4];
        selector[..data.len().min(4)].copy_from_slice(&data[..data.len().min(4)]);
        assert_eq!(reverted::<N::UnsupportedResolverProfile>(unsupported).selector, FixedBytes(selector));
    }
    let torn = N::findResolverCall { dnsName: Bytes::from_static(b"\x04ban") };
    reverted::<N::ResolverNotFound>(chain.call(ADDRESS, &torn));
    let found = chain.call(ADDRESS, &N::findResolverCall { dnsName: dns("bank") }).unwrap();
    assert_eq!((found._0, found._1, found._2), (ADDRESS, node_of("bank"), U256::ZERO));
    // `addr.reverse` is where ENS has it.
    let known = b256!("91d1777781884d03a6757a803996e38de2a42967fb37eeaca72729271025a9e2");
    assert_eq!(namehash([b"addr".as_slice(), b"reverse"].into_iter()), known);
}
