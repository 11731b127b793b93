//! The settings that SDKs of either vendor ask for before they send anything.
//!
//! Both vendors keep the settings of a source on a network of theirs. An SDK that is pointed
//! here finds every member that some public SDK requires, in the type that it expects, and
//! nothing that makes it contact another host. Which SDK requires what is listed in
//! `docs/collector.md`. Members that no SDK requires are left out: a `null` or an unexpected
//! type makes strict decoders fail, and the SDK then sends nothing or sends to its vendor.

use serde_json::{Value, json};

use super::public_url::PublicUrl;

/// The identifier of the workspace: there are none here, and some SDKs require one.
const WORKSPACE_ID: &str = "standpipe";

/// The answer to `/v1/projects/KEY/settings`, for the SDKs of Segment.
///
/// They send with the key and to the host that stand here. Their own metrics would go to
/// `api.segment.io` whatever that host is: a sample rate of 0 turns them off.
pub(super) fn segment_settings(write_key: &str, url: &PublicUrl) -> Value {
    json!({
        "integrations": {
            "Segment.io": {
                "apiKey": write_key,
                "apiHost": format!("{}/v1", url.location()),
                "protocol": url.scheme(),
            }
        },
        "metrics": { "sampleRate": 0 },
    })
}

/// The answer to `/sourceConfig`, for the SDKs of RudderStack.
///
/// `enabled` is always true: to a mobile SDK anything else means that it shall delete the
/// events that it has stored. A disabled source is answered with 404 instead, after which
/// they keep them and ask again.
pub(super) fn rudderstack_settings(source: &str, write_key: &str, updated_at: &str) -> Value {
    json!({
        "source": {
            "id": source,
            "name": source,
            "writeKey": write_key,
            "enabled": true,
            "workspaceId": WORKSPACE_ID,
            "updatedAt": updated_at,
            // Older releases for Android fail without `statsCollection`. What is on in it is
            // reported to the vendor.
            "config": {
                "statsCollection": {
                    "errors": { "enabled": false },
                    "metrics": { "enabled": false },
                },
            },
            "destinations": [],
        }
    })
}
