//! The RLP of nodes (yellow paper, appendices B to D) and of accounts (section 4.1).

use alloy_primitives::{B256, U256};
use alloy_rlp::{Decodable, Encodable, Header};

use super::{Branch, Child, Extension, Kind, Leaf, LeafData, Place, Reference};
use crate::Nibbles;

/// Why bytes are not a valid node or leaf.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Not canonical RLP.
    #[error("invalid RLP: {0}")]
    Rlp(#[from] alloy_rlp::Error),
    /// Neither the 2 items of a leaf or extension nor the 17 of a branch.
    #[error("a node has 2 or 17 items, not {0}")]
    ItemCount(usize),
    /// A path whose first byte or length is impossible, or that leads deeper than keys are long.
    #[error("invalid path")]
    Path,
    /// A reference to a child that is neither a hash nor a short node, or is missing where there must be one.
    #[error("invalid reference to a child")]
    Reference,
    /// A leaf without a value or a branch with too few entries.
    #[error("a node that no trie contains")]
    Shape,
    /// Bytes after the end.
    #[error("{0} bytes after the end")]
    Trailing(usize),
}

/// Bit of the first byte of an encoded path: the number of nibbles is odd.
const ODD: u8 = 0x10;
/// Bit of the first byte of an encoded path: it ends in a leaf.
const LEAF: u8 = 0x20;

/// Writes the RLP of a node at the end of `out`.
pub(crate) fn encode(kind: &Kind, out: &mut Vec<u8>) {
    match kind {
        Kind::Leaf(leaf) => encode_leaf(&leaf.suffix, &leaf.data.value, out),
        Kind::Extension(extension) => encode_extension(&extension.prefix, &extension.child.reference, out),
        Kind::Branch(branch) => encode_whole_branch(branch, out),
    }
}

pub(crate) fn encode_whole_branch(branch: &Branch, out: &mut Vec<u8>) {
    let value = branch.value.as_ref().map(|data| &*data.value);
    encode_branch(|nibble| branch.child(nibble).map(|child| &child.reference), value, out);
}

pub(crate) fn encode_leaf(suffix: &Nibbles, value: &[u8], out: &mut Vec<u8>) {
    Header { list: true, payload_length: path_length(suffix) + value.length() }.encode(out);
    encode_path(suffix, LEAF, out);
    value.encode(out);
}

pub(crate) fn encode_extension(prefix: &Nibbles, child: &Reference, out: &mut Vec<u8>) {
    Header { list: true, payload_length: path_length(prefix) + reference_length(child) }.encode(out);
    encode_path(prefix, 0, out);
    encode_reference(child, out);
}

pub(crate) fn encode_branch<'a>(child: impl Fn(u8) -> Option<&'a Reference>, value: Option<&[u8]>, out: &mut Vec<u8>) {
    let children = (0..16).map(|nibble| child(nibble).map_or(1, reference_length)).sum::<usize>();
    Header { list: true, payload_length: children + value.unwrap_or_default().length() }.encode(out);
    for nibble in 0..16 {
        match child(nibble) {
            Some(reference) => encode_reference(reference, out),
            None => out.push(alloy_rlp::EMPTY_STRING_CODE),
        }
    }
    value.unwrap_or_default().encode(out);
}

fn reference_length(reference: &Reference) -> usize {
    reference.inline_rlp().map_or(1 + 32, <[u8]>::len)
}

fn encode_reference(reference: &Reference, out: &mut Vec<u8>) {
    match reference {
        Reference::Hash(hash) => hash.encode(out),
        Reference::Inline { .. } => out.extend_from_slice(reference.inline_rlp().unwrap_or_default()),
    }
}

/// The length of a path as an RLP string. A single byte stands for itself, since it is below 0x40.
fn path_length(path: &Nibbles) -> usize {
    match path.len() / 2 {
        0 => 1,
        more => 2 + more,
    }
}

/// Hex-prefix encoding (yellow paper, appendix C) as an RLP string.
fn encode_path(path: &Nibbles, kind: u8, out: &mut Vec<u8>) {
    let bytes = 1 + path.len() / 2;
    if bytes > 1 {
        Header { list: false, payload_length: bytes }.encode(out);
    }
    if path.len().is_multiple_of(2) {
        out.push(kind);
        out.extend_from_slice(path.packed());
    } else {
        out.push(kind | ODD | path.nibble_or_zero(0));
        out.extend_from_slice(path.suffix(1).packed());
    }
}

