//! The settings that SDKs of both vendors request before they send.
//!
//! Both vendors serve the settings of a source from their own network. An SDK that uses this
//! collector gets all members that public SDKs require, with the expected types, and nothing that
//! makes it contact another host. `docs/collector.md` lists the requirements of each SDK. Members
//! that no SDK requires are left out: a `null` or an unexpected type makes strict decoders fail,
//! and the SDK then sends nothing or sends to its vendor.

use serde_json::{Value, json};

use super::public_url::PublicUrl;

/// The identifier of the workspace. The collector has no workspaces, but some SDKs require one.
const WORKSPACE_ID: &str = "standpipe";

/// The response to `/v1/projects/KEY/settings`, for Segment's SDKs.
///
/// The SDKs send with this key and to this host. Their own metrics would always go to
/// `api.segment.io`: a sample rate of 0 turns them off.
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

/// The response to `/sourceConfig`, for RudderStack's SDKs.
///
/// `enabled` is always true, because otherwise mobile SDKs delete their stored events. For a
/// disabled source, the response is 404 instead: SDKs then keep their events and ask again.
pub(super) fn rudderstack_settings(source: &str, write_key: &str, updated_at: &str) -> Value {
    json!({
        "source": {
            "id": source,
            "name": source,
            "writeKey": write_key,
            "enabled": true,
            "workspaceId": WORKSPACE_ID,
            "updatedAt": updated_at,
            // Older releases for Android fail without `statsCollection`. Enabled statistics are
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
