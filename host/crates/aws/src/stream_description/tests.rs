//! Tests descriptions of each kind of stream, descriptions with missing members, and arbitrary
//! JSON: nothing panics, and no secret is kept.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::{Arn, ResponseDefect};

const ARN: &str = "arn:aws:firehose:eu-west-1:123456789012:deliverystream/s";
const SECRET: &str = "SECRET";

/// The members that each description has.
fn required() -> Value {
    json!({
        "DeliveryStreamName": "s", "DeliveryStreamARN": ARN, "DeliveryStreamStatus": "ACTIVE", "DeliveryStreamType": "DirectPut",
        "VersionId": "1", "HasMoreDestinations": false, "Destinations": [],
    })
}

fn read_answer(answer: &Value) -> Result<StreamDescription, String> {
    read_description("s", answer.to_string().as_bytes()).map_err(|error| error.to_string())
}

fn read(fields: &Value) -> StreamDescription {
    let mut described = required();
    described["CreateTimestamp"] = 1.5.into();
    for (key, value) in fields.as_object().unwrap() {
        described[key] = value.clone();
    }
    read_answer(&json!({"DeliveryStreamDescription": described})).unwrap()
}

fn read_to(key: &str, destination: &Value) -> Destination {
    let entry = json!({"DestinationId": "d1", key: destination});
    let mut stream = read(&json!({"Destinations": [entry]}));
    assert_eq!(stream.destinations.len(), 1);
    stream.destinations.remove(0)
}

fn s3() -> Value {
    json!({"BucketARN": "arn:aws:s3:::bucket", "Prefix": "p/!{timestamp:yyyy}/", "RoleARN": "r"})
}

fn place() -> S3Location {
    S3Location { bucket: "bucket".to_owned(), prefix: "p/!{timestamp:yyyy}/".to_owned() }
}

#[test]
fn a_stream_is_read() {
    let stream = read(&json!({
        "DeliveryStreamStatus": "CREATING_FAILED", "FailureDescription": {"Type": "T", "Details": "d"},
        "LastUpdateTimestamp": "2024-01-01T00:00:00Z",
        "DeliveryStreamEncryptionConfiguration": {"Status": "ENABLED", "KeyARN": "k"},
    }));
    assert_eq!((&*stream.name, stream.arn.to_string()), ("s", ARN.to_owned()));
    assert_eq!(
        (&*stream.status.word, stream.status.failure.as_deref()),
        ("CREATING_FAILED", Some("T: d"))
    );
    assert_eq!((stream.created, stream.updated), (Some(1.5), Some(1_704_067_200.0)));
    assert_eq!(
        (stream.is_encrypted, &*stream.version, stream.origin),
        (true, "1", StreamOrigin::DirectPut)
    );
}

#[test]
fn origins_are_told_apart() {
    let arn = |text| Arn::parse(text).unwrap();
    let (kinesis, cluster) = (
        "arn:aws:kinesis:eu-west-1:210987654321:stream/k",
        "arn:aws:kafka:eu-west-1:123456789012:cluster/c/u",
    );
    for (kind, source, origin) in [
        ("DirectPut", json!(null), StreamOrigin::DirectPut),
        (
            "DirectPut",
            json!({"DirectPutSourceDescription": {"ThroughputHintInMBs": 1}}),
            StreamOrigin::DirectPut,
        ),
        (
            "KinesisStreamAsSource",
            json!({"KinesisStreamSourceDescription": {"KinesisStreamARN": kinesis, "RoleARN": "r"}}),
            StreamOrigin::Kinesis { arn: arn(kinesis) },
        ),
        (
            "MSKAsSource",
            json!({"MSKSourceDescription": {"MSKClusterARN": cluster, "TopicName": "t"}}),
            StreamOrigin::Kafka { cluster: arn(cluster), topic: "t".to_owned() },
        ),
        (
            "DatabaseAsSource",
            json!({"DatabaseSourceDescription": {
                "Type": "PostgreSQL", "Endpoint": "db.example", "Databases": {"Include": ["d"]},
                "Tables": {"Include": ["s.t", 1], "Exclude": ["x"]}, "SurrogateKeys": ["k"],
            }}),
            StreamOrigin::Database {
                engine: "PostgreSQL".to_owned(),
                host: "db.example".to_owned(),
                port: 5432,
                databases: vec!["d".to_owned()],
                tables: vec!["s.t".to_owned()],
            },
        ),
        (
            "NewAsSource",
            json!({"NewSourceDescription": {}}),
            StreamOrigin::Unsupported { what: "NewSourceDescription".to_owned() },
        ),
        ("NewAsSource", json!("?"), StreamOrigin::Unsupported { what: "NewAsSource".to_owned() }),
        (
            "MSKAsSource",
            json!({"MSKSourceDescription": {}}),
            StreamOrigin::Unsupported { what: "MSKAsSource".to_owned() },
        ),
    ] {
        assert_eq!(read(&json!({"DeliveryStreamType": kind, "Source": source})).origin, origin);
    }
}

