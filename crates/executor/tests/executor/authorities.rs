//! Authorities and revocations as transactions meet them.

use crate::support::{ALICE, BOB, Chain, sent, transaction};
use crate::system::{chain, chain_of};
use alloy_consensus::TxEip1559;
use alloy_primitives::{B256, Bytes, U256};
use alloy_sol_types::SolCall;
use lian_executor::{authorities, authorities_version};
use lian_system_contracts::authorities::{ADDRESS, AuthoritySet, fingerprint};
use lian_system_contracts::interfaces::IAuthorities as A;
use lian_types::limits::{AUTHORITY_BYTES_MAX, REVOCATIONS_AT_ONCE_MAX, TRANSACTION_GAS_LIMIT_MAX};
use lian_types::{AUTHORITIES_PROTOCOL, Receipt, Revoked};

fn add(chain: &mut Chain, certificate: &[u8]) -> Receipt {
    let (certificate, institution, reason) = (certificate.to_vec().into(), "bank".into(), String::new());
    send_with_all_gas(chain, &A::addCall { certificate, institution, isRoot: true, reason })
}

fn send_with_all_gas(chain: &mut Chain, call: &impl SolCall) -> Receipt {
    let gas_limit = TRANSACTION_GAS_LIMIT_MAX;
    let whole = TxEip1559 { nonce: chain.nonce(ALICE), gas_limit, ..transaction(Some(ADDRESS), call.abi_encode()) };
    chain.block(&[sent(ALICE, whole)]).receipts.into_iter().next().unwrap()
}

fn read(chain: &Chain) -> AuthoritySet {
    authorities(&chain.state, AuthoritySet::default()).unwrap()
}

/// As many as the limits allow, with the longest of everything, fit one transaction.
#[test]
fn the_largest_changes_fit_a_transaction() {
    let mut chain = chain();
    assert_eq!(authorities_version(&chain.state).unwrap(), 0);
    let receipt = add(&mut chain, &[0xff; AUTHORITY_BYTES_MAX]);
    assert!(receipt.success, "{}", receipt.gas_used);
    let serials: Vec<_> = (0..REVOCATIONS_AT_ONCE_MAX)
        .map(|number| {
            let mut serial = [0xff; 20];
            serial[12..].copy_from_slice(&number.to_be_bytes());
            Bytes::from(serial)
        })
        .collect();
    let (institution, issuer, reason) = ("bank".to_owned(), B256::repeat_byte(0xee), "x".repeat(256));
    let call = A::revokeCertificatesCall { institution, issuer, serials: serials.clone(), reason };
    let receipt = send_with_all_gas(&mut chain, &call);
    assert!(receipt.success, "{}", receipt.gas_used);
    assert!(receipt.gas_used <= TRANSACTION_GAS_LIMIT_MAX * 3 / 4, "{}", receipt.gas_used);

    let found = read(&chain);
    assert_eq!((found.version, found.authorities.len()), (2, 1));
    assert_eq!(authorities_version(&chain.state).unwrap(), 2);
    assert_eq!(found.authorities[0].fingerprint, fingerprint(&[0xff; AUTHORITY_BYTES_MAX]));
    assert_eq!(found.authorities[0].institution.as_deref(), Some("bank"));
    let revoked: Vec<_> = found.revocations.iter().map(|one| one.revoked.clone()).collect();
    let expected = serials.iter().map(|serial| Revoked::Certificate { issuer, serial: serial.to_vec() });
    assert_eq!(revoked, expected.collect::<Vec<_>>());
}

#[test]
fn what_is_refused_changes_nothing() {
    let mut chain = chain();
    assert!(add(&mut chain, b"root").success);
    let before = chain.state.accounts.get(&ADDRESS).cloned();
    let call = A::removeCall { fingerprint: fingerprint(b"root"), reason: String::new() }.abi_encode();
    assert!(!chain.send(BOB, Some(ADDRESS), call).success);
    assert!(!add(&mut chain, b"root").success);
    let distrust = A::distrustCall { fingerprint: fingerprint(b"genesis"), reason: String::new() }.abi_encode();
    assert!(chain.send(ALICE, Some(ADDRESS), distrust).success);
    let call = A::removeCall { fingerprint: fingerprint(b"root"), reason: String::new() }.abi_encode();
    assert!(!chain.send(ALICE, Some(ADDRESS), call).success, "it is the last one");
    assert_ne!(chain.state.accounts.get(&ADDRESS).cloned(), before, "the fingerprint is distrusted");
    assert_eq!(read(&chain).authorities.len(), 1);
}

/// A chain of an older protocol takes a call of the address as of any account without code.
#[test]
fn an_older_chain_has_no_authorities() {
    let mut chain = chain_of(AUTHORITIES_PROTOCOL - 1);
    let receipt = add(&mut chain, b"root");
    assert!(receipt.success && receipt.logs.is_empty());
    assert_eq!(read(&chain), AuthoritySet::default());
    assert_eq!(U256::from(authorities_version(&chain.state).unwrap()), U256::ZERO);
}
