//! The admin socket: what an operator on this machine may ask of a running node and nobody else may. It is a Unix socket in
//! a folder that only the node's own user can enter, beside the node's data.

use super::folder::read_certificate;
use crate::{config::NodeConfig, output::utc};
use anyhow::{Context, Result, bail};
use lian_group::GroupHandle;
use lian_ledger::{FileStorage, Ledger, SnapshotFolder};
use lian_network::{NetworkHandle, pki::Anchor};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    os::unix::fs::PermissionsExt,
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    sync::Arc,
    time::UNIX_EPOCH,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt},
    net::UnixListener,
    sync::Mutex,
    task::JoinHandle,
};

/// The longest request or answer, in bytes: a path and some words.
const LINE_BYTES_MAX: u64 = 64 * 1024;

/// A request: one line of JSON, answered by one line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "lowercase", deny_unknown_fields)]
pub(crate) enum AdminRequest {
    /// Write a snapshot of a group's newest state to a folder.
    Snapshot {
        /// The group's number.
        group: u32,
        /// The folder, as an absolute path.
        to: PathBuf,
    },
    /// Copy a group's ledger to an empty folder.
    Backup {
        /// The group's number.
        group: u32,
        /// The folder, as an absolute path.
        to: PathBuf,
    },
    /// Read the node's certificate and its key again, and show them from now on.
    Reload,
}

/// What it takes to read a node's certificate again.
pub(super) struct Certificates {
    pub(super) config: NodeConfig,
    pub(super) network: NetworkHandle,
}

impl Certificates {
    /// Reads certificate and key from the node's folder and checks them as peers will. Nothing changes where they are not in
    /// order; sessions go on in any case.
    fn reload(&self) -> Result<Value> {
        let identity = read_certificate(&self.config, Some(&self.network.trust()))?;
        let Anchor { subject: authority, .. } =
            self.network.judge_own(&identity).context("peers would refuse the certificate")?;
        let facts = identity.facts()?;
        self.network.set_identity(&identity)?;
        let expires = identity.expires().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        tracing::info!(subject = facts.subject, authority, expires = utc(expires), "the certificate was read again");
        Ok(json!({
            "subject": facts.subject, "issuer": facts.issuer, "serial": facts.serial_text(), "authority": authority,
            "expires": expires,
        }))
    }
}

/// What requests are about.
struct Asked {
    groups: Vec<GroupHandle>,
    certificates: Certificates,
}

/// The socket of a node whose data is in a folder.
fn socket(data: &Path) -> PathBuf {
    data.join("admin").join("socket")
}

/// Serves the socket until it is dropped.
pub(crate) struct AdminServer {
    path: PathBuf,
    task: JoinHandle<()>,
}

impl Drop for AdminServer {
    fn drop(&mut self) {
        self.task.abort();
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!(%error, "the admin socket cannot be removed");
        }
    }
}

impl AdminServer {
    /// Listens. What a process that was killed left there is replaced: the caller has the lock of the folder.
    pub(super) fn start(groups: Vec<GroupHandle>, certificates: Certificates) -> Result<Self> {
        let path = socket(&certificates.config.storage.dir);
        let listener = listen(&path).with_context(|| format!("admin socket {}", path.display()))?;
        // One job at a time: each reads the whole state or all blocks.
        let asked = Arc::new(Mutex::new(Asked { groups, certificates }));
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let asked = Arc::clone(&asked);
                tokio::spawn(async move {
                    if let Err(error) = serve(stream, &asked).await {
                        tracing::warn!(%error, "an admin request failed");
                    }
                });
            }
        });
        Ok(Self { path, task })
    }
}

fn listen(path: &Path) -> Result<UnixListener> {
    let folder = path.parent().context("no folder")?;
    fs::create_dir_all(folder)?;
    // The folder is closed before there is anything in it, so that nobody else can ever reach the socket.
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700))?;
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(UnixListener::bind(path)?),
    }
}

async fn serve(stream: tokio::net::UnixStream, asked: &Arc<Mutex<Asked>>) -> Result<()> {
    let (read, mut write) = stream.into_split();
    let mut line = String::new();
    tokio::io::BufReader::new(read.take(LINE_BYTES_MAX)).read_line(&mut line).await?;
    let answer = match serde_json::from_str(&line) {
        Ok(request) => {
            let asked = Arc::clone(asked).lock_owned().await;
            tracing::info!(?request, "admin request");
            tokio::task::spawn_blocking(move || perform(&asked, &request)).await?
        }
        Err(error) => Err(error.into()),
    };
    let answer = answer.unwrap_or_else(|error| json!({"error": format!("{error:#}")}));
    write.write_all(format!("{answer}\n").as_bytes()).await?;
    Ok(())
}

fn perform(asked: &Asked, request: &AdminRequest) -> Result<Value> {
    match request {
        AdminRequest::Snapshot { group, to } => {
            let ledger = asked.ledger(*group, to)?;
            let folder = SnapshotFolder::new(Arc::new(FileStorage), to);
            let manifest = ledger.write_snapshot(&ledger.freeze()?, &folder)?;
            Ok(json!({"height": manifest.height().0, "chunks": manifest.chunks.len(), "bytes": manifest.bytes()}))
        }
        AdminRequest::Backup { group, to } => {
            let ledger = asked.ledger(*group, to)?;
            let report = ledger.back_up(to)?;
            Ok(json!({"oldest": report.oldest.0, "newest": report.newest.0, "bytes": report.bytes}))
        }
        AdminRequest::Reload => asked.certificates.reload(),
    }
}

impl Asked {
    /// The ledger of a group, of which something is to be written to a folder.
    fn ledger(&self, number: u32, to: &Path) -> Result<&Ledger> {
        if !to.is_absolute() {
            bail!("{} is not an absolute path", to.display());
        }
        let group = self.groups.iter().find(|group| group.info().group.0 == number);
        Ok(group.with_context(|| format!("there is no group {number}"))?.ledger())
    }
}

/// Asks a running node, whose data is in a folder, and waits for its answer.
///
/// # Errors
/// Where no node listens there, and what the node refuses.
pub(crate) fn ask(data: &Path, request: &AdminRequest) -> Result<Value> {
    let path = socket(data);
    let mut stream = UnixStream::connect(&path)
        .with_context(|| format!("no node answers at {}; is it starting or stopping?", path.display()))?;
    writeln!(stream, "{}", serde_json::to_string(request)?)?;
    let mut line = String::new();
    BufReader::new(stream.take(LINE_BYTES_MAX)).read_line(&mut line)?;
    let answer: Value = serde_json::from_str(&line).context("the node stopped before it had answered")?;
    match answer.get("error").and_then(Value::as_str) {
        Some(error) => bail!("{error}"),
        None => Ok(answer),
    }
}
