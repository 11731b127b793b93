//! Splits a stream of bytes into chunks of whole lines in buffers of fixed size. Of a line that is
//! too long, the start is kept. A source that fails ends with a damaged line.

use std::io::{self, Read};

use tokio_util::sync::CancellationToken;

use standpipe_core::event::{LineError, Lines};

const BYTE_ORDER_MARK: &[u8] = &[0xef, 0xbb, 0xbf];

/// How long to wait before lines are returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fill {
    /// Until a whole chunk is read: for files, which always have more data.
    Whole,
    /// Only until a whole line is read: for pipes, where more data may arrive late.
    Available,
}

/// Sizes of a [`LineReader`], in bytes.
#[derive(Debug, Clone, Copy)]
pub struct LineLimits {
    /// The usual size of a chunk.
    pub chunk: usize,
    /// The maximum line that is kept whole.
    pub line: usize,
    /// The bytes that are kept of a longer line.
    pub prefix: usize,
}

/// Splits a stream of bytes into chunks of whole lines.
///
/// Lines end with a line feed. One carriage return before it is removed. The last line may end
/// without it. Lines of only white space are skipped. A byte order mark at the start is removed.
pub struct LineReader<R> {
    reader: R,
    fill: Fill,
    limits: LineLimits,
    stop: CancellationToken,
    /// The start of a line whose end has not been read.
    carry: Vec<u8>,
    /// The number of the next line, counted from 1.
    next_line: u64,
    at_start: bool,
    at_end: bool,
}

impl<R: Read> LineReader<R> {
    /// Creates a reader at the start of a source.
    pub fn new(reader: R, fill: Fill, limits: LineLimits, stop: CancellationToken) -> Self {
        let (carry, next_line) = (Vec::new(), 1);
        LineReader { reader, fill, limits, stop, carry, next_line, at_start: true, at_end: false }
    }

    /// The number of the line after the last returned one.
    pub fn next_line(&self) -> u64 {
        self.next_line
    }

    /// Returns the next lines, or `None` at the end of the source. `bytes` is a buffer to reuse.
    ///
    /// A source that fails ends with a [`LineError::CutOff`] line, so there are no errors. A source
    /// that was stopped ends after its last whole line.
    pub fn next_lines(&mut self, mut bytes: Vec<u8>) -> Option<Lines> {
        while !self.at_end {
            bytes.clear();
            bytes.append(&mut self.carry);
            let lines = self.read_lines(bytes);
            if !lines.is_empty() {
                return Some(lines);
            }
            bytes = lines.bytes;
        }
        None
    }

    fn read_lines(&mut self, mut bytes: Vec<u8>) -> Lines {
        // The bytes up to this position contain no line feed.
        let mut searched = 0;
        loop {
            if let Some(end) = end_of_last_line(&bytes, searched) {
                self.carry.extend_from_slice(&bytes[end..]);
                bytes.truncate(end);
                return self.split_lines(bytes, end);
            }
            if bytes.len() >= self.limits.line + 2 {
                return self.skip_line(bytes);
            }
            searched = bytes.len();
            let target = self.limits.chunk.max(searched * 2).min(self.limits.line + 2);
            let result = self.read_more(&mut bytes, target);
            if self.drop_byte_order_mark(&mut bytes) {
                searched = 0;
            }
            if !matches!(result, Ok(1..)) {
                self.at_end = true;
                let whole = end_of_last_line(&bytes, searched).unwrap_or(0);
                return self.last_lines(bytes, whole, result.err());
            }
        }
    }

    /// Reads until `target` bytes are available, or only once if data may arrive late.
    fn read_more(&mut self, bytes: &mut Vec<u8>, target: usize) -> io::Result<usize> {
        let before = bytes.len();
        let missing = target - before;
        bytes.reserve(missing);
        match self.fill {
            Fill::Whole => (&mut self.reader).take(missing as u64).read_to_end(bytes),
            Fill::Available => {
                bytes.resize(target, 0);
                let read = loop {
                    match self.reader.read(&mut bytes[before..]) {
                        Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                        result => break result,
                    }
                };
                bytes.truncate(before + read.as_ref().map_or(0, |&read| read));
                read
            }
        }
    }

    /// Removes the byte order mark if it is complete. It can arrive in pieces.
    fn drop_byte_order_mark(&mut self, bytes: &mut Vec<u8>) -> bool {
        if !self.at_start
            || BYTE_ORDER_MARK.len() > bytes.len() && BYTE_ORDER_MARK.starts_with(bytes)
        {
            return false;
        }
        self.at_start = false;
        let is_there = bytes.starts_with(BYTE_ORDER_MARK);
        if is_there {
            bytes.drain(..BYTE_ORDER_MARK.len());
        }
        is_there
    }

