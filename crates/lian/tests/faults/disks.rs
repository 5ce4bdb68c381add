//! Disks without room.

use crate::{
    load::Load,
    network::{Network, others},
    pulse::Pulse,
};
use std::{
    fs::File,
    io::Write,
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

/// How a node's disk is made to have no room.
enum Disk {
    /// A file system in memory, mounted at the node's data folder, which takes root's rights.
    Mounted(PathBuf),
    /// A limit on how large a file may become (`ulimit -f`), which anybody may set. The system refuses to write more.
    FileSizes,
}

/// Bytes of the mounted file system: what a node needs to start, and some blocks.
const DISK: &str = "size=128m";

impl Disk {
    /// A small file system at a data folder, with what is in there; else the other way, and says so.
    fn mount(folder: &Path) -> Self {
        let aside = folder.with_extension("aside");
        std::fs::rename(folder, &aside).unwrap();
        std::fs::create_dir(folder).unwrap();
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", DISK, "tmpfs"]).arg(folder).output();
        let refused = match &mounted {
            Ok(run) if run.status.success() => None,
            Ok(run) => Some(String::from_utf8_lossy(&run.stderr).into_owned()),
            Err(error) => Some(error.to_string()),
        };
        let copied = Command::new("cp").arg("-a").arg(aside.join(".")).arg(folder).output().unwrap();
        assert!(copied.status.success(), "{}", String::from_utf8_lossy(&copied.stderr));
        match refused {
            None => Self::Mounted(folder.to_owned()),
            Some(reason) => {
                println!("no file system can be mounted here ({}): sizes of files are limited instead", reason.trim());
                Self::FileSizes
            }
        }
    }

    /// Takes all room away. A node that is limited must be started anew.
    fn fill(&self, network: &mut Network, node: usize) {
        match self {
            Self::Mounted(folder) => {
                let mut ballast = File::create(folder.join("ballast")).unwrap();
                let chunk = vec![1; 64 * 1024];
                while ballast.write_all(&chunk).is_ok() {}
                let chunk = [1; 64];
                while ballast.write_all(&chunk).is_ok() {}
            }
            Self::FileSizes => {
                network.stop(node);
                let largest = largest_log(&network.folder(node).join("data/group0/votes"));
                // In units of 512 bytes. The signal that comes with the refusal is ignored, so that the error is seen.
                let script = format!("trap '' XFSZ; ulimit -f {}; exec \"$@\"", largest / 512 + 64);
                let mut command = Command::new("sh");
                command.args(["-c", &script, "sh", env!("CARGO_BIN_EXE_lian"), "node", "--config"]);
                command.arg(network.folder(node).join("config.toml"));
                network.start_as(node, command);
            }
        }
    }

    fn make_room(&self) {
        if let Self::Mounted(folder) = self {
            std::fs::remove_file(folder.join("ballast")).unwrap();
        }
    }

    const fn reason(&self) -> &'static str {
        match self {
            Self::Mounted(_) => "No space left on device",
            Self::FileSizes => "File too large",
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let Self::Mounted(folder) = self else { return };
        if std::thread::panicking() {
            // What is on it would be lost with it.
            let _ = Command::new("cp").arg("-a").arg(&*folder).arg(folder.with_extension("kept")).status();
        }
        // Also while a node of a failed test still uses it.
        let _ = Command::new("umount").arg("--lazy").arg(folder).status();
    }
}

fn largest_log(folder: &Path) -> u64 {
    std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).max().unwrap()
}

/// The disk of the leader is full: it stops and says why, the rest go on, and when there is room again it catches up.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_stops_one_node_until_there_is_room() {
    disk_without_room(Disk::mount).await;
}

/// The same by the other way, which needs no rights.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_may_not_grow_stops_one_node() {
    disk_without_room(|_| Disk::FileSizes).await;
}

async fn disk_without_room(make: impl FnOnce(&Path) -> Disk) {
    let mut network = Network::create(|_| {}).await;
    // The first leader.
    let full = 0;
    let rest = others(full);
    let disk = make(&network.folder(full).join("data"));
    (0..crate::network::NODES).for_each(|node| network.start(node));
    network.wait_for_sessions(0..crate::network::NODES).await;
    let load = Load::start_at(&network, &rest).await;
    let pulse = Pulse::of(&network, &rest);
    load.wait_for_more(30).await;

    let since = Instant::now();
    disk.fill(&mut network, full);
    let words = network.wait_for_end(full).await;
    let last = words.lines().last().unwrap_or_default();
    println!("node{full} stopped: {last}");
    assert!(last.contains(disk.reason()), "the last line does not say why: {words}");
    load.wait_for_more(50).await;
    network.check_gap(&pulse, since, &format!("node{full} had no room"));

    disk.make_room();
    network.start(full);
    load.wait_for_more(20).await;
    network.settle_and_check(load, &[]).await;
    drop(disk);
}
