//! What is known of a name.
//!
//! | slot | what |
//! |---|---|
//! | 0 | the version that answers (a [`Pointer`]): all that a call of the alias needs, unless there is a canary |
//! | 1 | the owner in the lowest 20 bytes, then a byte with the kind |
//! | 2 | the name |
//! | 3 | `Version[]`: the versions (`names/version.rs`) |
//! | 4 | `mapping(bytes32 => uint256)`: from the hash of a version's text to its number |
//! | 5, 6 | `Set`: the delegates |
//! | 7 | `Switch[]`: what answered when (`names/version.rs`) |
//! | 8 | the canary (a [`Pointer`]) |
//! | 9 | the contract that decides about it |
//! | 10 | how many canaries there were |
//! | 11 | `mapping(uint256 => Set)`: from a canary's number to the callers listed for it |

use super::{ADDRESS, Kind, Name, RECORDS, alias::Answer, load, store};
use crate::{
    Call, Failure, Halt, Host,
    interfaces::INames,
    set::Set,
    storage::{Storage, after, entry},
};
use alloy_primitives::{Address, B256, U256};

const HEAD: u64 = 1;
const NAME: u64 = 2;
pub(super) const VERSIONS: u64 = 3;
pub(super) const NUMBERS: u64 = 4;
const DELEGATES: u64 = 5;
pub(super) const SWITCHES: u64 = 7;
const CANARY: u64 = 8;
const CANARY_RULE: u64 = 9;
const CANARY_ROUND: u64 = 10;
const CANARY_CALLERS: u64 = 11;

/// A version in one word: its address in the lowest 20 bytes, then two each with its number and a share, and one with flags.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Pointer {
    pub(super) target: Address,
    /// From 1.
    pub(super) number: u16,
    /// Of a canary, in hundredths of a per cent.
    pub(super) basis_points: u16,
    flags: u8,
}

impl Pointer {
    /// Of what answers: there is a canary.
    pub(super) const CANARY: u8 = 1;
    /// Of a canary: it stays as it is, some callers are listed, a contract decides.
    pub(super) const HELD: u8 = 2;
    pub(super) const CALLERS: u8 = 4;
    pub(super) const RULE: u8 = 8;

    pub(super) const fn to(Answer { number, target }: Answer) -> Self {
        Self { target, number, basis_points: 0, flags: 0 }
    }

    pub(super) fn of(word: U256) -> Self {
        let [_, _, _, _, _, _, _, flags, share_high, share_low, number_high, number_low, target @ ..] =
            word.to_be_bytes::<32>();
        Self {
            target: target.into(),
            number: u16::from_be_bytes([number_high, number_low]),
            basis_points: u16::from_be_bytes([share_high, share_low]),
            flags,
        }
    }

    pub(super) fn word(self) -> U256 {
        let mut word = self.target.into_word().0;
        word[10..12].copy_from_slice(&self.number.to_be_bytes());
        word[8..10].copy_from_slice(&self.basis_points.to_be_bytes());
        word[7] = self.flags;
        U256::from_be_bytes(word)
    }

    pub(super) const fn with_share(self, basis_points: u16) -> Self {
        Self { basis_points, ..self }
    }

    pub(super) const fn answer(self) -> Answer {
        Answer { number: self.number, target: self.target }
    }

    pub(super) const fn has(self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    pub(super) const fn with(self, flag: u8, value: bool) -> Self {
        let flags = if value { self.flags | flag } else { self.flags & !flag };
        Self { flags, ..self }
    }
}

/// A name that there is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record {
    pub(super) node: B256,
    pub(super) owner: Address,
    pub(super) kind: Kind,
}

impl Record {
    /// That of a node, where there is one.
    pub(super) fn find(host: &mut dyn Host, node: B256) -> Result<Option<Self>, Halt> {
        let word = load(host, slot(node, HEAD))?;
        // No name has the zero address as its owner.
        let owner = Address::from_word(word.into());
        if owner.is_zero() {
            return Ok(None);
        }
        let unknown = || Halt::State(format!("the name with the node {node} has the kind {}", word.byte(20)));
        let kind = Kind::of(word.byte(20)).ok_or_else(unknown)?;
        Ok(Some(Self { node, owner, kind }))
    }

