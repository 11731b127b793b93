//! The form of a message: a version byte, and an entry of events compressed with Zstandard.
//!
//! The entry has the format of the spool's entries. Both queues take messages of about a megabyte at most, and
//! Amazon SQS takes text alone, so its messages are in base64 on top.

use std::fmt;
use std::io::{self, Read};

use thiserror::Error;
use zstd::bulk::Compressor;

use crate::limits::MESSAGE_CONTENT_BYTES_MAX;

/// The first byte of each message, so that a later format can be distinguished.
const VERSION: u8 = 1;

/// A fast level: it shrinks events to a fifth, and higher levels cost more processor time than they save bytes.
const COMPRESSION_LEVEL: i32 = 1;

/// Why a message cannot be read.
#[derive(Debug, Error)]
pub enum MessageError {
    /// It is empty.
    #[error("the message is empty")]
    Empty,
    /// It has another version.
    #[error("unknown message version {0}: this program reads version {VERSION}")]
    Version(u8),
    /// It cannot be decompressed.
    #[error("failed to decompress the message")]
    Compression(#[source] io::Error),
    /// It holds more than any message of this program.
    #[error("the message has more than {MESSAGE_CONTENT_BYTES_MAX} bytes after decompression")]
    TooLong,
}

/// Encodes messages. Reuses the memory of the compressor.
pub struct MessageEncoder(Compressor<'static>);

impl Default for MessageEncoder {
    fn default() -> Self {
        MessageEncoder(Compressor::new(COMPRESSION_LEVEL).expect("the level exists"))
    }
}

impl MessageEncoder {
    /// Encodes an entry as a message.
    pub fn encode(&mut self, entry: &[u8]) -> Vec<u8> {
        let mut message = vec![0; 1 + zstd::zstd_safe::compress_bound(entry.len())];
        message[0] = VERSION;
        let compressed = self.0.compress_to_buffer(entry, &mut message[1..]);
        message.truncate(1 + compressed.expect("the buffer has room for every entry"));
        message.shrink_to_fit();
        message
    }
}

impl fmt::Debug for MessageEncoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MessageEncoder").finish_non_exhaustive()
    }
}

/// Decodes a message, and returns its entry in this buffer.
///
/// # Errors
///
/// The message is malformed, has another version, or is too long.
pub fn decode_message(message: &[u8], buffer: Vec<u8>) -> Result<Vec<u8>, MessageError> {
    let compressed = match message.split_first() {
        Some((&VERSION, compressed)) => compressed,
        Some((version, _)) => return Err(MessageError::Version(*version)),
        None => return Err(MessageError::Empty),
    };
    let decoder = zstd::Decoder::with_buffer(compressed).map_err(MessageError::Compression)?;
    let mut entry = buffer;
    entry.clear();
    // One byte more shows that there is more.
    let mut limited = decoder.take(MESSAGE_CONTENT_BYTES_MAX as u64 + 1);
    limited.read_to_end(&mut entry).map_err(MessageError::Compression)?;
    if entry.len() > MESSAGE_CONTENT_BYTES_MAX {
        return Err(MessageError::TooLong);
    }
    Ok(entry)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_message_that_unpacks_to_too_much_is_an_error() {
        let message = MessageEncoder::default().encode(&vec![0; MESSAGE_CONTENT_BYTES_MAX]);
        assert_eq!(decode_message(&message, Vec::new()).unwrap().len(), MESSAGE_CONTENT_BYTES_MAX);
        let message = MessageEncoder::default().encode(&vec![0; MESSAGE_CONTENT_BYTES_MAX + 1]);
        assert!(matches!(decode_message(&message, Vec::new()), Err(MessageError::TooLong)));
    }

    #[test]
    fn errors_say_what_is_wrong() {
        assert!(matches!(decode_message(b"", Vec::new()), Err(MessageError::Empty)));
        assert!(matches!(decode_message(b"\x02...", Vec::new()), Err(MessageError::Version(2))));
        let mut cut = MessageEncoder::default().encode(b"an entry");
        cut.pop();
        assert!(matches!(decode_message(&cut, Vec::new()), Err(MessageError::Compression(_))));
    }

    proptest! {
        #[test]
        fn an_entry_is_read_as_it_was_written(entry in prop::collection::vec(any::<u8>(), 0..2000)) {
            prop_assert_eq!(decode_message(&MessageEncoder::default().encode(&entry), b"before".to_vec()).unwrap(), entry);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode_message(&bytes, Vec::new());
            let with_version: Vec<u8> = std::iter::once(VERSION).chain(bytes).collect();
            let _ = decode_message(&with_version, Vec::new());
        }
    }
}
