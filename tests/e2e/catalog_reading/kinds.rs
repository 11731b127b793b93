//! Tests every kind of source and destination.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use standpipe_catalog::discovery::DiscoverySettings;
use standpipe_catalog::probe::{ProbeOutcome, probe_reading};
use standpipe_catalog::{Inventory, Sink, StreamOrigin};
use standpipe_tests::catalog::{Account, MadeStreams, REGION, SECRET, make_streams};
use standpipe_tests::ministack::Ministack;
use standpipe_tests::moto;

use super::tables::kinesis_source;
use super::{
    count_requests, discovery_settings, filtered_settings, read_inventory, serve_account,
    with_reader,
};

/// Number of streams in the emulators: three of each source with each destination.
const STREAMS: usize = 120;
const SOURCES: [&str; 5] =
    ["DirectPut", "KinesisStreamAsSource", "MSKAsSource", "DatabaseAsSource", "NewAsSource"];

#[test]
fn everything_that_moto_makes_is_read() {
    let url = moto::shared_server().url();
    let made = make_streams(url, STREAMS);
    assert_eq!(made.streams.len(), STREAMS);
    let settings =
        DiscoverySettings { walks_tables: false, ..filtered_settings(url, &[r"stream\."], &[]) };
    let inventory = read_inventory(settings).unwrap();
    assert_read_as_made(&inventory, &made);
    assert_eq!(inventory.account.as_deref(), Some(Account::ID));
}

#[test]
fn everything_that_ministack_makes_is_read_with_the_tables_behind_it() {
    let ministack = Ministack::start("external", "first");
    let made = make_streams(&ministack.url, STREAMS);
    assert_eq!((made.streams.len(), &*made.refused), (STREAMS, &[][..]));
    let inventory = read_inventory(filtered_settings(&ministack.url, &[r"stream\."], &[])).unwrap();
    assert_read_as_made(&inventory, &made);
    assert_eq!(inventory.warnings, Vec::<String>::new());
    let tables = inventory.tables.iter().flat_map(|(stream, tables)| {
        assert_eq!(stream.resource, "stream/changes");
        tables.iter().map(|table| table.name().to_owned())
    });
    assert_eq!(tables.collect::<Vec<_>>(), made.tables);
    assert_eq!(made.tables, ["orders", "users"]);

    let settings = filtered_settings(&ministack.url, &[r"stream\."], &[]);
    let probes = with_reader(settings, async |reader| probe_reading(reader).await);
    assert!(probes.iter().all(|probe| probe.outcome == ProbeOutcome::Granted), "{probes:#?}");
}

#[test]
fn each_source_is_read_with_each_destination() {
    let mut account = Account { page: 7, ..Account::default() };
    let destinations = all_destinations();
    for source in SOURCES {
        for (key, destination) in &destinations {
            let entry = json!({"DestinationId": "d", *key: destination});
            let fields = json!({
                "DeliveryStreamType": source, "Source": source_of(source), "Destinations": [entry],
            });
            account.add_stream(&format!("{source}.{key}"), &fields);
        }
    }
    let all = account.streams.len();
    let endpoint = serve_account(account, |_| None);
    let inventory = read_inventory(discovery_settings(&endpoint.url())).unwrap();
    assert_eq!((inventory.streams.len(), inventory.is_complete), (all, true));
    for stream in &inventory.streams {
        let (source, key) = stream.name.split_once('.').unwrap();
        let is_new = source == "NewAsSource";
        assert_eq!(origin_word(&stream.origin), if is_new { "unsupported" } else { source });
        let [to] = &stream.destinations[..] else { panic!("one destination: {stream:?}") };
        assert_eq!(to.key, key);
        let is_unsupported = matches!(&to.sink, Sink::Unsupported { what } if what == key);
        assert_eq!(is_unsupported, key == "NewDestinationDescription", "{to:?}");
    }
    assert_no_secret(&inventory);
    assert_eq!(count_requests(&endpoint, "ListDeliveryStreams"), all.div_ceil(7));
    assert_eq!(count_requests(&endpoint, "DescribeDeliveryStream"), all);
}

