//! Errors that a NATS server sends beside its responses: above all missing permissions, to which it gives no response.

use std::time::Duration;

use async_nats::{Event, ServerError};
use tokio::sync::watch;
use tokio::time::timeout;

/// How the server's error for a missing permission begins.
const VIOLATION: &str = "permissions violation";

/// The errors of a connection so far.
#[derive(Debug, Clone)]
pub(super) struct ServerErrors(watch::Sender<Vec<String>>);

impl ServerErrors {
    pub(super) fn new() -> Self {
        ServerErrors(watch::Sender::new(Vec::new()))
    }

    /// Keeps an error among the events of a connection.
    pub(super) fn record(&self, event: Event) {
        match event {
            Event::ServerError(ServerError::Other(error)) => {
                self.0.send_modify(|errors| errors.push(error));
            }
            other => tracing::debug!("event of the NATS client: {other}"),
        }
    }

    /// Waits until the server refuses something about a subject, without end.
    pub(super) async fn refusal(&self, subject: &str) -> String {
        // A subject that is the start of another one is not confused with it.
        self.refusal_of(&[format!("\"{subject}\"")]).await
    }

    /// Waits until the server refuses something about a subject that begins with one of these texts, without end.
    pub(super) async fn refusal_under(&self, starts: &[String]) -> String {
        let quoted: Vec<_> = starts.iter().map(|start| format!("\"{start}")).collect();
        self.refusal_of(&quoted).await
    }

    async fn refusal_of(&self, quoted: &[String]) -> String {
        let mut errors = self.0.subscribe();
        loop {
            let found = find_refusal(&errors.borrow_and_update(), quoted);
            if let Some(error) = found {
                return error;
            }
            // The sender is in `self`.
            let _ = errors.changed().await;
        }
    }

    /// Waits up to this time for a refusal.
    pub(super) async fn refusal_within(&self, patience: Duration, subject: &str) -> Option<String> {
        timeout(patience, self.refusal(subject)).await.ok()
    }
}

/// The first refusal with one of these texts.
fn find_refusal(errors: &[String], quoted: &[String]) -> Option<String> {
    let is_refusal = |error: &&String| {
        error.to_ascii_lowercase().starts_with(VIOLATION)
            && quoted.iter().any(|subject| error.contains(subject))
    };
    errors.iter().find(is_refusal).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_refusal_is_found_by_its_subject() {
        let errors = ServerErrors::new();
        let refuse = |text: &str| {
            errors.record(Event::ServerError(ServerError::Other(text.to_owned())));
        };
        refuse("Permissions Violation for Publish to \"a.b\"");
        refuse("Slow Consumer \"c\"");
        let patience = Duration::from_secs(1);
        assert!(errors.refusal_within(patience, "a.b").await.is_some());
        for subject in ["a", "c", "b"] {
            assert_eq!(errors.refusal_within(patience, subject).await, None, "{subject}");
        }
        assert!(errors.refusal_under(&["a.".to_owned()]).await.contains("a.b"));
        let other = ["b".to_owned(), "c".to_owned()];
        assert!(timeout(patience, errors.refusal_under(&other)).await.is_err());
    }
}
