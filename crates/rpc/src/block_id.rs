//! How a request names a block: a tag, a number, a hash, or EIP-1898's object.

use crate::quantity::parse_quantity;
use alloy_primitives::B256;
use serde::{Deserialize, Deserializer, de::Error as _};

/// A block number or tag.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum BlockTag {
    /// The block 0.
    Earliest,
    /// The last final block. `safe` and `finalized` are the same here: every block is final.
    #[default]
    Latest,
    /// The last final block, for everything but an account's next nonce, which counts the pool's transactions.
    Pending,
    /// The block of a height.
    Number(u64),
}

/// A block, by number or by hash (EIP-1898).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BlockId {
    /// By number or tag.
    Tag(BlockTag),
    /// By hash. `requireCanonical` changes nothing: every block of this chain is canonical.
    Hash(B256),
}

impl Default for BlockId {
    fn default() -> Self {
        Self::Tag(BlockTag::default())
    }
}

impl BlockTag {
    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "earliest" => Ok(Self::Earliest),
            "latest" | "safe" | "finalized" | "" => Ok(Self::Latest),
            "pending" => Ok(Self::Pending),
            _ => parse_quantity(text).map(Self::Number).map_err(|reason| {
                format!("{reason} (a block is a number like 0x1b4, or earliest, latest, safe, finalized, pending)")
            }),
        }
    }
}

impl<'de> Deserialize<'de> for BlockTag {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str> as Deserialize>::deserialize(deserializer)?;
        Self::parse(&text).map_err(D::Error::custom)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Eip1898 {
    block_number: Option<BlockTag>,
    block_hash: Option<B256>,
    require_canonical: Option<bool>,
}

impl<'de> Deserialize<'de> for BlockId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = serde_json::Value::deserialize(deserializer)?;
        match value {
            // 0x and 64 digits can only be a hash: a number of that length would have more than 64 bits.
            serde_json::Value::String(text) if text.len() == 66 => {
                text.parse().map(Self::Hash).map_err(|error| D::Error::custom(format!("{error}")))
            }
            serde_json::Value::String(text) => BlockTag::parse(&text).map(Self::Tag).map_err(D::Error::custom),
            serde_json::Value::Object(_) => {
                let id = Eip1898::deserialize(value).map_err(D::Error::custom)?;
                match (id.block_number, id.block_hash) {
                    (Some(_), Some(_)) => {
                        Err(D::Error::custom("cannot specify both blockHash and blockNumber, choose one or the other"))
                    }
                    (Some(_), None) if id.require_canonical.is_some() => {
                        Err(D::Error::custom("requireCanonical needs blockHash"))
                    }
                    (Some(tag), None) => Ok(Self::Tag(tag)),
                    (None, Some(hash)) => Ok(Self::Hash(hash)),
                    (None, None) => Err(D::Error::custom("expected blockHash or blockNumber")),
                }
            }
            _ => Err(D::Error::custom("expected a block number, tag, hash, or an object with one of them")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(json: &str) -> Result<BlockId, String> {
        serde_json::from_str(json).map_err(|error| error.to_string())
    }

    #[test]
    fn accepts_every_form_of_eip_1898() {
        let hash = B256::repeat_byte(7);
        let cases = [
            (r#""latest""#.to_owned(), BlockId::Tag(BlockTag::Latest)),
            (r#""safe""#.to_owned(), BlockId::Tag(BlockTag::Latest)),
            (r#""finalized""#.to_owned(), BlockId::Tag(BlockTag::Latest)),
            (r#""pending""#.to_owned(), BlockId::Tag(BlockTag::Pending)),
            (r#""earliest""#.to_owned(), BlockId::Tag(BlockTag::Earliest)),
            (r#""0x10""#.to_owned(), BlockId::Tag(BlockTag::Number(16))),
            (r#"{"blockNumber":"0x10"}"#.to_owned(), BlockId::Tag(BlockTag::Number(16))),
            (format!("\"{hash}\""), BlockId::Hash(hash)),
            (format!(r#"{{"blockHash":"{hash}"}}"#), BlockId::Hash(hash)),
            (format!(r#"{{"blockHash":"{hash}","requireCanonical":true}}"#), BlockId::Hash(hash)),
        ];
        for (json, expected) in cases {
            assert_eq!(parse(&json), Ok(expected), "{json}");
        }
    }

    #[test]
    fn refuses_everything_else() {
        let hash = B256::repeat_byte(7);
        let cases = [
            "5".to_owned(),
            "true".to_owned(),
            "[]".to_owned(),
            "{}".to_owned(),
            r#""0x""#.to_owned(),
            r#""0x01""#.to_owned(),
            r#""16""#.to_owned(),
            r#""newest""#.to_owned(),
            format!(r#"{{"blockHash":"{hash}","blockNumber":"0x1"}}"#),
            r#"{"blockNumber":"0x1","requireCanonical":true}"#.to_owned(),
            r#"{"blockHash":"0x12"}"#.to_owned(),
            format!("\"{}\"", "0xzz".repeat(16).get(..66).unwrap_or("0xzzz")),
        ];
        for json in cases {
            assert!(parse(&json).is_err(), "{json}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,80}", number in any::<u64>()) {
            let _ = serde_json::from_value::<BlockId>(text.into());
            let shown = format!("{number:#x}");
            let read: BlockId = serde_json::from_value(shown.into()).unwrap();
            prop_assert_eq!(read, BlockId::Tag(BlockTag::Number(number)));
        }
    }
}
