//! What a node believes of certificates, as its chain says it, and that certificates are about to expire.

use super::NodeFolder;
use crate::{layout::AUTHORITIES_FILE, output::utc};
use anyhow::{Context, Result};
use lian_group::GroupHandle;
use lian_ledger::Ledger;
use lian_network::{
    NetworkHandle, OwnCertificate,
    pki::{CertificateFacts, Trust, TrustSource, TrustedAuthority},
};
use lian_system_contracts::authorities::{AuthorityRecord, AuthoritySet, RevocationRecord};
use lian_types::Genesis;
use std::{
    convert::Infallible,
    fs::{self, File},
    io::Write,
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// How long before the end of a certificate warnings begin: time to ask an authority, and for somebody to be on holiday.
const EARLY: Duration = Duration::from_secs(30 * 86_400);
/// How often it is warned.
const WARNING_PERIOD: Duration = Duration::from_secs(86_400);

/// Lets the network believe what the first group's chain says, from each block on that changes it.
pub(super) async fn follow(folder: &NodeFolder, groups: Vec<GroupHandle>, network: &NetworkHandle) -> Infallible {
    // The first group of the genesis file is the network's authority.
    let first = groups.into_iter().next().filter(|group| group.info().rules.system_contracts);
    let Some(group) = first else { return std::future::pending().await };
    let mut heads = group.heads();
    let mut known = AuthoritySet::default();
    loop {
        heads.mark_unchanged();
        match read_changed(group.ledger(), &mut known).await {
            Ok(true) => {
                if let Err(error) = believe(folder, network, &known) {
                    // What was believed before goes on: with nothing to believe, the node could not even catch up.
                    tracing::error!("the authorities on chain cannot be used, the former ones stay: {error:#}");
                }
            }
            Ok(false) => {}
            Err(error) => tracing::error!("the authorities on chain cannot be read: {error:#}"),
        }
        if heads.changed().await.is_err() {
            // The group ends, and the node with it.
            return std::future::pending().await;
        }
    }
}

/// Reads what the newest state says, where it is not what is known; true then. One slot is read where nothing has changed.
async fn read_changed(ledger: &Arc<Ledger>, known: &mut AuthoritySet) -> Result<bool> {
    let state = Arc::clone(&ledger.head().parent.state);
    if lian_executor::authorities_version(state.as_ref())? == known.version {
        return Ok(false);
    }
    // After an error everything is read again, with the next block.
    let before = std::mem::take(known);
    // There may be many, and threads of the runtime serve sockets meanwhile.
    let read = tokio::task::spawn_blocking(move || lian_executor::authorities(state.as_ref(), before)).await?;
    *known = read?;
    Ok(true)
}

/// Hands a chain's authorities and revocations to the network, and notes the roots for the node's next start.
fn believe(folder: &NodeFolder, network: &NetworkHandle, set: &AuthoritySet) -> Result<()> {
    let (trust, unusable) = Trust::new(source(&folder.genesis, set)?)?;
    for authority in unusable {
        tracing::warn!(fingerprint = %authority.fingerprint, "an authority on chain is ignored: {}", authority.reason);
    }
    network.set_trust(&trust)?;
    tracing::info!(
        version = set.version,
        authorities = trust.authorities().count(),
        distrusted = set.distrusted.len(),
        revocations = set.revocations.len(),
        "certificates are judged by the chain"
    );
    note_roots(&folder.config.storage.dir, &trust)
}

/// The authorities of genesis, which vouch for all, and what the chain says.
fn source(genesis: &Genesis, set: &AuthoritySet) -> Result<TrustSource> {
    let mut source = TrustSource::from_pem(&genesis.certificate_authorities)?;
    let authority = |record: &AuthorityRecord| {
        TrustedAuthority::new(record.certificate.clone(), record.institution.clone(), record.is_root)
    };
    source.authorities.extend(set.authorities.iter().map(authority));
    source.distrusted.clone_from(&set.distrusted);
    let revoked = |record: &RevocationRecord| (record.institution.clone(), record.revoked.clone());
    source.revoked = set.revocations.iter().map(revoked).collect();
    Ok(source)
}

/// Writes the roots to the node's data folder, whole or not at all.
fn note_roots(data: &Path, trust: &Trust) -> Result<()> {
    let path = data.join(AUTHORITIES_FILE);
    let new = path.with_extension("new");
    let write = || -> std::io::Result<()> {
        let mut file = File::create(&new)?;
        file.write_all(trust.roots_pem().as_bytes())?;
        file.sync_all()?;
        fs::rename(&new, &path)?;
        File::open(data)?.sync_all()
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}

/// Warns every day of certificates that are about to expire: this node's own, and authorities'.
pub(super) async fn warn_early(network: &NetworkHandle) -> Infallible {
    let mut days = tokio::time::interval(WARNING_PERIOD);
    loop {
        days.tick().await;
        let now = SystemTime::now();
        if let Some(OwnCertificate { expires, .. }) = network.own_certificate().filter(|own| is_near(own.expires, now))
        {
            let until = utc(seconds(expires));
            tracing::warn!(
                "this node's certificate, or one above it, expires at {until}: put another one into its folder and run `lian ca reload`"
            );
        }
        for CertificateFacts { subject, fingerprint, ends, .. } in network.trust().authorities() {
            if is_near(*ends, now) {
                let until = utc(seconds(*ends));
                tracing::warn!(%fingerprint, "the authority `{subject}` expires at {until}: add its successor and renew what it has issued");
            }
        }
    }
}

fn is_near(ends: SystemTime, now: SystemTime) -> bool {
    now.checked_add(EARLY).is_some_and(|early| ends <= early)
}

fn seconds(moment: SystemTime) -> u64 {
    moment.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_thirty_days_are_near() {
        let now = UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let day = Duration::from_secs(86_400);
        let cases =
            [(now - day, true), (now, true), (now + day * 30, true), (now + day * 30 + Duration::from_secs(1), false)];
        for (ends, near) in cases {
            assert_eq!(is_near(ends, now), near, "{ends:?}");
        }
    }
}
