//! Reads what feeds a stream from its description: direct puts, Kinesis, Kafka or a database; all
//! else is unsupported, by Amazon's word for it.

use super::{Origin, address};
use crate::fields::{Fields, unknown_word};

/// What feeds a stream of this type.
pub(super) fn read(kind: &str, described: Fields<'_>) -> Origin {
    let source = described.inner("Source");
    let known = [
        source.object("KinesisStreamSourceDescription").map(kinesis),
        source.object("MSKSourceDescription").map(kafka),
        source.object("DatabaseSourceDescription").map(database),
    ];
    if let Some(known) = known.into_iter().flatten().next() {
        return known.unwrap_or_else(|| unsupported(kind));
    }
    let unknown = source.keys_of_objects().find(|&key| key != "DirectPutSourceDescription");
    match (kind, unknown) {
        ("DirectPut", None) => Origin::DirectPut,
        (_, Some(key)) => unsupported(key),
        (kind, None) => unsupported(kind),
    }
}

fn unsupported(what: &str) -> Origin {
    Origin::Unsupported { what: unknown_word(what) }
}

fn kinesis(source: Fields<'_>) -> Option<Origin> {
    Some(Origin::Kinesis { arn: source.arn("KinesisStreamARN")? })
}

fn kafka(source: Fields<'_>) -> Option<Origin> {
    let (cluster, topic) = (source.arn("MSKClusterARN")?, source.owned("TopicName")?);
    Some(Origin::Kafka { cluster, topic })
}

fn database(source: Fields<'_>) -> Option<Origin> {
    let engine = source.text("Type")?;
    let usual_port = if engine.eq_ignore_ascii_case("postgresql") { 5432 } else { 3306 };
    Some(Origin::Database {
        engine: engine.to_owned(),
        host: address::host(source.text("Endpoint")?)?,
        port: source.port("Port").unwrap_or(usual_port),
        databases: source.inner("Databases").texts("Include"),
        tables: source.inner("Tables").texts("Include"),
    })
}
