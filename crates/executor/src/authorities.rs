//! What a chain says about certificates.

use crate::system::ReadHost;
use crate::{StateError, StateReader};
use lian_system_contracts::authorities::{self, AuthoritySet};

/// How often the authorities and revocations have changed up to a state: 0 before there was any. A node looks at it after each
/// block.
///
/// # Errors
/// [`StateError`] where it cannot be read.
pub fn authorities_version(state: &dyn StateReader) -> Result<u64, StateError> {
    authorities::version(&mut ReadHost(state)).map_err(unreadable)
}

/// All authorities and revocations of a state. What is `known` from an earlier state of the same chain is not read again where
/// it cannot have changed.
///
/// # Errors
/// [`StateError`] where it cannot be read.
pub fn authorities(state: &dyn StateReader, known: AuthoritySet) -> Result<AuthoritySet, StateError> {
    AuthoritySet::read(&mut ReadHost(state), known).map_err(unreadable)
}

fn unreadable(halt: lian_system_contracts::Halt) -> StateError {
    StateError::new(halt.to_string())
}
