//! Blocks on several threads: the same as on one, whatever the threads do.
//!
//! `LIAN_PARALLEL_CASES` sets how many random blocks are run instead of the default; a block has 50 transactions on average.

use crate::support::{ALICE, BOB, CAROL, CHAIN_ID, Chain, GAS_LIMIT, PROPOSER, rules, sent, transaction};
use crate::{assets, names, system};
use alloy_consensus::{TxEip1559, TxEip7702};
use alloy_eips::eip2935::{HISTORY_STORAGE_ADDRESS, HISTORY_STORAGE_CODE};
use alloy_eips::eip7702::{Authorization, SignedAuthorization};
use alloy_primitives::{Address, B256, Bytes, FixedBytes, Signature, U256, hex, keccak256};
use alloy_sol_types::SolCall;
use lian_crypto::VerifiedTransaction;
use lian_executor::{
    AccountState, BlockEnvironment, MemoryState, Outcome, Rules, SpecId, StateError, StateReader, Threads,
    execute_transactions, execute_transactions_parallel,
};
use lian_system_contracts::interfaces::{INames, IPermissions as P};
use lian_system_contracts::{members, permissions};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Adds one to the slot of its first word of input.
const COUNTER: Address = Address::repeat_byte(0x11);
/// Passes its input on as code to create with the salt 0, and its value with it.
const FACTORY: Address = Address::repeat_byte(0x22);
/// Copies a slot plus one to another and logs it; reverts where the first is 3 modulo 4.
const COPIER: Address = Address::repeat_byte(0x33);
/// Stores the balance of the account in its input at slot 0, and the hash of its code at the account's number.
const OBSERVER: Address = Address::repeat_byte(0x44);

/// Says what its slot 0 says to who sends something; else it turns that from yes to no and back.
const TOGGLE: Address = Address::repeat_byte(0x55);
/// One of either kind, whose versions are a [`COUNTER_CODE`] and a [`COPIER_CODE`].
const NAMES: [&str; 2] = [names::KEEPS, names::PASSES];

const COUNTER_CODE: &[u8] = &hex!("5f358054600101905500");
const FACTORY_CODE: &[u8] = &hex!("365f5f375f365f34f500");
const COPIER_CODE: &[u8] = &hex!("5f355480600316600314601c578060010160203555" "5f5260205fa000" "5b5f5ffd");
const OBSERVER_CODE: &[u8] = &hex!("5f35315f555f353f5f355500");
const TOGGLE_CODE: &[u8] = &hex!("36600a57" "5f54155f5500" "5b5f545f5260205ff3");
/// Without input it destroys itself; else it adds the second word of its input to the slot of the first.
const PHOENIX_CODE: &[u8] = &hex!("36600657" "33ff" "5b5f3580546020350190" "5500");

/// Creation code: writes 7 to slot 0 and becomes a [`PHOENIX_CODE`].
fn phoenix_creation() -> Vec<u8> {
    [&hex!("60075f55")[..], &[0x71], PHOENIX_CODE, &hex!("5f526012600ef3")].concat()
}

/// Creation codes: storage and empty code; one byte of code; destroys itself; writes, then destroys itself; reverts.
const PROGRAMS: [&[u8]; 5] =
    [&hex!("60075f55"), &hex!("5f5f5360015ff3"), &hex!("33ff"), &hex!("60075f5533ff"), &hex!("60075f555f5ffd")];

