//! Opening a log: its segments are found, the last one is read, and what a crash left at its end is cut off.

use super::record::{self, RECORD_HEADER, SEGMENT_HEADER, SegmentHeader};
use super::{
    Durability, Log, LogError, LogOptions, OPEN_SEGMENTS_MAX, SegmentInfo, Tail, Writer, damaged, segment_path,
};
use crate::storage::{Storage, StorageFile};
use parking_lot::{Mutex, RwLock};
use quick_cache::sync::Cache;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

impl Log {
    /// Opens a log, or makes a new one where there is none. Of all segments the headers are read, of the last one
    /// everything.
    ///
    /// # Errors
    /// [`LogError::Damaged`] for damage that a crash cannot explain; nothing is changed then.
    pub fn open(storage: Arc<dyn Storage>, options: LogOptions) -> Result<(Self, Tail), LogError> {
        storage.create_folder(&options.folder)?;
        Self::open_as(storage, options, false)
    }

    /// Opens a log to read it. Nothing is changed: what [`Self::open`] would cut off is left unread.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_read_only(storage: Arc<dyn Storage>, options: LogOptions) -> Result<(Self, Tail), LogError> {
        Self::open_as(storage, options, true)
    }

    fn open_as(storage: Arc<dyn Storage>, options: LogOptions, read_only: bool) -> Result<(Self, Tail), LogError> {
        let opening = Opening { storage: &*storage, options: &options, read_only };
        let (segments, active, next_sequence, tail) = opening.run()?;
        let log = Self {
            storage,
            options,
            segments: RwLock::new(segments),
            files: Cache::new(OPEN_SEGMENTS_MAX),
            writer: Mutex::new(Writer { active, next_sequence, buffer: Vec::new() }),
            archive: RwLock::new(None),
            poison: Mutex::new(read_only.then(|| "it was opened for reading only".to_owned())),
        };
        Ok((log, tail))
    }
}

impl Log {
    /// Adds the segments that were moved to a folder: as many below the oldest own one as are there without gap. A folder
    /// that is not there, as an archive that is not mounted, has none.
    ///
    /// # Errors
    /// [`LogError::Damaged`] for a segment that is not the one moved there.
    pub(crate) fn attach_archive(&self, folder: &std::path::Path) -> Result<(), LogError> {
        let options = LogOptions { folder: folder.to_path_buf(), ..self.options.clone() };
        let opening = Opening { storage: &*self.storage, options: &options, read_only: true };
        let Some((mut above, mut next)) = self.segments.read().first_key_value().map(|(id, info)| (*id, *info)) else {
            return Ok(());
        };
        let mut above_header = Opening { options: &self.options, ..opening }.header(above)?;
        let ids: BTreeSet<_> = opening.ids()?.into_iter().collect();
        while let (Some(id), Some(header)) = (above.checked_sub(1).filter(|id| ids.contains(id)), above_header) {
            let own = opening.header(id)?;
            let first_sequence = own.map_or(next.first_sequence, |own| own.first_sequence);
            let length = self.storage.open(&segment_path(folder, id))?.len()?;
            if own.is_none() || length != header.previous_length {
                let reason = format!("the file has {length} bytes, its successor says {}", header.previous_length);
                return Err(damaged(&segment_path(folder, id), length.min(header.previous_length), reason));
            }
            next = SegmentInfo { first_sequence, length, height_max: header.previous_height_max, archived: true };
            self.segments.write().insert(id, next);
            (above, above_header) = (id, own);
        }
        *self.archive.write() = Some(folder.to_path_buf());
        Ok(())
    }
}

#[derive(Clone, Copy)]
struct Opening<'a> {
    storage: &'a dyn Storage,
    options: &'a LogOptions,
    read_only: bool,
}

type Active = (u64, Arc<dyn StorageFile>);
type Opened = (BTreeMap<u64, SegmentInfo>, Option<Active>, u64, Tail);

/// What reading the last segment gave.
struct LastSegment {
    info: SegmentInfo,
    next_sequence: u64,
    cut: u64,
}

