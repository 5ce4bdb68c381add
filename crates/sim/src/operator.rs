//! The operator of a group: who changes its members and parameters by transactions.

use crate::{
    event::NodeId,
    random::Random,
    time::Moment,
    wallet::{Name, OPERATOR},
};
use std::collections::VecDeque;

/// How long it waits for a block before it asks another node, in milliseconds.
const PATIENCE_MS: u64 = 2_000;
/// How long it waits after a refusal, in milliseconds: the change before must act first.
const REFUSED_MS: u64 = 300;

/// The operator. It wants one thing after the other, and tries until each is done.
#[derive(Default)]
pub(crate) struct Operator {
    wanted: VecDeque<u8>,
    nonce: u64,
    /// Whether the transaction with this nonce was sent.
    is_sent: bool,
    not_before: Moment,
    pub(crate) refused: u64,
}

impl Operator {
    /// It wants these nodes, a bit for each, to seal from now on; or, with none, other parameters.
    pub(crate) fn want(&mut self, variant: u8) {
        self.wanted.push_back(variant);
    }

    /// What it sends now, and to which of the nodes that it can reach.
    pub(crate) fn sends(&mut self, now: Moment, nodes: &[NodeId], random: &mut Random) -> Option<(Name, NodeId)> {
        if now < self.not_before {
            return None;
        }
        let variant = *self.wanted.front()?;
        let node = random.pick(nodes)?;
        self.is_sent = true;
        self.not_before = now.after_ms(PATIENCE_MS);
        Some((Name { account: OPERATOR, nonce: self.nonce, variant }, node))
    }

    /// Its transaction is in a final block.
    pub(crate) fn included(&mut self, now: Moment, name: Name, succeeded: bool) -> Result<(), String> {
        let expected = self.wanted.front().copied().filter(|_| self.is_sent);
        if (Some(name.variant), name.nonce) != (expected, self.nonce) {
            return Err(format!("the operator did not send {name:?}"));
        }
        self.nonce += 1;
        self.is_sent = false;
        self.not_before = now;
        if succeeded {
            self.wanted.pop_front();
        } else {
            self.refused += 1;
            self.not_before = now.after_ms(REFUSED_MS);
        }
        Ok(())
    }

    /// How much it still wants.
    pub(crate) fn waiting(&self) -> usize {
        self.wanted.len()
    }
}
