//! A worker's open batches, one for each stream. A batch is closed when it is full, due, or the
//! largest while too many bytes are open. Submitting it waits while too much is in flight.
//!
//! If records are compressed, the worker compresses each one when it is complete.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use thiserror::Error;

use super::aggregation::RecordLimit;
use super::compression::{COMPRESSION_OVERHEAD_BYTES_MAX, CompressedFill, RecordCompressors};
use super::stream::{DeliveryStream, StreamLease};
use super::{Batch, Delivery, Identity, NamedBy, Provenance, Record, TooManyStreams};
use crate::limits;
use standpipe_core::event::StreamName;

/// Maximum bytes of one worker's open batches of all streams. Above this limit, batches are sent
/// before they are full.
pub(super) const OPEN_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Maximum bytes of a batch before compression. Records that cannot become smaller grow a little.
const COMPRESSED_BATCH_BYTES_MAX: usize =
    limits::REQUEST_BYTES_MAX - limits::REQUEST_RECORDS_MAX * COMPRESSION_OVERHEAD_BYTES_MAX;

/// How often a worker checks for streams that are no longer in use.
const OUTBOX_SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// A worker's open batches, one for each delivery stream.
///
/// A closed batch is queued here until it is submitted. Threads close and submit in one call, and
/// block while too much is in flight ([`RecordAccumulator::push`],
/// [`RecordAccumulator::close_due`], [`RecordAccumulator::close_all`]). An asynchronous driver
/// fills and closes batches without waiting ([`RecordAccumulator::add`],
/// [`RecordAccumulator::end_due`], [`RecordAccumulator::end_all`]) and then awaits
/// [`RecordAccumulator::flush`].
pub struct RecordAccumulator {
    delivery: Delivery,
    max_delay: Duration,
    slots: Vec<SlotGeneration>,
    /// Slots of streams that are no longer in use, for reuse.
    unused: Vec<usize>,
    by_name: HashMap<(Identity, StreamName), StreamSlot>,
    /// Bytes in all open batches.
    open_bytes: usize,
    /// Closed batches that are not submitted yet, oldest first. A caller that adds records submits
    /// them before the next record, so there are only a few.
    closed: VecDeque<(StreamLease, Batch)>,
    compressors: RecordCompressors,
    swept: Instant,
    /// Whether only [`RecordAccumulator::flush`] submits batches.
    #[cfg(any(test, feature = "testing"))]
    is_deferred: bool,
}

/// The position of a stream in a [`RecordAccumulator`], until the stream is no longer in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamSlot {
    slot: usize,
    generation: u32,
}

/// A slot, and the number of streams that used it before.
#[derive(Default)]
struct SlotGeneration {
    number: u32,
    slot: Option<Slot>,
}

struct Slot {
    identity: Identity,
    named_by: NamedBy,
    stream: Arc<DeliveryStream>,
    /// The lease of the stream while the batch is open.
    in_use: Option<StreamLease>,
    batch: Batch,
    /// The limits of the record that the current event may share.
    limit: Option<RecordLimit>,
    /// The limits of each record of the open batch, if the batch is compressed.
    compressed: Option<RecordLimit>,
    fill: CompressedFill,
    /// When the first record was added.
    opened: Instant,
}

/// Why a record was not added to a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum RecordNotAdded {
    /// Firehose would reject the record.
    #[error(
        "the record has {bytes} bytes with its newline, and Firehose accepts {}",
        limits::RECORD_BYTES_MAX
    )]
    TooLarge {
        /// The size of the record with its newline.
        bytes: usize,
    },
    /// The stream may not be used.
    #[error(transparent)]
    TooManyStreams(#[from] TooManyStreams),
}

impl RecordAccumulator {
    /// Creates an accumulator for one worker.
    pub fn new(delivery: &Delivery) -> Self {
        RecordAccumulator {
            delivery: delivery.clone(),
            max_delay: delivery.settings().max_delay,
            slots: Vec::new(),
            unused: Vec::new(),
            by_name: HashMap::new(),
            open_bytes: 0,
            closed: VecDeque::new(),
            compressors: RecordCompressors::default(),
            swept: runtime_now(),
            #[cfg(any(test, feature = "testing"))]
            is_deferred: false,
        }
    }