#[test]
fn destinations_are_told_apart() {
    let table = |database: Option<&str>, schema: &str, name: &str| TableName {
        database: database.map(str::to_owned),
        schema: Some(schema.to_owned()),
        name: name.to_owned(),
    };
    let search = |engine, endpoint: &str, rotation| Sink::Search {
        engine,
        domain: None,
        endpoint: Some(endpoint.to_owned()),
        index: "i".to_owned(),
        rotation,
    };
    for (key, destination, sink) in [
        ("ExtendedS3DestinationDescription", s3(), Sink::S3(place())),
        ("S3DestinationDescription", s3(), Sink::S3(place())),
        (
            "RedshiftDestinationDescription",
            json!({
                "ClusterJDBCURL": "jdbc:redshift://u:SECRET@h:5439/d?password=SECRET", "Username": SECRET,
                "CopyCommand": {"DataTableName": "s.t", "CopyOptions": SECRET}, "S3DestinationDescription": s3(),
            }),
            Sink::Redshift {
                url: "jdbc:redshift://h:5439/d".to_owned(),
                host: "h".to_owned(),
                database: Some("d".to_owned()),
                table: "s.t".to_owned(),
            },
        ),
        (
            "ElasticsearchDestinationDescription",
            json!({"ClusterEndpoint": "https://e", "IndexName": "i", "IndexRotationPeriod": "OneDay"}),
            search(SearchEngine::Elasticsearch, "https://e", IndexRotation::Day),
        ),
        (
            "AmazonopensearchserviceDestinationDescription",
            json!({"ClusterEndpoint": "https://o/", "IndexName": "i", "IndexRotationPeriod": "NoRotation"}),
            search(SearchEngine::OpenSearch, "https://o", IndexRotation::None),
        ),
        (
            "AmazonOpenSearchServerlessDestinationDescription",
            json!({"CollectionEndpoint": "https://c", "IndexName": "i"}),
            search(SearchEngine::OpenSearchServerless, "https://c", IndexRotation::None),
        ),
        (
            "SplunkDestinationDescription",
            json!({"HECEndpoint": "https://u:SECRET@s:8088", "HECToken": SECRET}),
            Sink::Splunk { endpoint: "https://s:8088".to_owned() },
        ),
        (
            "HttpEndpointDestinationDescription",
            json!({
                "EndpointConfiguration": {"Url": "https://h/v1?key=SECRET", "Name": "n"},
                "RequestConfiguration": {"CommonAttributes": [{"AttributeName": "a", "AttributeValue": SECRET}]},
            }),
            Sink::Http { name: Some("n".to_owned()), url: "https://h/v1".to_owned() },
        ),
        (
            "SnowflakeDestinationDescription",
            json!({
                "AccountUrl": "https://a.snowflakecomputing.com", "User": SECRET, "Database": "D", "Schema": "S",
                "Table": "T",
            }),
            Sink::Snowflake {
                account: "https://a.snowflakecomputing.com".to_owned(),
                table: table(Some("D"), "S", "T"),
            },
        ),
        (
            "IcebergDestinationDescription",
            json!({
                "CatalogConfiguration": {"CatalogARN": "arn:aws:glue:eu-west-1:123456789012:catalog"},
                "DestinationTableConfigurationList": [
                    {"DestinationDatabaseName": "d", "DestinationTableName": "t"},
                    {"DestinationDatabaseName": "d", "DestinationTableName": "u"}, 7,
                ],
            }),
            Sink::Iceberg {
                catalog: Arn::parse("arn:aws:glue:eu-west-1:123456789012:catalog"),
                tables: vec![table(None, "d", "t"), table(None, "d", "u")],
            },
        ),
        (
            "MongoDestinationDescription",
            json!({"Password": SECRET}),
            Sink::Unsupported { what: "MongoDestinationDescription".to_owned() },
        ),
        (
            "RedshiftDestinationDescription",
            json!({}),
            Sink::Unsupported { what: "RedshiftDestinationDescription".to_owned() },
        ),
    ] {
        let read = read_to(key, &destination);
        assert_eq!((&*read.key, &read.sink), (key, &sink));
        assert!(!serde_json::to_string(&read).unwrap().contains(SECRET), "{read:?}");
    }
}

