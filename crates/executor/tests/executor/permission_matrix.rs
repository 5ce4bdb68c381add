//! Every method of every system contract, called by who has a right to and who has none, in every way that the EVM knows.
//! What comes of it is docs/spec/permission-matrix.md, which this test makes and compares.

use crate::support::{ALICE, BOB, Chain};
use crate::system::{CALL, DELEGATECALL, STATICCALL, chain, forwarder};
use alloy_primitives::{Address, B256, Bytes, FixedBytes, TxKind, U256, address, hex, keccak256};
use alloy_rpc_types_eth::{TransactionInput, TransactionRequest};
use alloy_sol_types::{SolCall, SolError, SolInterface};
use expect_test::expect_file;
use lian_executor::{CallResult, CallSite, Overrides, call};
use lian_system_contracts::interfaces::{
    DelegateCall, IAssets as A, IAuthorities as R, ICommittee as C, IConfiguration as G, IMembers as M, INames as N,
    IPermissions as P,
};
use lian_system_contracts::{assets, authorities, committee, configuration, members, names, permissions};
use lian_types::Revoked;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

/// Who signs where the caller of the system contract is a contract.
const SIGNER: Address = address!("51971e4000000000000000000000000000000001");
/// A contract without any right.
const BETWEEN: Address = address!("be70ee4000000000000000000000000000000002");
/// What a proxy has its code from.
const CODE: Address = address!("c0de000000000000000000000000000000000003");
/// What the rules are about: one address is as at first, one frozen, and one suspended.
const SHOP: Address = address!("5409000000000000000000000000000000000004");
const FROZEN: Address = address!("f402e40000000000000000000000000000000005");
const SUSPENDED: Address = address!("5059e4ded0000000000000000000000000000006");
const SOMEBODY: Address = address!("50eb0d9000000000000000000000000000000007");

