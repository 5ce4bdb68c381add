//! 0x2000: the parameters that all members of a group must have in common, and who may change them.
//!
//! A value that is set in block h acts from block h + W on, W being the consensus window: by then every node has
//! executed h. One change of a parameter can be on its way at a time.

use crate::{
    Call, Failure, Host, committee,
    host::emit,
    interfaces::IConfiguration,
    members,
    storage::{Storage, after, entry},
};
use alloy_primitives::{Address, U256, address, keccak256};
use lian_types::{
    BlockNumber, COMMITTEE_PROTOCOL, ConsensusParameters, GroupGenesis, PROTOCOL_PARAMETER, UnknownProtocol, limits,
};

/// Where the contract is.
pub const ADDRESS: Address = address!("0000000000000000000000000000000000002000");

/// Mapping from the hash of a parameter's name to its values.
const PARAMETERS: U256 = U256::ZERO;
/// Mapping from operators to 1.
const OPERATORS: U256 = U256::ONE;
/// How many operators there are.
const OPERATOR_COUNT: U256 = U256::from_limbs([2, 0, 0, 0]);
/// The consensus window, fixed by genesis.
const WINDOW: U256 = U256::from_limbs([3, 0, 0, 0]);

/// A parameter that can be changed while the chain runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parameter {
    /// The gas limit of a block, in units of gas.
    BlockGasLimit,
    /// Most transactions in a block.
    BlockTransactionsMax,
    /// The least timeout of a view, in milliseconds.
    ViewTimeoutMs,
    /// The largest timeout of a view, in milliseconds.
    ViewTimeoutMsMax,
    /// The longest wait of an eligible transaction before members change the view, in milliseconds.
    CensorshipTimeoutMs,
    /// The version of the rules that all members have in common ([`lian_types::PROTOCOLS`]). It rises one at a time and
    /// never falls.
    ProtocolVersion,
}

impl Parameter {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::BlockGasLimit,
        Self::BlockTransactionsMax,
        Self::ViewTimeoutMs,
        Self::ViewTimeoutMsMax,
        Self::CensorshipTimeoutMs,
        Self::ProtocolVersion,
    ];

    /// Its name; in the genesis file the same, where it stands there.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::BlockGasLimit => "block_gas_limit",
            Self::BlockTransactionsMax => "block_transactions_max",
            Self::ViewTimeoutMs => "view_timeout_ms",
            Self::ViewTimeoutMsMax => "view_timeout_ms_max",
            Self::CensorshipTimeoutMs => "censorship_timeout_ms",
            Self::ProtocolVersion => PROTOCOL_PARAMETER,
        }
    }

    fn slot(self) -> U256 {
        entry(PARAMETERS, keccak256(self.name()))
    }

    fn of_genesis(self, genesis: &GroupGenesis) -> u64 {
        let ConsensusParameters {
            view_timeout_ms,
            view_timeout_ms_max,
            censorship_timeout_ms,
            block_transactions_max,
            ..
        } = genesis.consensus;
        match self {
            Self::BlockGasLimit => genesis.block_gas_limit,
            Self::BlockTransactionsMax => u64::try_from(block_transactions_max).unwrap_or(u64::MAX),
            Self::ViewTimeoutMs => view_timeout_ms,
            Self::ViewTimeoutMsMax => view_timeout_ms_max,
            Self::CensorshipTimeoutMs => censorship_timeout_ms,
            Self::ProtocolVersion => genesis.protocol_version,
        }
    }
}

/// A parameter's values in storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Values {
    now: u64,
    next: u64,
    /// The first block of `next`; 0 where no change was ever made.
    from: u64,
}

impl Values {
    fn read(storage: &mut Storage<'_>, parameter: Parameter) -> Result<Self, crate::Halt> {
        let slot = parameter.slot();
        Ok(Self {
            now: storage.load_u64(slot)?,
            next: storage.load_u64(after(slot, 1))?,
            from: storage.load_u64(after(slot, 2))?,
        })
    }

    fn write(self, storage: &mut Storage<'_>, parameter: Parameter) -> Result<(), crate::Halt> {
        let slot = parameter.slot();
        storage.store(slot, U256::from(self.now))?;
        storage.store(after(slot, 1), U256::from(self.next))?;
        storage.store(after(slot, 2), U256::from(self.from))
    }

    const fn at(self, block: u64) -> u64 {
        if self.is_pending(block) { self.now } else { self.next }
    }

    const fn is_pending(self, block: u64) -> bool {
        self.from > block
    }
}

/// All parameters, with the changes that are on their way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings([Values; Parameter::ALL.len()]);

impl Settings {
    /// Those of a genesis, for a chain whose parameters never change.
    #[must_use]
    pub fn of_genesis(genesis: &GroupGenesis) -> Self {
        Self(Parameter::ALL.map(|parameter| {
            let value = parameter.of_genesis(genesis);
            Values { now: value, next: value, from: 0 }
        }))
    }

