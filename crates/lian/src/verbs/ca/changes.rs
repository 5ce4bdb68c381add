//! What can be changed, as the governing body or an administrator types it.

use super::show::node_identities;
use crate::verbs::{
    NodeArgs,
    gov::{
        changes::Change,
        send::{GovArgs, make},
    },
};
use alloy_primitives::{Address, B256, Bytes, hex};
use alloy_sol_types::SolCall;
use anyhow::{Result, anyhow, bail};
use clap::Args;
use lian_group::Identity;
use lian_network::pki::{CertificateFacts, read_certificate};
use lian_system_contracts::{
    authorities::ADDRESS,
    interfaces::{IAuthorities as A, ICommittee::Action},
};
use lian_types::{Revoked, limits::AUTHORITY_BYTES_MAX};
use serde_json::Value;
use std::{
    path::{Path, PathBuf},
    str::FromStr,
    time::SystemTime,
};

pub(super) fn action(call: &impl SolCall) -> Action {
    Action { target: ADDRESS, data: call.abi_encode().into() }
}

/// For whose nodes.
#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
pub(crate) struct ForWhom {
    /// For the nodes of this institution.
    #[arg(long)]
    institution: Option<String>,
    /// For the nodes of every institution.
    #[arg(long)]
    every_institution: bool,
}

#[derive(Args, Debug)]
pub(crate) struct AddAuthority {
    /// The authority's certificate, PEM or DER.
    certificate: PathBuf,
    #[command(flatten)]
    whom: ForWhom,
}

impl Change for AddAuthority {
    fn action(self, reason: &str) -> Result<Action> {
        let certificate = read_certificate(&self.certificate)?;
        let facts = CertificateFacts::of(&certificate)?;
        let name = self.certificate.display();
        if !facts.is_authority {
            bail!("{name} is the certificate of `{}`, which may not issue others", facts.subject);
        }
        if facts.ends <= SystemTime::now() {
            bail!("the certificate of `{}` in {name} has expired", facts.subject);
        }
        if certificate.len() > AUTHORITY_BYTES_MAX {
            bail!("{name} has {} bytes, at most {AUTHORITY_BYTES_MAX} can be added", certificate.len());
        }
        let institution = self.whom.institution.unwrap_or_default();
        let is_root = facts.is_root();
        Ok(action(&A::addCall {
            certificate: certificate.into(),
            institution,
            isRoot: is_root,
            reason: reason.to_owned(),
        }))
    }
}

#[derive(Args, Debug)]
pub(crate) struct Remove {
    /// SHA-256 of its certificate, or the file.
    authority: Fingerprint,
}

impl Change for Remove {
    fn action(self, reason: &str) -> Result<Action> {
        Ok(action(&A::removeCall { fingerprint: self.authority.0, reason: reason.to_owned() }))
    }
}

#[derive(Args, Debug)]
pub(crate) struct TrustAgain {
    /// SHA-256 of the certificate, or the file.
    certificate: Fingerprint,
}

impl Change for TrustAgain {
    fn action(self, reason: &str) -> Result<Action> {
        Ok(action(&A::trustCall { fingerprint: self.certificate.0, reason: reason.to_owned() }))
    }
}

#[derive(Args, Debug)]
pub(crate) struct Distrust {
    /// SHA-256 of the certificate, or the file.
    certificate: Fingerprint,
    /// Even though nodes would lose their sessions that show certificates of it now.
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    how: GovArgs,
}

impl Distrust {
    pub(super) async fn run(self) -> Result<()> {
        let Self { certificate: Fingerprint(fingerprint), force, how } = self;
        let nodes = if force { Vec::new() } else { depending(&how.send.node, fingerprint).await? };
        if !nodes.is_empty() {
            bail!(
                "{} would be cut off, whose certificates lead to it as far as is known: give other ones first \
                 (`lian ca reload`), or use --force",
                nodes.join(", ")
            );
        }
        make(&how, action(&A::distrustCall { fingerprint, reason: how.reason.clone() }), false).await
    }
}

/// The nodes whose certificates lead to an authority. Sessions go on when a node gets another certificate, so that whoever
/// seems to need it is asked itself, where its address is known.
async fn depending(node: &NodeArgs, fingerprint: B256) -> Result<Vec<String>> {
    let leads = |identity: &Identity| {
        identity.certificate.as_ref().and_then(|certificate| certificate.authority_fingerprint) == Some(fingerprint)
    };
    let status: Value = node.client()?.request("lian_status", vec![]).await?;
    let address = |name: &str| {
        let known = status["nodes"].as_array().into_iter().flatten().find(|other| other["name"] == name);
        known.and_then(|other| other["rpc"].as_str()).map(str::to_owned)
    };
    let mut found = Vec::new();
    for identity in node_identities(node).await?.into_iter().filter(leads) {
        let renewed = match address(&identity.name).filter(|_| !identity.own) {
            None => false,
            Some(rpc_url) => {
                let asked = node_identities(&NodeArgs { rpc_url, json: false }).await.unwrap_or_default();
                asked.iter().any(|other| other.own && other.key == identity.key && !leads(other))
            }
        };
        if !renewed {
            found.push(identity.name);
        }
    }
    Ok(found)
}

