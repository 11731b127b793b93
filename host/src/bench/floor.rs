//! Measures the floor: the work that no Firehose client can avoid.

use std::hint::black_box;
use std::thread;
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;

use super::process::thread_cpu_time;
use crate::limits;
use crate::source::{Chunker, Input, InputReader, Progress};
use standpipe_core::event::{Chunk, ChunkLine, scan};

/// Measures the floor per event, in nanoseconds of CPU time.
///
/// Scans each event, encodes each record, and hashes the body of each request, as its signature
/// requires. Another thread reads, and is not measured.
///
/// Returns `None` for an input without events.
#[expect(clippy::disallowed_methods, reason = "nothing is sent into the queue")]
pub(super) fn ns_per_event(input: &Input) -> Option<f64> {
    let (chunker, chunks, buffers) =
        Chunker::new(limits::CHUNKS_QUEUED_PER_WORKER, Progress::default());
    let reader = InputReader {
        inputs: vec![input.clone()],
        chunker,
        // Removals only concern dead letters.
        removals: crossbeam_channel::unbounded().0,
        intake_stop: CancellationToken::new(),
    };
    let reader = thread::spawn(|| reader.run());
    let mut request = FloorRequest::default();
    let (mut events, mut cpu) = (0_u64, Duration::ZERO);
    for chunk in chunks {
        let before = thread_cpu_time();
        for &line in &chunk.lines {
            request.add_record(&chunk, line);
        }
        cpu += thread_cpu_time() - before;
        events += chunk.lines.len() as u64;
        let _ = buffers.try_send(chunk.bytes);
    }
    let before = thread_cpu_time();
    request.finish_request();
    cpu += thread_cpu_time() - before;
    // If the reader failed, the runs report it.
    let _ = reader.join();
    (events > 0).then(|| cpu.as_nanos() as f64 / events as f64)
}

/// The records of a request, in base64.
#[derive(Default)]
struct FloorRequest {
    body: Vec<u8>,
    records: usize,
    record_bytes: usize,
}

impl FloorRequest {
    fn add_record(&mut self, chunk: &Chunk, line: ChunkLine) {
        let Ok((_, envelope)) =
            scan(chunk.line_text(line), standpipe_core::limits::EVENT_NESTING_MAX)
        else {
            return;
        };
        black_box(envelope);
        // The record ends with a newline, which usually follows the line in the chunk.
        let end = (line.end as usize + 1).min(chunk.bytes.len());
        let record = &chunk.bytes[line.start as usize..end];
        base64_simd::STANDARD.encode_append(record, &mut self.body);
        self.records += 1;
        self.record_bytes += record.len();
        let is_full = self.records == standpipe_delivery::limits::REQUEST_RECORDS_MAX
            || self.record_bytes >= standpipe_delivery::limits::REQUEST_BYTES_ENOUGH;
        if is_full {
            self.finish_request();
        }
    }

    fn finish_request(&mut self) {
        black_box(Sha256::digest(&self.body));
        self.body.clear();
        (self.records, self.record_bytes) = (0, 0);
    }
}
