//! Who may call whom: the permission contract's verdicts on the frames of an EVM.

use crate::rules::BlockRules;
use crate::system::ReadHost;
use crate::{StateError, StateReader};
use alloy_primitives::map::HashMap;
use alloy_primitives::{Address, B256, U256};
use lian_system_contracts::permissions::{
    self, ADDRESS, CallQuestion, Denial, FILTER_SLOTS, Judgement, Method, filter_slot, is_creation_restricted,
    is_in_filter, judge_call, judge_creation,
};
use lian_types::limits::VERDICTS_MAX;
use quick_cache::sync::Cache;

/// The verdicts of one block, by the state of its parent: what is decided in the block does not act in it. So verdicts do not
/// make transactions depend on each other, however they are executed.
#[derive(Clone)]
pub(crate) struct Gate<'a> {
    state: &'a dyn StateReader,
    /// The filter's slots, as far as they have been needed.
    filter: [Option<U256>; FILTER_SLOTS],
    /// Verdicts that have been given in this block.
    calls: HashMap<CallQuestion, Option<Denial>>,
    /// Those of earlier ones, and the digest under which they still hold.
    known: Option<(&'a KnownVerdicts, B256)>,
    /// Whether only deployers create contracts, once that was needed.
    restricted: Option<bool>,
    /// All verdicts with their reasons, in order, for who wants to know.
    record: Option<Vec<Verdict>>,
}

/// Calls that are allowed, each as long as everything that was ever decided is what it was: callers return, and their right
/// to what they call is looked up once.
#[derive(Debug)]
pub(crate) struct KnownVerdicts(Cache<(B256, CallQuestion), ()>);

impl Default for KnownVerdicts {
    fn default() -> Self {
        Self(Cache::new(VERDICTS_MAX))
    }
}

/// What a verdict was asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// A call.
    Call(CallQuestion),
    /// The creation of a contract.
    Creation {
        /// The account or contract that creates it.
        creator: Address,
        /// Where it will be.
        created: Address,
    },
}

/// A verdict that was given while something ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// How deep, 0 being the transaction itself.
    pub depth: usize,
    /// On what.
    pub question: Question,
    /// The verdict.
    pub judgement: Judgement,
}

impl<'a> Gate<'a> {
    /// The gate of a block, by its parent's state; none as long as nothing was ever decided.
    pub(crate) fn new(
        rules: &BlockRules,
        state: &'a dyn StateReader,
        known: Option<&'a KnownVerdicts>,
    ) -> Result<Option<Self>, StateError> {
        if !rules.has_permissions() {
            return Ok(None);
        }
        let digest = permissions::digest(&mut ReadHost(state)).map_err(StateError::new)?;
        let known = known.map(|known| (known, digest));
        Ok((digest != B256::ZERO).then(|| Self { known, ..Self::of(state, None) }))
    }

    /// The same, keeping all verdicts with their reasons; also where nothing was decided.
    pub(crate) fn recording(rules: &BlockRules, state: &'a dyn StateReader) -> Option<Self> {
        rules.has_permissions().then(|| Self::of(state, Some(Vec::new())))
    }

    fn of(state: &'a dyn StateReader, record: Option<Vec<Verdict>>) -> Self {
        let (filter, calls) = ([None; FILTER_SLOTS], HashMap::default());
        Self { state, filter, calls, known: None, restricted: None, record }
    }

    /// The verdicts that were kept.
    pub(crate) fn into_record(self) -> Vec<Verdict> {
        self.record.unwrap_or_default()
    }

    /// Why a call is not allowed; nothing where it is.
    pub(crate) fn call(
        &mut self,
        depth: usize,
        [caller, target]: [Address; 2],
        method: impl FnOnce() -> Method,
    ) -> Result<Option<Denial>, StateError> {
        if self.record.is_none() && !self.may_matter(caller)? && !self.may_matter(target)? {
            return Ok(None);
        }
        let question = CallQuestion { caller, target, method: method() };
        if self.record.is_none() {
            if let Some((known, digest)) = self.known
                && known.0.get(&(digest, question)).is_some()
            {
                return Ok(None);
            }
            if let Some(verdict) = self.calls.get(&question) {
                return Ok(*verdict);
            }
        }
        let judgement = judge_call(&mut ReadHost(self.state), &question).map_err(StateError::new)?;
        self.keep(Verdict { depth, question: Question::Call(question), judgement });
        match self.known {
            Some((known, digest)) if judgement.lasting && judgement.denial.is_none() => {
                known.0.insert((digest, question), ());
            }
            _ => {
                if self.calls.len() >= VERDICTS_MAX {
                    self.calls.clear();
                }
                self.calls.insert(question, judgement.denial);
            }
        }
        Ok(judgement.denial)
    }

    /// Why an address may not create a contract at another one; nothing where it may.
    pub(crate) fn creation(
        &mut self,
        depth: usize,
        [creator, created]: [Address; 2],
    ) -> Result<Option<Denial>, StateError> {
        let is_plain = self.record.is_none() && !self.may_matter(creator)? && !self.may_matter(created)?;
        if is_plain && !self.is_creation_restricted()? {
            return Ok(None);
        }
        let judgement = judge_creation(&mut ReadHost(self.state), creator, created).map_err(StateError::new)?;
        self.keep(Verdict { depth, question: Question::Creation { creator, created }, judgement });
        Ok(judgement.denial)
    }

    fn is_creation_restricted(&mut self) -> Result<bool, StateError> {
        if let Some(restricted) = self.restricted {
            return Ok(restricted);
        }
        let restricted = is_creation_restricted(&mut ReadHost(self.state)).map_err(StateError::new)?;
        self.restricted = Some(restricted);
        Ok(restricted)
    }

    /// Whether a verdict may depend on what was decided about an address: all but a few addresses need nothing more.
    fn may_matter(&mut self, address: Address) -> Result<bool, StateError> {
        let (slot, position) = filter_slot(address);
        let value = match self.filter.get_mut(position) {
            Some(Some(value)) => *value,
            Some(unread) => *unread.insert(self.state.storage(ADDRESS, slot)?),
            None => self.state.storage(ADDRESS, slot)?,
        };
        Ok(is_in_filter(value, address))
    }

    fn keep(&mut self, verdict: Verdict) {
        if let Some(record) = &mut self.record
            && record.len() < VERDICTS_MAX
        {
            record.push(verdict);
        }
    }
}
