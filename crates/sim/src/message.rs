//! Messages on their way.

use crate::trace;
use lian_crypto::{CheckedSignatures, Verified};
use lian_group::core::GroupMessage;
use lian_pbft::{Committees, Message, Rules, VerifyError, verify_once};
use lian_types::limits::FRAME_BYTES_MAX;
use std::{cell::RefCell, sync::Arc};

/// A message as it left its sender. Several receivers share it, and its signatures are checked once for all of them that
/// know the same members.
#[derive(Debug)]
pub(crate) struct Envelope {
    payload: GroupMessage,
    /// A hash of the bytes.
    digest: u64,
    length: usize,
    verdicts: RefCell<Vec<(Arc<Committees>, Verdict)>>,
}

/// What the check of a consensus message gave.
type Verdict = Result<Verified<Message>, VerifyError>;

/// What the check of a consensus message gave, and whether it is the first one that it passed.
pub(crate) type Checked = (Verdict, bool);

/// Why a message cannot be sent.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EnvelopeError {
    /// Its own program cannot read it.
    #[error("a message was sent that cannot be read: {0}")]
    Unreadable(#[from] lian_types::DecodeError),
    /// It is larger than any frame.
    #[error("a message of {0} bytes was sent, the largest frame has {FRAME_BYTES_MAX}")]
    TooLong(usize),
}

impl Envelope {
    /// Encodes a message and reads it back, as the receivers do.
    pub(crate) fn new(message: &GroupMessage) -> Result<Self, EnvelopeError> {
        let bytes = message.encode();
        if bytes.len() > FRAME_BYTES_MAX {
            return Err(EnvelopeError::TooLong(bytes.len()));
        }
        let payload = GroupMessage::decode(message.class(), &bytes)?;
        Ok(Self { payload, digest: trace::hash(&bytes), length: bytes.len(), verdicts: RefCell::default() })
    }

    /// The message.
    pub(crate) const fn payload(&self) -> &GroupMessage {
        &self.payload
    }

    /// A hash of its bytes.
    pub(crate) const fn digest(&self) -> u64 {
        self.digest
    }

    /// Its length in bytes.
    pub(crate) const fn length(&self) -> usize {
        self.length
    }

    /// A consensus message with its signatures checked by the members that its receiver knows; nothing for other messages.
    pub(crate) fn verified(
        &self,
        rules: &Rules,
        committees: &Arc<Committees>,
        signatures: &CheckedSignatures,
    ) -> Option<Checked> {
        let GroupMessage::Consensus(message) = &self.payload else { return None };
        let mut verdicts = self.verdicts.borrow_mut();
        if let Some((_, verdict)) =
            verdicts.iter().find(|(known, _)| Arc::ptr_eq(known, committees) || known == committees)
        {
            return Some((verdict.clone(), false));
        }
        let verdict = verify_once(rules, committees, signatures, message.clone());
        let is_first = verdict.is_ok() && verdicts.iter().all(|(_, earlier)| earlier.is_err());
        verdicts.push((Arc::clone(committees), verdict.clone()));
        Some((verdict, is_first))
    }
}
