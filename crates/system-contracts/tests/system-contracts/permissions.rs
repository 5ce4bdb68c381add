//! 0x2003 step by step: who may decide what, and what follows from it for calls.

use crate::chain::{Chain, OPERATOR, STRANGER, reverted};
use crate::committee::{establish, member};
use alloy_primitives::{Address, B256, Bytes, FixedBytes, U256, address, keccak256};
use alloy_sol_types::{SolCall, SolError};
use lian_system_contracts::{
    Failure, committee, configuration,
    interfaces::IPermissions::{self as P, Policy},
    members,
    permissions::{
        ADDRESS, Because, CallQuestion, Denial, Judgement, Listed, is_frozen_sender, judge_call, judge_creation,
    },
};
use lian_types::ConsensusParameters;

const ANN: Address = address!("a000000000000000000000000000000000000001");
const BEN: Address = address!("b000000000000000000000000000000000000002");
const SHOP: Address = address!("c000000000000000000000000000000000000003");
const PAY: FixedBytes<4> = FixedBytes([1, 2, 3, 4]);
const LOOK: FixedBytes<4> = FixedBytes([5, 6, 7, 8]);
const ALL: FixedBytes<4> = FixedBytes([0xff; 4]);

fn chain() -> Chain {
    Chain::new(4, ConsensusParameters::default())
}

fn grant(chain: &mut Chain, by: Address, role: &str, account: Address) -> Result<(), Failure> {
    let call = P::grantRoleCall { role: role.into(), account, reason: "minutes 7".into() };
    chain.call_as(by, ADDRESS, &call).map(drop)
}

fn revoke(chain: &mut Chain, by: Address, role: &str, account: Address) -> Result<(), Failure> {
    let call = P::revokeRoleCall { role: role.into(), account, reason: String::new() };
    chain.call_as(by, ADDRESS, &call).map(drop)
}

fn freeze(chain: &mut Chain, by: Address, target: Address) -> Result<(), Failure> {
    chain.call_as(by, ADDRESS, &P::freezeCall { target, reason: "court order 3".into() }).map(drop)
}

fn thaw(chain: &mut Chain, by: Address, target: Address) -> Result<(), Failure> {
    chain.call_as(by, ADDRESS, &P::thawCall { target, reason: String::new() }).map(drop)
}

fn set_policy(
    chain: &mut Chain,
    by: Address,
    target: Address,
    method: FixedBytes<4>,
    policy: Policy,
) -> Result<(), Failure> {
    chain.call_as(by, ADDRESS, &P::setPolicyCall { target, method, policy }).map(drop)
}

fn list(chain: &mut Chain, method: FixedBytes<4>, account: Address, listed: bool) {
    let call = P::listAccountsCall { target: SHOP, method, accounts: vec![account], listed };
    chain.call(ADDRESS, &call).unwrap();
}

fn list_role(chain: &mut Chain, method: FixedBytes<4>, role: &str, listed: bool) {
    let call = P::listRoleCall { target: SHOP, method, role: role.into(), listed };
    chain.call(ADDRESS, &call).unwrap();
}

fn judge(chain: &mut Chain, caller: Address, target: Address, method: FixedBytes<4>) -> Judgement {
    judge_call(&mut chain.reader(), &CallQuestion { caller, target, method }).unwrap()
}

fn may_call(chain: &mut Chain, caller: Address, target: Address, method: FixedBytes<4>) -> bool {
    let judgement = judge(chain, caller, target, method);
    let answer = chain.call_as(STRANGER, ADDRESS, &P::verdictCall { caller, target, method }).unwrap();
    assert_eq!(answer.allowed, judgement.denial.is_none());
    assert_eq!(answer.revertData, judgement.denial.map(|denial| denial.revert_data()).unwrap_or_default());
    answer.allowed
}

fn may_create(chain: &mut Chain, creator: Address) -> bool {
    let created = creator.create(0);
    let judgement = judge_creation(&mut chain.reader(), creator, created).unwrap();
    let answer = chain.call_as(STRANGER, ADDRESS, &P::verdictOnCreationCall { creator, created }).unwrap();
    assert_eq!(answer.allowed, judgement.denial.is_none());
    answer.allowed
}

fn standing(chain: &mut Chain, target: Address) -> P::Standing {
    chain.call_as(STRANGER, ADDRESS, &P::standingCall { target }).unwrap()
}

fn digest(chain: &mut Chain) -> B256 {
    chain.call_as(STRANGER, ADDRESS, &P::digestCall {}).unwrap()
}

