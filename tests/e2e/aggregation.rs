//! Tests `aggregate = "auto"`: events share records if the stream's description shows that this is
//! safe.

use serde_json::{Value, json};
use standpipe_tests::events::Events;
use standpipe_tests::moto;
use standpipe_tests::oracle::{Oracle, Streams, assert_same, split_records};
use standpipe_tests::{DEADLINE, FinishedRun, Program, Stub, StubResponse};

const SETTINGS: &str = "workers = 1\n[delivery]\naggregate = 'auto'\nmax_delay = '100ms'";
const EVENTS: usize = 50;

#[test]
fn the_stream_description_decides_about_aggregation() {
    let kinds = stream_kinds();
    let answers = kinds.clone();
    let stub = Stub::start(|_| StubResponse::Accept).with_descriptions(move |stream, _| {
        let (.., destination) = answers.iter().find(|(name, ..)| *name == stream).unwrap();
        Ok(json!([destination]))
    });
    let names: Vec<_> = kinds.iter().map(|(name, ..)| *name).collect();
    let (input, ran) = send_rounds(&stub.url(), &names);
    let ran = ran.expect_exit(0);
    assert_same(
        &Oracle::new(&rows_by_name(&names)).expected_outcome(&input).streams,
        &split_records_of(stub.accepted_records()),
    );
    let summary = ran.summary();
    let accepted = stub.accepted_records();
    for (name, expected, words, _) in kinds {
        let pack = &summary["streams"][name]["pack"];
        assert_eq!(pack["decision"], expected, "{name}: {pack}");
        assert!(pack["why"].as_str().unwrap().contains(words), "{name}: {pack}");
        let records = accepted[name].len();
        assert_eq!(records == EVENTS + 1, expected == "off", "{name}: {records} records");
    }
    assert_eq!(stub.violations(), [""; 0]);
    ran.expect_stderr(&["AppendDelimiterToRecord adds a newline", "times as much"]);
}

#[test]
fn without_permission_to_describe_nothing_is_aggregated() {
    let stub = Stub::start(|_| StubResponse::Accept)
        .with_descriptions(|_, _| Err("AccessDeniedException"));
    let (input, ran) = send_rounds(&stub.url(), &["s"]);
    let ran = ran.expect_exit(0);
    ran.expect_stderr(&[
        "events are not aggregated",
        "permission firehose:DescribeDeliveryStream is missing",
    ]);
    assert_same(
        &Oracle::new(&rows_by_name(&["s"])).expected_outcome(&input).streams,
        &stub.accepted_records(),
    );
    assert_eq!(stub.described_streams(), ["s"]);
}

#[test]
fn without_auto_no_stream_is_described() {
    let stub = Stub::start(|_| StubResponse::Accept);
    let program = Program::host_run_against(&stub.url()).mapping(&[("*", "s")]);
    let program = program.settings("[delivery]\naggregate = { max_bytes = 102400 }");
    let ran = program.stdin(Events::new(41).into_ndjson(EVENTS)).run().expect_exit(0);
    assert_eq!(stub.violations(), [""; 0]);
    let summary = ran.summary();
    assert_eq!(summary["streams"]["s"].get("pack"), None);
    let sum = |key: &str| summary[key].as_u64().unwrap();
    assert!(sum("billed_kb") < sum("billed_kb_unpacked"), "{summary}");
    assert_eq!(sum("billed_kb"), summary["streams"]["s"]["billed_kb"].as_u64().unwrap());
    let program = Program::host_run_against(&stub.url()).mapping(&[("*", "s")]);
    let ran = program.stdin(Events::new(41).into_ndjson(EVENTS)).run().expect_exit(0);
    assert!(!ran.stderr.contains("billed"), "{}", ran.stderr);
}

