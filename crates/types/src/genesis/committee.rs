//! The committee that a group begins with.

use super::{GenesisError, is_reserved, unique};
use crate::{COMMITTEE_PROTOCOL, GroupGenesis, limits};
use alloy_primitives::Address;
use serde::{Deserialize, Serialize};

/// The committee of a group from its first block on, by the contract at 0x2004.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommitteeGenesis {
    /// So many per cent of all weight must have voted: 1 to 100.
    pub participation: u8,
    /// So many per cent of what has voted must approve: 51 to 100.
    pub approval: u8,
    /// Who votes: 1 to [`limits::COMMITTEE_MEMBERS_MAX`].
    pub members: Vec<CommitteeMember>,
}

/// An account that votes in a committee.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommitteeMember {
    /// The account.
    pub account: Address,
    /// The institution that it votes for.
    pub institution: String,
    /// What its vote weighs: at least 1. All weights together fit 32 bits.
    pub weight: u32,
}

impl CommitteeGenesis {
    /// Checks every range and reference within a group; `is_institution` knows the institutions' names.
    pub(super) fn check(
        &self,
        group: &GroupGenesis,
        is_institution: impl Fn(&str) -> bool,
    ) -> Result<(), GenesisError> {
        let invalid = |what: String| Err(GenesisError::Committee { group: group.group, what });
        let Self { participation, approval, members } = self;
        let (least, most) = (limits::COMMITTEE_APPROVAL_MIN, limits::PER_CENT_MAX);
        if group.protocol_version < COMMITTEE_PROTOCOL {
            let version = group.protocol_version;
            return invalid(format!("there is one from protocol_version {COMMITTEE_PROTOCOL} on, and it is {version}"));
        }
        if !(1..=most).contains(participation) {
            return invalid(format!("participation is {participation}, must be 1 to {most}"));
        }
        if !(least..=most).contains(approval) {
            return invalid(format!("approval is {approval}, must be {least} to {most}"));
        }
        if !(1..=limits::COMMITTEE_MEMBERS_MAX).contains(&members.len()) {
            return invalid(format!("{} members, must be 1 to {}", members.len(), limits::COMMITTEE_MEMBERS_MAX));
        }
        unique("committee member", members.iter().map(|member| member.account.to_string()))?;
        let mut total = 0_u32;
        for CommitteeMember { account, institution, weight } in members {
            if account.is_zero() || is_reserved(account) {
                return invalid(format!("{account} cannot be a member"));
            }
            if !is_institution(institution) {
                return Err(GenesisError::Unknown { what: "institution", value: institution.clone() });
            }
            match total.checked_add(*weight) {
                Some(sum) if *weight > 0 => total = sum,
                _ => return invalid(format!("{account} has weight {weight}, must be at least 1, and all fit 32 bits")),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_bad_values_by_name() {
        type Change = fn(&mut GroupGenesis, &mut CommitteeGenesis);
        let member = |byte| CommitteeMember {
            account: Address::with_last_byte(byte),
            institution: "bank".to_owned(),
            weight: 1 << 31,
        };
        let account = "0x0000000000000000000000000000000000000001";
        let cases: [(Change, String); 9] = [
            (
                |g, _| g.protocol_version = 1,
                "genesis: group 0: committee: there is one from protocol_version 2 on, and it is 1".to_owned(),
            ),
            (
                |_, c| c.participation = 0,
                "genesis: group 0: committee: participation is 0, must be 1 to 100".to_owned(),
            ),
            (|_, c| c.approval = 50, "genesis: group 0: committee: approval is 50, must be 51 to 100".to_owned()),
            (|_, c| c.approval = 101, "genesis: group 0: committee: approval is 101, must be 51 to 100".to_owned()),
            (|_, c| c.members.clear(), "genesis: group 0: committee: 0 members, must be 1 to 64".to_owned()),
            (
                |_, c| c.members.push(c.members[0].clone()),
                format!("genesis: committee member `{account}` stands twice"),
            ),
            (|_, c| c.members[0].institution = "x".to_owned(), "genesis: institution `x` is not defined".to_owned()),
            (
                |_, c| c.members[0].weight = 0,
                format!("genesis: group 0: committee: {account} has weight 0, must be at least 1, and all fit 32 bits"),
            ),
            (
                |_, c| c.members[0].account = alloy_primitives::address!("0x0000000000000000000000000000000000002004"),
                "genesis: group 0: committee: 0x0000000000000000000000000000000000002004 cannot be a member".to_owned(),
            ),
        ];
        let genesis = super::super::tests::genesis();
        for (change, message) in cases {
            let mut group = genesis.groups[0].clone();
            group.protocol_version = COMMITTEE_PROTOCOL;
            let mut committee = CommitteeGenesis { participation: 1, approval: 51, members: vec![member(1)] };
            committee.check(&group, |name| name == "bank").unwrap();
            change(&mut group, &mut committee);
            assert_eq!(committee.check(&group, |name| name == "bank").unwrap_err().to_string(), message);
        }
        let mut group = genesis.groups[0].clone();
        group.protocol_version = COMMITTEE_PROTOCOL;
        let two = CommitteeGenesis { participation: 1, approval: 51, members: vec![member(1), member(2)] };
        let error = two.check(&group, |_| true).unwrap_err().to_string();
        assert!(error.contains("0x0000000000000000000000000000000000000002 has weight 2147483648"), "{error}");
    }
}
