//! A contract in 51 bytes: called with a word, it stores it in slot 0 and logs it under topic 1; with the word zero, it
//! reverts with 42; without a word, it returns what is stored.

use alloy_primitives::{Bytes, hex};

pub(crate) const CODE: [u8; 51] = hex!(
    "3615601c57" // no input: to 1c
    "600035801560" "2857" // the word; zero: to 28
    "80600055" // stored
    "600052600160206000a100" // logged under topic 1
    "5b60005460005260206000f3" // 1c: returned
    "5b602a60005260206000fd" // 28: reverted
);

/// Returns [`CODE`] as the contract's code.
pub(crate) fn creation_code() -> Bytes {
    let mut code = hex!("603380600b6000396000f3").to_vec();
    code.extend_from_slice(&CODE);
    code.into()
}

/// A word as input.
pub(crate) fn word(value: u64) -> Bytes {
    alloy_primitives::B256::from(alloy_primitives::U256::from(value)).0.into()
}
