use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::batch::Item;
use super::stream::Stream;
use super::{Batch, Delivery, Identity, Provenance};
use crate::event::StreamName;
use crate::limits;

/// A worker's open batches, one for each delivery stream.
///
/// A batch that is closed is queued here until it is handed over. Threads do both
/// in one go, and block while too much is in flight ([`Outbox::push`],
/// [`Outbox::close_due`], [`Outbox::close_all`]); an asynchronous driver fills and
/// closes batches without waiting ([`Outbox::add`], [`Outbox::end_due`],
/// [`Outbox::end_all`]) and then awaits [`Outbox::flush`].
pub struct Outbox {
    delivery: Delivery,
    max_delay: Duration,
    slots: Vec<Slot>,
    by_name: HashMap<(Identity, StreamName), usize>,
    /// Bytes in all open batches.
    open_bytes: usize,
    /// Closed batches that have not been handed over, oldest first. Whoever adds
    /// records hands these over before the next one, so that there are few.
    closed: VecDeque<(Arc<Stream>, Batch)>,
    /// Whether nothing is handed over but by [`Outbox::flush`].
    #[cfg(test)]
    is_deferred: bool,
}

struct Slot {
    stream: Arc<Stream>,
    batch: Batch,
    /// The size of a record that the event at hand may share, if it may.
    pack_bytes_max: Option<usize>,
    /// When the first record came in.
    opened: Instant,
}

/// A record to be delivered.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    /// The event's position in its chunk.
    pub event: u32,
    /// The event's line in its source.
    pub line: u64,
    /// The event's text as received.
    pub text: &'a [u8],
    /// What is sent in its place.
    pub payload: Option<&'a [u8]>,
}

/// A record that Firehose would not take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLarge {
    /// Its size with its newline.
    pub bytes: usize,
}

impl Outbox {
    pub(super) fn new(delivery: Delivery, max_delay: Duration) -> Self {
        Outbox {
            delivery,
            max_delay,
            slots: Vec::new(),
            by_name: HashMap::new(),
            open_bytes: 0,
            closed: VecDeque::new(),
            #[cfg(test)]
            is_deferred: false,
        }
    }

    /// The place of a stream in this outbox, to be used in [`Outbox::push`].
    pub fn place(&mut self, identity: Identity, name: &StreamName) -> usize {
        let key = (identity, name.clone());
        if let Some(&place) = self.by_name.get(&key) {
            return place;
        }
        let stream = self.delivery.stream(identity, name);
        let (batch, opened) = (Batch::default(), now());
        self.slots.push(Slot { stream, batch, pack_bytes_max: None, opened });
        self.by_name.insert(key, self.slots.len() - 1);
        self.slots.len() - 1
    }

    /// Add a record to a stream's open batch. Blocks while too much is in
    /// flight.
    ///
    /// # Errors
    ///
    /// The record is larger than Firehose takes; it was not added.
    pub fn push(
        &mut self,
        place: usize,
        provenance: &Provenance,
        record: Record<'_>,
    ) -> Result<(), TooLarge> {
        self.add(place, provenance, record)?;
        self.flush_blocking();
        Ok(())
    }

    /// Add a record to a stream's open batch without handing any batch over:
    /// [`Outbox::flush`] is to follow.
    ///
    /// # Errors
    ///
    /// As for [`Outbox::push`].
    pub fn add(
        &mut self,
        place: usize,
        provenance: &Provenance,
        record: Record<'_>,
    ) -> Result<(), TooLarge> {
        let newline: &[u8] = if self.slots[place].stream.settings.newline { b"\n" } else { b"" };
        let Record { event, line, text, payload } = record;
        let item = Item { event, line, text, payload, newline };
        let bytes = item.bytes();
        if bytes > limits::RECORD_BYTES_MAX {
            return Err(TooLarge { bytes });
        }
        let slot = &mut self.slots[place];
        slot.pack_bytes_max = slot.stream.packing.for_event();
        if !slot.has_room(bytes) {
            self.close(place);
        }
        let slot = &mut self.slots[place];
        let held = slot.batch.held_bytes();
        slot.add(provenance, item);
        self.open_bytes += slot.batch.held_bytes() - held;
        if slot.is_full(self.delivery.request_bytes_enough()) {
            self.close(place);
        }
        while self.open_bytes > limits::OPEN_BYTES_MAX {
            self.close_largest();
        }
        Ok(())
    }

