//! Decompresses bodies of requests within a limit, regardless of what they claim.

use std::borrow::Cow;
use std::io::{self, Read};

use thiserror::Error;

use standpipe_core::gzip::GzipReader;

/// Maximum members of a gzip body. SDKs send one. A member may have only 20 bytes, but costs memory
/// and time to start.
const HTTP_GZIP_MEMBERS_MAX: usize = 1000;

/// How a body is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// No compression.
    Identity,
    /// gzip.
    Gzip,
    /// zlib, or raw deflate: both are sent under this name.
    Deflate,
    /// Brotli.
    Brotli,
    /// Zstandard.
    Zstd,
}

/// Zstandard's maximum window, as a power of two in bytes. It limits the memory for decoding,
/// regardless of what a frame requires. The format recommends supporting 8 MiB.
const ZSTD_WINDOW_LOG_MAX: u32 = 23;

/// Bytes that the Brotli decoder reads at once.
const BROTLI_BUFFER_BYTES: usize = 16 * 1024;

/// A body that cannot be decompressed.
#[derive(Debug, Error, PartialEq, Eq)]
pub(crate) enum DecompressError {
    /// The body is larger than permitted.
    #[error("larger than permitted once decompressed")]
    TooLarge,
    /// The body is not in the stated format.
    #[error("broken compression")]
    Broken,
}

impl Encoding {
    /// Parses the header `Content-Encoding`. Returns `None` if the encoding is unknown.
    pub(crate) fn from_header(value: &[u8]) -> Option<Self> {
        let known: [(&[u8], Encoding); 7] = [
            (b"", Encoding::Identity),
            (b"identity", Encoding::Identity),
            (b"gzip", Encoding::Gzip),
            (b"x-gzip", Encoding::Gzip),
            (b"deflate", Encoding::Deflate),
            (b"br", Encoding::Brotli),
            (b"zstd", Encoding::Zstd),
        ];
        let value = value.trim_ascii();
        known
            .iter()
            .find(|(name, _)| value.eq_ignore_ascii_case(name))
            .map(|(_, encoding)| *encoding)
    }
}

/// Decompresses a body to at most this number of bytes. An uncompressed body is returned unchanged.
///
/// # Errors
///
/// Fails if the body is invalid or too large. A decompression bomb costs no more than the permitted
/// bytes.
pub(crate) fn decompress(
    encoding: Encoding,
    body: Cow<'_, [u8]>,
    bytes_max: usize,
) -> Result<Cow<'_, [u8]>, DecompressError> {
    let read_all = |decoder: &mut dyn Read| read_all(decoder, body.len(), bytes_max);
    let broken = |_: io::Error| DecompressError::Broken;
    let decoded = match encoding {
        Encoding::Identity if body.len() > bytes_max => return Err(DecompressError::TooLarge),
        Encoding::Identity => return Ok(body),
        Encoding::Gzip => read_all(&mut GzipReader::new(&body[..], HTTP_GZIP_MEMBERS_MAX)),
        Encoding::Deflate if is_zlib(&body) => {
            read_all(&mut flate2::bufread::ZlibDecoder::new(&body[..]))
        }
        Encoding::Deflate => read_all(&mut flate2::bufread::DeflateDecoder::new(&body[..])),
        Encoding::Brotli => {
            read_all(&mut brotli_decompressor::Decompressor::new(&body[..], BROTLI_BUFFER_BYTES))
        }
        Encoding::Zstd => {
            let mut decoder = zstd::Decoder::with_buffer(&body[..]).map_err(broken)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG_MAX).map_err(broken)?;
            read_all(&mut decoder)
        }
    };
    Ok(Cow::Owned(decoded?))
}

fn read_all(
    decoder: &mut dyn Read,
    body_bytes: usize,
    bytes_max: usize,
) -> Result<Vec<u8>, DecompressError> {
    // JSON usually becomes about five times as large.
    let mut decoded = Vec::with_capacity((body_bytes * 6).min(bytes_max));
    let read = decoder.take(bytes_max as u64 + 1).read_to_end(&mut decoded);
    read.map_err(|_: io::Error| DecompressError::Broken)?;
    if decoded.len() > bytes_max { Err(DecompressError::TooLarge) } else { Ok(decoded) }
}

