//! Cryptography of a chain, chosen in one place: [`Suite`].
//!
//! Invariants of this crate:
//! - every hash, signature, address and key format follows from the chain's [`Suite`]; nobody else names an algorithm;
//! - [`Verified`] values exist only after their signatures were checked;
//! - secret keys are zeroised when dropped, never printed, and kept in files of mode 0600.
//!
//! Main types: [`Suite`], [`Verified`], [`VerifiedTransaction`], [`KnownKeys`], [`ConsensusSecretKey`], [`KeyFile`].

mod certificate;
mod checked;
mod key_file;
mod keys;
mod known_keys;
mod suite;
mod verified;

pub use certificate::{CertificateError, EpochMembers, verify_certificate, verify_member_signatures};
pub use checked::CheckedSignatures;
pub use key_file::{KeyFile, KeyFileError};
pub use keys::ConsensusSecretKey;
pub use known_keys::KnownKeys;
pub use suite::{SenderError, SignatureError, Suite, UnknownSuite};
pub use verified::{Verified, VerifiedTransaction};