#[test]
fn a_local_file_is_not_aggregated_for() {
    let program = Program::host_run_locally().settings(SETTINGS).mapping(&[("*", "s")]);
    let mut running = program.start();
    running.write_stdin(b"{}\n");
    running.wait_for("events are not aggregated: a local file is not billed");
    let ran = running.finish(DEADLINE).expect_exit(0);
    assert_eq!(ran.summary()["streams"]["s"]["pack"]["decision"], "off");
}

#[test]
fn aggregation_does_not_change_the_objects() {
    let moto = moto::shared_server();
    moto.create_streams("packed", &["packed"]);
    let (input, ran) = send_rounds(moto.url(), &["packed"]);
    let ran = ran.expect_exit(0);
    let objects = moto.read_objects("packed", &["packed"]);
    let arrived = objects.into_iter().map(|(name, all)| (name, all.concat()));
    let arrived: Streams = arrived.map(|(name, bytes)| (name, split_records(&bytes))).collect();
    assert_same(
        &Oracle::new(&rows_by_name(&["packed"])).expected_outcome(&input).streams,
        &arrived,
    );
    let summary = ran.summary();
    let stream = &summary["streams"]["packed"];
    assert_eq!(stream["pack"]["decision"], "packed", "{stream}");
    assert!(stream["records"].as_u64().unwrap() < stream["events"].as_u64().unwrap(), "{stream}");
}

#[test]
fn other_destinations_of_moto_are_distinguished() {
    let kinds = ["redshift", "elasticsearch", "snowflake"];
    for kind in kinds {
        moto::shared_server().create_stream_to(kind, kind);
    }
    let (_, ran) = send_rounds(moto::shared_server().url(), &kinds);
    let ran = ran.expect_exit(0);
    for kind in kinds {
        let pack = &ran.summary()["streams"][kind]["pack"];
        let expected = if kind == "redshift" { "packed" } else { "off" };
        assert_eq!(pack["decision"], expected, "{kind}: {pack}");
        assert!(!pack["why"].as_str().unwrap().contains("unknown"), "{kind}: {pack}");
    }
}

/// Sends an event to each stream and, after all streams have been decided, [`EVENTS`] to each.
/// Returns the input and the program.
fn send_rounds(url: &str, streams: &[&str]) -> (Vec<u8>, FinishedRun) {
    let program = Program::host_run_against(url).settings(SETTINGS).mapping(&rows_by_name(streams));
    let mut running = program.start();
    let round = |number: usize| {
        let event = |stream: &&str| format!("{{\"event\":\"{stream}\",\"n\":{number}}}\n");
        streams.iter().map(event).collect::<String>()
    };
    running.write_stdin(round(0).as_bytes());
    for stream in streams {
        running.wait_for(&format!("stream={stream}\n"));
    }
    let rest: String = (1..=EVENTS).map(round).collect();
    running.write_stdin(rest.as_bytes());
    ((round(0) + &rest).into_bytes(), running.finish(DEADLINE))
}

/// Mappings that send each stream the events with its name.
fn rows_by_name<'a>(streams: &[&'a str]) -> Vec<(&'a str, &'a str)> {
    streams.iter().map(|stream| (*stream, *stream)).collect()
}

/// The events of all records.
fn split_records_of(streams: Streams) -> Streams {
    let split = |all: Vec<Vec<u8>>| split_records(&all.concat());
    streams.into_iter().map(|(name, all)| (name, split(all))).collect()
}

