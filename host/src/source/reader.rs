//! The thread that reads the inputs in order and hands chunks to the workers; the bounded queue
//! makes it as slow as they are. A stop leaves the rest unread and reported.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam_channel::{Receiver, Sender};

use super::lines::LineLimits;
use super::{Input, LeftLetters, LineReader, Retired, Stop};
use crate::limits;
use standpipe_core::event::{Ack, Chunk, Source, Totals};

/// Reads inputs one after the other and hands their lines to the workers.
#[derive(Debug)]
pub struct Reader {
    /// What to read, in this order.
    pub inputs: Vec<Input>,
    /// Where chunks go.
    pub chunks: Sender<Chunk>,
    /// Buffers that come back from the workers.
    pub buffers: Receiver<Vec<u8>>,
    /// Where it is told which replayed letters can be taken out of their files.
    pub retired: Sender<Option<Retired>>,
    /// The run's counts.
    pub totals: Arc<Totals>,
    /// How far reading has got.
    pub bytes_read: Arc<AtomicU64>,
    /// Whether to stop.
    pub stop: Stop,
}

/// What was left unread.
#[derive(Debug, Default)]
pub struct ReadReport {
    /// Inputs that were not read to their end because of a stop.
    pub unread: Vec<Unread>,
    /// Inputs that could not be opened after all.
    pub failed: Vec<(String, io::Error)>,
    /// Letters that were not replayed.
    pub left: LeftLetters,
}

/// An input that a stop left unread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unread {
    /// The source.
    pub source: String,
    /// The first line that was not read, counted from 1.
    pub from_line: u64,
}

impl Input {
    /// Open it, and cut it into lines.
    ///
    /// # Errors
    ///
    /// It cannot be opened.
    pub fn lines(&self, stop: &Stop) -> io::Result<LineReader<Box<dyn Read>>> {
        let opened = self.open(stop)?;
        let line_limits = LineLimits {
            chunk: standpipe_core::limits::CHUNK_BYTES,
            line: standpipe_core::limits::EVENT_BYTES_MAX,
            prefix: limits::EVENT_PREFIX_BYTES,
        };
        Ok(LineReader::new(opened.reader, opened.fill, line_limits, stop.clone()))
    }
}

impl Reader {
    /// Read everything, or until a stop.
    pub fn run(self) -> ReadReport {
        let mut report = ReadReport::default();
        for input in &self.inputs {
            if self.stop.is_requested() {
                report.unread.push(Unread { source: input.name(), from_line: 1 });
                continue;
            }
            let result = match input {
                Input::Letters(replay) => self.replay(replay, &mut report.left),
                Input::Stdin | Input::File(_) => self.read_lines(input),
            };
            match result {
                Ok(unread) => report.unread.extend(unread),
                Err(error) => report.failed.push((input.name(), error)),
            }
        }
        report
    }

    fn read_lines(&self, input: &Input) -> io::Result<Option<Unread>> {
        let source: Source = input.name().as_str().into();
        let mut reader = input.lines(&self.stop)?;
        loop {
            let buffer = self.buffers.try_recv().unwrap_or_default();
            let Some(cut) = reader.next_cut(buffer) else { break };
            self.bytes_read.fetch_add(cut.bytes.len() as u64, Ordering::Relaxed);
            self.totals.add_read(cut.lines.len() as u64);
            let totals = Arc::clone(&self.totals);
            let ack = Ack::new(source.clone(), cut.lines.len(), move |settled| {
                totals.add_settled(settled);
            });
            let (lines, damaged, first_line) = (cut.lines, cut.damaged, cut.first_line);
            let chunk = Chunk { bytes: cut.bytes, lines, damaged, first_line, ack };
            if self.chunks.send(chunk).is_err() || self.stop.is_requested() {
                break;
            }
        }
        let stopped = self.stop.is_requested();
        Ok(stopped.then(|| Unread { source: source.to_string(), from_line: reader.next_line() }))
    }
}