/// The caller of the system contract, whatever it is.
fn caller() -> Address {
    SIGNER.create(0)
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Standing {
    NoRight,
    Right,
    /// It has the right, and is frozen.
    Frozen,
    /// It has the role of regulators, and nothing else.
    Regulator,
}

const STANDINGS: [(Standing, &str); 4] = [
    (Standing::NoRight, "no right"),
    (Standing::Right, "right"),
    (Standing::Frozen, "right, frozen"),
    (Standing::Regulator, "regulator"),
];

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Way {
    /// A transaction of the caller.
    Direct,
    /// The caller is a contract.
    Call,
    DelegateCall,
    StaticCall,
    /// The caller is a contract that is being created.
    Constructor,
    /// The caller is a proxy, and the code of another contract calls.
    Proxy,
    /// The caller signs only; a contract without any right calls.
    Origin,
}

const WAYS: [(Way, &str); 7] = [
    (Way::Direct, "direct"),
    (Way::Call, "call"),
    (Way::DelegateCall, "delegatecall"),
    (Way::StaticCall, "staticcall"),
    (Way::Constructor, "constructor"),
    (Way::Proxy, "proxy"),
    (Way::Origin, "tx.origin"),
];

/// A call of a method that succeeds for who has the right to make it.
struct Sample {
    contract: Address,
    data: Vec<u8>,
    /// Whether anybody may, since it changes nothing.
    is_view: bool,
}

fn change(contract: Address, call: &impl SolCall) -> Sample {
    Sample { contract, data: call.abi_encode(), is_view: false }
}

fn view(contract: Address, call: &impl SolCall) -> Sample {
    Sample { contract, data: call.abi_encode(), is_view: true }
}

fn of_configuration() -> Vec<Sample> {
    let at = configuration::ADDRESS;
    vec![
        change(at, &G::setCall { name: "block_transactions_max".into(), value: U256::from(77) }),
        change(at, &G::setOperatorCall { account: SOMEBODY, isOperator: true }),
        view(at, &G::parametersCall {}),
        view(at, &G::isOperatorCall { account: ALICE }),
        view(at, &G::windowCall {}),
    ]
}

fn of_members() -> Vec<Sample> {
    let at = members::ADDRESS;
    let key = lian_crypto::ConsensusSecretKey::from_bytes(lian_crypto::Suite::Standard, &[9; 32]).public().0;
    let (name, institution, endpoint) = ("node9".into(), "bank".into(), "bank.example:30300".to_owned());
    vec![
        change(at, &M::addInstitutionCall { name: "broker".into() }),
        change(at, &M::addNodeCall { name, institution, key: key.to_vec().into(), endpoint: endpoint.clone() }),
        change(at, &M::setRoleCall { name: "node1".into(), role: M::Role::Sealer }),
        change(at, &M::setEndpointCall { name: "node1".into(), endpoint }),
        change(at, &M::setRolesCall { names: vec!["node1".into()], roles: vec![M::Role::Sealer] }),
        view(at, &M::institutionsCall {}),
        view(at, &M::nodesCall {}),
        view(at, &M::nodeCall { name: "node0".into() }),
        view(at, &M::epochsCall {}),
    ]
}

fn of_committee() -> Vec<Sample> {
    let at = committee::ADDRESS;
    let (institution, reason) = ("bank".to_owned(), String::new());
    let members = vec![C::Member { account: SOMEBODY, institution: institution.clone(), weight: 1 }];
    let call = G::setCall { name: "block_transactions_max".into(), value: U256::from(77) };
    let actions = vec![C::Action { target: configuration::ADDRESS, data: call.abi_encode().into() }];
    let [own, open, over] = [1, 2, 3].map(U256::from);
    vec![
        change(at, &C::establishCall { members, participation: 50, approval: 60, reason: reason.clone() }),
        change(at, &C::proposeCall { actions, deadline: 1_700_001_000, reason: reason.clone() }),
        change(at, &C::voteCall { id: open, approves: false, reason }),
        change(at, &C::revokeVoteCall { id: own }),
        change(at, &C::cancelCall { id: own }),
        change(at, &C::settleCall { id: over }),
        change(at, &C::setMemberCall { account: SOMEBODY, institution, weight: 1 }),
        change(at, &C::removeMemberCall { account: ALICE }),
        change(at, &C::setThresholdsCall { participation: 40, approval: 70 }),
        view(at, &C::membersCall {}),
        view(at, &C::thresholdsCall {}),
        view(at, &C::proposalCall { id: open }),
        view(at, &C::votesCall { id: open }),
        view(at, &C::countCall {}),
        view(at, &C::proposalsCall { from: open, limit: open }),
    ]
}

fn of_permissions() -> Vec<Sample> {
    let at = permissions::ADDRESS;
    let (role, reason, method) = ("user".to_owned(), String::new(), FixedBytes([1, 2, 3, 4]));
    let (from, limit, account, target) = (U256::ZERO, U256::from(9), SOMEBODY, SHOP);
    let (salt, hash) = (B256::repeat_byte(1), B256::repeat_byte(2));
    let created = caller().create2(salt, hash);
    vec![
        change(at, &P::addRoleCall { role: "teller".into() }),
        change(at, &P::setGrantorCall { role: role.clone(), grantor: "operator".into() }),
        change(at, &P::grantRoleCall { role: role.clone(), account, reason: reason.clone() }),
        change(at, &P::revokeRoleCall { role: role.clone(), account: BOB, reason: reason.clone() }),
        change(at, &P::restrictCreationCall { restricted: true, reason: reason.clone() }),
        change(at, &P::freezeCall { target, reason: reason.clone() }),
        change(at, &P::thawCall { target: FROZEN, reason: reason.clone() }),
        change(at, &P::claimCall { target: caller().create(3), nonce: 3 }),
        change(at, &P::claim2Call { target: created, salt, initCodeHash: hash }),
        change(at, &P::setAdministratorCall { target, administrator: SOMEBODY }),
        change(at, &P::suspendCall { target, reason: reason.clone() }),
        change(at, &P::resumeCall { target: SUSPENDED, reason: reason.clone() }),
        change(at, &P::retireCall { target, reason }),
        change(at, &P::setPolicyCall { target, method, policy: P::Policy::AllowList }),
        change(at, &P::listAccountsCall { target, method, accounts: vec![account], listed: true }),
        change(at, &P::listRoleCall { target, method, role: role.clone(), listed: true }),
        view(at, &P::standingCall { target }),
        view(at, &P::ruleCall { target, method }),
        view(at, &P::isListedCall { target, method, account }),
        view(at, &P::listedCall { target, method, from, limit }),
        view(at, &P::rolesCall {}),
        view(at, &P::hasRoleCall { role: role.clone(), account }),
        view(at, &P::holdersCall { role, from, limit }),
        view(at, &P::targetsCall { from, limit }),
        view(at, &P::isCreationRestrictedCall {}),
        view(at, &P::digestCall {}),
        view(at, &P::verdictCall { caller: account, target, method }),
        view(at, &P::verdictOnCreationCall { creator: account, created }),
    ]
}

fn of_assets() -> Vec<Sample> {
    let at = assets::ADDRESS;
    let (id, amount, reference_id, to) = (U256::from(1), U256::from(2), B256::ZERO, SOMEBODY);
    let payments = vec![A::Payment { to, amount, referenceId: reference_id }];
    vec![
        change(at, &A::createCall { symbol: "NEW".into(), name: "New".into(), decimals: 2 }),
        change(at, &A::setIssuerCall { id, newIssuer: SOMEBODY }),
        change(at, &A::issueCall { id, to, amount, referenceId: reference_id }),
        change(at, &A::redeemCall { id, amount, referenceId: reference_id }),
        change(at, &A::setFrozenCall { id, account: SOMEBODY, amount }),
        change(at, &A::freezeAssetCall { id, frozen: true }),
        change(at, &A::transferCall { id, to, amount, referenceId: reference_id }),
        change(at, &A::batchTransferCall { id, payments }),
        view(at, &A::balanceOfCall { id, account: to }),
        view(at, &A::availableOfCall { id, account: to }),
        view(at, &A::frozenOfCall { id, account: to }),
        view(at, &A::assetCall { id }),
        view(at, &A::assetOfCall { symbol: "USD".into() }),
        view(at, &A::countCall {}),
        view(at, &A::listCall { from: id, limit: id }),
    ]
}

/// Names that differ in their canaries: none, one, and one that is held. Of the last, the second version answers.
const NAMES: [&str; 4] = ["plain", "canary", "held", "back"];

fn of_names() -> Vec<Sample> {
    use N::Kind::Forwarding;
    let at = names::ADDRESS;
    let [plain, canary, held, back] = NAMES.map(str::to_owned);
    let name = || plain.clone();
    let (reason, version, zero, one) = (String::new, "2".to_owned(), U256::ZERO, U256::from(1));
    let node = namehash("plain");
    let published = |version: &str| publication(version, CODED);
    let dns: Bytes = [&[5], b"plain".as_slice(), &[0]].concat().into();
    let question: Bytes = N::addr_0Call { node }.abi_encode().into();
    let account: Bytes = names::alias(node).to_vec().into();
    let (coin, gateways) = (U256::from(60), Vec::<String>::new);
    let mut samples = vec![
        change(at, &N::registerCall { name: "new".into(), kind: Forwarding }),
        change(at, &N::registerVersionCall { name: "new".into(), kind: Forwarding, first: published("1") }),
        change(at, &N::publishCall { name: name(), publication: published("3") }),
        change(at, &N::switchToCall { name: name(), version: version.clone(), reason: reason() }),
        change(at, &N::rollbackCall { name: back, version: "1".into(), reason: reason() }),
        change(at, &N::startCanaryCall { name: name(), version: version.clone(), basisPoints: 100, reason: reason() }),
        change(at, &N::setCanaryWeightCall { name: canary.clone(), basisPoints: 200, reason: reason() }),
        change(at, &N::setCanaryCallersCall { name: canary.clone(), callers: vec![SOMEBODY], listed: true }),
        change(at, &N::setCanaryRuleCall { name: canary.clone(), rule: CODED, reason: reason() }),
        change(at, &N::holdCanaryCall { name: canary.clone(), reason: reason() }),
        change(at, &N::releaseCanaryCall { name: held, reason: reason() }),
        change(at, &N::abortCanaryCall { name: canary.clone(), reason: reason() }),
        change(at, &N::finishCanaryCall { name: canary.clone(), reason: reason() }),
        change(at, &N::setDelegateCall { name: name(), account: SOMEBODY, allowed: true }),
        change(at, &N::transferCall { name: name(), to: SOMEBODY, reason: reason() }),
    ];
    samples.extend([
        view(at, &N::countCall {}),
        view(at, &N::namesCall { from: zero, limit: one }),
        view(at, &N::findCall { name: name() }),
        view(at, &N::latestCall { name: name() }),
        view(at, &N::versionCall { name: name(), text: version.clone() }),
        view(at, &N::versionsCall { name: name(), from: zero, limit: one }),
        view(at, &N::abiOfCall { name: name(), text: version }),
        view(at, &N::historyCall { name: name(), from: zero, limit: one }),
        view(at, &N::delegatesCall { name: name() }),
        view(at, &N::canaryCallersCall { name: canary, from: zero, limit: one }),
        view(at, &N::answerCall { name: name(), caller: SOMEBODY }),
        view(at, &N::normalizeCall { name: name() }),
        view(at, &N::ownerCall { node }),
        view(at, &N::resolverCall { node }),
        view(at, &N::ttlCall { node }),
        view(at, &N::recordExistsCall { node }),
        view(at, &N::addr_0Call { node }),
        view(at, &N::addr_1Call { node, coinType: coin }),
        view(at, &N::ABICall { node, contentTypes: one }),
        view(at, &N::textCall { node, key: "version".into() }),
        view(at, &N::nameCall { node: B256::ZERO }),
        view(at, &N::supportsInterfaceCall { interfaceId: FixedBytes([1, 2, 3, 4]) }),
        view(at, &N::resolveCall { dnsName: dns.clone(), data: question.clone() }),
        view(at, &N::resolveWithGatewaysCall { dnsName: dns.clone(), data: question, gateways: gateways() }),
        view(at, &N::reverseCall { account: account.clone(), coinType: coin }),
        view(at, &N::reverseWithGatewaysCall { account, coinType: coin, gateways: gateways() }),
        view(at, &N::findResolverCall { dnsName: dns }),
    ]);
    samples
}

/// EIP-137, of a name without dots.
fn namehash(label: &str) -> B256 {
    keccak256([B256::ZERO.0, keccak256(label).0].concat())
}

/// Where there is code.
const CODED: Address = address!("c0ded00000000000000000000000000000000008");

fn publication(version: &str, target: Address) -> N::Publication {
    N::Publication {
        version: version.into(),
        target,
        contentType: U256::ZERO,
        abiData: Bytes::new(),
        metadata: String::new(),
    }
}

/// What is listed, and what is distrusted, as certificates.
const LISTED: &[u8] = b"listed";
const DISTRUSTED: B256 = B256::repeat_byte(0xd1);

fn of_authorities() -> Vec<Sample> {
    let at = authorities::ADDRESS;
    let (bank, reason, issuer) = ("bank".to_owned(), String::new, B256::repeat_byte(7));
    let (from, limit) = (U256::ZERO, U256::from(1));
    let key = Revoked::Key(B256::repeat_byte(8));
    let id = authorities::revocation_id(None, &key);
    let certificate = Bytes::from_static(b"another");
    vec![
        change(at, &R::addCall { certificate, institution: bank.clone(), isRoot: true, reason: reason() }),
        change(at, &R::removeCall { fingerprint: authorities::fingerprint(LISTED), reason: reason() }),
        change(at, &R::distrustCall { fingerprint: B256::repeat_byte(0xd2), reason: reason() }),
        change(at, &R::trustCall { fingerprint: DISTRUSTED, reason: reason() }),
        change(
            at,
            &R::revokeCertificatesCall {
                institution: bank.clone(),
                issuer,
                serials: vec![Bytes::from_static(&[5])],
                reason: reason(),
            },
        ),
        change(at, &R::revokeKeysCall { institution: bank.clone(), keys: vec![issuer], reason: reason() }),
        change(at, &R::unrevokeCall { id, reason: reason() }),
        change(at, &R::setAdministratorCall { institution: bank.clone(), account: SOMEBODY }),
        change(at, &R::setContactCall { institution: bank.clone(), contact: "desk".to_owned() }),
        view(at, &R::versionCall {}),
        view(at, &R::countsCall {}),
        view(at, &R::authoritiesCall { from, limit }),
        view(at, &R::distrustedCall {}),
        view(at, &R::revocationsCall { from, limit }),
        view(at, &R::isRevokedCall { id }),
        view(at, &R::administratorCall { institution: bank.clone() }),
        view(at, &R::contactCall { institution: bank }),
    ]
}

/// Names, of which Alice or the caller is the owner.
fn register_names(chain: &mut Chain, owner: Address) {
    chain.state.insert(CODED, 1, U256::ZERO, Bytes::from_static(&hex!("00")), BTreeMap::new());
    let at = names::ADDRESS;
    let reason = String::new;
    for name in NAMES.map(str::to_owned) {
        let (first, second) = (publication("1", CODED), publication("2", CODED));
        done(chain, ALICE, at, &N::registerVersionCall { name: name.clone(), kind: N::Kind::Forwarding, first });
        done(chain, ALICE, at, &N::publishCall { name: name.clone(), publication: second });
        let version = "2".to_owned();
        if name == "back" {
            done(chain, ALICE, at, &N::switchToCall { name: name.clone(), version, reason: reason() });
        } else if name != "plain" {
            let start = N::startCanaryCall { name: name.clone(), version, basisPoints: 100, reason: reason() };
            done(chain, ALICE, at, &start);
        }
        if name == "held" {
            done(chain, ALICE, at, &N::holdCanaryCall { name: name.clone(), reason: reason() });
        }
        if owner != ALICE {
            done(chain, ALICE, at, &N::transferCall { name, to: owner, reason: reason() });
        }
    }
}

/// Two roots, something that is distrusted, and a key that is revoked.
fn list_authorities(chain: &mut Chain) {
    let at = authorities::ADDRESS;
    let reason = String::new;
    let add = |certificate: &'static [u8]| R::addCall {
        certificate: Bytes::from_static(certificate),
        institution: String::new(),
        isRoot: true,
        reason: reason(),
    };
    done(chain, ALICE, at, &add(LISTED));
    done(chain, ALICE, at, &add(b"root"));
    done(chain, ALICE, at, &R::distrustCall { fingerprint: DISTRUSTED, reason: reason() });
    let keys = vec![B256::repeat_byte(8)];
    done(chain, ALICE, at, &R::revokeKeysCall { institution: String::new(), keys, reason: reason() });
}