#[test]
fn what_is_done_on_the_way_and_beside_is_read() {
    let mut destination = s3();
    let lambda = "arn:aws:lambda:eu-west-1:123456789012:function:f:$LATEST";
    destination["ProcessingConfiguration"] = json!({"Enabled": true, "Processors": [
        {"Type": "MetadataExtraction", "Parameters": [{"ParameterName": "x", "ParameterValue": SECRET}]},
        {"Type": "Lambda", "Parameters": [{"ParameterName": "LambdaArn", "ParameterValue": lambda}]},
    ]});
    destination["S3BackupMode"] = "Enabled".into();
    destination["S3BackupDescription"] = json!({"BucketARN": "arn:aws:s3:::copies"});
    destination["DataFormatConversionConfiguration"] = json!({"Enabled": true, "SchemaConfiguration": {
        "CatalogId": "123456789012", "DatabaseName": "d", "TableName": "t", "Region": "eu-west-1",
    }});
    let read = read_to("ExtendedS3DestinationDescription", &destination);
    let kinds: Vec<_> = read.processors.iter().map(|processor| &*processor.kind).collect();
    assert_eq!(kinds, ["MetadataExtraction", "Lambda"]);
    assert_eq!(read.processors[1].lambda, Arn::parse(lambda));
    assert_eq!(read.backup.unwrap().bucket, "copies");
    assert_eq!(read.schema.unwrap().table, "t");

    destination["ProcessingConfiguration"]["Enabled"] = false.into();
    destination["S3BackupMode"] = "Disabled".into();
    destination["DataFormatConversionConfiguration"]["Enabled"] = false.into();
    let read = read_to("ExtendedS3DestinationDescription", &destination);
    assert_eq!((read.processors, read.backup, read.schema), (Vec::new(), None, None));

    let splunk = json!({"HECEndpoint": "https://s", "S3DestinationDescription": s3()});
    assert_eq!(read_to("SplunkDestinationDescription", &splunk).backup, Some(place()));
}

#[test]
fn one_place_is_one_destination() {
    let both = json!({
        "DestinationId": "d", "S3DestinationDescription": s3(), "ExtendedS3DestinationDescription": s3(),
        "SplunkDestinationDescription": null, "Tags": {},
    });
    let stream = read(&json!({"Destinations": [both]}));
    let keys: Vec<_> = stream.destinations.iter().map(|to| &*to.key).collect();
    assert_eq!(keys, ["ExtendedS3DestinationDescription"]);
    let stream = read(&json!({"Destinations": [{"DestinationId": "d"}]}));
    assert_eq!(stream.destinations.len(), 1);
}

#[test]
fn without_what_each_has_there_is_no_stream() {
    let keys: Vec<String> = required().as_object().unwrap().keys().cloned().collect();
    for key in &keys {
        for wrong in [None, Some(json!(null)), Some(json!(1)), Some(json!([1])), Some(json!({}))] {
            let mut described = required();
            match wrong {
                Some(wrong) => described[key] = wrong,
                None => drop(described.as_object_mut().unwrap().remove(key)),
            }
            let error = read_answer(&json!({"DeliveryStreamDescription": described}));
            let error = error.expect_err(key);
            assert!(error.contains(key), "{key}: {error}");
        }
    }
    for answer in [json!({}), json!([]), json!(null), json!({"DeliveryStreamDescription": []})] {
        let error = read_answer(&answer).unwrap_err();
        let word = if answer.is_object() { "DeliveryStreamDescription" } else { "JSON object" };
        assert!(error.contains(word), "{error}");
    }
}

#[test]
fn a_description_has_its_members_and_is_of_the_stream() {
    let complete = || {
        json!({
            "DeliveryStreamName": "s", "DeliveryStreamARN": "arn:aws:firehose:eu-west-1:1:deliverystream/s",
            "DeliveryStreamStatus": "ACTIVE", "DeliveryStreamType": "DirectPut", "VersionId": "1",
            "Destinations": [{"DestinationId": "d"}], "HasMoreDestinations": false,
        })
    };
    let check = |description: &Value| {
        let answer = json!({"DeliveryStreamDescription": description}).to_string();
        read_description("s", answer.as_bytes())
    };
    assert!(check(&complete()).is_ok());
    for key in complete().as_object().unwrap().keys() {
        for wrong in [None, Some(json!(null)), Some(json!("")), Some(json!([1])), Some(json!(1))] {
            let mut description = complete();
            match wrong {
                Some(wrong) => description[key] = wrong,
                None => drop(description.as_object_mut().unwrap().remove(key)),
            }
            let error = check(&description).expect_err(key).to_string();
            assert!(error.contains(key.as_str()), "{key}: {error}");
        }
    }
    let mut other = complete();
    other["DeliveryStreamName"] = "t".into();
    assert_eq!(check(&other), Err(ResponseDefect::OtherStream.into()));
    for text in ["", "{}", "null", "[]", "<html>", r#"{"DeliveryStreamDescription":null}"#] {
        assert!(read_description("s", text.as_bytes()).is_err(), "{text}");
    }
}

