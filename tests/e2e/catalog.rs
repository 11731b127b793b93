//! Tests `host catalog`: what it reads and prints, when it runs, and the history of its runs.

mod checking;
mod discovery;
mod ingesting;
mod running;

use serde_json::{Value, json};
use standpipe_tests::catalog::{Account, REGION};
use standpipe_tests::{Endpoint, FinishedRun, Program};

/// An account with a stream that a table feeds, one with direct writers, and one that the test
/// adds.
fn sample_account() -> Account {
    let mut account = Account::default();
    let clicks = format!("arn:aws:kinesis:{REGION}:{}:stream/clicks", Account::ID);
    account.add_stream(
        "prod-clicks",
        &json!({
            "DeliveryStreamType": "KinesisStreamAsSource",
            "Source": {"KinesisStreamSourceDescription": {"KinesisStreamARN": clicks}},
            "Destinations": [to_s3("clicks/!{timestamp:yyyy}/")],
        }),
    );
    account.add_stream("prod-orders", &json!({"Destinations": [to_s3("orders/")]}));
    account.add_stream("test-orders", &json!({"Destinations": [to_s3("test/")]}));
    let fed = json!([{"StreamArn": clicks, "DestinationStatus": "ACTIVE"}]);
    account.tables.insert("orders".to_owned(), fed);
    account
}

fn to_s3(prefix: &str) -> Value {
    let place = json!({"BucketARN": "arn:aws:s3:::lake", "Prefix": prefix});
    json!({"DestinationId": "d", "ExtendedS3DestinationDescription": place})
}

fn start_aws_api(account: Account) -> Endpoint {
    Endpoint::start(move |asked| account.answer_request(asked))
}

/// Settings for an emulator of the AWS API.
fn catalog_settings(url: &str, more: &str) -> String {
    format!(
        "[aws]\nregion = \"{REGION}\"\n[aws.endpoints]\nfirehose = \"{url}\"\ndynamodb = \"{url}\"\nsts = \"{url}\"\n\
         [catalog]\ncalls_per_second = 500.0\n{more}"
    )
}

fn catalog_command(command: &str) -> Program {
    Program::new().with_keys().args(["catalog", command])
}

fn stdout_text(ran: &FinishedRun) -> String {
    String::from_utf8(ran.stdout.clone()).expect("UTF-8")
}

fn json_of(ran: &FinishedRun) -> Value {
    serde_json::from_slice(&ran.stdout).expect("JSON")
}