#[test]
fn at_first_everybody_may_do_everything() {
    let mut chain = chain();
    assert!(may_call(&mut chain, ANN, SHOP, PAY) && may_create(&mut chain, ANN));
    assert_eq!(digest(&mut chain), B256::ZERO);
    assert!(chain.slots_of(ADDRESS).is_empty());
    let names: Vec<_> =
        chain.call(ADDRESS, &P::rolesCall {}).unwrap().into_iter().map(|role| (role.name, role.grantor)).collect();
    let expected = ["committee", "operator", "regulator", "auditor", "deployer", "user"];
    assert_eq!(names, expected.map(|name| (name.to_owned(), String::new())));
}

#[test]
fn roles_are_granted_by_the_governing_body_and_by_who_holds_the_grantor() {
    let mut chain = chain();
    let error: P::NotAuthorized = reverted(grant(&mut chain, ANN, "user", BEN));
    assert_eq!(error.caller, ANN);
    grant(&mut chain, OPERATOR, "operator", ANN).unwrap();
    let set = P::setGrantorCall { role: "user".into(), grantor: "operator".into() };
    reverted::<P::NotAuthorized>(chain.call_as(ANN, ADDRESS, &set));
    chain.call(ADDRESS, &set).unwrap();
    grant(&mut chain, ANN, "user", BEN).unwrap();
    reverted::<P::NotAuthorized>(grant(&mut chain, BEN, "user", STRANGER));
    reverted::<P::NotAuthorized>(grant(&mut chain, ANN, "auditor", BEN));
    let has = |chain: &mut Chain, role: &str, account| {
        chain.call_as(STRANGER, ADDRESS, &P::hasRoleCall { role: role.into(), account }).unwrap()
    };
    assert!(has(&mut chain, "user", BEN) && !has(&mut chain, "user", ANN) && !has(&mut chain, "operator", BEN));
    assert_eq!(standing(&mut chain, BEN).roles, ["user"]);

    let before = digest(&mut chain);
    grant(&mut chain, ANN, "user", BEN).unwrap();
    assert_eq!(digest(&mut chain), before, "granting what one has is no change");

    freeze(&mut chain, OPERATOR, ANN).unwrap();
    reverted::<P::NotAuthorized>(revoke(&mut chain, ANN, "user", BEN));
    thaw(&mut chain, OPERATOR, ANN).unwrap();
    revoke(&mut chain, ANN, "user", BEN).unwrap();
    assert!(!has(&mut chain, "user", BEN));
    chain.call(ADDRESS, &P::setGrantorCall { role: "user".into(), grantor: String::new() }).unwrap();
    reverted::<P::NotAuthorized>(grant(&mut chain, ANN, "user", BEN));
}

#[test]
fn a_chain_has_roles_of_its_own() {
    let mut chain = chain();
    let add = |chain: &mut Chain, by, role: &str| chain.call_as(by, ADDRESS, &P::addRoleCall { role: role.into() });
    reverted::<P::NotAuthorized>(add(&mut chain, ANN, "teller"));
    for role in ["", "Teller", "a role", "é", &"a".repeat(33)] {
        let error: P::InvalidRole = reverted(add(&mut chain, OPERATOR, role));
        assert_eq!(error.role, role);
    }
    for number in 6..256 {
        add(&mut chain, OPERATOR, &format!("role-{number}")).unwrap();
    }
    let error: P::TooMany = reverted(add(&mut chain, OPERATOR, "one-more"));
    assert_eq!((error.count, error.limit), (U256::from(257), U256::from(256)));
    reverted::<P::RoleExists>(add(&mut chain, OPERATOR, "role-77"));
    reverted::<P::RoleExists>(add(&mut chain, OPERATOR, "committee"));
    for role in ["role-6", "role-255", "user"] {
        grant(&mut chain, OPERATOR, role, ANN).unwrap();
    }
    assert_eq!(standing(&mut chain, ANN).roles, ["user", "role-6", "role-255"]);
    reverted::<P::UnknownRole>(grant(&mut chain, OPERATOR, "role-5", ANN));
    assert_eq!(chain.call(ADDRESS, &P::rolesCall {}).unwrap().last().unwrap().name, "role-255");
}