/// Reads a node. Children that are inline stay encoded until they are needed.
pub(crate) fn decode(rlp: &[u8]) -> Result<Kind, DecodeError> {
    let mut rest = rlp;
    let mut payload = Header::decode_bytes(&mut rest, true)?;
    if !rest.is_empty() {
        return Err(DecodeError::Trailing(rest.len()));
    }
    let mut items: [&[u8]; 17] = [&[]; 17];
    let mut count = 0;
    while !payload.is_empty() {
        let item = take_item(&mut payload)?;
        *items.get_mut(count).ok_or(DecodeError::ItemCount(18))? = item;
        count += 1;
    }
    match (count, &items) {
        (2, [path, content, ..]) => decode_short(path, content),
        (17, [children @ .., value]) => decode_full(children, value),
        _ => Err(DecodeError::ItemCount(count)),
    }
}

/// Cuts the next item, with its header, from the front of a list's payload.
fn take_item<'a>(payload: &mut &'a [u8]) -> Result<&'a [u8], DecodeError> {
    let start = *payload;
    let mut rest = start;
    let header = Header::decode(&mut rest)?;
    let end = start.len() - rest.len() + header.payload_length;
    let (item, rest) = start.split_at_checked(end).ok_or(alloy_rlp::Error::InputTooShort)?;
    *payload = rest;
    Ok(item)
}

/// A leaf or an extension.
fn decode_short(path: &[u8], content: &[u8]) -> Result<Kind, DecodeError> {
    let (path, is_leaf) = decode_path(path)?;
    if is_leaf {
        let data = decode_value(content)?.ok_or(DecodeError::Shape)?;
        return Ok(Kind::Leaf(Leaf { suffix: path, data }));
    }
    let child = decode_reference(content)?.ok_or(DecodeError::Reference)?;
    if path.is_empty() {
        return Err(DecodeError::Path);
    }
    Ok(Kind::Extension(Box::new(Extension { prefix: path, child: Child::stub(child) })))
}

fn decode_full(items: &[&[u8]], value: &[u8]) -> Result<Kind, DecodeError> {
    let mut places = [const { Place::Empty }; 16];
    let mut count = 0;
    for (place, item) in places.iter_mut().zip(items) {
        if let Some(reference) = decode_reference(item)? {
            *place = Place::Child(Child::stub(reference));
            count += 1;
        }
    }
    let value = decode_value(value)?;
    if count + usize::from(value.is_some()) < 2 {
        return Err(DecodeError::Shape);
    }
    Ok(Kind::Branch(Branch::changed(None, places, value.map(Box::new))))
}

fn decode_value(mut item: &[u8]) -> Result<Option<LeafData>, DecodeError> {
    let value = Header::decode_bytes(&mut item, false)?;
    Ok((!value.is_empty()).then(|| LeafData { value: value.into(), storage: None }))
}

fn decode_reference(item: &[u8]) -> Result<Option<Reference>, DecodeError> {
    let mut payload = item;
    let header = Header::decode(&mut payload)?;
    if header.list {
        return Reference::inline(item).map(Some).ok_or(DecodeError::Reference);
    }
    match payload {
        [] => Ok(None),
        hash => Ok(Some(Reference::Hash(B256::try_from(hash).map_err(|_| DecodeError::Reference)?))),
    }
}

fn decode_path(mut item: &[u8]) -> Result<(Nibbles, bool), DecodeError> {
    let bytes = Header::decode_bytes(&mut item, false)?;
    let (first, rest) = bytes.split_first().ok_or(DecodeError::Path)?;
    let rest = Nibbles::from_bytes(rest).map_err(|_| DecodeError::Path)?;
    let path = match (first & 0xc0, first & ODD, first & 0x0f) {
        (0, 0, 0) => rest,
        (0, ODD, nibble) => Nibbles::EMPTY.push(nibble).and_then(|head| head.join(&rest)).ok_or(DecodeError::Path)?,
        _ => return Err(DecodeError::Path),
    };
    Ok((path, first & LEAF != 0))
}

/// The RLP of an account: `[nonce, balance, storage root, code hash]`.
pub(crate) fn encode_account(nonce: u64, balance: U256, storage_root: B256, code_hash: B256) -> Vec<u8> {
    let payload_length = nonce.length() + balance.length() + storage_root.length() + code_hash.length();
    let header = Header { list: true, payload_length };
    let mut out = Vec::with_capacity(header.length_with_payload());
    header.encode(&mut out);
    nonce.encode(&mut out);
    balance.encode(&mut out);
    storage_root.encode(&mut out);
    code_hash.encode(&mut out);
    out
}