#[derive(Args, Debug)]
#[group(id = "what", required = true, multiple = false)]
pub(crate) struct What {
    /// Revoke this certificate, PEM or DER.
    #[arg(long)]
    certificate: Option<PathBuf>,
    /// Revoke the certificate with this serial number, hexadecimal; its issuer must be named, too.
    #[arg(long, requires = "issuer")]
    serial: Option<String>,
    /// Revoke a key and all certificates with it: a certificate's file, or SHA-256 of the SubjectPublicKeyInfo.
    #[arg(long)]
    key: Option<String>,
}

#[derive(Args, Debug)]
pub(crate) struct Revoke {
    #[command(flatten)]
    what: What,
    /// Who issued the certificate with that serial number: the issuer's certificate, or SHA-256 of its name, DER.
    #[arg(long)]
    issuer: Option<String>,
    #[command(flatten)]
    whom: ForWhom,
    #[command(flatten)]
    how: GovArgs,
}

impl Revoke {
    pub(super) async fn run(self) -> Result<()> {
        let Self { what, issuer, whom, how } = self;
        let revoked = what.read(issuer.as_deref())?;
        let action = revocation(vec![revoked], whom.institution.unwrap_or_default(), how.reason.clone())?;
        make(&how, action, true).await
    }
}

/// The call that revokes a list of one kind, of one issuer.
pub(super) fn revocation(list: Vec<Revoked>, institution: String, reason: String) -> Result<Action> {
    let (mut serials, mut keys, mut of) = (Vec::new(), Vec::new(), B256::ZERO);
    for revoked in list {
        match revoked {
            Revoked::Certificate { issuer, serial } => {
                of = issuer;
                serials.push(Bytes::from(serial));
            }
            Revoked::Key(key) => keys.push(key),
        }
    }
    match (serials.is_empty(), keys.is_empty()) {
        (false, true) => Ok(action(&A::revokeCertificatesCall { institution, issuer: of, serials, reason })),
        (true, false) => Ok(action(&A::revokeKeysCall { institution, keys, reason })),
        _ => bail!("one call revokes certificates or keys"),
    }
}

impl What {
    fn read(&self, issuer: Option<&str>) -> Result<Revoked> {
        let Self { certificate, serial, key } = self;
        if let Some(path) = certificate {
            return Ok(facts_of(path)?.by_serial());
        }
        if let Some(key) = key {
            return match key.parse() {
                Ok(hash) => Ok(Revoked::Key(hash)),
                Err(_) => Ok(facts_of(Path::new(key))?.by_key()),
            };
        }
        let (Some(serial), Some(issuer)) = (serial, issuer) else { bail!("--serial needs --issuer") };
        let issuer = match issuer.parse() {
            Ok(hash) => hash,
            Err(_) => facts_of(Path::new(issuer))?.subject_hash,
        };
        // As OpenSSL shows it, too: pairs with colons between them.
        let digits = serial.replace(':', "");
        let digits = digits.trim_start_matches("0x");
        let even = if digits.len() % 2 == 0 { digits.to_owned() } else { format!("0{digits}") };
        let bytes = hex::decode(even).map_err(|_| anyhow!("`{serial}` is no hexadecimal number"))?;
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        Ok(Revoked::Certificate { issuer, serial: bytes.into_iter().skip(zeros).collect() })
    }
}

fn facts_of(path: &Path) -> Result<CertificateFacts> {
    Ok(CertificateFacts::of(&read_certificate(path)?)?)
}

#[derive(Args, Debug)]
pub(crate) struct Unrevoke {
    /// The revocation, as `lian ca revocations` shows it.
    id: B256,
}

impl Change for Unrevoke {
    fn action(self, reason: &str) -> Result<Action> {
        Ok(action(&A::unrevokeCall { id: self.id, reason: reason.to_owned() }))
    }
}

#[derive(Args, Debug)]
pub(crate) struct SetAdministrator {
    /// The institution.
    institution: String,
    /// The account; without, nobody.
    #[arg(value_name = "ACCOUNT")]
    administrator: Option<Address>,
}

impl Change for SetAdministrator {
    fn action(self, _reason: &str) -> Result<Action> {
        let Self { institution, administrator } = self;
        Ok(action(&A::setAdministratorCall { institution, account: administrator.unwrap_or_default() }))
    }
}

#[derive(Args, Debug)]
pub(crate) struct SetContact {
    /// The institution.
    institution: String,
    /// A name, a telephone number, an address: at most 256 bytes; without, nobody.
    contact: Option<String>,
}

impl Change for SetContact {
    const MAY_BE_ONES_OWN: bool = true;

    fn action(self, _reason: &str) -> Result<Action> {
        let Self { institution, contact } = self;
        Ok(action(&A::setContactCall { institution, contact: contact.unwrap_or_default() }))
    }
}

/// SHA-256 of a certificate, typed or taken of a file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fingerprint(B256);

impl FromStr for Fingerprint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // As OpenSSL shows it, too: pairs with colons between them.
        if let Ok(fingerprint) = text.replace(':', "").parse() {
            return Ok(Self(fingerprint));
        }
        let facts =
            facts_of(Path::new(text)).map_err(|error| format!("it is no fingerprint, and as a file: {error}"))?;
        Ok(Self(facts.fingerprint))
    }
}
