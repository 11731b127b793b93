//! Whatever a program hands in, each event comes out as a text of its own, in order,
//! and as JSON it is what it was. The input is cut into events at the bytes 0xff, which
//! no JSON has.
#![no_main]

use std::sync::Arc;

use standpipe_core::event::scan;
use standpipe::source::{Gatherer, Room, Submitter};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|input: &[u8]| {
    let events: Vec<&[u8]> = input.split(|byte| *byte == 0xff).collect();
    let (submitter, submissions) = Submitter::new(Room::default());
    for event in &events {
        drop(submitter.try_submit(event.to_vec().into()).expect("there is room"));
    }
    submitter.close();
    let (chunks, out) = crossbeam_channel::unbounded();
    let gatherer = Gatherer {
        submissions,
        source: "fuzz".into(),
        chunks,
        buffers: crossbeam_channel::never(),
        totals: Arc::default(),
        bytes_read: Arc::default(),
    };
    gatherer.run();
    let mut events = events.into_iter();
    for chunk in out {
        for line in &chunk.lines {
            let (text, event) = (chunk.text(*line), events.next().expect("one for each"));
            let read = |text| serde_json::from_slice::<Value>(text).ok();
            assert_eq!(read(text), read(event));
            let is_one = !text.iter().any(|byte| b"\n\r".contains(byte));
            assert!(is_one || scan(text, standpipe_core::limits::EVENT_NESTING_MAX).is_err());
        }
    }
    assert_eq!(events.next(), None);
});
