//! The settings of delivery: `[delivery]`, and `[streams.NAME]` for what differs for a delivery
//! stream.

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
use crate::{Aggregation, DeliverySettings, StartRate, StreamSettings};
use standpipe_core::event::StreamName;
use standpipe_core::settings::{SettingsChecker, TableChecker};

/// Requests for one stream under way at once, unless the settings say otherwise.
const CONCURRENCY: usize = 16;

/// The most that the settings may say: as many as there may be for all streams together.
const CONCURRENCY_MAX: usize = standpipe_aws::limits::REQUESTS_AT_ONCE_MAX;

/// The least record that events are aggregated into: what Firehose bills of a smaller one too.
const AGGREGATE_BYTES_MIN: usize = BILLED_STEP_BYTES;

/// How long an event may wait for its batch to fill, unless the settings say otherwise.
const MAX_DELAY: Duration = Duration::from_secs(1);

/// The most that the settings may say.
const MAX_DELAY_MAX: Duration = Duration::from_secs(900);

/// How long a stream may not exist, unless the settings say otherwise: streams are created in less.
const MISSING_STREAM_GRACE: Duration = Duration::from_secs(60);

/// How long to go on delivering after a signal to stop, unless the settings say otherwise.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(30);

/// The most that the settings may say for all durations but `max_delay`.
const DURATION_MAX: Duration = Duration::from_secs(7 * 24 * 3600);

/// Bytes of disk that records of streams that are held or slow may take, unless the
/// settings say otherwise. Beyond it such a stream holds up the others.
pub(crate) const OVERFLOW_BYTES_MAX: u64 = 1024 * 1024 * 1024;

/// Delivery streams that events choose, by names that stand in neither the settings nor
/// the plugin's declaration, and that are in use at once, unless the settings say
/// otherwise. An idle stream takes some 10 KB.
const DYNAMIC_STREAMS_MAX: usize = 1000;

/// The most that the settings may say: four times Firehose's default quota of streams
/// for an account and region.
const DYNAMIC_STREAMS_MAX_MAX: usize = 20_000;
/// How records are delivered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawDelivery {
    /// Whether each record ends with a newline; true by default.
    pub newline: Option<bool>,
    /// Whether several events share a record: `"off"`, the default, `"auto"`
    /// (where the stream's description shows that it is safe), or
    /// `{ max_bytes = N }`.
    #[schemars(example = &"auto")]
    pub aggregate: Option<RawAggregate>,
    /// The most requests for one stream that may be under way at once; 16 by
    /// default.
    #[schemars(example = 16)]
    pub concurrency: Option<usize>,
    /// How long an event may wait for its batch to fill, such as `1s`, the
    /// default.
    #[schemars(example = &"1s")]
    pub max_delay: Option<String>,
    /// How long a stream may not exist before its records go to the dead
    /// letters, such as `1m`, the default.
    #[schemars(example = &"1m")]
    pub missing_stream_grace: Option<String>,
    /// How long to go on delivering after a signal to stop, such as `30s`, the
    /// default.
    #[schemars(example = &"30s")]
    pub drain_timeout: Option<String>,
    /// Bytes of records of held and slow streams that may be kept on disk, so
    /// that they hold up no other stream; 1 GiB by default.
    #[schemars(example = 1_073_741_824)]
    pub overflow_max_bytes: Option<u64>,
    /// Delivery streams that may be in use at once, of those that events choose: whose
    /// names stand in neither the settings nor the plugin's declaration. Events that
    /// choose a further one become dead letters; 1,000 by default.
    #[schemars(example = 1000)]
    pub max_dynamic_streams: Option<usize>,
    /// How long a delivery stream stays in use without records, such as `5m`, the
    /// default.
    #[schemars(example = &"5m")]
    pub stream_idle_timeout: Option<String>,
}

/// What differs for a delivery stream.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawStream {
    /// Whether each record ends with a newline.
    pub newline: Option<bool>,
    /// Whether several events share a record: `"off"`, `"auto"` or
    /// `{ max_bytes = N }`.
    #[schemars(example = &"auto")]
    pub aggregate: Option<RawAggregate>,
    /// Requests for the stream that may be under way at once.
    #[schemars(example = 16)]
    pub concurrency: Option<usize>,
}

/// Whether several events share a record.
///
/// The variants are distinguished by hand: serde's own attempt at that ends in an
/// error that names neither of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum RawAggregate {
    /// A word: `off` or `auto`.
    Word(String),
    /// Records of a size.
    UpTo(RawAggregateUpTo),
}

/// Events are aggregated into records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawAggregateUpTo {
    /// The size of a record in bytes, at most 1,024,000.
    #[schemars(example = 102_400)]
    pub max_bytes: usize,
}

impl<'de> Deserialize<'de> for RawAggregate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AggregateVisitor;

        impl<'de> Visitor<'de> for AggregateVisitor {
            type Value = RawAggregate;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("\"off\", \"auto\" or { max_bytes = N }")
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
    /// Checks how records are delivered, with what differs for single streams. What waits for
    /// slow streams is kept in the data directory.
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

    /// Checks how long to go on delivering after a signal to stop.
    pub fn check_drain_timeout(&self, check: &mut TableChecker<'_>) -> Duration {
        let text = self.drain_timeout.as_deref();
        check.duration("drain_timeout", text, DRAIN_TIMEOUT, Duration::ZERO..=DURATION_MAX)
    }
}

/// What differs for single streams from the settings of all, with whether these are right about
/// aggregation.
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
        // What is wrong for all streams is reported once.
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

/// Checks `newline`, `concurrency` and `aggregate`; the usual ones where none are set.
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
        RawAggregate::UpTo(RawAggregateUpTo { max_bytes: bytes_max }) => match *bytes_max {
            bytes_max @ AGGREGATE_BYTES_MIN..=RECORD_BYTES_MAX => {
                return Some(Aggregation::UpTo { bytes_max });
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

/// Whether the events of an aggregated record can be separated.
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
        Some(RawAggregate::UpTo(RawAggregateUpTo { max_bytes }))
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
