//! Reads a file of dead letters line by line. Torn, damaged and overlong lines are separate entries
//! and do not affect others. Only one line is in memory at a time.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::ops::Range;
use std::path::Path;

use thiserror::Error;

use super::{CorruptDeadLetter, StoredDeadLetter};

const BUFFER_BYTES: usize = 256 * 1024;

/// Maximum bytes of a line in a file of dead letters. An event of `EVENT_BYTES_MAX` needs six times
/// as much if each byte is escaped. The rest is for all other members.
const DEAD_LINE_BYTES_MAX: usize = 6 * standpipe_core::limits::EVENT_BYTES_MAX + 1024 * 1024;

/// Reads a file of dead letters, one line after the other.
///
/// A line that is not a dead letter is an entry like those before and after it. Only one line is in
/// memory at a time, and never one that is longer than a dead letter can be.
#[derive(Debug)]
pub struct DeadLetterReader<R> {
    reader: R,
    line_bytes_max: usize,
    line: Vec<u8>,
    /// The position of the next line.
    offset: u64,
    /// The number of the previous line.
    number: u64,
}

/// A line of a file of dead letters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetterLine {
    /// The line's number in the file, counted from 1.
    pub number: u64,
    /// The line's bytes in the file, including its line ending.
    pub bytes: Range<u64>,
    /// The dead letter.
    pub dead_letter: Result<StoredDeadLetter, UnreadableLine>,
}

/// Why a line is not a dead letter.
#[derive(Debug, Clone, Error, PartialEq, Eq)]
pub enum UnreadableLine {
    /// The last line is incomplete: a crash tore it, or it is being written now.
    #[error("incomplete line at the end of the file")]
    Torn,
    /// The line was damaged, or never was a dead letter.
    #[error(transparent)]
    Corrupt(#[from] CorruptDeadLetter),
    /// The line is longer than any dead letter, and was not kept in memory.
    #[error("longer than any dead letter")]
    TooLong,
}

impl DeadLetterReader<BufReader<File>> {
    /// Opens a file and reads from its start.
    ///
    /// # Errors
    ///
    /// Fails if the file cannot be opened.
    pub fn open(path: &Path) -> io::Result<Self> {
        let reader = BufReader::with_capacity(BUFFER_BYTES, File::open(path)?);
        Ok(DeadLetterReader::new(reader, DEAD_LINE_BYTES_MAX))
    }
}

impl<R: BufRead> DeadLetterReader<R> {
    /// Reads dead letters, none of whose lines is longer than this, without its line ending.
    pub fn new(reader: R, line_bytes_max: usize) -> Self {
        DeadLetterReader { reader, line_bytes_max, line: Vec::new(), offset: 0, number: 0 }
    }

    fn read_entry(&mut self) -> io::Result<Option<DeadLetterLine>> {
        self.line.clear();
        let limit = self.line_bytes_max as u64 + 1;
        let mut read = (&mut self.reader).take(limit).read_until(b'\n', &mut self.line)? as u64;
        if read == 0 {
            return Ok(None);
        }
        let has_end = self.line.pop_if(|last| *last == b'\n').is_some();
        let dead_letter = if self.line.len() > self.line_bytes_max {
            read += self.reader.skip_until(b'\n')? as u64;
            Err(UnreadableLine::TooLong)
        } else {
            StoredDeadLetter::parse(&self.line).map_err(|why| match has_end {
                true => UnreadableLine::Corrupt(why),
                false => UnreadableLine::Torn,
            })
        };
        let start = self.offset;
        self.offset += read;
        self.number += 1;
        Ok(Some(DeadLetterLine { number: self.number, bytes: start..self.offset, dead_letter }))
    }
}

impl<R: BufRead> Iterator for DeadLetterReader<R> {
    type Item = io::Result<DeadLetterLine>;

