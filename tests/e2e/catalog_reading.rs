//! Reading an account's delivery streams: of other people's stand-ins of Amazon's
//! API, and of recorded answers where those have none.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use host::aws::{AwsSettings, Endpoints, Keys};
use host::catalog::probe::{Outcome, probe_reading};
use host::catalog::reading::{Progress, ReadError, Reader, ReadingSettings};
use host::catalog::{Arn, Filter, Inventory, Origin, Sink};
use host::secret::{NoManager, Resolve, Secret, SecretSetting};
use serde_json::{Value, json};
use tests::catalog::{Account, Made, REGION, SECRET, input, make_streams, operation, refusal};
use tests::endpoint::Asked;
use tests::ministack::Ministack;
use tests::{Endpoint, moto};

/// Streams that the stand-ins make: three of each source with each destination.
const STREAMS: usize = 120;
/// No test waits for Amazon's pace.
const FAST: f64 = 2000.0;

const SOURCES: [&str; 5] =
    ["DirectPut", "KinesisStreamAsSource", "MSKAsSource", "DatabaseAsSource", "NewAsSource"];

fn settings(url: &str) -> ReadingSettings {
    let value = |text: &str| SecretSetting::Value(Secret::new(text.to_owned()));
    let keys = Keys {
        access_key_id: value("test"),
        secret_access_key: value("test"),
        session_token: None,
    };
    let (sts, dynamodb) = (Some(url.to_owned()), Some(url.to_owned()));
    ReadingSettings {
        aws: AwsSettings {
            region: Some(REGION.to_owned()),
            keys: Some(keys),
            endpoints: Endpoints { sts, dynamodb, ..Endpoints::default() },
            ..AwsSettings::default()
        },
        firehose_url: Some(url.to_owned()),
        filter: Filter::default(),
        walks_tables: true,
        calls_per_second: FAST,
    }
}

fn filtered(url: &str, includes: &[&str], excludes: &[&str]) -> ReadingSettings {
    ReadingSettings { filter: Filter::new(includes, excludes).unwrap(), ..settings(url) }
}

/// Do something with a reader.
fn with<T>(settings: ReadingSettings, then: impl AsyncFnOnce(&Reader) -> T) -> T {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(2).enable_all();
    runtime.build().expect("a runtime").block_on(async {
        let secrets: Arc<dyn Resolve> = Arc::new(NoManager);
        let reader = Reader::open(settings, &secrets).await.expect("keys are set");
        then(&reader).await
    })
}

fn read(settings: ReadingSettings) -> Result<Inventory, ReadError> {
    with(settings, async |reader| reader.read(&|_| ()).await)
}

fn serve(
    account: Account,
    mut script: impl FnMut(&Asked) -> Option<(u16, String)> + Send + 'static,
) -> Endpoint {
    Endpoint::start(move |asked| script(asked).unwrap_or_else(|| account.answer(asked)))
}

fn streams(count: usize) -> Account {
    let mut account = Account::default();
    account.add_many(count);
    account
}

fn count(endpoint: &Endpoint, of: &str) -> usize {
    endpoint.asked().iter().filter(|asked| operation(asked) == of).count()
}

fn assert_no_secret(inventory: &Inventory) {
    let told = format!("{inventory:?}{}", serde_json::to_string(inventory).unwrap());
    assert!(!told.contains(SECRET));
}

/// That each stream was read as what it was made, as far as the stand-in tells it.
fn assert_made(inventory: &Inventory, made: &Made) {
    let names: BTreeSet<_> = inventory.streams.iter().map(|stream| &stream.name).collect();
    assert_eq!(names, made.streams.keys().collect());
    assert!(inventory.is_complete && inventory.unread.is_empty());
    for stream in &inventory.streams {
        let (source, destination) = &made.streams[&stream.name];
        // Neither of them tells more of such a source than its kind.
        match &stream.origin {
            Origin::Unsupported { what } => {
                assert!(what == source && ["MSKAsSource", "DatabaseAsSource"].contains(&&**source));
            }
            origin => assert_eq!(origin_word(origin), source),
        }
        let [to] = &stream.destinations[..] else { panic!("one destination: {stream:?}") };
        // What ministack says in place of Amazon's word, which is in lower case.
        let is_misnamed = to.key == "AmazonOpenSearchDestinationDescription";
        let key = format!("{destination}DestinationDescription");
        assert!(is_misnamed && destination == "Amazonopensearchservice" || to.key == key, "{to:?}");
        assert_eq!(matches!(to.sink, Sink::Unsupported { .. }), is_misnamed, "{to:?}");
    }
    assert_no_secret(inventory);
}