    /// Returns the last lines: the source has ended, with `whole` bytes of whole lines and perhaps
    /// a line without its end.
    fn last_lines(
        &mut self,
        mut bytes: Vec<u8>,
        whole: usize,
        failure: Option<io::Error>,
    ) -> Lines {
        if self.stop.is_cancelled() {
            bytes.truncate(whole);
            return self.split_lines(bytes, whole);
        }
        let Some(error) = failure else {
            let end = bytes.len();
            return self.split_lines(bytes, end);
        };
        let mut lines = self.split_lines(bytes, whole);
        let kept_end = lines.bytes.len().min(whole + self.limits.prefix);
        let number = (self.next_line - lines.first_line) as u32;
        let error = LineError::CutOff { detail: error.to_string() };
        lines.push_error(whole..kept_end, number, error);
        lines
    }

    /// Creates lines from the first `end` bytes.
    fn split_lines(&mut self, bytes: Vec<u8>, end: usize) -> Lines {
        let mut split = Lines { first_line: self.next_line, ..Lines::default() };
        let (mut start, mut number) = (0, 0);
        let whole = &bytes[..end];
        for line_end in memchr::memchr_iter(b'\n', whole).chain([end]) {
            if start == end {
                break;
            }
            let line = without_carriage_return(&whole[start..line_end]);
            if line.len() > self.limits.line {
                let error = LineError::TooLong { bytes: line.len() as u64 };
                split.push_error(start..start + self.limits.prefix, number, error);
            } else if !is_blank(line) {
                split.push(start..start + line.len(), number);
            }
            start = line_end + 1;
            number += 1;
        }
        self.next_line += u64::from(number);
        Lines { bytes, ..split }
    }

    /// Keeps the first part of a line that is too long at the start of `bytes`, and skips the rest.
    fn skip_line(&mut self, mut bytes: Vec<u8>) -> Lines {
        let (mut length, mut last) = (bytes.len() as u64, bytes.last().copied());
        bytes.truncate(self.limits.prefix);
        let mut piece = Vec::with_capacity(self.limits.chunk);
        loop {
            piece.clear();
            match self.read_more(&mut piece, self.limits.chunk) {
                Ok(0) => {
                    self.at_end = true;
                    if self.stop.is_cancelled() {
                        return Lines { bytes, first_line: self.next_line, ..Lines::default() };
                    }
                    break;
                }
                Ok(_) => {}
                Err(error) => {
                    self.at_end = true;
                    let error = LineError::CutOff { detail: error.to_string() };
                    return self.failed_line(bytes, error);
                }
            }
            if let Some(end) = memchr::memchr(b'\n', &piece) {
                length += end as u64;
                last = piece[..end].last().copied().or(last);
                self.carry.extend_from_slice(&piece[end + 1..]);
                break;
            }
            length += piece.len() as u64;
            last = piece.last().copied().or(last);
        }
        if last == Some(b'\r') {
            length -= 1;
        }
        self.failed_line(bytes, LineError::TooLong { bytes: length })
    }

    /// Returns a single line with an error, of which these bytes are kept.
    fn failed_line(&mut self, bytes: Vec<u8>, error: LineError) -> Lines {
        let mut lines = Lines { first_line: self.next_line, ..Lines::default() };
        lines.push_error(0..bytes.len(), 0, error);
        self.next_line += 1;
        Lines { bytes, ..lines }
    }
}

/// The end of the last line that ends after `from`, including its line feed.
fn end_of_last_line(bytes: &[u8], from: usize) -> Option<usize> {
    memchr::memrchr(b'\n', bytes.get(from..)?).map(|at| from + at + 1)
}

