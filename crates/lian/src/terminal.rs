//! Asking a person for a secret.

use anyhow::{Result, bail};
use nix::sys::termios::{LocalFlags, SetArg, Termios, tcgetattr, tcsetattr};
use std::io::{self, BufRead, IsTerminal, Stdin, Write};

/// Reads a line that must not be empty from standard input. A person is asked for it and does not see it while typing.
///
/// # Errors
/// An empty line, and the operating system's.
pub(crate) fn read_secret(prompt: &str) -> Result<String> {
    let stdin = io::stdin();
    let mut line = String::new();
    if stdin.is_terminal() {
        eprint!("{prompt}: ");
        io::stderr().flush()?;
        let hidden = Hidden::start(&stdin)?;
        let read = stdin.lock().read_line(&mut line);
        drop(hidden);
        // The line's end was hidden too.
        eprintln!();
        read?;
    } else {
        stdin.lock().read_line(&mut line)?;
    }
    let secret = line.trim_end_matches(['\r', '\n']);
    if secret.is_empty() {
        bail!("no {prompt} was entered");
    }
    Ok(secret.to_owned())
}

/// Reads a new secret, twice where a person types it, since a slip would lock it away for ever.
///
/// # Errors
/// Those of [`read_secret`], and where the two differ.
pub(crate) fn read_new_secret(prompt: &str) -> Result<String> {
    let secret = read_secret(prompt)?;
    if io::stdin().is_terminal() && read_secret(&format!("the same {prompt} again"))? != secret {
        bail!("the two differ, nothing was stored");
    }
    Ok(secret)
}

/// A terminal that does not show what is typed, until it is dropped.
struct Hidden<'a> {
    stdin: &'a Stdin,
    before: Termios,
}

impl<'a> Hidden<'a> {
    fn start(stdin: &'a Stdin) -> Result<Self> {
        let before = tcgetattr(stdin)?;
        let mut hidden = before.clone();
        hidden.local_flags.remove(LocalFlags::ECHO);
        tcsetattr(stdin, SetArg::TCSAFLUSH, &hidden)?;
        Ok(Self { stdin, before })
    }
}

impl Drop for Hidden<'_> {
    fn drop(&mut self) {
        // A terminal that is gone needs no restoring.
        let _ = tcsetattr(self.stdin, SetArg::TCSAFLUSH, &self.before);
    }
}
