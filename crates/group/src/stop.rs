//! The one place that knows why a node must stop.

use parking_lot::Mutex;
use std::sync::Arc;
use tokio::sync::Notify;

/// A reason to stop, given by whoever finds one first. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct StopSignal(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    reason: Mutex<Option<String>>,
    notify: Notify,
}

impl StopSignal {
    /// Stops the node. The first reason stays.
    pub fn stop(&self, reason: impl Into<String>) {
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
    pub fn reason(&self) -> Option<String> {
        self.0.reason.lock().clone()
    }

    /// Waits for a reason.
    pub async fn stopped(&self) -> String {
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