/// Whether the body starts as RFC 1950 requires.
fn is_zlib(body: &[u8]) -> bool {
    matches!(body, [method, flags, ..]
        if method & 0x0f == 8 && u16::from_be_bytes([*method, *flags]).is_multiple_of(31))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
    use proptest::prelude::*;

    use super::*;

    fn decompress(
        encoding: Encoding,
        body: Vec<u8>,
        max: usize,
    ) -> Result<Vec<u8>, DecompressError> {
        super::decompress(encoding, Cow::Owned(body), max).map(Cow::into_owned)
    }

    fn compressed(encoding: Encoding, text: &[u8]) -> Vec<u8> {
        let fast = Compression::fast();
        match encoding {
            Encoding::Identity | Encoding::Brotli => text.to_vec(),
            Encoding::Gzip => {
                let mut encoder = GzEncoder::new(Vec::new(), fast);
                encoder.write_all(text).unwrap();
                encoder.finish().unwrap()
            }
            Encoding::Deflate => {
                let mut encoder = ZlibEncoder::new(Vec::new(), fast);
                encoder.write_all(text).unwrap();
                encoder.finish().unwrap()
            }
            Encoding::Zstd => zstd::encode_all(text, 1).unwrap(),
        }
    }

    #[test]
    fn every_encoding_is_read() {
        let text = b"{\"batch\":[]}".repeat(1000);
        for encoding in [Encoding::Identity, Encoding::Gzip, Encoding::Deflate, Encoding::Zstd] {
            let body = compressed(encoding, &text);
            assert_eq!(decompress(encoding, body, text.len()), Ok(text.clone()), "{encoding:?}");
        }
        let mut bare = DeflateEncoder::new(Vec::new(), Compression::fast());
        bare.write_all(&text).unwrap();
        assert_eq!(decompress(Encoding::Deflate, bare.finish().unwrap(), text.len()), Ok(text));
        // `standpipe`, compressed by Brotli's own program.
        let brotli = b"\x0b\x04\x80standpipe\x03".to_vec();
        assert_eq!(decompress(Encoding::Brotli, brotli, 100), Ok(b"standpipe".to_vec()));
    }

    #[test]
    fn a_bomb_ends_at_the_limit() {
        let zeros = vec![0; 50_000_000];
        for encoding in [Encoding::Identity, Encoding::Gzip, Encoding::Deflate, Encoding::Zstd] {
            let bomb = compressed(encoding, &zeros);
            assert_eq!(
                decompress(encoding, bomb, 4_000_000),
                Err(DecompressError::TooLarge),
                "{encoding:?}"
            );
        }
    }

    #[test]
    fn what_is_cut_off_is_broken() {
        let text: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
        for encoding in [Encoding::Gzip, Encoding::Deflate, Encoding::Zstd] {
            let mut body = compressed(encoding, &text);
            body.truncate(body.len() / 2);
            assert_eq!(
                decompress(encoding, body, text.len()),
                Err(DecompressError::Broken),
                "{encoding:?}"
            );
        }
    }

    #[test]
    fn zeros_behind_gzip_are_padding() {
        let text = b"{\"batch\":[]}".to_vec();
        for zeros in [1, 8, 511, 100_000] {
            let mut body = compressed(Encoding::Gzip, &text);
            body.resize(body.len() + zeros, 0);
            assert_eq!(decompress(Encoding::Gzip, body, text.len()), Ok(text.clone()), "{zeros}");
        }
        let members = compressed(Encoding::Gzip, b"").repeat(HTTP_GZIP_MEMBERS_MAX + 1);
        assert_eq!(decompress(Encoding::Gzip, members, 1), Err(DecompressError::Broken));
    }

    #[test]
    fn headers_name_encodings() {
        assert_eq!(Encoding::from_header(b" GZIP "), Some(Encoding::Gzip));
        assert_eq!(Encoding::from_header(b"br"), Some(Encoding::Brotli));
        assert_eq!(Encoding::from_header(b"gzip, gzip"), None);
        assert_eq!(Encoding::from_header(b"compress"), None);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            for encoding in [Encoding::Gzip, Encoding::Deflate, Encoding::Brotli, Encoding::Zstd] {
                let _ = decompress(encoding, bytes.clone(), 1000);
            }
        }
    }
}