/// A stream's name, whether it is aggregated, words of the reason, and Firehose's description of
/// it.
fn stream_kinds() -> Vec<(&'static str, &'static str, &'static str, Value)> {
    let processor = |name: &str, parameters: &[(&str, &str)]| {
        let parameter =
            |(name, value): &(&str, &str)| json!({"ParameterName": name, "ParameterValue": value});
        json!({"Type": name, "Parameters": parameters.iter().map(parameter).collect::<Vec<_>>()})
    };
    // The API always returns these members, and the program's client requires them.
    let plain = json!({
        "RoleARN": "arn:aws:iam::123456789012:role/r", "BucketARN": "arn:aws:s3:::b",
        "BufferingHints": {"SizeInMBs": 5, "IntervalInSeconds": 300},
        "CompressionFormat": "UNCOMPRESSED", "EncryptionConfiguration": {},
    });
    let s3 = |processors: &[Value], more: Value| {
        let mut s3 = plain.clone();
        s3.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        s3["ProcessingConfiguration"] =
            json!({"Enabled": !processors.is_empty(), "Processors": processors});
        // The older form does not show processing, so it must not be trusted.
        json!({"DestinationId": "d", "ExtendedS3DestinationDescription": s3, "S3DestinationDescription": plain})
    };
    let other =
        |name: &str| json!({"DestinationId": "d", name: {"S3DestinationDescription": plain}});
    let redshift = json!({"DestinationId": "d", "RedshiftDestinationDescription": {
        "RoleARN": "r", "ClusterJDBCURL": "jdbc:redshift://c:5439/d",
        "CopyCommand": {"DataTableName": "events"}, "S3DestinationDescription": plain,
    }});
    let partitioned = || json!({"DynamicPartitioningConfiguration": {"Enabled": true}});
    let split = |parameters: &[(&str, &str)]| processor("RecordDeAggregation", parameters);
    let json_split = || split(&[("SubRecordType", "JSON")]);
    let extraction = || processor("MetadataExtraction", &[("JsonParsingEngine", "JQ-1.6")]);
    let lines = [("SubRecordType", "DELIMITED"), ("Delimiter", "Cg==")];
    let hashes = [("SubRecordType", "DELIMITED"), ("Delimiter", "IyMjIw==")];
    let (parquet, no_parquet) = (
        json!({"DataFormatConversionConfiguration": {"OutputFormatConfiguration": {}}}),
        json!({"DataFormatConversionConfiguration": {"Enabled": false}}),
    );
    vec![
        ("plain", "packed", "S3", s3(&[], json!({}))),
        ("older", "packed", "S3", json!({"DestinationId": "d", "S3DestinationDescription": plain})),
        ("redshift", "packed", "Redshift", redshift),
        (
            "opensearch",
            "off",
            "OpenSearch treats",
            other("AmazonopensearchserviceDestinationDescription"),
        ),
        (
            "serverless",
            "off",
            "Serverless",
            other("AmazonOpenSearchServerlessDestinationDescription"),
        ),
        ("elastic", "off", "Elasticsearch", other("ElasticsearchDestinationDescription")),
        ("splunk", "off", "Splunk", other("SplunkDestinationDescription")),
        ("http", "off", "HTTP", other("HttpEndpointDestinationDescription")),
        ("iceberg", "off", "Iceberg", other("IcebergDestinationDescription")),
        ("snowflake", "off", "Snowflake", other("SnowflakeDestinationDescription")),
        ("future", "off", "unknown kind", other("TeletextDestinationDescription")),
        ("lambda", "off", "Lambda", s3(&[processor("Lambda", &[])], json!({}))),
        ("gzip", "off", "decompresses", s3(&[processor("Decompression", &[])], json!({}))),
        ("logs", "off", "CloudWatch", s3(&[processor("CloudWatchLogProcessing", &[])], json!({}))),
        ("rotated", "off", "\"Rotate\"", s3(&[processor("Rotate", &[])], json!({}))),
        ("newlines", "packed", "S3", s3(&[processor("AppendDelimiterToRecord", &[])], json!({}))),
        ("partitioned", "off", "partitioned", s3(&[], partitioned())),
        ("keyed", "off", "keys", s3(&[extraction()], json!({}))),
        ("split", "packed", "splits", s3(&[json_split(), extraction()], partitioned())),
        ("lines", "packed", "splits", s3(&[split(&lines), extraction()], partitioned())),
        ("hashes", "off", "partitioned", s3(&[split(&hashes), extraction()], partitioned())),
        ("parquet", "off", "Parquet", s3(&[], parquet)),
        ("no-parquet", "packed", "S3", s3(&[], no_parquet)),
    ]
}
