//! What a mapper answers while no instance of its plugin can be made.

use std::time::Duration;

use super::Fault;

/// No instance of a plugin can be made at present.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unavailable {
    /// What the plugin did instead.
    pub fault: Fault,
    /// How long it is until that is tried again.
    pub pause: Duration,
}
