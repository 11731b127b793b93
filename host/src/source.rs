//! Where events come from: files and standard input, newline-delimited,
//! plain or compressed, the dead letters that are to be replayed, and a program
//! that this library is part of.
//!
//! A source makes chunks of whole lines and gives each an
//! [`Ack`](standpipe_core::event::Ack). It looks at line ends and nothing else: whether a
//! line is an event is for those above. A file of any size passes through a few
//! buffers of fixed size; the queue to the workers is bounded, so that reading
//! goes no faster than delivery.

mod input;
mod letters;
mod lines;
mod reader;
mod submitted;

pub use input::{Input, InputError};
pub use letters::{LeftLetters, Replay, Retired, Retirement};
pub use lines::{Cut, Fill, LineLimits, LineReader};
pub use reader::{ReadReport, Reader, Unread};
pub use submitted::{
    Gatherer, NotSettled, Receipt, Refused, Room, Submissions, SubmitReport, Submitter,
};

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A request to stop reading, shared by whoever may make it.
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Ask the sources to stop. What has been read goes on its way.
    pub fn request(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Whether somebody has asked.
    pub fn is_requested(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}
