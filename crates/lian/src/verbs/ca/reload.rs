//! `lian ca reload`.

use crate::{
    config::NodeConfig,
    layout::CONFIG_FILE,
    node::{AdminRequest, ask},
    output::{print, say, utc},
    verbs::text,
};
use anyhow::Result;
use clap::Args;
use lian_client::Table;
use std::path::PathBuf;

#[derive(Args, Debug)]
pub(crate) struct Reload {
    /// The node's folder, which has its config.toml. The node must be running.
    #[arg(long)]
    dir: PathBuf,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

impl Reload {
    pub(super) fn run(self) -> Result<()> {
        let config = NodeConfig::read(&self.dir.join(CONFIG_FILE))?;
        let answer = ask(&config.storage.dir, &AdminRequest::Reload)?;
        if self.json {
            say(&answer)?;
            return Ok(());
        }
        let mut table = Table::new();
        for field in ["subject", "issuer", "serial", "authority"] {
            table.line(field, text(&answer, field));
        }
        table.line("expires", answer["expires"].as_u64().map_or_else(|| "-".to_owned(), utc));
        print(table)?;
        Ok(())
    }
}
