//! `lian ca issue`.

use crate::output::print;
use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use lian_client::Table;
use lian_network::pki::{Authority, CertificateFacts, KeyAlgorithm, Validity, read_certificate};
use std::path::{Path, PathBuf};

/// What a certificate is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// An authority of its own.
    Root,
    /// An authority that issues nodes' certificates, by a root.
    Intermediate,
    /// A node, by an authority.
    Node,
}

/// The kind of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum KeyType {
    /// ECDSA on P-256.
    P256,
    /// ECDSA on P-384.
    P384,
    /// Ed25519.
    Ed25519,
}

#[derive(Args, Debug)]
pub(crate) struct Issue {
    /// What the certificate is for.
    kind: Kind,
    /// Whose it is: a node's name as the chain has it, or an authority's.
    name: String,
    /// Where to write it: PREFIX.pem, and its key to PREFIX.key. Neither may exist.
    #[arg(long, value_name = "PREFIX")]
    out: PathBuf,
    /// The authority that issues it: PREFIX.pem and PREFIX.key. None for a root.
    #[arg(long, value_name = "PREFIX", required_if_eq_any([("kind", "intermediate"), ("kind", "node")]))]
    by: Option<PathBuf>,
    /// A node's further names or addresses.
    #[arg(long)]
    host: Vec<String>,
    /// The kind of the key. For RSA, and for production, use the tools of an authority.
    #[arg(long, value_enum, default_value_t = KeyType::P256)]
    key_type: KeyType,
    /// For how many years; no longer than the authority's own. Without: 20 for a root, 10 for an intermediate one, 2 for a node.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=100))]
    years: Option<u32>,
}

impl Issue {
    pub(super) fn run(self) -> Result<()> {
        let Self { kind, name, out, by, host, key_type, years } = self;
        let algorithm = match key_type {
            KeyType::P256 => KeyAlgorithm::EcdsaP256,
            KeyType::P384 => KeyAlgorithm::EcdsaP384,
            KeyType::Ed25519 => KeyAlgorithm::Ed25519,
        };
        let validity = |usual: Validity| years.map_or(usual, Validity::years);
        let (certificate, key) = (with_ending(&out, "pem"), with_ending(&out, "key"));
        let issuer = by.map(|prefix| {
            Authority::load(&with_ending(&prefix, "pem"), &with_ending(&prefix, "key"))
                .with_context(|| format!("{} is no authority", prefix.display()))
        });
        match (kind, issuer.transpose()?) {
            (Kind::Root, None) => {
                Authority::create(&name, algorithm, validity(Validity::authority()))?.save(&certificate, &key)?;
            }
            (Kind::Root, Some(_)) => bail!("a root issues itself: leave --by out"),
            (Kind::Intermediate, Some(issuer)) => {
                let made = issuer.issue_institution(&name, algorithm, validity(Validity::institution()))?;
                made.save(&certificate, &key)?;
            }
            (Kind::Node, Some(issuer)) => {
                let made = issuer.issue_node(&name, &host, algorithm, validity(Validity::node()))?;
                made.save(&certificate, &key)?;
            }
            (Kind::Intermediate | Kind::Node, None) => bail!("--by names the authority that issues it"),
        }
        show(&certificate, &key)
    }
}

/// A path with an ending after all that it has.
fn with_ending(prefix: &Path, ending: &str) -> PathBuf {
    let mut path = prefix.as_os_str().to_owned();
    path.push(".");
    path.push(ending);
    path.into()
}

fn show(certificate: &Path, key: &Path) -> Result<()> {
    let facts = CertificateFacts::of(&read_certificate(certificate)?)?;
    let mut table = Table::new();
    table.line("certificate", certificate.display()).line("key", key.display());
    table.line("subject", &facts.subject).line("issuer", &facts.issuer).line("key type", &facts.key_type);
    table.line("serial number", facts.serial_text()).line("fingerprint", facts.fingerprint);
    print(table)?;
    Ok(())
}
