//! Whom a transaction or call goes to: an address, or a name that the chain knows.

use super::{NodeArgs, cns::contract::Names};
use alloy_primitives::Address;
use anyhow::Result;
use lian_system_contracts::names::{InvalidName, Name};
use std::str::FromStr;

/// An address, or a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Callee {
    Address(Address),
    Name(Name),
}

impl FromStr for Callee {
    type Err = String;

    /// What can be an address is one.
    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(address) = text.parse() {
            return Ok(Self::Address(address));
        }
        let refuse = |error: InvalidName| format!("`{text}` is neither an address nor a name: {error}");
        Name::parse(text).map(Self::Name).map_err(refuse)
    }
}

impl Callee {
    /// The address; that of a name is its alias.
    pub(super) async fn address(&self, node: &NodeArgs) -> Result<Address> {
        match self {
            Self::Address(address) => Ok(*address),
            Self::Name(name) => Names::of(node)?.alias(name).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_an_address_is_none_s_name() {
        let address = Address::repeat_byte(0xab);
        assert_eq!(format!("{address:?}").parse(), Ok(Callee::Address(address)));
        assert_eq!("ab".repeat(20).parse(), Ok(Callee::Address(address)));
        assert_eq!("Pay.工行".parse(), Ok(Callee::Name(Name::parse("pay.工行").unwrap())));
        for text in ["0xab", "a b", ""] {
            let error = text.parse::<Callee>().unwrap_err();
            assert!(error.starts_with(&format!("`{text}` is neither an address nor a name: ")), "{error}");
        }
    }
}
