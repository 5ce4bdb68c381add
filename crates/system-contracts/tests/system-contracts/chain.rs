//! A chain that is nothing but system contracts.

use alloy_primitives::{Address, B256, Bytes, LogData, U256, address};
use alloy_sol_types::{SolCall, SolError};
use lian_crypto::{ConsensusSecretKey, Suite};
use lian_system_contracts::{CREDIT_GAS, Call, Failure, Halt, Host, addresses, begin, credited, run};
use lian_types::{
    CommitteeGenesis, ConsensusKey, ConsensusParameters, Genesis, GroupGenesis, GroupId, Institution, Millis,
    NodeEntry, PROTOCOL_VERSION_MAX, limits,
};
use std::collections::BTreeMap;

pub(crate) const OPERATOR: Address = address!("00000000000000000000000000000000000000aa");
pub(crate) const STRANGER: Address = address!("00000000000000000000000000000000000000bb");

pub(crate) fn key(number: u8) -> ConsensusKey {
    ConsensusSecretKey::from_bytes(Suite::Standard, &[number.wrapping_add(1); 32]).public()
}

/// The slots that a call has read, written and credited, in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Accesses {
    pub(crate) loaded: Vec<U256>,
    pub(crate) stored: Vec<U256>,
    pub(crate) credited: Vec<U256>,
}

/// They are no part of the chain.
impl PartialEq for Accesses {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Accesses {}

/// Storage and events of all contracts.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub(crate) struct Chain {
    slots: BTreeMap<(Address, U256), U256>,
    pub(crate) codes: BTreeMap<Address, Bytes>,
    pub(crate) logs: Vec<LogData>,
    /// What the last call did that succeeded.
    pub(crate) accesses: Accesses,
    pub(crate) block: u64,
    /// In seconds.
    pub(crate) time: u64,
    pub(crate) protocol: u64,
    /// Gas left for each call.
    pub(crate) gas: u64,
}

impl Chain {
    /// A group of so many sealers, with one observer and one operator.
    pub(crate) fn new(sealers: u8, consensus: ConsensusParameters) -> Self {
        Self::begun(sealers, consensus, None)
    }

    /// The same with a committee from the beginning.
    pub(crate) fn begun(sealers: u8, consensus: ConsensusParameters, committee: Option<CommitteeGenesis>) -> Self {
        let node = |number: u8| NodeEntry {
            name: format!("node{number}"),
            institution: "bank".to_owned(),
            consensus_key: key(number),
        };
        let group = GroupGenesis {
            group: GroupId(0),
            chain_id: 1,
            time: Millis(0),
            block_gas_limit: limits::BLOCK_GAS_LIMIT_DEFAULT,
            consensus,
            sealers: (0..sealers).map(|number| format!("node{number}")).collect(),
            operators: vec![OPERATOR],
            committee,
            protocol_version: 0,
            accounts: BTreeMap::new(),
        };
        let genesis = Genesis {
            version: 1,
            suite: Suite::Standard.name().to_owned(),
            certificate_authorities: vec![],
            institutions: vec![Institution { name: "bank".to_owned() }],
            nodes: (0..=sealers).map(node).collect(),
            groups: vec![group.clone()],
        };
        let mut chain =
            Self { gas: 10_000_000, time: 1_700_000_000, protocol: PROTOCOL_VERSION_MAX, ..Self::default() };
        for contract in addresses(PROTOCOL_VERSION_MAX) {
            let mut host = MemoryHost::new(&mut chain, contract, false, u64::MAX);
            begin(&mut host, contract, &genesis, &group).unwrap();
        }
        chain
    }

    fn write(&mut self, contract: Address, slot: U256, value: U256) {
        if value.is_zero() {
            self.slots.remove(&(contract, slot));
        } else {
            self.slots.insert((contract, slot), value);
        }
    }

    /// All that a contract holds.
    pub(crate) fn slots_of(&self, contract: Address) -> BTreeMap<U256, U256> {
        let own = self.slots.iter().filter(|((owner, _), _)| *owner == contract);
        own.map(|((_, slot), value)| (*slot, *value)).collect()
    }

    /// What stands in a slot.
    pub(crate) fn slot(&self, contract: Address, slot: U256) -> U256 {
        self.slots.get(&(contract, slot)).copied().unwrap_or_default()
    }

    fn call_raw(
        &mut self,
        contract: Address,
        caller: Address,
        input: &[u8],
        is_static: bool,
    ) -> Result<Vec<u8>, Failure> {
        let mut next = Self { accesses: Accesses::default(), ..self.clone() };
        let Self { block, time, protocol, gas, .. } = *self;
        let call = Call { caller, value: U256::ZERO, input, is_static, suite: Suite::Standard, block, time, protocol };
        let mut host = MemoryHost::new(&mut next, contract, is_static, gas);
        let output = run(&mut host, contract, &call)?;
        *self = next;
        Ok(output)
    }