/// What a transaction of a random block does.
#[derive(Clone, Debug)]
enum Action {
    Pay { to: u8, value: u64 },
    Count { slot: u8 },
    Copy { from: u8, to: u8 },
    Observe { whom: u8 },
    Create { program: usize, value: u64 },
    Create2 { program: usize, value: u64 },
    Rise,
    Burn { value: u64 },
    Feed { slot: u8, value: u8 },
    Delegate { authority: usize },
    Govern,
    Freeze { whom: u8 },
    CallName { name: usize, words: [u8; 2] },
    SteerName { name: usize, step: u8 },
    Transfer { to: u8, amount: u64 },
    WrongNonce { high: bool },
    LittleGas,
    MuchGas { limit: u64 },
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        4 => (0..14u8, 0..40u64).prop_map(|(to, value)| Action::Pay { to, value }),
        3 => (0..24u8).prop_map(|slot| Action::Count { slot }),
        4 => (0..12u8, 0..12u8).prop_map(|(from, to)| Action::Copy { from, to }),
        2 => (0..14u8).prop_map(|whom| Action::Observe { whom }),
        1 => (0..PROGRAMS.len(), 0..3u64).prop_map(|(program, value)| Action::Create { program, value }),
        2 => (0..PROGRAMS.len(), 0..3u64).prop_map(|(program, value)| Action::Create2 { program, value }),
        2 => Just(Action::Rise),
        2 => (0..3u64).prop_map(|value| Action::Burn { value }),
        4 => (0..3u8, 0..3u8).prop_map(|(slot, value)| Action::Feed { slot, value }),
        1 => (0..2usize).prop_map(|authority| Action::Delegate { authority }),
        1 => Just(Action::Govern),
        1 => (1..14u8).prop_map(|whom| Action::Freeze { whom }),
        4 => (0..2usize, 0..6u8, 0..6u8).prop_map(|(name, from, to)| Action::CallName { name, words: [from, to] }),
        2 => (0..2usize, 0..8u8).prop_map(|(name, step)| Action::SteerName { name, step }),
        4 => (0..14u8, 0..40u64).prop_map(|(to, amount)| Action::Transfer { to, amount }),
        1 => any::<bool>().prop_map(|high| Action::WrongNonce { high }),
        1 => Just(Action::LittleGas),
        1 => (100_000..4_000_000u64).prop_map(|limit| Action::MuchGas { limit }),
    ]
}

/// A block: how many senders it has, how much gas, by which fork, and what each sender does.
#[derive(Clone, Debug)]
struct Plan {
    gas_limit: u64,
    spec: SpecId,
    /// Whether there are rules about who may call whom.
    has_permissions: bool,
    actions: Vec<(u8, Action)>,
    /// How the threads are disturbed.
    seed: u64,
}

fn plan() -> impl Strategy<Value = Plan> {
    let gas_limit = prop_oneof![3 => Just(GAS_LIMIT), 1 => 100_000..6_000_000u64];
    // Before Cancun a contract that destroys itself is gone whoever made it.
    let spec = prop_oneof![Just(SpecId::OSAKA), Just(SpecId::SHANGHAI)];
    let actions = (1..14u8).prop_flat_map(|senders| prop::collection::vec((0..senders, action()), 0..100));
    (gas_limit, spec, any::<bool>(), actions, any::<u64>()).prop_map(
        |(gas_limit, spec, has_permissions, actions, seed)| Plan { gas_limit, spec, has_permissions, actions, seed },
    )
}

/// The accounts that things happen to: senders, the proposer, contracts, and those that have delegated.
fn account(index: u8) -> Address {
    match index {
        0..=2 => [ALICE, BOB, CAROL][usize::from(index)],
        8 => PROPOSER,
        9 => phoenix(),
        10 => COPIER,
        11 => authority(0).recover_authority().unwrap(),
        12 => authority(1).recover_authority().unwrap(),
        13 => FACTORY.create2(B256::ZERO, keccak256(PROGRAMS[1])),
        _ => Address::repeat_byte(index + 0x50),
    }
}

fn phoenix() -> Address {
    FACTORY.create2(B256::ZERO, keccak256(phoenix_creation()))
}

/// What changes which version of a name answers.
fn steer(name: &str, step: u8) -> TxEip1559 {
    use INames as N;
    let (name, version, reason) = (name.to_owned(), ["1", "2"][usize::from(step % 2)].to_owned(), String::new());
    let call = match step {
        0 | 1 => N::switchToCall { name, version, reason }.abi_encode(),
        2 | 3 => N::startCanaryCall { name, version, basisPoints: 5_000, reason }.abi_encode(),
        4 => N::setCanaryRuleCall { name, rule: TOGGLE, reason }.abi_encode(),
        5 => N::abortCanaryCall { name, reason }.abi_encode(),
        6 => N::finishCanaryCall { name, reason }.abi_encode(),
        _ => return transaction(Some(TOGGLE), vec![]),
    };
    transaction(Some(lian_system_contracts::names::ADDRESS), call)
}

/// An account with a key that nobody knows has signed this, as far as anybody can tell.
fn authority(index: usize) -> SignedAuthorization {
    let address = [COPIER, phoenix()][index];
    Authorization { chain_id: U256::from(CHAIN_ID), address, nonce: 0 }.into_signed(Signature::new(
        U256::from(1),
        U256::from(2),
        false,
    ))
}

