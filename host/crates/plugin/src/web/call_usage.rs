//! What one call of a plugin may send, and has sent.

/// What a call of a plugin has used of its limits.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct CallUsage {
    pub(super) allowed: RequestsOfPlugin,
    /// Requests that were sent.
    #[cfg(feature = "network")]
    pub(super) requests: usize,
    /// How long the call has waited for responses.
    #[cfg(feature = "network")]
    pub(super) waited: std::time::Duration,
}

/// Whether requests that the settings allow are sent during a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum RequestsOfPlugin {
    Sent,
    /// The events are not real, so requests must not have effects on other servers. Also while the
    /// plugin is configured, which happens for each new instance.
    #[default]
    Refused,
}

impl CallUsage {
    /// Starts a call.
    pub(crate) fn new(allowed: RequestsOfPlugin) -> Self {
        CallUsage { allowed, ..CallUsage::default() }
    }
}
