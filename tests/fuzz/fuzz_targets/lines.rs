//! Whatever a source holds, every byte that is not a line ending or white space
//! is in exactly one line, and lines are numbered in order.
#![no_main]

use host::source::{Fill, LineLimits, LineReader, Stop};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let limits = LineLimits { chunk: 16, line: 40, prefix: 8 };
    for fill in [Fill::Whole, Fill::Available] {
        let mut reader = LineReader::new(input, fill, limits, Stop::default());
        let mut number_before = 0;
        while let Some(cut) = reader.next_cut(Vec::new()) {
            assert!(!cut.lines.is_empty());
            for line in &cut.lines {
                let number = cut.first_line + u64::from(line.offset);
                assert!(number > number_before);
                number_before = number;
                assert!(!cut.bytes[line.start as usize..line.end as usize].contains(&b'\n'));
            }
        }
    }
});
