//! Submits arbitrary events: each becomes one text, in order, with the same JSON value. The input
//! is split into events at the bytes 0xff, which JSON does not contain.
#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use standpipe::source::{Chunker, Progress, SubmissionLimits, SubmissionReader, Submitter};
use standpipe_core::event::scan;
use standpipe_core::limits;
use tokio_util::sync::CancellationToken;

fuzz_target!(|input: &[u8]| {
    let events: Vec<&[u8]> = input.split(|byte| *byte == 0xff).collect();
    let (submitter, submissions) = Submitter::new(SubmissionLimits::default());
    for event in &events {
        drop(submitter.try_submit(event.to_vec().into()).expect("there is room"));
    }
    submitter.close();
    let (chunker, chunks, _) = Chunker::new(events.len() + 1, Progress::default());
    let mut reader = SubmissionReader::new(submissions, "fuzz".into());
    chunker.hand_out(&mut reader, &CancellationToken::new());
    drop(chunker);
    let mut events = events.into_iter();
    for chunk in chunks {
        for line in &chunk.lines {
            let (text, event) = (chunk.line_text(*line), events.next().expect("one for each"));
            let read = |text| serde_json::from_slice::<Value>(text).ok();
            assert_eq!(read(text), read(event));
            let is_one = !text.iter().any(|byte| b"\n\r".contains(byte));
            assert!(is_one || scan(text, limits::EVENT_NESTING_MAX).is_err());
        }
    }
    assert_eq!(events.next(), None);
});
