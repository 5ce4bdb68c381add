//! A hook as `config.toml` has it.

use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// One `[[hooks]]` of `config.toml`. Paths are relative to the folder that the file stands in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HookSection {
    /// What it is called: in the name of its cursor, in log lines, metrics and `webhook-id`.
    pub name: String,
    /// The group's number.
    #[serde(default)]
    pub group: u32,
    /// The contract whose events are told.
    pub contract: String,
    /// Declarations of the events that are told, in Solidity; none for all of them, undecoded.
    #[serde(default)]
    pub events: Vec<String>,
    /// Where to.
    pub url: String,
    /// The file with the secret.
    pub secret: PathBuf,
    /// A file with authorities that are trusted beside those of the system, in PEM.
    #[serde(default)]
    pub certificate_authorities: Option<PathBuf>,
    /// Where it begins while it has no cursor.
    #[serde(default)]
    pub from: Start,
}

/// A block's number, or `latest`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Start {
    /// With the events of this block.
    Block(u64),
    /// `"latest"`: behind the block that is the last when the hook starts for the first time.
    Word(String),
}

impl Default for Start {
    fn default() -> Self {
        Self::Word("latest".to_owned())
    }
}

impl HookSection {
    /// Completes paths with the folder of the file.
    pub fn complete(&mut self, folder: &Path) {
        self.secret = folder.join(&self.secret);
        self.certificate_authorities = self.certificate_authorities.take().map(|path| folder.join(path));
    }

    /// As the file has it.
    #[must_use]
    pub fn to_toml(&self) -> String {
        let Self { name, group, contract, events, url, secret, certificate_authorities, from } = self;
        let authorities = certificate_authorities.as_ref();
        let authorities = authorities.map(|path| format!("certificate_authorities = {path:?}\n")).unwrap_or_default();
        let from = match from {
            Start::Block(number) => number.to_string(),
            Start::Word(word) => format!("{word:?}"),
        };
        format!(
            "\n[[hooks]]\nname = {name:?}\ngroup = {group}\ncontract = {contract:?}\nevents = {events:?}\nurl = {url:?}\n\
             secret = {secret:?}\n{authorities}from = {from}\n"
        )
    }
}
