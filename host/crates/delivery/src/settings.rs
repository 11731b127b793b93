//! The settings of delivery: `[delivery]` for all delivery streams, and `[streams.NAME]` for one.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::Path;
use std::time::Duration;

use schemars::JsonSchema;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::limits::{
    BILLED_STEP_BYTES, IN_FLIGHT_BYTES_MAX, RECORD_BYTES_MAX, REQUEST_BYTES_ENOUGH,
    STREAM_IDLE_TIMEOUT,
};
use crate::{
    Aggregation, CompressionFormat, DeliverySettings, RecordCompression, StartRate, StreamSettings,
};
use standpipe_core::event::StreamName;
use standpipe_core::settings::{SettingsChecker, TableChecker};

/// The default of `concurrency`.
const CONCURRENCY: usize = 16;

/// The maximum of `concurrency`: the limit for the requests of all streams together.
const CONCURRENCY_MAX: usize = standpipe_aws::limits::REQUESTS_AT_ONCE_MAX;

/// The minimum of `max_bytes` in `aggregate`: Firehose bills smaller records as if they had this
/// size.
const AGGREGATE_BYTES_MIN: usize = BILLED_STEP_BYTES;

/// The default of `max_delay`.
const MAX_DELAY: Duration = Duration::from_secs(1);

/// The maximum of `max_delay`.
const MAX_DELAY_MAX: Duration = Duration::from_secs(900);

/// The default of `missing_stream_grace`. To create a stream takes less time.
const MISSING_STREAM_GRACE: Duration = Duration::from_secs(60);

/// The default of `drain_timeout`.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(30);

/// The default of `drain_timeout` for a run whose events all come from a queue: some hundred milliseconds end the
/// requests that have been sent, and other mappers deliver the rest sooner than a held stream accepts it.
const DRAIN_TIMEOUT_OF_MAPPER: Duration = Duration::from_millis(500);

/// The maximum of all durations except `max_delay`.
const DURATION_MAX: Duration = Duration::from_secs(7 * 24 * 3600);

/// The default of `overflow_max_bytes`. When the overflow has this size, a held or slow stream
/// delays the other streams.
pub(crate) const OVERFLOW_BYTES_MAX: u64 = 1024 * 1024 * 1024;

/// The default of `max_dynamic_streams`. An idle stream takes about 10 KB of memory.
const DYNAMIC_STREAMS_MAX: usize = 1000;

/// The maximum of `max_dynamic_streams`: four times Firehose's default quota of streams for an
/// account and region.
const DYNAMIC_STREAMS_MAX_MAX: usize = 20_000;

/// How Standpipe delivers records to Firehose.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawDelivery {
    /// Whether each record ends with a newline. Default: `true`.
    pub newline: Option<bool>,
    /// Whether several events share a record, to reduce cost: `"off"`, `"auto"` (if all
    /// destinations of the stream can read such records), `{ max_bytes = N }`, or
    /// `{ max_bytes = N, compress = "gzip" }`. All but `"off"` require `newline = true`. Default:
    /// `"off"`.
    #[schemars(example = &"auto")]
    pub aggregate: Option<RawAggregate>,
    /// Maximum number of concurrent requests for one stream, 1 to 256. Default: 16.
    #[schemars(example = 16)]
    pub concurrency: Option<usize>,
    /// How long an event may wait until its batch is complete, at most `"15m"`. Default: `"1s"`.
    #[schemars(example = &"1s")]
    pub max_delay: Option<String>,
    /// How long a stream may be missing before its records become dead letters, at most `"7d"`.
    /// Default: `"1m"`.
    #[schemars(example = &"1m")]
    pub missing_stream_grace: Option<String>,
    /// How long Standpipe continues to deliver after SIGINT or SIGTERM, at most `"7d"`. Default:
    /// `"30s"`, and `"500ms"` if all events come from the queue, which then delivers the others to another mapper.
    #[schemars(example = &"30s")]
    pub drain_timeout: Option<String>,
    /// Maximum size in bytes of `DATA_DIR/overflow`, where the records of slow and held streams
    /// wait. 0: the records wait in memory only. Default: 1073741824 (1 GiB).
    #[schemars(example = 1_073_741_824)]
    pub overflow_max_bytes: Option<u64>,
    /// Maximum number of dynamic streams (streams whose names come from events) in use at the same
    /// time, at most 20000. Events for further dynamic streams become dead letters. Default: 1000.
    #[schemars(example = 1000)]
    pub max_dynamic_streams: Option<usize>,
    /// How long a stream counts as in use after its last record, at most `"7d"`. Default: `"5m"`.
    #[schemars(example = &"5m")]
    pub stream_idle_timeout: Option<String>,
}

