//! Tests events against the rules of the specification, names that other tools use, and a server
//! that rejects events.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Value, json};
use time::macros::datetime;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use crate::http_client::{HttpClient, HttpClientSettings};
use crate::lineage::{LineageOptions, build_lineage};
use crate::render::example;
use crate::{EventRoute, GlueSchema, Inventory, S3Location};
use standpipe_core::secret::Secret;

fn options() -> EventOptions {
    EventOptions {
        time: datetime!(2026-01-02 03:04:05 UTC),
        service: "shop".to_owned(),
        brokers: BTreeMap::new(),
    }
}

fn events_of(inventory: &Inventory, routes: &[EventRoute]) -> Vec<JobEvent> {
    let all = LineageOptions { backups: true, schemas: true };
    job_events(inventory, &build_lineage(inventory, routes, all).graph, &options())
}

fn events() -> Vec<JobEvent> {
    events_of(&example::inventory(), &example::routes())
}

fn named(events: &[JobEvent], name: &str) -> Value {
    let event = events.iter().find(|event| event.job().name == name);
    serde_json::to_value(event.unwrap_or_else(|| panic!("no event of {name}"))).unwrap()
}

fn names_of(items: &Value) -> Vec<String> {
    let name = |item: &Value| {
        format!("{} {}", item["namespace"].as_str().unwrap(), item["name"].as_str().unwrap())
    };
    items.as_array().unwrap().iter().map(name).collect()
}

/// The rules of the specification, version 2-0-2.
fn check(event: &Value) {
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
    let expected = ["eventTime", "producer", "schemaURL", "job", "inputs", "outputs"];
    assert_eq!(keys(event), expected.map(str::to_owned).into(), "{event}");
    assert!(standpipe_core::clock::parse_rfc3339(event["eventTime"].as_str().unwrap()).is_some());
    let is_uri = |value: &Value| value.as_str().is_some_and(|it| it.contains(':'));
    assert!(is_uri(&event["producer"]));
    assert_eq!(
        event["schemaURL"],
        "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/JobEvent"
    );
    let lists = [&event["inputs"], &event["outputs"]];
    let datasets = lists.into_iter().flat_map(|list| list.as_array().unwrap());
    for item in datasets.chain([&event["job"]]) {
        let allowed = ["namespace", "name", "facets"].map(str::to_owned).into();
        assert!(keys(item).is_subset(&allowed), "{item}");
        assert!(["namespace", "name"].iter().all(|key| !item[key].as_str().unwrap().is_empty()));
        for facet in item.get("facets").map(|it| it.as_object().unwrap()).into_iter().flatten() {
            assert!(is_uri(&facet.1["_producer"]), "{facet:?}");
            let schema = facet.1["_schemaURL"].as_str().unwrap();
            assert!(schema.starts_with("https://openlineage.io/spec/facets/"), "{facet:?}");
        }
    }
    let kind = &event["job"]["facets"]["jobType"];
    assert!(kind["processingType"] == "STREAMING" && kind["integration"] == "FIREHOSE");
}

#[test]
fn each_stream_and_each_table_is_a_job() {
    let events = events();
    assert_eq!(events.len(), 8 + 2);
    for event in &events {
        check(&serde_json::to_value(event).unwrap());
    }
    let orders = named(&events, "deliverystream/orders");
    assert_eq!(orders["job"]["namespace"], "arn:aws:firehose:eu-west-1:123456789012");
    assert_eq!(
        names_of(&orders["inputs"]),
        ["standpipe://shop track/Order Completed", "standpipe://shop track/Order Refunded"]
    );
    assert_eq!(names_of(&orders["outputs"]), ["redshift://shop.eu-west-1:5439 dev.sales.orders"]);
    let payments = named(&events, "deliverystream/payments");
    assert_eq!(
        names_of(&payments["outputs"]),
        [
            "arn:aws:glue:eu-west-1:123456789012 table/finance/payments",
            "arn:aws:glue:eu-west-1:123456789012 table/finance/refunds"
        ]
    );
    let campaigns = named(&events, "deliverystream/campaigns");
    let text = campaigns["job"]["facets"]["documentation"]["description"].as_str().unwrap();
    assert!(text.contains("those with context.campaign.name exists"), "{text}");
}

#[test]
fn a_kinesis_stream_has_the_name_that_spark_gives_it() {
    let changes = named(&events(), "deliverystream/order-changes");
    let input = &changes["inputs"][0];
    assert_eq!(
        names_of(&changes["inputs"]),
        ["arn:aws:kinesis:eu-west-1:123456789012 stream/order-changes"]
    );
    assert_eq!(
        input["facets"]["symlinks"]["identifiers"],
        json!([{
            "namespace": "kinesis://kinesis.eu-west-1.amazonaws.com",
            "name": "order-changes",
            "type": "STREAM"
        }])
    );
    let table = named(&events(), "table/Orders/stream/order-changes");
    assert_eq!(
        names_of(&table["inputs"]),
        ["arn:aws:dynamodb:eu-west-1:123456789012 table/Orders"]
    );
    assert_eq!(names_of(&table["outputs"]), names_of(&changes["inputs"]));
}