fn done(chain: &mut Chain, from: Address, contract: Address, call: &impl SolCall) {
    let receipt = chain.send(from, Some(contract), call.abi_encode());
    assert!(receipt.success, "{} {receipt:?}", std::any::type_name_of_val(call));
}

/// A chain with Alice as its operator, where the caller has a standing.
fn with_operators(standing: Standing) -> Chain {
    let (mut chain, caller, id) = (chain(), caller(), U256::from(1));
    let to = |account| A::issueCall { id, to: account, amount: U256::from(1_000), referenceId: B256::ZERO };
    done(&mut chain, ALICE, assets::ADDRESS, &A::createCall { symbol: "USD".into(), name: "US".into(), decimals: 2 });
    done(&mut chain, ALICE, assets::ADDRESS, &to(caller));
    done(&mut chain, ALICE, assets::ADDRESS, &to(BETWEEN));
    let at = permissions::ADDRESS;
    let reason = String::new;
    done(&mut chain, ALICE, at, &P::freezeCall { target: FROZEN, reason: reason() });
    done(&mut chain, ALICE, at, &P::suspendCall { target: SUSPENDED, reason: reason() });
    done(&mut chain, ALICE, at, &P::grantRoleCall { role: "user".into(), account: BOB, reason: reason() });
    let has_right = matches!(standing, Standing::Right | Standing::Frozen);
    register_names(&mut chain, if has_right { caller } else { ALICE });
    list_authorities(&mut chain);
    if has_right {
        done(&mut chain, ALICE, configuration::ADDRESS, &G::setOperatorCall { account: caller, isOperator: true });
        done(&mut chain, ALICE, assets::ADDRESS, &A::setIssuerCall { id, newIssuer: caller });
    }
    if standing == Standing::Regulator {
        let call = P::grantRoleCall { role: "regulator".into(), account: caller, reason: reason() };
        done(&mut chain, ALICE, at, &call);
    }
    if standing == Standing::Frozen {
        done(&mut chain, ALICE, at, &P::freezeCall { target: caller, reason: reason() });
    }
    chain
}

