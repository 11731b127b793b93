//! Reads the events of inputs, in batches like those of a run's workers.

use std::ops::ControlFlow;

use anyhow::Context;
use tokio_util::sync::CancellationToken;

use crate::limits;
use crate::source::Input;
use standpipe_core::event::{Event, Lines, scan};

/// Passes on an input's events. Returns the number of lines that are not events.
pub(super) fn for_each_batch(
    input: &Input,
    mut each: impl FnMut(&[Event<'_>]),
) -> anyhow::Result<u64> {
    let mut no_events = 0;
    for_each_lines(input, |lines| {
        no_events += split_into_batches(&lines, |events| each(&events));
        ControlFlow::Continue(())
    })?;
    Ok(no_events)
}

/// Passes on an input's lines while they are read.
pub(super) fn for_each_lines(
    input: &Input,
    mut each: impl FnMut(Lines) -> ControlFlow<()>,
) -> anyhow::Result<()> {
    let reader = input.open_lines(&CancellationToken::new());
    let mut reader = reader.with_context(|| format!("read {}", input.name()))?;
    while let Some(lines) = reader.next_lines(Vec::new()) {
        if each(lines).is_break() {
            break;
        }
    }
    Ok(())
}

/// Passes on the batches of some lines. Returns the same number as above.
pub(super) fn split_into_batches<'a>(
    lines: &'a Lines,
    mut each: impl FnMut(Vec<Event<'a>>),
) -> u64 {
    let mut errors = lines.errors.iter().peekable();
    let (mut no_events, mut batch, mut batch_bytes) = (0, Vec::new(), 0);
    for (index, line) in (0..).zip(&lines.lines) {
        let text = &lines.bytes[line.start as usize..line.end as usize];
        let has_error = errors.next_if(|(at, _)| *at == index).is_some();
        let Some((text, envelope)) =
            scan(text, standpipe_core::limits::EVENT_NESTING_MAX).ok().filter(|_| !has_error)
        else {
            no_events += 1;
            continue;
        };
        let is_full = batch_bytes + text.len() > limits::BATCH_BYTES_MAX
            || batch.len() == limits::BATCH_EVENTS_MAX;
        if is_full && !batch.is_empty() {
            each(std::mem::take(&mut batch));
            batch_bytes = 0;
        }
        batch_bytes += text.len();
        batch.push(Event {
            index,
            line: lines.first_line + u64::from(line.offset),
            text,
            envelope,
        });
    }
    if !batch.is_empty() {
        each(batch);
    }
    no_events
}
