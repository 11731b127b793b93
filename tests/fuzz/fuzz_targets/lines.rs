//! Reads arbitrary input in pieces of any size: each line that is not blank is returned once with
//! its number, as by a plain split of the whole input.
#![no_main]

use std::io::{self, Read};

use libfuzzer_sys::fuzz_target;
use standpipe::source::{Fill, LineLimits, LineReader};
use standpipe_core::event::LineError;
use tokio_util::sync::CancellationToken;

const LIMITS: LineLimits = LineLimits { chunk: 16, line: 40, prefix: 8 };

/// Returns at most this many bytes for each read.
struct SlowReader<'a>(&'a [u8], usize);

impl Read for SlowReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = buffer.len().min(self.1);
        self.0.read(&mut buffer[..most])
    }
}

fuzz_target!(|input: (u8, &[u8])| {
    let (step, input) = input;
    let expected = split_lines(input);
    for fill in [Fill::Whole, Fill::Available] {
        let source = SlowReader(input, usize::from(step) + 1);
        let mut reader = LineReader::new(source, fill, LIMITS, CancellationToken::new());
        let mut lines = Vec::new();
        while let Some(read) = reader.next_lines(Vec::new()) {
            assert!(!read.lines.is_empty());
            let mut errors = read.errors.iter().peekable();
            for (index, line) in (0..).zip(&read.lines) {
                let text = read.bytes[line.start as usize..line.end as usize].to_vec();
                let number = read.first_line + u64::from(line.offset);
                let bytes = match errors.next_if(|(at, _)| *at == index) {
                    Some((_, LineError::TooLong { bytes })) => *bytes,
                    Some((_, LineError::CutOff { detail })) => panic!("no read fails: {detail}"),
                    Some((_, error)) => panic!("not an error of a line: {error:?}"),
                    None => text.len() as u64,
                };
                lines.push((number, bytes, text));
            }
        }
        assert_eq!(lines, expected, "{fill:?} by {}", usize::from(step) + 1);
    }
});

/// The number and length of each line, and its kept bytes.
fn split_lines(input: &[u8]) -> Vec<(u64, u64, Vec<u8>)> {
    let input = input.strip_prefix(b"\xef\xbb\xbf").unwrap_or(input);
    let lines =
        input.split(|&byte| byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let kept = |line: &[u8]| match line.len() > LIMITS.line {
        true => line[..LIMITS.prefix].to_vec(),
        false => line.to_vec(),
    };
    let numbered = (1..).zip(lines);
    numbered
        .filter(|(_, line)| {
            line.len() > LIMITS.line || !line.iter().all(|byte| b" \t\r".contains(byte))
        })
        .map(|(number, line)| (number, line.len() as u64, kept(line)))
        .collect()
}
