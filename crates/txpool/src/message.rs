//! What members say to each other about transactions.

use alloy_primitives::{Address, TxHash};
use borsh::{BorshDeserialize, BorshSerialize};
use lian_crypto::VerifiedTransaction;
use lian_types::{
    DecodeError, Transaction, decode_exact,
    limits::{FRAME_BYTES_MAX, GOSSIP_TRANSACTIONS_MAX, PROPOSAL_BODY_BYTES_MAX, PROPOSAL_TRANSACTIONS_MAX},
};
use std::sync::Arc;

/// A transaction as one member sends it to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Body {
    /// The transaction.
    pub transaction: Arc<Transaction>,
    /// Who signed it, as the sending member says; none where its program is too old to say so. It is a hint at the key by
    /// which the signature may be checked: who believed it without a check would let any member spend for any account.
    pub sender: Option<Address>,
}

impl From<&Arc<VerifiedTransaction>> for Body {
    fn from(verified: &Arc<VerifiedTransaction>) -> Self {
        Self { transaction: Arc::clone(verified.transaction()), sender: Some(verified.sender()) }
    }
}

/// A message about transactions. Decoding is bounded: no message holds more than a full proposal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PoolMessage {
    /// New transactions, which the sender took from its clients; at most [`GOSSIP_TRANSACTIONS_MAX`].
    Transactions(Vec<Body>),
    /// A request for the bodies of a proposal's transactions; at most [`PROPOSAL_TRANSACTIONS_MAX`] hashes.
    Request(Vec<TxHash>),
    /// The answer to a request, in parts where it is large.
    Bodies {
        /// The bodies found, in the order of the request.
        transactions: Vec<Body>,
        /// Hashes that the sender has no body for.
        unknown: Vec<TxHash>,
    },
}

impl PoolMessage {
    /// The same message without the senders, for a session of version 1, which cannot carry them.
    #[must_use]
    pub fn without_senders(&self) -> Self {
        let strip = |bodies: &[Body]| {
            let strip = |body: &Body| Body { transaction: Arc::clone(&body.transaction), sender: None };
            bodies.iter().map(strip).collect()
        };
        match self {
            Self::Transactions(transactions) => Self::Transactions(strip(transactions)),
            Self::Request(hashes) => Self::Request(hashes.clone()),
            Self::Bodies { transactions, unknown } => {
                Self::Bodies { transactions: strip(transactions), unknown: unknown.clone() }
            }
        }
    }

    /// Reads a message that fills `bytes` exactly. Transactions are decoded, their signatures not checked.
    ///
    /// # Errors
    /// [`DecodeError`] for anything but one message within its bounds.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        decode_exact("transaction message", bytes, FRAME_BYTES_MAX)
    }

    /// The bytes of this message.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(1_024);
        // Writing to a vector fails only when memory does, which ends the process anyway.
        let written = self.serialize(&mut bytes);
        debug_assert!(written.is_ok());
        bytes
    }
}

const TRANSACTIONS: u8 = 0;
const REQUEST: u8 = 1;
const BODIES: u8 = 2;
/// As the kinds without senders, but each transaction is followed by its sender; not for messages without transactions.
const TRANSACTIONS_WITH_SENDERS: u8 = 3;
const BODIES_WITH_SENDERS: u8 = 4;

impl BorshSerialize for PoolMessage {
    fn serialize<W: std::io::Write>(&self, writer: &mut W) -> std::io::Result<()> {
        match self {
            Self::Transactions(transactions) => {
                write_transactions(transactions, TRANSACTIONS, TRANSACTIONS_WITH_SENDERS, writer)
            }
            Self::Request(hashes) => {
                REQUEST.serialize(writer)?;
                hashes.serialize(writer)
            }
            Self::Bodies { transactions, unknown } => {
                write_transactions(transactions, BODIES, BODIES_WITH_SENDERS, writer)?;
                unknown.serialize(writer)
            }
        }
    }
}

impl BorshDeserialize for PoolMessage {
    fn deserialize_reader<R: std::io::Read>(reader: &mut R) -> std::io::Result<Self> {
        match u8::deserialize_reader(reader)? {
            REQUEST => Ok(Self::Request(read_hashes(reader)?)),
            tag @ (TRANSACTIONS | TRANSACTIONS_WITH_SENDERS) => {
                let with_senders = tag == TRANSACTIONS_WITH_SENDERS;
                Ok(Self::Transactions(read_transactions(reader, GOSSIP_TRANSACTIONS_MAX, with_senders)?))
            }
            tag @ (BODIES | BODIES_WITH_SENDERS) => Ok(Self::Bodies {
                transactions: read_transactions(reader, PROPOSAL_TRANSACTIONS_MAX, tag == BODIES_WITH_SENDERS)?,
                unknown: read_hashes(reader)?,
            }),
            tag => Err(invalid(format!("unknown kind {tag} of transaction message"))),
        }
    }
}

/// Writes the kind and the transactions, with their senders where all are known.
fn write_transactions<W: std::io::Write>(
    bodies: &[Body],
    kind: u8,
    kind_with_senders: u8,
    writer: &mut W,
) -> std::io::Result<()> {
    let with_senders = !bodies.is_empty() && bodies.iter().all(|body| body.sender.is_some());
    if with_senders { kind_with_senders } else { kind }.serialize(writer)?;
    u32::try_from(bodies.len()).map_err(std::io::Error::other)?.serialize(writer)?;
    bodies.iter().try_for_each(|Body { transaction, sender }| {
        transaction.as_ref().serialize(writer)?;
        sender.filter(|_| with_senders).map_or(Ok(()), |sender| writer.write_all(sender.as_slice()))
    })
}

fn read_transactions<R: std::io::Read>(
    reader: &mut R,
    count_max: usize,
    with_senders: bool,
) -> std::io::Result<Vec<Body>> {
    let count = read_count(reader, count_max)?;
    if with_senders && count == 0 {
        return Err(invalid("senders of no transactions".to_owned()));
    }
    let mut bodies = Vec::new();
    let mut bytes = 0usize;
    for _ in 0..count {
        let transaction = Transaction::deserialize_reader(reader)?;
        bytes = bytes.saturating_add(transaction.encoded().len());
        if bytes > PROPOSAL_BODY_BYTES_MAX {
            return Err(invalid(format!(
                "transactions of {bytes} bytes exceed the limit of {PROPOSAL_BODY_BYTES_MAX}"
            )));
        }
        let sender = if with_senders { Some(<[u8; 20]>::deserialize_reader(reader)?.into()) } else { None };
        bodies.push(Body { transaction: Arc::new(transaction), sender });
    }
    Ok(bodies)
}

fn read_hashes<R: std::io::Read>(reader: &mut R) -> std::io::Result<Vec<TxHash>> {
    let count = read_count(reader, PROPOSAL_TRANSACTIONS_MAX)?;
    let mut hashes = Vec::new();
    for _ in 0..count {
        hashes.push(TxHash::deserialize_reader(reader)?);
    }
    Ok(hashes)
}

fn read_count<R: std::io::Read>(reader: &mut R, count_max: usize) -> std::io::Result<usize> {
    let count = usize::try_from(u32::deserialize_reader(reader)?).unwrap_or(usize::MAX);
    if count > count_max {
        return Err(invalid(format!("{count} transactions exceed the limit of {count_max}")));
    }
    Ok(count)
}

fn invalid(reason: String) -> std::io::Error {
    std::io::Error::new(std::io::ErrorKind::InvalidData, reason)
}
