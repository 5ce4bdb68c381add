//! Who may call whom: the permission contract's verdicts on the frames of an EVM.

use crate::rules::BlockRules;
use crate::system::ReadHost;
use crate::{StateError, StateReader};
use alloy_primitives::map::{HashMap, HashSet};
use alloy_primitives::{Address, B256, U256};
use lian_system_contracts::permissions::{
    self, ADDRESS, CallQuestion, Denial, FILTER_SLOTS, Judgement, Method, filter_slot, is_creation_restricted,
    is_in_filter, judge_call, judge_creation,
};
use lian_types::limits::VERDICTS_MAX;
use parking_lot::Mutex;
use std::sync::Arc;

/// The verdicts of one block, by the state of its parent: what is decided in the block does not act in it. So verdicts do not
/// make transactions depend on each other, however they are executed.
pub(crate) struct Gate<'a> {
    state: &'a dyn StateReader,
    /// The filter's slots, as far as they have been needed.
    filter: [Option<U256>; FILTER_SLOTS],
    /// Verdicts that have been given in this block.
    calls: HashMap<CallQuestion, Option<Denial>>,
    /// What was allowed in earlier blocks and still is.
    allowed: Arc<Allowed>,
    /// What was found to be allowed in this one, as long as the digest stays, for later ones.
    found: Vec<CallQuestion>,
    /// Who is told of it, and the digest.
    known: Option<(&'a KnownVerdicts, B256)>,
    /// Whether only deployers create contracts, once that was needed.
    restricted: Option<bool>,
    /// All verdicts with their reasons, in order, for who wants to know.
    record: Option<Vec<Verdict>>,
}

/// Calls that are allowed as long as everything that was ever decided is what it was, by the digest of that: callers return,
/// and their right to what they call is looked up once.
#[derive(Debug, Default)]
pub(crate) struct KnownVerdicts(Mutex<(B256, Arc<Allowed>)>);

type Allowed = HashSet<CallQuestion>;

impl KnownVerdicts {
    /// What is known to be allowed under a digest.
    fn under(&self, digest: B256) -> Arc<Allowed> {
        let known = self.0.lock();
        if known.0 == digest { Arc::clone(&known.1) } else { Arc::default() }
    }

    /// Learns what is allowed. Of other digests, and of more than fits, it forgets all.
    fn learn(&self, digest: B256, found: &[CallQuestion]) {
        let known = &mut *self.0.lock();
        if known.0 != digest || known.1.len().saturating_add(found.len()) > VERDICTS_MAX {
            *known = (digest, Arc::default());
        }
        Arc::make_mut(&mut known.1).extend(found.iter().take(VERDICTS_MAX));
    }
}

impl Clone for Gate<'_> {
    /// The same gate for another part of the block.
    fn clone(&self) -> Self {
        let mut gate = Self::of(self.state, None);
        gate.known = self.known;
        gate.allowed = Arc::clone(&self.allowed);
        gate
    }
}

impl Drop for Gate<'_> {
    /// What it has found is for the gates of later blocks.
    fn drop(&mut self) {
        if let Some((known, digest)) = self.known
            && !self.found.is_empty()
        {
            // Nobody else has them now, mostly, and they need not be copied.
            self.allowed = Arc::default();
            known.learn(digest, &self.found);
        }
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

/// Whether the account is frozen by a state, and what it sends to this address (`None`: a creation) would revert for that.
///
/// # Errors
/// [`StateError`] where the state cannot be read.
pub fn is_frozen_sender(state: &dyn StateReader, sender: Address, to: Option<Address>) -> Result<bool, StateError> {
    permissions::is_frozen_sender(&mut ReadHost(state), sender, to).map_err(StateError::new)
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
        if digest == B256::ZERO {
            return Ok(None);
        }
        let mut gate = Self::of(state, None);
        gate.allowed = known.map(|known| known.under(digest)).unwrap_or_default();
        gate.known = known.map(|known| (known, digest));
        Ok(Some(gate))
    }

    /// The same, keeping all verdicts with their reasons; also where nothing was decided.
    pub(crate) fn recording(rules: &BlockRules, state: &'a dyn StateReader) -> Option<Self> {
        rules.has_permissions().then(|| Self::of(state, Some(Vec::new())))
    }

    fn of(state: &'a dyn StateReader, record: Option<Vec<Verdict>>) -> Self {
        let (filter, calls) = ([None; FILTER_SLOTS], HashMap::default());
        Self { state, filter, calls, allowed: Arc::default(), found: Vec::new(), known: None, restricted: None, record }
    }

    /// The verdicts that were kept.
    pub(crate) fn into_record(mut self) -> Vec<Verdict> {
        self.record.take().unwrap_or_default()
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
            if self.allowed.contains(&question) {
                return Ok(None);
            }
            if let Some(verdict) = self.calls.get(&question) {
                return Ok(*verdict);
            }
        }
        let judgement = judge_call(&mut ReadHost(self.state), &question).map_err(StateError::new)?;
        self.keep(Verdict { depth, question: Question::Call(question), judgement });
        if self.calls.len() >= VERDICTS_MAX {
            self.calls.clear();
        }
        self.calls.insert(question, judgement.denial);
        if self.known.is_some() && judgement.lasting && judgement.denial.is_none() && self.found.len() < VERDICTS_MAX {
            self.found.push(question);
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
