//! `lian account new|list|import`.

use crate::output::say;
use anyhow::{Context, Result, bail};
use clap::Subcommand;
use lian_client::AccountStore;
use std::{
    io::{BufRead, IsTerminal, Write},
    path::PathBuf,
};

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
            say(store.create(&passphrase()?)?)?;
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
                None => read_line("private key: ")?,
            };
            say(store(dir)?.import(&key, &passphrase()?)?)?;
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
    if let Ok(passphrase) = std::env::var("LIAN_ACCOUNT_PASSPHRASE") {
        return Ok(passphrase);
    }
    if !std::io::stdin().is_terminal() {
        bail!("no passphrase: set LIAN_ACCOUNT_PASSPHRASE, or run in a terminal");
    }
    read_line("passphrase: ")
}

fn store(dir: Option<PathBuf>) -> Result<AccountStore> {
    Ok(AccountStore::at(match dir {
        Some(dir) => dir,
        None => default_folder()?,
    }))
}

fn read_line(prompt: &str) -> Result<String> {
    if std::io::stdin().is_terminal() {
        eprint!("{prompt}");
        std::io::stderr().flush()?;
    }
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line)?;
    let line = line.trim_end_matches(['\r', '\n']).to_owned();
    if line.is_empty() {
        bail!("nothing was entered");
    }
    Ok(line)
}