    /// Those of a state.
    ///
    /// # Errors
    /// [`crate::Halt`].
    pub fn read(host: &mut dyn Host) -> Result<Self, crate::Halt> {
        let mut storage = Storage::of(host, ADDRESS);
        let mut values = [Values { now: 0, next: 0, from: 0 }; Parameter::ALL.len()];
        for (parameter, values) in Parameter::ALL.into_iter().zip(&mut values) {
            *values = Values::read(&mut storage, parameter)?;
        }
        Ok(Self(values))
    }

    /// The value of a parameter that acts in a block; known for the blocks within a window of the state that it was read
    /// from.
    #[must_use]
    pub fn at(&self, parameter: Parameter, block: BlockNumber) -> u64 {
        let mut all = Parameter::ALL.into_iter().zip(&self.0);
        all.find(|(other, _)| *other == parameter).map_or(0, |(_, values)| values.at(block.0))
    }

    /// The change to a version of the protocol above `known`, if one acts or is on its way.
    #[must_use]
    pub fn protocol_beyond(&self, known: u64) -> Option<UnknownProtocol> {
        let mut all = Parameter::ALL.into_iter().zip(&self.0);
        let (_, values) = all.find(|(parameter, _)| *parameter == Parameter::ProtocolVersion)?;
        (values.next > known).then_some(UnknownProtocol {
            version: values.next,
            // One that is beyond already has passed every version in between.
            from: BlockNumber(if values.now > known { 0 } else { values.from }),
            known,
        })
    }

    /// The parameters of consensus that act in a block; `fixed` has those that never change.
    #[must_use]
    pub fn consensus_at(&self, block: BlockNumber, fixed: &ConsensusParameters) -> ConsensusParameters {
        let transactions = self.at(Parameter::BlockTransactionsMax, block);
        ConsensusParameters {
            view_timeout_ms: self.at(Parameter::ViewTimeoutMs, block),
            view_timeout_ms_max: self.at(Parameter::ViewTimeoutMsMax, block),
            censorship_timeout_ms: self.at(Parameter::CensorshipTimeoutMs, block),
            block_transactions_max: usize::try_from(transactions).unwrap_or(usize::MAX),
            ..*fixed
        }
    }
}

/// The value of a parameter that acts in a block.
///
/// # Errors
/// [`crate::Halt`].
pub fn value_at(host: &mut dyn Host, parameter: Parameter, block: BlockNumber) -> Result<u64, crate::Halt> {
    Values::read(&mut Storage::of(host, ADDRESS), parameter).map(|values| values.at(block.0))
}

/// The larger of a parameter's present and coming values.
///
/// # Errors
/// [`crate::Halt`].
pub(crate) fn largest(host: &mut dyn Host, parameter: Parameter) -> Result<u64, crate::Halt> {
    Values::read(&mut Storage::of(host, ADDRESS), parameter).map(|values| values.now.max(values.next))
}

/// The consensus window.
///
/// # Errors
/// [`crate::Halt`].
pub fn window(host: &mut dyn Host) -> Result<u64, crate::Halt> {
    Storage::of(host, ADDRESS).load_u64(WINDOW)
}

/// Whether the caller may change configuration and members: the committee where there is one, else an operator.
///
/// # Errors
/// [`crate::Halt`].
pub(crate) fn has_authority(host: &mut dyn Host, call: &Call<'_>) -> Result<bool, crate::Halt> {
    may_govern(host, call.protocol, call.caller)
}

fn may_govern(host: &mut dyn Host, protocol: u64, account: Address) -> Result<bool, crate::Halt> {
    if protocol >= COMMITTEE_PROTOCOL && committee::is_established(host)? {
        return Ok(account == committee::ADDRESS);
    }
    let slot = entry(OPERATORS, account.into_word());
    Ok(!Storage::of(host, ADDRESS).load(slot)?.is_zero())
}

/// What the contract holds at the beginning.
///
/// # Errors
/// Those of the host.
pub fn begin(host: &mut dyn Host, genesis: &GroupGenesis) -> Result<(), crate::Halt> {
    let mut storage = Storage::of(host, ADDRESS);
    for (parameter, values) in Parameter::ALL.into_iter().zip(Settings::of_genesis(genesis).0) {
        values.write(&mut storage, parameter)?;
    }
    storage.store(WINDOW, U256::from(genesis.consensus.window))?;
    for operator in &genesis.operators {
        storage.store(entry(OPERATORS, operator.into_word()), U256::ONE)?;
    }
    storage.store(OPERATOR_COUNT, U256::from(genesis.operators.len()))
}

