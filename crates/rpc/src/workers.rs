//! The blocking threads that calls and ledger reads run on, so that the threads that serve sockets never wait.

use crate::{RpcLimits, error::CallError};
use std::sync::Arc;
use tokio::sync::Semaphore;

/// What a method does, and so where it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    /// Reads the ledger.
    Read,
    /// Executes contracts.
    Call,
}

/// Permits to run on a blocking thread.
#[derive(Debug)]
pub(crate) struct Workers {
    reads: Arc<Semaphore>,
    calls: Arc<Semaphore>,
    waiting: Semaphore,
    waiting_max: usize,
}

impl Workers {
    pub(crate) fn new(limits: &RpcLimits) -> Self {
        Self {
            reads: Arc::new(Semaphore::new(limits.reads_max)),
            calls: Arc::new(Semaphore::new(limits.calls_max)),
            waiting: Semaphore::new(limits.waiting_max),
            waiting_max: limits.waiting_max,
        }
    }

    /// Runs `task` on a blocking thread as soon as a permit is free. A caller that goes away gives up its place in the
    /// queue; a task that has started runs to its end and keeps its permit until then.
    ///
    /// # Errors
    /// [`CallError::LimitExceeded`] where too many wait already, and the task's own error.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: Work,
        task: impl FnOnce() -> Result<T, CallError> + Send + 'static,
    ) -> Result<T, CallError> {
        let permits = match work {
            Work::Read => &self.reads,
            Work::Call => &self.calls,
        };
        let permit = match Arc::clone(permits).try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => {
                let _place = self.waiting.try_acquire().map_err(|_| self.busy())?;
                Arc::clone(permits).acquire_owned().await.map_err(CallError::internal)?
            }
        };
        let guarded = move || {
            let _permit = permit;
            task()
        };
        tokio::task::spawn_blocking(guarded).await.map_err(CallError::internal)?
    }

    fn busy(&self) -> CallError {
        let message =
            format!("server is busy: {} requests wait for a worker already, try again later", self.waiting_max);
        CallError::LimitExceeded(message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn waiting_is_bounded_and_the_bound_is_named() {
        let limits = RpcLimits { calls_max: 1, waiting_max: 1, ..RpcLimits::default() };
        let workers = Arc::new(Workers::new(&limits));
        let (finish, finished) = mpsc::channel::<()>();
        let (start, started) = tokio::sync::oneshot::channel();
        let first = tokio::spawn({
            let workers = Arc::clone(&workers);
            async move {
                workers
                    .run(Work::Call, move || {
                        let _ = start.send(());
                        finished.recv().map_err(CallError::internal)
                    })
                    .await
            }
        });
        started.await.unwrap();
        let mut second = Box::pin(workers.run(Work::Call, || Ok(2)));
        assert!(futures::poll!(&mut second).is_pending());
        let third = workers.run(Work::Call, || Ok(3)).await;
        let message = "server is busy: 1 requests wait for a worker already, try again later";
        assert_eq!(third, Err(CallError::LimitExceeded(message.to_owned())));
        finish.send(()).unwrap();
        assert_eq!(second.await, Ok(2));
        first.await.unwrap().unwrap();
    }
}
