//! What proves that a seed replays identically, and what a person reads.

use crate::{random::mix, time::Moment};

/// A running hash over everything that happens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct TraceHash(u64);

impl TraceHash {
    /// Adds a number.
    pub(crate) const fn add(&mut self, value: u64) {
        self.0 = mix(self.0.rotate_left(23) ^ value);
    }

    /// Adds bytes.
    pub(crate) fn add_bytes(&mut self, bytes: &[u8]) {
        self.add(hash(bytes));
    }

    /// The hash so far.
    pub(crate) const fn value(self) -> u64 {
        self.0
    }
}

/// A hash of bytes, for comparing runs of one program; nothing rests on its strength.
pub(crate) fn hash(bytes: &[u8]) -> u64 {
    let mut value = mix(bytes.len() as u64);
    for chunk in bytes.chunks(8) {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        value = mix(value.rotate_left(29) ^ u64::from_le_bytes(word));
    }
    value
}

/// What happened, line by line. It is kept only where somebody wants to read it.
#[derive(Debug, Default)]
pub(crate) struct Story {
    lines: Option<Vec<String>>,
}

/// Lines that a story keeps, at its end: a failure is explained by what came shortly before.
const LINES_MAX: usize = 200_000;

impl Story {
    /// A story that is kept, or not.
    pub(crate) fn new(kept: bool) -> Self {
        Self { lines: kept.then(Vec::new) }
    }

    /// Adds a line, if the story is kept.
    pub(crate) fn tell(&mut self, now: Moment, line: impl FnOnce() -> String) {
        let Some(lines) = &mut self.lines else { return };
        if lines.len() < LINES_MAX {
            lines.push(format!("{now}  {}", line()));
        }
    }

    /// Whether it is kept.
    pub(crate) const fn is_kept(&self) -> bool {
        self.lines.is_some()
    }

    /// All lines.
    pub(crate) fn into_text(self) -> String {
        self.lines.map(|lines| lines.join("\n")).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_and_content_matter() {
        let trace = |values: &[u64]| {
            let mut trace = TraceHash::default();
            values.iter().for_each(|value| trace.add(*value));
            trace
        };
        assert_eq!(trace(&[1, 2]), trace(&[1, 2]));
        assert_ne!(trace(&[1, 2]), trace(&[2, 1]));
        assert_ne!(hash(b"a"), hash(b"a\0"));
    }
}