#[test]
fn holders_are_listed_in_pages() {
    let mut chain = chain();
    let account = |number: u64| Address::from_word(B256::from(keccak256(number.to_be_bytes())));
    for number in 0..5 {
        grant(&mut chain, OPERATOR, "user", account(number)).unwrap();
    }
    revoke(&mut chain, OPERATOR, "user", account(1)).unwrap();
    let page = |chain: &mut Chain, from: u64, limit: u64| {
        let call = P::holdersCall { role: "user".into(), from: U256::from(from), limit: U256::from(limit) };
        chain.call_as(STRANGER, ADDRESS, &call).unwrap()
    };
    assert_eq!(page(&mut chain, 0, 9), [0, 4, 2, 3].map(account));
    assert_eq!(page(&mut chain, 1, 2), [4, 2].map(account));
    assert_eq!(page(&mut chain, 4, 9), [] as [Address; 0]);
    let all = P::holdersCall { role: "user".into(), from: U256::MAX, limit: U256::MAX };
    assert_eq!(chain.call(ADDRESS, &all).unwrap(), [] as [Address; 0]);
}

#[test]
fn who_is_in_the_committee_has_its_role() {
    let mut chain = chain();
    reverted::<P::RoleNotGranted>(grant(&mut chain, OPERATOR, "committee", ANN));
    set_policy(&mut chain, OPERATOR, SHOP, ALL, Policy::AllowList).unwrap();
    list_role(&mut chain, ALL, "user", true);
    assert!(judge(&mut chain, ANN, SHOP, PAY).lasting);
    list_role(&mut chain, ALL, "committee", true);
    assert!(!may_call(&mut chain, ANN, SHOP, PAY));
    let before = digest(&mut chain);
    establish(&mut chain, vec![member(ANN, 1)], 50, 60).unwrap();
    assert_eq!(digest(&mut chain), before, "which is why such a verdict is not kept");
    assert!(!judge(&mut chain, ANN, SHOP, PAY).lasting);
    assert!(may_call(&mut chain, ANN, SHOP, PAY) && !may_call(&mut chain, BEN, SHOP, PAY));
    let call = P::holdersCall { role: "committee".into(), from: U256::ZERO, limit: U256::from(9) };
    assert_eq!(chain.call(ADDRESS, &call).unwrap(), [ANN]);
    reverted::<P::NotAuthorized>(grant(&mut chain, OPERATOR, "user", BEN));
    grant(&mut chain, committee::ADDRESS, "user", BEN).unwrap();
}

#[test]
fn what_is_frozen_calls_nothing_and_is_not_called() {
    let mut chain = chain();
    reverted::<P::NotAuthorized>(freeze(&mut chain, ANN, SHOP));
    grant(&mut chain, OPERATOR, "regulator", ANN).unwrap();
    freeze(&mut chain, ANN, SHOP).unwrap();
    assert!(standing(&mut chain, SHOP).frozen);
    for (caller, target) in [(BEN, SHOP), (SHOP, BEN), (SHOP, SHOP)] {
        assert!(!may_call(&mut chain, caller, target, PAY));
        assert_eq!(judge(&mut chain, caller, target, PAY).denial, Some(Denial::Frozen(SHOP)));
    }
    let precompiled = Address::with_last_byte(4);
    assert!(!may_call(&mut chain, SHOP, precompiled, PAY) && may_call(&mut chain, BEN, precompiled, PAY));
    assert!(!may_call(&mut chain, SHOP, lian_system_contracts::assets::ADDRESS, PAY));
    assert!(!may_create(&mut chain, SHOP) && may_create(&mut chain, BEN));
    let there = judge_creation(&mut chain.reader(), BEN, SHOP).unwrap().denial;
    assert_eq!(there, Some(Denial::Frozen(SHOP)), "nor is it created again");
    for governance in [configuration::ADDRESS, members::ADDRESS, ADDRESS, committee::ADDRESS] {
        assert!(may_call(&mut chain, SHOP, governance, PAY), "so that no mistake is for ever");
        reverted::<P::InvalidTarget>(freeze(&mut chain, OPERATOR, governance));
        assert!(!is_frozen_sender(&mut chain.reader(), SHOP, Some(governance)).unwrap());
    }
    for to in [Some(BEN), Some(precompiled), Some(lian_system_contracts::assets::ADDRESS), None] {
        assert!(is_frozen_sender(&mut chain.reader(), SHOP, to).unwrap());
        assert!(!is_frozen_sender(&mut chain.reader(), BEN, to).unwrap());
    }
    thaw(&mut chain, ANN, SHOP).unwrap();
    assert!(!is_frozen_sender(&mut chain.reader(), SHOP, None).unwrap());
    assert!(may_call(&mut chain, BEN, SHOP, PAY) && may_create(&mut chain, SHOP));
    assert_eq!(reverted::<P::NotFrozen>(thaw(&mut chain, ANN, SHOP)).target, SHOP);

    freeze(&mut chain, OPERATOR, ANN).unwrap();
    reverted::<P::NotAuthorized>(thaw(&mut chain, ANN, ANN));
    reverted::<P::NotAuthorized>(freeze(&mut chain, ANN, SHOP));
    thaw(&mut chain, OPERATOR, ANN).unwrap();
    freeze(&mut chain, ANN, SHOP).unwrap();
}

