//! What can be changed, as an operator or a committee's member types it, and as others read it.

use super::{explain::role_name, permissions::PermissionChange};
use crate::verbs::transact::call_data;
use alloy_primitives::{Address, U256, hex};
use alloy_sol_types::{SolCall, SolInterface};
use anyhow::{Result, bail};
use clap::{Args, Parser};
use lian_network::pki::CertificateFacts;
use lian_system_contracts::{
    authorities, committee, configuration,
    interfaces::{
        IAuthorities::IAuthoritiesCalls,
        ICommittee::{self, Action, ICommitteeCalls},
        IConfiguration::{self, IConfigurationCalls},
        IMembers::{self, IMembersCalls, Role},
        IPermissions::IPermissionsCalls,
    },
    members::{self, NodeRole},
    permissions,
};
use lian_types::{ConsensusKey, PROTOCOL_PARAMETER, PROTOCOL_VERSION_MAX};
use std::str::FromStr;

/// Something that a system contract is asked to do.
pub(crate) trait Change {
    /// Whether others than the governing body may have the right to it.
    const MAY_BE_ONES_OWN: bool = false;

    /// The call, with a reason where it takes one.
    ///
    /// # Errors
    /// Where this program knows that it should not be made.
    fn action(self, reason: &str) -> Result<Action>;
}

/// Any change, as `lian gov propose` takes it: the words of the verb of that name.
#[derive(Parser, Debug)]
#[command(no_binary_name = true, disable_help_flag = true, disable_help_subcommand = true)]
pub(crate) enum AnyChange {
    AddInstitution(AddInstitution),
    AddNode(AddNode),
    SetEndpoint(SetEndpoint),
    SetRole(SetRole),
    SetParameter(SetParameter),
    SetOperator(SetOperator),
    SetMember(SetMember),
    RemoveMember(RemoveMember),
    SetThresholds(SetThresholds),
    #[command(flatten)]
    Permissions(PermissionChange),
    Call(CallContract),
}

impl Change for AnyChange {
    fn action(self, reason: &str) -> Result<Action> {
        match self {
            Self::AddInstitution(change) => change.action(reason),
            Self::AddNode(change) => change.action(reason),
            Self::SetEndpoint(change) => change.action(reason),
            Self::SetRole(change) => change.action(reason),
            Self::SetParameter(change) => change.action(reason),
            Self::SetOperator(change) => change.action(reason),
            Self::SetMember(change) => change.action(reason),
            Self::RemoveMember(change) => change.action(reason),
            Self::SetThresholds(change) => change.action(reason),
            Self::Permissions(change) => change.action(reason),
            Self::Call(change) => change.action(reason),
        }
    }
}

impl AnyChange {
    /// Reads a line.
    ///
    /// # Errors
    /// Names the line and what is wrong with it.
    pub(crate) fn parse_line(line: &str) -> Result<Self> {
        Self::try_parse_from(line.split_whitespace()).map_err(|error| {
            let text = error.to_string();
            let reason: Vec<_> = text.lines().take_while(|line| !line.is_empty()).map(str::trim).collect();
            anyhow::anyhow!("`{line}` is not a change: {}", reason.join(" ").trim_start_matches("error: "))
        })
    }
}

#[derive(Args, Debug)]
pub(crate) struct AddInstitution {
    /// Its name, as in its certificates.
    name: String,
}

impl Change for AddInstitution {
    fn action(self, _reason: &str) -> Result<Action> {
        of_members(&IMembers::addInstitutionCall { name: self.name })
    }
}

#[derive(Args, Debug)]
pub(crate) struct AddNode {
    /// Its name, as in its certificate.
    name: String,
    /// The institution that runs it.
    institution: String,
    /// The consensus key that it votes with, 0x and 66 hexadecimal digits.
    key: ConsensusKey,
    /// Host and port at which other nodes reach it; without, it must dial.
    #[arg(default_value = "")]
    endpoint: String,
}

impl Change for AddNode {
    fn action(self, _reason: &str) -> Result<Action> {
        let Self { name, institution, key, endpoint } = self;
        of_members(&IMembers::addNodeCall { name, institution, key: key.0.to_vec().into(), endpoint })
    }
}

