//! Decoding rules shared by every format of this crate.

use borsh::BorshDeserialize;

/// Why outside bytes were refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The bytes are longer than the format's limit.
    #[error("{what} of {actual} bytes exceeds the limit of {limit}")]
    TooLong {
        /// What was decoded.
        what: &'static str,
        /// The length seen, in bytes.
        actual: usize,
        /// The largest length accepted, in bytes.
        limit: usize,
    },
    /// The bytes are not a valid encoding.
    #[error("malformed {what}: {reason}")]
    Malformed {
        /// What was decoded.
        what: &'static str,
        /// What the decoder said.
        reason: String,
    },
}

/// Decodes one borsh value that must fill `bytes` exactly.
///
/// # Errors
/// [`DecodeError::TooLong`] above `limit` bytes, [`DecodeError::Malformed`] for anything but one whole value.
pub fn decode_exact<T: BorshDeserialize>(what: &'static str, bytes: &[u8], limit: usize) -> Result<T, DecodeError> {
    if bytes.len() > limit {
        return Err(DecodeError::TooLong { what, actual: bytes.len(), limit });
    }
    borsh::from_slice(bytes).map_err(|error| DecodeError::Malformed { what, reason: error.to_string() })
}

/// Reads a borsh text of at most `MAX` bytes; memory grows with what arrives, not with what was announced. (Borsh itself
/// takes a mebibyte on a stranger's word.)
///
/// # Errors
/// For longer texts, for what is not UTF-8, and where the bytes end before the text.
pub fn read_text<R: std::io::Read, const MAX: usize>(reader: &mut R) -> std::io::Result<String> {
    let bytes = read_bytes(reader, "text", MAX)?;
    String::from_utf8(bytes).map_err(|error| std::io::Error::new(std::io::ErrorKind::InvalidData, error))
}

/// Reads a borsh byte string of at most `limit` bytes; memory grows with what arrives, not with what was announced.
///
/// # Errors
/// For longer byte strings, and where the bytes end before it.
pub fn read_bytes<R: std::io::Read>(reader: &mut R, what: &'static str, limit: usize) -> std::io::Result<Vec<u8>> {
    use std::io::Read as _;
    let announced = u32::deserialize_reader(reader)?;
    let length = usize::try_from(announced).unwrap_or(usize::MAX);
    if length > limit {
        let error = DecodeError::TooLong { what, actual: length, limit };
        return Err(std::io::Error::new(std::io::ErrorKind::InvalidData, error));
    }
    let mut bytes = Vec::with_capacity(length.min(4_096));
    reader.by_ref().take(u64::from(announced)).read_to_end(&mut bytes)?;
    if bytes.len() != length {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    Ok(bytes)
}