fn origin_word(origin: &Origin) -> &str {
    match origin {
        Origin::DirectPut => "DirectPut",
        Origin::Kinesis { .. } => "KinesisStreamAsSource",
        Origin::Kafka { .. } => "MSKAsSource",
        Origin::Database { .. } => "DatabaseAsSource",
        Origin::Unsupported { .. } => "unsupported",
    }
}

#[test]
fn everything_that_moto_makes_is_read() {
    let url = moto::server().url();
    let made = make_streams(url, STREAMS);
    assert_eq!(made.streams.len(), STREAMS);
    let settings = ReadingSettings { walks_tables: false, ..filtered(url, &[r"stream\."], &[]) };
    let inventory = read(settings).unwrap();
    assert_made(&inventory, &made);
    assert_eq!(inventory.account.as_deref(), Some(Account::ID));
}

#[test]
fn everything_that_ministack_makes_is_read_with_the_tables_behind_it() {
    let ministack = Ministack::start("external", "first");
    let made = make_streams(&ministack.url, STREAMS);
    assert_eq!((made.streams.len(), &*made.refused), (STREAMS, &[][..]));
    let inventory = read(filtered(&ministack.url, &[r"stream\."], &[])).unwrap();
    assert_made(&inventory, &made);
    assert_eq!(inventory.warnings, Vec::<String>::new());
    let tables = inventory.tables.iter().flat_map(|(stream, tables)| {
        assert_eq!(stream.resource, "stream/changes");
        tables.iter().map(|table| table.name().to_owned())
    });
    assert_eq!(tables.collect::<Vec<_>>(), made.tables);
    assert_eq!(made.tables, ["orders", "users"]);

    let settings = filtered(&ministack.url, &[r"stream\."], &[]);
    let probes = with(settings, async |reader| probe_reading(reader).await);
    assert!(probes.iter().all(|probe| probe.outcome == Outcome::Granted), "{probes:#?}");
}

#[test]
fn each_source_is_read_with_each_destination() {
    let mut account = Account { page: 7, ..Account::default() };
    let destinations = destinations();
    for source in SOURCES {
        for (key, destination) in &destinations {
            let entry = json!({"DestinationId": "d", *key: destination});
            let fields = json!({
                "DeliveryStreamType": source, "Source": source_of(source), "Destinations": [entry],
            });
            account.add(&format!("{source}.{key}"), &fields);
        }
    }
    let all = account.streams.len();
    let endpoint = serve(account, |_| None);
    let inventory = read(settings(&endpoint.url())).unwrap();
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
    assert_eq!(count(&endpoint, "ListDeliveryStreams"), all.div_ceil(7));
    assert_eq!(count(&endpoint, "DescribeDeliveryStream"), all);
}

