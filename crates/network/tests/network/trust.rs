//! By which authorities certificates are believed, and what is revoked.

use crate::fixture::{Certificates, Node, name, peer, secret};
use bytes::Bytes;
use lian_network::{
    Class, DisconnectReason, NetworkEvent, PeerConfig,
    pki::{
        Anchor, Authority, CertificateFacts, Distrust, KeyAlgorithm, TlsIdentity, Trust, TrustSource, TrustedAuthority,
        Unusable, Validity, pem, sha256,
    },
};
use lian_types::{GroupId, Revoked};
use rustls_pki_types::{CertificateDer, UnixTime, pem::PemObject};
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    time::{Duration, SystemTime},
};

const ALGORITHMS: [KeyAlgorithm; 3] = [KeyAlgorithm::EcdsaP256, KeyAlgorithm::EcdsaP384, KeyAlgorithm::Ed25519];

fn der(pem: &str) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<_, _>>().unwrap()
}

fn first(pem: &str) -> CertificateDer<'static> {
    der(pem).remove(0)
}

fn facts(certificate: &CertificateDer<'_>) -> CertificateFacts {
    CertificateFacts::of(certificate).unwrap()
}

fn root(name: &str, algorithm: KeyAlgorithm) -> Authority {
    Authority::create(name, algorithm, Validity::authority()).unwrap()
}

/// A root with the RSA key of the folder, which no library here makes.
fn rsa_root() -> Authority {
    let key_pem = include_str!("rsa_2048_for_tests_only.pem");
    let key = rcgen::KeyPair::from_pem(key_pem).unwrap();
    let mut params = rcgen::CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(rcgen::DnType::CommonName, "RSA root");
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let certificate = params.self_signed(&key).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let [crt, key] = ["ca.crt", "ca.key"].map(|name| folder.path().join(name));
    fs::write(&crt, certificate.pem()).unwrap();
    fs::write(&key, key_pem).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    Authority::load(&crt, &key).unwrap()
}

fn intermediate(root: &Authority, name: &str) -> Authority {
    root.issue_institution(name, KeyAlgorithm::EcdsaP384, Validity::institution()).unwrap()
}

fn node_chain(institution: &Authority, algorithm: KeyAlgorithm) -> Vec<CertificateDer<'static>> {
    der(&institution.issue_node("node0", &[], algorithm, Validity::node()).unwrap().chain_pem)
}

fn authority(authority: &Authority, institution: Option<&str>, is_root: bool) -> TrustedAuthority {
    let certificate = first(&authority.certificate_pem());
    TrustedAuthority { certificate, institution: institution.map(str::to_owned), is_root }
}

fn source(authorities: Vec<TrustedAuthority>) -> TrustSource {
    TrustSource { authorities, ..TrustSource::default() }
}

fn trust(source: TrustSource) -> Trust {
    let (trust, unusable) = Trust::new(source).unwrap();
    assert_eq!(unusable, []);
    trust
}

