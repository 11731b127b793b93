//! The one destination of an export whose settings are imported.
//!
//! It owns where in an export destinations are looked for and which of them is
//! taken. It reads none of their settings, and refuses an export that leaves
//! open which destination is meant.

use serde_json::Value;

use super::kind::Kind;
use super::{Fields, ImportError, Vendor, field, quoted, rudderstack, segment};

/// Keys that only wrap a destination, in the answers of APIs and in exports.
const WRAPPERS: [&str; 3] = ["data", "destination", "destinations"];

/// The destination that is meant.
pub(super) fn find(vendor: Vendor, json: &Value) -> Result<&Fields, ImportError> {
    let mut found = Vec::new();
    gather(vendor, json, &mut found);
    choose(vendor, &found)
}

/// The filters of a destination of Segment's, which its API lists in an answer of their
/// own: those in the destination, and those beside it that name no other one.
pub(super) fn filters<'a>(json: &'a Value, destination: &'a Fields) -> Vec<&'a Value> {
    let mut found = Vec::new();
    gather_filters(json, destination, &mut found);
    found
}

fn gather_filters<'a>(json: &'a Value, destination: &'a Fields, found: &mut Vec<&'a Value>) {
    match json {
        Value::Array(items) => {
            items.iter().for_each(|item| gather_filters(item, destination, found));
        }
        Value::Object(fields) if fields == destination || !Vendor::Segment.recognises(fields) => {
            let listed = field(fields, "filters").and_then(Value::as_array);
            found.extend(listed.into_iter().flatten().filter(|filter| {
                let of = filter.as_object().and_then(|filter| field(filter, "destinationId"));
                of.is_none_or(|of| field(destination, "id").is_none_or(|id| id == of))
            }));
            let inside = WRAPPERS.iter().filter_map(|key| field(fields, key));
            inside.for_each(|json| gather_filters(json, destination, found));
        }
        _ => {}
    }
}

/// The objects of an export that look like a destination, each once: in a
/// workspace's export a destination stands with each of its sources.
fn gather<'a>(vendor: Vendor, json: &'a Value, found: &mut Vec<&'a Fields>) {
    match json {
        Value::Array(items) => items.iter().for_each(|item| gather(vendor, item, found)),
        Value::Object(fields) => {
            let inside: Vec<_> = WRAPPERS.iter().filter_map(|key| field(fields, key)).collect();
            if !inside.is_empty() {
                inside.into_iter().for_each(|json| gather(vendor, json, found));
            } else if vendor.recognises(fields) {
                if !found.contains(&fields) {
                    found.push(fields);
                }
            } else if let Some(sources) = field(fields, "sources") {
                gather(vendor, sources, found);
            }
        }
        _ => {}
    }
}

/// The one destination for Firehose. One that does not say what it is for is
/// believed to be meant, unless another does say so.
fn choose<'a>(vendor: Vendor, found: &[&'a Fields]) -> Result<&'a Fields, ImportError> {
    let (mut firehose, mut unsaid, mut others) = (Vec::new(), Vec::new(), Vec::new());
    for &destination in found {
        match vendor.kind(destination) {
            Kind::Firehose => firehose.push(destination),
            Kind::Unsaid => unsaid.push(destination),
            Kind::Other(kind) => others.push(quoted(&kind)),
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
    /// What to give, for who gave something else.
    pub(super) fn expected(self) -> &'static str {
        match self {
            Vendor::RudderStack => {
                "the destination with its `config`, or that object alone, with `mapEvents` or \
                 `iamRoleARN` in it"
            }
            Vendor::Segment => {
                "the destination with its `settings`, or that object alone, with `mappedStreams` \
                 or `roleAddress` in it"
            }
        }
    }

    fn recognises(self, fields: &Fields) -> bool {
        match self {
            Vendor::RudderStack => rudderstack::recognises(fields),
            Vendor::Segment => segment::recognises(fields),
        }
    }

    fn kind(self, destination: &Fields) -> Kind {
        match self {
            Vendor::RudderStack => rudderstack::kind(destination),
            Vendor::Segment => segment::kind(destination),
        }
    }
}
