//! RLP tests: the encoding of a structure, and bytes that encode nothing.

use super::{Mismatch, expect_equal};
use alloy_primitives::{U512, hex};
use alloy_rlp::Header;
use serde_json::Value;

/// Deepest nesting that is read; far more than any format of Ethereum has.
const DEPTH_MAX: usize = 1_024;

/// Any RLP item.
#[derive(Debug, PartialEq, Eq)]
enum Item {
    Bytes(Vec<u8>),
    List(Vec<Item>),
}

/// Encodes `in` and compares with `out`, and the other way round; or only sees whether `out` is valid.
pub(super) fn run(test: &Value) -> Result<(), Mismatch> {
    let out = test.get("out").and_then(Value::as_str).ok_or_else(|| Mismatch::wrong("`out` is not a text"))?;
    let out = hex::decode(out).map_err(Mismatch::wrong)?;
    let decoded = Item::decode(&out);
    match test.get("in") {
        Some(Value::String(text)) if text == "INVALID" => match decoded {
            Ok(item) => Err(Mismatch::Wrong(format!("invalid RLP is accepted as {item:?}"))),
            Err(_) => Ok(()),
        },
        Some(Value::String(text)) if text == "VALID" => {
            let item = decoded.map_err(Mismatch::Wrong)?;
            expect_equal("the encoding", &out, &item.encoded())
        }
        Some(value) => {
            let item = Item::from_json(value)?;
            expect_equal("the encoding", &out, &item.encoded())?;
            expect_equal("the structure", &item, &decoded.map_err(Mismatch::Wrong)?)
        }
        None => Err(Mismatch::wrong("`in` is missing")),
    }
}

impl Item {
    /// Text is bytes, a number its shortest big-endian bytes; text beginning with # is a decimal number of any size.
    fn from_json(value: &Value) -> Result<Self, Mismatch> {
        match value {
            Value::String(text) => match text.strip_prefix('#') {
                Some(digits) => number(digits),
                None => Ok(Self::Bytes(text.as_bytes().to_vec())),
            },
            Value::Number(value) => number(&value.to_string()),
            Value::Array(items) => items.iter().map(Self::from_json).collect::<Result<_, _>>().map(Self::List),
            _ => Err(Mismatch::Wrong(format!("`in` has no RLP: {value}"))),
        }
    }

    fn encoded(&self) -> Vec<u8> {
        match self {
            Self::Bytes(bytes) => alloy_rlp::encode(bytes.as_slice()),
            Self::List(items) => {
                let payload: Vec<u8> = items.iter().flat_map(Self::encoded).collect();
                let mut encoded = Vec::with_capacity(payload.len().saturating_add(9));
                Header { list: true, payload_length: payload.len() }.encode(&mut encoded);
                encoded.extend_from_slice(&payload);
                encoded
            }
        }
    }

    /// One item that fills the bytes.
    fn decode(mut bytes: &[u8]) -> Result<Self, String> {
        let item = Self::decode_first(&mut bytes, 0)?;
        if bytes.is_empty() { Ok(item) } else { Err(format!("{} bytes follow the item", bytes.len())) }
    }

    fn decode_first(bytes: &mut &[u8], depth: usize) -> Result<Self, String> {
        if depth > DEPTH_MAX {
            return Err("nested too deeply".to_owned());
        }
        let header = Header::decode(bytes).map_err(|error| error.to_string())?;
        let (mut payload, rest) = bytes.split_at_checked(header.payload_length).ok_or("the payload is cut off")?;
        *bytes = rest;
        if !header.list {
            return Ok(Self::Bytes(payload.to_vec()));
        }
        let mut items = Vec::new();
        while !payload.is_empty() {
            items.push(Self::decode_first(&mut payload, depth.saturating_add(1))?);
        }
        Ok(Self::List(items))
    }
}

fn number(digits: &str) -> Result<Item, Mismatch> {
    let number: U512 = digits.parse().map_err(Mismatch::wrong)?;
    Ok(Item::Bytes(number.to_be_bytes_trimmed_vec()))
}