fn genesis(has_permissions: bool) -> MemoryState {
    let mut chain = system::chain();
    let versions = [(names::FIRST, COUNTER_CODE), (names::SECOND, COPIER_CODE), (TOGGLE, TOGGLE_CODE)];
    for (address, code) in versions {
        chain.state.insert(address, 1, U256::ZERO, Bytes::from_static(code), []);
    }
    names::register_both(&mut chain);
    for delegate in (0..8).map(account) {
        for name in NAMES {
            let call = INames::setDelegateCall { name: name.into(), account: delegate, allowed: true };
            assert!(chain.send(ALICE, Some(lian_system_contracts::names::ADDRESS), call.abi_encode()).success);
        }
    }
    if has_permissions {
        make_rules(&mut chain);
    }
    assets::fund(&mut chain, &(0..8).map(account).collect::<Vec<_>>(), U256::from(30));
    let mut state = chain.state;
    for index in 0..8 {
        state.insert(account(index), 0, U256::from(60), Bytes::new(), BTreeMap::new());
    }
    let slots = |values: &[u64]| (0..).map(U256::from).zip(values.iter().copied().map(U256::from)).collect::<Vec<_>>();
    state.insert(COUNTER, 1, U256::ZERO, Bytes::from_static(COUNTER_CODE), slots(&[9, 8]));
    state.insert(FACTORY, 1, U256::ZERO, Bytes::from_static(FACTORY_CODE), []);
    state.insert(COPIER, 1, U256::ZERO, Bytes::from_static(COPIER_CODE), slots(&[0, 1, 2, 3, 4]));
    state.insert(OBSERVER, 1, U256::ZERO, Bytes::from_static(OBSERVER_CODE), []);
    state.insert(phoenix(), 1, U256::from(3), Bytes::from_static(PHOENIX_CODE), slots(&[5, 6, 0, 7]));
    state.insert(HISTORY_STORAGE_ADDRESS, 1, U256::ZERO, HISTORY_STORAGE_CODE.clone(), []);
    state
}

/// One sender and one contract are frozen, some may not count, and few may create contracts.
fn make_rules(chain: &mut Chain) {
    let reason = String::new;
    let calls = [
        P::freezeCall { target: account(5), reason: reason() }.abi_encode(),
        P::freezeCall { target: OBSERVER, reason: reason() }.abi_encode(),
        P::setPolicyCall { target: COUNTER, method: FixedBytes([0xff; 4]), policy: P::Policy::AllowList }.abi_encode(),
        P::listRoleCall { target: COUNTER, method: FixedBytes([0xff; 4]), role: "user".into(), listed: true }
            .abi_encode(),
        P::grantRoleCall { role: "user".into(), account: account(1), reason: reason() }.abi_encode(),
        P::restrictCreationCall { restricted: true, reason: reason() }.abi_encode(),
        P::grantRoleCall { role: "deployer".into(), account: account(2), reason: reason() }.abi_encode(),
        P::grantRoleCall { role: "deployer".into(), account: FACTORY, reason: reason() }.abi_encode(),
    ];
    for call in calls {
        assert!(chain.send(ALICE, Some(permissions::ADDRESS), call).success);
    }
    // The blocks begin with nonces of 0.
    chain.state.accounts.get_mut(&ALICE).unwrap().state.nonce = 0;
}

fn words(values: [u8; 2]) -> Vec<u8> {
    values.map(|value| B256::with_last_byte(value).0).concat()
}

