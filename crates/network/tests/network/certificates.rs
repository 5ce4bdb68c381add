//! Certificates in files.

use crate::fixture::Certificates;
use lian_network::pki::{Authority, KeyAlgorithm, PkiError, TlsIdentity, Trust, Validity};
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    time::{Duration, SystemTime},
};

#[test]
fn a_hierarchy_round_trips_through_files() {
    for algorithm in [KeyAlgorithm::EcdsaP256, KeyAlgorithm::Ed25519] {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let authority = Authority::create("Consortium", algorithm, Validity::authority()).unwrap();
        authority.save(&path("ca.crt"), &path("ca.key")).unwrap();
        let authority = Authority::load(&path("ca.crt"), &path("ca.key")).unwrap();
        let bank = authority.issue_institution("Bank of Testing", algorithm, Validity::institution()).unwrap();
        bank.save(&path("bank.crt"), &path("bank.key")).unwrap();
        let bank = Authority::load(&path("bank.crt"), &path("bank.key")).unwrap();
        let hosts = ["10.0.0.1".to_owned(), "node0.bank.example".to_owned()];
        let node = bank.issue_node("node0", &hosts, algorithm, Validity::node()).unwrap();
        node.save(&path("node.crt"), &path("node.key")).unwrap();
        for key in ["ca.key", "bank.key", "node.key"] {
            assert_eq!(fs::metadata(path(key)).unwrap().permissions().mode() & 0o777, 0o600);
        }
        let identity = TlsIdentity::load(&path("node.crt"), &path("node.key")).unwrap();
        assert_eq!(identity.names(), ["node0", "node0.bank.example"]);
        let accepted = Trust::from_pem(&[fs::read_to_string(path("ca.crt")).unwrap()]).unwrap();
        identity.check("node0", &accepted).unwrap();
        let error = identity.check("node1", &accepted).unwrap_err();
        assert!(matches!(error, PkiError::WrongName { .. }), "{error}");
        let before = fs::read_to_string(path("node.key")).unwrap();
        assert!(matches!(node.save(&path("new.crt"), &path("node.key")), Err(PkiError::Exists { .. })));
        assert!(!path("new.crt").exists(), "neither is written");
        assert_eq!(fs::read_to_string(path("node.key")).unwrap(), before);
    }
}

#[test]
fn unusable_files_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let certificates = Certificates::new();
    let new = || certificates.institution.issue_node("node0", &[], KeyAlgorithm::default(), Validity::node()).unwrap();
    new().save(&path("a.crt"), &path("a.key")).unwrap();
    new().save(&path("b.crt"), &path("b.key")).unwrap();
    let load = |certificate: &str, key: &str| TlsIdentity::load(&path(certificate), &path(key)).unwrap_err();
    assert!(matches!(load("a.crt", "b.key"), PkiError::KeyMismatch { .. }));
    assert!(matches!(load("a.crt", "none.key"), PkiError::Io { .. }));
    assert!(matches!(load("a.key", "a.key"), PkiError::Pem { .. }));
    assert!(matches!(Authority::load(&path("a.crt"), &path("a.key")), Err(PkiError::Pem { .. })));
    fs::set_permissions(path("a.key"), fs::Permissions::from_mode(0o644)).unwrap();
    let error = load("a.crt", "a.key");
    assert!(matches!(error, PkiError::Mode { mode: 0o644, .. }));
    assert!(error.to_string().contains("chmod 600"), "{error}");
    fs::write(path("a.crt"), "garbage").unwrap();
    fs::set_permissions(path("a.key"), fs::Permissions::from_mode(0o600)).unwrap();
    assert!(matches!(load("a.crt", "a.key"), PkiError::Pem { .. }));
}

#[test]
fn chains_that_peers_would_refuse_are_found_before() {
    let (certificates, others) = (Certificates::new(), Certificates::new());
    let error = certificates.identity("node0").check("node0", &others.trust()).unwrap_err();
    assert!(matches!(error, PkiError::NotAccepted { .. }), "{error}");
    let now = SystemTime::now();
    let past = Validity { from: now - Duration::from_secs(90), until: now - Duration::from_secs(60) };
    let error = certificates.identity_valid("node0", past).check("node0", &certificates.trust()).unwrap_err();
    assert!(matches!(error, PkiError::Expired { seconds_ago: 59..300, .. }), "{error}");
    let future = Validity { from: now + Duration::from_secs(600), until: now + Duration::from_secs(6_000) };
    let error = certificates.identity_valid("node0", future).check("node0", &certificates.trust()).unwrap_err();
    assert!(matches!(error, PkiError::NotYetValid { .. }), "{error}");
}

/// An institution cannot make further authorities, and nothing outlives what it was issued by.
#[test]
fn authority_is_limited() {
    let certificates = Certificates::new();
    let sub = certificates.institution.issue_institution("Sub", KeyAlgorithm::default(), Validity::node()).unwrap();
    let node = sub.issue_node("node0", &[], KeyAlgorithm::default(), Validity::node()).unwrap();
    let identity = TlsIdentity::from_pem(&node.chain_pem, &node.key_pem).unwrap();
    let error = identity.check("node0", &certificates.trust()).unwrap_err();
    assert!(matches!(error, PkiError::Refused { .. } | PkiError::NotAccepted { .. }), "{error}");

    let now = SystemTime::now();
    let short = Validity { from: now - Duration::from_secs(60), until: now - Duration::from_secs(30) };
    let institution = certificates.authority.issue_institution("Short", KeyAlgorithm::default(), short).unwrap();
    let node = institution.issue_node("node0", &[], KeyAlgorithm::default(), Validity::node()).unwrap();
    let leaf_only = node.chain_pem.split_inclusive("-----END CERTIFICATE-----\n").next().unwrap();
    let expired = TlsIdentity::from_pem(leaf_only, &node.key_pem).unwrap();
    let direct = Trust::from_pem(&[institution.certificate_pem()]).unwrap();
    let error = expired.check("node0", &direct).unwrap_err();
    assert!(matches!(error, PkiError::Expired { .. }), "{error}");
}

#[test]
fn bad_names_are_refused() {
    let certificates = Certificates::new();
    for name in ["", "has space", "ü", "a\nb"] {
        let error = certificates.institution.issue_node(name, &[], KeyAlgorithm::default(), Validity::node());
        assert!(matches!(error, Err(PkiError::Name { .. })), "{name:?}");
    }
    let long = "x".repeat(65);
    let error = Authority::create(&long, KeyAlgorithm::default(), Validity::authority());
    assert!(matches!(error, Err(PkiError::Name { .. })));
    assert!(matches!(Trust::from_pem::<String>(&[]), Err(PkiError::Pem { .. })));
    assert!(matches!(Trust::from_pem(&["x"]), Err(PkiError::Pem { .. })));
}