#[test]
fn a_topic_is_called_by_its_broker_where_that_is_known() {
    let inventory = example::inventory();
    let cluster = example::arn("kafka", "cluster/shop/0a1b2c3d-0000-4000-8000-000000000000-2");
    let brokers = BTreeMap::from([(cluster.to_string(), "b-1.shop.example:9092".to_owned())]);
    let options = EventOptions { brokers, ..options() };
    let graph = build_lineage(&inventory, &[], LineageOptions::default()).graph;
    let payments = named(&job_events(&inventory, &graph, &options), "deliverystream/payments");
    assert_eq!(names_of(&payments["inputs"]), ["kafka://b-1.shop.example:9092 payments"]);
    let link = &payments["inputs"][0]["facets"]["symlinks"]["identifiers"][0]["name"];
    assert_eq!(*link, "topic/shop/0a1b2c3d-0000-4000-8000-000000000000-2/payments");
}

#[test]
fn backups_and_schemas_are_ends_where_they_are_drawn() {
    let mut inventory = example::inventory();
    let destination = &mut inventory.streams[0].destinations[0];
    let prefix = "failed/!{firehose:error-output-type}/".to_owned();
    destination.backup = Some(S3Location { bucket: "backup".to_owned(), prefix });
    destination.schema = Some(GlueSchema {
        catalog: None,
        database: "shop".to_owned(),
        table: "orders".to_owned(),
        region: None,
    });
    let orders = named(&events_of(&inventory, &[]), "deliverystream/orders");
    check(&orders);
    assert_eq!(
        names_of(&orders["inputs"]),
        ["arn:aws:glue:eu-west-1:123456789012 table/shop/orders"]
    );
    assert_eq!(names_of(&orders["outputs"])[1], "s3://backup failed");
    let nothing = build_lineage(&inventory, &[], LineageOptions::default()).graph;
    let orders = named(&job_events(&inventory, &nothing, &options()), "deliverystream/orders");
    assert_eq!((names_of(&orders["inputs"]).len(), names_of(&orders["outputs"]).len()), (0, 1));
}

#[test]
fn a_file_is_replaced_as_a_whole() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("lineage.ndjson");
    std::fs::write(&path, "old").unwrap();
    write_file(&path, &events()).unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(text.lines().count(), 10);
    for line in text.lines() {
        check(&serde_json::from_str(line).unwrap());
    }
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);

    let missing = directory.path().join("none/lineage.ndjson");
    let error = write_file(&missing, &events()).unwrap_err().to_string();
    assert!(error.starts_with(&format!("write {}: ", missing.display())), "{error}");
}

/// A server that gives these responses, one for each connection, and returns the requests.
async fn server(answers: Vec<&'static str>) -> (String, tokio::task::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let seen = tokio::spawn(async move {
        let mut seen = Vec::new();
        for answer in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = String::new();
            while !is_whole(&request) {
                let mut bytes = [0; 4096];
                let read = stream.read(&mut bytes).await.unwrap();
                request.push_str(&String::from_utf8_lossy(&bytes[..read]));
            }
            seen.push(request);
            let head = "connection: close\r\ncontent-length: ";
            let (status, body) = answer.split_once('|').unwrap();
            let answer = format!("HTTP/1.1 {status}\r\n{head}{}\r\n\r\n{body}", body.len());
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
        seen
    });
    (url, seen)
}

fn is_whole(request: &str) -> bool {
    let Some((head, body)) = request.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    length.is_none_or(|length| body.len() >= length.parse::<usize>().unwrap())
}

fn client(url: &str, path: Option<&str>) -> LineageServer {
    let web = HttpClientSettings {
        bearer: Some(Secret::new("t0p".to_owned())),
        pause: Duration::from_millis(1),
        ..HttpClientSettings::default()
    };
    LineageServer::new(HttpClient::new(&web).unwrap(), url, path)
}

#[tokio::test]
async fn events_are_posted_one_by_one() {
    let answers = vec!["201 Created|", "422 No|{\"why\":\"no\"}", "200 OK|{}"];
    let (url, seen) = server(answers).await;
    let sent = client(&format!("{url}/"), None).send_all(&events()[..3]).await;
    assert_eq!((sent.taken, sent.failed.len()), (2, 1));
    let error = sent.failed[0].1.to_string();
    assert_eq!(error, "the server rejected the event (422): {\"why\":\"no\"}");
    for request in seen.await.unwrap() {
        assert!(request.starts_with("POST /api/v1/lineage HTTP/1.1\r\n"), "{request}");
        assert!(request.contains("authorization: Bearer t0p\r\n"), "{request}");
        let (_, body) = request.split_once("\r\n\r\n").unwrap();
        check(&serde_json::from_str(body).unwrap());
    }
}

#[tokio::test]
async fn what_is_wrong_with_the_server_is_said() {
    let table = [
        ("401 No|", "the server rejected the token (401): "),
        ("404 No|", "unknown path (404): set `path` to that of this server's API"),
        (
            "200 OK\r\ncontent-type: text/html|<html>",
            "the response (200) is an HTML page: check the URL",
        ),
    ];
    for (answer, expected) in table {
        let (url, seen) = server(vec![answer]).await;
        let sent = client(&url, Some("/lineage/x")).send_all(&events()[..1]).await;
        let error = sent.failed[0].1.to_string();
        assert!(error.starts_with(expected), "{error}");
        assert!(seen.await.unwrap()[0].starts_with("POST /lineage/x HTTP"), "{answer}");
    }
    // The server has stopped, so the remaining events are not sent.
    let (url, seen) = server(Vec::new()).await;
    seen.await.unwrap();
    let sent = client(&url, None).send_all(&events()).await;
    assert_eq!((sent.taken, sent.failed.len()), (0, 1));
}