#[derive(Args, Debug)]
pub(crate) struct SetEndpoint {
    /// Its name.
    name: String,
    /// Host and port; without, other nodes do not dial it.
    #[arg(default_value = "")]
    endpoint: String,
}

impl Change for SetEndpoint {
    fn action(self, _reason: &str) -> Result<Action> {
        of_members(&IMembers::setEndpointCall { name: self.name, endpoint: self.endpoint })
    }
}

#[derive(Args, Debug)]
pub(crate) struct SetRole {
    /// A node and its role: sealer, observer, candidate, or none for one that leaves.
    #[arg(required = true, value_name = "NAME=ROLE")]
    roles: Vec<NewRole>,
}

impl Change for SetRole {
    fn action(self, _reason: &str) -> Result<Action> {
        let (names, roles) = self.roles.into_iter().map(|NewRole { name, role }| (name, role_of(role))).unzip();
        of_members(&IMembers::setRolesCall { names, roles })
    }
}

const fn role_of(role: NodeRole) -> Role {
    match role {
        NodeRole::None => Role::None,
        NodeRole::Candidate => Role::Candidate,
        NodeRole::Observer => Role::Observer,
        NodeRole::Sealer => Role::Sealer,
    }
}

/// A node and the role that it gets.
#[derive(Clone, Debug)]
pub(crate) struct NewRole {
    name: String,
    role: NodeRole,
}

impl FromStr for NewRole {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, word) = text.split_once('=').ok_or("expected a node and its role, like `node4=sealer`")?;
        let role = match word {
            "sealer" => NodeRole::Sealer,
            "observer" => NodeRole::Observer,
            "candidate" => NodeRole::Candidate,
            "none" => NodeRole::None,
            _ => return Err(format!("`{word}` is not a role: sealer, observer, candidate or none")),
        };
        Ok(Self { name: name.to_owned(), role })
    }
}

#[derive(Args, Debug)]
pub(crate) struct SetParameter {
    /// Its name, as `lian gov parameters` shows it.
    name: String,
    /// Its value.
    value: u64,
}

impl Change for SetParameter {
    fn action(self, _reason: &str) -> Result<Action> {
        let Self { name, value } = self;
        if name == PROTOCOL_PARAMETER && value > PROTOCOL_VERSION_MAX {
            bail!(
                "this program knows protocol versions up to {PROTOCOL_VERSION_MAX}: every node would stop that knows no more; \
                 upgrade all nodes first, then set version {value} with their program"
            );
        }
        of_configuration(&IConfiguration::setCall { name, value: U256::from(value) })
    }
}

#[derive(Args, Debug)]
pub(crate) struct SetOperator {
    /// The account.
    // Named otherwise than the sender's `--account`.
    #[arg(value_name = "ACCOUNT")]
    operator: Address,
    /// Take the right away.
    #[arg(long)]
    remove: bool,
}

impl Change for SetOperator {
    fn action(self, _reason: &str) -> Result<Action> {
        let Self { operator: account, remove } = self;
        of_configuration(&IConfiguration::setOperatorCall { account, isOperator: !remove })
    }
}

#[derive(Args, Debug)]
pub(crate) struct SetMember {
    /// The account.
    #[arg(value_name = "ACCOUNT")]
    member: Address,
    /// The institution that it votes for.
    institution: String,
    /// What its vote weighs.
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    weight: u32,
}

impl Change for SetMember {
    fn action(self, _reason: &str) -> Result<Action> {
        let Self { member: account, institution, weight } = self;
        of_committee(&ICommittee::setMemberCall { account, institution, weight })
    }
}

#[derive(Args, Debug)]
pub(crate) struct RemoveMember {
    /// The account.
    #[arg(value_name = "ACCOUNT")]
    member: Address,
}

impl Change for RemoveMember {
    fn action(self, _reason: &str) -> Result<Action> {
        of_committee(&ICommittee::removeMemberCall { account: self.member })
    }
}

#[derive(Args, Debug)]
pub(crate) struct SetThresholds {
    /// How many per cent of all weight must have voted, 1 to 100.
    participation: u8,
    /// How many per cent of what has voted must approve, 51 to 100.
    approval: u8,
}

impl Change for SetThresholds {
    fn action(self, _reason: &str) -> Result<Action> {
        let Self { participation, approval } = self;
        of_committee(&ICommittee::setThresholdsCall { participation, approval })
    }
}

