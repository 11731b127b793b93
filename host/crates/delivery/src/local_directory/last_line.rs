//! Handles the last line of a file without a newline, before records with newlines are appended.
//!
//! The origin of the line can only be guessed. An incomplete JSON object or array is the rest of a
//! record after a crash, and is cut off. Complete JSON values are records that were written without
//! newlines, and any other text may be such records too: they stay and get a newline, so that the
//! next record starts on a new line.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

use serde::de::IgnoredAny;

use crate::limits;

/// The number of bytes to examine: a record, and a newline before it.
const WINDOW_BYTES: u64 = limits::RECORD_BYTES_MAX as u64 + 1;

/// Makes sure that a non-empty file ends with a newline.
pub(super) fn end_last_line(path: &Path, file: &mut File) -> io::Result<()> {
    let length = file.metadata()?.len();
    let window = match read_end(path, length) {
        // With write permission only, this check is not possible.
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
        // The line is longer than any record, so it contains several.
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

/// The length of a line without an incomplete JSON object or array at its end.
fn kept_bytes(line: &[u8]) -> usize {
    let mut values = serde_json::Deserializer::from_slice(line).into_iter::<IgnoredAny>();
    loop {
        match values.next() {
            Some(Ok(_)) => {}
            Some(Err(error)) if error.is_eof() => break,
            // The text is not JSON, or contains more than JSON.
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
