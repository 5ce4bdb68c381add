//! Lists of revoked certificates, and bytes that are none.

use lian_network::pki::{CertificateFacts, PkiError, RevocationList, Trust, sha256};
use proptest::prelude::*;
use rcgen::{
    CertificateParams, CertificateRevocationListParams, DnType, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P384_SHA384, PKCS_ED25519, RevocationReason, RevokedCertParams, SerialNumber, SignatureAlgorithm,
};
use rustls_pki_types::{CertificateDer, UnixTime};
use std::{fs, sync::LazyLock};

/// An authority's certificate, and a list that it has signed.
fn signed(name: &str, algorithm: &'static SignatureAlgorithm, serials: &[u64]) -> (Vec<u8>, Vec<u8>, String) {
    let key = KeyPair::generate_for(algorithm).unwrap();
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let certificate = params.self_signed(&key).unwrap().der().to_vec();
    let revoked = |serial: &u64| RevokedCertParams {
        serial_number: SerialNumber::from(*serial),
        revocation_time: rcgen::date_time_ymd(2026, 1, 1),
        reason_code: Some(RevocationReason::KeyCompromise),
        invalidity_date: None,
    };
    let list = CertificateRevocationListParams {
        this_update: rcgen::date_time_ymd(2026, 1, 2),
        next_update: rcgen::date_time_ymd(2036, 1, 2),
        crl_number: SerialNumber::from(7),
        issuing_distribution_point: None,
        revoked_certs: serials.iter().map(revoked).collect(),
        key_identifier_method: KeyIdMethod::Sha256,
    };
    let list = list.signed_by(&Issuer::from_params(&params, &key)).unwrap();
    (certificate, list.der().to_vec(), list.pem().unwrap())
}

#[test]
fn lists_are_read_and_their_signatures_checked() {
    let folder = tempfile::tempdir().unwrap();
    for algorithm in [&PKCS_ECDSA_P384_SHA384, &PKCS_ED25519] {
        let (certificate, der, pem) = signed("One", algorithm, &[5, 0xff01, 0x80]);
        let (namesake, ..) = signed("One", algorithm, &[]);
        let (other, ..) = signed("Other", algorithm, &[]);
        for bytes in [der.clone(), pem.into_bytes()] {
            let path = folder.path().join("list");
            fs::write(&path, bytes).unwrap();
            let list = RevocationList::read(&path).unwrap();
            assert_eq!(list.serials, [vec![5], vec![0xff, 1], vec![0x80]]);
            let facts = CertificateFacts::of(&certificate).unwrap();
            assert_eq!((list.issuer_hash, &list.issuer), (facts.subject_hash, &facts.subject));
            assert!(list.is_signed_by(&certificate));
            assert!(!list.is_signed_by(&namesake), "the same name with another key");
            assert!(!list.is_signed_by(&other));
            assert!(!list.is_signed_by(b"no certificate"));
        }
        let mut forged = der;
        let position = forged.windows(2).position(|bytes| bytes == [0xff, 1]).unwrap();
        forged[position + 1] = 2;
        let forged = RevocationList::parse("forged", forged).unwrap();
        assert!(!forged.is_signed_by(&certificate));
    }
}

#[test]
fn what_is_no_list_is_named() {
    let (certificate, mut der, _) = signed("One", &PKCS_ED25519, &[5]);
    let refused = |bytes: &[u8]| match RevocationList::parse("list", bytes.to_vec()) {
        Err(PkiError::Pem { what, reason }) => format!("{what}: {reason}"),
        other => panic!("{other:?}"),
    };
    refused(b"garbage");
    refused(&certificate);
    let pem = lian_network::pki::pem(&CertificateDer::from(certificate));
    assert_eq!(refused(pem.as_bytes()), "list: holds a CERTIFICATE, not an X509 CRL");
    der.push(0);
    assert_eq!(refused(&der), "list: 1 bytes follow the list");
}

static VALID: LazyLock<(Vec<u8>, Vec<u8>)> = LazyLock::new(|| {
    let (certificate, list, _) = signed("One", &PKCS_ED25519, &[5, 6]);
    (certificate, list)
});

/// A certificate or a list with some bytes changed, or anything.
fn damaged() -> impl Strategy<Value = Vec<u8>> {
    let changes = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4);
    let of_valid = (any::<bool>(), changes).prop_map(|(is_list, changes)| {
        let mut bytes = if is_list { VALID.1.clone() } else { VALID.0.clone() };
        for (index, byte) in changes {
            let at = index.index(bytes.len());
            bytes[at] = byte;
        }
        bytes
    });
    prop_oneof![3 => of_valid, 1 => prop::collection::vec(any::<u8>(), 0..300)]
}

proptest! {
    /// Whatever a peer shows or an operator names, it is read or refused.
    #[test]
    fn any_bytes_are_read_or_refused(bytes in damaged()) {
        if let Ok(facts) = CertificateFacts::of(&bytes) {
            prop_assert_eq!(facts.fingerprint, sha256(&bytes));
            prop_assert!(facts.serial.first() != Some(&0));
        }
        let list = RevocationList::parse("list", bytes.clone());
        prop_assert!(list.is_err() || !list.unwrap().serials.iter().any(|serial| serial.first() == Some(&0)));
        let pem = lian_network::pki::pem(&CertificateDer::from(VALID.0.clone()));
        let trust = Trust::from_pem(&[pem]).unwrap();
        let chain = [CertificateDer::from(bytes.clone()), CertificateDer::from(bytes)];
        let _ = trust.judge(&chain, Some("bank"), UnixTime::now());
    }
}
