//! Why an event was not accepted, with the event itself, and the future of how an accepted one
//! ended.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use thiserror::Error;
use tokio::sync::oneshot;

use standpipe_core::event::EventOutcome;

/// An event was not accepted; here it is again.
#[derive(Clone, Error, PartialEq, Eq)]
pub enum Refused {
    /// There is no room for it now.
    #[error("there is no room for another event: try again, or give it up")]
    Full(Bytes),
    /// The host is draining, or has stopped.
    #[error("the host accepts no more events: it drains, or has stopped")]
    Closed(Bytes),
}

/// Nobody can say that an event was delivered, filtered or dead-lettered.
#[derive(Clone, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum NotSettled {
    /// It was not accepted, since the host is draining or has stopped; here it is
    /// again.
    #[error("the host accepts no more events: it drains, or has stopped")]
    Closed(Bytes),
    /// It was accepted and given up: the host was halted by its settings, or could
    /// not even write a dead letter. Some of its records may have been delivered.
    #[error("the event was given up: the host's log says why")]
    Abandoned,
}

/// What will become of an event that was accepted. Dropping it changes nothing for
/// the event.
#[derive(Debug)]
#[must_use = "to be awaited where it matters what becomes of the event; else drop it"]
pub struct Receipt(oneshot::Receiver<EventOutcome>);

impl Receipt {
    pub(super) fn new(settled: oneshot::Receiver<EventOutcome>) -> Self {
        Receipt(settled)
    }
}

impl Future for Receipt {
    type Output = Result<EventOutcome, NotSettled>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let settled = Pin::new(&mut self.0).poll(context);
        settled.map(|settled| settled.map_err(|_| NotSettled::Abandoned))
    }
}

impl Refused {
    /// The event.
    pub fn into_event(self) -> Bytes {
        match self {
            Refused::Full(event) | Refused::Closed(event) => event,
        }
    }
}

/// Whole events do not belong in logs.
impl fmt::Debug for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, event) = match self {
            Refused::Full(event) => ("Full", event),
            Refused::Closed(event) => ("Closed", event),
        };
        write!(f, "{name}({} bytes)", event.len())
    }
}

impl fmt::Debug for NotSettled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NotSettled::Closed(event) => write!(f, "Closed({} bytes)", event.len()),
            NotSettled::Abandoned => f.write_str("Abandoned"),
        }
    }
}