    /// Hand over the batches that have been open for long enough. Blocks as
    /// [`Outbox::push`] does.
    pub fn close_due(&mut self, now: Instant) {
        self.end_due(now);
        self.flush_blocking();
    }

    /// Hand everything over. Blocks as [`Outbox::push`] does.
    pub fn close_all(&mut self) {
        self.end_all();
        self.flush_blocking();
    }

    /// Close the batches that have been open for long enough:
    /// [`Outbox::flush`] is to follow.
    pub fn end_due(&mut self, now: Instant) {
        for place in 0..self.slots.len() {
            let slot = &self.slots[place];
            if !slot.batch.is_empty() && now.duration_since(slot.opened) >= self.max_delay {
                self.close(place);
            }
        }
    }

    /// When the next batch is due, if any is open.
    pub fn next_due(&self) -> Option<Instant> {
        let open = self.slots.iter().filter(|slot| !slot.batch.is_empty());
        open.map(|slot| slot.opened + self.max_delay).min()
    }

    /// Close all batches: [`Outbox::flush`] is to follow.
    pub fn end_all(&mut self) {
        for place in 0..self.slots.len() {
            self.close(place);
        }
    }

    /// Hand the closed batches over, and wait while too much is in flight.
    pub async fn flush(&mut self) {
        while let Some((stream, batch)) = self.closed.pop_front() {
            self.delivery.submit(&stream, batch).await;
        }
    }

    fn flush_blocking(&mut self) {
        #[cfg(test)]
        if self.is_deferred {
            return;
        }
        while let Some((stream, batch)) = self.closed.pop_front() {
            self.delivery.submit_blocking(&stream, batch);
        }
    }

    /// Send the batch that is worth it most. The others go on growing, so that
    /// requests get twice as large as if all were sent.
    fn close_largest(&mut self) {
        let sizes = self.slots.iter().map(|slot| slot.batch.held_bytes()).enumerate();
        if let Some((place, _)) = sizes.max_by_key(|(_, bytes)| *bytes) {
            self.close(place);
        }
    }

    fn close(&mut self, place: usize) {
        let slot = &mut self.slots[place];
        if slot.batch.is_empty() {
            return;
        }
        // The next one is likely to be as large.
        let next = slot.batch.emptied();
        let batch = std::mem::replace(&mut slot.batch, next);
        self.open_bytes -= batch.held_bytes();
        self.closed.push_back((Arc::clone(&slot.stream), batch));
    }

    /// Leaves all handing over to [`Outbox::flush`]: for who drives a worker and
    /// delivery on one thread.
    #[cfg(test)]
    #[must_use]
    pub(crate) fn deferred(self) -> Self {
        Outbox { is_deferred: true, ..self }
    }
}

impl Slot {
    /// Whether so many bytes more can be part of the batch.
    fn has_room(&self, bytes: usize) -> bool {
        self.batch.payload_bytes() + bytes <= limits::REQUEST_BYTES_MAX
            && (self.batch.len() < limits::REQUEST_RECORDS_MAX || self.can_pack(bytes))
    }

    /// Whether the batch is large enough, or nothing more can be part of it.
    fn is_full(&self, bytes_enough: usize) -> bool {
        self.batch.payload_bytes() >= bytes_enough
            || self.batch.len() == limits::REQUEST_RECORDS_MAX && !self.can_pack(1)
    }

    /// Whether so many bytes more can share the last record.
    fn can_pack(&self, bytes: usize) -> bool {
        let has_room = |bytes_max| self.batch.last_record_has_room(bytes, bytes_max);
        self.pack_bytes_max.is_some_and(has_room)
    }

    fn add(&mut self, provenance: &Provenance, item: Item<'_>) {
        if self.batch.is_empty() {
            self.opened = now();
        }
        if self.can_pack(item.bytes()) {
            self.batch.push_to_last_record(provenance, item);
        } else {
            self.batch.push(provenance, item);
        }
    }
}

/// The runtime's time, which tests can stop.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

impl std::fmt::Debug for Outbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outbox").field("streams", &self.by_name.len()).finish_non_exhaustive()
    }
}
