//! 0x2008.

use crate::chain::{Chain, OPERATOR, STRANGER, key, reverted};
use alloy_primitives::{Address, B256, Bytes, U256, b256};
use alloy_sol_types::{SolCall, SolEvent};
use lian_system_contracts::{
    Failure, Halt,
    authorities::{ADDRESS, AuthoritySet, fingerprint, revocation_id, version},
    committee,
    interfaces::{
        IAuthorities as A,
        ICommittee::{self, Action, Member},
        IMembers::{self, Role},
    },
    members,
};
use lian_types::{
    ConsensusParameters, Revoked,
    limits::{AUTHORITIES_MAX, AUTHORITY_BYTES_MAX, CONTACT_BYTES_MAX, REASON_BYTES_MAX, REVOCATIONS_AT_ONCE_MAX},
};

pub(crate) const ANN: Address = Address::repeat_byte(0xa1);
const ISSUER: B256 = B256::repeat_byte(0x11);

/// Four sealers of one institution, and another institution without nodes.
pub(crate) fn chain() -> Chain {
    let mut chain = Chain::new(4, ConsensusParameters::default());
    chain.call(members::ADDRESS, &IMembers::addInstitutionCall { name: "other".to_owned() }).unwrap();
    chain.logs.clear();
    chain
}

pub(crate) fn add(chain: &mut Chain, certificate: &[u8], institution: &str, is_root: bool) -> Result<B256, Failure> {
    let call = A::addCall {
        certificate: certificate.to_vec().into(),
        institution: institution.to_owned(),
        isRoot: is_root,
        reason: "minutes 1".to_owned(),
    };
    chain.call(ADDRESS, &call).map(|_| fingerprint(certificate))
}

pub(crate) fn remove(chain: &mut Chain, fingerprint: B256) -> Result<(), Failure> {
    chain.call(ADDRESS, &A::removeCall { fingerprint, reason: "left".to_owned() }).map(drop)
}

pub(crate) fn distrust(chain: &mut Chain, fingerprint: B256) -> Result<(), Failure> {
    chain.call(ADDRESS, &A::distrustCall { fingerprint, reason: "stolen".to_owned() }).map(drop)
}

pub(crate) fn trust(chain: &mut Chain, fingerprint: B256) -> Result<(), Failure> {
    chain.call(ADDRESS, &A::trustCall { fingerprint, reason: "found".to_owned() }).map(drop)
}

pub(crate) fn revoke(
    chain: &mut Chain,
    caller: Address,
    institution: &str,
    issuer: B256,
    serials: &[&[u8]],
) -> Result<(), Failure> {
    let serials = serials.iter().map(|serial| Bytes::copy_from_slice(serial)).collect();
    let (institution, reason) = (institution.to_owned(), "lost".to_owned());
    chain.call_as(caller, ADDRESS, &A::revokeCertificatesCall { institution, issuer, serials, reason }).map(drop)
}

pub(crate) fn revoke_keys(
    chain: &mut Chain,
    caller: Address,
    institution: &str,
    keys: Vec<B256>,
) -> Result<(), Failure> {
    let (institution, reason) = (institution.to_owned(), "lost".to_owned());
    chain.call_as(caller, ADDRESS, &A::revokeKeysCall { institution, keys, reason }).map(drop)
}

pub(crate) fn unrevoke(chain: &mut Chain, id: B256) -> Result<(), Failure> {
    chain.call(ADDRESS, &A::unrevokeCall { id, reason: "mistaken".to_owned() }).map(drop)
}

pub(crate) fn listed(chain: &mut Chain) -> Vec<A::Authority> {
    chain.call(ADDRESS, &A::authoritiesCall { from: U256::ZERO, limit: U256::MAX }).unwrap()
}

pub(crate) fn revoked(chain: &mut Chain) -> Vec<A::Revocation> {
    chain.call(ADDRESS, &A::revocationsCall { from: U256::ZERO, limit: U256::MAX }).unwrap()
}

