//! Reads the source of a stream from its description: direct puts, Kinesis, Kafka or a database.
//! All others are unsupported and keep AWS's term.

use super::{StreamOrigin, address};
use crate::fields::{JsonFields, unknown_word};

/// The source of a stream of this type.
pub(super) fn read_origin(kind: &str, described: JsonFields<'_>) -> StreamOrigin {
    let source = described.inner("Source");
    let known = [
        source.object("KinesisStreamSourceDescription").map(read_kinesis),
        source.object("MSKSourceDescription").map(read_kafka),
        source.object("DatabaseSourceDescription").map(read_database),
    ];
    if let Some(known) = known.into_iter().flatten().next() {
        return known.unwrap_or_else(|| unsupported_origin(kind));
    }
    let unknown = source.keys_of_objects().find(|&key| key != "DirectPutSourceDescription");
    match (kind, unknown) {
        ("DirectPut", None) => StreamOrigin::DirectPut,
        (_, Some(key)) => unsupported_origin(key),
        (kind, None) => unsupported_origin(kind),
    }
}

fn unsupported_origin(what: &str) -> StreamOrigin {
    StreamOrigin::Unsupported { what: unknown_word(what) }
}

fn read_kinesis(source: JsonFields<'_>) -> Option<StreamOrigin> {
    Some(StreamOrigin::Kinesis { arn: source.arn("KinesisStreamARN")? })
}

fn read_kafka(source: JsonFields<'_>) -> Option<StreamOrigin> {
    let (cluster, topic) = (source.arn("MSKClusterARN")?, source.owned("TopicName")?);
    Some(StreamOrigin::Kafka { cluster, topic })
}

fn read_database(source: JsonFields<'_>) -> Option<StreamOrigin> {
    let engine = source.text("Type")?;
    let usual_port = if engine.eq_ignore_ascii_case("postgresql") { 5432 } else { 3306 };
    Some(StreamOrigin::Database {
        engine: engine.to_owned(),
        host: address::redact_host(source.text("Endpoint")?)?,
        port: source.port("Port").unwrap_or(usual_port),
        databases: source.inner("Databases").texts("Include"),
        tables: source.inner("Tables").texts("Include"),
    })
}