#[test]
fn reasons_are_bounded_and_told() {
    let mut chain = chain();
    let reason = "x".repeat(257);
    let error: P::ReasonTooLong =
        reverted(chain.call(ADDRESS, &P::freezeCall { target: SHOP, reason: reason.clone() }));
    assert_eq!((error.length, error.limit), (U256::from(257), U256::from(256)));
    let long: [Result<(), Failure>; 3] = [
        chain.call(ADDRESS, &P::retireCall { target: SHOP, reason: reason.clone() }).map(drop),
        chain.call(ADDRESS, &P::restrictCreationCall { restricted: true, reason: reason.clone() }).map(drop),
        chain.call(ADDRESS, &P::grantRoleCall { role: "user".into(), account: ANN, reason }).map(drop),
    ];
    for refused in long {
        reverted::<P::ReasonTooLong>(refused);
    }
    freeze(&mut chain, OPERATOR, SHOP).unwrap();
    let log = chain.logs.last().unwrap();
    let event = <P::Frozen as alloy_sol_types::SolEvent>::decode_log_data(log).unwrap();
    assert_eq!((event.target, event.by, event.reason.as_str()), (SHOP, OPERATOR, "court order 3"));
}

#[test]
fn who_has_created_a_contract_may_claim_it() {
    let mut chain = chain();
    let target = ANN.create(7);
    let claim = |nonce| P::claimCall { target, nonce };
    let error: P::NotCreator = reverted(chain.call_as(ANN, ADDRESS, &claim(6)));
    assert_eq!((error.target, error.caller), (target, ANN));
    reverted::<P::NotCreator>(chain.call_as(BEN, ADDRESS, &claim(7)));
    reverted::<P::NotAuthorized>(set_policy(&mut chain, ANN, target, ALL, Policy::AllowList));
    chain.call_as(ANN, ADDRESS, &claim(7)).unwrap();
    set_policy(&mut chain, ANN, target, ALL, Policy::AllowList).unwrap();
    let error: P::HasAdministrator = reverted(chain.call_as(ANN, ADDRESS, &claim(7)));
    assert_eq!(error.administrator, ANN);

    let (salt, hash) = (B256::repeat_byte(1), B256::repeat_byte(2));
    let second = BEN.create2(salt, hash);
    let claim2 = P::claim2Call { target: second, salt, initCodeHash: hash };
    reverted::<P::NotCreator>(chain.call_as(ANN, ADDRESS, &claim2));
    freeze(&mut chain, OPERATOR, BEN).unwrap();
    reverted::<P::NotAuthorized>(chain.call_as(BEN, ADDRESS, &claim2));
    thaw(&mut chain, OPERATOR, BEN).unwrap();
    chain.call_as(BEN, ADDRESS, &claim2).unwrap();
    assert_eq!(standing(&mut chain, second).administrator, BEN);
}