fn build(plan: &Plan) -> Vec<Arc<VerifiedTransaction>> {
    let mut nonces: BTreeMap<Address, u64> = BTreeMap::new();
    let one = |(sender, action): &(u8, Action)| {
        let sender = account(*sender);
        let next = nonces.entry(sender).or_default();
        let nonce = *next;
        let worth = |value: &u64, built| TxEip1559 { value: U256::from(*value), ..built };
        let mut built = match action {
            Action::Pay { to, value } => worth(value, transaction(Some(account(*to)), vec![])),
            Action::Count { slot } => transaction(Some(COUNTER), words([*slot, 0])),
            Action::Copy { from, to } => transaction(Some(COPIER), words([*from, *to])),
            Action::Observe { whom } => transaction(Some(OBSERVER), account(*whom).into_word().to_vec()),
            Action::Create { program, value } => worth(value, transaction(None, PROGRAMS[*program].to_vec())),
            Action::Create2 { program, value } => worth(value, transaction(Some(FACTORY), PROGRAMS[*program].to_vec())),
            Action::Rise => transaction(Some(FACTORY), phoenix_creation()),
            Action::Burn { value } => worth(value, transaction(Some(phoenix()), vec![])),
            Action::Feed { slot, value } => transaction(Some(phoenix()), words([*slot, *value])),
            Action::Transfer { to, amount } => {
                transaction(Some(assets::ADDRESS), assets::transfer(account(*to), U256::from(*amount)))
            }
            Action::Freeze { whom } => {
                let call = P::freezeCall { target: account(*whom), reason: String::new() };
                transaction(Some(permissions::ADDRESS), call.abi_encode())
            }
            Action::CallName { name, words: [from, to] } => {
                transaction(Some(names::alias_at(NAMES[*name])), words([*from, *to]))
            }
            Action::SteerName { name, step } => steer(NAMES[*name], *step),
            Action::Govern => transaction(Some(members::ADDRESS), system::make_sealer()),
            Action::WrongNonce { .. } | Action::LittleGas => transaction(Some(BOB), vec![]),
            Action::MuchGas { limit } => TxEip1559 { gas_limit: *limit, ..transaction(Some(COUNTER), vec![]) },
            Action::Delegate { authority: index } => {
                *next += 1;
                let (authorization_list, to) = (vec![authority(*index)], account(11));
                let (chain_id, gas_limit, input) = (CHAIN_ID, 300_000, words([1, 2]).into());
                return sent(
                    sender,
                    TxEip7702 { chain_id, nonce, gas_limit, to, authorization_list, input, ..TxEip7702::default() },
                );
            }
        };
        built.nonce = match action {
            Action::WrongNonce { high: true } => nonce + 2,
            Action::WrongNonce { high: false } => nonce.saturating_sub(1),
            _ => nonce,
        };
        if matches!(action, Action::LittleGas) {
            built.gas_limit = 20_000;
        } else if !matches!(action, Action::WrongNonce { .. }) {
            *next += 1;
        }
        // The gas of most must fit small blocks, too.
        built.gas_limit =
            built.gas_limit.min(if matches!(action, Action::MuchGas { .. }) { 4_000_000 } else { 300_000 });
        sent(sender, built)
    };
    plan.actions.iter().map(one).collect()
}

/// A state whose answers take longer now and then, so that threads meet in ever other ways.
struct Unsteady<'a> {
    state: &'a dyn StateReader,
    random: AtomicU64,
}

impl Unsteady<'_> {
    fn dawdle(&self) {
        let mut random = self.random.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        random ^= random >> 29;
        random = random.wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 60;
        for _ in 0..random.saturating_sub(10) {
            std::thread::yield_now();
        }
    }
}

impl StateReader for Unsteady<'_> {
    fn account(&self, address: Address) -> Result<Option<AccountState>, StateError> {
        self.dawdle();
        self.state.account(address)
    }

    fn storage(&self, address: Address, slot: U256) -> Result<U256, StateError> {
        self.dawdle();
        self.state.storage(address, slot)
    }

    fn code(&self, hash: B256) -> Result<Bytes, StateError> {
        self.dawdle();
        self.state.code(hash)
    }

    fn block_hash(&self, number: u64) -> Result<B256, StateError> {
        self.state.block_hash(number)
    }
}

fn environment(gas_limit: u64) -> BlockEnvironment {
    let mut environment = BlockEnvironment::new(5, 1_700_000_000, PROPOSER, gas_limit);
    environment.parent_hash = Some(B256::with_last_byte(7));
    environment
}

fn parallel(
    rules: &Rules,
    environment: &BlockEnvironment,
    state: &dyn StateReader,
    transactions: &[Arc<VerifiedTransaction>],
    threads: usize,
    seed: u64,
) -> Result<Outcome, lian_executor::ExecutionError> {
    let state = Unsteady { state, random: AtomicU64::new(seed) };
    execute_transactions_parallel(rules, environment, &state, transactions, NonZeroUsize::new(threads).unwrap())
}