fn source_of(kind: &str) -> Value {
    match kind {
        "DirectPut" => Value::Null,
        "KinesisStreamAsSource" => {
            json!({"KinesisStreamSourceDescription": {"KinesisStreamARN": kinesis(Account::ID, REGION)}})
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

fn kinesis(account: &str, region: &str) -> String {
    format!("arn:aws:kinesis:{region}:{account}:stream/changes")
}

fn destinations() -> Vec<(&'static str, Value)> {
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

#[test]
fn lists_of_any_length_are_read_to_their_end() {
    for (all, page) in [(0, 10), (1, 10), (10, 10), (11, 10), (101, 10), (1001, 0)] {
        let endpoint = serve(Account { page, ..streams(all) }, |_| None);
        let inventory = read(settings(&endpoint.url())).unwrap();
        assert_eq!((inventory.streams.len(), inventory.is_complete), (all, true));
    }
}

#[test]
fn what_the_patterns_leave_out_is_not_asked_about() {
    let endpoint = serve(streams(20), |_| None);
    let inventory = read(filtered(&endpoint.url(), &["STREAM-0000"], &[".*3$"])).unwrap();
    assert_eq!((inventory.streams.len(), inventory.filtered.len()), (9, 11));
    assert_eq!(count(&endpoint, "DescribeDeliveryStream"), 9);
}

#[test]
fn who_is_throttled_comes_back() {
    let mut throttled = BTreeSet::new();
    let endpoint = serve(streams(60), move |asked| {
        let codes = [
            (400, "ThrottlingException"),
            (400, "LimitExceededException"),
            (503, "ServiceUnavailableException"),
            (500, "InternalFailure"),
        ];
        let (status, code) = codes[asked.number % codes.len()];
        let is_first =
            operation(asked) != "GetCallerIdentity" && throttled.insert(asked.body.clone());
        is_first.then(|| refusal(status, code))
    });
    let inventory = read(settings(&endpoint.url())).unwrap();
    assert_eq!((inventory.streams.len(), inventory.is_complete), (60, true));
    assert_eq!(count(&endpoint, "DescribeDeliveryStream"), 120);
}

#[test]
fn who_is_denied_something_reads_the_rest() {
    let endpoint = serve(streams(20), |asked| {
        let is_denied = asked.body.contains("stream-0001");
        is_denied.then(|| refusal(400, "AccessDeniedException"))
    });
    let inventory = read(settings(&endpoint.url())).unwrap();
    assert_eq!((inventory.streams.len(), inventory.unread.len()), (10, 10));
    assert!(inventory.is_complete);
    assert!(inventory.unread[0].cause.contains("AccessDeniedException"));
}

#[test]
fn who_is_denied_everything_is_told_what_it_needs() {
    for denied in ["ListDeliveryStreams", "DescribeDeliveryStream"] {
        let endpoint = serve(streams(20), move |asked| {
            (operation(asked) == denied).then(|| refusal(400, "AccessDeniedException"))
        });
        let error = read(settings(&endpoint.url())).unwrap_err().to_string();
        assert!(error.contains(&format!("it needs firehose:{denied}")), "{error}");
    }
}

#[test]
fn a_list_that_ends_early_is_not_complete() {
    for cut in [
        refusal(400, "InvalidArgumentException"),
        (200, json!({"DeliveryStreamNames": [], "HasMoreDeliveryStreams": true}).to_string()),
        (200, "{}".to_owned()),
    ] {
        let endpoint = serve(Account { page: 10, ..streams(30) }, move |asked| {
            let is_second =
                asked.body.contains("\"ExclusiveStartDeliveryStreamName\":\"stream-00009\"");
            is_second.then(|| cut.clone())
        });
        let inventory = read(settings(&endpoint.url())).unwrap();
        assert_eq!((inventory.streams.len(), inventory.is_complete), (10, false));
        assert!(inventory.warnings[0].contains("not whole"), "{:?}", inventory.warnings);
    }
}

#[test]
fn a_server_that_forgets_where_it_was_is_not_asked_for_ever() {
    let endpoint = serve(streams(3), |asked| {
        let page = json!({"DeliveryStreamNames": ["stream-00001"], "HasMoreDeliveryStreams": true});
        (operation(asked) == "ListDeliveryStreams").then(|| (200, page.to_string()))
    });
    let inventory = read(settings(&endpoint.url())).unwrap();
    assert_eq!((inventory.streams.len(), inventory.is_complete), (1, false));
    assert_eq!(count(&endpoint, "ListDeliveryStreams"), 2);
}

#[test]
fn a_stream_that_goes_meanwhile_is_no_failure() {
    let endpoint = serve(streams(10), |asked| {
        let is_gone = input(asked)["DeliveryStreamName"] == "stream-00004";
        is_gone.then(|| refusal(400, "ResourceNotFoundException"))
    });
    let inventory = read(settings(&endpoint.url())).unwrap();
    assert_eq!((inventory.streams.len(), inventory.unread.len()), (9, 0));
    assert_eq!(inventory.vanished, ["stream-00004"]);
}

#[test]
fn more_destinations_than_one_page_are_read() {
    let mut account = Account::default();
    let page = |id: &str, more: bool| {
        let s3 = json!({"BucketARN": format!("arn:aws:s3:::{id}")});
        let entry = json!({"DestinationId": id, "S3DestinationDescription": s3});
        json!({"Destinations": [entry], "HasMoreDestinations": more})
    };
    account.add("s", &page("d1", true));
    let mut second = account.clone();
    second.add("s", &page("d2", false));
    let endpoint = serve(account, move |asked| {
        (input(asked)["ExclusiveStartDestinationId"] == "d1").then(|| second.answer(asked))
    });
    let inventory = read(settings(&endpoint.url())).unwrap();
    let ids: Vec<_> = inventory.streams[0].destinations.iter().map(|to| &*to.id).collect();
    assert_eq!(ids, ["d1", "d2"]);
}

/// A stream that Kinesis feeds, and tables of which some feed that.
fn with_tables(source: &str) -> Account {
    let mut account = Account { page: 2, ..Account::default() };
    let source_description =
        json!({"KinesisStreamSourceDescription": {"KinesisStreamARN": source}});
    account.add(
        "s",
        &json!({"DeliveryStreamType": "KinesisStreamAsSource", "Source": source_description}),
    );
    for (table, status) in [
        ("a", "ACTIVE"),
        ("b", "DISABLED"),
        ("c", "UPDATING"),
        ("d", "ACTIVE"),
        ("e", "ENABLE_FAILED"),
    ] {
        let fed = json!([{"StreamArn": source, "DestinationStatus": status}]);
        account.tables.insert(table.to_owned(), fed);
    }
    account
}

#[test]
fn tables_are_found_behind_a_kinesis_stream() {
    let source = kinesis(Account::ID, REGION);
    let endpoint = serve(with_tables(&source), |asked| {
        (input(asked)["TableName"] == "d").then(|| refusal(400, "ResourceNotFoundException"))
    });
    let inventory = read(settings(&endpoint.url())).unwrap();
    let tables: Vec<_> =
        inventory.tables[&Arn::parse(&source).unwrap()].iter().map(Arn::name).collect();
    assert_eq!((tables, inventory.warnings), (vec!["a", "c"], Vec::new()));
    assert_eq!(count(&endpoint, "ListTables"), 3);
}

#[test]
fn tables_are_not_looked_for_without_need() {
    let source = kinesis(Account::ID, REGION);
    let endpoint = serve(with_tables(&source), |_| None);
    read(ReadingSettings { walks_tables: false, ..settings(&endpoint.url()) }).unwrap();
    read(filtered(&endpoint.url(), &[], &["s"])).unwrap();
    assert_eq!(count(&endpoint, "ListTables"), 0);
}

#[test]
fn without_permission_for_tables_there_is_a_warning() {
    for (denied, asked_for) in [("ListTables", 1), ("DescribeKinesisStreamingDestination", 5)] {
        let endpoint = serve(with_tables(&kinesis(Account::ID, REGION)), move |asked| {
            (operation(asked) == denied).then(|| refusal(400, "AccessDeniedException"))
        });
        let inventory = read(settings(&endpoint.url())).unwrap();
        assert_eq!((inventory.streams.len(), inventory.tables.len()), (1, 0));
        let [warning] = &inventory.warnings[..] else { panic!("{:?}", inventory.warnings) };
        assert!(warning.contains(&format!("allow dynamodb:{denied}")), "{warning}");
        assert_eq!(count(&endpoint, denied), asked_for);
    }
}

#[test]
fn tables_of_other_accounts_and_regions_are_warned_of() {
    for (account, region) in [("999999999999", REGION), (Account::ID, "us-east-1")] {
        let endpoint = serve(with_tables(&kinesis(account, region)), |_| None);
        let inventory = read(settings(&endpoint.url())).unwrap();
        assert!(inventory.warnings[0].contains("another account or region"));
    }
}

#[test]
fn without_sts_the_account_is_that_of_the_streams() {
    let endpoint = serve(streams(3), |asked| {
        (operation(asked) == "GetCallerIdentity").then(|| (403, "no".to_owned()))
    });
    let inventory = read(settings(&endpoint.url())).unwrap();
    assert_eq!(inventory.account.as_deref(), Some(Account::ID));
    assert!(inventory.warnings[0].contains("STS"));
}

#[test]
fn each_permission_is_tried_on_its_own() {
    let all = [
        "ListDeliveryStreams",
        "DescribeDeliveryStream",
        "ListTables",
        "DescribeKinesisStreamingDestination",
    ];
    for denied in all {
        let endpoint = serve(with_tables(&kinesis(Account::ID, REGION)), move |asked| {
            (operation(asked) == denied).then(|| refusal(400, "AccessDeniedException"))
        });
        let probes = with(settings(&endpoint.url()), async |reader| probe_reading(reader).await);
        for probe in &probes {
            let is_missing = probe.action.ends_with(denied);
            assert_eq!(probe.is_missing(), is_missing, "{probe:?}");
            assert_eq!(probe.is_mandatory, probe.action == "firehose:ListDeliveryStreams");
        }
        let untried =
            probes.iter().filter(|probe| matches!(probe.outcome, Outcome::Untried { .. }));
        assert_eq!(untried.count(), usize::from(denied.starts_with("List")));
        assert_eq!(probes.len(), 5);
    }
}

#[test]
fn the_pace_is_kept() {
    let times = Arc::new(Mutex::new(Vec::new()));
    let own = Arc::clone(&times);
    let endpoint = serve(streams(60), move |asked| {
        if operation(asked) == "DescribeDeliveryStream" {
            own.lock().unwrap().push(Instant::now());
        }
        None
    });
    read(ReadingSettings { calls_per_second: 40.0, ..settings(&endpoint.url()) }).unwrap();
    let times = times.lock().unwrap();
    assert_eq!(times.len(), 60);
    // A fifth more is what late wake-ups and the way to the server may make of it.
    let most_in_a_second =
        times.windows(49).all(|window| window[48] - window[0] >= Duration::from_secs(1));
    assert!(most_in_a_second);
}

#[test]
fn five_thousand_streams_are_read_in_little_memory() {
    const MANY: usize = 5000;
    const MEMORY_MAX: usize = 128 * 1024 * 1024;
    let endpoint = serve(streams(MANY), |_| None);
    let (begun, before) = (Instant::now(), memory());
    let described = Arc::new(Mutex::new(0));
    let own = Arc::clone(&described);
    let inventory = with(settings(&endpoint.url()), async move |reader| {
        let tell = move |progress| {
            if let Progress::Described { done, of } = progress {
                assert_eq!(of, MANY);
                *own.lock().unwrap() = done;
            }
        };
        reader.read(&tell).await.unwrap()
    });
    let taken = memory().saturating_sub(before);
    assert_eq!((inventory.streams.len(), *described.lock().unwrap()), (MANY, MANY));
    assert!(inventory.streams.is_sorted_by_key(|stream| &stream.name));
    // What the server and the tests beside this one take is in it.
    assert!(taken < MEMORY_MAX, "{taken} bytes in {:?}", begun.elapsed());
    assert_eq!(count(&endpoint, "ListDeliveryStreams"), 5);
}

/// The resident memory of this process, in bytes.
fn memory() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("its memory");
    let kib: usize = line.trim_end_matches("kB").trim().parse().expect("a number");
    kib * 1024
}