fn without_carriage_return(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

fn is_blank(line: &[u8]) -> bool {
    line.iter().all(|byte| matches!(byte, b' ' | b'\t' | b'\r'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMITS: LineLimits = LineLimits { chunk: 16, line: 40, prefix: 8 };

    /// Every line with its number. Of a damaged line, the kept part.
    fn lines(input: &[u8], fill: Fill) -> Vec<(u64, Vec<u8>, Option<LineError>)> {
        read_lines(LineReader::new(input, fill, LIMITS, CancellationToken::new()))
    }

    fn read_lines(mut reader: LineReader<impl Read>) -> Vec<(u64, Vec<u8>, Option<LineError>)> {
        let mut lines = Vec::new();
        while let Some(read) = reader.next_lines(Vec::new()) {
            for (index, line) in (0..).zip(&read.lines) {
                let text = read.bytes[line.start as usize..line.end as usize].to_vec();
                let error = read.errors.iter().find(|(at, _)| *at == index);
                lines.push((
                    read.first_line + u64::from(line.offset),
                    text,
                    error.map(|(_, error)| error.clone()),
                ));
            }
        }
        lines
    }

    fn whole(number: u64, text: &str) -> (u64, Vec<u8>, Option<LineError>) {
        (number, text.into(), None)
    }

    #[test]
    fn endings_blank_lines_and_the_byte_order_mark() {
        let input = "\u{feff}a\r\n\n \t\r\nb\r\r\nc \n\nlast";
        let expected = [whole(1, "a"), whole(4, "b\r"), whole(5, "c "), whole(7, "last")];
        assert_eq!(lines(input.as_bytes(), Fill::Whole), expected);
        assert_eq!(lines(input.as_bytes(), Fill::Available), expected);
        assert_eq!(lines(b"", Fill::Whole), []);
        assert_eq!(lines(b"\n\n", Fill::Whole), []);
    }

    #[test]
    fn a_line_that_is_too_long_keeps_its_prefix_and_its_length() {
        for length in [41, 42, 43, 100, 1000] {
            let input = format!("a\n{}\nb", "x".repeat(length));
            let damage = LineError::TooLong { bytes: length as u64 };
            let expected = [whole(1, "a"), (2, b"xxxxxxxx".to_vec(), Some(damage)), whole(3, "b")];
            assert_eq!(lines(input.as_bytes(), Fill::Whole), expected, "{length}");
        }
        let longest = "x".repeat(40);
        assert_eq!(lines(format!("{longest}\r\n").as_bytes(), Fill::Whole), [whole(1, &longest)]);
    }

    #[test]
    fn the_length_of_a_line_that_is_too_long_leaves_out_its_ending() {
        for length in [41, 42, 57, 100] {
            let damage = LineError::TooLong { bytes: length as u64 };
            let expected = [(1, b"xxxxxxxx".to_vec(), Some(damage)), whole(2, "b")];
            let input = format!("{}\r\nb", "x".repeat(length));
            assert_eq!(lines(input.as_bytes(), Fill::Whole), expected, "{length}");
        }
    }

    /// Returns one byte per read.
    struct Dripping<'a>(&'a [u8]);

    impl Read for Dripping<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let most = buffer.len().min(1);
            self.0.read(&mut buffer[..most])
        }
    }

    #[test]
    fn a_byte_order_mark_can_come_in_pieces() {
        let read = |input: &[u8]| {
            read_lines(LineReader::new(
                Dripping(input),
                Fill::Available,
                LIMITS,
                CancellationToken::new(),
            ))
        };
        assert_eq!(read("\u{feff}\nab\nc".as_bytes()), [whole(2, "ab"), whole(3, "c")]);
        assert_eq!(read("a\n\u{feff}\n".as_bytes()), [whole(1, "a"), whole(2, "\u{feff}")]);
        assert_eq!(read(b"\xef\xbb"), [(1, b"\xef\xbb".to_vec(), None)]);
    }

    /// Returns some bytes and then fails.
    struct Failing<'a>(&'a [u8]);

    impl Read for Failing<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            if self.0.is_empty() { Err(io::Error::other("broken")) } else { self.0.read(buffer) }
        }
    }

    #[test]
    fn a_source_that_fails_ends_with_a_damaged_line() {
        let cut_off = |kept: &str, number| {
            (number, kept.into(), Some(LineError::CutOff { detail: "broken".to_owned() }))
        };
        for fill in [Fill::Whole, Fill::Available] {
            let read = |input: &str| {
                read_lines(LineReader::new(
                    Failing(input.as_bytes()),
                    fill,
                    LIMITS,
                    CancellationToken::new(),
                ))
            };
            assert_eq!(read("a\nbc"), [whole(1, "a"), cut_off("bc", 2)]);
            assert_eq!(read("a\n"), [whole(1, "a"), cut_off("", 2)]);
            assert_eq!(read(""), [cut_off("", 1)]);
            assert_eq!(read(&"y".repeat(60)), [cut_off("yyyyyyyy", 1)]);
        }
    }

    #[test]
    fn a_stopped_source_ends_after_its_last_whole_line() {
        let stop = CancellationToken::new();
        stop.cancel();
        let reader = LineReader::new(&b"a\nbc"[..], Fill::Available, LIMITS, stop);
        assert_eq!(read_lines(reader), [whole(1, "a")]);
    }

    /// A simple model of the same function.
    fn model(input: &[u8]) -> Vec<(u64, Vec<u8>, Option<LineError>)> {
        let input = input.strip_prefix(BYTE_ORDER_MARK).unwrap_or(input);
        let lines = (1..).zip(input.split(|&byte| byte == b'\n'));
        let lines = lines.map(|(number, line)| (number, line.strip_suffix(b"\r").unwrap_or(line)));
        let kept = lines.filter(|(_, line)| line.iter().any(|byte| !b" \t\r".contains(byte)));
        kept.map(|(number, line)| {
            if line.len() > LIMITS.line {
                let damage = LineError::TooLong { bytes: line.len() as u64 };
                (number, line[..LIMITS.prefix].to_vec(), Some(damage))
            } else {
                (number, line.to_vec(), None)
            }
        })
        .collect()
    }

    proptest! {
        #[test]
        fn agrees_with_the_model(
            input in prop::collection::vec(prop_oneof![
                3 => Just(b"\n".to_vec()), 1 => Just(b"\r".to_vec()), 1 => Just(b" ".to_vec()),
                3 => Just(b"x".to_vec()), 1 => prop::collection::vec(Just(b'y'), 30..80),
            ], 0..60),
            fill in prop_oneof![Just(Fill::Whole), Just(Fill::Available)],
        ) {
            let input = input.concat();
            // A blank line that is too long counts as too long, because the reader cannot see it as
            // a whole.
            prop_assume!(!input.split(|&b| b == b'\n').any(|l| l.len() > 40 && is_blank(l)));
            let (seen, expected) = (lines(&input, fill), model(&input));
            prop_assert_eq!(seen, expected);
        }
    }
}
