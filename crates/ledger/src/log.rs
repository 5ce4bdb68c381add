//! A log in segments: records are appended, never changed, and every byte is under a checksum.
//!
//! Invariants:
//! - one append is one write and at most one fsync, whatever the number of records;
//! - an append begins only after the one before it was synced (unless the log is opened as
//!   [`Durability::OnRequest`]), so that a bad record with a good one of a *later* append behind it cannot be the
//!   trace of a crash: it is damage, and reported as such, never cut off;
//! - after the first failed write or sync nothing is written any more: what the disk holds is unknown then.

mod cursor;
mod open;
mod record;

pub use cursor::Cursor;
pub use record::Record;

use crate::storage::{Storage, StorageError, StorageFile};
use borsh::{BorshDeserialize, BorshSerialize};
use parking_lot::{Mutex, RwLock};
use quick_cache::sync::Cache;
use record::{RECORD_HEADER, SEGMENT_HEADER, SegmentHeader};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Open files of sealed segments that are kept for reading.
const OPEN_SEGMENTS_MAX: usize = 64;

/// Where a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize)]
pub struct Location {
    /// The number of the segment.
    pub segment: u64,
    /// Where the record begins in the segment's file, in bytes.
    pub offset: u64,
    /// The length of the record's content, in bytes.
    pub length: u32,
}

impl Location {
    /// Where the next record begins.
    pub(crate) fn end(&self) -> u64 {
        self.offset + RECORD_HEADER as u64 + u64::from(self.length)
    }
}

/// When a log syncs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// With every append.
    EveryAppend,
    /// When [`Log::sync`] is called: for what can be computed again. What a crash left behind is cut at the first bad
    /// record then.
    OnRequest,
}

/// Which log, and how it is kept.
#[derive(Clone, Debug)]
pub struct LogOptions {
    /// The folder of its segments.
    pub folder: PathBuf,
    /// What it is for; stands in each segment, so that files of different logs cannot be mixed up.
    pub purpose: [u8; 8],
    /// The size at which a new segment is begun, in bytes.
    pub segment_bytes: u64,
    /// When it syncs.
    pub durability: Durability,
}

/// What was found at the end of a log that was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tail {
    /// There was no log.
    Fresh,
    /// The last record is whole.
    Whole,
    /// The last append was incomplete, as after a crash, and was cut off.
    Cut {
        /// In which file.
        path: PathBuf,
        /// Where the file ends now.
        offset: u64,
        /// How many bytes were cut.
        bytes: u64,
    },
}

/// Why a log could not be opened, read or written.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// A file operation failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// A record is damaged that a crash cannot explain.
    #[error("{} is damaged at byte {offset}: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where in it.
        offset: u64,
        /// What is wrong.
        reason: String,
    },
    /// Another version of the program wrote the log.
    #[error("{} has log format {found}, this program knows {known}: use the version that wrote it, or a newer one", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: char,
        /// The format of this program.
        known: char,
    },
    /// A write or sync failed earlier: the log takes nothing any more.
    #[error("the log is stopped since an earlier failure: {reason}")]
    Poisoned {
        /// The first failure.
        reason: String,
    },
    /// A record is larger than the format can hold.
    #[error("a record of {length} bytes is larger than the format's 4 GiB")]
    TooLong {
        /// Its length in bytes.
        length: usize,
    },
}

/// A record to be appended.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// What it is; the log's owner defines the values.
    pub kind: u8,
    /// The height it belongs to; segments are retired by it.
    pub height: u64,
    /// Its content.
    pub payload: &'a [u8],
}

/// A segmented log.
pub struct Log {
    storage: Arc<dyn Storage>,
    options: LogOptions,
    segments: RwLock<BTreeMap<u64, SegmentInfo>>,
    files: Cache<u64, Arc<dyn StorageFile>>,
    writer: Mutex<Writer>,
    poison: Mutex<Option<String>>,
    /// Where the oldest segments were moved to.
    archive: RwLock<Option<PathBuf>>,
}

/// What is known about a segment without reading it.
#[derive(Clone, Copy, Debug)]
struct SegmentInfo {
    /// The sequence number of its first record.
    first_sequence: u64,
    /// How many bytes of it are valid.
    length: u64,
    /// The largest height in it.
    height_max: u64,
    /// Whether its file is in the archive.
    archived: bool,
}

/// A whole segment of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    id: u64,
    /// Where its first record begins.
    offset: u64,
    /// The sequence number of the first record after it.
    pub(crate) end: u64,
}

struct Writer {
    /// The active segment; none before the first append.
    active: Option<(u64, Arc<dyn StorageFile>)>,
    next_sequence: u64,
    buffer: Vec<u8>,
}

