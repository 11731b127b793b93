//! What a layer does with which paths.

use super::Copies;

/// What a layer does.
#[derive(Debug, Clone, Default)]
pub(super) struct Rules {
    /// Paths that are answered here begin with one of these.
    pub(super) answered: Vec<String>,
    pub(super) copies: Option<Copies>,
}