    /// Returns the next line. After an error, the iteration should stop.
    fn next(&mut self) -> Option<Self::Item> {
        self.read_entry().transpose()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{DeadLetter, Reason};
    use super::*;

    const LIMIT: usize = 1000;

    fn read(file: &[u8]) -> Vec<DeadLetterLine> {
        DeadLetterReader::new(file, LIMIT).map(Result::unwrap).collect()
    }

    fn line(number: u64, event: &[u8]) -> Vec<u8> {
        let source = "in".into();
        DeadLetter::of_line(Reason::NotJson, "", &source, number, event).to_line().unwrap()
    }

    fn numbers(entries: &[DeadLetterLine]) -> Vec<u64> {
        entries.iter().filter_map(|entry| Some(entry.dead_letter.as_ref().ok()?.line)).collect()
    }

    #[test]
    fn a_torn_last_line_hides_no_earlier_one() {
        let whole = [line(1, b"a"), line(2, b"b")].concat();
        let first = line(1, b"a").len();
        for end in first + 1..whole.len() - 1 {
            let entries = read(&whole[..end]);
            assert_eq!(entries[0].dead_letter.as_ref().unwrap().line, 1);
            assert_eq!(entries[1].dead_letter, Err(UnreadableLine::Torn));
            assert_eq!(entries[1].bytes, first as u64..end as u64);
        }
        // Only the line ending is missing: the dead letter is complete.
        assert_eq!(numbers(&read(&whole[..whole.len() - 1])), [1, 2]);
    }

    #[test]
    fn a_corrupt_line_hides_no_later_one() {
        let file = [line(1, b"a"), b"\0\0\0\n".to_vec(), b"\n".to_vec(), line(2, b"b")].concat();
        let entries = read(&file);
        assert_eq!(numbers(&entries), [1, 2]);
        assert!(matches!(entries[1].dead_letter, Err(UnreadableLine::Corrupt(_))));
        assert!(matches!(entries[2].dead_letter, Err(UnreadableLine::Corrupt(_))));
        assert_eq!(entries[3].number, 4);
    }

    #[test]
    fn a_line_that_is_too_long_is_passed_over() {
        let long = [vec![b'x'; LIMIT + 1], b"\n".to_vec()].concat();
        let entries = read(&[line(1, b"a"), long, line(2, b"b")].concat());
        assert_eq!(numbers(&entries), [1, 2]);
        assert_eq!(entries[1].dead_letter, Err(UnreadableLine::TooLong));
        assert_eq!(read(&vec![b'x'; 3 * LIMIT])[0].dead_letter, Err(UnreadableLine::TooLong));
        let longest = [vec![b'x'; LIMIT], b"\n".to_vec()].concat();
        assert!(matches!(read(&longest)[0].dead_letter, Err(UnreadableLine::Corrupt(_))));
    }

    proptest! {
        /// Replaced bytes only damage the lines that contain them, and every byte of the file is in
        /// one entry.
        #[test]
        fn damage_stays_where_it_is(
            events in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..8),
            at in any::<prop::sample::Index>(),
            removed in 0..400_usize,
            spliced in prop::collection::vec(any::<u8>(), 0..30),
        ) {
            let lines: Vec<_> = (1..).zip(&events).map(|(number, event)| line(number, event)).collect();
            let whole = lines.concat();
            let start = if whole.is_empty() { 0 } else { at.index(whole.len()) };
            let end = (start + removed).min(whole.len());
            let file = [&whole[..start], &spliced, &whole[end..]].concat();

            let entries = read(&file);
            let mut offset = 0;
            for (number, entry) in (1..).zip(&entries) {
                prop_assert_eq!((entry.number, entry.bytes.start), (number, offset));
                offset = entry.bytes.end;
            }
            prop_assert_eq!(offset, file.len() as u64);

            let mut untouched = Vec::new();
            let mut line_start = 0;
            for (number, line) in (1..).zip(&lines) {
                let line_end = line_start + line.len();
                // Of the line after the damage, the line ending before it is unchanged.
                if line_end <= start || line_start > end {
                    untouched.push(number);
                }
                line_start = line_end;
            }
            let found = numbers(&entries);
            for number in untouched {
                prop_assert!(found.contains(&number), "letter {} is hidden", number);
            }
        }
    }
}