/// Runs a call.
pub(crate) fn run(
    host: &mut dyn Host,
    call: &Call<'_>,
    input: IConfiguration::IConfigurationCalls,
) -> Result<Vec<u8>, Failure> {
    use IConfiguration::{IConfigurationCalls as Calls, isOperatorCall, parametersCall, windowCall};
    use alloy_sol_types::SolCall;
    match input {
        Calls::set(set) => set_parameter(host, call, &set.name, set.value).map(|()| Vec::new()),
        Calls::setOperator(set) => set_operator(host, call, set.account, set.isOperator).map(|()| Vec::new()),
        Calls::parameters(_) => Ok(parametersCall::abi_encode_returns(&list(host, call.block)?)),
        Calls::isOperator(question) => {
            Ok(isOperatorCall::abi_encode_returns(&may_govern(host, call.protocol, question.account)?))
        }
        Calls::window(_) => Ok(windowCall::abi_encode_returns(&window(host)?)),
    }
}

fn list(host: &mut dyn Host, block: u64) -> Result<Vec<IConfiguration::Parameter>, Failure> {
    let mut storage = Storage::of(host, ADDRESS);
    let mut list = Vec::with_capacity(Parameter::ALL.len());
    for parameter in Parameter::ALL {
        let values = Values::read(&mut storage, parameter)?;
        list.push(IConfiguration::Parameter {
            name: parameter.name().to_owned(),
            value: U256::from(values.at(block)),
            next: U256::from(values.next),
            nextFrom: if values.is_pending(block) { values.from } else { 0 },
        });
    }
    Ok(list)
}

fn authorized(host: &mut dyn Host, call: &Call<'_>) -> Result<(), Failure> {
    let caller = call.caller;
    if has_authority(host, call)? { Ok(()) } else { Err(Failure::revert(&IConfiguration::NotAuthorized { caller })) }
}

fn set_parameter(host: &mut dyn Host, call: &Call<'_>, name: &str, value: U256) -> Result<(), Failure> {
    authorized(host, call)?;
    let Some(parameter) = Parameter::ALL.into_iter().find(|parameter| parameter.name() == name) else {
        return Err(Failure::revert(&IConfiguration::UnknownParameter { name: name.to_owned() }));
    };
    let (least, most) = range(host, parameter)?;
    let checked = u64::try_from(value).ok().filter(|value| (least..=most).contains(value));
    let Some(next) = checked else {
        let (name, least, most) = (name.to_owned(), U256::from(least), U256::from(most));
        return Err(Failure::revert(&IConfiguration::OutOfRange { name, value, least, most }));
    };
    let window = window(host)?;
    let mut storage = Storage::of(host, ADDRESS);
    let values = Values::read(&mut storage, parameter)?;
    let from = call.block.saturating_add(window);
    // A change of this very block may still be changed: nobody has acted on it.
    if values.is_pending(call.block) && values.from != from {
        let (name, until) = (name.to_owned(), values.from);
        return Err(Failure::revert(&IConfiguration::ChangePending { name, until }));
    }
    Values { now: values.at(call.block), next, from }.write(&mut storage, parameter)?;
    emit(host, &IConfiguration::ParameterSet { name: name.to_owned(), value, from })
}

/// What a parameter may become, given the others as they are and will be.
fn range(host: &mut dyn Host, parameter: Parameter) -> Result<(u64, u64), Failure> {
    let mut values = |parameter| Values::read(&mut Storage::of(host, ADDRESS), parameter);
    Ok(match parameter {
        Parameter::BlockGasLimit => (limits::TRANSACTION_GAS_LIMIT_MAX, u64::MAX >> 1),
        Parameter::BlockTransactionsMax => {
            let most = members::transactions_max(host)?;
            (1, most)
        }
        Parameter::ViewTimeoutMs => {
            let (largest, censorship) = (values(Parameter::ViewTimeoutMsMax)?, values(Parameter::CensorshipTimeoutMs)?);
            let most = [largest.now, largest.next, censorship.now, censorship.next, 60_000];
            (50, most.into_iter().min().unwrap_or(50))
        }
        Parameter::ViewTimeoutMsMax => {
            let least = values(Parameter::ViewTimeoutMs)?;
            (least.now.max(least.next), 600_000)
        }
        Parameter::CensorshipTimeoutMs => {
            let least = values(Parameter::ViewTimeoutMs)?;
            (least.now.max(least.next), u64::MAX)
        }
        Parameter::ProtocolVersion => {
            let version = values(Parameter::ProtocolVersion)?;
            (version.next, version.next.saturating_add(1))
        }
    })
}

fn set_operator(host: &mut dyn Host, call: &Call<'_>, account: Address, is_operator: bool) -> Result<(), Failure> {
    authorized(host, call)?;
    let mut storage = Storage::of(host, ADDRESS);
    let slot = entry(OPERATORS, account.into_word());
    let was = !storage.load(slot)?.is_zero();
    if was == is_operator {
        return Ok(());
    }
    let count = storage.load_u64(OPERATOR_COUNT)?;
    if was && count <= 1 {
        return Err(Failure::revert(&IConfiguration::LastOperator { account }));
    }
    storage.store(slot, U256::from(is_operator))?;
    let count = if is_operator { count.saturating_add(1) } else { count.saturating_sub(1) };
    storage.store(OPERATOR_COUNT, U256::from(count))?;
    emit(host, &IConfiguration::OperatorSet { account, isOperator: is_operator })
}
