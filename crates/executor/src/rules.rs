//! The rules of a chain and the surroundings of a block, as the EVM wants them.

use crate::governance::protocol;
use crate::{ExecutionError, StateReader};
use alloy_primitives::{Address, B256, U256};
use lian_crypto::Suite;
use lian_types::{BlockNumber, GroupGenesis, Header, PERMISSIONS_PROTOCOL};
use revm::context::{BlockEnv, CfgEnv};
use revm::context_interface::block::BlobExcessGasAndPrice;
use revm::primitives::hardfork::SpecId;

/// Who pays for gas.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Fees {
    /// Nobody: prices are neither charged nor checked, and contracts see a gas price of zero. Lian's rule.
    #[default]
    Free,
    /// The sender, as on Ethereum: for running Ethereum's own tests.
    Ethereum,
}

/// The rules under which transactions run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// The chain's algorithms.
    pub suite: Suite,
    /// The EIP-155 chain id.
    pub chain_id: u64,
    /// The fork whose rules apply.
    pub spec: SpecId,
    /// Who pays for gas.
    pub fees: Fees,
    /// Whether the chain has system contracts.
    pub system_contracts: bool,
}

impl Rules {
    /// Lian's rules: Osaka, without fees.
    #[must_use]
    pub const fn new(suite: Suite, chain_id: u64) -> Self {
        Self { suite, chain_id, spec: SpecId::OSAKA, fees: Fees::Free, system_contracts: false }
    }

    /// Those of a group: with system contracts where its genesis names operators.
    #[must_use]
    pub const fn of_group(suite: Suite, group: &GroupGenesis) -> Self {
        Self { system_contracts: group.is_governed(), ..Self::new(suite, group.chain_id) }
    }

    /// The same on a chain whose genesis names operators and so has system contracts.
    #[must_use]
    pub const fn with_system_contracts(self) -> Self {
        Self { system_contracts: true, ..self }
    }

    /// These rules as the EVM's configuration.
    pub(crate) fn configuration(&self) -> CfgEnv {
        let mut configuration = CfgEnv::new().with_chain_id(self.chain_id).with_spec_and_mainnet_gas_params(self.spec);
        configuration.tx_chain_id_check = true;
        configuration
    }
}

/// The rules of one block: its chain's, and what of them hangs on the version of the protocol that acts in it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BlockRules {
    pub(crate) chain: Rules,
    /// The version that acts; nothing where there are no system contracts.
    protocol: Option<u64>,
}

impl BlockRules {
    /// Those of a block, by its parent's state or by its own: as for every parameter, both know the version that acts in it.
    ///
    /// # Errors
    /// [`ExecutionError::Protocol`] for a version that this program does not know; [`ExecutionError::State`].
    pub(crate) fn new(rules: &Rules, state: &dyn StateReader, block: u64) -> Result<Self, ExecutionError> {
        let protocol = if rules.system_contracts { Some(protocol(state, BlockNumber(block))?) } else { None };
        Ok(Self { chain: *rules, protocol })
    }

    /// The version of the protocol that acts; 0 where there are no system contracts.
    pub(crate) fn protocol(&self) -> u64 {
        self.protocol.unwrap_or_default()
    }

    /// Whether there is the contract that says who may call whom.
    pub(crate) fn has_permissions(&self) -> bool {
        self.protocol() >= PERMISSIONS_PROTOCOL
    }

    /// The system contracts that there are.
    pub(crate) fn contracts(&self) -> impl Iterator<Item = Address> {
        self.protocol.into_iter().flat_map(lian_system_contracts::addresses)
    }

    /// Those whose accounts a block must make where they are missing.
    pub(crate) fn added_contracts(&self) -> impl Iterator<Item = Address> {
        self.protocol.into_iter().flat_map(lian_system_contracts::added)
    }
}

/// What a transaction can see of the block that it is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockEnvironment {
    /// The block's height.
    pub number: u64,
    /// The block's time, in seconds since 1970.
    pub timestamp: u64,
    /// The proposer's address, `block.coinbase`.
    pub beneficiary: Address,
    /// The block's gas limit, in units of gas.
    pub gas_limit: u64,
    /// The base fee of a unit of gas, in wei; 0 on Lian's chains.
    pub base_fee: u64,
    /// `block.difficulty` before the merge; 0 on Lian's chains.
    pub difficulty: U256,
    /// `block.prevrandao`; 0 on Lian's chains.
    pub prevrandao: B256,
    /// The price of a unit of blob gas, in wei. Lian has no blobs; the opcode `BLOBBASEFEE` shows Ethereum's minimum, 1.
    pub blob_base_fee: u128,
    /// The parent's hash, where the block begins by writing it to the history contract (EIP-2935).
    pub parent_hash: Option<B256>,
}

impl BlockEnvironment {
    /// The surroundings of a block that has nothing but these.
    #[must_use]
    pub const fn new(number: u64, timestamp: u64, beneficiary: Address, gas_limit: u64) -> Self {
        Self {
            number,
            timestamp,
            beneficiary,
            gas_limit,
            base_fee: 0,
            difficulty: U256::ZERO,
            prevrandao: B256::ZERO,
            blob_base_fee: 1,
            parent_hash: None,
        }
    }

    /// The surroundings that the transactions of a block with this header had.
    #[must_use]
    pub const fn of_header(header: &Header) -> Self {
        let mut environment = Self::new(header.number, header.timestamp, header.beneficiary, header.gas_limit);
        environment.parent_hash = Some(header.parent_hash);
        environment
    }

    /// The surroundings for a call on top of a block: the same height and time as the block has.
    #[must_use]
    pub const fn on_top_of(header: &Header) -> Self {
        let mut environment = Self::of_header(header);
        environment.parent_hash = None;
        environment
    }

    /// The surroundings for what will be in the next block: `now` is the time, in seconds since 1970.
    #[must_use]
    pub const fn following(mut self, now: u64) -> Self {
        self.number = self.number.saturating_add(1);
        if self.timestamp < now {
            self.timestamp = now;
        }
        self
    }

    pub(crate) fn block_env(&self) -> BlockEnv {
        BlockEnv {
            number: U256::from(self.number),
            beneficiary: self.beneficiary,
            timestamp: U256::from(self.timestamp),
            gas_limit: self.gas_limit,
            basefee: self.base_fee,
            difficulty: self.difficulty,
            prevrandao: Some(self.prevrandao),
            blob_excess_gas_and_price: Some(BlobExcessGasAndPrice {
                excess_blob_gas: 0,
                blob_gasprice: self.blob_base_fee,
            }),
            slot_num: 0,
        }
    }
}