impl Log {
    /// Where its segments are.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.options.folder
    }

    /// The sequence number that the next record gets; records count from 0.
    #[must_use]
    pub fn next_sequence(&self) -> u64 {
        self.writer.lock().next_sequence
    }

    /// The sequence number of the oldest record; the next one's where there is none.
    #[must_use]
    pub fn first_sequence(&self) -> u64 {
        let first = self.segments.read().values().next().map(|info| info.first_sequence);
        first.unwrap_or_else(|| self.next_sequence())
    }

    /// Whether it has no records. It may have a segment all the same, if a crash came before the first one was whole.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.first_sequence() == self.next_sequence()
    }

    /// The oldest segment in the log's own folder, if all heights in it are below `height` and it is not the newest.
    pub(crate) fn removable(&self, height: u64) -> Option<Segment> {
        let segments = self.segments.read();
        let mut own = segments.iter().filter(|(_, info)| !info.archived);
        let ((id, info), (_, next)) = (own.next()?, own.next()?);
        let segment = Segment { id: *id, offset: SEGMENT_HEADER as u64, end: next.first_sequence };
        (info.height_max < height).then_some(segment)
    }

    /// Reads the records of a segment, and those after it.
    pub(crate) fn cursor_in(self: &Arc<Self>, segment: &Segment) -> Cursor {
        Cursor::new(Arc::clone(self), segment.id, segment.offset)
    }

    /// Deletes the oldest segment of the log's own folder.
    ///
    /// # Errors
    /// [`LogError::Storage`] if the file cannot be removed.
    pub(crate) fn remove(&self, segment: &Segment) -> Result<(), LogError> {
        self.segments.write().remove(&segment.id);
        self.files.remove(&segment.id);
        Ok(self.storage.remove(&segment_path(&self.options.folder, segment.id))?)
    }

    /// Moves the oldest segment of the log's own folder to the archive, where it is read from then on. The archive may be
    /// another disk, so it is copied, synced, and only then removed here.
    ///
    /// # Errors
    /// [`LogError::Storage`] if the file cannot be copied or removed; the log still has it then.
    pub(crate) fn archive(&self, segment: &Segment, folder: &Path) -> Result<(), LogError> {
        let Some(length) = self.valid_length(segment.id) else { return Ok(()) };
        let (from, to) = (segment_path(&self.options.folder, segment.id), segment_path(folder, segment.id));
        let copy = to.with_extension("new");
        self.storage.create_folder(folder)?;
        self.storage.remove(&copy)?;
        copy_file(&*self.storage, &from, &copy, length)?;
        self.storage.rename(&copy, &to)?;
        *self.archive.write() = Some(folder.to_path_buf());
        if let Some(info) = self.segments.write().get_mut(&segment.id) {
            info.archived = true;
        }
        self.files.remove(&segment.id);
        Ok(self.storage.remove(&from)?)
    }

    /// The oldest record in the log's own folder.
    pub(crate) fn first_own_sequence(&self) -> u64 {
        let first = self.segments.read().values().find(|info| !info.archived).map(|info| info.first_sequence);
        first.unwrap_or_else(|| self.next_sequence())
    }

    /// The files of all own segments with what is valid of them, in bytes, and the sequence number of the last record.
    pub(crate) fn segments_now(&self) -> (Vec<(String, u64)>, u64) {
        // Nobody appends between the two.
        let writer = self.writer.lock();
        let segments = self.segments.read();
        let own = segments.iter().filter(|(_, info)| !info.archived);
        let files = own.map(|(id, info)| (segment_name(*id), info.length)).collect();
        (files, writer.next_sequence.saturating_sub(1))
    }

    /// Lets the first record of a log that has none have this sequence number.
    ///
    /// # Errors
    /// [`LogError::Storage`] if a file that a crash left cannot be removed.
    pub(crate) fn begin_at(&self, sequence: u64) -> Result<(), LogError> {
        if self.is_empty() && self.next_sequence() != sequence {
            self.clear()?;
            self.writer.lock().next_sequence = sequence;
        }
        Ok(())
    }

    /// Appends records in order with one write, and one fsync unless the log syncs on request.
    ///
    /// # Errors
    /// [`LogError`]; whatever it is, the log takes nothing any more afterwards.
    pub fn append(&self, entries: &[Entry<'_>]) -> Result<Vec<Location>, LogError> {
        self.check()?;
        let mut writer = self.writer.lock();
        let result = self.append_locked(&mut writer, entries);
        if let Err(error) = &result {
            self.poison(error);
        }
        result
    }

    /// Syncs what was appended.
    ///
    /// # Errors
    /// [`LogError`]; the log takes nothing any more afterwards.
    pub fn sync(&self) -> Result<(), LogError> {
        self.check()?;
        let writer = self.writer.lock();
        let result = writer.active.as_ref().map_or(Ok(()), |(_, file)| file.sync()).map_err(LogError::from);
        if let Err(error) = &result {
            self.poison(error);
        }
        result
    }

    /// Why the log is stopped, if it is.
    #[must_use]
    pub fn poisoned(&self) -> Option<String> {
        self.poison.lock().clone()
    }

    /// Reads one record and checks it.
    ///
    /// # Errors
    /// [`LogError::Damaged`] if it is not what was written, [`LogError::Storage`] if it cannot be read.
    pub fn read(&self, location: Location) -> Result<Record, LogError> {
        let file = self.file(location.segment)?;
        let length = usize::try_from(location.length).unwrap_or(usize::MAX).saturating_add(RECORD_HEADER);
        let mut bytes = vec![0; length];
        file.read_at(location.offset, &mut bytes)?;
        record::decode(bytes).map_err(|reason| damaged(file.path(), location.offset, reason))
    }

    /// Reads part of a record's content, without checking it.
    ///
    /// # Errors
    /// [`LogError::Storage`] if it cannot be read.
    pub(crate) fn read_part(&self, location: Location, from: u64, buffer: &mut [u8]) -> Result<(), LogError> {
        let file = self.file(location.segment)?;
        Ok(file.read_at(location.offset + RECORD_HEADER as u64 + from, buffer)?)
    }

    /// The error for a record that is not what its owner expects.
    pub(crate) fn damaged(&self, location: Location, reason: impl Into<String>) -> LogError {
        damaged(&self.path(location.segment), location.offset, reason)
    }

    /// Reads all records from the oldest kept one on.
    #[must_use]
    pub fn cursor(self: &Arc<Self>) -> Cursor {
        let first = self.segments.read().keys().next().copied().unwrap_or(0);
        Cursor::new(Arc::clone(self), first, SEGMENT_HEADER as u64)
    }

    /// Reads all records after the one at `location`.
    #[must_use]
    pub fn cursor_after(self: &Arc<Self>, location: Location) -> Cursor {
        Cursor::new(Arc::clone(self), location.segment, location.end())
    }

    /// Deletes the oldest segments as long as all heights in them are below `height`. The newest segment stays.
    ///
    /// # Errors
    /// [`LogError::Storage`] if a file cannot be removed.
    pub fn retire(&self, height: u64) -> Result<(), LogError> {
        loop {
            let segments = self.segments.read();
            let oldest = segments.iter().next().map(|(id, info)| (*id, *info));
            let count = segments.len();
            drop(segments);
            match oldest {
                Some((id, info)) if count > 1 && info.height_max < height => {
                    self.segments.write().remove(&id);
                    self.files.remove(&id);
                    self.storage.remove(&self.path(id))?;
                }
                _ => return Ok(()),
            }
        }
    }

    /// Drops everything and begins anew, as for a log that can be computed again.
    ///
    /// # Errors
    /// [`LogError::Storage`] if a file cannot be removed.
    pub(crate) fn clear(&self) -> Result<(), LogError> {
        let mut writer = self.writer.lock();
        let mut segments = self.segments.write();
        // From the newest on, so that a crash in between leaves a log without gaps.
        for id in segments.keys().rev() {
            self.files.remove(id);
            self.storage.remove(&segment_path(&self.options.folder, *id))?;
        }
        segments.clear();
        writer.active = None;
        writer.next_sequence = 0;
        Ok(())
    }

    /// Cuts off every record from the one at `location` on.
    ///
    /// # Errors
    /// [`LogError`] as of any write.
    pub(crate) fn cut(&self, location: Location, sequence: u64) -> Result<(), LogError> {
        let mut writer = self.writer.lock();
        let mut segments = self.segments.write();
        let path = |id| segment_path(&self.options.folder, id);
        for id in segments.keys().rev().take_while(|id| **id > location.segment) {
            self.files.remove(id);
            self.storage.remove(&path(*id))?;
        }
        segments.retain(|id, _| *id <= location.segment);
        let file = self.storage.open(&path(location.segment))?;
        file.truncate(location.offset)?;
        if let Some(info) = segments.get_mut(&location.segment) {
            info.length = location.offset;
        }
        self.files.remove(&location.segment);
        writer.active = Some((location.segment, file));
        writer.next_sequence = sequence;
        Ok(())
    }

    fn check(&self) -> Result<(), LogError> {
        match &*self.poison.lock() {
            Some(reason) => Err(LogError::Poisoned { reason: reason.clone() }),
            None => Ok(()),
        }
    }

    fn poison(&self, error: &LogError) {
        self.poison.lock().get_or_insert_with(|| error.to_string());
    }

    fn append_locked(&self, writer: &mut Writer, entries: &[Entry<'_>]) -> Result<Vec<Location>, LogError> {
        let (id, file) = self.segment_for_append(writer)?;
        let mut length = self.segments.read().get(&id).map_or(0, |info| info.length);
        let mut buffer = std::mem::take(&mut writer.buffer);
        buffer.clear();
        if length == 0 {
            buffer.extend_from_slice(&self.segment_header(id, writer.next_sequence).encode());
            length = SEGMENT_HEADER as u64;
        }
        let first = writer.next_sequence;
        let mut locations = Vec::with_capacity(entries.len());
        let mut height_max = 0;
        for entry in entries {
            let payload_length =
                u32::try_from(entry.payload.len()).map_err(|_| LogError::TooLong { length: entry.payload.len() })?;
            record::encode(&mut buffer, entry, payload_length, writer.next_sequence, first);
            let location = Location { segment: id, offset: length, length: payload_length };
            length = location.end();
            locations.push(location);
            writer.next_sequence += 1;
            height_max = height_max.max(entry.height);
        }
        file.append(&buffer)?;
        if self.options.durability == Durability::EveryAppend {
            file.sync()?;
        }
        let mut segments = self.segments.write();
        let info = segments.entry(id).or_insert(SegmentInfo {
            first_sequence: first,
            length: 0,
            height_max: 0,
            archived: false,
        });
        info.length = length;
        info.height_max = info.height_max.max(height_max);
        drop(segments);
        // A rare huge batch should not hold its memory for ever.
        buffer.shrink_to(1 << 20);
        writer.buffer = buffer;
        Ok(locations)
    }

    /// The segment that takes the next append: the active one, or a new one where that is full or absent.
    fn segment_for_append(&self, writer: &mut Writer) -> Result<(u64, Arc<dyn StorageFile>), LogError> {
        let next = match &writer.active {
            Some((id, file)) => {
                let length = self.segments.read().get(id).map_or(0, |info| info.length);
                if length < self.options.segment_bytes {
                    return Ok((*id, Arc::clone(file)));
                }
                if self.options.durability == Durability::OnRequest {
                    file.sync()?;
                }
                id + 1
            }
            None => 0,
        };
        let file = self.storage.create(&self.path(next))?;
        writer.active = Some((next, Arc::clone(&file)));
        Ok((next, file))
    }

    fn segment_header(&self, id: u64, first_sequence: u64) -> SegmentHeader {
        let segments = self.segments.read();
        let before = id.checked_sub(1).and_then(|id| segments.get(&id));
        SegmentHeader {
            purpose: self.options.purpose,
            id,
            first_sequence,
            previous_length: before.map_or(0, |info| info.length),
            previous_height_max: before.map_or(0, |info| info.height_max),
        }
    }

    /// How many bytes of a segment are valid; `None` if it does not exist.
    fn valid_length(&self, segment: u64) -> Option<u64> {
        self.segments.read().get(&segment).map(|info| info.length)
    }

    fn file(&self, segment: u64) -> Result<Arc<dyn StorageFile>, LogError> {
        if let Some((id, file)) = &self.writer.try_lock().and_then(|writer| writer.active.clone())
            && *id == segment
        {
            return Ok(Arc::clone(file));
        }
        Ok(self.files.get_or_insert_with(&segment, || self.storage.open(&self.path(segment)))?)
    }

    fn path(&self, segment: u64) -> PathBuf {
        let archived = self.segments.read().get(&segment).is_some_and(|info| info.archived);
        match &*self.archive.read() {
            Some(folder) if archived => segment_path(folder, segment),
            _ => segment_path(&self.options.folder, segment),
        }
    }
}

/// Copies the first `length` bytes of a file and syncs the copy.
pub(crate) fn copy_file(storage: &dyn Storage, from: &Path, to: &Path, length: u64) -> Result<(), StorageError> {
    /// Bytes that are copied at a time.
    const PIECE_BYTES: usize = 4 * 1024 * 1024;
    let (source, target) = (storage.open(from)?, storage.create(to)?);
    let mut buffer = vec![0; PIECE_BYTES.min(usize::try_from(length).unwrap_or(PIECE_BYTES))];
    let mut done = 0;
    while done < length {
        let piece = usize::try_from(length - done).unwrap_or(usize::MAX).min(buffer.len());
        let piece = buffer.get_mut(..piece).unwrap_or_default();
        source.read_at(done, piece)?;
        target.append(piece)?;
        done += piece.len() as u64;
    }
    target.sync()
}

fn segment_path(folder: &Path, segment: u64) -> PathBuf {
    folder.join(segment_name(segment))
}

fn segment_name(segment: u64) -> String {
    format!("{segment:010}.log")
}

fn damaged(path: &Path, offset: u64, reason: impl Into<String>) -> LogError {
    LogError::Damaged { path: path.to_path_buf(), offset, reason: reason.into() }
}
