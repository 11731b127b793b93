//! What browser SDKs ask for before they send anything.
//!
//! Both vendors keep the settings of a source on a network of theirs; an SDK that
//! is pointed here finds just enough to send all events here, and nowhere else.

use serde_json::{Value, json};

/// For Segment's browser SDK, at `/v1/projects/KEY/settings`. It sends with the
/// key that stands here, and without one it sends none.
pub(super) fn segment_settings(write_key: &str, host: &str, is_encrypted: bool) -> Value {
    let protocol = if is_encrypted { "https" } else { "http" };
    json!({
        "integrations": {
            "Segment.io": {
                "apiKey": write_key,
                "apiHost": format!("{host}/v1"),
                "protocol": protocol,
            }
        }
    })
}

/// For RudderStack's browser SDK, at `/sourceConfig/`.
pub(super) fn rudderstack_settings(source: &str) -> Value {
    json!({ "source": { "id": source, "name": source, "config": {}, "destinations": [] } })
}
