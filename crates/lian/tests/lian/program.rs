//! Running the program.

use std::{
    net::TcpListener,
    path::Path,
    process::{Command, Output},
    sync::atomic::{AtomicU16, Ordering},
};

/// The program with arguments, away from the variables of whoever runs the tests.
pub(crate) fn lian(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lian"));
    for variable in ["LIAN_RPC_URL", "LIAN_PRIVATE_KEY", "LIAN_ACCOUNT_PASSPHRASE", "LIAN_KEY_PASSPHRASE"] {
        command.env_remove(variable);
    }
    command.args(arguments);
    command
}

/// How a run ended: status, standard output, standard error.
pub(crate) struct Run {
    pub(crate) status: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl From<Output> for Run {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self { status: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }
}

/// Runs to the end.
pub(crate) fn run(arguments: &[&str]) -> Run {
    lian(arguments).output().unwrap().into()
}

/// Runs what must succeed.
pub(crate) fn succeed(arguments: &[&str]) -> String {
    let run = run(arguments);
    assert_eq!(run.status, Some(0), "{arguments:?}: {}", run.err);
    run.out
}

/// Runs what must be refused with status 1 and one line; gives the line without the program's name.
pub(crate) fn refused(command: &mut Command) -> String {
    let run = Run::from(command.output().unwrap());
    assert_eq!(run.status, Some(1), "{}", run.err);
    let lines: Vec<_> = run.err.lines().collect();
    assert_eq!(lines.len(), 1, "{}", run.err);
    lines[0].strip_prefix("lian: ").unwrap().to_owned()
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A port offset at which a network of up to eight nodes finds all its ports free.
pub(crate) fn free_offset() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    loop {
        // Different processes begin at different places; below 2,400 no port is one that the system hands out itself.
        let seed = u16::try_from(std::process::id() % 1_000).unwrap();
        let offset = 100 + (seed + NEXT.fetch_add(1, Ordering::Relaxed)) % 230 * 10;
        let free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
        if (0..8).all(|i| [30_300, 8_545, 9_545].into_iter().all(|base| free(base + offset + i))) {
            return offset;
        }
    }
}