fn cases() -> u32 {
    std::env::var("LIAN_PARALLEL_CASES").map_or(400, |cases| cases.parse().unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), max_shrink_iters: 5_000, ..ProptestConfig::default() })]

    #[test]
    fn any_number_of_threads_gives_the_serial_outcome(plan in plan()) {
        let (state, transactions) = (genesis(plan.has_permissions), build(&plan));
        let environment = environment(plan.gas_limit);
        let rules = Rules { spec: plan.spec, ..rules() };
        let serial = execute_transactions(&rules, &environment, &state, &transactions).unwrap();
        prop_assert_eq!(serial.included.len() + serial.skipped.len(), transactions.len());
        for threads in [1, 2, 8, 32] {
            let outcome = parallel(&rules, &environment, &state, &transactions, threads, plan.seed).unwrap();
            prop_assert_eq!(&serial, &outcome, "{} threads", threads);
        }
    }

    /// A state that cannot be read stops the block as it stops a serial one: by the same error, and not at all where no
    /// transaction that counts needs it.
    #[test]
    fn an_unreadable_state_stops_the_block_as_it_stops_a_serial_one(plan in plan(), broken in 0..14u8, slot in 0..8u64) {
        let (memory, transactions) = (genesis(plan.has_permissions), build(&plan));
        let environment = environment(plan.gas_limit);
        let state = Broken { state: &memory, address: account(broken), slot: U256::from(slot) };
        let serial = execute_transactions(&rules(), &environment, &state, &transactions).map_err(|e| e.to_string());
        for threads in [2, 8] {
            let outcome = parallel(&rules(), &environment, &state, &transactions, threads, plan.seed);
            prop_assert_eq!(&serial, &outcome.map_err(|error| error.to_string()), "{} threads", threads);
        }
    }
}

/// A state that cannot be read at one account and at one slot of the copier and the phoenix.
struct Broken<'a> {
    state: &'a MemoryState,
    address: Address,
    slot: U256,
}

impl StateReader for Broken<'_> {
    fn account(&self, address: Address) -> Result<Option<AccountState>, StateError> {
        if address == self.address && address != COPIER && address != phoenix() {
            return Err(StateError::new(format!("no page of {address}")));
        }
        self.state.account(address)
    }

    fn storage(&self, address: Address, slot: U256) -> Result<U256, StateError> {
        if slot == self.slot && address == self.address {
            return Err(StateError::new(format!("no page of {address}, {slot}")));
        }
        self.state.storage(address, slot)
    }

    fn code(&self, hash: B256) -> Result<Bytes, StateError> {
        self.state.code(hash)
    }

    fn block_hash(&self, number: u64) -> Result<B256, StateError> {
        self.state.block_hash(number)
    }
}

/// So many payments, each sender's after the other.
fn payments(count: u8) -> Vec<Arc<VerifiedTransaction>> {
    let pay = |sender: u8| (sender % 8, Action::Pay { to: 3, value: 1 });
    build(&Plan {
        gas_limit: u64::MAX,
        spec: SpecId::OSAKA,
        has_permissions: false,
        actions: (0..count).map(pay).collect(),
        seed: 0,
    })
}

#[test]
fn large_blocks_run_on_the_threads_that_there_are() {
    let (state, environment) = (genesis(false), environment(u64::MAX));
    let threads = Threads::new(NonZeroUsize::new(3).unwrap());
    for (count, parallel) in [(20, 0), (240, 1), (240, 1), (240, 2)] {
        let transactions = payments(count);
        let outcome = threads.execute(&rules(), &environment, &state, &transactions).unwrap();
        assert_eq!(outcome, execute_transactions(&rules(), &environment, &state, &transactions).unwrap());
        assert_eq!(outcome.included.len(), usize::from(count));
        // All pay one account, so that the block after a large one runs serially.
        assert_eq!(threads.parallel_blocks(), parallel);
    }
    assert!(!threads.disagreed());
}

/// A state in which an account is richer whenever it is asked for.
struct Growing<'a> {
    state: &'a MemoryState,
    asked: AtomicU64,
}