fn source_of(kind: &str) -> Value {
    match kind {
        "DirectPut" => Value::Null,
        "KinesisStreamAsSource" => {
            json!({"KinesisStreamSourceDescription": {"KinesisStreamARN": kinesis_source(Account::ID, REGION)}})
        }
        "MSKAsSource" => {
            let cluster = format!("arn:aws:kafka:{REGION}:{}:cluster/c/1", Account::ID);
            json!({"MSKSourceDescription": {"MSKClusterARN": cluster, "TopicName": "t"}})
        }
        "DatabaseAsSource" => json!({"DatabaseSourceDescription": {
            "Type": "MySQL", "Endpoint": "db.example", "Port": 3306, "Databases": {"Include": ["d"]},
        }}),
        _ => json!({"NewSourceDescription": {"Password": SECRET}}),
    }
}

fn all_destinations() -> Vec<(&'static str, Value)> {
    let s3 = json!({"BucketARN": "arn:aws:s3:::bucket", "Prefix": "p/"});
    let search = |key: &str| json!({key: "https://search.example", "IndexName": "i"});
    vec![
        ("ExtendedS3DestinationDescription", s3.clone()),
        ("S3DestinationDescription", s3),
        (
            "RedshiftDestinationDescription",
            json!({
                "ClusterJDBCURL": format!("jdbc:redshift://u:{SECRET}@c:5439/d?password={SECRET}"),
                "CopyCommand": {"DataTableName": "t"}, "Username": SECRET,
            }),
        ),
        ("ElasticsearchDestinationDescription", search("ClusterEndpoint")),
        ("AmazonopensearchserviceDestinationDescription", search("ClusterEndpoint")),
        ("AmazonOpenSearchServerlessDestinationDescription", search("CollectionEndpoint")),
        (
            "SplunkDestinationDescription",
            json!({"HECEndpoint": "https://s:8088", "HECToken": SECRET}),
        ),
        (
            "HttpEndpointDestinationDescription",
            json!({
                "EndpointConfiguration": {"Url": format!("https://u:{SECRET}@h/in?key={SECRET}"), "Name": "n"},
                "RequestConfiguration": {"CommonAttributes": [{"AttributeName": "a", "AttributeValue": SECRET}]},
            }),
        ),
        (
            "SnowflakeDestinationDescription",
            json!({"AccountUrl": "https://a.snowflakecomputing.com", "User": SECRET, "Table": "T"}),
        ),
        (
            "IcebergDestinationDescription",
            json!({"DestinationTableConfigurationList": [{"DestinationTableName": "t"}]}),
        ),
        ("NewDestinationDescription", json!({"Token": SECRET})),
    ]
}

/// Asserts that each stream was read as it was created, as far as the stand-in reports it.
fn assert_read_as_made(inventory: &Inventory, made: &MadeStreams) {
    let names: BTreeSet<_> = inventory.streams.iter().map(|stream| &stream.name).collect();
    assert_eq!(names, made.streams.keys().collect());
    assert!(inventory.is_complete && inventory.unread.is_empty());
    for stream in &inventory.streams {
        let (source, destination) = &made.streams[&stream.name];
        // Both emulators report only the kind of such a source.
        match &stream.origin {
            StreamOrigin::Unsupported { what } => {
                assert!(what == source && ["MSKAsSource", "DatabaseAsSource"].contains(&&**source));
            }
            origin => assert_eq!(origin_word(origin), source),
        }
        let [to] = &stream.destinations[..] else { panic!("one destination: {stream:?}") };
        // ministack returns another key than AWS, in which the word is in lower case.
        let is_misnamed = to.key == "AmazonOpenSearchDestinationDescription";
        let key = format!("{destination}DestinationDescription");
        assert!(is_misnamed && destination == "Amazonopensearchservice" || to.key == key, "{to:?}");
        assert_eq!(matches!(to.sink, Sink::Unsupported { .. }), is_misnamed, "{to:?}");
    }
    assert_no_secret(inventory);
}

fn origin_word(origin: &StreamOrigin) -> &str {
    match origin {
        StreamOrigin::DirectPut => "DirectPut",
        StreamOrigin::Kinesis { .. } => "KinesisStreamAsSource",
        StreamOrigin::Kafka { .. } => "MSKAsSource",
        StreamOrigin::Database { .. } => "DatabaseAsSource",
        StreamOrigin::Unsupported { .. } => "unsupported",
    }
}

fn assert_no_secret(inventory: &Inventory) {
    let printed = format!("{inventory:?}{}", serde_json::to_string(inventory).unwrap());
    assert!(!printed.contains(SECRET));
}