    /// Returns the slot of a stream in this accumulator. It can be used in
    /// [`RecordAccumulator::push`] as long as the accumulator [holds](RecordAccumulator::holds) it.
    ///
    /// # Errors
    ///
    /// Fails if an event named the stream, and the limit of dynamic streams is reached.
    pub fn place(
        &mut self,
        identity: Identity,
        name: &StreamName,
        named_by: NamedBy,
    ) -> Result<StreamSlot, TooManyStreams> {
        let key = (identity, name.clone());
        if let Some(&place) = self.by_name.get(&key) {
            return Ok(place);
        }
        let stream = Arc::clone(self.delivery.stream(identity, name, named_by)?.stream());
        let slot = self.unused.pop().unwrap_or_else(|| {
            self.slots.push(SlotGeneration::default());
            self.slots.len() - 1
        });
        let SlotGeneration { number, slot: empty } = &mut self.slots[slot];
        let place = StreamSlot { slot, generation: *number };
        *empty = Some(Slot {
            identity,
            named_by,
            stream,
            in_use: None,
            batch: Batch::default(),
            limit: None,
            compressed: None,
            fill: CompressedFill::default(),
            opened: runtime_now(),
        });
        self.by_name.insert(key, place);
        Ok(place)
    }

    /// Whether a slot still belongs to its stream.
    pub fn holds(&self, place: StreamSlot) -> bool {
        self.slots[place.slot].number == place.generation
    }

    /// Adds a record to a stream's open batch. Blocks while too much is in flight.
    ///
    /// # Errors
    ///
    /// Fails if the record is too large for Firehose, or if its stream has been retired and the
    /// limit of dynamic streams is reached. The record was not added then.
    pub fn push(
        &mut self,
        place: StreamSlot,
        provenance: &Provenance,
        record: Record<'_>,
    ) -> Result<(), RecordNotAdded> {
        self.add(place, provenance, record)?;
        self.flush_blocking();
        Ok(())
    }

    /// Adds a record to a stream's open batch without submitting a batch. The caller must call
    /// [`RecordAccumulator::flush`] afterwards.
    ///
    /// # Errors
    ///
    /// Fails in the same cases as [`RecordAccumulator::push`].
    pub fn add(
        &mut self,
        place: StreamSlot,
        provenance: &Provenance,
        record: Record<'_>,
    ) -> Result<(), RecordNotAdded> {
        debug_assert!(self.holds(place), "the place is another stream's by now");
        let Some(slot) = &mut self.slots[place.slot].slot else {
            unreachable!("a place that is held has a slot")
        };
        // The settings belong to the batch, so another batch may have other settings.
        loop {
            slot.begin(&self.delivery)?;
            let bytes = record.bytes(slot.newline());
            slot.limit = slot.stream.aggregation.for_event();
            if bytes > slot.event_bytes_max() {
                slot.in_use.take_if(|_| slot.batch.is_empty());
                return Err(RecordNotAdded::TooLarge { bytes });
            }
            if slot.has_room(bytes) {
                break;
            }
            self.open_bytes -= slot.close(&mut self.compressors, &mut self.closed);
        }
        let held = slot.batch.held_bytes();
        slot.add(provenance, record);
        slot.compress_full_record(&mut self.compressors);
        self.open_bytes += slot.batch.held_bytes() - held;
        if slot.is_full(self.delivery.settings().request_bytes_enough) {
            self.open_bytes -= slot.close(&mut self.compressors, &mut self.closed);
        }
        while self.open_bytes > OPEN_BYTES_MAX {
            self.close_largest();
        }
        Ok(())
    }

    /// Submits the batches that have been open for long enough. Blocks like
    /// [`RecordAccumulator::push`].
    pub fn close_due(&mut self, now: Instant) {
        self.end_due(now);
        self.flush_blocking();
    }

    /// Submits all batches. Blocks like [`RecordAccumulator::push`].
    pub fn close_all(&mut self) {
        self.end_all();
        self.flush_blocking();
    }

    /// Closes the batches that have been open for long enough. The caller must call
    /// [`RecordAccumulator::flush`] afterwards.
    pub fn end_due(&mut self, now: Instant) {
        for slot in used_slots(&mut self.slots) {
            if now.duration_since(slot.opened) >= self.max_delay {
                self.open_bytes -= slot.close(&mut self.compressors, &mut self.closed);
            }
        }
        if now.duration_since(self.swept) >= OUTBOX_SWEEP_INTERVAL {
            self.forget_unused();
            self.swept = now;
        }
    }

