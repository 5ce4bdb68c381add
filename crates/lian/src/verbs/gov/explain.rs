//! The system contracts' refusals in words.

use alloy_sol_types::{SolError, SolInterface};
use lian_system_contracts::interfaces::{
    DelegateCall,
    IConfiguration::{self, IConfigurationErrors},
    IMembers::{self, IMembersErrors, Role},
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
pub(super) fn explain(data: &[u8]) -> Option<String> {
    let members = IMembersErrors::abi_decode(data).ok().map(of_members);
    let configuration = || IConfigurationErrors::abi_decode(data).ok().map(of_configuration);
    members.or_else(configuration).or_else(|| of_any(data))
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
        E::UnknownInstitution(IMembers::UnknownInstitution { name }) => {
            format!("there is no institution `{name}`: add it first, by `lian gov add-institution {name}`")
        }
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

fn not_authorized(caller: alloy_primitives::Address) -> String {
    format!("{caller} is not an operator of the group")
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
            (IMembers::NotAuthorized { caller }.abi_encode(), format!("{caller} is not an operator of the group")),
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