    /// That of a name that there must be.
    pub(super) fn of(host: &mut dyn Host, written: &str) -> Result<Self, Failure> {
        let name = Name::of(host, written)?;
        let unknown = || Failure::revert(&INames::UnknownName { name: name.text().to_owned() });
        Self::find(host, name.node())?.ok_or_else(unknown)
    }

    /// That of a name whose versions the caller may decide about.
    pub(super) fn steered(host: &mut dyn Host, call: &Call<'_>, written: &str) -> Result<Self, Failure> {
        let record = Self::of(host, written)?;
        if record.is_steered_by(host, call.caller)? { Ok(record) } else { Err(record.refuse(call)) }
    }

    pub(super) fn is_steered_by(self, host: &mut dyn Host, account: Address) -> Result<bool, Halt> {
        Ok(self.owner == account || self.delegates().contains(host, account.into_word())?)
    }

    pub(super) fn refuse(self, call: &Call<'_>) -> Failure {
        Failure::revert(&INames::NotAuthorized { node: self.node, caller: call.caller })
    }

    pub(super) fn store(self, host: &mut dyn Host) -> Result<(), Halt> {
        let mut word = self.owner.into_word();
        word[11] = self.kind as u8;
        store(host, self.slot(HEAD), word.into())
    }

    pub(super) fn slot(self, offset: u64) -> U256 {
        slot(self.node, offset)
    }

    pub(super) fn delegates(self) -> Set {
        Set::new(ADDRESS, self.slot(DELEGATES))
    }

    pub(super) fn name(self, host: &mut dyn Host) -> Result<String, Halt> {
        Storage::of(host, ADDRESS).load_text(self.slot(NAME))
    }

    pub(super) fn store_name(self, host: &mut dyn Host, name: &Name) -> Result<(), Halt> {
        Storage::of(host, ADDRESS).store_bytes(self.slot(NAME), name.text().as_bytes())
    }

    /// What answers; nothing where no version was published.
    pub(super) fn current(self, host: &mut dyn Host) -> Result<Option<Pointer>, Halt> {
        let current = Pointer::of(load(host, answering_slot(self.node))?);
        Ok(if current.number == 0 { None } else { Some(current) })
    }

    pub(super) fn store_current(self, host: &mut dyn Host, current: Pointer) -> Result<(), Halt> {
        store(host, answering_slot(self.node), current.word())
    }

    /// The canary. It means nothing unless what answers says that there is one.
    pub(super) fn canary(self, host: &mut dyn Host) -> Result<Pointer, Halt> {
        Ok(Pointer::of(load(host, canary_slot(self.node))?))
    }

    pub(super) fn store_canary(self, host: &mut dyn Host, canary: Pointer) -> Result<(), Halt> {
        store(host, canary_slot(self.node), canary.word())
    }

    /// The callers that are listed for the present canary.
    pub(super) fn callers(self, host: &mut dyn Host) -> Result<Set, Halt> {
        let round = load(host, canary_round_slot(self.node))?;
        Ok(canary_callers(self.node, round))
    }

    /// The contract that decides about the canary, if its flag says that there is one.
    pub(super) fn rule(self, host: &mut dyn Host) -> Result<Address, Halt> {
        Ok(Address::from_word(load(host, canary_rule_slot(self.node))?.into()))
    }
}

fn slot(node: B256, offset: u64) -> U256 {
    after(entry(RECORDS, node), offset)
}

pub(super) fn answering_slot(node: B256) -> U256 {
    slot(node, 0)
}

pub(super) fn canary_slot(node: B256) -> U256 {
    slot(node, CANARY)
}

pub(super) fn canary_rule_slot(node: B256) -> U256 {
    slot(node, CANARY_RULE)
}

pub(super) fn canary_round_slot(node: B256) -> U256 {
    slot(node, CANARY_ROUND)
}

pub(super) fn canary_callers(node: B256, round: U256) -> Set {
    Set::new(ADDRESS, entry(slot(node, CANARY_CALLERS), round.into()))
}
