//! The bytes of a log: segment headers and records. All numbers are little-endian.

use super::Entry;

/// Bytes before a segment's first record.
pub(super) const SEGMENT_HEADER: usize = 52;
/// Bytes before a record's content.
pub(super) const RECORD_HEADER: usize = 44;

/// The format that this program writes: the last byte of the magic number. Later formats keep the magic number's place
/// and the checksum of the first 48 bytes, so that an older program can name them.
pub(super) const FORMAT: u8 = b'1';
const SEGMENT_MAGIC: [u8; 8] = *b"LIANLOG1";
const RECORD_MAGIC: [u8; 4] = *b"LRec";

/// How a segment begins. It names the one before it, so that a segment that lost its end is found without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SegmentHeader {
    pub(super) purpose: [u8; 8],
    pub(super) id: u64,
    pub(super) first_sequence: u64,
    /// The length of the segment before, in bytes; 0 if there is none.
    pub(super) previous_length: u64,
    /// The largest height in the segment before.
    pub(super) previous_height_max: u64,
}

impl SegmentHeader {
    pub(super) fn encode(&self) -> [u8; SEGMENT_HEADER] {
        let mut bytes = [0; SEGMENT_HEADER];
        put(&mut bytes, 0, &SEGMENT_MAGIC);
        put(&mut bytes, 8, &self.purpose);
        put(&mut bytes, 16, &self.id.to_le_bytes());
        put(&mut bytes, 24, &self.first_sequence.to_le_bytes());
        put(&mut bytes, 32, &self.previous_length.to_le_bytes());
        put(&mut bytes, 40, &self.previous_height_max.to_le_bytes());
        let checksum = crc32fast::hash(bytes.get(..48).unwrap_or_default());
        put(&mut bytes, 48, &checksum.to_le_bytes());
        bytes
    }

    /// The format of a valid header that is not this program's; the last byte of its magic number.
    pub(super) fn other_format(bytes: &[u8]) -> Option<u8> {
        let magic: [u8; 8] = get(bytes, 0)?;
        let checksum = crc32fast::hash(bytes.get(..48)?);
        let is_valid = magic.starts_with(b"LIANLOG") && get(bytes, 48) == Some(checksum.to_le_bytes());
        magic.last().copied().filter(|format| is_valid && *format != FORMAT)
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let header = Self {
            purpose: get(bytes, 8)?,
            id: u64::from_le_bytes(get(bytes, 16)?),
            first_sequence: u64::from_le_bytes(get(bytes, 24)?),
            previous_length: u64::from_le_bytes(get(bytes, 32)?),
            previous_height_max: u64::from_le_bytes(get(bytes, 40)?),
        };
        (header.encode().as_slice() == bytes).then_some(header)
    }
}

/// A record that was read and checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// What it is.
    pub kind: u8,
    /// Its position in the log, from 0.
    pub sequence: u64,
    /// The height it belongs to.
    pub height: u64,
    /// The position of the first record of the append it was part of.
    pub(super) batch: u64,
    /// Header and content.
    bytes: Vec<u8>,
}

impl Record {
    /// Its content.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        self.bytes.get(RECORD_HEADER..).unwrap_or_default()
    }

    /// Its content, without a copy.
    #[must_use]
    pub fn into_payload(mut self) -> Vec<u8> {
        self.bytes.drain(..RECORD_HEADER.min(self.bytes.len()));
        self.bytes
    }
}

/// The fields of a record's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RecordHeader {
    pub(super) kind: u8,
    pub(super) length: u32,
    pub(super) sequence: u64,
    pub(super) batch: u64,
    pub(super) height: u64,
    checksum: u32,
}

/// Appends one record to a buffer.
pub(super) fn encode(buffer: &mut Vec<u8>, entry: &Entry<'_>, length: u32, sequence: u64, batch: u64) {
    let mut header = [0; RECORD_HEADER];
    put(&mut header, 0, &RECORD_MAGIC);
    put(&mut header, 4, &[entry.kind]);
    put(&mut header, 8, &length.to_le_bytes());
    put(&mut header, 12, &sequence.to_le_bytes());
    put(&mut header, 20, &batch.to_le_bytes());
    put(&mut header, 28, &entry.height.to_le_bytes());
    let checksum = checksum(&header, entry.payload);
    put(&mut header, 36, &checksum.to_le_bytes());
    let own = crc32fast::hash(header.get(..40).unwrap_or_default());
    put(&mut header, 40, &own.to_le_bytes());
    buffer.extend_from_slice(&header);
    buffer.extend_from_slice(entry.payload);
}

/// The checksum over the fields of a header and the content.
fn checksum(header: &[u8], payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(header.get(..36).unwrap_or_default());
    hasher.update(payload);
    hasher.finalize()
}

/// Reads a header and checks its own checksum.
pub(super) fn decode_header(bytes: &[u8]) -> Result<RecordHeader, &'static str> {
    let header = bytes.get(..RECORD_HEADER).ok_or("the record's header is incomplete")?;
    if header.get(..4) != Some(&RECORD_MAGIC) {
        return Err("no record begins here");
    }
    let fields = || {
        Some(RecordHeader {
            kind: *header.get(4)?,
            length: u32::from_le_bytes(get(header, 8)?),
            sequence: u64::from_le_bytes(get(header, 12)?),
            batch: u64::from_le_bytes(get(header, 20)?),
            height: u64::from_le_bytes(get(header, 28)?),
            checksum: u32::from_le_bytes(get(header, 36)?),
        })
    };
    let own = get(header, 40).map(u32::from_le_bytes);
    if own != header.get(..40).map(crc32fast::hash) {
        return Err("the checksum of the record's header does not match");
    }
    fields().ok_or("the record's header is incomplete")
}

/// Checks a content against its header.
pub(super) fn matches(header: &RecordHeader, bytes: &[u8]) -> Result<(), &'static str> {
    let (fields, payload) = bytes.split_at_checked(RECORD_HEADER).ok_or("the record's header is incomplete")?;
    if u32::try_from(payload.len()) != Ok(header.length) {
        return Err("the record is incomplete");
    }
    if checksum(fields, payload) != header.checksum {
        return Err("the record's checksum does not match");
    }
    Ok(())
}

/// Reads the whole of one record.
pub(super) fn decode(bytes: Vec<u8>) -> Result<Record, &'static str> {
    let header = decode_header(&bytes)?;
    matches(&header, &bytes)?;
    Ok(Record { kind: header.kind, sequence: header.sequence, height: header.height, batch: header.batch, bytes })
}

/// Whether anywhere in `bytes` stands a whole record of an append that began at or after sequence number `batch`.
pub(super) fn contains_later(bytes: &[u8], batch: u64) -> bool {
    let mut rest = bytes;
    while let Some(at) = rest.windows(RECORD_MAGIC.len()).position(|window| window == RECORD_MAGIC) {
        rest = rest.get(at..).unwrap_or_default();
        if let Ok(header) = decode_header(rest)
            && header.batch >= batch
            && let Some(end) = usize::try_from(header.length).ok().and_then(|length| length.checked_add(RECORD_HEADER))
            && rest.get(..end).is_some_and(|bytes| matches(&header, bytes).is_ok())
        {
            return true;
        }
        rest = rest.get(1..).unwrap_or_default();
    }
    false
}

fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    // Every call has constant positions inside a buffer of constant size.
    if let Some(place) = bytes.get_mut(at..at + value.len()) {
        place.copy_from_slice(value);
    }
}

fn get<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at + N)?.try_into().ok()
}