/// Settings of one delivery stream. They replace the values in `[delivery]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawStream {
    /// Whether each record ends with a newline. Default: the value in `[delivery]`.
    pub newline: Option<bool>,
    /// Whether several events share a record: `"off"`, `"auto"`, `{ max_bytes = N }`, or
    /// `{ max_bytes = N, compress = "gzip" }`. Default: the value in `[delivery]`.
    #[schemars(example = &"auto")]
    pub aggregate: Option<RawAggregate>,
    /// Maximum number of concurrent requests for the stream, 1 to 256. Default: the value in
    /// `[delivery]`.
    #[schemars(example = 16)]
    pub concurrency: Option<usize>,
}

/// Whether several events share a record.
// `Deserialize` is written by hand: the error of serde's derived form for untagged enums names
// neither variant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum RawAggregate {
    /// `"off"`: each event has its own record. `"auto"`: Standpipe aggregates events if all
    /// destinations of the stream can read records with several events.
    Word(String),
    /// Standpipe aggregates events into records of a maximum size.
    UpTo(RawAggregateUpTo),
}

/// Standpipe aggregates events into a record, one event in each line: up to 500, or any number if it
/// compresses the record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawAggregateUpTo {
    /// Maximum size of a record in bytes, after compression, 5120 to 1024000.
    #[schemars(example = 102_400)]
    pub max_bytes: usize,
    /// How Standpipe compresses each record: `"gzip"` or `"zstd"`. Only for streams that write
    /// records to S3 as they are: Standpipe reads the description of the stream first, and does not
    /// compress for other streams. Default: not compressed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"gzip")]
    pub compress: Option<String>,
    /// Level of the compression, 1 to 9 for gzip and 1 to 12 for zstd. Higher levels need more CPU
    /// time. Default: 4 for gzip, 3 for zstd.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = 4)]
    pub level: Option<u8>,
}

impl<'de> Deserialize<'de> for RawAggregate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AggregateVisitor;

        impl<'de> Visitor<'de> for AggregateVisitor {
            type Value = RawAggregate;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("\"off\", \"auto\", { max_bytes = N } or { max_bytes = N, compress = \"gzip\" }")
            }

            fn visit_str<E: Error>(self, word: &str) -> Result<RawAggregate, E> {
                Ok(RawAggregate::Word(word.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<RawAggregate, A::Error> {
                RawAggregateUpTo::deserialize(MapAccessDeserializer::new(map))
                    .map(RawAggregate::UpTo)
            }
        }

        deserializer.deserialize_any(AggregateVisitor)
    }
}

impl RawDelivery {
    /// Checks the settings of delivery and of single streams. The overflow is in the data
    /// directory.
    pub fn check(
        &self,
        streams: &BTreeMap<String, RawStream>,
        data_dir: &Path,
        checker: &mut SettingsChecker,
    ) -> DeliverySettings {
        let mut check = checker.table("delivery");
        let RawDelivery { newline, concurrency, ref aggregate, .. } = *self;
        let usual = StreamSettings {
            newline: true,
            concurrency: CONCURRENCY,
            aggregation: Aggregation::Off,
        };
        let stream = check_stream((newline, concurrency, aggregate.as_ref()), usual, &mut check);
        let is_aggregated = check_newline(stream, &mut check);
        let mut duration = |key, value: &Option<String>, usual, most| {
            check.duration(key, value.as_deref(), usual, Duration::ZERO..=most)
        };
        DeliverySettings {
            stream,
            start_rate: StartRate::Unbounded,
            max_delay: duration("max_delay", &self.max_delay, MAX_DELAY, MAX_DELAY_MAX),
            in_flight_bytes_max: IN_FLIGHT_BYTES_MAX,
            request_bytes_enough: REQUEST_BYTES_ENOUGH,
            missing_stream_grace: duration(
                "missing_stream_grace",
                &self.missing_stream_grace,
                MISSING_STREAM_GRACE,
                DURATION_MAX,
            ),
            stream_idle_timeout: duration(
                "stream_idle_timeout",
                &self.stream_idle_timeout,
                STREAM_IDLE_TIMEOUT,
                DURATION_MAX,
            ),
            overflow_directory: data_dir.join("overflow"),
            overflow_bytes_max: self.overflow_max_bytes.unwrap_or(OVERFLOW_BYTES_MAX),
            dynamic_streams_max: check_dynamic_streams(self.max_dynamic_streams, &mut check),
            streams: check_streams(streams, (stream, is_aggregated), checker),
        }
    }

