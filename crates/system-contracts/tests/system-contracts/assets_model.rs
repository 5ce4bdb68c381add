//! 0x2009 against a model: whatever is done in whatever order, balances are the model's and add up to what was issued and
//! not redeemed.

use crate::{
    assets::{BANK, balance, batch, chain, create, issue, record, transfer},
    chain::Chain,
};
use alloy_primitives::{Address, B256, U256};
use lian_system_contracts::{Failure, assets::ADDRESS, interfaces::IAssets as A};
use proptest::prelude::*;
use std::collections::HashMap;

const ASSETS: usize = 2;
const ACCOUNTS: usize = 4;

/// The issuer is one of them.
fn account(index: usize) -> Address {
    [BANK, Address::repeat_byte(1), Address::repeat_byte(2), Address::repeat_byte(3)][index]
}

#[derive(Clone, Debug)]
enum Act {
    Issue { to: usize, amount: U256 },
    Redeem { amount: U256 },
    Transfer { from: usize, to: usize, amount: U256 },
    Batch { from: usize, payments: Vec<(usize, U256)> },
    Freeze { account: usize, amount: U256 },
    FreezeAsset { frozen: bool },
}

/// Mostly small, so that they meet; and some at the edge of 256 bits.
fn amount() -> impl Strategy<Value = U256> {
    prop_oneof![
        8 => (0..12u64).prop_map(U256::from),
        1 => (0..3u64).prop_map(|less| U256::MAX - U256::from(less)),
        1 => (0..3u64).prop_map(|less| (U256::MAX >> 1) - U256::from(less)),
    ]
}

fn act() -> impl Strategy<Value = Act> {
    let holder = || 0..ACCOUNTS;
    prop_oneof![
        3 => (holder(), amount()).prop_map(|(to, amount)| Act::Issue { to, amount }),
        2 => amount().prop_map(|amount| Act::Redeem { amount }),
        6 => (holder(), holder(), amount()).prop_map(|(from, to, amount)| Act::Transfer { from, to, amount }),
        3 => (holder(), prop::collection::vec((holder(), amount()), 0..4))
            .prop_map(|(from, payments)| Act::Batch { from, payments }),
        2 => (holder(), amount()).prop_map(|(account, amount)| Act::Freeze { account, amount }),
        1 => prop::bool::weighted(0.3).prop_map(|frozen| Act::FreezeAsset { frozen }),
    ]
}

/// What an asset should be.
#[derive(Default)]
struct Model {
    balances: HashMap<usize, U256>,
    frozen: HashMap<usize, U256>,
    is_frozen: bool,
    issued: U256,
    redeemed: U256,
}

impl Model {
    fn balance(&self, account: usize) -> U256 {
        self.balances.get(&account).copied().unwrap_or_default()
    }

    /// Takes an amount away, if so much is there and free.
    fn take(&mut self, account: usize, amount: U256) -> Option<()> {
        let frozen = self.frozen.get(&account).copied().unwrap_or_default();
        let rest = self.balance(account).checked_sub(amount)?;
        // What is left must be at least what is frozen; of a balance below that nothing can be taken.
        if !amount.is_zero() && rest < frozen {
            return None;
        }
        self.balances.insert(account, rest);
        Some(())
    }

    fn give(&mut self, account: usize, amount: U256) {
        *self.balances.entry(account).or_default() += amount;
    }

    fn pay(&mut self, from: usize, payments: &[(usize, U256)]) -> Option<()> {
        let total = payments.iter().try_fold(U256::ZERO, |total, (_, amount)| total.checked_add(*amount))?;
        self.take(from, total)?;
        payments.iter().for_each(|(to, amount)| self.give(*to, *amount));
        Some(())
    }

    /// Does it, or says that it must be refused.
    fn apply(&mut self, act: &Act) -> Option<()> {
        match act {
            Act::Freeze { account, amount } => {
                self.frozen.insert(*account, *amount);
            }
            Act::FreezeAsset { frozen } => self.is_frozen = *frozen,
            _ if self.is_frozen => return None,
            Act::Issue { to, amount } => {
                self.issued = self.issued.checked_add(*amount)?;
                self.give(*to, *amount);
            }
            Act::Redeem { amount } => {
                self.take(0, *amount)?;
                self.redeemed += *amount;
            }
            Act::Transfer { from, to, amount } => self.pay(*from, &[(*to, *amount)])?,
            Act::Batch { from, payments } => self.pay(*from, payments)?,
        }
        Some(())
    }
}