#[derive(Args, Debug)]
pub(crate) struct CallContract {
    /// The system contract's address.
    target: Address,
    /// A function's signature, such as `freezeAsset(uint256,bool)`, or call data in hexadecimal.
    signature: String,
    /// The function's arguments.
    #[arg(allow_negative_numbers = true)]
    arguments: Vec<String>,
}

impl Change for CallContract {
    fn action(self, _reason: &str) -> Result<Action> {
        Ok(Action { target: self.target, data: call_data(&self.signature, &self.arguments)?.0 })
    }
}

#[allow(clippy::unnecessary_wraps)] // What every change gives.
fn of_members(call: &impl SolCall) -> Result<Action> {
    Ok(Action { target: members::ADDRESS, data: call.abi_encode().into() })
}

#[allow(clippy::unnecessary_wraps)] // What every change gives.
fn of_configuration(call: &impl SolCall) -> Result<Action> {
    Ok(Action { target: configuration::ADDRESS, data: call.abi_encode().into() })
}

#[allow(clippy::unnecessary_wraps)] // What every change gives.
fn of_committee(call: &impl SolCall) -> Result<Action> {
    Ok(Action { target: committee::ADDRESS, data: call.abi_encode().into() })
}

/// An action in the words that propose it.
pub(crate) fn describe(action: &Action) -> String {
    let Action { target, data } = action;
    let words = if *target == members::ADDRESS {
        IMembersCalls::abi_decode(data).ok().and_then(describe_members)
    } else if *target == configuration::ADDRESS {
        IConfigurationCalls::abi_decode(data).ok().and_then(describe_configuration)
    } else if *target == committee::ADDRESS {
        ICommitteeCalls::abi_decode(data).ok().and_then(describe_committee)
    } else if *target == permissions::ADDRESS {
        IPermissionsCalls::abi_decode(data).ok().and_then(super::permissions::describe)
    } else if *target == authorities::ADDRESS {
        IAuthoritiesCalls::abi_decode(data).ok().and_then(describe_authorities)
    } else {
        None
    };
    words.unwrap_or_else(|| format!("call {target} {}", hex::encode_prefixed(data)))
}

fn describe_members(call: IMembersCalls) -> Option<String> {
    use IMembersCalls as Calls;
    let role = |(name, role): (&String, &Role)| format!("{name}={}", role_name(*role));
    Some(match call {
        Calls::addInstitution(add) => format!("add-institution {}", add.name),
        Calls::addNode(add) => {
            let IMembers::addNodeCall { name, institution, key, endpoint } = add;
            format!("add-node {name} {institution} {key} {endpoint}").trim_end().to_owned()
        }
        Calls::setEndpoint(set) => format!("set-endpoint {} {}", set.name, set.endpoint).trim_end().to_owned(),
        Calls::setRole(set) => format!("set-role {}", role((&set.name, &set.role))),
        Calls::setRoles(set) if set.names.len() == set.roles.len() => {
            let roles: Vec<_> = set.names.iter().zip(&set.roles).map(role).collect();
            format!("set-role {}", roles.join(" "))
        }
        _ => return None,
    })
}

fn describe_configuration(call: IConfigurationCalls) -> Option<String> {
    use IConfigurationCalls as Calls;
    Some(match call {
        Calls::set(set) => format!("set-parameter {} {}", set.name, set.value),
        Calls::setOperator(set) => {
            format!("set-operator {}{}", set.account, if set.isOperator { "" } else { " --remove" })
        }
        _ => return None,
    })
}

fn describe_committee(call: ICommitteeCalls) -> Option<String> {
    use ICommitteeCalls as Calls;
    Some(match call {
        Calls::setMember(set) => format!("set-member {} {} {}", set.account, set.institution, set.weight),
        Calls::removeMember(of) => format!("remove-member {}", of.account),
        Calls::setThresholds(set) => format!("set-thresholds {} {}", set.participation, set.approval),
        _ => return None,
    })
}