    /// Calls as the operator.
    pub(crate) fn call<C: SolCall>(&mut self, contract: Address, call: &C) -> Result<C::Return, Failure> {
        self.call_as(OPERATOR, contract, call)
    }

    pub(crate) fn call_as<C: SolCall>(
        &mut self,
        caller: Address,
        contract: Address,
        call: &C,
    ) -> Result<C::Return, Failure> {
        let output = self.call_raw(contract, caller, &call.abi_encode(), false)?;
        Ok(C::abi_decode_returns_validate(&output).unwrap())
    }

    pub(crate) fn input(&mut self, contract: Address, input: &[u8]) -> Result<Vec<u8>, Failure> {
        self.call_raw(contract, OPERATOR, input, false)
    }

    pub(crate) fn input_as(&mut self, caller: Address, contract: Address, input: &[u8]) -> Result<Vec<u8>, Failure> {
        self.call_raw(contract, caller, input, false)
    }

    pub(crate) fn static_call(&mut self, contract: Address, call: &impl SolCall) -> Result<Vec<u8>, Failure> {
        self.call_raw(contract, OPERATOR, &call.abi_encode(), true)
    }

    /// The slots as the chain reads them, without gas.
    pub(crate) fn reader(&mut self) -> MemoryHost<'_> {
        MemoryHost::new(self, Address::ZERO, true, u64::MAX)
    }
}

/// The error that a call reverted with.
pub(crate) fn reverted<E: SolError>(outcome: Result<impl Sized, Failure>) -> E {
    match outcome.err() {
        Some(Failure::Revert(data)) => E::abi_decode_validate(&data).unwrap(),
        Some(Failure::Halt(halt)) => panic!("{halt}"),
        None => panic!("no revert"),
    }
}

pub(crate) struct MemoryHost<'a> {
    chain: &'a mut Chain,
    contract: Address,
    is_static: bool,
    gas: u64,
    /// Contracts that have entered another, with what stood then.
    entered: Vec<(Address, Chain)>,
}

impl<'a> MemoryHost<'a> {
    fn new(chain: &'a mut Chain, contract: Address, is_static: bool, gas: u64) -> Self {
        Self { chain, contract, is_static, gas, entered: Vec::new() }
    }
}

impl Host for MemoryHost<'_> {
    fn load(&mut self, contract: Address, slot: U256) -> Result<U256, Halt> {
        self.charge(100)?;
        self.chain.accesses.loaded.push(slot);
        Ok(self.chain.slot(contract, slot))
    }

    fn store(&mut self, slot: U256, value: U256) -> Result<(), Halt> {
        if self.is_static {
            return Err(Halt::Static);
        }
        self.charge(5_000)?;
        self.chain.accesses.stored.push(slot);
        self.chain.write(self.contract, slot, value);
        Ok(())
    }

    fn credit(&mut self, slot: U256, amount: U256) -> Result<(), Halt> {
        if self.is_static {
            return Err(Halt::Static);
        }
        self.charge(CREDIT_GAS)?;
        self.chain.accesses.credited.push(slot);
        self.chain.write(self.contract, slot, credited(slot, self.chain.slot(self.contract, slot), amount)?);
        Ok(())
    }

    fn log(&mut self, topics: Vec<B256>, data: Bytes) -> Result<(), Halt> {
        if self.is_static {
            return Err(Halt::Static);
        }
        self.chain.logs.push(LogData::new_unchecked(topics, data));
        Ok(())
    }

    fn charge(&mut self, gas: u64) -> Result<(), Halt> {
        self.gas = self.gas.checked_sub(gas).ok_or(Halt::OutOfGas)?;
        Ok(())
    }

    fn code(&mut self, account: Address) -> Result<Bytes, Halt> {
        self.charge(100)?;
        Ok(self.chain.codes.get(&account).cloned().unwrap_or_default())
    }

    fn create(&mut self, account: Address, code: Bytes) -> Result<bool, Halt> {
        if self.is_static {
            return Err(Halt::Static);
        }
        self.charge(32_000)?;
        if self.chain.codes.contains_key(&account) {
            return Ok(false);
        }
        self.chain.codes.insert(account, code);
        Ok(true)
    }

    fn enter(&mut self, contract: Address) {
        self.entered.push((self.contract, self.chain.clone()));
        self.contract = contract;
    }

    fn leave(&mut self, is_kept: bool) {
        let (contract, before) = self.entered.pop().unwrap();
        self.contract = contract;
        if !is_kept {
            *self.chain = before;
        }
    }
}
