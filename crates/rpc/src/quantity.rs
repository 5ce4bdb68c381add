//! Numbers as Ethereum's JSON-RPC writes them: `0x` and hexadecimal digits, without leading zeros.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// A number of at most 64 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Quantity(pub(crate) u64);

/// Reads the digits of a quantity, with geth's messages.
///
/// # Errors
/// Says which rule the text breaks.
pub(crate) fn parse_quantity(text: &str) -> Result<u64, &'static str> {
    let Some(digits) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) else {
        return Err("hex string without 0x prefix");
    };
    if digits.is_empty() {
        return Err("hex string \"0x\"");
    }
    if digits.len() > 1 && digits.starts_with('0') {
        return Err("hex number with leading zero digits");
    }
    if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return Err("invalid hex string");
    }
    u64::from_str_radix(digits, 16).map_err(|_| "hex number > 64 bits")
}

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str> as Deserialize>::deserialize(deserializer)?;
        parse_quantity(&text).map(Self).map_err(D::Error::custom)
    }
}

impl Serialize for Quantity {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:#x}", self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn follows_the_rules_of_execution_apis() {
        let cases = [
            ("0x0", Ok(0)),
            ("0x400", Ok(1024)),
            ("0xffffffffffffffff", Ok(u64::MAX)),
            ("0x", Err("hex string \"0x\"")),
            ("0x0400", Err("hex number with leading zero digits")),
            ("ff", Err("hex string without 0x prefix")),
            ("0x-1", Err("invalid hex string")),
            ("0xzz", Err("invalid hex string")),
            ("0x10000000000000000", Err("hex number > 64 bits")),
        ];
        for (text, expected) in cases {
            assert_eq!(parse_quantity(text), expected, "{text}");
        }
        assert_eq!(serde_json::to_string(&Quantity(255)).unwrap(), "\"0xff\"");
    }
}
