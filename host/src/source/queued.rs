//! Messages of a queue as a source: each message is a chunk, and the chunk's ack acknowledges the message.
//!
//! If the settings say so, events that this process has processed are left out of the chunk. Ids are remembered only when
//! all events of a message have ended, and only of events that were delivered or filtered: the event of a dead letter
//! can come again by a replay.

use std::sync::Arc;

use arc_swap::ArcSwap;

use super::{ChunkSource, Chunker};
use standpipe_core::error_chain;
use standpipe_core::event::{
    Ack, Chunk, EventEntry, EventOutcome, EventSource, LineError, Lines, NextChunk, Outline,
    Settled, Settlements, SourceNames, string,
};
use standpipe_core::limits::{EVENT_NESTING_MAX, STOP_POLL};
use standpipe_queue::{
    Completion, EventDeduplicator, EventIdHash, Messages, NextMessage, PendingMessage,
    decode_message,
};

/// The source of messages that cannot be decoded, in dead letters.
const UNREADABLE_SOURCE: &str = "queue";

/// Makes a chunk of each message.
#[derive(Debug)]
pub struct QueueReader {
    messages: Messages,
    /// The sources of the settings, which can change.
    sources: Arc<ArcSwap<SourceNames>>,
    deduplicator: Option<Arc<EventDeduplicator>>,
    /// The number of the next event, counted from 1.
    next_line: u64,
}

impl QueueReader {
    /// Reads messages. `sources` are the sources that events may have. With a deduplicator, duplicates are left out.
    pub fn new(
        messages: Messages,
        sources: Arc<ArcSwap<SourceNames>>,
        deduplicator: Option<Arc<EventDeduplicator>>,
    ) -> Self {
        QueueReader { messages, sources, deduplicator, next_line: 1 }
    }

    fn make_chunk(&mut self, pending: PendingMessage, chunker: &Chunker) -> Chunk {
        let PendingMessage { message, completion, .. } = pending;
        let (buffer, sources) = (chunker.take_buffer(), self.sources.load());
        let mut known = self.deduplicator.clone().map(KnownEvents::new);
        let read = read_message(&message, buffer, self.next_line, &sources, known.as_mut());
        let (source, lines) = read.unwrap_or_else(|detail| {
            // Ids of the events before the unreadable one.
            known = None;
            let first_line = self.next_line;
            let mut lines = Lines { bytes: message.to_vec(), first_line, ..Lines::default() };
            lines.push_error(0..message.len(), 0, LineError::Unreadable { detail });
            (EventSource::durable(UNREADABLE_SOURCE), lines)
        });
        let duplicates = known.as_ref().map_or(0, |known| known.duplicates);
        self.next_line += lines.len() as u64 + duplicates;
        chunker.count_read(lines.bytes.len(), 0);
        let ack = make_ack(source, lines.len(), known, completion, chunker);
        lines.into_chunk(ack)
    }
}

/// What is known of the ids of a message's events.
pub(super) struct KnownEvents {
    deduplicator: Arc<EventDeduplicator>,
    /// The ids of the events of the chunk, by their positions.
    ids: Vec<Option<EventIdHash>>,
    /// Events that were left out.
    duplicates: u64,
}

impl KnownEvents {
    fn new(deduplicator: Arc<EventDeduplicator>) -> Self {
        KnownEvents { deduplicator, ids: Vec::new(), duplicates: 0 }
    }

    /// Whether the event with this text is left out. If not, its id is noted for the event that the chunk gets next, at
    /// this position.
    fn leave_out(&mut self, source: &str, text: &[u8], position: usize) -> bool {
        let id = find_message_id(text, |id| self.deduplicator.hash_id(source, id));
        if id.is_some_and(|id| self.deduplicator.is_processed(id)) {
            self.duplicates += 1;
            return true;
        }
        // Events that the chunk got with an error have no id.
        self.ids.resize(position, None);
        self.ids.push(id);
        false
    }

    /// Remembers the events of a message of which all have ended.
    fn remember(self, settlements: &Settlements<'_>) {
        let has_ended_well = |event| {
            let outcome = settlements.outcome_of(event);
            matches!(outcome, Some(EventOutcome::Delivered | EventOutcome::Filtered))
        };
        let ids = self.ids.iter().enumerate();
        let ids = ids.filter(|(event, _)| has_ended_well(*event)).filter_map(|(_, id)| *id);
        self.deduplicator.remember(ids);
        self.deduplicator.count_duplicates(self.duplicates);
    }
}

/// Calls `hash` for the `messageId` of an event, if it has one that is a string and not empty.
fn find_message_id(text: &[u8], hash: impl FnOnce(&str) -> EventIdHash) -> Option<EventIdHash> {
    // What is no event becomes a dead letter later.
    let outline = Outline::of_members(text, EVENT_NESTING_MAX, usize::MAX).ok()?;
    let mut found = None;
    outline.for_each_member(|member| {
        if member.name() == "messageId" {
            found = Some(member.value);
        }
    });
    string(outline.at(found?)).filter(|id| !id.is_empty()).map(|id| hash(&id))
}

/// Finds the events in the message's entry, which becomes the buffer of the lines. A message with one unreadable event
/// is unreadable. Events that are `known` as processed are left out.
pub(super) fn read_message(
    message: &[u8],
    buffer: Vec<u8>,
    first_line: u64,
    sources: &SourceNames,
    mut known: Option<&mut KnownEvents>,
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
            None => {
                let is_left_out = known.as_mut().is_some_and(|known| {
                    known.leave_out(source.name(), &bytes[text.clone()], lines.len())
                });
                if !is_left_out {
                    lines.push(text, offset);
                }
            }
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

/// A message with an unsettled event returns to the queue. Its events then do not count as read, and its duplicates not
/// as duplicates.
fn make_ack(
    source: EventSource,
    events: usize,
    known: Option<KnownEvents>,
    completion: Completion,
    chunker: &Chunker,
) -> Ack {
    let totals = chunker.totals();
    Ack::with_outcomes(source, events, move |settled, settlements| {
        if settled.undelivered == 0 {
            if let Some(known) = known {
                known.remember(settlements);
            }
            completion.complete();
        }
        let settled = Settled { undelivered: 0, ..settled };
        totals.add_read(settled.delivered + settled.filtered + settled.dead);
        totals.add_settled(settled);
    })
}

#[cfg(test)]
mod tests;