/// For people: what a certificate of an authority says is more than what can be typed again.
fn describe_authorities(call: IAuthoritiesCalls) -> Option<String> {
    use IAuthoritiesCalls as Calls;
    let of = |institution: &str| {
        if institution.is_empty() { "every institution".to_owned() } else { institution.to_owned() }
    };
    Some(match call {
        Calls::add(add) => {
            let kind = if add.isRoot { "root" } else { "intermediate" };
            let subject = CertificateFacts::of(&add.certificate).map_or_else(|_| "unreadable".into(), |it| it.subject);
            let fingerprint = authorities::fingerprint(&add.certificate);
            format!("add the {kind} authority `{subject}` ({fingerprint}) for {}", of(&add.institution))
        }
        Calls::remove(of) => format!("remove the authority {}", of.fingerprint),
        Calls::distrust(of) => format!("distrust {}", of.fingerprint),
        Calls::trust(of) => format!("trust {} again", of.fingerprint),
        Calls::revokeCertificates(new) => {
            let serials: Vec<_> = new.serials.iter().map(hex::encode).collect();
            let (issuer, whose) = (new.issuer, of(&new.institution));
            format!("revoke for {whose} the certificates {} of the issuer {issuer}", serials.join(", "))
        }
        Calls::revokeKeys(new) => {
            let keys: Vec<_> = new.keys.iter().map(ToString::to_string).collect();
            format!("revoke for {} the keys {}", of(&new.institution), keys.join(", "))
        }
        Calls::unrevoke(of) => format!("take the revocation {} back", of.id),
        Calls::setAdministrator(set) => format!("make {} administrator of {}", set.account, set.institution),
        Calls::setContact(set) => format!("make `{}` the contact of {}", set.contact, set.institution),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_read_as_they_are_described() {
        let key = format!("0x{}", "02".repeat(33));
        let account = Address::repeat_byte(7);
        let lines = [
            "add-institution bank5".to_owned(),
            format!("add-node node5 bank5 {key} 10.0.0.5:30300"),
            format!("add-node node5 bank5 {key}"),
            "set-endpoint node5 10.0.0.5:30300".to_owned(),
            "set-endpoint node5".to_owned(),
            "set-role node4=sealer node0=none".to_owned(),
            "set-parameter block_transactions_max 5".to_owned(),
            format!("set-operator {account} --remove"),
            format!("set-operator {account}"),
            format!("set-member {account} bank5 3"),
            format!("remove-member {account}"),
            "set-thresholds 50 60".to_owned(),
            "call 0x0000000000000000000000000000000000002009 0x01020304".to_owned(),
            "add-role teller".to_owned(),
            "set-grantor user operator".to_owned(),
            "set-grantor user".to_owned(),
            format!("grant user {account}"),
            format!("revoke user {account}"),
            "restrict-creation".to_owned(),
            "restrict-creation --lift".to_owned(),
            format!("freeze {account}"),
            format!("thaw {account}"),
            format!("suspend {account}"),
            format!("resume {account}"),
            format!("retire {account}"),
            format!("set-administrator {account} {account}"),
            format!("set-policy {account} allow-list"),
            format!("set-policy {account} none --method 0xa9059cbb"),
            format!("list {account} {account} --method 0xa9059cbb"),
            format!("unlist {account} {account}"),
            format!("list-role {account} user"),
            format!("unlist-role {account} user --method 0xa9059cbb"),
        ];
        for line in lines {
            assert_eq!(describe(&AnyChange::parse_line(&line).unwrap().action("").unwrap()), line);
        }
        let named = AnyChange::parse_line(&format!("set-policy {account} open --method transfer(address,uint256)"));
        let expected = format!("set-policy {account} open --method 0xa9059cbb");
        assert_eq!(describe(&named.unwrap().action("").unwrap()), expected);
        let one = AnyChange::parse_line("call 0x0000000000000000000000000000000000002000 set(string,uint256) x 5");
        assert_eq!(describe(&one.unwrap().action("").unwrap()), "set-parameter x 5");
    }

    #[test]
    fn what_is_no_change_is_named() {
        let error = |line| AnyChange::parse_line(line).unwrap_err().to_string();
        assert_eq!(error("dance"), "`dance` is not a change: unrecognized subcommand 'dance'");
        let text = error("set-role node4=king");
        assert!(text.contains("`king` is not a role: sealer, observer, candidate or none"), "{text}");
        let newer = AnyChange::parse_line("set-parameter protocol_version 1000").unwrap().action("").err().unwrap();
        assert!(newer.to_string().starts_with("this program knows protocol versions up to"), "{newer}");
    }
}
