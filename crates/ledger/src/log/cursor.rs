//! Reading a log from some record to its end.

use super::record::{self, RECORD_HEADER, SEGMENT_HEADER};
use super::{Location, Log, LogError, Record, damaged};
use crate::storage::StorageFile;
use std::sync::Arc;

/// The next record's file and header.
type Next = (Arc<dyn StorageFile>, record::RecordHeader);

/// Reads records in order. What is appended while it reads is read too.
pub struct Cursor {
    log: Arc<Log>,
    segment: u64,
    offset: u64,
    file: Option<(u64, Arc<dyn StorageFile>)>,
}

impl Cursor {
    pub(super) fn new(log: Arc<Log>, segment: u64, offset: u64) -> Self {
        Self { log, segment, offset, file: None }
    }

    /// The next record, or `None` at the end.
    ///
    /// # Errors
    /// [`LogError::Damaged`] names the file and position; [`LogError::Storage`] if it cannot be read.
    #[allow(clippy::should_implement_trait)] // An iterator would suggest going on after an error.
    pub fn next(&mut self) -> Result<Option<(Location, Record)>, LogError> {
        let Some((file, header)) = self.header()? else { return Ok(None) };
        let location = Location { segment: self.segment, offset: self.offset, length: header.length };
        let length = usize::try_from(header.length).unwrap_or(usize::MAX).saturating_add(RECORD_HEADER);
        let mut bytes = vec![0; length];
        file.read_at(self.offset, &mut bytes)?;
        let record = record::decode(bytes).map_err(|reason| damaged(file.path(), self.offset, reason))?;
        self.offset = location.end();
        Ok(Some((location, record)))
    }

    /// The height, sequence number and place of the next record, whose content is skipped unread; `None` at the end.
    ///
    /// # Errors
    /// As [`Self::next`].
    pub(crate) fn skip(&mut self) -> Result<Option<(Location, u64, u64)>, LogError> {
        let Some((_, header)) = self.header()? else { return Ok(None) };
        let location = Location { segment: self.segment, offset: self.offset, length: header.length };
        self.offset = location.end();
        Ok(Some((location, header.height, header.sequence)))
    }

    fn header(&mut self) -> Result<Option<Next>, LogError> {
        let end = loop {
            let Some(end) = self.log.valid_length(self.segment) else { return Ok(None) };
            if self.offset < end {
                break end;
            }
            if self.log.valid_length(self.segment + 1).is_none() {
                return Ok(None);
            }
            self.segment += 1;
            self.offset = SEGMENT_HEADER as u64;
        };
        let file = match &self.file {
            Some((id, file)) if *id == self.segment => Arc::clone(file),
            _ => {
                let file = self.log.file(self.segment)?;
                self.file = Some((self.segment, Arc::clone(&file)));
                file
            }
        };
        let fail = |reason| damaged(file.path(), self.offset, reason);
        if end - self.offset < RECORD_HEADER as u64 {
            return Err(fail("the record's header is incomplete"));
        }
        let mut bytes = [0; RECORD_HEADER];
        file.read_at(self.offset, &mut bytes)?;
        let header = record::decode_header(&bytes).map_err(fail)?;
        if self.offset + RECORD_HEADER as u64 + u64::from(header.length) > end {
            return Err(fail("the record reaches beyond the end of its segment"));
        }
        Ok(Some((file, header)))
    }
}