    /// Checks `drain_timeout`, whose default depends on whether another process can deliver the events of this one.
    pub fn check_drain_timeout(&self, hands_back: bool, check: &mut TableChecker<'_>) -> Duration {
        let text = self.drain_timeout.as_deref();
        let default = if hands_back { DRAIN_TIMEOUT_OF_MAPPER } else { DRAIN_TIMEOUT };
        check.duration("drain_timeout", text, default, Duration::ZERO..=DURATION_MAX)
    }
}

/// Checks the settings of single streams. `is_aggregated` is whether `newline` and `aggregate` of
/// `[delivery]` are valid together.
fn check_streams(
    streams: &BTreeMap<String, RawStream>,
    (all, is_aggregated): (StreamSettings, bool),
    checker: &mut SettingsChecker,
) -> HashMap<StreamName, StreamSettings> {
    let mut by_name = HashMap::with_capacity(streams.len());
    let mut check = checker.table("streams");
    for (name, raw) in streams {
        let mut check = check.table(name);
        let of_stream = (raw.newline, raw.concurrency, raw.aggregate.as_ref());
        let own = check_stream(of_stream, all, &mut check);
        // A mistake in `[delivery]` is reported only once.
        if is_aggregated || own != all {
            check_newline(own, &mut check);
        }
        match StreamName::parse(name) {
            Ok(name) => {
                by_name.insert(name, own);
            }
            Err(error) => check.add_table_mistake(format_args!(": {error}")),
        }
    }
    by_name
}

fn check_dynamic_streams(streams: Option<usize>, check: &mut TableChecker<'_>) -> usize {
    let streams = streams.unwrap_or(DYNAMIC_STREAMS_MAX);
    if streams > DYNAMIC_STREAMS_MAX_MAX {
        let key = check.name().key("max_dynamic_streams");
        check.add_message(format!(
            "invalid {key}: expected at most {DYNAMIC_STREAMS_MAX_MAX}, found {streams}"
        ));
    }
    streams
}

/// Checks `newline`, `concurrency` and `aggregate`. The values of `usual` replace those that are
/// not set.
fn check_stream(
    (newline, concurrency, aggregate): (Option<bool>, Option<usize>, Option<&RawAggregate>),
    usual: StreamSettings,
    check: &mut TableChecker<'_>,
) -> StreamSettings {
    let concurrency = concurrency.unwrap_or(usual.concurrency);
    StreamSettings {
        newline: newline.unwrap_or(usual.newline),
        concurrency: check
            .number("concurrency", concurrency, 1..=CONCURRENCY_MAX)
            .unwrap_or(usual.concurrency),
        aggregation: check_aggregate(aggregate, check).unwrap_or(usual.aggregation),
    }
}

fn check_aggregate(
    value: Option<&RawAggregate>,
    check: &mut TableChecker<'_>,
) -> Option<Aggregation> {
    let found = match value? {
        RawAggregate::Word(word) if word == "off" => return Some(Aggregation::Off),
        RawAggregate::Word(word) if word == "auto" => return Some(Aggregation::Auto),
        RawAggregate::Word(word) => format!("{word:?}"),
        RawAggregate::UpTo(up_to) => match up_to.max_bytes {
            bytes_max @ AGGREGATE_BYTES_MIN..=RECORD_BYTES_MAX => {
                return check_compression(up_to, bytes_max, check);
            }
            bytes => format!("{{ max_bytes = {bytes} }}"),
        },
    };
    check.add_mistake(format_args!(
        "aggregate is {found}: write \"off\", \"auto\", or {{ max_bytes = N }} with N from {AGGREGATE_BYTES_MIN} to \
         {RECORD_BYTES_MAX}"
    ));
    None
}