/// The same under a committee, to which the caller belongs where it has the right.
fn with_committee(standing: Standing) -> Chain {
    let mut chain = with_operators(standing);
    let is_member = matches!(standing, Standing::Right | Standing::Frozen);
    let mut accounts = vec![ALICE, BOB];
    accounts.extend(is_member.then(caller));
    let members =
        accounts.into_iter().map(|account| C::Member { account, institution: "bank".into(), weight: 1 }).collect();
    let at = committee::ADDRESS;
    let establish = C::establishCall { members, participation: 100, approval: 100, reason: String::new() };
    done(&mut chain, ALICE, at, &establish);
    let action = || {
        let call = M::addInstitutionCall { name: "broker".into() };
        C::Action { target: members::ADDRESS, data: call.abi_encode().into() }
    };
    let propose = |deadline| C::proposeCall { actions: vec![action()], deadline, reason: String::new() };
    let own = if is_member { caller() } else { ALICE };
    done(&mut chain, own, at, &propose(1_700_001_000));
    done(&mut chain, ALICE, at, &propose(1_700_001_000));
    let soon = chain.environment().timestamp + 2;
    done(&mut chain, ALICE, at, &propose(soon));
    for _ in 0..3 {
        chain.send(BOB, Some(BOB), Bytes::new());
    }
    // As if it had sent nothing, so that it can be created.
    if let Some(account) = chain.state.accounts.get_mut(&caller()) {
        account.state.nonce = 0;
    }
    chain
}

