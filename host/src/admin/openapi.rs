//! What can be asked, in the words of OpenAPI 3.1: the document of the docs, as it is. Its schemas are
//! those of the types that are answered, its paths those of the routes; the tests hold that.

/// The document, JSON text.
pub(super) const DOCUMENT: &str = include_str!("../../docs/openapi.json");

#[cfg(test)]
mod tests;
