//! Sample events that every plugin must map without a fault: one of each type that SDKs send, and
//! some that break careless code.

use super::RejectionCause;
use crate::Mapper;
use standpipe_core::event::{Event, scan};

/// The source of the samples.
const SOURCE: &str = "samples";

const SAMPLES: [&str; 14] = [
    r#"{"type":"track","event":"Order Completed","userId":"u1","messageId":"m1","timestamp":"2026-01-02T03:04:05.678Z","properties":{"total":12.5,"products":[{"sku":"a","price":1}]}}"#,
    r#"{"type":"identify","userId":"u1","traits":{"email":"a@example.com"},"context":{"ip":"192.0.2.1"}}"#,
    r#"{"type":"page","name":"Home","anonymousId":"a1","properties":{"url":"https://example.com/"}}"#,
    r#"{"type":"screen","name":"Start","anonymousId":"a1"}"#,
    r#"{"type":"group","groupId":"g1","userId":"u1"}"#,
    r#"{"type":"alias","previousId":"a1","userId":"u1"}"#,
    r#"{"type":"track"}"#,
    r#"{"event":"only a name"}"#,
    "{}",
    r#"{"type":7,"event":{"a":[null,true]}}"#,
    r#"{"type":"track","event":"\u00e4\ud83d\ude00","properties":{"ä":"😀"}}"#,
    r#"{ "type" : "track" , "type" : "page", "event" : "twice" }"#,
    r#"{"type":"track","event":"numbers","n":123456789012345678901234567890.5e-7}"#,
    r#"{"type":"track","event":"deep","d":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]}"#,
];

/// Maps the samples. The decisions do not matter; the error is the first fault.
pub(super) fn map_samples(mapper: &mut Mapper) -> Result<(), RejectionCause> {
    let events: Vec<_> = SAMPLES.iter().zip(1..).map(sample_event).collect();
    let decisions = mapper.map(SOURCE, &events);
    for (position, event) in events.iter().enumerate() {
        if let Err(fault) = decisions.of(position) {
            let (event, fault) = (event.text.to_string(), fault.clone());
            return Err(RejectionCause::Sample { event, fault });
        }
    }
    Ok(())
}

fn sample_event((text, line): (&&'static str, u64)) -> Event<'static> {
    let (text, envelope) = scan(text.as_bytes(), standpipe_core::limits::EVENT_NESTING_MAX)
        .expect("the samples are events");
    Event { index: 0, line, text, envelope }
}