#[test]
fn an_administrator_suspends_hands_over_and_retires() {
    let mut chain = chain();
    let set = |administrator| P::setAdministratorCall { target: SHOP, administrator };
    reverted::<P::NotAuthorized>(chain.call_as(ANN, ADDRESS, &set(ANN)));
    chain.call(ADDRESS, &set(ANN)).unwrap();
    let suspend = P::suspendCall { target: SHOP, reason: "upgrade".into() };
    reverted::<P::NotAuthorized>(chain.call_as(BEN, ADDRESS, &suspend));
    chain.call_as(ANN, ADDRESS, &suspend).unwrap();
    assert_eq!(judge(&mut chain, BEN, SHOP, PAY).denial, Some(Denial::Suspended(SHOP)));
    chain.call_as(ANN, ADDRESS, &set(BEN)).unwrap();
    let resume = P::resumeCall { target: SHOP, reason: String::new() };
    reverted::<P::NotAuthorized>(chain.call_as(ANN, ADDRESS, &resume));
    chain.call_as(BEN, ADDRESS, &resume).unwrap();
    assert!(may_call(&mut chain, ANN, SHOP, PAY));
    assert_eq!(reverted::<P::NotSuspended>(chain.call_as(BEN, ADDRESS, &resume)).target, SHOP);

    // A regulator's freezing is not for an administrator to lift.
    freeze(&mut chain, OPERATOR, SHOP).unwrap();
    reverted::<P::NotAuthorized>(thaw(&mut chain, BEN, SHOP));
    reverted::<P::NotSuspended>(chain.call_as(BEN, ADDRESS, &resume));
    thaw(&mut chain, OPERATOR, SHOP).unwrap();

    freeze(&mut chain, OPERATOR, BEN).unwrap();
    let retire = P::retireCall { target: SHOP, reason: "replaced".into() };
    reverted::<P::NotAuthorized>(chain.call_as(BEN, ADDRESS, &retire));
    thaw(&mut chain, OPERATOR, BEN).unwrap();
    chain.call_as(BEN, ADDRESS, &retire).unwrap();
    assert_eq!(judge(&mut chain, ANN, SHOP, PAY).denial, Some(Denial::Retired(SHOP)));
    assert_eq!(reverted::<P::IsRetired>(chain.call(ADDRESS, &retire)).target, SHOP);
    chain.call_as(BEN, ADDRESS, &set(Address::ZERO)).unwrap();
    reverted::<P::NotAuthorized>(chain.call_as(BEN, ADDRESS, &suspend));
    assert_eq!(standing(&mut chain, SHOP).administrator, Address::ZERO);
    assert!(standing(&mut chain, SHOP).retired);
}

#[test]
fn rules_list_accounts_and_roles_down_to_the_method() {
    let mut chain = chain();
    set_policy(&mut chain, OPERATOR, SHOP, ALL, Policy::AllowList).unwrap();
    assert!(!may_call(&mut chain, ANN, SHOP, PAY) && !may_call(&mut chain, ANN, SHOP, LOOK));
    let question = CallQuestion { caller: ANN, target: SHOP, method: PAY };
    assert_eq!(judge(&mut chain, ANN, SHOP, PAY).denial, Some(Denial::Call(question)));
    assert!(may_call(&mut chain, SHOP, SHOP, PAY), "a contract may call itself");
    assert!(may_call(&mut chain, SHOP, ANN, PAY), "it is a rule about whom it lets in");

    list(&mut chain, ALL, ANN, true);
    grant(&mut chain, OPERATOR, "user", BEN).unwrap();
    list_role(&mut chain, ALL, "user", true);
    assert!(may_call(&mut chain, ANN, SHOP, PAY) && may_call(&mut chain, BEN, SHOP, LOOK));
    assert!(!may_call(&mut chain, STRANGER, SHOP, PAY));
    let rule = |listed| Because::Rule {
        method: None,
        policy: lian_system_contracts::permissions::Policy::AllowList,
        listed: Some(listed),
    };
    assert_eq!(judge(&mut chain, ANN, SHOP, PAY).because, rule(Listed::Account));
    assert!(matches!(
        judge(&mut chain, BEN, SHOP, PAY).because,
        Because::Rule { method: None, listed: Some(Listed::Role(_)), .. }
    ));

    set_policy(&mut chain, OPERATOR, SHOP, LOOK, Policy::Open).unwrap();
    assert!(may_call(&mut chain, STRANGER, SHOP, LOOK) && !may_call(&mut chain, STRANGER, SHOP, PAY));
    set_policy(&mut chain, OPERATOR, SHOP, PAY, Policy::DenyList).unwrap();
    list(&mut chain, PAY, ANN, true);
    assert!(!may_call(&mut chain, ANN, SHOP, PAY) && may_call(&mut chain, STRANGER, SHOP, PAY));
    assert_eq!(standing(&mut chain, SHOP).methods, [LOOK, PAY]);
    set_policy(&mut chain, OPERATOR, SHOP, PAY, Policy::None).unwrap();
    assert!(may_call(&mut chain, ANN, SHOP, PAY) && !may_call(&mut chain, STRANGER, SHOP, PAY));

    list(&mut chain, ALL, ANN, false);
    list_role(&mut chain, ALL, "user", false);
    assert!(!may_call(&mut chain, ANN, SHOP, PAY) && !may_call(&mut chain, BEN, SHOP, PAY));
    set_policy(&mut chain, OPERATOR, SHOP, ALL, Policy::None).unwrap();
    set_policy(&mut chain, OPERATOR, SHOP, LOOK, Policy::None).unwrap();
    assert_eq!(judge(&mut chain, ANN, SHOP, PAY).because, Because::NoRule);
    assert_eq!(standing(&mut chain, SHOP).methods, [] as [FixedBytes<4>; 0]);
}

