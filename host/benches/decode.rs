//! Measures decoding the body of a request into events.

#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

use std::fmt::Write as _;

use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};
use standpipe_collector::{BodyShape, DecodedEvents, Dialect, ParsedBody, RequestFacts};
use standpipe_core::clock;

fn main() {
    divan::main();
}

const EVENTS: usize = 100;
const EVENT_BYTES: usize = 818;

/// An event of the mean size, as sent by the server SDK of each vendor.
fn make_event(dialect: Dialect, number: usize) -> String {
    let times = match dialect {
        Dialect::Segment => r#""timestamp":"2026-01-02T03:04:05.678Z""#,
        Dialect::RudderStack => {
            r#""originalTimestamp":"2026-01-02T03:04:05.678Z","sentAt":"2026-01-02T03:04:06.789Z""#
        }
    };
    let mut event = format!(
        r#"{{"type":"track","event":"Order Completed","userId":"user-{number:08}","anonymousId":"507f191e-810c-4a19-b1d8-{number:012}","messageId":"node-next-1767323045678-5f3a2c1e-0b7d-4c5e-9a8b-{number:012}",{times},"context":{{"library":{{"name":"@segment/analytics-node","version":"3.1.0"}},"locale":"de-DE"}},"properties":{{"order_id":"{number}","total":129.9,"items":["#
    );
    while event.len() + 150 < EVENT_BYTES {
        let at = event.len();
        let _ = write!(
            event,
            r#"{{"product_id":"{at:012x}","sku":"SKU-{at:05}","name":"Trail Shoe","price":{at}.99,"tags":["a","ä"]}},"#
        );
    }
    let missing = EVENT_BYTES.saturating_sub(event.len() + r#"""]}}"#.len());
    let _ = write!(event, r#""{}"]}}}}"#, "x".repeat(missing));
    event
}

fn make_batch(dialect: Dialect) -> String {
    let events: Vec<String> = (0..EVENTS).map(|number| make_event(dialect, number)).collect();
    format!(
        r#"{{"batch":[{}],"writeKey":"key","sentAt":"2026-01-02T03:04:06.789Z"}}"#,
        events.join(",")
    )
}

#[divan::bench(args = [Dialect::Segment, Dialect::RudderStack])]
fn events(bencher: Bencher<'_, '_>, dialect: Dialect) {
    let body = make_batch(dialect);
    let facts =
        RequestFacts { dialect, received_at: clock::now(), ip: "192.0.2.1", client_side: false };
    let mut out = DecodedEvents::default();
    bencher.counter(BytesCount::of_str(&body)).counter(ItemsCount::new(EVENTS)).bench_local(|| {
        out.clear();
        let body = ParsedBody::parse(black_box(body.as_bytes())).expect("JSON");
        body.append_events(&facts, BodyShape::Batch, &mut out).expect("a batch");
        assert!(out.events.iter().all(|event| event.refused.is_none()));
    });
}

/// Measures the part of decoding that validates the body and finds its parts.
#[divan::bench(args = [Dialect::Segment, Dialect::RudderStack])]
fn parse(bencher: Bencher<'_, '_>, dialect: Dialect) {
    let body = make_batch(dialect);
    bencher
        .counter(BytesCount::of_str(&body))
        .counter(ItemsCount::new(EVENTS))
        .bench(|| ParsedBody::parse(black_box(body.as_bytes())).is_ok());
}
