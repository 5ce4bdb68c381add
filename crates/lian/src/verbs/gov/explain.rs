//! The system contracts' refusals in words.

use crate::output::utc;
use alloy_sol_types::{SolError, SolInterface};
use lian_system_contracts::interfaces::{
    DelegateCall,
    IAuthorities::{self, IAuthoritiesErrors},
    ICommittee::{self, ICommitteeErrors, State},
    IConfiguration::{self, IConfigurationErrors},
    IMembers::{self, IMembersErrors, Role},
    IPermissions::{self, IPermissionsErrors},
    MalformedArguments, NotPayable, UnknownFunction,
};

/// What a role is called.
pub(super) const fn role_name(role: Role) -> &'static str {
    match role {
        Role::Sealer => "sealer",
        Role::Observer => "observer",
        Role::Candidate => "candidate",
        _ => "none",
    }
}

/// A revert's data in words; nothing where it is none of the contracts' errors.
pub(in crate::verbs) fn explain(data: &[u8]) -> Option<String> {
    let members = IMembersErrors::abi_decode(data).ok().map(of_members);
    let configuration = || IConfigurationErrors::abi_decode(data).ok().map(of_configuration);
    let committee = || ICommitteeErrors::abi_decode(data).ok().map(of_committee);
    let permissions = || IPermissionsErrors::abi_decode(data).ok().map(of_permissions);
    let authorities = || IAuthoritiesErrors::abi_decode(data).ok().map(of_authorities);
    let governing = members.or_else(configuration).or_else(committee).or_else(permissions).or_else(authorities);
    governing.or_else(|| of_any(data))
}

/// That a call is not allowed, in words; nothing for other errors, which a user's contract may have as well.
pub(in crate::verbs) fn denial(data: &[u8]) -> Option<String> {
    use IPermissionsErrors as E;
    let error = IPermissionsErrors::abi_decode(data).ok()?;
    let is_denial = matches!(
        error,
        E::AddressFrozen(_) | E::AddressSuspended(_) | E::AddressRetired(_) | E::CallDenied(_) | E::CreationDenied(_)
    );
    is_denial.then(|| of_permissions(error))
}

fn of_permissions(error: IPermissionsErrors) -> String {
    use IPermissionsErrors as E;
    match error {
        E::NotAuthorized(IPermissions::NotAuthorized { caller }) => not_authorized(caller),
        E::AddressFrozen(IPermissions::AddressFrozen { target }) => format!("{target} is frozen"),
        E::AddressSuspended(IPermissions::AddressSuspended { target }) => {
            format!("{target} is suspended by its administrator")
        }
        E::AddressRetired(IPermissions::AddressRetired { target }) => format!("{target} is retired"),
        E::CallDenied(IPermissions::CallDenied { caller, target, method }) => {
            format!("{caller} may not call {method} of {target}: `lian gov explain` tells why")
        }
        E::CreationDenied(IPermissions::CreationDenied { creator }) => {
            format!("{creator} may not create contracts: it needs the role deployer")
        }
        E::InvalidRole(IPermissions::InvalidRole { role }) => {
            format!("`{role}` is no name of a role: 1 to 32 of a-z, 0-9, `-` and `_`")
        }
        E::RoleExists(IPermissions::RoleExists { role }) => format!("there is a role `{role}` already"),
        E::UnknownRole(IPermissions::UnknownRole { role }) => {
            format!("there is no role `{role}`; `lian gov roles` shows all")
        }
        E::RoleNotGranted(IPermissions::RoleNotGranted { role }) => {
            format!("the role `{role}` is not granted: its members have it")
        }
        E::TooMany(IPermissions::TooMany { count, limit }) => format!("{count} are too many, the limit is {limit}"),
        E::InvalidTarget(IPermissions::InvalidTarget { target }) => {
            format!("{target} is the chain's own: there are no rules for it")
        }
        E::ReasonTooLong(IPermissions::ReasonTooLong { length, limit }) => {
            format!("a reason of {length} bytes is too long, the limit is {limit}: refer to a document")
        }
        E::NotFrozen(IPermissions::NotFrozen { target }) => format!("{target} is not frozen"),
        E::NotSuspended(IPermissions::NotSuspended { target }) => format!("{target} is not suspended"),
        E::IsRetired(IPermissions::IsRetired { target }) => format!("{target} is retired already"),
        E::NotCreator(IPermissions::NotCreator { target, caller }) => {
            format!("{caller} has not created {target} so")
        }
        E::HasAdministrator(IPermissions::HasAdministrator { target, administrator }) => {
            format!("{target} has an administrator: {administrator}")
        }
    }
}

