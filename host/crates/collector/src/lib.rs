//! The collector: it receives unchanged requests of Segment's and RudderStack's SDKs.
//!
//! The response to a request is 200 only after its events are in the spool. Then a [`SpoolReader`]
//! creates chunks of them for the workers, and the spool keeps each event across restarts until it
//! is delivered, filtered or dead-lettered. Events of sources that the settings no longer contain
//! stay in the spool: see [`HeldEvents`].
//!
//! The collector adds the same members to an event as the vendor's endpoint, according to the
//! dialect of its source. The rest of the text stays as received.

#![cfg_attr(test, allow(clippy::disallowed_methods, clippy::disallowed_types))]

mod body_memory;
mod content_encoding;
mod cors;
mod decode;
mod decoder;
mod dialect;
mod function_head;
mod handle;
mod held_events;
pub mod limits;
mod metrics;
mod origin;
mod proxies;
mod public_url;
mod query_request;
mod rate_limit;
mod refusal_counters;
mod refusal_reason;
mod refused_request;
mod request_head;
mod response;
mod response_counters;
mod route;
mod settings;
mod source;
mod spool_reader;
mod vendor;
mod webhook;

pub use decode::{BodyShape, DecodedEvents, InvalidBody, ParsedBody, RequestFacts};
pub use dialect::{Dialect, MessageType};
pub use handle::Collector;
pub use held_events::HeldEvents;
pub use metrics::register_spool_metrics;
pub use origin::OriginRule;
pub use public_url::{InvalidPublicUrl, PublicUrl};
pub use rate_limit::SourceRate;
pub use settings::{CollectSettings, RawCollect, ReferencedKey, SourceSettings, is_write_key};
pub use source::DuplicateWriteKey;
pub use spool_reader::SpoolReader;

/// The spool entry of a source's events, as created for a request.
#[cfg(any(test, feature = "testing"))]
pub fn entry_of<'a>(source: &str, texts: impl IntoIterator<Item = &'a str>) -> Vec<u8> {
    let mut decoded = DecodedEvents::default();
    for text in texts {
        let start = u32::try_from(decoded.bytes.len()).expect("a simulation is small");
        decoded.bytes.extend_from_slice(text.as_bytes());
        let end = u32::try_from(decoded.bytes.len()).expect("a simulation is small");
        decoded.events.push(decode::DecodedEvent { start, end, refused: None });
    }
    decoded.into_entry(source)
}
