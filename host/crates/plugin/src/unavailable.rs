//! The error of a mapper while no instance of its plugin can be started.

use std::time::Duration;

use super::Fault;

/// No instance of a plugin can be started now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unavailable {
    /// The fault of the plugin.
    pub fault: Fault,
    /// The time until the next attempt.
    pub pause: Duration,
}
