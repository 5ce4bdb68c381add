//! The program `lian`: runs nodes and whole local networks, and talks to them.
//!
//! - `cli` names every verb and its options; it is the reference that `lian help` prints.
//! - `layout` makes the folders of a network, `config` is a node's `config.toml`.
//! - `node` runs one node, `up` runs a local network of them, one process each.
//! - `verbs` talk to a running node through [`lian_client`].
//!
//! Exit codes: 0 done, 1 refused or failed with one line on standard error, 2 wrong usage, 3 a node that must not be
//! started again before a person has acted.

mod cli;
mod config;
mod init;
mod layout;
mod node;
mod output;
mod ports;
mod stop;
mod terminal;
mod up;
mod verbs;

use clap::Parser;
use std::process::ExitCode;

/// Many threads allocate and free what blocks need, each freeing what others allocated: jemalloc does that faster than the
/// system's allocator, and gives memory back in the background.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// The exit status of a node that would stop again; `packaging/lian@.service` names it, too.
const NEEDS_OPERATOR: u8 = 3;

fn main() -> ExitCode {
    match cli::run(cli::Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if output::reader_went_away(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("lian: {}", one_line(&format!("{error:#}")));
            if error.is::<stop::NeedsOperator>() { ExitCode::from(NEEDS_OPERATOR) } else { ExitCode::FAILURE }
        }
    }
}

/// An error message on one line, without control characters that a node or file may have put into it.
fn one_line(message: &str) -> String {
    let lines: Vec<_> = message.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    output::printable(&lines.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_take_one_line() {
        assert_eq!(one_line("a: b\n  c\n\n\u{1b}[2J"), "a: b, c, \u{fffd}[2J");
    }
}
