//! The events that a hook tells, and how their arguments look in JSON.

use alloy_dyn_abi::{DynSolEvent, DynSolValue, Specifier};
use alloy_json_abi::Event;
use alloy_primitives::{Address, B256, Log, hex};
use lian_ledger::LogFilter;
use serde_json::{Map, Value, json};
use std::fmt::Display;

/// Most events that a hook names: more than any contract that people write declares.
const EVENTS_MAX: usize = 64;

/// The events that a hook tells: those declared, or all of its contract where none is.
#[derive(Clone, Debug, Default)]
pub struct Events(Vec<Declared>);

#[derive(Clone, Debug)]
struct Declared {
    event: Event,
    resolved: DynSolEvent,
}

/// Why declarations are of no use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EventError {
    /// There are too many.
    #[error("events has {0} entries, may have {EVENTS_MAX}; without any, all events are told")]
    TooMany(usize),
    /// One is no declaration of an event.
    #[error(
        "events: `{text}` is no event ({reason}); write it like `Transfer(address indexed from, address indexed to, uint256 value)`"
    )]
    Syntax {
        /// What is written there.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Nothing in a log says that it is this event.
    #[error("events: `{text}` is anonymous, so that nothing in a log names it; without any entry all events are told")]
    Anonymous {
        /// What is written there.
        text: String,
    },
    /// Two parameters have one name, and would be one argument.
    #[error("events: `{text}` has two parameters `{parameter}`")]
    TwoParameters {
        /// What is written there.
        text: String,
        /// The name.
        parameter: String,
    },
    /// A log could be read by two of them.
    #[error("events: `{text}` is the same event as one before it")]
    Twice {
        /// What is written there.
        text: String,
    },
}

impl Events {
    /// Reads Solidity declarations, with or without the word `event`.
    ///
    /// # Errors
    /// [`EventError`], with the declaration.
    pub fn parse(declarations: &[String]) -> Result<Self, EventError> {
        if declarations.len() > EVENTS_MAX {
            return Err(EventError::TooMany(declarations.len()));
        }
        let mut events: Vec<Declared> = Vec::new();
        for text in declarations {
            let declared = declared(text)?;
            let is_same = |known: &Declared| {
                known.event.selector() == declared.event.selector()
                    && known.resolved.indexed().len() == declared.resolved.indexed().len()
            };
            if events.iter().any(is_same) {
                return Err(EventError::Twice { text: text.clone() });
            }
            events.push(declared);
        }
        Ok(Self(events))
    }

    /// Which logs of a contract are theirs.
    #[must_use]
    pub fn filter(&self, contract: Address) -> LogFilter {
        let topics = self.0.iter().map(|declared| declared.event.selector()).collect();
        LogFilter { addresses: vec![contract], topics: [topics, vec![], vec![], vec![]] }
    }

    /// A log's event: its name, signature and arguments; nothing where none is declared, or where the log has the event's
    /// topic and not its form, as when an ERC-721 contract is declared as an ERC-20 one.
    #[must_use]
    pub fn decode(&self, log: &Log) -> Option<Value> {
        self.0.iter().find_map(|declared| declared.decode(log))
    }
}

impl Declared {
    fn decode(&self, log: &Log) -> Option<Value> {
        let topics: Vec<B256> = log.topics().to_vec();
        let decoded = self.resolved.decode_log_parts(topics, &log.data.data).ok()?;
        let (mut indexed, mut body) = (decoded.indexed.into_iter(), decoded.body.into_iter());
        let mut arguments = Map::new();
        for (position, parameter) in self.event.inputs.iter().enumerate() {
            let value = if parameter.indexed { indexed.next() } else { body.next() }?;
            arguments.insert(key(&parameter.name, position), shown(&value));
        }
        Some(json!({ "name": self.event.name, "signature": self.event.signature(), "arguments": arguments }))
    }
}

fn declared(text: &str) -> Result<Declared, EventError> {
    fn wrong(text: &str, reason: impl Display) -> EventError {
        EventError::Syntax { text: text.to_owned(), reason: reason.to_string().replace('\n', " ") }
    }
    let event = Event::parse(text.trim().trim_end_matches(';')).map_err(|error| wrong(text, error))?;
    if event.anonymous {
        return Err(EventError::Anonymous { text: text.to_owned() });
    }
    let resolved = event.resolve().map_err(|error| wrong(text, error))?;
    let names: Vec<_> = event.inputs.iter().map(|parameter| &parameter.name).filter(|name| !name.is_empty()).collect();
    for (position, name) in names.iter().enumerate() {
        if names.iter().skip(position + 1).any(|other| other == name) {
            return Err(EventError::TwoParameters { text: text.to_owned(), parameter: (*name).clone() });
        }
    }
    Ok(Declared { event, resolved })
}

/// What a parameter is called: by its name, or by its position, which no name can be.
fn key(name: &str, position: usize) -> String {
    if name.is_empty() { position.to_string() } else { name.to_owned() }
}

