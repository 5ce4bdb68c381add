//! 0x2001.

use crate::chain::{Chain, OPERATOR, STRANGER, key, reverted};
use alloy_primitives::{Bytes, U256};
use alloy_sol_types::SolEvent;
use lian_system_contracts::{
    Failure, configuration,
    interfaces::{IConfiguration, IMembers as M},
    members::{ADDRESS, epoch_at, schedule},
};
use lian_types::{BlockNumber, ConsensusKey, ConsensusParameters, Epoch};

fn chain(sealers: u8) -> Chain {
    Chain::new(sealers, ConsensusParameters::default())
}

fn add(chain: &mut Chain, number: u8) -> Result<(), Failure> {
    let call = M::addNodeCall {
        name: format!("node{number}"),
        institution: "bank".into(),
        key: key(number).0.to_vec().into(),
        endpoint: format!("10.0.0.{number}:30300"),
    };
    chain.call(ADDRESS, &call).map(drop)
}

fn role(chain: &mut Chain, number: u8, role: M::Role) -> Result<(), Failure> {
    chain.call(ADDRESS, &M::setRoleCall { name: format!("node{number}"), role }).map(drop)
}

fn keys(numbers: impl IntoIterator<Item = u8>) -> Vec<ConsensusKey> {
    numbers.into_iter().map(key).collect()
}

#[test]
fn genesis_is_the_first_epoch() {
    let mut chain = chain(4);
    let found = schedule(&mut chain.reader()).unwrap();
    assert_eq!(found.current, found.next);
    assert_eq!((found.current.epoch, found.current.first), (Epoch(0), BlockNumber(0)));
    assert_eq!(found.current.keys, keys(0..4));
    let nodes = chain.call(ADDRESS, &M::nodesCall {}).unwrap();
    let roles: Vec<_> = nodes.iter().map(|node| (node.name.as_str(), node.role as u8)).collect();
    assert_eq!(roles, [("node0", 3), ("node1", 3), ("node2", 3), ("node3", 3), ("node4", 2)]);
    assert_eq!(chain.call(ADDRESS, &M::institutionsCall {}).unwrap(), ["bank"]);
}

#[test]
fn a_new_sealer_acts_a_window_later() {
    let mut chain = chain(4);
    chain.block = 50;
    add(&mut chain, 9).unwrap();
    let node = chain.call(ADDRESS, &M::nodeCall { name: "node9".into() }).unwrap();
    assert_eq!((node.role as u8, node.endpoint.as_str()), (1, "10.0.0.9:30300"));
    assert_eq!(schedule(&mut chain.reader()).unwrap().next.epoch, Epoch(0), "a candidate does not seal");
    role(&mut chain, 9, M::Role::Sealer).unwrap();
    let found = schedule(&mut chain.reader()).unwrap();
    assert_eq!((found.current.epoch, found.current.keys), (Epoch(0), keys(0..4)));
    assert_eq!((found.next.epoch, found.next.first), (Epoch(1), BlockNumber(58)));
    assert_eq!(found.next.keys, keys([0, 1, 2, 3, 9]));
    let event = M::EpochScheduled::decode_log_data(chain.logs.last().unwrap()).unwrap();
    assert_eq!((event.epoch, event.first), (1, 58));
    let epochs = chain.call(ADDRESS, &M::epochsCall {}).unwrap();
    assert_eq!((epochs.current.epoch, epochs.next.epoch), (0, 1));
    chain.block = 58;
    let epochs = chain.call(ADDRESS, &M::epochsCall {}).unwrap();
    assert_eq!((epochs.current.epoch, epochs.next.epoch), (1, 1));
}