/// Creation code that calls, and creates a contract without code where that succeeds.
fn constructor(to: Address, data: &[u8]) -> Vec<u8> {
    let length = u16::try_from(data.len()).unwrap().to_be_bytes();
    let mut code = vec![0x61, length[0], length[1], 0x60, 0, 0x5f, 0x39];
    code.extend([0x5f, 0x5f, 0x61, length[0], length[1], 0x5f, 0x5f, 0x73]);
    code.extend_from_slice(to.as_slice());
    code.extend(hex!("5af1 3d5f5f3e"));
    let target = u8::try_from(code.len() + 6).unwrap();
    code.extend([0x60, target, 0x57, 0x3d, 0x5f, 0xfd, 0x5b, 0x00]);
    code[4] = u8::try_from(code.len()).unwrap();
    code.extend_from_slice(data);
    code
}

fn run(chain: &Chain, sample: &Sample, way: Way) -> String {
    let mut state = chain.state.clone();
    let (contract, data) = (sample.contract, sample.data.clone());
    let mut code = |at: Address, code: Vec<u8>| state.insert(at, 1, U256::ZERO, code.into(), BTreeMap::new());
    match way {
        Way::Direct | Way::Constructor => {}
        Way::Call => code(caller(), forwarder(contract, CALL)),
        Way::DelegateCall => code(caller(), forwarder(contract, DELEGATECALL)),
        Way::StaticCall => code(caller(), forwarder(contract, STATICCALL)),
        Way::Proxy => {
            code(caller(), forwarder(CODE, DELEGATECALL));
            code(CODE, forwarder(contract, CALL));
        }
        Way::Origin => code(BETWEEN, forwarder(contract, CALL)),
    }
    let (from, to, input) = match way {
        Way::Direct => (caller(), TxKind::Call(contract), data),
        Way::Origin => (caller(), TxKind::Call(BETWEEN), data),
        Way::Constructor => (SIGNER, TxKind::Create, constructor(contract, &data)),
        _ => (SIGNER, TxKind::Call(caller()), data),
    };
    let input = TransactionInput::new(input.into());
    let request = TransactionRequest { from: Some(from), to: Some(to), input, ..TransactionRequest::default() };
    let site = CallSite {
        rules: &crate::support::rules(),
        environment: &chain.environment(),
        state: &state,
        overrides: &Overrides::default(),
        gas_cap: 50_000_000,
        cancelled: &|| false,
    };
    match call(&site, &request).unwrap().result {
        CallResult::Success { .. } => "done".to_owned(),
        CallResult::Revert { output } if output.is_empty() => "halts".to_owned(),
        CallResult::Revert { output } => error_name(&output),
        CallResult::Halt { reason } => format!("{reason:?}"),
    }
}