fn apply(chain: &mut Chain, id: U256, act: &Act) -> Result<(), Failure> {
    match act {
        Act::Issue { to, amount } => issue(chain, id, account(*to), *amount),
        Act::Redeem { amount } => {
            chain.call(ADDRESS, &A::redeemCall { id, amount: *amount, referenceId: B256::ZERO }).map(drop)
        }
        Act::Transfer { from, to, amount } => transfer(chain, account(*from), id, account(*to), *amount),
        Act::Batch { from, payments } => {
            let payments: Vec<_> = payments.iter().map(|(to, amount)| (account(*to), *amount)).collect();
            batch(chain, account(*from), id, &payments)
        }
        Act::Freeze { account: holder, amount } => {
            chain.call(ADDRESS, &A::setFrozenCall { id, account: account(*holder), amount: *amount }).map(drop)
        }
        Act::FreezeAsset { frozen } => chain.call(ADDRESS, &A::freezeAssetCall { id, frozen: *frozen }).map(drop),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn balances_are_what_a_simple_model_says(acts in prop::collection::vec((0..ASSETS, act()), 1..40)) {
        let mut chain = chain();
        let ids: Vec<_> = (0..ASSETS).map(|number| create(&mut chain, &format!("A{number}")).unwrap()).collect();
        let mut models: Vec<_> = ids.iter().map(|_| Model::default()).collect();
        for (asset, act) in &acts {
            let before = chain.clone();
            let outcome = apply(&mut chain, ids[*asset], act);
            let expected = models[*asset].apply(act);
            prop_assert_eq!(outcome.is_ok(), expected.is_some(), "{:?}: {:?}", act, outcome);
            prop_assert!(outcome.is_ok() || chain == before, "refused, and yet something changed: {:?}", act);
            for (id, model) in ids.iter().zip(&models) {
                let balances: Vec<_> = (0..ACCOUNTS).map(|holder| balance(&mut chain, *id, account(holder))).collect();
                let wanted: Vec<_> = (0..ACCOUNTS).map(|holder| model.balance(holder)).collect();
                prop_assert_eq!(&balances, &wanted);
                let record = record(&mut chain, *id);
                prop_assert_eq!((record.issued, record.redeemed), (model.issued, model.redeemed));
                let sum = balances.iter().try_fold(U256::ZERO, |sum, balance| sum.checked_add(*balance));
                prop_assert_eq!(sum, model.issued.checked_sub(model.redeemed));
            }
        }
    }
}

/// A call's bytes come from anybody.
fn input() -> impl Strategy<Value = Vec<u8>> {
    let word = prop_oneof![
        4 => (0..9u64).prop_map(|small| U256::from(32 * small)),
        2 => (0..9u64).prop_map(U256::from),
        1 => any::<[u8; 32]>().prop_map(U256::from_be_bytes),
        1 => (0..64usize).prop_map(|bits| U256::ONE << bits),
    ];
    let selector = prop::sample::select(A::IAssetsCalls::SELECTORS);
    (selector, prop::collection::vec(word, 0..9), prop::collection::vec(any::<u8>(), 0..33)).prop_map(
        |(selector, words, rest)| {
            let words = words.iter().flat_map(|word| word.to_be_bytes::<32>());
            selector.into_iter().chain(words).chain(rest).collect()
        },
    )
}

proptest! {
    /// Whatever they are, the call is done or refused, and a refused one changes nothing.
    #[test]
    fn any_input_is_done_or_refused(inputs in prop::collection::vec(input(), 1..20)) {
        let mut chain = chain();
        let id = create(&mut chain, "A").unwrap();
        issue(&mut chain, id, BANK, U256::from(9)).unwrap();
        for input in inputs {
            let before = chain.clone();
            let outcome = chain.input(ADDRESS, &input);
            prop_assert!(outcome.is_ok() || chain == before);
        }
        let record = record(&mut chain, id);
        prop_assert!(record.issued >= record.redeemed);
    }
}
