//! Compression of aggregated records: each record is one gzip member or one zstd frame.
//!
//! Both formats allow concatenation, so an object of such records in S3 is a valid `.gz` or `.zst`
//! file. A worker's compressors serve all of its streams, because each takes a quarter of a
//! megabyte and more.

use std::fmt;
#[cfg(test)]
use std::io::Read;
use std::ops::RangeInclusive;

use flate2::{Compress, FlushCompress, Status};
use zstd::bulk::Compressor;
use zstd::zstd_safe::CParameter;

/// Bytes that compression adds at most to a record that cannot become smaller: header, checksum,
/// and the headers of uncompressed blocks.
pub(super) const COMPRESSION_OVERHEAD_BYTES_MAX: usize = 1024;

/// The window of gzip as a power of two: the maximum of the format.
const GZIP_WINDOW_BITS: u8 = 15;

/// How records are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordCompression {
    /// The format.
    pub format: CompressionFormat,
    /// The level of the format's compressor. A higher level takes more CPU time.
    pub level: u8,
}

/// A format whose compressed parts can be concatenated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CompressionFormat {
    /// gzip, which nearly every reader of files in S3 supports.
    Gzip,
    /// Zstandard, which takes less CPU time than gzip.
    Zstd,
}

impl CompressionFormat {
    /// All formats, each with its name in settings.
    pub const ALL: [(&'static str, CompressionFormat); 2] =
        [("gzip", CompressionFormat::Gzip), ("zstd", CompressionFormat::Zstd)];

    /// The levels that can be set. Higher levels of zstd need tens of megabytes for each worker.
    pub fn levels(self) -> RangeInclusive<u8> {
        match self {
            CompressionFormat::Gzip => 1..=9,
            CompressionFormat::Zstd => 1..=12,
        }
    }

    /// The level if none is set.
    pub fn default_level(self) -> u8 {
        match self {
            CompressionFormat::Gzip => 4,
            CompressionFormat::Zstd => 3,
        }
    }

    /// The end of the names of compressed objects, for the setting `FileExtension` of a stream.
    pub fn file_extension(self) -> &'static str {
        match self {
            CompressionFormat::Gzip => ".json.gz",
            CompressionFormat::Zstd => ".json.zst",
        }
    }
}

impl fmt::Display for CompressionFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = CompressionFormat::ALL.into_iter().find(|(_, format)| format == self);
        f.write_str(named.expect("the list is complete").0)
    }
}

/// The compressors of one worker. Each is created when it is first used.
#[derive(Default)]
pub(super) struct RecordCompressors(Vec<(RecordCompression, RecordCompressor)>);

enum RecordCompressor {
    Gzip(Compress),
    Zstd(Compressor<'static>),
}

impl RecordCompressors {
    /// Appends the compressed form of a record.
    pub(super) fn compress(
        &mut self,
        compression: RecordCompression,
        record: &[u8],
        compressed: &mut Vec<u8>,
    ) {
        let position = self.0.iter().position(|(known, _)| *known == compression);
        let position = position.unwrap_or_else(|| {
            self.0.push((compression, RecordCompressor::new(compression)));
            self.0.len() - 1
        });
        self.0[position].1.compress(record, compressed);
    }
}

impl RecordCompressor {
    fn new(compression: RecordCompression) -> Self {
        let level = compression.level;
        match compression.format {
            CompressionFormat::Gzip => {
                let level = flate2::Compression::new(level.into());
                RecordCompressor::Gzip(Compress::new_gzip(level, GZIP_WINDOW_BITS))
            }
            CompressionFormat::Zstd => {
                let mut compressor = Compressor::new(level.into()).expect("the level exists");
                let set = compressor.set_parameter(CParameter::ChecksumFlag(true));
                set.expect("the parameter exists");
                RecordCompressor::Zstd(compressor)
            }
        }
    }

    fn compress(&mut self, record: &[u8], compressed: &mut Vec<u8>) {
        let start = compressed.len();
        compressed.resize(start + record.len() + COMPRESSION_OVERHEAD_BYTES_MAX, 0);
        let bytes = match self {
            RecordCompressor::Gzip(compressor) => {
                compressor.reset();
                let room = &mut compressed[start..];
                let status = compressor.compress(record, room, FlushCompress::Finish);
                assert_eq!(status.ok(), Some(Status::StreamEnd), "the buffer has room");
                usize::try_from(compressor.total_out()).expect("it fits into the buffer")
            }
            RecordCompressor::Zstd(compressor) => {
                let written = compressor.compress_to_buffer(record, &mut compressed[start..]);
                written.expect("the buffer has room")
            }
        };
        compressed.truncate(start + bytes);
    }
}

impl fmt::Debug for RecordCompressors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(compression, _)| compression)).finish()
    }
}