/// The inverse of [`encode_account`].
pub(crate) fn decode_account(mut rlp: &[u8]) -> Result<(u64, U256, B256, B256), DecodeError> {
    let mut payload = Header::decode_bytes(&mut rlp, true)?;
    let fields = (
        u64::decode(&mut payload)?,
        U256::decode(&mut payload)?,
        B256::decode(&mut payload)?,
        B256::decode(&mut payload)?,
    );
    match payload.len() + rlp.len() {
        0 => Ok(fields),
        trailing => Err(DecodeError::Trailing(trailing)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Hasher;
    use proptest::prelude::*;

    fn encoded(kind: &Kind) -> Vec<u8> {
        let mut out = Vec::new();
        encode(kind, &mut out);
        out
    }

    fn nodes() -> impl Strategy<Value = Kind> {
        let path =
            || prop::collection::vec(0u8..16, 0..=64).prop_map(|list| Nibbles::from_nibbles(&list).expect("fits"));
        let value = || {
            prop::collection::vec(any::<u8>(), 1..80)
                .prop_map(|value| LeafData { value: value[..].into(), storage: None })
        };
        let child = || {
            let leaf = (prop::collection::vec(0u8..16, 0..8), prop::collection::vec(any::<u8>(), 1..40));
            leaf.prop_map(|(path, value)| {
                let mut rlp = Vec::new();
                encode_leaf(&Nibbles::from_nibbles(&path).expect("fits"), &value, &mut rlp);
                Child::stub(Reference::to_node(&rlp, Hasher::Keccak))
            })
        };
        prop_oneof![
            (path(), value()).prop_map(|(suffix, data)| Kind::Leaf(Leaf { suffix, data })),
            (path().prop_filter("not empty", |path| !path.is_empty()), child())
                .prop_map(|(prefix, child)| Kind::Extension(Box::new(Extension { prefix, child }))),
            (prop::collection::btree_map(0u8..16, child(), 2..=16), prop::option::of(value())).prop_map(
                |(children, value)| {
                    let mut places = [const { Place::Empty }; 16];
                    children.into_iter().for_each(|(nibble, child)| places[usize::from(nibble)] = Place::Child(child));
                    Kind::Branch(Branch::changed(None, places, value.map(Box::new)))
                }
            ),
        ]
    }

    #[test]
    fn malformed_nodes_are_refused_with_the_reason() {
        use DecodeError::*;
        let hash = "a0".to_owned() + &"11".repeat(32);
        let empty = "80".repeat(15);
        let cases = [
            ("", Rlp(alloy_rlp::Error::InputTooShort)),
            ("80", Rlp(alloy_rlp::Error::UnexpectedString)),
            ("c0", ItemCount(0)),
            ("c3200101", ItemCount(3)),
            ("c2200100", Trailing(1)),
            ("c28001", Path),
            ("c24001", Path),
            ("c22101", Path),
            ("c22080", Shape),
            (&format!("e200{hash}"), Path),
            ("c21180", Reference),
            ("c21101", Reference),
            (&format!("d2{}8080", "80".repeat(16)), ItemCount(18)),
            (&format!("d1{}01", "80".repeat(16)), Shape),
            (&format!("f1{hash}{empty}80"), Shape),
            ("c22081", Rlp(alloy_rlp::Error::InputTooShort)),
            ("c3208101", Rlp(alloy_rlp::Error::NonCanonicalSingleByte)),
            (&format!("e4a2{}01", "20".repeat(34)), Path),
        ];
        for (node, error) in cases {
            let bytes = hex::decode(node).expect("hex");
            assert_eq!(decode(&bytes).map(|kind| encoded(&kind)), Err(error), "{node}");
        }
    }

    proptest! {
        #[test]
        fn every_node_survives_a_round_trip(node in nodes()) {
            let rlp = encoded(&node);
            let again = decode(&rlp).expect("a node that was just encoded");
            prop_assert_eq!(encoded(&again), rlp);
        }

        /// What decodes at all is canonical: it encodes to the same bytes.
        #[test]
        fn damaged_nodes_are_errors_or_canonical(
            node in nodes(), at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in 0usize..3,
        ) {
            let mut rlp = encoded(&node);
            let at = at.index(rlp.len());
            rlp[at] = byte;
            rlp.truncate(rlp.len() - cut.min(rlp.len()));
            if let Ok(kind) = decode(&rlp) {
                prop_assert_eq!(encoded(&kind), rlp);
            }
        }

        #[test]
        fn random_bytes_are_errors_or_canonical(rlp in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(kind) = decode(&rlp) {
                prop_assert_eq!(encoded(&kind), rlp.clone());
            }
            if let Ok((nonce, balance, root, code)) = decode_account(&rlp) {
                prop_assert_eq!(encode_account(nonce, balance, root, code), rlp);
            }
        }

        #[test]
        fn accounts_survive_a_round_trip(nonce: u64, balance: [u8; 32], root: [u8; 32], code: [u8; 32]) {
            let account = (nonce, U256::from_be_bytes(balance), B256::from(root), B256::from(code));
            let rlp = encode_account(account.0, account.1, account.2, account.3);
            prop_assert_eq!(decode_account(&rlp), Ok(account));
        }
    }
}