    /// When the next batch is due, if any is open.
    pub fn next_due(&self) -> Option<Instant> {
        let slots = self.slots.iter().filter_map(|generation| generation.slot.as_ref());
        slots.filter(|slot| !slot.batch.is_empty()).map(|slot| slot.opened + self.max_delay).min()
    }

    /// Closes all batches. The caller must call [`RecordAccumulator::flush`] afterwards.
    pub fn end_all(&mut self) {
        for slot in used_slots(&mut self.slots) {
            self.open_bytes -= slot.close(&mut self.compressors, &mut self.closed);
        }
    }

    /// Submits the closed batches, and waits while too much is in flight.
    pub async fn flush(&mut self) {
        while let Some((in_use, batch)) = self.closed.pop_front() {
            self.delivery.submit_batch(in_use.stream(), batch).await;
        }
    }

    fn flush_blocking(&mut self) {
        #[cfg(any(test, feature = "testing"))]
        if self.is_deferred {
            return;
        }
        while let Some((in_use, batch)) = self.closed.pop_front() {
            self.delivery.submit_blocking(in_use.stream(), batch);
        }
    }

    /// Closes the largest batch. The others continue to grow, which makes requests twice as large
    /// as if all were sent.
    fn close_largest(&mut self) {
        if let Some(slot) = used_slots(&mut self.slots).max_by_key(|slot| slot.batch.held_bytes()) {
            self.open_bytes -= slot.close(&mut self.compressors, &mut self.closed);
        }
    }

    /// Drops streams that are no longer in use.
    fn forget_unused(&mut self) {
        for (at, generation) in self.slots.iter_mut().enumerate() {
            if let Some(slot) = generation.slot.take_if(|slot| slot.is_unused()) {
                generation.number = generation.number.wrapping_add(1);
                self.by_name.remove(&(slot.identity, slot.stream.name.clone()));
                self.unused.push(at);
            }
        }
    }

    /// The number of slots, used and unused.
    #[cfg(test)]
    pub(super) fn slots_made(&self) -> usize {
        self.slots.len()
    }

    /// Makes [`RecordAccumulator::flush`] the only function that submits batches, for drivers that
    /// run a worker and delivery on one thread.
    #[cfg(any(test, feature = "testing"))]
    #[must_use]
    pub fn with_deferred_flush(self) -> Self {
        RecordAccumulator { is_deferred: true, ..self }
    }
}

/// The slots that have a stream.
fn used_slots(all: &mut [SlotGeneration]) -> impl Iterator<Item = &mut Slot> {
    all.iter_mut().filter_map(|generation| generation.slot.as_mut())
}

impl Slot {
    /// Makes sure that the open batch has a stream in use.
    fn begin(&mut self, delivery: &Delivery) -> Result<(), TooManyStreams> {
        if self.in_use.is_some() {
            return Ok(());
        }
        self.in_use = StreamLease::begin(&self.stream);
        if self.in_use.is_none() {
            let in_use = delivery.stream(self.identity, &self.stream.name, self.named_by)?;
            self.stream = Arc::clone(in_use.stream());
            self.in_use = Some(in_use);
        }
        Ok(())
    }

    /// Moves the batch to the closed ones, if there is one. Returns the bytes that it had while it
    /// was open.
    fn close(
        &mut self,
        compressors: &mut RecordCompressors,
        closed: &mut VecDeque<(StreamLease, Batch)>,
    ) -> usize {
        if self.batch.is_empty() {
            return 0;
        }
        let bytes = self.batch.held_bytes();
        while self.batch.uncompressed_bytes().is_some() && self.compress_record(compressors) {}
        let Some(in_use) = self.in_use.take() else {
            unreachable!("a batch is filled while its stream is in use")
        };
        // The next batch will probably have the same size.
        let next = self.batch.empty_of_same_size();
        let batch = std::mem::replace(&mut self.batch, next);
        // If the size of compressed records was unexpected, there can be more than in a request.
        let mut rest = limits::REQUEST_RECORDS_MAX..batch.len();
        if rest.is_empty() {
            closed.push_back((in_use, batch));
            return bytes;
        }
        closed.push_back((in_use.share(), batch.select(0..rest.start)));
        while !rest.is_empty() {
            let end = rest.end.min(rest.start + limits::REQUEST_RECORDS_MAX);
            closed.push_back((in_use.share(), batch.select(rest.start..end)));
            rest.start = end;
        }
        bytes
    }

