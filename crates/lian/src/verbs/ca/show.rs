//! Authorities, revocations and identities, as a node knows them.

use crate::{
    output::{print, say, utc},
    verbs::{NodeArgs, gov::show::view_if_any, status::columns},
};
use alloy_primitives::{Address, B256, U256, hex};
use anyhow::{Context, Result};
use clap::Args;
use lian_group::{Identity, KnownAuthority};
use lian_network::pki::Trust;
use lian_system_contracts::{
    authorities::ADDRESS,
    interfaces::{IAuthorities as A, IMembers},
    members,
};
use serde::Serialize;
use serde_json::json;
use std::{fs::File, io::Write, path::PathBuf};

/// The authorities that a node knows.
pub(super) async fn known_authorities(node: &NodeArgs) -> Result<Vec<KnownAuthority>> {
    Ok(node.client()?.request("lian_authorities", vec![]).await?)
}

/// Who the nodes are.
pub(super) async fn node_identities(node: &NodeArgs) -> Result<Vec<Identity>> {
    Ok(node.client()?.request("lian_identities", vec![]).await?)
}

/// All that is revoked on chain; nothing where there is no contract.
pub(super) async fn all_revocations(node: &NodeArgs) -> Result<Vec<A::Revocation>> {
    let mut found = Vec::new();
    loop {
        let page = A::revocationsCall { from: U256::from(found.len()), limit: U256::MAX };
        let page = view_if_any(node, ADDRESS, &page).await?.unwrap_or_default();
        if page.is_empty() {
            return Ok(found);
        }
        found.extend(page);
    }
}

pub(super) async fn list(node: &NodeArgs) -> Result<()> {
    let known = known_authorities(node).await?;
    if node.json {
        say(serde_json::to_string(&known)?)?;
        return Ok(());
    }
    let mut rows =
        vec![["institution", "subject", "kind", "key", "until", "state", "fingerprint"].map(str::to_owned).to_vec()];
    for authority in &known {
        rows.push(vec![
            authority.institution.clone().unwrap_or_else(|| "every".to_owned()),
            authority.subject.clone(),
            if authority.root { "root" } else { "intermediate" }.to_owned(),
            authority.key_type.clone(),
            utc(authority.valid_until),
            if authority.distrusted { "distrusted" } else { "believed" }.to_owned(),
            authority.fingerprint.to_string(),
        ]);
    }
    print(columns(&rows))?;
    let distrusted: Vec<B256> = view_if_any(node, ADDRESS, &A::distrustedCall {}).await?.unwrap_or_default();
    let others = distrusted.iter().filter(|one| known.iter().all(|authority| authority.fingerprint != **one));
    others.into_iter().try_for_each(|one| say(format!("distrusted as well: {one}")))?;
    Ok(())
}

pub(super) async fn revocations(node: &NodeArgs) -> Result<()> {
    let found = all_revocations(node).await?;
    if node.json {
        let shown = |one: &A::Revocation| {
            json!({
                "id": one.id, "institution": one.institution, "issuer": one.issuer, "serial": one.serial,
                "key": one.key, "time": one.time,
            })
        };
        say(json!(found.iter().map(shown).collect::<Vec<_>>()))?;
        return Ok(());
    }
    let mut rows = vec![["institution", "what", "since", "of issuer or key", "id"].map(str::to_owned).to_vec()];
    for A::Revocation { id, institution, issuer, serial, key, time } in found {
        let (what, hash) = if serial.is_empty() { ("key".to_owned(), key) } else { (hex::encode(&serial), issuer) };
        let institution = if institution.is_empty() { "every".to_owned() } else { institution };
        rows.push(vec![institution, what, utc(time), hash.to_string(), id.to_string()]);
    }
    print(columns(&rows))?;
    Ok(())
}

pub(super) async fn identities(node: &NodeArgs) -> Result<()> {
    let found = node_identities(node).await?;
    let reached = reached(node).await?;
    if node.json {
        say(json!({"nodes": serde_json::to_value(&found)?, "institutions": reached}))?;
        return Ok(());
    }
    let header = ["node", "institution", "role", "subject", "issuer", "authority", "key", "until"];
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    for identity in &found {
        let mut row = vec![identity.name.clone(), identity.institution.clone(), identity.role.clone()];
        match &identity.certificate {
            None => row.push("- (no session)".to_owned()),
            Some(certificate) => row.extend([
                certificate.subject.clone(),
                certificate.issuer.clone(),
                certificate.authority.clone().unwrap_or_else(|| "-".to_owned()),
                certificate.key_type.clone(),
                utc(certificate.valid_until),
            ]),
        }
        rows.push(row);
    }
    print(columns(&rows))?;
    for identity in &found {
        if let Some(reason) = &identity.refused {
            say(crate::output::printable(&format!("{}: peers refuse its certificate: {reason}", identity.name)))?;
        }
    }
    for Reached { institution, administrator, contact } in &reached {
        if let Some(account) = administrator {
            say(format!("administrator of {institution}: {account}"))?;
        }
        if !contact.is_empty() {
            say(crate::output::printable(&format!("contact of {institution}: {contact}")))?;
        }
    }
    Ok(())
}

/// Who answers for an institution.
#[derive(Serialize)]
struct Reached {
    institution: String,
    /// The account that may revoke for its nodes.
    administrator: Option<Address>,
    /// Whom others reach there, and how; empty where nothing is said.
    contact: String,
}

/// Who answers for each institution of the chain.
async fn reached(node: &NodeArgs) -> Result<Vec<Reached>> {
    let institutions = view_if_any(node, members::ADDRESS, &IMembers::institutionsCall {}).await?.unwrap_or_default();
    let mut found = Vec::new();
    for institution in institutions {
        let call = A::administratorCall { institution: institution.clone() };
        let administrator = view_if_any(node, ADDRESS, &call).await?.filter(|account| !account.is_zero());
        let contact = A::contactCall { institution: institution.clone() };
        let contact = view_if_any(node, ADDRESS, &contact).await?.unwrap_or_default();
        found.push(Reached { institution, administrator, contact });
    }
    Ok(found)
}

#[derive(Args, Debug)]
pub(crate) struct Export {
    /// The file to make: `authorities.pem` in the data folder of the node that shall begin with it.
    #[arg(long)]
    out: PathBuf,
    #[command(flatten)]
    node: NodeArgs,
}

impl Export {
    pub(super) async fn run(self) -> Result<()> {
        let known = known_authorities(&self.node).await?;
        let roots: Vec<_> = known.iter().filter(|authority| authority.root && !authority.distrusted).collect();
        let text: String =
            roots.iter().map(|authority| format!("{}\n{}", authority.subject, authority.certificate)).collect();
        // What the node would not read is not written.
        Trust::from_pem(&[&text])?;
        let create = || -> std::io::Result<()> {
            let mut file = File::create_new(&self.out)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()
        };
        create().with_context(|| format!("cannot write {}", self.out.display()))?;
        say(format!("{} roots are in {}", roots.len(), self.out.display()))?;
        Ok(())
    }
}
