//! Standard output of the verbs.

use std::{
    fmt,
    io::{self, Write},
};

/// Prints a line. Unlike `println!` it reports a reader that went away, such as `head`, instead of panicking.
///
/// # Errors
/// The operating system's.
pub(crate) fn say(line: impl fmt::Display) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}

/// Prints text that ends its own lines.
///
/// # Errors
/// The operating system's.
pub(crate) fn print(text: impl fmt::Display) -> io::Result<()> {
    let mut out = io::stdout().lock();
    write!(out, "{text}")?;
    out.flush()
}

/// Text of a node or contract with what could steer a terminal made visible instead.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// Whether an error means that nobody reads the output any more, which is no failure of the program.
pub(crate) fn reader_went_away(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
