//! Tests reading the delivery streams of an account, from emulators of the AWS API, and from
//! recorded responses where emulators have none.

mod kinds;
mod scale;
mod tables;

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::json;
use standpipe_aws::{AwsSettings, Endpoints, StaticKeys};
use standpipe_catalog::discovery::{DiscoveryError, DiscoverySettings, InventoryReader};
use standpipe_catalog::{Inventory, StreamFilter};
use standpipe_core::secret::{NoSecretManager, Secret, SecretResolver, SecretSetting};
use standpipe_tests::Endpoint;
use standpipe_tests::catalog::{Account, REGION, error_response, input_of, operation_of};
use standpipe_tests::endpoint::RecordedRequest;

/// Tests do not wait for AWS's rate limit.
const FAST: f64 = 2000.0;

fn discovery_settings(url: &str) -> DiscoverySettings {
    let value = |text: &str| SecretSetting::Value(Secret::new(text.to_owned()));
    let keys = StaticKeys {
        access_key_id: value("test"),
        secret_access_key: value("test"),
        session_token: None,
    };
    let (sts, dynamodb) = (Some(url.to_owned()), Some(url.to_owned()));
    DiscoverySettings {
        aws: AwsSettings {
            region: Some(REGION.to_owned()),
            keys: Some(keys),
            endpoints: Endpoints { sts, dynamodb, ..Endpoints::default() },
            ..AwsSettings::default()
        },
        firehose_url: Some(url.to_owned()),
        filter: StreamFilter::default(),
        walks_tables: true,
        calls_per_second: FAST,
    }
}

fn filtered_settings(url: &str, includes: &[&str], excludes: &[&str]) -> DiscoverySettings {
    DiscoverySettings {
        filter: StreamFilter::new(includes, excludes).unwrap(),
        ..discovery_settings(url)
    }
}

/// Calls a function with a reader.
fn with_reader<T>(settings: DiscoverySettings, then: impl AsyncFnOnce(&InventoryReader) -> T) -> T {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(2).enable_all();
    runtime.build().expect("a runtime").block_on(async {
        let secrets: Arc<dyn SecretResolver> = Arc::new(NoSecretManager);
        let reader = InventoryReader::open(settings, &secrets).await.expect("keys are set");
        then(&reader).await
    })
}

fn read_inventory(settings: DiscoverySettings) -> Result<Inventory, DiscoveryError> {
    with_reader(settings, async |reader| reader.read_inventory(&|_| ()).await)
}

fn serve_account(
    account: Account,
    mut script: impl FnMut(&RecordedRequest) -> Option<(u16, String)> + Send + 'static,
) -> Endpoint {
    Endpoint::start(move |asked| script(asked).unwrap_or_else(|| account.answer_request(asked)))
}

fn account_with_streams(count: usize) -> Account {
    let mut account = Account::default();
    account.add_streams(count);
    account
}

fn count_requests(endpoint: &Endpoint, of: &str) -> usize {
    endpoint.requests().iter().filter(|asked| operation_of(asked) == of).count()
}

#[test]
fn lists_of_any_length_are_read_completely() {
    for (all, page) in [(0, 10), (1, 10), (10, 10), (11, 10), (101, 10), (1001, 0)] {
        let endpoint = serve_account(Account { page, ..account_with_streams(all) }, |_| None);
        let inventory = read_inventory(discovery_settings(&endpoint.url())).unwrap();
        assert_eq!((inventory.streams.len(), inventory.is_complete), (all, true));
    }
}

#[test]
fn excluded_streams_are_not_described() {
    let endpoint = serve_account(account_with_streams(20), |_| None);
    let inventory =
        read_inventory(filtered_settings(&endpoint.url(), &["STREAM-0000"], &[".*3$"])).unwrap();
    assert_eq!((inventory.streams.len(), inventory.filtered.len()), (9, 11));
    assert_eq!(count_requests(&endpoint, "DescribeDeliveryStream"), 9);
}

#[test]
fn throttled_requests_are_retried() {
    let mut throttled = BTreeSet::new();
    let endpoint = serve_account(account_with_streams(60), move |asked| {
        let codes = [
            (400, "ThrottlingException"),
            (400, "LimitExceededException"),
            (503, "ServiceUnavailableException"),
            (500, "InternalFailure"),
        ];
        let (status, code) = codes[asked.number % codes.len()];
        let is_first =
            operation_of(asked) != "GetCallerIdentity" && throttled.insert(asked.body.clone());
        is_first.then(|| error_response(status, code))
    });
    let inventory = read_inventory(discovery_settings(&endpoint.url())).unwrap();
    assert_eq!((inventory.streams.len(), inventory.is_complete), (60, true));
    assert_eq!(count_requests(&endpoint, "DescribeDeliveryStream"), 120);
}

#[test]
fn partial_access_reads_the_rest() {
    let endpoint = serve_account(account_with_streams(20), |asked| {
        let is_denied = asked.body.contains("stream-0001");
        is_denied.then(|| error_response(400, "AccessDeniedException"))
    });
    let inventory = read_inventory(discovery_settings(&endpoint.url())).unwrap();
    assert_eq!((inventory.streams.len(), inventory.unread.len()), (10, 10));
    assert!(inventory.is_complete);
    assert!(inventory.unread[0].cause.contains("AccessDeniedException"));
}