/// Determines how many bytes of events fit into a compressed record, from the records before.
#[derive(Debug, Clone, Copy)]
pub(super) struct CompressedFill {
    /// The expected size of a record in proportion to its events.
    ratio: f32,
}

/// The expected proportion of the first record. JSON of events usually becomes smaller, so the
/// first record does not reach its limit.
const RATIO_FIRST: f32 = 0.25;

/// The part of the limit that a record should reach. The rest is for the variation from record to
/// record: a record above the limit must be compressed again.
const FILL_GOAL: f32 = 0.97;

/// The weight of a new proportion.
const RATIO_WEIGHT: f32 = 0.3;

impl Default for CompressedFill {
    fn default() -> Self {
        CompressedFill { ratio: RATIO_FIRST }
    }
}

impl CompressedFill {
    /// The bytes of events for a record of at most `bytes_max` bytes.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        reason = "an estimate"
    )]
    pub(super) fn event_bytes(self, bytes_max: usize) -> usize {
        (bytes_max as f32 * FILL_GOAL / self.ratio) as usize
    }

    /// Learns from a compressed record with this number of bytes of events. Records that are much
    /// smaller than the limit say little, because they compress worse.
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    pub(super) fn learn(&mut self, event_bytes: usize, compressed_bytes: usize, bytes_max: usize) {
        if compressed_bytes < bytes_max / 4 && event_bytes < self.event_bytes(bytes_max) / 2 {
            return;
        }
        let ratio = (compressed_bytes as f32 / event_bytes as f32).clamp(0.001, 1.0);
        // A record above its limit is expensive, so a worse proportion counts at once.
        self.ratio = match ratio > self.ratio {
            true => ratio,
            false => self.ratio + (ratio - self.ratio) * RATIO_WEIGHT,
        };
    }
}

/// Decompresses concatenated records, as readers of a file do.
#[cfg(test)]
pub(super) fn decompress(format: CompressionFormat, file: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    let read = match format {
        CompressionFormat::Gzip => flate2::read::MultiGzDecoder::new(file).read_to_end(&mut text),
        CompressionFormat::Zstd => {
            zstd::Decoder::new(file).and_then(|mut decoder| decoder.read_to_end(&mut text))
        }
    };
    read.expect("the file is complete");
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_compression() -> impl Strategy<Value = RecordCompression> {
        (0..2_usize, 1..=9_u8).prop_map(|(format, level)| RecordCompression {
            format: CompressionFormat::ALL[format].1,
            level,
        })
    }

    proptest! {
        #[test]
        fn concatenated_records_are_one_file(
            compression in any_compression(),
            records in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..3000), 1..6),
        ) {
            let (mut compressors, mut file) = (RecordCompressors::default(), Vec::new());
            for record in &records {
                compressors.compress(compression, record, &mut file);
            }
            prop_assert_eq!(decompress(compression.format, &file), records.concat());
        }
    }

    #[test]
    fn a_record_that_cannot_become_smaller_grows_only_a_little() {
        let mut random = fastrand::Rng::with_seed(1);
        let mut record = vec![0; crate::limits::RECORD_BYTES_MAX];
        random.fill(&mut record);
        for (_, format) in CompressionFormat::ALL {
            for level in format.levels() {
                let mut compressed = Vec::new();
                let compression = RecordCompression { format, level };
                RecordCompressors::default().compress(compression, &record, &mut compressed);
                let most = record.len() + COMPRESSION_OVERHEAD_BYTES_MAX;
                assert!(compressed.len() <= most, "{compression:?}: {}", compressed.len());
            }
        }
    }

    #[test]
    fn the_fill_follows_the_proportion() {
        let mut fill = CompressedFill::default();
        let first = fill.event_bytes(100_000);
        for _ in 0..20 {
            let events = fill.event_bytes(100_000);
            fill.learn(events, events / 10, 100_000);
        }
        let learned = fill.event_bytes(100_000);
        assert!((950_000..=970_000).contains(&learned), "{first} {learned}");
        // The last record of a quiet stream does not count.
        fill.learn(1000, 700, 100_000);
        assert_eq!(fill.event_bytes(100_000), learned);
        fill.learn(900_000, 180_000, 100_000);
        assert!(fill.event_bytes(100_000) < 490_000);
    }
}