fn of_committee(error: ICommitteeErrors) -> String {
    use ICommitteeErrors as E;
    match error {
        E::NotAuthorized(ICommittee::NotAuthorized { caller }) => not_authorized(caller),
        E::AlreadyEstablished(_) => "there is a committee already: `lian gov committee` shows it".to_owned(),
        E::NotMember(ICommittee::NotMember { caller }) => format!("{caller} is not a member of the committee"),
        E::InvalidMember(ICommittee::InvalidMember { account }) => format!("{account} cannot be a member"),
        E::DuplicateMember(ICommittee::DuplicateMember { account }) => format!("{account} stands twice"),
        E::UnknownMember(ICommittee::UnknownMember { account }) => {
            format!("{account} is not a member of the committee")
        }
        E::UnknownInstitution(ICommittee::UnknownInstitution { name }) => unknown_institution(&name),
        E::InvalidWeight(ICommittee::InvalidWeight { account, weight }) => {
            format!("{account} cannot have weight {weight}: at least 1, and all weights together fit 32 bits")
        }
        E::LastMember(_) => "a committee needs a member".to_owned(),
        E::TooMany(ICommittee::TooMany { count, limit }) => format!("{count} are too many, the limit is {limit}"),
        E::InvalidThresholds(ICommittee::InvalidThresholds { participation, approval }) => format!(
            "participation {participation} and approval {approval} are no thresholds: 1 to 100, and 51 to 100 per cent"
        ),
        E::InvalidDeadline(ICommittee::InvalidDeadline { deadline, least, most }) => {
            format!("the deadline {deadline} must be from {least} to {most}, in seconds since 1970")
        }
        E::NoActions(_) => "a proposal needs a change".to_owned(),
        E::ReasonTooLong(ICommittee::ReasonTooLong { length, limit }) => {
            format!("a reason of {length} bytes is too long, the limit is {limit}: refer to a document")
        }
        E::ActionsTooLong(ICommittee::ActionsTooLong { length, limit }) => {
            format!("changes of {length} bytes are too long, the limit is {limit}: make several proposals")
        }
        E::InvalidTarget(ICommittee::InvalidTarget { action, target }) => {
            format!("change {action} (from 0) calls {target}, which is no system contract of the chain")
        }
        E::ActionFailed(ICommittee::ActionFailed { action, revertData }) => {
            let reason = explain(&revertData).unwrap_or_else(|| revertData.to_string());
            format!("change {action} (from 0) would be refused: {reason}")
        }
        E::UnknownProposal(ICommittee::UnknownProposal { id }) => {
            format!("there is no proposal {id}; `lian gov proposals` shows them")
        }
        E::NotActive(ICommittee::NotActive { id, state }) => {
            let state = match state {
                State::Executed => "executed",
                State::Failed => "accepted, but its changes were refused",
                State::Defeated => "defeated",
                _ => "canceled",
            };
            format!("proposal {id} is decided: {state}")
        }
        E::NotProposer(ICommittee::NotProposer { id, caller }) => format!("{caller} has not made proposal {id}"),
        E::VotingOver(ICommittee::VotingOver { id, deadline }) => {
            format!("the time for votes is over since {}: `lian gov settle {id}` decides", utc(deadline))
        }
        E::VotingOpen(ICommittee::VotingOpen { deadline, .. }) => {
            format!("votes may come until {}", utc(deadline))
        }
        E::NoVote(ICommittee::NoVote { id, account }) => format!("{account} has not voted on proposal {id}"),
    }
}

fn of_authorities(error: IAuthoritiesErrors) -> String {
    use IAuthoritiesErrors as E;
    match error {
        E::NotAuthorized(IAuthorities::NotAuthorized { caller }) => not_authorized(caller),
        E::UnknownInstitution(IAuthorities::UnknownInstitution { name }) => unknown_institution(&name),
        E::CertificateLength(IAuthorities::CertificateLength { length, limit }) => {
            format!("a certificate of {length} bytes cannot be added: 1 to {limit}")
        }
        E::AuthorityExists(IAuthorities::AuthorityExists { fingerprint }) => {
            format!("the authority {fingerprint} is on chain already")
        }
        E::UnknownAuthority(IAuthorities::UnknownAuthority { fingerprint }) => {
            format!("there is no authority {fingerprint} on chain; one of genesis cannot be removed but distrusted")
        }
        E::Distrusted(IAuthorities::Distrusted { fingerprint }) => {
            format!("{fingerprint} is distrusted: `lian ca trust` takes that back")
        }
        E::NotDistrusted(IAuthorities::NotDistrusted { fingerprint }) => format!("{fingerprint} is not distrusted"),
        E::LastAuthority(IAuthorities::LastAuthority { institution }) => format!(
            "no root on chain would be left that vouches for the sealers of `{institution}`: add its successor first"
        ),
        E::TooManyAuthorities(IAuthorities::TooManyAuthorities { count, limit }) => {
            format!("{count} authorities are too many, the limit is {limit}: remove some")
        }
        E::TooManyRevocations(IAuthorities::TooManyRevocations { count, limit }) => {
            format!("{count} revocations are too many, the limit is {limit}")
        }
        E::NoRevocations(_) => "there is nothing to revoke".to_owned(),
        E::InvalidSerial(IAuthorities::InvalidSerial { serial }) => {
            format!("`{serial}` is no serial number: 1 to 20 bytes, the first of which is not zero")
        }
        E::InvalidHash(IAuthorities::InvalidHash { hash }) => format!("{hash} is the hash of no name and no key"),
        E::UnknownRevocation(IAuthorities::UnknownRevocation { id }) => {
            format!("there is no revocation {id}; `lian ca revocations` shows them")
        }
        E::ContactTooLong(IAuthorities::ContactTooLong { length, limit }) => {
            format!("a contact of {length} bytes is too long, the limit is {limit}")
        }
        E::InvalidContact(IAuthorities::InvalidContact { position }) => {
            format!("a contact is a line without control characters, and there is one at byte {position}")
        }
        E::ReasonTooLong(IAuthorities::ReasonTooLong { length, limit }) => {
            format!("a reason of {length} bytes is too long, the limit is {limit}: refer to a document")
        }
    }
}