impl StateReader for Growing<'_> {
    fn account(&self, address: Address) -> Result<Option<AccountState>, StateError> {
        let found = self.state.account(address)?;
        let more = if address == ALICE { self.asked.fetch_add(1, Ordering::Relaxed) } else { 0 };
        Ok(found.map(|account| AccountState { balance: account.balance + U256::from(more), ..account }))
    }

    fn storage(&self, address: Address, slot: U256) -> Result<U256, StateError> {
        self.state.storage(address, slot)
    }

    fn code(&self, hash: B256) -> Result<Bytes, StateError> {
        self.state.code(hash)
    }

    fn block_hash(&self, number: u64) -> Result<B256, StateError> {
        self.state.block_hash(number)
    }
}

#[test]
fn threads_that_disagree_with_one_are_not_used_again() {
    let memory = genesis(false);
    let state = Growing { state: &memory, asked: AtomicU64::new(0) };
    let threads = Threads::new(NonZeroUsize::new(2).unwrap());
    let transactions = payments(200);
    for blocks in [1, 1, 1] {
        threads.execute(&rules(), &environment(u64::MAX), &state, &transactions).unwrap();
        assert_eq!((threads.disagreed(), threads.parallel_blocks()), (true, blocks));
    }
}

/// The second half of a block reads a slot, which the first half writes, and then forgets all storage of that account.
#[test]
fn what_was_read_before_storage_was_forgotten_counts() {
    let pay = |sender, to| (sender, Action::Pay { to, value: 1 });
    let feed = |sender| (sender, Action::Feed { slot: 2, value: 1 });
    let first = std::iter::once(feed(0)).chain((0..7).map(|_| pay(1, 6)));
    let second = [feed(3), (5, Action::Burn { value: 0 })].into_iter().chain((0..5).map(|_| pay(4, 7)));
    let actions = first.chain(second).collect();
    let transactions =
        build(&Plan { gas_limit: GAS_LIMIT, spec: SpecId::SHANGHAI, has_permissions: false, actions, seed: 0 });
    let rules = Rules { spec: SpecId::SHANGHAI, ..rules() };
    let serial = execute_transactions(&rules, &environment(GAS_LIMIT), &genesis(false), &transactions).unwrap();
    assert_eq!(parallel(&rules, &environment(GAS_LIMIT), &genesis(false), &transactions, 2, 0).unwrap(), serial);
}

/// What the random blocks must be able to do, so that they show anything: each of it happens in the serial run.
#[test]
fn the_contracts_of_these_tests_do_what_they_say() {
    let run = |spec: SpecId, actions: Vec<(u8, Action)>| {
        let plan = Plan { gas_limit: GAS_LIMIT, spec, has_permissions: false, actions, seed: 0 };
        let rules = Rules { spec, ..rules() };
        let mut state = genesis(false);
        let outcome = execute_transactions(&rules, &environment(GAS_LIMIT), &state, &build(&plan)).unwrap();
        state.apply(&outcome.changes);
        (outcome, state)
    };
    let slot = |state: &MemoryState, address, slot: u64| state.storage(address, U256::from(slot)).unwrap().to::<u64>();

    let (_, state) = run(SpecId::OSAKA, vec![(0, Action::Count { slot: 1 }), (1, Action::Copy { from: 1, to: 9 })]);
    assert_eq!((slot(&state, COUNTER, 1), slot(&state, COPIER, 9)), (9, 2));
    let (outcome, _) = run(SpecId::OSAKA, vec![(0, Action::Copy { from: 3, to: 9 }), (0, Action::Govern)]);
    assert_eq!(outcome.receipts.iter().map(|r| r.success).collect::<Vec<_>>(), vec![false, true]);

    // Destroyed, made anew, and fed: nothing of the old storage is left.
    let actions = vec![(0, Action::Burn { value: 1 }), (1, Action::Rise), (2, Action::Feed { slot: 1, value: 2 })];
    let (_, state) = run(SpecId::SHANGHAI, actions.clone());
    assert_eq!([0, 1, 3].map(|number| slot(&state, phoenix(), number)), [7, 2, 0]);
    let (_, state) = run(SpecId::OSAKA, actions);
    assert_eq!([0, 1, 3].map(|number| slot(&state, phoenix(), number)), [5, 8, 7]);

    let (_, state) =
        run(SpecId::OSAKA, vec![(0, Action::Delegate { authority: 0 }), (1, Action::Observe { whom: 11 })]);
    assert_eq!((slot(&state, account(11), 2), state.account(account(11)).unwrap().unwrap().nonce), (1, 1));
    assert_ne!(state.storage(OBSERVER, account(11).into_word().into()).unwrap(), U256::ZERO);
}
