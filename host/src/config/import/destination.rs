//! Finds the destination in an export whose settings are imported.
//!
//! This module determines where destinations are in an export, and which of them is used. It reads
//! none of their settings, and rejects an export with an ambiguous destination.

use serde_json::Value;

use super::{
    DestinationType, ImportError, JsonObject, Vendor, find_field, quote_text, rudderstack, segment,
};

/// Keys that only wrap a destination, in the responses of APIs and in exports.
const WRAPPERS: [&str; 3] = ["data", "destination", "destinations"];

/// The filters of a Segment destination, which its API lists in a separate response: those in the
/// destination, and those next to it that name no other destination.
pub(super) fn find_filters<'a>(json: &'a Value, destination: &'a JsonObject) -> Vec<&'a Value> {
    let mut found = Vec::new();
    collect_filters(json, destination, &mut found);
    found
}

fn collect_filters<'a>(json: &'a Value, destination: &'a JsonObject, found: &mut Vec<&'a Value>) {
    match json {
        Value::Array(items) => {
            items.iter().for_each(|item| collect_filters(item, destination, found));
        }
        Value::Object(fields)
            if fields == destination || !Vendor::Segment.is_destination(fields) =>
        {
            let listed = find_field(fields, "filters").and_then(Value::as_array);
            found.extend(listed.into_iter().flatten().filter(|filter| {
                let of = filter.as_object().and_then(|filter| find_field(filter, "destinationId"));
                of.is_none_or(|of| find_field(destination, "id").is_none_or(|id| id == of))
            }));
            let inside = WRAPPERS.iter().filter_map(|key| find_field(fields, key));
            inside.for_each(|json| collect_filters(json, destination, found));
        }
        _ => {}
    }
}

/// The objects of an export that look like a destination, without duplicates: in the export of a
/// workspace, a destination occurs with each of its sources.
fn collect_destinations<'a>(vendor: Vendor, json: &'a Value, found: &mut Vec<&'a JsonObject>) {
    match json {
        Value::Array(items) => {
            items.iter().for_each(|item| collect_destinations(vendor, item, found));
        }
        Value::Object(fields) => {
            let inside: Vec<_> =
                WRAPPERS.iter().filter_map(|key| find_field(fields, key)).collect();
            if !inside.is_empty() {
                inside.into_iter().for_each(|json| collect_destinations(vendor, json, found));
            } else if vendor.is_destination(fields) {
                if !found.contains(&fields) {
                    found.push(fields);
                }
            } else if let Some(sources) = find_field(fields, "sources") {
                collect_destinations(vendor, sources, found);
            }
        }
        _ => {}
    }
}

/// The only destination for Firehose. A destination without a type counts as one for Firehose,
/// unless another one has this type.
pub(super) fn find_destination(vendor: Vendor, json: &Value) -> Result<&JsonObject, ImportError> {
    let mut found = Vec::new();
    collect_destinations(vendor, json, &mut found);
    let (mut firehose, mut unsaid, mut others) = (Vec::new(), Vec::new(), Vec::new());
    for destination in found {
        match vendor.destination_type(destination) {
            DestinationType::Firehose => firehose.push(destination),
            DestinationType::Unstated => unsaid.push(destination),
            DestinationType::Other(kind) => others.push(quote_text(&kind)),
        }
    }
    let usable = if firehose.is_empty() { unsaid } else { firehose };
    match usable[..] {
        [destination] => Ok(destination),
        [] if others.is_empty() => Err(ImportError::NoDestination { vendor }),
        [] => {
            others.sort_unstable();
            others.dedup();
            Err(ImportError::OtherDestination { vendor, found: others.join(", ") })
        }
        _ => Err(ImportError::Several { vendor, count: usable.len() }),
    }
}

impl Vendor {
    /// The expected file, for an error about another one.
    pub(super) fn expected(self) -> &'static str {
        match self {
            Vendor::RudderStack => {
                "the destination with its `config`, or only that object, with `mapEvents` or \
                 `iamRoleARN`"
            }
            Vendor::Segment => {
                "the destination with its `settings`, or only that object, with `mappedStreams` or \
                 `roleAddress`"
            }
        }
    }

    fn is_destination(self, fields: &JsonObject) -> bool {
        match self {
            Vendor::RudderStack => rudderstack::is_destination(fields),
            Vendor::Segment => segment::is_destination(fields),
        }
    }

    fn destination_type(self, destination: &JsonObject) -> DestinationType {
        match self {
            Vendor::RudderStack => rudderstack::destination_type(destination),
            Vendor::Segment => segment::destination_type(destination),
        }
    }
}
