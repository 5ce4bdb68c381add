//! Precompiled contracts that a call may have moved to other addresses.

use crate::rules::BlockRules;
use crate::system::ChainPrecompiles;
use alloy_primitives::Address;
use alloy_primitives::map::{AddressMap, AddressSet};
use revm::context::Cfg;
use revm::context_interface::ContextTr;
use revm::handler::PrecompileProvider;
use revm::interpreter::{CallInputs, InterpreterResult};

/// The chain's precompiled contracts, some of them elsewhere (`movePrecompileToAddress`).
#[derive(Clone, Debug)]
pub(crate) struct CallPrecompiles {
    chain: ChainPrecompiles,
    /// Where each address's precompiled contract was before; `None` where there is none any more.
    moved: AddressMap<Option<Address>>,
    addresses: AddressSet,
}

impl CallPrecompiles {
    pub(crate) fn new(rules: &BlockRules) -> Self {
        let chain = ChainPrecompiles::new(rules);
        let addresses = chain.addresses().clone();
        Self { chain, moved: AddressMap::default(), addresses }
    }

    pub(crate) fn is_precompile(&self, address: &Address) -> bool {
        self.addresses.contains(address)
    }

    /// Moves the precompiled contract at `from`; there must be one.
    pub(crate) fn relocate(&mut self, from: Address, to: Address) {
        let origin = self.moved.get(&from).copied().flatten().unwrap_or(from);
        self.moved.insert(from, None);
        self.moved.insert(to, Some(origin));
        self.addresses.remove(&from);
        self.addresses.insert(to);
    }
}

impl<CTX: ContextTr> PrecompileProvider<CTX> for CallPrecompiles {
    type Output = InterpreterResult;

    fn set_spec(&mut self, spec: <CTX::Cfg as Cfg>::Spec) -> bool {
        // The fork never changes within a call: it was fixed when this was made.
        let _ = spec;
        false
    }

    fn run(&mut self, context: &mut CTX, inputs: &CallInputs) -> Result<Option<InterpreterResult>, String> {
        match self.moved.get(&inputs.bytecode_address) {
            None => PrecompileProvider::<CTX>::run(&mut self.chain, context, inputs),
            Some(None) => Ok(None),
            Some(Some(origin)) => {
                let inputs = CallInputs { bytecode_address: *origin, ..inputs.clone() };
                PrecompileProvider::<CTX>::run(&mut self.chain, context, &inputs)
            }
        }
    }

    fn warm_addresses(&self) -> &AddressSet {
        &self.addresses
    }
}
