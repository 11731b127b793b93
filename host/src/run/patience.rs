//! Repeats steps of a start that fail for a transient reason, such as a secret store that
//! cannot be reached.

use tokio::time::sleep;

use super::RunError;
use standpipe_aws::OnUnreachable;
use standpipe_aws::limits::{WAIT_BACKOFF, WAIT_REMINDER};
use standpipe_core::log_interval::LogInterval;

/// Decides whether and when a failed step is repeated, and logs that from time to time.
pub(super) struct StartPatience {
    unreached: OnUnreachable,
    failures: u32,
    reminder: LogInterval,
}

/// Repeats a step until it succeeds. The step is an expression, because a closure could not be sent
/// to another thread while it waits.
macro_rules! patiently {
    ($unreached:expr, $step:expr) => {{
        let mut patience = $crate::run::patience::StartPatience::new($unreached);
        loop {
            match $step {
                Ok(done) => break done,
                Err(error) => patience.wait(error.into()).await?,
            }
        }
    }};
}

pub(super) use patiently;

impl StartPatience {
    pub(super) fn new(unreached: OnUnreachable) -> Self {
        StartPatience { unreached, failures: 0, reminder: LogInterval::new(WAIT_REMINDER) }
    }

    /// Waits before the step is repeated.
    ///
    /// # Errors
    ///
    /// Fails if the error is not transient, or if the settings say not to wait.
    pub(super) async fn wait(&mut self, error: RunError) -> Result<(), RunError> {
        if !error.is_transient() || self.unreached == OnUnreachable::Fail {
            return Err(error);
        }
        if self.reminder.admit().is_some() {
            tracing::warn!("waiting to start: {error}");
        }
        self.failures += 1;
        sleep(WAIT_BACKOFF.pause_after(self.failures)).await;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::sync::Arc;

    use tokio::time::Instant;

    use super::*;
    use standpipe_core::secret::{Secret, SecretSetting, UnresolvedSecret};

    fn failure(is_transient: bool) -> RunError {
        let written = Secret::new("secret:x".to_owned());
        let setting = SecretSetting::parse(written).expect("a reference");
        let reference = setting.reference().expect("a reference").clone();
        let cause = Arc::new(std::io::Error::other("test"));
        UnresolvedSecret { reference, cause, is_transient }.into()
    }

    async fn take(unreached: OnUnreachable, step: impl Fn() -> Result<(), RunError>) -> bool {
        let taken = async {
            patiently!(unreached, step());
            Ok::<_, RunError>(())
        };
        taken.await.is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn what_passes_is_waited_for_and_nothing_else() {
        let steps = Cell::new(0);
        let step = || {
            steps.set(steps.get() + 1);
            if steps.get() < 20 { Err(failure(true)) } else { Ok(()) }
        };
        let started = Instant::now();
        assert!(take(OnUnreachable::Continue, step).await);
        assert_eq!(steps.get(), 20);
        assert!(
            started.elapsed() > standpipe_aws::limits::RETRY_PAUSE_MAX,
            "it asks without a pause"
        );
        steps.set(0);
        assert!(!take(OnUnreachable::Fail, step).await);
        assert_eq!(steps.get(), 1);
        assert!(!take(OnUnreachable::Continue, || Err(failure(false))).await);
    }
}