#[test]
fn what_depends_on_single_events_is_read() {
    let mut destination = s3();
    let parameter = |name, value| json!({"ParameterName": name, "ParameterValue": value});
    for (parameters, splits_at) in [
        (json!([parameter("SubRecordType", "JSON")]), RecordSplit::Json),
        (
            json!([parameter("SubRecordType", "DELIMITED"), parameter("Delimiter", "Cg==")]),
            RecordSplit::Newline,
        ),
        (
            json!([parameter("SubRecordType", "DELIMITED"), parameter("Delimiter", "Iw==")]),
            RecordSplit::Other,
        ),
        (json!(null), RecordSplit::Other),
    ] {
        destination["ProcessingConfiguration"] =
            json!({"Processors": [{"Type": "RecordDeAggregation", "Parameters": parameters}]});
        let read = read_to("ExtendedS3DestinationDescription", &destination);
        assert_eq!(read.processors[0].splits_at, Some(splits_at), "{parameters}");
    }
    for (enabled, is_on) in [(json!(null), true), (json!(true), true), (json!(false), false)] {
        destination["DynamicPartitioningConfiguration"] = json!({"Enabled": enabled});
        destination["DataFormatConversionConfiguration"] = json!({"Enabled": enabled});
        let read = read_to("ExtendedS3DestinationDescription", &destination);
        assert_eq!((read.partitions_dynamically, read.converts_format), (is_on, is_on));
    }
    let read = read_to("ExtendedS3DestinationDescription", &s3());
    assert_eq!((read.partitions_dynamically, read.converts_format), (false, false));
}

#[test]
fn a_destination_is_known_by_its_key_also_without_its_place() {
    for (key, kind) in [
        ("ExtendedS3DestinationDescription", DestinationKind::S3),
        ("S3DestinationDescription", DestinationKind::S3),
        ("SplunkDestinationDescription", DestinationKind::Splunk),
        ("MongoDestinationDescription", DestinationKind::Unknown),
    ] {
        assert_eq!(read_to(key, &json!({})).kind(), kind, "{key}");
    }
}

/// Arbitrary JSON in which the relevant keys are frequent.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[a-zA-Z0-9:/@?!{}. -]{0,24}".prop_map(Value::from),
        Just(Value::from(ARN)),
        Just(Value::from("https://u:p@h/?a")),
    ];
    let key = prop::sample::select(vec![
        "Destinations",
        "DestinationId",
        "Source",
        "KinesisStreamSourceDescription",
        "KinesisStreamARN",
        "MSKSourceDescription",
        "DatabaseSourceDescription",
        "Type",
        "Endpoint",
        "Port",
        "CreateTimestamp",
        "ExtendedS3DestinationDescription",
        "S3DestinationDescription",
        "BucketARN",
        "Prefix",
        "RedshiftDestinationDescription",
        "ClusterJDBCURL",
        "SplunkDestinationDescription",
        "HECEndpoint",
        "HttpEndpointDestinationDescription",
        "EndpointConfiguration",
        "Url",
        "ProcessingConfiguration",
        "Processors",
        "Parameters",
        "IcebergDestinationDescription",
        "DestinationTableConfigurationList",
        "HasMoreDestinations",
        "Other",
    ]);
    leaf.prop_recursive(5, 60, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map(key.clone(), inner, 0..8).prop_map(|fields| fields
                .into_iter()
                .map(|(key, value)| (key.to_owned(), value))
                .collect()),
        ]
    })
}

proptest! {
    #[test]
    fn no_answer_makes_it_panic(mut described in any_json()) {
        if let Some(fields) = described.as_object_mut() {
            for (key, value) in required().as_object().unwrap() {
                fields.entry(key).or_insert_with(|| value.clone());
            }
        }
        let answer = json!({"DeliveryStreamDescription": described});
        if let Ok(stream) = read_answer(&answer) {
            prop_assert!(serde_json::to_string(&stream).is_ok());
        }
    }
}
