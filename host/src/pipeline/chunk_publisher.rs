//! The other end of a chunk: a collector's threads encode it as a message and publish it to the queue, in place of
//! the workers that map it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};

use super::explain_line_error;
use standpipe_core::event::{
    Ack, Chunk, EntryEvent, EventEntry, EventSource, LineError, OutputOutcome, encode_entry,
};
use standpipe_core::limits::CHUNK_BYTES;
use standpipe_delivery::dead_letters::{DeadLetter, DeadLetterWriter, Reason};
use standpipe_queue::{MessageEncoder, MessagePublisher, PublishOutcome, decode_message};

/// Takes chunks, and publishes their events as messages. Chunks of one source share a message if they arrive within
/// `max_delay`. Events are settled when the publisher says that nothing can lose them any more.
#[derive(Clone)]
pub struct ChunkPublisher {
    /// Where chunks come from.
    pub chunks: Receiver<Chunk>,
    /// Where their buffers go.
    pub buffers: Sender<Vec<u8>>,
    /// Publishes messages.
    pub publisher: MessagePublisher,
    /// How long a message that is not full waits for further chunks.
    pub max_delay: Duration,
    /// Where dead letters go.
    pub dead_letters: Arc<DeadLetterWriter>,
}

/// A message that is not full yet.
struct OpenMessage {
    texts: Vec<u8>,
    entry_events: Vec<EntryEvent>,
    events: MessageEvents,
    due: Instant,
}

/// The events of a message, which has one source.
#[derive(Default)]
struct MessageEvents {
    acks: Vec<Ack>,
    events: Vec<MessageEvent>,
}

/// Where an event of a message comes from.
#[derive(Debug, Clone, Copy)]
struct MessageEvent {
    /// The position of the ack of its chunk.
    ack: u32,
    /// Its position in the chunk.
    index: u32,
    /// Its line in the source.
    line: u64,
}

impl ChunkPublisher {
    /// Processes chunks until the queue of chunks is closed and empty. All messages have then been handed to the
    /// publisher.
    pub fn run(self) {
        let mut encoder = MessageEncoder::default();
        let mut open: Option<OpenMessage> = None;
        loop {
            let chunk = match &open {
                Some(message) => self.chunks.recv_deadline(message.due),
                None => self.chunks.recv().map_err(RecvTimeoutError::from),
            };
            let chunk = match chunk {
                Ok(chunk) => chunk,
                Err(error) => {
                    if let Some(message) = open.take() {
                        self.publish(message, &mut encoder);
                    }
                    match error {
                        RecvTimeoutError::Timeout => continue,
                        RecvTimeoutError::Disconnected => return,
                    }
                }
            };
            self.dead_letters.wait_for_room_blocking();
            if let Some(message) = open.take_if(|message| !message.has_room(&chunk)) {
                self.publish(message, &mut encoder);
            }
            let message = open.get_or_insert_with(|| OpenMessage::new(self.max_delay));
            self.add_chunk(&chunk, message);
            // A full pool of buffers needs no more of them.
            drop(self.buffers.try_send(chunk.bytes));
            if let Some(message) = open.take_if(|message| message.is_full()) {
                self.publish(message, &mut encoder);
            }
        }
    }

    /// Adds the events of a chunk. Events that the source could not read whole become dead letters here.
    fn add_chunk(&self, chunk: &Chunk, message: &mut OpenMessage) {
        let ack = u32::try_from(message.events.acks.len()).expect("a message has few chunks");
        message.events.acks.push(chunk.ack.clone());
        message.texts.reserve(chunk.bytes.len());
        let mut errors = chunk.errors.iter().peekable();
        for (index, &line) in (0..).zip(&chunk.lines) {
            let (text, number) = (chunk.line_text(line), chunk.line_number(line));
            let refused = match errors.next_if(|(at, _)| *at == index) {
                None => None,
                Some((_, LineError::Refused(refusal))) => Some(*refusal),
                Some((_, error)) => {
                    let (reason, detail, bytes_total) = explain_line_error(error);
                    let dead_letter =
                        DeadLetter::of_line(reason, &detail, chunk.source(), number, text);
                    let dead_letter = DeadLetter { bytes_total, ..dead_letter };
                    self.dead_letters.settle_dead(&dead_letter, &chunk.ack, index);
                    continue;
                }
            };
            message.texts.extend_from_slice(text);
            let end = u32::try_from(message.texts.len()).expect("a message is limited");
            message.entry_events.push(EntryEvent { end, refused });
            message.events.events.push(MessageEvent { ack, index, line: number });
        }
    }