fn error_name(data: &[u8]) -> String {
    let selector = *data.first_chunk().unwrap();
    let known = [
        G::IConfigurationErrors::name_by_selector(selector),
        M::IMembersErrors::name_by_selector(selector),
        C::ICommitteeErrors::name_by_selector(selector),
        P::IPermissionsErrors::name_by_selector(selector),
        A::IAssetsErrors::name_by_selector(selector),
        N::INamesErrors::name_by_selector(selector),
        R::IAuthoritiesErrors::name_by_selector(selector),
        (selector == DelegateCall::SELECTOR).then_some("DelegateCall"),
    ];
    known.into_iter().flatten().next().map_or_else(|| hex::encode(data), str::to_owned)
}

/// What comes of a call, by standing and way.
type Outcomes = Vec<Vec<String>>;

/// What is true whatever the tables say.
fn check(name: &str, sample: &Sample, outcomes: &Outcomes) {
    let of = |standing: usize, way: Way| {
        let position = WAYS.iter().position(|(other, _)| *other == way).unwrap();
        outcomes[standing][position].as_str()
    };
    for standing in 0..STANDINGS.len() {
        assert_ne!(of(standing, Way::DelegateCall), "done", "{name}: in somebody else's storage");
        assert!(sample.is_view || of(standing, Way::StaticCall) != "done", "{name}: a static call changes something");
        for way in [Way::Call, Way::Constructor, Way::Proxy] {
            let direct = of(standing, Way::Direct);
            assert!(standing == 2 || of(standing, way) == direct, "{name}: {way:?} is not as a transaction");
        }
        if standing != 2 {
            assert_eq!(of(standing, Way::Origin), of(0, Way::Origin), "{name}: who signs has no part in it");
            assert!(of(0, Way::Origin) != "done" || of(0, Way::Direct) == "done", "{name}: nor by signing");
        }
        assert!(!sample.is_view || standing == 2 || of(standing, Way::Direct) == "done", "{name}: anybody may look");
    }
}

