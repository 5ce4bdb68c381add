//! Borsh for shared values and for lists with a limit.

use borsh::{BorshDeserialize, BorshSerialize};
use std::{
    io::{Error, ErrorKind, Read, Result, Write},
    sync::Arc,
};

/// Writes what an [`Arc`] points to.
pub(crate) fn write_shared<T: BorshSerialize, W: Write>(value: &Arc<T>, writer: &mut W) -> Result<()> {
    value.as_ref().serialize(writer)
}

/// Reads a value into an [`Arc`].
pub(crate) fn read_shared<T: BorshDeserialize, R: Read>(reader: &mut R) -> Result<Arc<T>> {
    T::deserialize_reader(reader).map(Arc::new)
}

/// Reads a list of at most `MAX` values. Memory grows with what arrives, not with the length announced.
pub(crate) fn read_vec<T: BorshDeserialize, R: Read, const MAX: usize>(reader: &mut R) -> Result<Vec<T>> {
    let length = usize::try_from(u32::deserialize_reader(reader)?).unwrap_or(usize::MAX);
    if length > MAX {
        return Err(Error::new(ErrorKind::InvalidData, format!("{length} items exceed the limit of {MAX}")));
    }
    let mut values = Vec::new();
    for _ in 0..length {
        values.push(T::deserialize_reader(reader)?);
    }
    Ok(values)
}

/// The canonical bytes of a value.
pub(crate) fn encode<T: BorshSerialize>(value: &T) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(256);
    // Writing to a vector fails only when memory does, which ends the process anyway.
    let written = value.serialize(&mut bytes);
    debug_assert!(written.is_ok());
    bytes
}