fn of_members(error: IMembersErrors) -> String {
    use IMembersErrors as E;
    match error {
        E::NotAuthorized(IMembers::NotAuthorized { caller }) => not_authorized(caller),
        E::InvalidName(IMembers::InvalidName { name }) => {
            format!("`{name}` is not a name: a host name of at most 63 letters, digits, `-`, `_` and `.`")
        }
        E::InvalidEndpoint(IMembers::InvalidEndpoint { endpoint }) => {
            format!("`{endpoint}` is not a host and a port, like `10.0.0.5:30300`")
        }
        E::InvalidKey(IMembers::InvalidKey { key }) => format!("{key} is not a consensus key"),
        E::InstitutionExists(IMembers::InstitutionExists { name }) => {
            format!("there is an institution `{name}` already")
        }
        E::UnknownInstitution(IMembers::UnknownInstitution { name }) => unknown_institution(&name),
        E::NodeExists(IMembers::NodeExists { name }) => format!("there is a node `{name}` already"),
        E::KeyInUse(IMembers::KeyInUse { key }) => format!("another node has the key {key}"),
        E::UnknownNode(IMembers::UnknownNode { name }) => format!("there is no node `{name}`"),
        E::ChangePending(IMembers::ChangePending { until }) => {
            format!("another change of sealers is on its way: try again from block {until} on")
        }
        E::LastSealer(IMembers::LastSealer { name }) => format!("`{name}` is the last sealer: a group needs one"),
        E::TooMany(IMembers::TooMany { count, limit }) => {
            format!("{count} would be too many, the limit is {limit}; smaller blocks leave room for more sealers")
        }
    }
}

fn of_configuration(error: IConfigurationErrors) -> String {
    use IConfigurationErrors as E;
    match error {
        E::NotAuthorized(IConfiguration::NotAuthorized { caller }) => not_authorized(caller),
        E::UnknownParameter(IConfiguration::UnknownParameter { name }) => {
            format!("there is no parameter `{name}`; `lian gov parameters` shows all")
        }
        E::OutOfRange(IConfiguration::OutOfRange { name, value, least, most }) => {
            format!("{name} cannot be {value}: it must be from {least} to {most}")
        }
        E::ChangePending(IConfiguration::ChangePending { name, until }) => {
            format!("another change of {name} is on its way: try again from block {until} on")
        }
        E::LastOperator(IConfiguration::LastOperator { account }) => {
            format!("{account} is the last operator: make another one first")
        }
    }
}

/// What every system contract may answer.
pub(in crate::verbs) fn of_any(data: &[u8]) -> Option<String> {
    if let Ok(UnknownFunction { selector }) = UnknownFunction::abi_decode(data) {
        return Some(format!("the contract has no function {selector}: the node runs an older program"));
    }
    if let Ok(MalformedArguments { reason, .. }) = MalformedArguments::abi_decode(data) {
        return Some(format!("the contract cannot read the arguments: {reason}"));
    }
    if let Ok(NotPayable { value }) = NotPayable::abi_decode(data) {
        return Some(format!("the contract takes no coins, {value} wei were sent"));
    }
    DelegateCall::abi_decode(data).is_ok().then(|| "the contract refuses to be called by delegation".to_owned())
}

fn unknown_institution(name: &str) -> String {
    format!("there is no institution `{name}`: add it first, by `lian gov add-institution {name}`")
}

fn not_authorized(caller: alloy_primitives::Address) -> String {
    format!("{caller} may not decide this: operators do, or the committee where there is one")
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::{Address, U256};

    #[test]
    fn refusals_are_explained() {
        let caller = Address::repeat_byte(7);
        let value = U256::from(7);
        let cases = [
            (
                IMembers::NotAuthorized { caller }.abi_encode(),
                format!("{caller} may not decide this: operators do, or the committee where there is one"),
            ),
            (
                IMembers::ChangePending { until: 58 }.abi_encode(),
                "another change of sealers is on its way: try again from block 58 on".to_owned(),
            ),
            (
                IConfiguration::OutOfRange { name: "x".into(), value, least: U256::ONE, most: U256::from(5) }
                    .abi_encode(),
                "x cannot be 7: it must be from 1 to 5".to_owned(),
            ),
            (NotPayable { value }.abi_encode(), "the contract takes no coins, 7 wei were sent".to_owned()),
        ];
        for (data, words) in cases {
            assert_eq!(explain(&data), Some(words));
        }
        assert_eq!(explain(&[]), None);
        assert_eq!(explain(&[1, 2, 3, 4]), None);
    }
}
