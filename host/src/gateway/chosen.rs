//! What is copied of which requests.

use std::sync::Arc;

use http::HeaderName;

use standpipe_core::message_id::MessageIds;

/// What the settings of copies come to.
#[derive(Debug, Clone)]
pub(super) struct Chosen {
    /// Requests of paths that begin with one of these are copied.
    pub(super) paths: Vec<String>,
    pub(super) ids: Arc<MessageIds>,
    pub(super) name: String,
    pub(super) request_headers: Vec<HeaderName>,
    pub(super) response_headers: Vec<HeaderName>,
    pub(super) query: bool,
    pub(super) request_body_bytes_max: usize,
    pub(super) response_body_bytes_max: usize,
}