#[test]
fn what_a_rule_says_can_be_read() {
    let mut chain = chain();
    set_policy(&mut chain, OPERATOR, SHOP, PAY, Policy::AllowList).unwrap();
    list(&mut chain, PAY, ANN, true);
    list_role(&mut chain, PAY, "auditor", true);
    list_role(&mut chain, PAY, "regulator", true);
    let rule = chain.call(ADDRESS, &P::ruleCall { target: SHOP, method: PAY }).unwrap();
    assert_eq!((rule.policy as u8, rule.roles), (2, vec!["regulator".to_owned(), "auditor".to_owned()]));
    let rule = chain.call(ADDRESS, &P::ruleCall { target: SHOP, method: ALL }).unwrap();
    assert_eq!((rule.policy as u8, rule.roles), (0, vec![]));
    let is_listed = |chain: &mut Chain, method, account| {
        chain.call(ADDRESS, &P::isListedCall { target: SHOP, method, account }).unwrap()
    };
    assert!(is_listed(&mut chain, PAY, ANN) && !is_listed(&mut chain, ALL, ANN) && !is_listed(&mut chain, PAY, BEN));
    let page = P::listedCall { target: SHOP, method: PAY, from: U256::ZERO, limit: U256::from(5) };
    assert_eq!(chain.call(ADDRESS, &page).unwrap(), [ANN]);
    let targets = P::targetsCall { from: U256::ZERO, limit: U256::from(5) };
    assert_eq!(chain.call(ADDRESS, &targets).unwrap(), [SHOP]);
    assert_eq!(standing(&mut chain, SHOP).policy as u8, 0);
}

#[test]
fn lists_and_methods_are_bounded() {
    let mut chain = chain();
    let accounts = vec![ANN; 101];
    let error: P::TooMany =
        reverted(chain.call(ADDRESS, &P::listAccountsCall { target: SHOP, method: ALL, accounts, listed: true }));
    assert_eq!((error.count, error.limit), (U256::from(101), U256::from(100)));
    let kept = vec![ANN, committee::ADDRESS];
    let call = P::listAccountsCall { target: SHOP, method: ALL, accounts: kept, listed: true };
    assert_eq!(reverted::<P::InvalidTarget>(chain.call(ADDRESS, &call)).target, committee::ADDRESS);
    assert!(chain.slots_of(ADDRESS).is_empty());
    for number in 0..256_u32 {
        set_policy(&mut chain, OPERATOR, SHOP, FixedBytes(number.to_be_bytes()), Policy::Open).unwrap();
    }
    let error: P::TooMany = reverted(set_policy(&mut chain, OPERATOR, SHOP, PAY, Policy::Open));
    assert_eq!((error.count, error.limit), (U256::from(257), U256::from(256)));
}

#[test]
fn creating_contracts_can_be_for_deployers_alone() {
    let mut chain = chain();
    let restrict = |restricted| P::restrictCreationCall { restricted, reason: "by vote 4".into() };
    reverted::<P::NotAuthorized>(chain.call_as(ANN, ADDRESS, &restrict(true)));
    chain.call(ADDRESS, &restrict(true)).unwrap();
    grant(&mut chain, OPERATOR, "deployer", ANN).unwrap();
    assert!(may_create(&mut chain, ANN) && !may_create(&mut chain, BEN));
    let denied = judge_creation(&mut chain.reader(), BEN, SHOP).unwrap().denial.unwrap();
    assert_eq!(denied.revert_data(), Bytes::from(P::CreationDenied { creator: BEN }.abi_encode()));
    assert!(chain.call(ADDRESS, &P::isCreationRestrictedCall {}).unwrap());
    chain.call(ADDRESS, &restrict(false)).unwrap();
    assert!(may_create(&mut chain, BEN));
}

#[test]
fn a_static_call_changes_nothing() {
    let mut chain = chain();
    let call = P::freezeCall { target: SHOP, reason: String::new() };
    assert!(matches!(chain.static_call(ADDRESS, &call), Err(Failure::Halt(_))));
    chain.static_call(ADDRESS, &P::standingCall { target: SHOP }).unwrap();
    assert!(P::freezeCall::abi_decode(&call.abi_encode()).is_ok());
}