#[test]
fn denied_access_is_reported_with_the_permissions() {
    for denied in ["ListDeliveryStreams", "DescribeDeliveryStream"] {
        let endpoint = serve_account(account_with_streams(20), move |asked| {
            (operation_of(asked) == denied).then(|| error_response(400, "AccessDeniedException"))
        });
        let error = read_inventory(discovery_settings(&endpoint.url())).unwrap_err().to_string();
        assert!(error.contains(&format!("allow firehose:{denied}")), "{error}");
    }
}

#[test]
fn a_list_that_ends_early_is_marked_incomplete() {
    for cut in [
        error_response(400, "InvalidArgumentException"),
        (200, json!({"DeliveryStreamNames": [], "HasMoreDeliveryStreams": true}).to_string()),
        (200, "{}".to_owned()),
    ] {
        let endpoint =
            serve_account(Account { page: 10, ..account_with_streams(30) }, move |asked| {
                let is_second =
                    asked.body.contains("\"ExclusiveStartDeliveryStreamName\":\"stream-00009\"");
                is_second.then(|| cut.clone())
            });
        let inventory = read_inventory(discovery_settings(&endpoint.url())).unwrap();
        assert_eq!((inventory.streams.len(), inventory.is_complete), (10, false));
        assert!(inventory.warnings[0].contains("incomplete"), "{:?}", inventory.warnings);
    }
}

#[test]
fn without_a_first_page_nothing_is_known() {
    // A response that is not an object is requested again, for most of a minute.
    for body in ["{}", "{\"DeliveryStreamNames\":{}}", "{\"DeliveryStreamNames\":[1]}"] {
        let endpoint = serve_account(account_with_streams(3), move |asked| {
            (operation_of(asked) == "ListDeliveryStreams").then(|| (200, body.to_owned()))
        });
        let error = read_inventory(discovery_settings(&endpoint.url())).expect_err(body);
        assert!(matches!(error, DiscoveryError::List { .. }), "{body}: {error}");
        assert!(error.to_string().contains("InvalidAnswer"), "{body}: {error}");
    }
}

#[test]
fn a_stream_whose_description_is_not_complete_is_not_read() {
    for wrong in [
        json!({"Destinations": null}),
        json!({"Destinations": [1]}),
        json!({"HasMoreDestinations": null}),
        json!({"HasMoreDestinations": true}),
        json!({"DeliveryStreamType": ""}),
        json!({"DeliveryStreamStatus": null}),
    ] {
        let mut account = account_with_streams(2);
        account.add_stream("wrong", &wrong);
        let endpoint = serve_account(account, |_| None);
        let inventory = read_inventory(discovery_settings(&endpoint.url())).unwrap();
        let unread: Vec<_> = inventory.unread.iter().map(|unread| &*unread.name).collect();
        assert_eq!((inventory.streams.len(), unread), (2, vec!["wrong"]), "{wrong}");
    }
}

#[test]
fn an_endless_list_of_destinations_is_refused() {
    let mut account = Account::default();
    let s3 = json!({"BucketARN": "arn:aws:s3:::b"});
    let entry = json!({"DestinationId": "d", "S3DestinationDescription": s3});
    account.add_stream("s", &json!({"Destinations": [entry], "HasMoreDestinations": true}));
    account.add_stream("t", &json!({}));
    let endpoint = serve_account(account, |_| None);
    let inventory = read_inventory(discovery_settings(&endpoint.url())).unwrap();
    assert_eq!((inventory.streams.len(), &*inventory.unread[0].name), (1, "s"));
    assert!(inventory.unread[0].cause.contains("does not end"), "{:?}", inventory.unread);
}

#[test]
fn a_server_that_repeats_its_pages_is_not_asked_forever() {
    let endpoint = serve_account(account_with_streams(3), |asked| {
        let page = json!({"DeliveryStreamNames": ["stream-00001"], "HasMoreDeliveryStreams": true});
        (operation_of(asked) == "ListDeliveryStreams").then(|| (200, page.to_string()))
    });
    let inventory = read_inventory(discovery_settings(&endpoint.url())).unwrap();
    assert_eq!((inventory.streams.len(), inventory.is_complete), (1, false));
    assert_eq!(count_requests(&endpoint, "ListDeliveryStreams"), 2);
}

#[test]
fn a_stream_deleted_during_the_run_is_not_a_failure() {
    let endpoint = serve_account(account_with_streams(10), |asked| {
        let is_gone = input_of(asked)["DeliveryStreamName"] == "stream-00004";
        is_gone.then(|| error_response(400, "ResourceNotFoundException"))
    });
    let inventory = read_inventory(discovery_settings(&endpoint.url())).unwrap();
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
    account.add_stream("s", &page("d1", true));
    let mut second = account.clone();
    second.add_stream("s", &page("d2", false));
    let endpoint = serve_account(account, move |asked| {
        (input_of(asked)["ExclusiveStartDestinationId"] == "d1")
            .then(|| second.answer_request(asked))
    });
    let inventory = read_inventory(discovery_settings(&endpoint.url())).unwrap();
    let ids: Vec<_> = inventory.streams[0].destinations.iter().map(|to| &*to.id).collect();
    assert_eq!(ids, ["d1", "d2"]);
}

#[test]
fn without_sts_the_account_is_that_of_the_streams() {
    let endpoint = serve_account(account_with_streams(3), |asked| {
        (operation_of(asked) == "GetCallerIdentity").then(|| (403, "no".to_owned()))
    });
    let inventory = read_inventory(discovery_settings(&endpoint.url())).unwrap();
    assert_eq!(inventory.account.as_deref(), Some(Account::ID));
    assert!(inventory.warnings[0].contains("STS"));
}
