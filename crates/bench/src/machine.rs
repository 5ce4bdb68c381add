//! The machine, and what the nodes on it have used.

use std::fs;

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

/// What some processes have used so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// Processor time of all of them, in microseconds.
    pub cpu_us: u64,
    /// Bytes that they had written to disk.
    pub disk_bytes: u64,
}

impl Usage {
    /// What was used since an earlier look.
    #[must_use]
    pub const fn since(&self, earlier: &Self) -> Self {
        Self {
            cpu_us: self.cpu_us.saturating_sub(earlier.cpu_us),
            disk_bytes: self.disk_bytes.saturating_sub(earlier.disk_bytes),
        }
    }
}

/// Reads what the given processes have used.
#[must_use]
pub fn usage(pids: &[u32]) -> Usage {
    let mut usage = Usage::default();
    for pid in pids {
        usage.cpu_us = usage.cpu_us.saturating_add(cpu_us(*pid).unwrap_or(0));
        let io = format!("/proc/{pid}/io");
        let bytes = field(&io, "write_bytes").and_then(|text| text.parse().ok()).unwrap_or(0);
        usage.disk_bytes = usage.disk_bytes.saturating_add(bytes);
    }
    usage
}

/// Resident memory of a process, in bytes; nothing where there is no such process.
#[must_use]
pub fn resident_bytes(pid: u32) -> Option<u64> {
    let text = field(&format!("/proc/{pid}/status"), "VmRSS")?;
    text.split_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1_024)
}

/// Processor time of this thread so far, in microseconds.
#[must_use]
pub fn thread_cpu_us() -> f64 {
    use nix::time::{ClockId, clock_gettime};
    // The clock of one's own thread is always there on Linux.
    let time = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map(std::time::Duration::from).unwrap_or_default();
    time.as_secs_f64() * 1e6
}

/// The port of an `http://host:port` address of this machine.
#[must_use]
pub fn local_port(url: &str) -> Option<u16> {
    let uri: hyper::Uri = url.parse().ok()?;
    let is_local = matches!(uri.host()?, "127.0.0.1" | "localhost" | "[::1]" | "0.0.0.0");
    is_local.then(|| uri.port_u16().unwrap_or(80))
}

/// The processes of this machine, as far as this user may see them, that listen on the given ports, in the order of the
/// ports, each once.
#[must_use]
pub fn listeners(ports: &[u16]) -> Vec<u32> {
    let sockets: Vec<_> = ports.iter().flat_map(|port| listening_sockets(*port)).collect();
    let mut found = vec![None; sockets.len()];
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        for file in fs::read_dir(entry.path().join("fd")).into_iter().flatten().flatten() {
            let Ok(target) = fs::read_link(file.path()) else { continue };
            let place = sockets.iter().position(|socket| target.as_os_str() == socket.as_str());
            if let Some(owner) = place.and_then(|place| found.get_mut(place)) {
                *owner = Some(pid);
            }
        }
    }
    let mut pids = Vec::new();
    for pid in found.into_iter().flatten() {
        if !pids.contains(&pid) {
            pids.push(pid);
        }
    }
    pids
}

/// The sockets that listen on a port, as links in `/proc/<pid>/fd` name them (proc_net(5): local address and port in
/// hexadecimal, state 0A, the inode tenth).
fn listening_sockets(port: u16) -> Vec<String> {
    let mut sockets = Vec::new();
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
        for line in fs::read_to_string(table).unwrap_or_default().lines() {
            let fields: Vec<_> = line.split_whitespace().collect();
            let (Some(local), Some(state), Some(inode)) = (fields.get(1), fields.get(3), fields.get(9)) else {
                continue;
            };
            let is_port = local.rsplit_once(':').is_some_and(|(_, hex)| u16::from_str_radix(hex, 16) == Ok(port));
            if is_port && *state == "0A" {
                sockets.push(format!("socket:[{inode}]"));
            }
        }
    }
    sockets
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
        assert!(resident_bytes(std::process::id()).unwrap() > 1_000_000);
        assert_eq!(resident_bytes(0), None);
    }

    #[test]
    fn finds_who_listens() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        assert_eq!(listeners(&[port, port]), [std::process::id()]);
        drop(listener);
        assert!(listeners(&[port]).is_empty());
        assert_eq!(local_port("http://127.0.0.1:8545/"), Some(8_545));
        assert_eq!(local_port("http://10.0.0.1:8545"), None);
        assert_eq!(local_port("nonsense"), None);
    }
}
