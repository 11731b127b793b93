//! Messages of a queue as a source: each message is a chunk, and the chunk's ack acknowledges the message.

use std::sync::Arc;

use arc_swap::ArcSwap;

use super::{ChunkSource, Chunker};
use standpipe_core::error_chain;
use standpipe_core::event::{
    Ack, Chunk, EventEntry, EventSource, LineError, Lines, NextChunk, Settled, SourceNames,
};
use standpipe_core::limits::STOP_POLL;
use standpipe_queue::{Completion, Messages, NextMessage, PendingMessage, decode_message};

/// The source of messages that cannot be decoded, in dead letters.
const UNREADABLE_SOURCE: &str = "queue";

/// Makes a chunk of each message.
#[derive(Debug)]
pub struct QueueReader {
    messages: Messages,
    /// The sources of the settings, which can change.
    sources: Arc<ArcSwap<SourceNames>>,
    /// The number of the next event, counted from 1.
    next_line: u64,
}

impl QueueReader {
    /// Reads messages. `sources` are the sources that events may have.
    pub fn new(messages: Messages, sources: Arc<ArcSwap<SourceNames>>) -> Self {
        QueueReader { messages, sources, next_line: 1 }
    }

    fn make_chunk(&mut self, pending: PendingMessage, chunker: &Chunker) -> Chunk {
        let PendingMessage { message, completion, .. } = pending;
        let (buffer, sources) = (chunker.take_buffer(), self.sources.load());
        let read = read_message(&message, buffer, self.next_line, &sources);
        let (source, lines) = read.unwrap_or_else(|detail| {
            let first_line = self.next_line;
            let mut lines = Lines { bytes: message.to_vec(), first_line, ..Lines::default() };
            lines.push_error(0..message.len(), 0, LineError::Unreadable { detail });
            (EventSource::durable(UNREADABLE_SOURCE), lines)
        });
        self.next_line += lines.len() as u64;
        chunker.count_read(lines.bytes.len(), 0);
        let ack = make_ack(source, lines.len(), completion, chunker);
        lines.into_chunk(ack)
    }
}

/// Finds the events in the message's entry, which becomes the buffer of the lines. A message with one unreadable event
/// is unreadable.
pub(super) fn read_message(
    message: &[u8],
    buffer: Vec<u8>,
    first_line: u64,
    sources: &SourceNames,
) -> Result<(EventSource, Lines), String> {
    let bytes = decode_message(message, buffer).map_err(|error| error_chain(&error))?;
    let entry = EventEntry::decode(&bytes).map_err(|error| error.to_string())?;
    let (source, is_known) = match sources.current(entry.source) {
        Some(source) => (EventSource::durable(source), true),
        None => (EventSource::durable(entry.source), false),
    };
    let head = bytes.len() - entry.texts.len();
    let mut lines = Lines { first_line, ..Lines::default() };
    let mut start = head;
    for (offset, (end, refused)) in (0..).zip(entry.events()) {
        let text = start..head + end as usize;
        start = text.end;
        match refused.map_err(|error| error.to_string())? {
            Some(refusal) => lines.push_error(text, offset, LineError::Refused(refusal)),
            None if !is_known => lines.push_error(text, offset, LineError::UnknownSource),
            None => lines.push(text, offset),
        }
    }
    lines.bytes = bytes;
    Ok((source, lines))
}

impl ChunkSource for QueueReader {
    fn next_chunk(&mut self, chunker: &Chunker) -> NextChunk {
        match self.messages.next(STOP_POLL) {
            NextMessage::Message(message) => NextChunk::Chunk(self.make_chunk(message, chunker)),
            NextMessage::Nothing => NextChunk::Nothing,
            NextMessage::End => NextChunk::End,
        }
    }
}

/// A message with an unsettled event returns to the queue. Its events then do not count as read.
fn make_ack(source: EventSource, events: usize, completion: Completion, chunker: &Chunker) -> Ack {
    let totals = chunker.totals();
    Ack::new(source, events, move |settled: Settled| {
        if settled.undelivered == 0 {
            completion.complete();
        }
        let settled = Settled { undelivered: 0, ..settled };
        totals.add_read(settled.delivered + settled.filtered + settled.dead);
        totals.add_settled(settled);
    })
}

#[cfg(test)]
mod tests;