impl Opening<'_> {
    fn run(&self) -> Result<Opened, LogError> {
        let mut ids = self.segment_ids()?;
        let mut headers = BTreeMap::new();
        let mut tail = Tail::Whole;
        while let Some(&last) = ids.last() {
            if let Some(header) = self.header(last)? {
                headers.insert(last, header);
                break;
            }
            // A crash came between making the file and writing its header: nothing was in it yet.
            let path = segment_path(&self.options.folder, last);
            tail = Tail::Cut { offset: 0, bytes: self.storage.open(&path)?.len()?, path: path.clone() };
            if !self.read_only {
                self.storage.remove(&path)?;
            }
            ids.pop();
        }
        let Some((&last, sealed)) = ids.split_last() else {
            let tail = if tail == Tail::Whole { Tail::Fresh } else { tail };
            return Ok((BTreeMap::new(), None, 0, tail));
        };
        for &id in sealed {
            let Some(header) = self.header(id)? else {
                return Err(damaged(&segment_path(&self.options.folder, id), 0, "the segment's header is not valid"));
            };
            headers.insert(id, header);
        }
        let mut segments = BTreeMap::new();
        for &id in sealed {
            segments.insert(id, self.sealed(id, &headers)?);
        }
        let file = self.storage.open(&segment_path(&self.options.folder, last))?;
        let first_sequence = headers.get(&last).map_or(0, |header| header.first_sequence);
        let found = self.read_last(&*file, first_sequence)?;
        if found.cut > 0 {
            if !self.read_only {
                file.truncate(found.info.length)?;
            }
            tail = Tail::Cut { path: file.path().to_path_buf(), offset: found.info.length, bytes: found.cut };
        }
        // A killed process may have left its last append in the system's memory alone.
        if !self.read_only {
            file.sync()?;
        }
        segments.insert(last, found.info);
        Ok((segments, Some((last, file)), found.next_sequence, tail))
    }

    fn ids(&self) -> Result<Vec<u64>, LogError> {
        let names = self.storage.list(&self.options.folder)?;
        let mut ids: Vec<u64> =
            names.iter().filter_map(|name| name.strip_suffix(".log").and_then(|id| id.parse().ok())).collect();
        ids.sort_unstable();
        Ok(ids)
    }

    /// The numbers of the segments, without gap.
    fn segment_ids(&self) -> Result<Vec<u64>, LogError> {
        let ids = self.ids()?;
        for (left, right) in ids.iter().zip(ids.iter().skip(1)) {
            if left + 1 != *right {
                let path = segment_path(&self.options.folder, left + 1);
                return Err(damaged(&path, 0, format!("the file is missing, but segment {right} exists")));
            }
        }
        Ok(ids)
    }

    /// A segment's header; `None` if the file ends before its first record and the header is not valid.
    fn header(&self, id: u64) -> Result<Option<SegmentHeader>, LogError> {
        let path = segment_path(&self.options.folder, id);
        let file = self.storage.open(&path)?;
        let length = file.len()?;
        let fail = |reason: &str| Err(damaged(&path, 0, reason));
        if length < SEGMENT_HEADER as u64 {
            return Ok(None);
        }
        let mut bytes = [0; SEGMENT_HEADER];
        file.read_at(0, &mut bytes)?;
        match SegmentHeader::decode(&bytes) {
            Some(header) if header.id != id => fail("the segment's header has another number than the file's name"),
            Some(header) if header.purpose != self.options.purpose => {
                fail("the segment belongs to a log for another purpose")
            }
            Some(header) => Ok(Some(header)),
            None => {
                if let Some(found) = SegmentHeader::other_format(&bytes) {
                    let (found, known) = (char::from(found), char::from(record::FORMAT));
                    return Err(LogError::Format { path, found, known });
                }
                let rest = read_from(&*file, SEGMENT_HEADER as u64, length)?;
                if record::contains_later(&rest, 0) {
                    return fail("the segment's header is not valid, but records follow");
                }
                Ok(None)
            }
        }
    }

    /// A segment that is not the last: its successor says how long it must be.
    fn sealed(&self, id: u64, headers: &BTreeMap<u64, SegmentHeader>) -> Result<SegmentInfo, LogError> {
        let path = segment_path(&self.options.folder, id);
        let Some(next) = headers.get(&(id + 1)) else {
            return Err(damaged(&path, 0, "the segment's header is not valid"));
        };
        let length = self.storage.open(&path)?.len()?;
        if length != next.previous_length {
            let reason = format!("the file has {length} bytes, its successor says {}", next.previous_length);
            return Err(damaged(&path, length.min(next.previous_length), reason));
        }
        let first_sequence = headers.get(&id).map_or(0, |header| header.first_sequence);
        Ok(SegmentInfo { first_sequence, length, height_max: next.previous_height_max, archived: false })
    }

    /// Reads the last segment and finds where its valid part ends.
    fn read_last(&self, file: &dyn StorageFile, first_sequence: u64) -> Result<LastSegment, LogError> {
        let end = file.len()?;
        let mut info = SegmentInfo { first_sequence, length: SEGMENT_HEADER as u64, height_max: 0, archived: false };
        let mut sequence = first_sequence;
        while info.length < end {
            match self.read_record(file, info.length, end, sequence)? {
                Ok((height, length)) => {
                    info.length += length;
                    info.height_max = info.height_max.max(height);
                    sequence += 1;
                }
                Err(reason) => {
                    let rest = read_from(file, info.length, end)?;
                    // Records of the same append may have reached the disk in any order. One of a later append can
                    // only be there if this one had been synced.
                    if self.options.durability == Durability::EveryAppend
                        && record::contains_later(&rest, sequence.saturating_add(1))
                    {
                        return Err(damaged(file.path(), info.length, format!("{reason}, but valid records follow")));
                    }
                    return Ok(LastSegment { cut: end - info.length, info, next_sequence: sequence });
                }
            }
        }
        Ok(LastSegment { info, next_sequence: sequence, cut: 0 })
    }

    /// The height and length of the record at `offset`, or why there is none.
    #[allow(clippy::type_complexity)]
    fn read_record(
        &self,
        file: &dyn StorageFile,
        offset: u64,
        end: u64,
        sequence: u64,
    ) -> Result<Result<(u64, u64), &'static str>, LogError> {
        if end - offset < RECORD_HEADER as u64 {
            return Ok(Err("the record's header is incomplete"));
        }
        let mut header = [0; RECORD_HEADER];
        file.read_at(offset, &mut header)?;
        let header = match record::decode_header(&header) {
            Ok(header) => header,
            Err(reason) => return Ok(Err(reason)),
        };
        let length = RECORD_HEADER as u64 + u64::from(header.length);
        if header.sequence != sequence {
            return Ok(Err("the record's sequence number is not the next"));
        }
        if length > end - offset {
            return Ok(Err("the record is incomplete"));
        }
        let bytes = read_from(file, offset, offset + length)?;
        Ok(record::matches(&header, &bytes).map(|()| (header.height, length)))
    }
}

fn read_from(file: &dyn StorageFile, from: u64, end: u64) -> Result<Vec<u8>, LogError> {
    let mut bytes = vec![0; usize::try_from(end.saturating_sub(from)).unwrap_or(usize::MAX)];
    file.read_at(from, &mut bytes)?;
    Ok(bytes)
}