fn judge(
    source: TrustSource,
    chain: &[CertificateDer<'static>],
    institution: Option<&str>,
) -> Result<Anchor, Distrust> {
    trust(source).judge(chain, institution, UnixTime::now())
}

#[test]
fn authorities_of_every_kind_vouch_for_their_own_nodes() {
    let mut roots = vec![rsa_root()];
    roots.extend(ALGORITHMS.map(|algorithm| root(&format!("Root {algorithm:?}"), algorithm)));
    let kinds: Vec<_> = roots.iter().map(|root| facts(&first(&root.certificate_pem())).key_type).collect();
    assert_eq!(kinds, ["RSA 2048", "ECDSA P-256", "ECDSA P-384", "Ed25519"]);
    let banks: Vec<_> = (0..roots.len()).map(|number| format!("bank{number}")).collect();
    let all = || source(roots.iter().zip(&banks).map(|(root, bank)| authority(root, Some(bank), true)).collect());
    for (number, root) in roots.iter().enumerate() {
        for algorithm in ALGORITHMS {
            let institution = root.issue_institution("any", algorithm, Validity::institution()).unwrap();
            let chain = node_chain(&institution, algorithm);
            let found = judge(all(), &chain, Some(&banks[number])).unwrap();
            assert_eq!(found.fingerprint, sha256(&first(&root.certificate_pem())));
            let other = &banks[(number + 1) % banks.len()];
            for institution in [Some(other.as_str()), None] {
                let refused = judge(all(), &chain, institution).unwrap_err();
                assert!(
                    matches!(&refused, Distrust::OtherInstitution { vouches_for, .. } if *vouches_for == banks[number]),
                    "{refused}"
                );
            }
        }
    }
}

#[test]
fn an_institution_may_have_several_authorities() {
    let (one, two) = (root("One", KeyAlgorithm::EcdsaP256), root("Two", KeyAlgorithm::Ed25519));
    let both = || source(vec![authority(&one, Some("bank"), true), authority(&two, None, true)]);
    for root in [&one, &two] {
        let chain = node_chain(&intermediate(root, "bank"), KeyAlgorithm::EcdsaP256);
        judge(both(), &chain, Some("bank")).unwrap();
    }
    let chain = node_chain(&intermediate(&two, "bank"), KeyAlgorithm::EcdsaP256);
    judge(both(), &chain, None).unwrap();
    judge(both(), &chain, Some("other")).unwrap();
    // An authority of genesis vouches for all, whatever the chain says besides.
    let again = source(vec![authority(&one, Some("bank"), true), authority(&one, None, true)]);
    judge(again, &node_chain(&intermediate(&one, "x"), KeyAlgorithm::EcdsaP256), Some("other")).unwrap();
}

/// What is revoked or distrusted stands in no chain, wherever in it.
#[test]
fn nothing_revoked_is_believed() {
    let consortium = root("Consortium", KeyAlgorithm::EcdsaP256);
    let bank = intermediate(&consortium, "bank");
    let chain = node_chain(&bank, KeyAlgorithm::Ed25519);
    let all = || source(vec![authority(&consortium, None, true)]);
    judge(all(), &chain, Some("bank")).unwrap();
    let with_root = [chain.clone(), vec![first(&consortium.certificate_pem())]].concat();
    for certificate in &with_root {
        let facts = facts(certificate);
        let revoked = |scope: Option<&str>, what: Revoked| {
            let revoked = vec![(scope.map(str::to_owned), what)];
            judge(TrustSource { revoked, ..all() }, &chain, Some("bank"))
        };
        for scope in [None, Some("bank")] {
            let refused = revoked(scope, facts.by_serial()).unwrap_err();
            let (subject, serial) = (facts.subject.clone(), facts.serial_text());
            assert_eq!(refused, Distrust::Revoked { subject, serial });
            let refused = revoked(scope, facts.by_key()).unwrap_err();
            let (subject, key) = (facts.subject.clone(), facts.key_hash);
            assert_eq!(refused, Distrust::KeyRevoked { subject, key });
        }
        // Another institution's administrator has no say here.
        revoked(Some("other"), facts.by_serial()).unwrap();
        revoked(Some("other"), facts.by_key()).unwrap();
    }
    for certificate in &chain {
        let distrusted = vec![sha256(certificate)];
        let refused = judge(TrustSource { distrusted, ..all() }, &chain, Some("bank")).unwrap_err();
        assert!(matches!(refused, Distrust::Distrusted { fingerprint, .. } if fingerprint == sha256(certificate)));
    }
    // The same serial number of another issuer is another certificate.
    let Revoked::Certificate { serial, .. } = facts(&chain[0]).by_serial() else { panic!() };
    let revoked = vec![(None, Revoked::Certificate { issuer: sha256(b"somebody else"), serial })];
    judge(TrustSource { revoked, ..all() }, &chain, Some("bank")).unwrap();
}

#[test]
fn a_distrusted_root_is_named() {
    let (old, new) = (root("Old", KeyAlgorithm::EcdsaP256), root("New", KeyAlgorithm::EcdsaP256));
    let both = vec![authority(&old, None, true), authority(&new, None, true)];
    let distrusted = vec![sha256(&both[0].certificate)];
    let without_old = TrustSource { distrusted, ..source(both) };
    let chain = node_chain(&intermediate(&old, "bank"), KeyAlgorithm::EcdsaP256);
    let refused = judge(without_old.clone(), &chain, Some("bank")).unwrap_err();
    assert!(matches!(&refused, Distrust::Distrusted { subject, .. } if subject.contains("Old")), "{refused}");
    let chain = node_chain(&intermediate(&new, "bank"), KeyAlgorithm::EcdsaP256);
    judge(without_old.clone(), &chain, Some("bank")).unwrap();
    assert!(!trust(without_old).roots_pem().contains("Old"));
}

/// Intermediate authorities that the network knows complete what a node sends, for their own institution only.
#[test]
fn known_intermediates_complete_chains() {
    let consortium = root("Consortium", KeyAlgorithm::EcdsaP256);
    let bank = intermediate(&consortium, "bank");
    let all = || source(vec![authority(&consortium, None, true), authority(&bank, Some("bank"), false)]);
    let chain = node_chain(&bank, KeyAlgorithm::EcdsaP256);
    let short = &chain[..1];
    assert_eq!(judge(all(), short, Some("bank")).unwrap().subject, "CN=Consortium, O=Consortium");
    for chain in [short, &chain] {
        let refused = judge(all(), chain, Some("other")).unwrap_err();
        assert!(matches!(refused, Distrust::OtherInstitution { .. }), "{refused}");
    }
    let refused = judge(source(vec![authority(&consortium, None, true)]), short, Some("bank")).unwrap_err();
    assert!(matches!(refused, Distrust::NoPath { .. }), "{refused}");
    let revoked = vec![(None, facts(&chain[1]).by_key())];
    let refused = judge(TrustSource { revoked, ..all() }, short, Some("bank")).unwrap_err();
    assert!(matches!(refused, Distrust::KeyRevoked { .. }), "{refused}");
    // Chains do not end at one.
    assert!(Trust::new(source(vec![authority(&bank, None, false)])).is_err());
}

#[test]
fn what_cannot_be_used_is_said_and_passed_over() {
    let good = root("Good", KeyAlgorithm::EcdsaP256);
    let leaf = node_chain(&good, KeyAlgorithm::EcdsaP256).remove(0);
    let bad = |certificate: CertificateDer<'static>| TrustedAuthority { certificate, institution: None, is_root: true };
    let garbage = CertificateDer::from(vec![0x30, 3, 1, 2, 3]);
    let twice = CertificateDer::from([first(&good.certificate_pem()).as_ref(), b"x"].concat());
    let list = [&garbage, &leaf, &twice].map(|one| bad(one.clone()));
    let (trust, unusable) = Trust::new(source([&list[..], &[authority(&good, None, true)]].concat())).unwrap();
    let fingerprints: Vec<_> = unusable.iter().map(|Unusable { fingerprint, .. }| *fingerprint).collect();
    assert_eq!(fingerprints, [&garbage, &leaf, &twice].map(|one| sha256(one)));
    assert_eq!(trust.authorities().count(), 1);
    let chain = [leaf];
    trust.judge(&chain, None, UnixTime::now()).unwrap();
    for chain in [&[][..], &[garbage]] {
        assert!(matches!(trust.judge(chain, None, UnixTime::now()), Err(Distrust::Unreadable { .. })));
    }
    let late = UnixTime::since_unix_epoch(Duration::from_secs(5_000_000_000));
    let refused = trust.judge(&chain, None, late).unwrap_err();
    assert!(refused.to_string().contains("expired"), "{refused}");
    assert_eq!(trust.expires(), Some(facts(&first(&good.certificate_pem())).ends));
    assert_eq!(pem(&first(&trust.roots_pem())), good.certificate_pem());
}

/// A node of the bank whose peers are the given ones.
async fn start(certificates: &Certificates, index: u8) -> Node {
    let mut config = certificates.config(index);
    config.limits.backoff_min = Duration::from_millis(1);
    config.limits.backoff_max = Duration::from_millis(20);
    Node::start(config, index).await
}

fn in_bank(peer: PeerConfig) -> PeerConfig {
    PeerConfig { institution: Some("bank".to_owned()), ..peer }
}

/// All nodes know each other; of two, the earlier one dials.
async fn connect(nodes: &mut [Node]) {
    for node in 0..nodes.len() {
        let peers = nodes.iter().map(|other| {
            in_bank(if other.index > nodes[node].index { other.as_peer() } else { other.as_silent_peer() })
        });
        let peers = peers.collect();
        nodes[node].handle.set_peers(peers).unwrap();
    }
    for node in nodes.iter_mut() {
        for _ in 0..2 {
            node.until_connected().await;
        }
    }
}

async fn expect_message(from: &Node, to: &mut Node) {
    let outcome = from.handle.send(to.key(), GroupId(0), Class::Consensus, Bytes::from_static(b"hello"));
    assert!(outcome.is_queued(), "{outcome:?}");
    to.until(|event| matches!(event, NetworkEvent::Message { .. })).await;
}

fn serial_of(node: &Node, peer: &Node) -> Option<Vec<u8>> {
    let status = node.handle.peers().into_iter().find(|status| status.key == peer.key()).unwrap();
    status.certificate.map(|certificate| certificate.facts.serial)
}

/// A revoked node loses its sessions at once and has none again before it shows another certificate; the others go on.
#[tokio::test]
async fn a_revoked_node_is_out_until_it_has_another_certificate() {
    let certificates = Certificates::new();
    let mut nodes = Vec::new();
    for index in 0..3 {
        nodes.push(start(&certificates, index).await);
    }
    connect(&mut nodes).await;
    let root = || vec![authority(&certificates.authority, Some("bank"), true)];
    let own = nodes[1].handle.own_certificate().unwrap();
    assert!(own.verdict.is_ok());
    let old = own.facts.unwrap();
    assert_eq!(serial_of(&nodes[0], &nodes[1]), Some(old.serial.clone()));
    let revoked = vec![(Some("bank".to_owned()), old.by_serial())];
    let trust = trust(TrustSource { revoked, ..source(root()) });
    for node in &nodes {
        node.handle.set_trust(&trust).unwrap();
        let with_one = node.handle.peers().into_iter().find(|peer| peer.key == secret(1).public());
        assert!(with_one.is_none_or(|peer| peer.connected_since.is_none()), "before the call returns");
    }
    for node in [0, 2] {
        let reason = nodes[node].until_disconnected().await;
        assert!(matches!(reason, DisconnectReason::Untrusted(Distrust::Revoked { .. })), "{reason}");
    }
    let own = nodes[1].handle.own_certificate().unwrap();
    assert!(matches!(own.verdict, Err(Distrust::Revoked { .. })), "it knows why");

    // Whatever it shows, what is said of it for the others is not changed by its trying.
    let [zero, one, two] = &mut nodes[..] else { panic!() };
    expect_message(zero, two).await;
    expect_message(two, zero).await;
    let new = certificates.identity(&name(1));
    one.handle.judge_own(&new).unwrap();
    one.handle.set_identity(&new).unwrap();
    for node in [&mut *zero, two] {
        node.until_connected().await;
        assert_eq!(serial_of(node, one), Some(new.facts().unwrap().serial), "nothing before the new one");
    }
    expect_message(one, zero).await;
}

/// An authority vouches for its own institution's nodes only, also where TLS alone would be content.
#[tokio::test]
async fn another_institutions_authority_does_not_help() {
    let (own, other) = (Certificates::new(), Certificates::new());
    let authorities =
        vec![authority(&own.authority, Some("bank"), true), authority(&other.authority, Some("other"), true)];
    let trust = trust(source(authorities));
    let (mut left, right) = (start(&own, 0).await, start(&other, 1).await);
    for node in [&left, &right] {
        node.handle.set_trust(&trust).unwrap();
    }
    left.handle.set_peers(vec![in_bank(right.as_silent_peer())]).unwrap();
    right.handle.set_peers(vec![in_bank(left.as_peer()), in_bank(right.as_peer())]).unwrap();
    let verdict = right.handle.own_certificate().unwrap().verdict;
    assert!(matches!(verdict, Err(Distrust::OtherInstitution { .. })), "{verdict:?}");
    // Once the chain names the institution that it belongs to, the same certificate is enough.
    let of_other = PeerConfig { institution: Some("other".to_owned()), ..right.as_silent_peer() };
    left.handle.set_peers(vec![of_other.clone()]).unwrap();
    left.until_connected().await;
    left.handle.set_peers(vec![PeerConfig { institution: Some("bank".to_owned()), ..of_other }]).unwrap();
    let reason = left.until_disconnected().await;
    assert!(matches!(reason, DisconnectReason::Untrusted(Distrust::OtherInstitution { .. })), "{reason}");
}

/// A root is replaced by adding the new one, new certificates, and distrusting the old one; sessions that began with new
/// certificates go on.
#[tokio::test]
async fn a_root_is_replaced_while_running() {
    let (old, new) = (Certificates::new(), Certificates::new());
    let mut nodes = vec![start(&old, 0).await, start(&old, 1).await];
    let peers = [in_bank(nodes[1].as_peer()), in_bank(nodes[0].as_silent_peer())];
    for (node, peer) in nodes.iter().zip(peers) {
        node.handle.set_peers(vec![peer]).unwrap();
    }
    let both = || vec![authority(&old.authority, None, true), authority(&new.authority, None, true)];
    for node in &mut nodes {
        node.until_connected().await;
        node.handle.set_trust(&trust(source(both()))).unwrap();
    }
    for node in &nodes {
        node.handle.set_identity(&new.identity(&name(node.index))).unwrap();
    }
    let [zero, one] = &mut nodes[..] else { panic!() };
    expect_message(zero, one).await;
    let distrusted = vec![sha256(&both()[0].certificate)];
    let last = trust(TrustSource { distrusted, ..source(both()) });
    for node in [&mut *zero, one] {
        node.handle.set_trust(&last).unwrap();
    }
    for node in [&mut *zero, one] {
        node.until_disconnected().await;
        node.until_connected().await;
        assert_eq!(node.handle.peers()[0].certificate.as_ref().unwrap().authority.fingerprint, {
            sha256(&first(&new.authority.certificate_pem()))
        });
    }
    expect_message(one, zero).await;
    // The same again changes nothing: nobody is disconnected.
    for node in [&mut *zero, one] {
        node.handle.set_trust(&last).unwrap();
    }
    expect_message(zero, one).await;
}

/// A node that sends its own certificate alone is believed where the network knows the authority in between.
#[tokio::test]
async fn a_node_may_leave_out_what_the_network_knows() {
    let certificates = Certificates::new();
    let issued = certificates.institution.issue_node("node1", &[], KeyAlgorithm::Ed25519, Validity::node()).unwrap();
    let identity = TlsIdentity::from_pem(&pem(&first(&issued.chain_pem)), &issued.key_pem).unwrap();
    let between = authority(&certificates.institution, Some("bank"), false);
    let trust = trust(source(vec![authority(&certificates.authority, None, true), between]));
    let config = |index| lian_network::NetworkConfig { trust: trust.clone(), ..certificates.config(index) };
    let one = lian_network::NetworkConfig { identity, ..config(1) };
    let (mut left, right) = (Node::start(config(0), 0).await, Node::start(one, 1).await);
    left.handle.set_peers(vec![in_bank(peer(1, right.handle.local_address()))]).unwrap();
    right.handle.set_peers(vec![in_bank(left.as_silent_peer())]).unwrap();
    left.until_connected().await;
    assert!(left.handle.peers()[0].certificate.as_ref().unwrap().expires > SystemTime::now());
}