    fn is_unused(&self) -> bool {
        self.in_use.is_none() && self.stream.is_retired()
    }

    /// The maximum size of an event with its newline.
    fn event_bytes_max(&self) -> usize {
        match self.limit.and_then(|limit| limit.compression) {
            Some(_) => limits::RECORD_BYTES_MAX - COMPRESSION_OVERHEAD_BYTES_MAX,
            None => limits::RECORD_BYTES_MAX,
        }
    }

    /// The limits of a record, if the current event belongs in compressed ones.
    fn compressed_limit(&self) -> Option<RecordLimit> {
        self.limit.filter(|limit| limit.compression.is_some())
    }

    /// Whether this number of bytes fits into the batch.
    fn has_room(&self, bytes: usize) -> bool {
        if self.batch.is_empty() {
            return true;
        }
        if self.compressed != self.compressed_limit() {
            return false;
        }
        if self.compressed.is_some() {
            let is_record_open = self.batch.uncompressed_bytes().is_some();
            return self.batch.text_bytes() + bytes <= COMPRESSED_BATCH_BYTES_MAX
                && (is_record_open || self.batch.len() < limits::REQUEST_RECORDS_MAX);
        }
        self.batch.text_bytes() + bytes <= limits::REQUEST_BYTES_MAX
            && (self.batch.len() < limits::REQUEST_RECORDS_MAX || self.can_aggregate(bytes))
    }

    /// Whether the batch is large enough, or can take nothing more.
    fn is_full(&self, bytes_enough: usize) -> bool {
        if self.compressed.is_some() && self.batch.uncompressed_bytes().is_some() {
            return false;
        }
        self.batch.text_bytes() >= bytes_enough
            || self.batch.len() >= limits::REQUEST_RECORDS_MAX && !self.can_aggregate(1)
    }

    /// Whether this number of bytes fits into the last record.
    fn can_aggregate(&self, bytes: usize) -> bool {
        match (self.compressed, self.limit) {
            (Some(_), _) => self.batch.uncompressed_bytes().is_some(),
            (None, Some(limit)) => self.batch.last_record_has_room(bytes, limit.bytes_max),
            (None, None) => false,
        }
    }

    fn add(&mut self, provenance: &Provenance, record: Record<'_>) {
        if self.batch.is_empty() {
            self.opened = runtime_now();
            self.compressed = self.compressed_limit();
        }
        let newline = self.newline();
        if self.can_aggregate(record.bytes(newline)) {
            self.batch.push_to_last_record(provenance, record, newline);
        } else {
            self.batch.push(provenance, record, newline);
        }
    }

    /// Compresses the last record if it contains as many events as it should.
    fn compress_full_record(&mut self, compressors: &mut RecordCompressors) {
        if let Some(limit) = self.compressed
            && let Some(bytes) = self.batch.uncompressed_bytes()
            && bytes >= self.fill.event_bytes(limit.bytes_max)
        {
            self.compress_record(compressors);
        }
    }

    /// Compresses the last record, or as many of its events as fit. Returns whether the batch is a
    /// compressed one.
    fn compress_record(&mut self, compressors: &mut RecordCompressors) -> bool {
        let Some(RecordLimit { bytes_max, compression: Some(compression) }) = self.compressed
        else {
            return false;
        };
        let (event_bytes, bytes) = self.batch.compress_last_record(bytes_max, |record, to| {
            compressors.compress(compression, record, to);
        });
        self.fill.learn(event_bytes, bytes, bytes_max);
        true
    }

    /// The bytes at the end of each record of the batch.
    fn newline(&self) -> &'static [u8] {
        if self.stream.settings.newline { b"\n" } else { b"" }
    }
}

/// The runtime's time, which tests can pause.
fn runtime_now() -> Instant {
    tokio::time::Instant::now().into_std()
}

impl std::fmt::Debug for RecordAccumulator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RecordAccumulator")
            .field("streams", &self.by_name.len())
            .finish_non_exhaustive()
    }
}
