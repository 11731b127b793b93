//! Checks that the settings of OpenMetadata and OpenLineage servers share.

use std::collections::BTreeMap;
use std::path::Path;

use crate::http_client::{Headers, TlsVerification};
use standpipe_core::secret::Secret;
use standpipe_core::settings::TableChecker;

/// Checks names and values of headers. Values may be references to secrets.
pub(super) fn check_headers(
    headers: &BTreeMap<String, Secret>,
    check: &mut TableChecker<'_>,
) -> Headers {
    let mut header = |(name, value): (&String, &Secret)| {
        let value = check.secret(&format!("headers: {name}"), value.clone())?;
        Some((name.clone(), value))
    };
    headers.iter().filter_map(&mut header).collect()
}

/// Checks which certificates are trusted.
pub(super) fn tls_verification(word: Option<&str>, check: &TableChecker<'_>) -> TlsVerification {
    match word {
        None | Some("system") => TlsVerification::System,
        Some("nothing") => TlsVerification::Nothing,
        Some(path) => TlsVerification::Authority(check.path(Path::new(path))),
    }
}