/// Changes of one block are one change; another one waits until it acts.
#[test]
fn one_change_at_a_time() {
    let mut chain = chain(4);
    chain.block = 50;
    role(&mut chain, 4, M::Role::Sealer).unwrap();
    role(&mut chain, 0, M::Role::Observer).unwrap();
    let found = schedule(&mut chain.reader()).unwrap();
    assert_eq!((found.next.epoch, found.next.keys), (Epoch(1), keys([1, 2, 3, 4])));
    assert_eq!(found.current.keys, keys(0..4));
    for block in [51, 57] {
        chain.block = block;
        let before = chain.clone();
        assert_eq!(reverted::<M::ChangePending>(role(&mut chain, 1, M::Role::Observer)).until, 58);
        assert_eq!(chain, before);
        // What does not concern sealers goes on.
        chain.call(ADDRESS, &M::setEndpointCall { name: "node1".into(), endpoint: "host:1".into() }).unwrap();
    }
    chain.block = 58;
    role(&mut chain, 1, M::Role::Observer).unwrap();
    let found = schedule(&mut chain.reader()).unwrap();
    assert_eq!(
        (found.current.epoch, found.current.first, found.current.keys),
        (Epoch(1), BlockNumber(58), keys([1, 2, 3, 4]))
    );
    assert_eq!((found.next.epoch, found.next.first, found.next.keys), (Epoch(2), BlockNumber(66), keys([2, 3, 4])));
}

/// The digest of the members in a block's extension is what shows a change: an epoch of the same members must not begin.
#[test]
fn changes_of_one_block_that_undo_each_other_are_none() {
    let mut chain = chain(4);
    chain.block = 50;
    let before = schedule(&mut chain.reader()).unwrap();
    role(&mut chain, 4, M::Role::Sealer).unwrap();
    assert_eq!(schedule(&mut chain.reader()).unwrap().next.epoch, Epoch(1));
    role(&mut chain, 4, M::Role::Observer).unwrap();
    assert_eq!(schedule(&mut chain.reader()).unwrap(), before);
    // Nor does a call that names a node twice begin one.
    let names = vec!["node0".to_owned(); 2];
    let roles = vec![M::Role::Observer, M::Role::Sealer];
    chain.call(ADDRESS, &M::setRolesCall { names, roles }).unwrap();
    assert_eq!(schedule(&mut chain.reader()).unwrap(), before);
    // Another change in the same block is free to come.
    role(&mut chain, 4, M::Role::Sealer).unwrap();
    assert_eq!(schedule(&mut chain.reader()).unwrap().next.keys, keys(0..5));
}

/// Every certificate of the past can be checked by what the newest state says.
#[test]
fn the_members_of_every_block_stay_known() {
    let mut chain = chain(4);
    for (block, number, to) in [(10, 4, M::Role::Sealer), (18, 0, M::Role::Observer), (40, 0, M::Role::Sealer)] {
        chain.block = block;
        role(&mut chain, number, to).unwrap();
    }
    let cases = [
        (0, 0, keys(0..4)),
        (17, 0, keys(0..4)),
        (18, 1, keys(0..5)),
        (25, 1, keys(0..5)),
        (26, 2, keys(1..5)),
        (47, 2, keys(1..5)),
        (48, 3, keys(0..5)),
        (u64::MAX, 3, keys(0..5)),
    ];
    for (block, epoch, keys) in cases {
        let found = epoch_at(&mut chain.reader(), BlockNumber(block)).unwrap();
        assert_eq!((found.epoch, found.keys), (Epoch(epoch), keys), "block {block}");
    }
}

/// 1 → 4 → 7 → 10 and back, each step by one call.
#[test]
fn grows_and_shrinks() {
    let mut chain = chain(1);
    chain.block = 10;
    for number in 2..10 {
        add(&mut chain, number).unwrap();
    }
    for (numbers, to, count) in [
        (1..4, M::Role::Sealer, 4),
        (4..7, M::Role::Sealer, 7),
        (7..10, M::Role::Sealer, 10),
        (7..10, M::Role::Observer, 7),
        (4..7, M::Role::Observer, 4),
        (1..4, M::Role::Observer, 1),
    ] {
        chain.block += 100;
        let names: Vec<_> = numbers.map(|number| format!("node{number}")).collect();
        let roles = vec![to; names.len()];
        chain.call(ADDRESS, &M::setRolesCall { names, roles }).unwrap();
        let found = schedule(&mut chain.reader()).unwrap().next;
        assert_eq!((found.keys, found.first.0), (keys(0..count), chain.block + 8));
    }
    chain.block += 100;
    assert_eq!(reverted::<M::LastSealer>(role(&mut chain, 0, M::Role::Candidate)).name, "node0");
}