fn table(outcomes: &Outcomes) -> String {
    let mut text = String::from("| |");
    for (_, way) in WAYS {
        write!(text, " {way} |").unwrap();
    }
    text.push_str("\n|---|---|---|---|---|---|---|---|\n");
    for ((_, standing), outcomes) in STANDINGS.iter().zip(outcomes) {
        writeln!(text, "| {standing} | {} |", outcomes.join(" | ")).unwrap();
    }
    text
}

/// Samples of a contract, with their names, and that there is one of each of its methods.
fn named<T: SolInterface>(
    interface: &str,
    samples: Vec<Sample>,
    name: fn([u8; 4]) -> Option<&'static str>,
) -> Vec<(String, Sample)> {
    let selectors: BTreeSet<_> = samples.iter().map(|sample| *sample.data.first_chunk::<4>().unwrap()).collect();
    assert_eq!(selectors, T::selectors().collect(), "{interface}");
    let named = samples.into_iter().map(|sample| {
        let name = name(*sample.data.first_chunk().unwrap()).unwrap();
        (format!("{interface}.{name}"), sample)
    });
    named.collect()
}

#[test]
fn every_method_by_every_caller_in_every_way() {
    let all: Vec<_> = [
        named::<G::IConfigurationCalls>("IConfiguration", of_configuration(), G::IConfigurationCalls::name_by_selector),
        named::<M::IMembersCalls>("IMembers", of_members(), M::IMembersCalls::name_by_selector),
        named::<P::IPermissionsCalls>("IPermissions", of_permissions(), P::IPermissionsCalls::name_by_selector),
        named::<C::ICommitteeCalls>("ICommittee", of_committee(), C::ICommitteeCalls::name_by_selector),
        named::<R::IAuthoritiesCalls>("IAuthorities", of_authorities(), R::IAuthoritiesCalls::name_by_selector),
        named::<A::IAssetsCalls>("IAssets", of_assets(), A::IAssetsCalls::name_by_selector),
        named::<N::INamesCalls>("INames", of_names(), N::INamesCalls::name_by_selector),
    ]
    .into_iter()
    .flatten()
    .collect();
    let operators = STANDINGS.map(|(standing, _)| with_operators(standing));
    let committee = STANDINGS.map(|(standing, _)| with_committee(standing));
    let mut tables: Vec<(Outcomes, Vec<String>)> = Vec::new();
    for (name, sample) in all {
        let is_voted = sample.contract == committee::ADDRESS && name != "ICommittee.establish";
        let chains = if is_voted { &committee } else { &operators };
        let outcomes: Outcomes =
            chains.iter().map(|chain| WAYS.iter().map(|(way, _)| run(chain, &sample, *way)).collect()).collect();
        check(&name, &sample, &outcomes);
        match tables.iter_mut().find(|(known, _)| *known == outcomes) {
            Some((_, names)) => names.push(name),
            None => tables.push((outcomes, vec![name])),
        }
    }
    let mut text = String::from(HEAD);
    for (outcomes, names) in tables {
        let names: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
        write!(text, "\n{}:\n\n{}", names.join(", "), table(&outcomes)).unwrap();
    }
    expect_file!["../../../../docs/spec/permission-matrix.md"].assert_eq(&text);
}

const HEAD: &str = "\
# Who may call what of the system contracts

Made and compared by a test, `permission_matrix` of the crate `executor`, which calls every method of every system contract.

The rows are what the *immediate caller* of a method is: without any right; with the right to it (an operator, a member of the
committee, the issuer of an asset, the owner of a name); with that right, but frozen; with the role `regulator` and nothing else. The columns are
how the call comes about: the caller sends a transaction; is a contract that calls; that makes a delegate call, or a static
one; is a contract that is being created; is a proxy, whose code is another contract's; and last, the caller only signs, and a
contract without any right calls. `done` is success, `halts` a static call that would have changed something, and the rest
the error that the call reverts with.
";