    /// Hands a message to the publisher. Waits while too many messages are unconfirmed.
    fn publish(&self, message: OpenMessage, encoder: &mut MessageEncoder) {
        let OpenMessage { texts, entry_events, events, .. } = message;
        if events.events.is_empty() {
            return;
        }
        let entry = encode_entry(events.source().name(), texts, entry_events.into_iter());
        let chunk_publisher = self.clone();
        self.publisher.publish_blocking(encoder.encode(&entry).into(), move |outcome| {
            chunk_publisher.settle(outcome, events);
        });
    }

    fn settle(&self, outcome: PublishOutcome, events: MessageEvents) {
        match outcome {
            PublishOutcome::Published => events.settle_published(),
            PublishOutcome::TooLarge(message) => self.split(&message, events),
            // A durable source still has the events.
            PublishOutcome::Aborted(message) if !events.source().keeps_unsettled() => {
                let detail = "the run ended before the queue stored the event";
                self.dead_letter(&message, &events, Reason::GivenUp, detail);
            }
            PublishOutcome::Aborted(_) => {}
        }
    }

    /// Publishes the two halves of a message that is too large. An event that is too large alone becomes a dead letter.
    fn split(&self, message: &[u8], events: MessageEvents) {
        if let [_] = &events.events[..] {
            let detail = "the event is larger than a message of the queue may be: raise max_payload of NATS, or the \
                          maximum message size of the queue";
            return self.dead_letter(message, &events, Reason::MessageTooLarge, detail);
        }
        let entry = decode_own(message);
        let entry = EventEntry::decode(&entry).expect("it was encoded here");
        let MessageEvents { acks, events } = events;
        let middle = events.len() / 2;
        for part in [0..middle, middle..events.len()] {
            let message = MessageEncoder::default().encode(&entry.encode_part(part.clone()));
            let events = MessageEvents { acks: acks.clone(), events: events[part].to_vec() };
            let chunk_publisher = self.clone();
            self.publisher.spawn(async move {
                let outcome = chunk_publisher.publisher.publish(message.into()).await;
                chunk_publisher.settle(outcome, events);
            });
        }
    }

    fn dead_letter(&self, message: &[u8], events: &MessageEvents, reason: Reason, detail: &str) {
        let entry = decode_own(message);
        let entry = EventEntry::decode(&entry).expect("it was encoded here");
        let mut start = 0;
        for ((end, _), event) in entry.events().zip(&events.events) {
            let text = &entry.texts[start..end as usize];
            start = end as usize;
            let dead_letter =
                DeadLetter::of_line(reason, detail, events.source(), event.line, text);
            self.dead_letters.settle_dead(&dead_letter, events.ack_of(event), event.index);
        }
    }
}

impl OpenMessage {
    fn new(max_delay: Duration) -> Self {
        OpenMessage {
            texts: Vec::new(),
            entry_events: Vec::new(),
            events: MessageEvents::default(),
            due: Instant::now() + max_delay,
        }
    }

    /// Returns whether the events of a chunk fit into the message.
    fn has_room(&self, chunk: &Chunk) -> bool {
        self.events.acks.is_empty()
            || (self.events.source() == chunk.source()
                && self.texts.len() + chunk.bytes.len() <= CHUNK_BYTES)
    }

    /// Returns whether another chunk is unlikely to fit.
    fn is_full(&self) -> bool {
        self.texts.len() > CHUNK_BYTES / 2
    }
}

impl MessageEvents {
    /// Returns the source of all events. There must be a chunk.
    fn source(&self) -> &EventSource {
        self.acks[0].source()
    }

    fn ack_of(&self, event: &MessageEvent) -> &Ack {
        &self.acks[event.ack as usize]
    }

    fn settle_published(self) {
        for event in &self.events {
            self.ack_of(event).settle(event.index, OutputOutcome::Delivered);
        }
        self.acks.iter().for_each(Ack::checkpoint);
    }
}

/// Decodes a message that this process has encoded.
fn decode_own(message: &[u8]) -> Vec<u8> {
    decode_message(message, Vec::new()).expect("it was encoded here")
}

#[cfg(test)]
mod tests;
