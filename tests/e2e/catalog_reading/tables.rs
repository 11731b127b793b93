//! Tests the DynamoDB tables behind Kinesis streams, and the permissions for them and for all other
//! reads.

use serde_json::json;
use standpipe_catalog::Arn;
use standpipe_catalog::discovery::DiscoverySettings;
use standpipe_catalog::probe::{ProbeOutcome, probe_reading};
use standpipe_tests::catalog::{Account, REGION, error_response, input_of, operation_of};

use super::{
    count_requests, discovery_settings, filtered_settings, read_inventory, serve_account,
    with_reader,
};

pub(super) fn kinesis_source(account: &str, region: &str) -> String {
    format!("arn:aws:kinesis:{region}:{account}:stream/changes")
}

/// An account with a stream that a Kinesis stream feeds, and tables of which some feed the Kinesis
/// stream.
fn account_with_tables(source: &str) -> Account {
    let mut account = Account { page: 2, ..Account::default() };
    let source_description =
        json!({"KinesisStreamSourceDescription": {"KinesisStreamARN": source}});
    account.add_stream(
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
    let source = kinesis_source(Account::ID, REGION);
    let endpoint = serve_account(account_with_tables(&source), |asked| {
        (input_of(asked)["TableName"] == "d")
            .then(|| error_response(400, "ResourceNotFoundException"))
    });
    let inventory = read_inventory(discovery_settings(&endpoint.url())).unwrap();
    let tables: Vec<_> =
        inventory.tables[&Arn::parse(&source).unwrap()].iter().map(Arn::name).collect();
    assert_eq!((tables, inventory.warnings), (vec!["a", "c"], Vec::new()));
    assert_eq!(count_requests(&endpoint, "ListTables"), 3);
}

#[test]
fn tables_are_not_searched_without_need() {
    let source = kinesis_source(Account::ID, REGION);
    let endpoint = serve_account(account_with_tables(&source), |_| None);
    read_inventory(DiscoverySettings {
        walks_tables: false,
        ..discovery_settings(&endpoint.url())
    })
    .unwrap();
    read_inventory(filtered_settings(&endpoint.url(), &[], &["s"])).unwrap();
    assert_eq!(count_requests(&endpoint, "ListTables"), 0);
}

#[test]
fn without_permission_for_tables_there_is_a_warning() {
    for (denied, asked_for) in [("ListTables", 1), ("DescribeKinesisStreamingDestination", 5)] {
        let endpoint = serve_account(
            account_with_tables(&kinesis_source(Account::ID, REGION)),
            move |asked| {
                (operation_of(asked) == denied)
                    .then(|| error_response(400, "AccessDeniedException"))
            },
        );
        let inventory = read_inventory(discovery_settings(&endpoint.url())).unwrap();
        assert_eq!((inventory.streams.len(), inventory.tables.len()), (1, 0));
        let [warning] = &inventory.warnings[..] else { panic!("{:?}", inventory.warnings) };
        assert!(warning.contains(&format!("allow dynamodb:{denied}")), "{warning}");
        assert_eq!(count_requests(&endpoint, denied), asked_for);
    }
}

#[test]
fn tables_of_other_accounts_and_regions_cause_a_warning() {
    for (account, region) in [("999999999999", REGION), (Account::ID, "us-east-1")] {
        let endpoint =
            serve_account(account_with_tables(&kinesis_source(account, region)), |_| None);
        let inventory = read_inventory(discovery_settings(&endpoint.url())).unwrap();
        assert!(inventory.warnings[0].contains("another account or region"));
    }
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
        let endpoint = serve_account(
            account_with_tables(&kinesis_source(Account::ID, REGION)),
            move |asked| {
                (operation_of(asked) == denied)
                    .then(|| error_response(400, "AccessDeniedException"))
            },
        );
        let probes = with_reader(discovery_settings(&endpoint.url()), async |reader| {
            probe_reading(reader).await
        });
        for probe in &probes {
            let is_missing = probe.action.ends_with(denied);
            assert_eq!(probe.is_missing(), is_missing, "{probe:?}");
            assert_eq!(probe.is_mandatory, probe.action == "firehose:ListDeliveryStreams");
        }
        let untried =
            probes.iter().filter(|probe| matches!(probe.outcome, ProbeOutcome::Untried { .. }));
        assert_eq!(untried.count(), usize::from(denied.starts_with("List")));
        assert_eq!(probes.len(), 5);
    }
}

#[test]
fn a_response_without_its_members_grants_no_permission() {
    let operations = [
        "ListDeliveryStreams",
        "DescribeDeliveryStream",
        "ListTables",
        "DescribeKinesisStreamingDestination",
    ];
    for empty in operations {
        let endpoint = serve_account(
            account_with_tables(&kinesis_source(Account::ID, REGION)),
            move |asked| (operation_of(asked) == empty).then(|| (200, "{}".to_owned())),
        );
        let probes = with_reader(discovery_settings(&endpoint.url()), async |reader| {
            probe_reading(reader).await
        });
        for probe in &probes {
            assert_eq!(probe.is_missing(), probe.action.ends_with(empty), "{probe:?}");
        }
    }
}

#[test]
fn a_table_without_a_description_causes_a_warning() {
    let endpoint =
        serve_account(account_with_tables(&kinesis_source(Account::ID, REGION)), |asked| {
            (input_of(asked)["TableName"] == "a").then(|| (200, "{}".to_owned()))
        });
    let inventory = read_inventory(discovery_settings(&endpoint.url())).unwrap();
    let [warning] = &inventory.warnings[..] else { panic!("{:?}", inventory.warnings) };
    assert!(warning.contains("1 of 5") && warning.contains("KinesisDataStream"), "{warning}");
}