#[test]
fn what_cannot_be_is_refused_by_name() {
    let mut chain = chain(4);
    let before = chain.clone();
    let node = |name: &str, institution: &str, key: &[u8], endpoint: &str| M::addNodeCall {
        name: name.into(),
        institution: institution.into(),
        key: Bytes::copy_from_slice(key),
        endpoint: endpoint.into(),
    };
    let new = key(9).0;
    for name in ["", "a b", "a/b", "名", &"x".repeat(65)] {
        assert_eq!(reverted::<M::InvalidName>(chain.call(ADDRESS, &node(name, "bank", &new, ""))).name, name);
    }
    for endpoint in ["host", ":1", "host:", "host:70000", "ho st:1", "a\u{1b}:1"] {
        let error = reverted::<M::InvalidEndpoint>(chain.call(ADDRESS, &node("n", "bank", &new, endpoint)));
        assert_eq!(error.endpoint, endpoint);
    }
    let mut weak = [0; 33];
    weak[0] = ConsensusKey::ED25519;
    weak[1] = 1;
    for bad in [&new[..32], &[0; 33], &weak] {
        assert_eq!(reverted::<M::InvalidKey>(chain.call(ADDRESS, &node("n", "bank", bad, ""))).key.as_ref(), bad);
    }
    let error = reverted::<M::UnknownInstitution>(chain.call(ADDRESS, &node("n", "nobody", &new, "")));
    assert_eq!(error.name, "nobody");
    assert_eq!(reverted::<M::NodeExists>(chain.call(ADDRESS, &node("node0", "bank", &new, ""))).name, "node0");
    let used = key(0).0;
    assert_eq!(reverted::<M::KeyInUse>(chain.call(ADDRESS, &node("n", "bank", &used, ""))).key.as_ref(), used);
    let unknown = chain.call(ADDRESS, &M::setRoleCall { name: "nobody".into(), role: M::Role::Sealer });
    assert_eq!(reverted::<M::UnknownNode>(unknown).name, "nobody");
    assert_eq!(reverted::<M::InvalidRole>(role(&mut chain, 0, M::Role::None)).role as u8, 0);
    let again = chain.call(ADDRESS, &M::addInstitutionCall { name: "bank".into() });
    assert_eq!(reverted::<M::InstitutionExists>(again).name, "bank");
    let stranger = chain.call_as(STRANGER, ADDRESS, &M::addInstitutionCall { name: "other".into() });
    assert_eq!(reverted::<M::NotAuthorized>(stranger).caller, STRANGER);
    assert_eq!(chain, before, "refused calls change nothing");
    chain.call_as(OPERATOR, ADDRESS, &M::addInstitutionCall { name: "other".into() }).unwrap();
    chain.call(ADDRESS, &node("n", "other", &new, "")).unwrap();
}

/// More sealers need larger messages; blocks as large as they may be would not leave room.
#[test]
fn sealers_must_be_able_to_change_the_view() {
    let parameters = ConsensusParameters { window: 50, ..ConsensusParameters::default() };
    let mut chain = Chain::new(4, parameters);
    for number in 5..120 {
        add(&mut chain, number).unwrap();
    }
    let all = |chain: &mut Chain| {
        let names: Vec<_> = (5..120).map(|number| format!("node{number}")).collect();
        let roles = vec![M::Role::Sealer; names.len()];
        chain.call(ADDRESS, &M::setRolesCall { names, roles }).map(drop)
    };
    chain.gas = 100_000_000;
    let error = reverted::<M::TooMany>(all(&mut chain));
    assert_eq!(error.count.to::<u64>(), 119);
    assert!(error.limit.to::<u64>() < 50, "{}", error.limit);
    // Smaller blocks leave room for more, but not before the larger ones are no longer made.
    let smaller = IConfiguration::setCall { name: "block_transactions_max".into(), value: U256::from(100) };
    chain.call(configuration::ADDRESS, &smaller).unwrap();
    assert_eq!(reverted::<M::TooMany>(all(&mut chain)).limit, error.limit);
}