fn set_administrator(chain: &mut Chain, institution: &str, account: Address) -> Result<(), Failure> {
    chain.call(ADDRESS, &A::setAdministratorCall { institution: institution.to_owned(), account }).map(drop)
}

/// What the last event of a kind says.
fn last<E: SolEvent>(chain: &Chain) -> E {
    chain.logs.iter().rev().find_map(|log| E::decode_log_data(log).ok()).unwrap()
}

pub(crate) fn version_of(chain: &mut Chain) -> u64 {
    version(&mut chain.reader()).unwrap()
}

/// The known answer is what `printf abc | sha256sum` prints.
#[test]
fn authorities_are_known_by_their_fingerprints() {
    let mut chain = chain();
    let known = b256!("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_eq!(add(&mut chain, b"abc", "bank", true).unwrap(), known);
    add(&mut chain, b"abcd", "", false).unwrap();
    let event: A::AuthorityAdded = last(&chain);
    assert_eq!((event.institution.as_str(), event.isRoot, event.reason.as_str()), ("", false, "minutes 1"));
    assert_eq!(event.certificate.as_ref(), b"abcd");
    let list = listed(&mut chain);
    let shown = |one: &A::Authority| (one.fingerprint, one.institution.clone(), one.isRoot, one.certificate.to_vec());
    assert_eq!(shown(&list[0]), (known, "bank".to_owned(), true, b"abc".to_vec()));
    assert_eq!(shown(&list[1]), (fingerprint(b"abcd"), String::new(), false, b"abcd".to_vec()));
    let error: A::AuthorityExists = reverted(add(&mut chain, b"abc", "other", true));
    assert_eq!(error.fingerprint, known);
    remove(&mut chain, known).unwrap();
    let error: A::UnknownAuthority = reverted(remove(&mut chain, known));
    assert_eq!(error.fingerprint, known);
    add(&mut chain, b"abc", "other", true).unwrap();
    assert_eq!(listed(&mut chain).len(), 2);
    assert_eq!(version_of(&mut chain), 4, "what is refused counts for nothing");
}

#[test]
fn what_is_added_is_bounded() {
    let mut chain = chain();
    let error: A::CertificateLength = reverted(add(&mut chain, &[], "bank", true));
    assert_eq!((error.length, error.limit), (U256::ZERO, U256::from(AUTHORITY_BYTES_MAX)));
    add(&mut chain, &[7; AUTHORITY_BYTES_MAX], "bank", true).unwrap();
    reverted::<A::CertificateLength>(add(&mut chain, &[7; AUTHORITY_BYTES_MAX + 1], "bank", true));
    let error: A::UnknownInstitution = reverted(add(&mut chain, b"x", "nobody", true));
    assert_eq!(error.name, "nobody");
    let long = A::removeCall { fingerprint: B256::ZERO, reason: "x".repeat(REASON_BYTES_MAX + 1) };
    reverted::<A::ReasonTooLong>(chain.call(ADDRESS, &long));
    for number in 1..AUTHORITIES_MAX {
        add(&mut chain, &number.to_be_bytes(), "bank", false).unwrap();
    }
    let error: A::TooManyAuthorities = reverted(add(&mut chain, b"one more", "bank", false));
    assert_eq!((error.count, error.limit), (U256::from(AUTHORITIES_MAX + 1), U256::from(AUTHORITIES_MAX)));
    // Pages have an end, and together they are everything.
    let mut found = Vec::new();
    loop {
        let page = A::authoritiesCall { from: U256::from(found.len()), limit: U256::MAX };
        let page = chain.call(ADDRESS, &page).unwrap();
        if page.is_empty() {
            break;
        }
        found.extend(page);
    }
    assert_eq!(found.len(), AUTHORITIES_MAX);
    let set = AuthoritySet::read(&mut chain.reader(), AuthoritySet::default()).unwrap();
    assert!(set.authorities.iter().zip(&found).all(|(one, other)| one.fingerprint == other.fingerprint));
    assert_eq!(set.authorities[0].institution.as_deref(), Some("bank"));
}

/// Genesis's roots vouch for everybody until something is distrusted that may be one of them. From then on every institution
/// that seals must have a root on chain.
#[test]
fn the_last_authority_of_those_who_seal_stays() {
    let mut chain = chain();
    let genesis = B256::repeat_byte(9);
    let lacks = |outcome| reverted::<A::LastAuthority>(outcome).institution;
    assert_eq!(lacks(distrust(&mut chain, genesis)), "bank", "there is no other root");
    add(&mut chain, b"intermediate", "bank", false).unwrap();
    assert_eq!(lacks(distrust(&mut chain, genesis)), "bank", "no chain ends at an intermediate one");
    let other = add(&mut chain, b"of another institution", "other", true).unwrap();
    assert_eq!(lacks(distrust(&mut chain, genesis)), "bank");
    let first = add(&mut chain, b"first", "bank", true).unwrap();
    remove(&mut chain, first).unwrap();
    let first = add(&mut chain, b"first", "bank", true).unwrap();
    distrust(&mut chain, genesis).unwrap();

    assert_eq!(lacks(remove(&mut chain, first)), "bank");
    assert_eq!(lacks(distrust(&mut chain, first)), "bank");
    remove(&mut chain, other).unwrap();
    let second = add(&mut chain, b"second", "", true).unwrap();
    distrust(&mut chain, first).unwrap();
    assert_eq!(lacks(remove(&mut chain, second)), "bank", "what is distrusted vouches for nobody");
    reverted::<A::Distrusted>(distrust(&mut chain, first));
    trust(&mut chain, first).unwrap();
    reverted::<A::NotDistrusted>(trust(&mut chain, first));
    remove(&mut chain, second).unwrap();

    // An institution that begins to seal is asked for as well.
    let (name, institution) = ("node9".to_owned(), "other".to_owned());
    let new = IMembers::addNodeCall { name, institution, key: key(9).0.to_vec().into(), endpoint: String::new() };
    chain.call(members::ADDRESS, &new).unwrap();
    let seal = IMembers::setRoleCall { name: "node9".to_owned(), role: Role::Sealer };
    chain.call(members::ADDRESS, &seal).unwrap();
    let third = add(&mut chain, b"third", "bank", true).unwrap();
    assert_eq!(lacks(remove(&mut chain, third)), "other");
    trust(&mut chain, genesis).unwrap();
    remove(&mut chain, third).unwrap();
    remove(&mut chain, first).unwrap();
}

#[test]
fn what_is_distrusted_is_not_added() {
    let mut chain = chain();
    add(&mut chain, b"root", "", true).unwrap();
    let bad = fingerprint(b"bad");
    distrust(&mut chain, bad).unwrap();
    assert_eq!(reverted::<A::Distrusted>(add(&mut chain, b"bad", "bank", true)).fingerprint, bad);
    let event: A::AuthorityDistrusted = last(&chain);
    assert_eq!((event.fingerprint, event.reason.as_str()), (bad, "stolen"));
    assert_eq!(chain.call(ADDRESS, &A::distrustedCall {}).unwrap(), [bad]);
    trust(&mut chain, bad).unwrap();
    assert!(chain.call(ADDRESS, &A::distrustedCall {}).unwrap().is_empty());
    add(&mut chain, b"bad", "bank", true).unwrap();
}

#[test]
fn certificates_and_keys_are_revoked_and_taken_back() {
    let mut chain = chain();
    chain.time = 1_700_000_123;
    revoke(&mut chain, OPERATOR, "", ISSUER, &[&[1, 0], &[0xff; 20]]).unwrap();
    let event: A::CertificateRevoked = last(&chain);
    assert_eq!((event.account, event.issuer, event.reason.as_str()), (OPERATOR, ISSUER, "lost"));
    let spki = B256::repeat_byte(0x22);
    revoke_keys(&mut chain, OPERATOR, "bank", vec![spki]).unwrap();
    let list = revoked(&mut chain);
    let shown = |one: &A::Revocation| (one.institution.clone(), one.issuer, one.serial.to_vec(), one.key, one.time);
    let time = 1_700_000_123;
    assert_eq!(shown(&list[0]), (String::new(), ISSUER, vec![1, 0], B256::ZERO, time));
    assert_eq!(shown(&list[1]), (String::new(), ISSUER, vec![0xff; 20], B256::ZERO, time));
    assert_eq!(shown(&list[2]), ("bank".to_owned(), B256::ZERO, vec![], spki, time));
    let serial = Revoked::Certificate { issuer: ISSUER, serial: vec![1, 0] };
    assert_eq!(list[0].id, revocation_id(None, &serial));
    assert_eq!(list[2].id, revocation_id(Some("bank"), &Revoked::Key(spki)));
    assert_ne!(revocation_id(Some("bank"), &serial), list[0].id, "another institution's is another one");

    // What is revoked stays as it is, its time included.
    let (before, logs) = (version_of(&mut chain), chain.logs.len());
    chain.time += 1;
    revoke(&mut chain, OPERATOR, "", ISSUER, &[&[1, 0]]).unwrap();
    assert_eq!((version_of(&mut chain), chain.logs.len(), revoked(&mut chain)[0].time), (before, logs, time));

    unrevoke(&mut chain, list[0].id).unwrap();
    assert_eq!(reverted::<A::UnknownRevocation>(unrevoke(&mut chain, list[0].id)).id, list[0].id);
    let left: Vec<_> = revoked(&mut chain).iter().map(|one| one.id).collect();
    assert_eq!(left, [list[2].id, list[1].id], "the last one takes its place");
    unrevoke(&mut chain, list[1].id).unwrap();
    unrevoke(&mut chain, list[2].id).unwrap();
    let counts = chain.call(ADDRESS, &A::countsCall {}).unwrap();
    assert_eq!((counts.authorities, counts.distrusted, counts.revocations), Default::default());
}

#[test]
fn malformed_revocations_are_refused() {
    let mut chain = chain();
    let before = chain.clone();
    for serial in [&[][..], &[0, 1], &[0], &[1; 21]] {
        let error: A::InvalidSerial = reverted(revoke(&mut chain, OPERATOR, "", ISSUER, &[&[5], serial]));
        assert_eq!(error.serial.as_ref(), serial);
    }
    reverted::<A::InvalidHash>(revoke(&mut chain, OPERATOR, "", B256::ZERO, &[&[5]]));
    reverted::<A::InvalidHash>(revoke_keys(&mut chain, OPERATOR, "", vec![ISSUER, B256::ZERO]));
    reverted::<A::NoRevocations>(revoke(&mut chain, OPERATOR, "", ISSUER, &[]));
    reverted::<A::UnknownInstitution>(revoke(&mut chain, OPERATOR, "nobody", ISSUER, &[&[5]]));
    let count = usize::try_from(REVOCATIONS_AT_ONCE_MAX).unwrap();
    let keys = |count: usize| (1..=count).map(|number| B256::from(U256::from(number))).collect::<Vec<_>>();
    let error: A::TooManyRevocations = reverted(revoke_keys(&mut chain, OPERATOR, "", keys(count + 1)));
    assert_eq!((error.count, error.limit), (U256::from(count + 1), U256::from(count)));
    assert_eq!(chain, before);
    revoke_keys(&mut chain, OPERATOR, "", keys(count)).unwrap();
    assert_eq!(version_of(&mut chain), 1, "one call is one change");
}

#[test]
fn administrators_revoke_for_their_own_institution_only() {
    let mut chain = chain();
    let refused = |outcome| assert_eq!(reverted::<A::NotAuthorized>(outcome).caller, ANN);
    refused(revoke(&mut chain, ANN, "bank", ISSUER, &[&[5]]));
    set_administrator(&mut chain, "bank", ANN).unwrap();
    let event: A::AdministratorSet = last(&chain);
    assert_eq!((event.institution.as_str(), event.account), ("bank", ANN));
    assert_eq!(version_of(&mut chain), 0, "no certificate is judged otherwise");
    revoke(&mut chain, ANN, "bank", ISSUER, &[&[5]]).unwrap();
    revoke_keys(&mut chain, ANN, "bank", vec![ISSUER]).unwrap();
    for institution in ["other", "", "nobody"] {
        refused(revoke(&mut chain, ANN, institution, ISSUER, &[&[6]]));
        refused(revoke_keys(&mut chain, ANN, institution, vec![B256::repeat_byte(3)]));
    }
    let id = revoked(&mut chain)[0].id;
    refused(chain.call_as(ANN, ADDRESS, &A::unrevokeCall { id, reason: String::new() }).map(drop));
    set_administrator(&mut chain, "bank", Address::ZERO).unwrap();
    refused(revoke(&mut chain, ANN, "bank", ISSUER, &[&[6]]));
    let nobody = revoke(&mut chain, Address::ZERO, "bank", ISSUER, &[&[6]]);
    assert_eq!(reverted::<A::NotAuthorized>(nobody).caller, Address::ZERO);
    for institution in ["", "nobody"] {
        let error: A::UnknownInstitution = reverted(set_administrator(&mut chain, institution, ANN));
        assert_eq!(error.name, institution);
    }
}

#[test]
fn institutions_say_whom_others_reach() {
    let mut chain = chain();
    let call = |institution: &str, contact: &str| A::setContactCall {
        institution: institution.to_owned(),
        contact: contact.to_owned(),
    };
    let said = |chain: &mut Chain, institution: &str| {
        chain.call(ADDRESS, &A::contactCall { institution: institution.to_owned() }).unwrap()
    };
    assert_eq!(said(&mut chain, "bank"), "");
    chain.call(ADDRESS, &call("bank", "值班室 +86 10 5550 0100")).unwrap();
    let event: A::ContactSet = last(&chain);
    assert_eq!((event.institution.as_str(), event.account), ("bank", OPERATOR));
    assert_eq!(
        (event.contact.as_str(), said(&mut chain, "bank").as_str()),
        ("值班室 +86 10 5550 0100", &*event.contact)
    );
    assert_eq!(version_of(&mut chain), 0, "no certificate is judged otherwise");

    let refused = |chain: &mut Chain, institution: &str| {
        let outcome = chain.call_as(ANN, ADDRESS, &call(institution, "ann"));
        assert_eq!(reverted::<A::NotAuthorized>(outcome.map(drop)).caller, ANN);
    };
    refused(&mut chain, "bank");
    set_administrator(&mut chain, "bank", ANN).unwrap();
    for other in ["other", "", "nobody"] {
        refused(&mut chain, other);
    }
    // From long to short, and to nothing.
    let longest = "x".repeat(CONTACT_BYTES_MAX);
    for contact in [longest.as_str(), "ann", ""] {
        chain.call_as(ANN, ADDRESS, &call("bank", contact)).unwrap();
        assert_eq!(said(&mut chain, "bank"), contact);
    }
    chain.call(ADDRESS, &call("bank", "desk")).unwrap();

    let before = chain.clone();
    let long = format!("{longest}x");
    let error: A::ContactTooLong = reverted(chain.call(ADDRESS, &call("bank", &long)).map(drop));
    assert_eq!((error.length, error.limit), (U256::from(257), U256::from(256)));
    for (contact, position) in [("a\nb", 1), ("\u{7f}", 0), ("电\u{85}", 3)] {
        let error: A::InvalidContact = reverted(chain.call(ADDRESS, &call("bank", contact)).map(drop));
        assert_eq!(error.position, U256::from(position), "{contact:?}");
    }
    for institution in ["", "nobody"] {
        let error: A::UnknownInstitution = reverted(chain.call(ADDRESS, &call(institution, "x")).map(drop));
        assert_eq!(error.name, institution);
    }
    assert_eq!(chain, before);
}

#[test]
fn the_governing_body_alone_decides() {
    fn check(chain: &mut Chain, call: &impl SolCall) {
        let before = chain.clone();
        assert_eq!(reverted::<A::NotAuthorized>(chain.call_as(STRANGER, ADDRESS, call)).caller, STRANGER);
        assert_eq!(*chain, before);
        assert!(matches!(chain.static_call(ADDRESS, call), Err(Failure::Halt(Halt::Static) | Failure::Revert(_))));
    }
    let mut chain = chain();
    let (fingerprint, reason) = (add(&mut chain, b"root", "bank", true).unwrap(), String::new);
    let certificate = Bytes::from_static(b"new");
    check(&mut chain, &A::addCall { certificate, institution: String::new(), isRoot: true, reason: reason() });
    check(&mut chain, &A::removeCall { fingerprint, reason: reason() });
    check(&mut chain, &A::distrustCall { fingerprint, reason: reason() });
    check(&mut chain, &A::trustCall { fingerprint, reason: reason() });
    check(&mut chain, &A::unrevokeCall { id: fingerprint, reason: reason() });
    check(&mut chain, &A::revokeKeysCall { institution: "bank".to_owned(), keys: vec![ISSUER], reason: reason() });
    let serials = vec![Bytes::from_static(&[1])];
    let institution = String::new();
    check(&mut chain, &A::revokeCertificatesCall { institution, issuer: ISSUER, serials, reason: reason() });
    check(&mut chain, &A::setAdministratorCall { institution: "bank".to_owned(), account: STRANGER });
    check(&mut chain, &A::setContactCall { institution: "bank".to_owned(), contact: String::new() });

    // Where there is a committee it is the committee, and operators have handed over.
    let member = Member { account: ANN, institution: "bank".to_owned(), weight: 1 };
    let establish =
        ICommittee::establishCall { members: vec![member], participation: 50, approval: 60, reason: reason() };
    chain.call(committee::ADDRESS, &establish).unwrap();
    assert_eq!(reverted::<A::NotAuthorized>(remove(&mut chain, fingerprint)).caller, OPERATOR);
    let data = A::removeCall { fingerprint, reason: reason() }.abi_encode().into();
    let actions = vec![Action { target: ADDRESS, data }];
    let propose = ICommittee::proposeCall { actions, deadline: chain.time + 10, reason: reason() };
    chain.call_as(ANN, committee::ADDRESS, &propose).unwrap();
    assert!(listed(&mut chain).is_empty());
}

/// What a node knows already it does not read again, unless something was taken back.
#[test]
fn nodes_read_new_revocations_only() {
    let mut chain = chain();
    let serials: Vec<_> = (1..=50_u8).map(|number| [number]).collect();
    let serials: Vec<&[u8]> = serials.iter().map(|serial| &serial[..]).collect();
    revoke(&mut chain, OPERATOR, "bank", ISSUER, &serials).unwrap();
    let first = AuthoritySet::read(&mut chain.reader(), AuthoritySet::default()).unwrap();
    assert_eq!((first.revocations.len(), first.version), (50, 1));
    assert_eq!(first.revocations[49].institution.as_deref(), Some("bank"));
    assert_eq!(first.revocations[49].revoked, Revoked::Certificate { issuer: ISSUER, serial: vec![50] });

    revoke_keys(&mut chain, OPERATOR, "", vec![ISSUER]).unwrap();
    chain.accesses = Default::default();
    let second = AuthoritySet::read(&mut chain.reader(), first.clone()).unwrap();
    assert!(chain.accesses.loaded.len() < 20, "{}", chain.accesses.loaded.len());
    assert_eq!(second, AuthoritySet::read(&mut chain.reader(), AuthoritySet::default()).unwrap());

    let id = revoked(&mut chain)[7].id;
    unrevoke(&mut chain, id).unwrap();
    let third = AuthoritySet::read(&mut chain.reader(), second).unwrap();
    assert_eq!(third, AuthoritySet::read(&mut chain.reader(), AuthoritySet::default()).unwrap());
    assert_eq!(third.revocations.len(), 50);
}
