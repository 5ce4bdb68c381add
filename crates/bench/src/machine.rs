//! The machine, and what the nodes on it have used.

use std::{fs, path::Path};

/// Clock ticks a second in `/proc/<pid>/stat`: 100 on every Linux that Lian runs on (`getconf CLK_TCK`).
const TICKS_PER_SECOND: u64 = 100;

/// A line that names the processor, the cores and the memory of this machine.
#[must_use]
pub fn describe() -> String {
    let cpu = field("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown processor".to_owned());
    let memory = field("/proc/meminfo", "MemTotal").unwrap_or_else(|| "unknown memory".to_owned());
    format!("{cpu}, {} cores, {memory}", cores())
}

/// Cores that this process may use.
#[must_use]
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, Into::into)
}

/// What the node processes of this machine have used so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// How many node processes there are.
    pub processes: usize,
    /// Processor time of all of them, in microseconds.
    pub cpu_us: u64,
    /// Bytes that they had written to disk.
    pub disk_bytes: u64,
}

/// Reads what the given processes have used.
#[must_use]
pub fn usage(pids: &[u32]) -> Usage {
    let mut usage = Usage { processes: pids.len(), ..Usage::default() };
    for pid in pids {
        usage.cpu_us = usage.cpu_us.saturating_add(cpu_us(*pid).unwrap_or(0));
        let io = format!("/proc/{pid}/io");
        let bytes = field(&io, "write_bytes").and_then(|text| text.parse().ok()).unwrap_or(0);
        usage.disk_bytes = usage.disk_bytes.saturating_add(bytes);
    }
    usage
}

/// Processor time of this thread so far, in microseconds.
#[must_use]
pub fn thread_cpu_us() -> f64 {
    use nix::time::{ClockId, clock_gettime};
    // The clock of one's own thread is always there on Linux.
    let time = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map(std::time::Duration::from).unwrap_or_default();
    time.as_secs_f64() * 1e6
}

/// The processes on this machine that run `lian node`.
#[must_use]
pub fn node_processes() -> Vec<u32> {
    let mut pids = Vec::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        let Ok(line) = fs::read(entry.path().join("cmdline")) else { continue };
        let mut arguments = line.split(|byte| *byte == 0);
        let program = arguments.next().map(|path| String::from_utf8_lossy(path).into_owned()).unwrap_or_default();
        let is_lian = Path::new(&program).file_name().is_some_and(|name| name == "lian");
        if is_lian && arguments.next() == Some(b"node") {
            pids.push(pid);
        }
    }
    pids.sort_unstable();
    pids
}

/// Processor time of one process, user and system, in microseconds.
fn cpu_us(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The command's name may hold spaces; fields count from after its closing parenthesis.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user.saturating_add(system).saturating_mul(1_000_000 / TICKS_PER_SECOND))
}

/// The value after `name:` in a file of such lines.
fn field(path: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    line.split_once(':').map(|(_, value)| value.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_this_process() {
        let started = usage(&[std::process::id()]).cpu_us;
        let mut sum = 0u64;
        while usage(&[std::process::id()]).cpu_us == started {
            sum = (0..1_000_000u64).fold(sum, |sum, i| std::hint::black_box(sum ^ i));
        }
        assert!(usage(&[std::process::id()]).cpu_us > started);
        assert!(cores() >= 1);
    }
}
