//! Aligned `key value` lines for people.

use std::fmt;

/// Lines of a key and a value, the values aligned in one column.
#[derive(Clone, Debug, Default)]
pub struct Table(Vec<(String, String)>);

impl Table {
    /// An empty table.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a line.
    pub fn line(&mut self, key: impl Into<String>, value: impl fmt::Display) -> &mut Self {
        self.0.push((key.into(), value.to_string()));
        self
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.0.iter().map(|(key, _)| key.chars().count()).max().unwrap_or(0);
        for (key, value) in &self.0 {
            // Control characters from a node must not reach a terminal.
            let value: String = value.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
            writeln!(f, "{key:width$}  {value}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aligns_and_hides_control_characters() {
        let mut table = Table::new();
        table.line("hash", "0x1").line("block number", "7\u{1b}[2J");
        assert_eq!(table.to_string(), "hash          0x1\nblock number  7\u{fffd}[2J\n");
    }
}
