//! The last line of a file to which records with newlines will be appended, where
//! it has no newline.
//!
//! What it is can only be guessed. An unfinished JSON object or array is what a crash
//! has left of a record, and is cut off. JSON values that are whole are records that
//! were written without newlines, and anything else may be: they stay, and get a
//! newline, so that the next record has a line of its own.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

use serde::de::IgnoredAny;

use crate::limits;

/// The bytes that are looked at: a record, and a newline before it.
const WINDOW_BYTES: u64 = limits::RECORD_BYTES_MAX as u64 + 1;

/// See that a file ends with a newline, if there is anything in it.
pub(super) fn end_last_line(path: &Path, file: &mut File) -> io::Result<()> {
    let length = file.metadata()?.len();
    let window = match read_end(path, length) {
        // Who may only write to it has to do without.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Ok(()),
        window => window?,
    };
    if window.is_empty() || window.ends_with(b"\n") {
        return Ok(());
    }
    let line_start = memchr::memrchr(b'\n', &window).map(|at| at + 1);
    let line = match line_start {
        Some(start) => &window[start..],
        None if window.len() as u64 == length => &window[..],
        // Longer than any record: there are several.
        None => return file.write_all(b"\n"),
    };
    let kept = kept_bytes(line);
    let cut = (line.len() - kept) as u64;
    if cut > 0 {
        file.set_len(length - cut)?;
        let file = path.display();
        tracing::warn!(%file, bytes = cut, "removed an incomplete line that an earlier run left");
    }
    if kept > 0 { file.write_all(b"\n") } else { Ok(()) }
}

fn read_end(path: &Path, length: u64) -> io::Result<Vec<u8>> {
    let start = length.saturating_sub(WINDOW_BYTES);
    let mut window = vec![0; (length - start) as usize];
    File::open(path)?.read_exact_at(&mut window, start)?;
    Ok(window)
}

/// How much of a line is not the beginning of a JSON object or array.
fn kept_bytes(line: &[u8]) -> usize {
    let mut values = serde_json::Deserializer::from_slice(line).into_iter::<IgnoredAny>();
    loop {
        match values.next() {
            Some(Ok(_)) => {}
            Some(Err(error)) if error.is_eof() => break,
            // No JSON, or none alone.
            Some(Err(_)) | None => return line.len(),
        }
    }
    let whole = values.byte_offset();
    match line[whole..].trim_ascii_start() {
        [b'{' | b'[', ..] => whole,
        _ => line.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_unfinished_object_or_array_is_cut_off() {
        for (line, kept) in [
            (r#"{"a":1"#, 0),
            (r#"{"a":"x\"#, 0),
            ("[1,[", 0),
            ("{", 0),
            (r#"{"a":1}"#, 7),
            (r#"{"a":1}{"b":2}{"c"#, 14),
            (r#"{"a":1} {"#, 8),
            ("a,b,c", 5),
            ("{a", 2),
            ("\"text", 5),
            ("nul", 3),
            ("12", 2),
            ("\0\0\0", 3),
        ] {
            assert_eq!(kept_bytes(line.as_bytes()), kept, "{line}");
        }
        let deep = "[".repeat(100_000);
        assert_eq!(kept_bytes(deep.as_bytes()), 0);
        let whole = deep.clone() + &"]".repeat(100_000);
        assert_eq!(kept_bytes(whole.as_bytes()), whole.len());
    }
}
