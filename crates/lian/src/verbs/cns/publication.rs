//! What is published with a version.

use super::{change, contract::Names};
use crate::verbs::{NodeArgs, transact::ChangeArgs};
use alloy_primitives::{Address, Bytes, U256};
use anyhow::{Context, Result, anyhow, bail};
use clap::{Args, ValueEnum};
use lian_system_contracts::{
    interfaces::INames::{self, Kind, Publication},
    names::{LIST_MAX, Name},
};
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Of an ABI in JSON (EIP-205).
const JSON: U256 = U256::ONE;

/// What calling a name means.
#[derive(Args, Clone, Debug)]
pub(crate) struct KindArgs {
    /// Whether the name's alias keeps storage and coins over all versions, or passes calls on to each version's own contract.
    #[arg(long, default_value = "state-keeping")]
    kind: NewKind,
}

#[derive(ValueEnum, Clone, Copy, Debug)]
enum NewKind {
    StateKeeping,
    Forwarding,
}

impl KindArgs {
    pub(super) const fn kind(&self) -> Kind {
        match self.kind {
            NewKind::StateKeeping => Kind::StateKeeping,
            NewKind::Forwarding => Kind::Forwarding,
        }
    }
}

/// What else is known of a version.
#[derive(Args, Clone, Debug)]
pub(crate) struct PublicationArgs {
    /// A file with its ABI: that of a compiled contract, or the ABI alone.
    #[arg(long)]
    abi: Option<PathBuf>,
    /// What else to say about it: at most 256 bytes.
    #[arg(long)]
    metadata: Option<String>,
}

impl PublicationArgs {
    pub(super) const fn is_given(&self) -> bool {
        self.abi.is_some() || self.metadata.is_some()
    }

    pub(super) fn of(self, version: String, target: Address) -> Result<Publication> {
        let abi = self.abi.as_deref().map(read_abi).transpose()?;
        Ok(publication(version, target, abi.as_ref(), self.metadata.unwrap_or_default()))
    }
}

fn publication(version: String, target: Address, abi: Option<&Value>, metadata: String) -> Publication {
    let abi_data = abi.map(|abi| Bytes::from(abi.to_string().into_bytes())).unwrap_or_default();
    let content_type = if abi.is_some() { JSON } else { U256::ZERO };
    Publication { version, target, contentType: content_type, abiData: abi_data, metadata }
}

/// The ABI of a file, without what makes it readable.
fn read_abi(path: &Path) -> Result<Value> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let json: Value = serde_json::from_str(&text).with_context(|| format!("{} is not JSON", path.display()))?;
    let abi = json.get("abi").cloned().unwrap_or(json);
    if abi.is_array() {
        Ok(abi)
    } else {
        Err(anyhow!("{} has no ABI: a list, or an object with `abi`", path.display()))
    }
}

/// The name under which a contract is published once it is deployed, if it is.
#[derive(Args, Clone, Debug)]
pub(crate) struct DeployNameArgs {
    /// Publish it under this name as well, which is registered where nobody has it.
    #[arg(long, requires = "version")]
    name: Option<String>,
    /// As this version.
    #[arg(long, requires = "name")]
    version: Option<String>,
    #[command(flatten)]
    kind: KindArgs,
}

impl DeployNameArgs {
    pub(in crate::verbs) fn given(self) -> Option<DeployName> {
        let (name, version) = self.name.zip(self.version)?;
        Some(DeployName { name, version, kind: self.kind.kind() })
    }
}

/// What a deployed contract is published as.
pub(in crate::verbs) struct DeployName {
    name: String,
    version: String,
    kind: Kind,
}

impl DeployName {
    /// Refuses what could not be published after all.
    pub(in crate::verbs) async fn check(&self, node: &NodeArgs) -> Result<()> {
        let name = Name::parse(&self.name).map_err(|error| anyhow!("`{}` is not a name: {error}", self.name))?;
        let names = Names::of(node)?;
        if !self.exists(&names, &name).await? {
            return Ok(());
        }
        let limit = U256::from(LIST_MAX);
        let versions = names.all(|from| INames::versionsCall { name: self.name.clone(), from, limit }).await?;
        if versions.iter().any(|known| known.version == self.version) {
            bail!("there is a version `{}` of `{}` already; nothing was deployed", self.version, self.name);
        }
        Ok(())
    }

    async fn exists(&self, names: &Names, name: &Name) -> Result<bool> {
        names.ask(&INames::recordExistsCall { node: name.node() }).await
    }

    /// Publishes what was deployed.
    pub(in crate::verbs) async fn publish(self, args: &ChangeArgs, target: Address, abi: Value) -> Result<()> {
        let name = Name::parse(&self.name)?;
        let first = publication(self.version.clone(), target, Some(&abi), String::new());
        if self.exists(&Names::of(&args.node)?, &name).await? {
            change(args, &INames::publishCall { name: self.name, publication: first }).await
        } else {
            change(args, &INames::registerVersionCall { name: self.name, kind: self.kind, first }).await
        }
    }
}
