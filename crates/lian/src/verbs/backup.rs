//! `lian backup`: a copy of a node from which it can be started, or which can be checked.

use super::snapshot::{group_of, ledger_config};
use crate::{
    config::NodeConfig,
    layout::{AUTHORITIES_FILE, CONFIG_FILE, GENESIS_FILE},
    node::{AdminRequest, DataLock, ask, read_genesis},
    output::{print, say},
};
use anyhow::{Context, Result, bail};
use clap::Args;
use lian_client::Table;
use lian_ledger::{FileStorage, Ledger, Storage};
use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

/// Copies a node.
#[derive(Args, Debug)]
pub(crate) struct BackupVerb {
    /// The node's folder, which has its config.toml. The node may be running.
    #[arg(long)]
    dir: PathBuf,
    /// The folder to make.
    #[arg(long)]
    out: PathBuf,
    /// Copy the keys, too: whoever has the backup can act as this node then.
    #[arg(long)]
    with_keys: bool,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Copies configuration, genesis, certificate, and every group's blocks and snapshots. Votes are never copied: a node must
/// not forget those that it gave after its backup (docs/snapshots.md).
///
/// # Errors
/// What cannot be read or written. An unfinished backup is said to be so by `lian verify`.
pub(crate) fn run(verb: &BackupVerb) -> Result<()> {
    let BackupVerb { dir, out, with_keys, json } = verb;
    let config = NodeConfig::read(&dir.join(CONFIG_FILE))?;
    let mut written = NodeConfig::read_as_written(&dir.join(CONFIG_FILE))?;
    let (genesis, suite) = read_genesis(&config.genesis)?;
    let out = std::path::absolute(out)?;
    if out.exists() && fs::read_dir(&out)?.next().is_some() {
        bail!("{} exists and is not empty", out.display());
    }
    fs::create_dir_all(&out).with_context(|| format!("cannot create {}", out.display()))?;
    let lock = DataLock::try_take(&config.storage.dir)?;
    let mut groups = Vec::new();
    for group in &genesis.groups {
        let to = out.join("data").join(format!("group{}", group.group));
        let answer = match &lock {
            None => ask(&config.storage.dir, &AdminRequest::Backup { group: group.group.0, to })?,
            Some(_) => {
                let storage: Arc<dyn Storage> = Arc::new(FileStorage);
                let group = group_of(&genesis, group.group.0)?;
                let (ledger, _) = Ledger::open(ledger_config(&config, group)?, storage, suite, &genesis, group)?;
                let report = ledger.back_up(&to)?;
                json!({"oldest": report.oldest.0, "newest": report.newest.0, "bytes": report.bytes})
            }
        };
        groups.push(answer);
    }
    copy(&config.genesis, &out.join(GENESIS_FILE))?;
    let roots = config.storage.dir.join(AUTHORITIES_FILE);
    if roots.exists() {
        copy(&roots, &out.join("data").join(AUTHORITIES_FILE))?;
    }
    written.genesis = GENESIS_FILE.into();
    written.storage.dir = "data".into();
    // Old blocks stay where they are; the backup says by itself what it lacks.
    written.pruning.archive = PathBuf::new();
    let mut files = vec![(&config.identity.certificate, &mut written.identity.certificate, "certs")];
    if *with_keys {
        files.push((&config.identity.consensus_key, &mut written.identity.consensus_key, "keys"));
        files.push((&config.identity.certificate_key, &mut written.identity.certificate_key, "keys"));
    }
    for (from, name, folder) in files {
        let place = Path::new(folder).join(from.file_name().with_context(|| format!("{} is no file", from.display()))?);
        copy(from, &out.join(&place))?;
        *name = place;
    }
    fs::write(out.join(CONFIG_FILE), written.to_toml()).with_context(|| format!("cannot write {}", out.display()))?;
    show(&groups, &out, *with_keys, *json)
}

/// Copies a file with its mode.
fn copy(from: &Path, to: &Path) -> Result<()> {
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::copy(from, to).with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))?;
    Ok(())
}

fn show(groups: &[Value], out: &Path, with_keys: bool, raw: bool) -> Result<()> {
    if raw {
        say(json!({"backup": out, "groups": groups, "keys": with_keys}))?;
        return Ok(());
    }
    let mut table = Table::new();
    table.line("backup", out.display());
    for (number, group) in groups.iter().enumerate() {
        let text = format!("blocks {} to {}, {} bytes", group["oldest"], group["newest"], group["bytes"]);
        table.line(format!("group {number}"), text);
    }
    table.line("keys", if with_keys { "copied: keep it as safe as the node" } else { "not copied" });
    table.line("votes", "never copied");
    print(table)?;
    Ok(())
}