/// Checks `compress` and `level` in `aggregate`.
fn check_compression(
    up_to: &RawAggregateUpTo,
    bytes_max: usize,
    check: &mut TableChecker<'_>,
) -> Option<Aggregation> {
    let Some(word) = &up_to.compress else {
        if up_to.level.is_some() {
            check.add_mistake(
                "aggregate contains `level` without `compress`: add compress = \"gzip\", or remove `level`",
            );
        }
        return Some(Aggregation::UpTo { bytes_max });
    };
    let known = CompressionFormat::ALL.into_iter().find(|(name, _)| name == word);
    let Some((_, format)) = known else {
        check.add_mistake(format_args!(
            "aggregate contains compress = {word:?}: write \"gzip\" or \"zstd\", or remove `compress`"
        ));
        return None;
    };
    let (levels, level) = (format.levels(), up_to.level.unwrap_or(format.default_level()));
    if !levels.contains(&level) {
        check.add_mistake(format_args!(
            "aggregate contains level = {level}: write a number from {} to {} for {format}",
            levels.start(),
            levels.end()
        ));
        return None;
    }
    let compression = RecordCompression { format, level };
    Some(Aggregation::Compressed { bytes_max, compression })
}

/// Checks that newlines separate the events of an aggregated record.
fn check_newline(stream: StreamSettings, check: &mut TableChecker<'_>) -> bool {
    let is_good = stream.aggregation == Aggregation::Off || stream.newline;
    if !is_good {
        check.add_mistake(
            "aggregate joins events without newlines between them: set newline = true, or aggregate = \"off\"",
        );
    }
    is_good
}

#[cfg(test)]
mod tests {
    use standpipe_core::settings::SecretManager;

    use super::*;

    fn check(
        raw: &RawDelivery,
        streams: &[(&str, RawStream)],
    ) -> Result<DeliverySettings, Vec<String>> {
        let mut checker = SettingsChecker::new(Path::new("/etc/standpipe"), SecretManager::None);
        let streams =
            streams.iter().map(|(name, stream)| ((*name).to_owned(), stream.clone())).collect();
        let settings = raw.check(&streams, Path::new("/data"), &mut checker);
        match checker.into_mistakes() {
            mistakes if mistakes.is_empty() => Ok(settings),
            mistakes => Err(mistakes),
        }
    }

    fn up_to(max_bytes: usize) -> Option<RawAggregate> {
        Some(RawAggregate::UpTo(RawAggregateUpTo { max_bytes, compress: None, level: None }))
    }

    #[test]
    fn a_stream_has_what_all_have_and_it_does_not_say_otherwise() {
        let raw = RawDelivery { concurrency: Some(CONCURRENCY_MAX), ..RawDelivery::default() };
        let orders = RawStream { aggregate: up_to(RECORD_BYTES_MAX), ..RawStream::default() };
        let settings = check(&raw, &[("orders", orders)]).unwrap();
        assert_eq!(settings.overflow_directory, Path::new("/data/overflow"));
        let orders = settings.streams[&StreamName::parse("orders").unwrap()];
        let aggregation = Aggregation::UpTo { bytes_max: RECORD_BYTES_MAX };
        assert_eq!(orders, StreamSettings { aggregation, ..settings.stream });
        assert_eq!(orders.concurrency, CONCURRENCY_MAX);
    }

    #[test]
    fn all_mistakes_are_told() {
        let raw = RawDelivery {
            concurrency: Some(CONCURRENCY_MAX + 1),
            max_dynamic_streams: Some(DYNAMIC_STREAMS_MAX_MAX + 1),
            max_delay: Some("16m".to_owned()),
            ..RawDelivery::default()
        };
        let small = RawStream { aggregate: up_to(AGGREGATE_BYTES_MIN - 1), ..RawStream::default() };
        assert_eq!(
            check(&raw, &[("a b", small)]).unwrap_err(),
            [
                "[delivery] concurrency is 257: write a number from 1 to 256",
                "[delivery] max_delay is \"16m\": write at most 15m",
                "invalid [delivery] max_dynamic_streams: expected at most 20000, found 20001",
                "[streams.\"a b\"] aggregate is { max_bytes = 5119 }: write \"off\", \"auto\", or { max_bytes = N } \
                 with N from 5120 to 1024000",
                &format!("[streams.\"a b\"]: {}", StreamName::parse("a b").unwrap_err()),
            ]
        );
    }
}
