//! The one place that knows why a node must stop.

use parking_lot::Mutex;
use std::{fmt, sync::Arc};
use tokio::sync::Notify;

/// Why a node stops by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StopReason {
    /// What happened.
    pub text: String,
    /// Whether a person must act first: without that the node would stop again.
    pub needs_operator: bool,
}

impl StopReason {
    /// A reason that only a person can remove.
    #[must_use]
    pub fn for_operator(text: impl Into<String>) -> Self {
        Self { text: text.into(), needs_operator: true }
    }
}

impl From<String> for StopReason {
    /// A failure that may have passed at the next start.
    fn from(text: String) -> Self {
        Self { text, needs_operator: false }
    }
}

impl fmt::Display for StopReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A reason to stop, given by whoever finds one first. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct StopSignal(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    reason: Mutex<Option<StopReason>>,
    notify: Notify,
}

impl StopSignal {
    /// Stops the node. The first reason stays.
    pub fn stop(&self, reason: impl Into<StopReason>) {
        let mut slot = self.0.reason.lock();
        if slot.is_none() {
            let reason = reason.into();
            tracing::error!(%reason, "the node stops");
            *slot = Some(reason);
        }
        drop(slot);
        self.0.notify.notify_waiters();
    }

    /// The reason, if there is one.
    #[must_use]
    pub fn reason(&self) -> Option<StopReason> {
        self.0.reason.lock().clone()
    }

    /// Waits for a reason.
    pub async fn stopped(&self) -> StopReason {
        loop {
            let notified = self.0.notify.notified();
            tokio::pin!(notified);
            notified.as_mut().enable();
            if let Some(reason) = self.reason() {
                return reason;
            }
            notified.await;
        }
    }
}