/// A value as JSON: integers in decimal, since JavaScript's numbers end at 2^53, and bytes in hexadecimal.
fn shown(value: &DynSolValue) -> Value {
    match value {
        DynSolValue::Bool(is) => json!(is),
        DynSolValue::Int(number, _) => json!(number.to_string()),
        DynSolValue::Uint(number, _) => json!(number.to_string()),
        DynSolValue::FixedBytes(word, size) => json!(hex::encode_prefixed(word.get(..*size).unwrap_or_default())),
        DynSolValue::Address(address) => json!(address.to_checksum(None)),
        DynSolValue::Function(function) => json!(hex::encode_prefixed(function)),
        DynSolValue::Bytes(bytes) => json!(hex::encode_prefixed(bytes)),
        DynSolValue::String(text) => json!(text),
        // Declarations of events cannot name the fields of a structure, so it is a list of them.
        DynSolValue::Array(list)
        | DynSolValue::FixedArray(list)
        | DynSolValue::Tuple(list)
        | DynSolValue::CustomStruct { tuple: list, .. } => list.iter().map(shown).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::{Bytes, I256, LogData, U256, keccak256};

    fn events(texts: &[&str]) -> Result<Events, EventError> {
        Events::parse(&texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>())
    }

    fn log(topics: Vec<B256>, data: Vec<u8>) -> Log {
        Log { address: Address::repeat_byte(9), data: LogData::new_unchecked(topics, data.into()) }
    }

    const TRANSFER: &str = "Transfer(address indexed from, address indexed to, uint256 value)";

    #[test]
    fn a_transfer() {
        let events = events(&[TRANSFER]).unwrap();
        let topic = keccak256("Transfer(address,address,uint256)");
        assert_eq!(events.filter(Address::repeat_byte(9)).topics[0], [topic]);
        let account: Address = "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266".parse().unwrap();
        let topics = vec![topic, account.into_word(), B256::ZERO];
        let data = U256::from(10).pow(U256::from(30)).to_be_bytes_vec();
        let expected = json!({
            "name": "Transfer",
            "signature": "Transfer(address,address,uint256)",
            "arguments": {
                "from": "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266",
                "to": "0x0000000000000000000000000000000000000000",
                "value": "1000000000000000000000000000000",
            },
        });
        assert_eq!(events.decode(&log(topics.clone(), data.clone())), Some(expected));
        // ERC-721 has three indexed parameters and no data.
        let deed = [&topics[..], &[B256::with_last_byte(7)]].concat();
        assert_eq!(events.decode(&log(deed.clone(), vec![])), None);
        let both = [TRANSFER, "event Transfer(address indexed, address indexed, uint indexed id);"];
        let both = super::tests::events(&both).unwrap();
        assert_eq!(both.decode(&log(deed, vec![])).unwrap()["arguments"]["id"], "7");
        assert_eq!(both.decode(&log(topics, data)).unwrap()["arguments"]["value"], "1000000000000000000000000000000");
        assert_eq!(Events::default().decode(&log(vec![topic], vec![])), None);
    }

    #[test]
    fn every_kind_of_value() {
        let declaration = "Many(string indexed text, int8, bytes3 three, bytes rest, bool is, \
                           (uint256, (address, uint8)[])[2] deals)";
        let events = events(&[declaration]).unwrap();
        let part = |byte: u8| {
            DynSolValue::Tuple(vec![
                DynSolValue::Address(Address::repeat_byte(byte)),
                DynSolValue::Uint(U256::from(byte), 8),
            ])
        };
        let deal = |amount: u64, parts: Vec<DynSolValue>| {
            DynSolValue::Tuple(vec![DynSolValue::Uint(U256::from(amount), 256), DynSolValue::Array(parts)])
        };
        let body = DynSolValue::Tuple(vec![
            DynSolValue::Int(I256::MINUS_ONE, 8),
            DynSolValue::FixedBytes(B256::right_padding_from(&[1, 2, 3]), 3),
            DynSolValue::Bytes(vec![0xab]),
            DynSolValue::Bool(true),
            DynSolValue::FixedArray(vec![deal(5, vec![part(1), part(2)]), deal(6, vec![])]),
        ]);
        let topic = events.filter(Address::ZERO).topics[0][0];
        let found = events.decode(&log(vec![topic, keccak256("hi")], body.abi_encode_sequence().unwrap())).unwrap();
        let who = |byte: u8| Address::repeat_byte(byte).to_checksum(None);
        let expected = json!({
            "text": keccak256("hi"), "1": "-1", "three": "0x010203", "rest": "0xab", "is": true,
            "deals": [
                ["5", [[who(1), "1"], [who(2), "2"]]],
                ["6", []],
            ],
        });
        assert_eq!(found["arguments"], expected);
        assert_eq!(found["signature"], "Many(string,int8,bytes3,bytes,bool,(uint256,(address,uint8)[])[2])");
        assert_eq!(topic, keccak256("Many(string,int8,bytes3,bytes,bool,(uint256,(address,uint8)[])[2])"));
        assert_eq!(events.decode(&log(vec![topic, B256::ZERO], Bytes::from_static(&[1]).to_vec())), None);
    }

    #[test]
    fn what_is_no_event_is_refused() {
        for (text, words) in [
            ("Transfer", "`Transfer` is no event"),
            ("Transfer(address from", "is no event"),
            ("function f(uint256 a)", "is no event"),
            ("E(Deal deal)", "`E(Deal deal)` is no event"),
            ("E(uint257 a)", "is no event"),
            ("E(uint8 indexed, uint8 indexed, uint8 indexed, uint8 indexed)", "is no event"),
            ("event E(uint8 a) anonymous", "is anonymous"),
            ("E(uint8 a, uint16 a)", "has two parameters `a`"),
        ] {
            let error = events(&[text]).unwrap_err().to_string();
            assert!(error.contains(words) && error.contains(text), "{error}");
        }
        let error = events(&[TRANSFER, "event Transfer(address indexed, address indexed, uint)"]).unwrap_err();
        assert!(matches!(error, EventError::Twice { .. }));
        assert_eq!(events(&["E()"; 65]).unwrap_err(), EventError::TooMany(65));
    }
}
