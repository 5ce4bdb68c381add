//! `lian ca import-crl`.

use super::{
    changes::revocation,
    show::{all_revocations, known_authorities},
};
use crate::{
    output::say,
    verbs::gov::send::{GovArgs, make},
};
use anyhow::{Context, Result};
use clap::Args;
use lian_network::pki::{RevocationList, TrustSource};
use lian_system_contracts::authorities::revocation_id;
use lian_types::{Revoked, limits::REVOCATIONS_AT_ONCE_MAX};
use std::{collections::BTreeSet, path::PathBuf};

#[derive(Args, Debug)]
pub(crate) struct ImportCrl {
    /// The list that the authority publishes, PEM or DER.
    list: PathBuf,
    /// For the nodes of this institution only; otherwise for those that the authority vouches for.
    #[arg(long)]
    institution: Option<String>,
    #[command(flatten)]
    how: GovArgs,
}

impl ImportCrl {
    pub(super) async fn run(self) -> Result<()> {
        let Self { list: path, institution, how } = self;
        let list = RevocationList::read(&path)?;
        let node = &how.send.node;
        let authorities = known_authorities(node).await?;
        let signer = authorities.iter().filter(|authority| !authority.distrusted).find(|authority| {
            let read = TrustSource::from_pem(&[&authority.certificate]);
            read.is_ok_and(|read| read.authorities.iter().any(|one| list.is_signed_by(&one.certificate)))
        });
        let signer = signer.with_context(|| {
            format!("{}: no authority that the node believes has signed this list of `{}`", path.display(), list.issuer)
        })?;
        let institution = institution.or_else(|| signer.institution.clone());
        let known: BTreeSet<_> = all_revocations(node).await?.into_iter().map(|known| known.id).collect();
        let revoked = |serial: &Vec<u8>| Revoked::Certificate { issuer: list.issuer_hash, serial: serial.clone() };
        let is_new = |revoked: &Revoked| !known.contains(&revocation_id(institution.as_deref(), revoked));
        let new: Vec<_> = list.serials.iter().map(revoked).filter(is_new).collect();
        if !node.json {
            say(format!("{} of {} are new, by `{}`", new.len(), list.serials.len(), list.issuer))?;
        }
        for batch in new.chunks(usize::try_from(REVOCATIONS_AT_ONCE_MAX)?) {
            let scope = institution.clone().unwrap_or_default();
            let action = revocation(batch.to_vec(), scope, how.reason.clone())?;
            make(&how, action, true).await?;
        }
        Ok(())
    }
}
