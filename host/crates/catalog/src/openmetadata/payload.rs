//! Converts a delivery stream to a pipeline.

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::tasks::{origin_label, pipeline_tasks, routed_events, sink_label};
use crate::limits;
use crate::{Graph, StreamDescription, time_of};
use standpipe_core::clock;

/// The keys that a server accepts. Older servers reject unknown keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PayloadKeys {
    /// All keys.
    All,
    /// The keys that every version accepts.
    Few,
}

const FEW: &[&str] = &["name", "displayName", "description", "service", "tasks"];

/// Keys that people may have changed, or that a server rewrites. A difference in them is no reason
/// to write again.
const NOT_COMPARED: &[&str] =
    &["description", "displayName", "service", "startDate", "sourceHash", "name"];

/// The payload that creates or updates a pipeline.
pub(super) fn pipeline_payload(stream: &StreamDescription, graph: &Graph, service: &str) -> Value {
    let events = routed_events(stream, graph);
    let mut payload = json!({
        "name": stream.name,
        "displayName": stream.name,
        "service": service,
        "description": pipeline_description(stream, events.len()),
        "state": if stream.status.word == "ACTIVE" { "Active" } else { "Inactive" },
        "tasks": pipeline_tasks(stream, &events),
    });
    if let Some(url) = console_url(stream) {
        payload["sourceUrl"] = url.into();
    }
    if let Some(date) = stream.created.and_then(start_date) {
        payload["startDate"] = date.into();
    }
    let digest = Sha256::digest(payload.to_string());
    let hash: String = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    payload["sourceHash"] = hash.into();
    payload
}

/// Removes the keys that a server rejects.
pub(super) fn restrict_keys(keys: PayloadKeys, payload: &Value) -> Value {
    let own = payload.as_object().cloned().unwrap_or_default();
    match keys {
        PayloadKeys::All => own.into(),
        PayloadKeys::Few => {
            own.into_iter().filter(|(key, _)| FEW.contains(&&**key)).collect::<Map<_, _>>().into()
        }
    }
}

/// Whether the stored pipeline equals the one to write.
///
/// If the server stores Standpipe's hash, the hash decides. Otherwise, the keys that a server does
/// not change itself are compared.
pub(super) fn is_stored(
    payload: &Value,
    stored: &Value,
    overrides: bool,
    keys: PayloadKeys,
) -> bool {
    let same = |key: &str| stored.get(key) == payload.get(key);
    if overrides && !(same("description") && same("displayName")) {
        return false;
    }
    if stored.get("sourceHash").is_some_and(Value::is_string) {
        return same("sourceHash");
    }
    let sent = restrict_keys(keys, payload);
    let compared =
        sent.as_object().into_iter().flatten().filter(|(key, _)| !NOT_COMPARED.contains(&&***key));
    compared
        .into_iter()
        .all(|(key, value)| is_within(value, stored.get(key).unwrap_or(&Value::Null)))
}

/// Whether a value is part of another value.
fn is_within(ours: &Value, theirs: &Value) -> bool {
    match (ours, theirs) {
        (Value::Object(ours), Value::Object(theirs)) => ours
            .iter()
            .all(|(key, value)| is_within(value, theirs.get(key).unwrap_or(&Value::Null))),
        (Value::Array(ours), Value::Array(theirs)) => {
            ours.len() == theirs.len()
                && ours.iter().zip(theirs).all(|(one, other)| is_within(one, other))
        }
        // Some servers leave out empty lists.
        (Value::Array(ours), Value::Null) => ours.is_empty(),
        (ours, theirs) => ours == theirs,
    }
}

fn pipeline_description(stream: &StreamDescription, events: usize) -> String {
    let mut lines = vec![
        format!("Amazon Data Firehose delivery stream `{}`", stream.arn),
        format!("Source: {}", origin_label(&stream.origin)),
    ];
    lines.extend(
        stream.destinations.iter().map(|to| format!("Destination: {}", sink_label(&to.sink))),
    );
    if events > limits::CATALOG_EVENT_TASKS_MAX {
        lines.push(format!(
            "{events} kinds of events are sent to it; some of them are shown as tasks."
        ));
    }
    lines.join("\n\n")
}

/// The URL in the AWS console, in partitions with a known URL.
fn console_url(stream: &StreamDescription) -> Option<String> {
    let region = &stream.arn.region;
    let host = match &*stream.arn.partition {
        "aws" => format!("{region}.console.aws.amazon.com"),
        "aws-cn" => format!("{region}.console.amazonaws.cn"),
        "aws-us-gov" => "console.amazonaws-us-gov.com".to_owned(),
        _ => return None,
    };
    Some(format!("https://{host}/firehose/home?region={region}#/details/{}", stream.name))
}

fn start_date(seconds: f64) -> Option<String> {
    time_of(seconds.floor()).map(clock::rfc3339)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_people_changed_is_no_reason_to_write() {
        let ours = json!({"name": "a", "description": "d", "state": "Active", "tasks": [{"name": "t", "downstreamTasks": []}]});
        let mut stored = ours.clone();
        stored["description"] = "by hand".into();
        stored["tasks"][0] = json!({"name": "t", "fullyQualifiedName": "s.a.t"});
        assert!(is_stored(&ours, &stored, false, PayloadKeys::All));
        assert!(!is_stored(&ours, &stored, true, PayloadKeys::All));
        stored["state"] = "Inactive".into();
        assert!(!is_stored(&ours, &stored, false, PayloadKeys::All));
        assert!(is_stored(&ours, &stored, false, PayloadKeys::Few));
        stored["tasks"] = json!([]);
        assert!(!is_stored(&ours, &stored, false, PayloadKeys::Few));
    }

    #[test]
    fn a_hash_that_is_kept_decides() {
        let ours = json!({"sourceHash": "a", "state": "Active"});
        assert!(is_stored(&ours, &json!({"sourceHash": "a"}), false, PayloadKeys::All));
        assert!(!is_stored(
            &ours,
            &json!({"sourceHash": "b", "state": "Active"}),
            false,
            PayloadKeys::All
        ));
    }

    #[test]
    fn dates_are_those_of_the_clock() {
        assert_eq!(start_date(0.5).as_deref(), Some("1970-01-01T00:00:00.000Z"));
        for none in [f64::NAN, f64::INFINITY, -1e18, 1e18] {
            assert_eq!(start_date(none), None, "{none}");
        }
    }

    proptest! {
        #[test]
        fn no_number_makes_it_panic(bits in any::<u64>()) {
            let _ = start_date(f64::from_bits(bits));
        }
    }
}
