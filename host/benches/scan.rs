//! Measures the scan of an event: finding its envelope and checking its text.

#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

use std::fmt::Write as _;

use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};
use standpipe_core::event::scan;

fn main() {
    divan::main();
}

/// An event of this size; the mean size of analytics events is in the middle of the range. It is
/// nested like real events, because a long string would be easier to scan.
fn make_event(bytes: usize) -> String {
    let mut event =
        r#"{"type":"track","event":"Order Completed","properties":{"items":["#.to_owned();
    while event.len() + 150 < bytes {
        let number = event.len();
        let _ = write!(
            event,
            r#"{{"product_id":"{number:012x}","sku":"SKU-{number:05}","name":"Trail Shoe","price":{number}.99,"tags":["a","ä"]}},"#
        );
    }
    let missing = bytes.saturating_sub(event.len() + r#"""]}}"#.len());
    let _ = write!(event, r#""{}"]}}}}"#, "x".repeat(missing));
    event
}

#[divan::bench(args = [100, 818, 100_000])]
fn envelope(bencher: Bencher<'_, '_>, bytes: usize) {
    let event = make_event(bytes);
    bencher.counter(BytesCount::of_str(&event)).counter(ItemsCount::new(1_usize)).bench(|| {
        scan(black_box(event.as_bytes()), standpipe_core::limits::EVENT_NESTING_MAX).is_ok()
    });
}
