//! Reads inputs one after the other: files, pipes, and dead letters to be replayed.

use std::io::{self, Read};

use crossbeam_channel::Sender;
use tokio_util::sync::CancellationToken;

use super::replay::ReplaySource;
use super::{ChunkSource, Chunker, Input, LeftLetters, LineReader, Removal, Replay, UnreadInput};
use standpipe_core::event::{EventSource, NextChunk};

/// Reads inputs one after the other and passes their lines to the workers.
#[derive(Debug)]
pub struct InputReader {
    /// The inputs, in this order.
    pub inputs: Vec<Input>,
    /// Accepts the chunks.
    pub chunker: Chunker,
    /// The queue for replayed dead letters that can be removed from their files.
    pub removals: Sender<Option<Removal>>,
    /// Cancelled when no more input must be read.
    pub intake_stop: CancellationToken,
}

/// The report about unread input.
#[derive(Debug, Default)]
pub struct ReadReport {
    /// Inputs that were not read to their end because of a stop.
    pub unread: Vec<UnreadInput>,
    /// Inputs that could not be opened despite the earlier check.
    pub failed: Vec<(String, io::Error)>,
    /// Dead letters that were not replayed.
    pub left: LeftLetters,
}

/// The lines of a file, a pipe or a terminal.
struct LineSource {
    source: EventSource,
    reader: LineReader<Box<dyn Read>>,
}

impl ChunkSource for LineSource {
    fn next_chunk(&mut self, chunker: &Chunker) -> NextChunk {
        match self.reader.next_lines(chunker.take_buffer()) {
            Some(lines) => NextChunk::Chunk(chunker.make_chunk(lines, self.source.clone())),
            None => NextChunk::End,
        }
    }
}

impl InputReader {
    /// Reads all inputs, or until a stop.
    pub fn run(self) -> ReadReport {
        let mut report = ReadReport::default();
        for input in &self.inputs {
            if self.intake_stop.is_cancelled() {
                report.unread.push(UnreadInput { source: input.name(), from_line: 1 });
                continue;
            }
            let result = match input {
                Input::Letters(replay) => self.replay_letters(replay, &mut report.left),
                Input::Stdin | Input::File(_) => self.read_lines(input),
            };
            match result {
                Ok(unread) => report.unread.extend(unread),
                Err(error) => report.failed.push((input.name(), error)),
            }
        }
        report
    }

    fn read_lines(&self, input: &Input) -> io::Result<Option<UnreadInput>> {
        let reader = input.open_lines(&self.intake_stop)?;
        let mut lines = LineSource { source: input.name().as_str().into(), reader };
        self.chunker.hand_out(&mut lines, &self.intake_stop);
        let LineSource { source, reader } = lines;
        let unread = || UnreadInput { source: source.to_string(), from_line: reader.next_line() };
        Ok(self.intake_stop.is_cancelled().then(unread))
    }

    /// Passes on the events of dead letters. Those that stay in their file are added to `left`.
    fn replay_letters(
        &self,
        replay: &Replay,
        left: &mut LeftLetters,
    ) -> io::Result<Option<UnreadInput>> {
        let mut dead_letters = ReplaySource::open(replay, self.removals.clone(), left)?;
        self.chunker.hand_out(&mut dead_letters, &self.intake_stop);
        dead_letters.finish(&self.intake_stop)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::thread;

    use super::*;
    use crate::source::{Progress, ReplayCompactor};
    use standpipe_core::event::{OutputOutcome, Reason, SourceNames};
    use standpipe_delivery::dead_letters::{
        DeadLetter, DeadLetterFilter, DeadLetterReader, DeadLetterWriter,
    };

    /// Reads an input, and stops after the first chunk. Returns the number of returned lines, each
    /// of which was passed to `settle`, and the report.
    fn read_until_first_chunk(
        input: Input,
        removals: Sender<Option<Removal>>,
        settle: impl Fn(&standpipe_core::event::Chunk),
    ) -> (u64, ReadReport) {
        let (chunker, chunks, _buffers) = Chunker::new(1, Progress::default());
        let intake_stop = CancellationToken::new();
        let reader = InputReader {
            inputs: vec![input],
            chunker,
            removals,
            intake_stop: intake_stop.clone(),
        };
        let reader = thread::spawn(|| reader.run());
        let mut lines = 0;
        for chunk in chunks {
            intake_stop.cancel();
            settle(&chunk);
            lines += chunk.lines.len() as u64;
        }
        (lines, reader.join().unwrap())
    }

    #[test]
    fn a_stop_says_which_line_comes_next() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("in.ndjson");
        let line = format!("{{\"text\":\"{}\"}}\n", "x".repeat(1000));
        std::fs::write(&path, line.repeat(4000)).unwrap();
        let removals = crossbeam_channel::unbounded().0;
        let (lines, report) = read_until_first_chunk(Input::File(path), removals, |_| ());
        assert!(0 < lines && lines < 4000, "{lines}");
        let [UnreadInput { from_line, .. }] = &report.unread[..] else { panic!("{report:?}") };
        assert_eq!(*from_line, lines + 1);
    }

    #[test]
    fn a_replay_that_is_stopped_removes_what_was_delivered_and_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        let dead_letters = DeadLetterWriter::new(directory.path().to_owned());
        let source = "web".into();
        for line in 1..=20 {
            dead_letters
                .write(&DeadLetter::of_line(Reason::GivenUp, "", &source, line, b"{}"))
                .unwrap();
        }
        dead_letters.sync().unwrap();
        let path = dead_letters.report().file.unwrap();
        drop(dead_letters);
        let dead_letters = DeadLetterWriter::new(directory.path().join("again"));
        let compactor = ReplayCompactor::start(Arc::new(dead_letters)).unwrap();
        let sources = SourceNames::default();
        let replay = Replay { path: path.clone(), filter: DeadLetterFilter::default(), sources };
        let deliver = |chunk: &standpipe_core::event::Chunk| {
            if chunk.first_line != 1 {
                chunk.ack.settle(0, OutputOutcome::Delivered);
            }
        };
        let removals = compactor.removals();
        let (lines, report) = read_until_first_chunk(Input::Letters(replay), removals, deliver);
        let [UnreadInput { from_line, .. }] = &report.unread[..] else { panic!("{report:?}") };
        assert_eq!(*from_line, lines + 1);
        assert_eq!(compactor.finish(), None);
        let left = DeadLetterReader::open(&path)
            .unwrap()
            .map(|entry| entry.unwrap().dead_letter.unwrap().line);
        let expected: Vec<_> = [1].into_iter().chain(*from_line..=20).collect();
        assert_eq!(left.collect::<Vec<_>>(), expected);
    }
}
