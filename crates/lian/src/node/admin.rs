//! The admin socket: what an operator on this machine may ask of a running node and nobody else may. It is a Unix socket in
//! a folder that only the node's own user can enter, beside the node's data.

use anyhow::{Context, Result, bail};
use lian_group::GroupHandle;
use lian_ledger::{FileStorage, SnapshotFolder};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    os::unix::fs::PermissionsExt,
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    sync::Arc,
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
    pub(crate) fn start(data: &Path, groups: Vec<GroupHandle>) -> Result<Self> {
        let path = socket(data);
        let listener = listen(&path).with_context(|| format!("admin socket {}", path.display()))?;
        // One job at a time: each reads the whole state or all blocks.
        let groups = Arc::new(Mutex::new(groups));
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let groups = Arc::clone(&groups);
                tokio::spawn(async move {
                    if let Err(error) = serve(stream, &groups).await {
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

async fn serve(stream: tokio::net::UnixStream, groups: &Arc<Mutex<Vec<GroupHandle>>>) -> Result<()> {
    let (read, mut write) = stream.into_split();
    let mut line = String::new();
    tokio::io::BufReader::new(read.take(LINE_BYTES_MAX)).read_line(&mut line).await?;
    let answer = match serde_json::from_str(&line) {
        Ok(request) => {
            let groups = Arc::clone(groups).lock_owned().await;
            tracing::info!(?request, "admin request");
            tokio::task::spawn_blocking(move || perform(&groups, &request)).await?
        }
        Err(error) => Err(error.into()),
    };
    let answer = answer.unwrap_or_else(|error| json!({"error": format!("{error:#}")}));
    write.write_all(format!("{answer}\n").as_bytes()).await?;
    Ok(())
}

fn perform(groups: &[GroupHandle], request: &AdminRequest) -> Result<Value> {
    let (AdminRequest::Snapshot { group: number, to } | AdminRequest::Backup { group: number, to }) = request;
    let group = groups.iter().find(|group| group.info().group.0 == *number);
    let ledger = group.with_context(|| format!("there is no group {number}"))?.ledger();
    if !to.is_absolute() {
        bail!("{} is not an absolute path", to.display());
    }
    match request {
        AdminRequest::Snapshot { .. } => {
            let folder = SnapshotFolder::new(Arc::new(FileStorage), to);
            let manifest = ledger.write_snapshot(&ledger.freeze()?, &folder)?;
            Ok(json!({"height": manifest.height().0, "chunks": manifest.chunks.len(), "bytes": manifest.bytes()}))
        }
        AdminRequest::Backup { .. } => {
            let report = ledger.back_up(to)?;
            Ok(json!({"oldest": report.oldest.0, "newest": report.newest.0, "bytes": report.bytes}))
        }
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
