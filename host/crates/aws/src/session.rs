//! Credentials that are found once, shared by all clients, and renewed before they expire. A failed
//! renewal has no effect while the old ones are valid, and only one task at a time looks for new
//! ones.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{self, ProvideCredentials, future};
use parking_lot::Mutex;

use super::{AwsClock, error_chain};
use crate::limits;
use standpipe_core::log_interval::LogInterval;

/// The maximum time before expiry at which credentials are renewed. Shorter sessions are renewed
/// when a fifth of their lifetime is left.
const CREDENTIALS_MARGIN_MAX: Duration = Duration::from_secs(5 * 60);

/// Credentials that are found once for all users, and renewed before they expire.
///
/// A renewal blocks no request while the old credentials are valid, and a failed one is retried as
/// long as they are. With the cache of AWS's SDK, every request would fail from ten seconds before
/// the expiry.
#[derive(Debug, Clone)]
pub struct AwsSession {
    inner: Arc<SharedSession>,
}

struct SharedSession {
    source: Box<dyn ProvideCredentials>,
    /// How long credentials without an expiry are used.
    reload: Duration,
    /// The clock with which expiry times are compared.
    clock: AwsClock,
    held: Mutex<Option<Held>>,
    /// Why there are no credentials, as long as there are none.
    problem: Mutex<Option<String>>,
    /// Locked by the task that loads new credentials.
    renewal: tokio::sync::Mutex<()>,
}

/// Credentials, and when to renew them.
#[derive(Clone)]
struct Held {
    credentials: Credentials,
    found: Instant,
    renew_at: Instant,
}

impl AwsSession {
    /// Creates a session that loads credentials from this source when they are due. Credentials
    /// without an expiry are due after `reload`.
    pub(super) fn new(
        source: impl ProvideCredentials + 'static,
        reload: Duration,
        clock: &AwsClock,
    ) -> Self {
        let inner = SharedSession {
            source: Box::new(source),
            reload,
            clock: clock.clone(),
            held: Mutex::default(),
            problem: Mutex::default(),
            renewal: tokio::sync::Mutex::default(),
        };
        AwsSession { inner: Arc::new(inner) }
    }

    /// Loads credentials, unless there are some already.
    pub(super) async fn try_once(&self) -> Result<(), CredentialsError> {
        self.inner.current_credentials().await.map(drop)
    }

    /// Why there are no credentials, if there are none.
    pub fn problem(&self) -> Option<String> {
        self.inner.problem.lock().clone()
    }

    /// Loads credentials until there are some. Logs at intervals that there are none.
    pub async fn wait_for_credentials(self) {
        let mut failures = 1;
        let reminder = LogInterval::new(limits::WAIT_REMINDER);
        // The first message was already logged at the start.
        reminder.admit();
        while self.problem().is_some() {
            tokio::time::sleep(limits::WAIT_BACKOFF.pause_after(failures)).await;
            failures += 1;
            match self.try_once().await {
                Ok(()) => {
                    tracing::info!("found AWS credentials; delivery continues");
                    return;
                }
                Err(error) if reminder.admit().is_some() => {
                    tracing::warn!(
                        "still waiting for AWS credentials; nothing is delivered until then: {}",
                        error_chain(&error)
                    );
                }
                Err(_) => {}
            }
        }
    }

    /// Renews the credentials before their next use, because AWS rejects them. Until then the old
    /// ones are used.
    pub fn renew_early(&self) {
        if let Some(held) = self.inner.held.lock().as_mut() {
            held.renew_at = held.renew_at.min(held.found + limits::CREDENTIALS_AGAIN);
        }
    }
}

impl SharedSession {
    async fn current_credentials(&self) -> provider::Result {
        let held = self.held.lock().clone();
        if let Some(held) = held.as_ref().filter(|held| !held.is_due()) {
            return Ok(held.credentials.clone());
        }
        let _renewal = match &held {
            Some(held) if held.is_good(&self.clock) => match self.renewal.try_lock() {
                Ok(renewal) => renewal,
                Err(_) => return Ok(held.credentials.clone()),
            },
            _ => self.renewal.lock().await,
        };
        // Another task may have loaded credentials while this one waited.
        let held = self.held.lock().clone();
        match held {
            Some(held) if !held.is_due() => Ok(held.credentials),
            held => self.renew_credentials(held).await,
        }
    }

    async fn renew_credentials(&self, held: Option<Held>) -> provider::Result {
        let found =
            tokio::time::timeout(limits::CREDENTIALS_TIMEOUT, self.source.provide_credentials());
        let found = found.await.unwrap_or_else(|_| {
            Err(CredentialsError::provider_timed_out(limits::CREDENTIALS_TIMEOUT))
        });
        match (found, held) {
            (Ok(credentials), _) => {
                *self.held.lock() = Some(Held::new(credentials.clone(), self.reload, &self.clock));
                *self.problem.lock() = None;
                Ok(credentials)
            }
            (Err(error), Some(held)) if held.is_good(&self.clock) => {
                tracing::warn!(
                    "failed to renew AWS credentials; keeping the current ones: {}",
                    error_chain(&error)
                );
                let renew_at = Instant::now() + limits::CREDENTIALS_AGAIN;
                *self.held.lock() = Some(Held { renew_at, ..held.clone() });
                Ok(held.credentials)
            }
            (Err(error), _) => {
                *self.problem.lock() = Some(error_chain(&error));
                Err(error)
            }
        }
    }
}

impl Held {
    fn new(credentials: Credentials, reload: Duration, clock: &AwsClock) -> Self {
        let found = Instant::now();
        let until_renewal = match credentials.expiry() {
            Some(expiry) => {
                let life = expiry.duration_since(clock.now()).unwrap_or_default();
                life - (life / 5).min(CREDENTIALS_MARGIN_MAX)
            }
            None => reload,
        };
        Held { credentials, found, renew_at: found + until_renewal }
    }

    fn is_due(&self) -> bool {
        self.renew_at <= Instant::now()
    }

    fn is_good(&self, clock: &AwsClock) -> bool {
        self.credentials.expiry().is_none_or(|expiry| clock.now() < expiry)
    }
}

impl ProvideCredentials for AwsSession {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.inner.current_credentials())
    }
}

impl fmt::Debug for SharedSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedSession").field("source", &self.source).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
