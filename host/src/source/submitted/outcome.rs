//! The outcome of a submitted event as a future, and why an event was not accepted.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use thiserror::Error;
use tokio::sync::oneshot;

use standpipe_core::event::EventOutcome;

/// An event was not accepted. The error returns it.
#[derive(Clone, Error, PartialEq, Eq)]
pub enum TrySubmitError {
    /// The limits of the host are reached.
    #[error("event not accepted: the limits of the host are reached; try again later")]
    Full(Bytes),
    /// The host drains or has stopped.
    #[error("event not accepted: the host drains or has stopped")]
    Closed(Bytes),
}

/// An event has no outcome.
#[derive(Clone, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum SubmitError {
    /// The event was not accepted because the host drains or has stopped. The error returns it.
    #[error("event not accepted: the host drains or has stopped")]
    Closed(Bytes),
    /// The event was accepted and abandoned: the plugin failed with `on_failure = "halt"`, or the
    /// host stopped while it could not write a dead letter. Some of its records may be delivered.
    #[error("event abandoned: see the host's log for the reason")]
    Abandoned,
}

/// Resolves to the outcome of an accepted event. Dropping it does not affect the event.
#[derive(Debug)]
#[must_use = "await it for the outcome of the event, or drop it"]
pub struct OutcomeFuture(oneshot::Receiver<EventOutcome>);

impl OutcomeFuture {
    pub(super) fn new(settled: oneshot::Receiver<EventOutcome>) -> Self {
        OutcomeFuture(settled)
    }
}

impl Future for OutcomeFuture {
    type Output = Result<EventOutcome, SubmitError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let settled = Pin::new(&mut self.0).poll(context);
        settled.map(|settled| settled.map_err(|_| SubmitError::Abandoned))
    }
}

impl TrySubmitError {
    /// Returns the event.
    pub fn into_event(self) -> Bytes {
        match self {
            TrySubmitError::Full(event) | TrySubmitError::Closed(event) => event,
        }
    }
}

/// Shows the size of the event, because whole events do not belong in logs.
impl fmt::Debug for TrySubmitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, event) = match self {
            TrySubmitError::Full(event) => ("Full", event),
            TrySubmitError::Closed(event) => ("Closed", event),
        };
        write!(f, "{name}({} bytes)", event.len())
    }
}

impl fmt::Debug for SubmitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SubmitError::Closed(event) => write!(f, "Closed({} bytes)", event.len()),
            SubmitError::Abandoned => f.write_str("Abandoned"),
        }
    }
}
