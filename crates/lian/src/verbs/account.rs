//! `lian account new|list|import`.

use crate::{output::say, terminal};
use anyhow::{Context, Result};
use clap::Subcommand;
use lian_client::AccountStore;
use std::path::PathBuf;

#[derive(Subcommand, Debug)]
pub(crate) enum AccountVerb {
    /// Make a new account and store its key, encrypted.
    New {
        /// The folder of key files.
        #[arg(long)]
        dir: Option<PathBuf>,
    },
    /// Show the stored accounts.
    List {
        /// The folder of key files.
        #[arg(long)]
        dir: Option<PathBuf>,
        /// Print a JSON array.
        #[arg(long)]
        json: bool,
    },
    /// Store the key of an existing account, encrypted. Without --private-key it is read from standard input.
    Import {
        /// The private key, 0x and 64 hexadecimal digits.
        #[arg(long, env = "LIAN_PRIVATE_KEY", hide_env_values = true)]
        private_key: Option<String>,
        /// The folder of key files.
        #[arg(long)]
        dir: Option<PathBuf>,
    },
}

pub(crate) fn run(verb: AccountVerb) -> Result<()> {
    match verb {
        AccountVerb::New { dir } => {
            let store = store(dir)?;
            say(store.create(&new_passphrase()?)?)?;
        }
        AccountVerb::List { dir, json } => {
            let addresses = store(dir)?.list()?;
            if json {
                say(serde_json::to_string(&addresses)?)?;
            } else {
                addresses.iter().try_for_each(say)?;
            }
        }
        AccountVerb::Import { private_key, dir } => {
            let key = match private_key {
                Some(key) => key,
                None => terminal::read_secret("private key")?,
            };
            say(store(dir)?.import(&key, &new_passphrase()?)?)?;
        }
    }
    Ok(())
}

/// Where accounts are stored unless told otherwise: `~/.lian/accounts`.
pub(crate) fn default_folder() -> Result<PathBuf> {
    let home = std::env::var_os("HOME").context("HOME is not set; give --dir")?;
    Ok(PathBuf::from(home).join(".lian").join("accounts"))
}

/// The passphrase of stored accounts, from `LIAN_ACCOUNT_PASSPHRASE` or asked for.
pub(crate) fn passphrase() -> Result<String> {
    given_passphrase().map_or_else(|| terminal::read_secret("passphrase"), Ok)
}

/// The passphrase of an account to store.
fn new_passphrase() -> Result<String> {
    given_passphrase().map_or_else(|| terminal::read_new_secret("passphrase"), Ok)
}

fn given_passphrase() -> Option<String> {
    std::env::var("LIAN_ACCOUNT_PASSPHRASE").ok()
}

fn store(dir: Option<PathBuf>) -> Result<AccountStore> {
    Ok(AccountStore::at(match dir {
        Some(dir) => dir,
        None => default_folder()?,
    }))
}
