use crate::catalog::Route;
use crate::cli::config::declared_streams;
use crate::config::{Overrides, RawSettings};
use std::path::Path;

/// What the plugin says that it sends where. One that does not tell its events tells
/// at least its streams.
pub(super) fn routes(raw: RawSettings, directory: &Path) -> anyhow::Result<Vec<Route>> {
    let settings = raw.check(directory, Overrides::default())?;
    let route = |stream| Route {
        message_type: None,
        name: None,
        condition: Some("as the plugin decides".to_owned()),
        stream,
    };
    Ok(declared_streams(&settings)?.into_iter().map(route).collect())
}
