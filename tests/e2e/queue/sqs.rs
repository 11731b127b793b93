//! The queue in Amazon SQS: created, compared, checked and shown, with policies for its users.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use standpipe_tests::client::Client;
use standpipe_tests::{Endpoint, Program, linter, moto};

use super::{CheckedQueue, check_queue, run_queue, stdout_of};

const ACCOUNT: &str = "123456789012";

/// Settings with a queue that no other test has.
fn new_queue(role: &str) -> (String, String) {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let name = format!("queue-{}", COUNT.fetch_add(1, Ordering::Relaxed));
    let url = format!("{}/{ACCOUNT}/{name}", moto::shared_server().url());
    (settings(role, &url), name)
}

fn settings(role: &str, url: &str) -> String {
    format!(
        "[aws]\nregion = 'eu-central-1'\nsts_endpoint_url = '{}'\n[queue]\nkind = 'sqs'\nrole = '{role}'\nurl = '{url}'\n",
        moto::shared_server().url()
    )
}

/// Calls an operation of Amazon SQS at moto, which checks no signature.
fn call(operation: &str, name: &str, mut input: Value) -> Value {
    let url = moto::shared_server().url();
    input["QueueUrl"] = format!("{url}/{ACCOUNT}/{name}").into();
    let target = format!("AmazonSQS.{operation}");
    // moto takes the name of the service from the signature.
    let scope = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260101/eu-central-1/sqs/aws4_request, SignedHeaders=host, Signature=0";
    let headers = [
        ("x-amz-target", &*target),
        ("content-type", "application/x-amz-json-1.0"),
        ("authorization", scope),
    ];
    let response = Client::connect(url).post("/", &headers, input.to_string().as_bytes());
    let response = response.expect("a response");
    assert_eq!(response.status, 200, "{}", response.text());
    // Some operations have no output.
    serde_json::from_str(&response.text()).unwrap_or_default()
}

#[test]
fn a_queue_is_created_once() {
    let (settings, name) = new_queue("both");
    check_queue(&settings, 1).expect("queue existence", "failed", &["host queue create"]);
    run_queue(&settings, &["status"]).expect_exit(1).expect_stderr(&["QueueDoesNotExist"]);
    let ran = run_queue(&settings, &["create"]).expect_exit(0);
    assert_eq!(stdout_of(&ran), format!("created  queue {name}\n"));
    let attributes = call("GetQueueAttributes", &name, json!({"AttributeNames": ["All"]}));
    let attributes = &attributes["Attributes"];
    assert_eq!(attributes["MessageRetentionPeriod"], "1209600");
    assert_eq!(attributes["MaximumMessageSize"], "1048576");
    assert_eq!(attributes["VisibilityTimeout"], "60");
    run_queue(&settings, &["create"]).expect_exit(0);
    let checked = check_queue(&settings, 0);
    assert_eq!(checked.names("warning"), [""; 0]);
    checked
        .expect("queue encryption", "ok", &["SSE-SQS"])
        .expect("queue retention", "ok", &["14days"])
        .expect("queue permission sqs:SendMessage", "ok", &[])
        .expect("queue permission sqs:ChangeMessageVisibility", "ok", &[]);
}

#[test]
fn the_check_leaves_messages_alone() {
    let (settings, name) = new_queue("both");
    run_queue(&settings, &["create"]).expect_exit(0);
    call("SendMessage", &name, json!({"MessageBody": "one"}));
    check_queue(&settings, 0);
    let ran = run_queue(&settings, &["status", "--json"]).expect_exit(0);
    let status: Value = serde_json::from_slice(&ran.stdout).expect("JSON");
    let expected = json!({
        "queue": name, "waiting": 1, "unacknowledged": 0, "bytes": null, "oldest_age_seconds": null,
    });
    assert_eq!(status, expected);
    let received =
        call("ReceiveMessage", &name, json!({"AttributeNames": ["ApproximateReceiveCount"]}));
    assert_eq!(received["Messages"][0]["Attributes"]["ApproximateReceiveCount"], "1", "{received}");
    let text = stdout_of(&run_queue(&settings, &["status"]).expect_exit(0));
    assert_eq!(
        text.lines().last().unwrap().split_whitespace().collect::<Vec<_>>(),
        [&*name, "0", "1", "-", "-"]
    );
}

#[test]
fn what_exists_is_compared_and_changed_on_request() {
    let (settings, name) = new_queue("mapper");
    run_queue(&settings, &["create"]).expect_exit(0);
    let (dead, dead_name) = new_queue("mapper");
    run_queue(&dead, &["create"]).expect_exit(0);
    let changed = json!({
        "VisibilityTimeout": "30", "MessageRetentionPeriod": "3600", "MaximumMessageSize": "1024",
    });
    call("SetQueueAttributes", &name, json!({"Attributes": changed}));
    check_queue(&settings, 1)
        .expect("queue retention", "failed", &["1h", "--update"])
        .expect("queue message size", "warning", &["1024"])
        .expect("queue visibility timeout", "ok", &["30s"]);
    let arn = format!("arn:aws:sqs:eu-central-1:{ACCOUNT}:{dead_name}");
    let create = ["create", "--dead-letter-queue", &arn, "--max-receives", "5"];
    let text = stdout_of(&run_queue(&settings, &create).expect_exit(1));
    for words in ["retention: 1h, expected 14days", "redrive policy: none, expected", "--update"] {
        assert!(text.contains(words), "{words}: {text}");
    }
    assert_eq!(
        stdout_of(&run_queue(&settings, &create).expect_exit(1)),
        text,
        "nothing was changed"
    );
    run_queue(&settings, &[&create[..], &["--update"]].concat()).expect_exit(0);
    run_queue(&settings, &create).expect_exit(0);
    check_queue(&settings, 1).expect(
        "queue redrive policy",
        "failed",
        &["after 5 receptions", "1000"],
    );
    let many = ["create", "--dead-letter-queue", &arn, "--update"];
    run_queue(&settings, &many).expect_exit(0);
    check_queue(&settings, 0).expect("queue redrive policy", "ok", &["1000"]);
    run_queue(&settings, &["create", "--update"]).expect_exit(0);
    check_queue(&settings, 0).expect("queue redrive policy", "ok", &["none"]);
}

#[test]
fn wrong_urls_and_options_are_mistakes() {
    let fifo = settings("mapper", "https://sqs.eu-central-1.amazonaws.com/111122223333/q.fifo");
    run_queue(&fifo, &["check"]).expect_exit(2).expect_stderr(&[
        "[queue]",
        "FIFO",
        "standard queue",
    ]);
    let other = settings("mapper", "https://sqs.eu-central-1.amazonaws.com");
    run_queue(&other, &["check"]).expect_exit(2).expect_stderr(&["https://HOST/ACCOUNT/NAME"]);
    let (settings, _) = new_queue("mapper");
    run_queue(&settings, &["create", "--replicas", "3"])
        .expect_exit(2)
        .expect_stderr(&["kind = \"nats\""]);
    run_queue(&settings, &["create", "--dead-letter-queue", "dead"])
        .expect_exit(2)
        .expect_stderr(&["arn:aws:sqs"]);
    run_queue(&settings, &["create", "--max-receives", "5"])
        .expect_exit(2)
        .expect_stderr(&["--dead-letter-queue"]);
}

/// The attributes of a queue, as Amazon SQS returns them.
fn good_attributes() -> String {
    let attributes = json!({
        "VisibilityTimeout": "60", "MessageRetentionPeriod": "1209600", "MaximumMessageSize": "1048576",
        "DelaySeconds": "0", "SqsManagedSseEnabled": "true",
    });
    json!({"Attributes": attributes}).to_string()
}

#[test]
fn denied_permissions_are_named() {
    let denied =
        json!({"__type": "com.amazonaws.sqs#AccessDeniedException", "message": "not authorized"})
            .to_string();
    let all = denied.clone();
    let endpoint = Endpoint::start(move |asked| match asked.headers["x-amz-target"].as_str() {
        "AmazonSQS.GetQueueAttributes" => (200, good_attributes()),
        "AmazonSQS.ReceiveMessage" => {
            (400, json!({"__type": "com.amazonaws.sqs#InvalidParameterValue"}).to_string())
        }
        _ => (403, denied.clone()),
    });
    let url = format!("{}/{ACCOUNT}/q", endpoint.url());
    let checked = check_queue(&settings("both", &url), 1);
    checked
        .expect("queue permission sqs:SendMessage", "failed", &["host iam policy"])
        .expect("queue permission sqs:ReceiveMessage", "ok", &[])
        .expect("queue permission sqs:DeleteMessage", "failed", &[])
        .expect("queue permission sqs:ChangeMessageVisibility", "failed", &[]);
    let closed = Endpoint::start(move |_| (403, all.clone()));
    let url = format!("{}/{ACCOUNT}/q", closed.url());
    // A collector sends without reading attributes.
    check_queue(&settings("collector", &url), 1)
        .expect("queue existence", "skipped", &["sqs:GetQueueAttributes"])
        .expect("queue permission sqs:SendMessage", "failed", &[]);
    check_queue(&settings("mapper", &url), 1).expect(
        "queue existence",
        "failed",
        &["host iam policy"],
    );
    let ran = run_queue(&settings("mapper", &url), &["create"]);
    ran.expect_exit(1).expect_stderr(&["host iam policy --queue-admin"]);
}

#[test]
fn a_queue_of_another_account_is_not_taken_for_the_right_one() {
    let endpoint = Endpoint::start(|asked| match asked.headers["x-amz-target"].as_str() {
        "AmazonSQS.CreateQueue" => (
            200,
            json!({"QueueUrl": "https://sqs.eu-central-1.amazonaws.com/444455556666/q"})
                .to_string(),
        ),
        _ => (
            400,
            json!({"__type": "com.amazonaws.sqs#QueueDoesNotExist", "message": "no"}).to_string(),
        ),
    });
    let settings = settings("mapper", &format!("{}/{ACCOUNT}/q", endpoint.url()));
    let ran = run_queue(&settings, &["create"]).expect_exit(1);
    ran.expect_stderr(&["444455556666/q", "set [queue] url"]);
}

#[test]
fn the_check_of_a_connection_includes_the_queue() {
    let (settings, name) = new_queue("collector");
    let more = "listen = '127.0.0.1:0'\n";
    let sources = "[[sources]]\nname = 'shop'\ndialect = 'segment'\nwrite_keys = ['k']\n";
    let settings = format!("{more}{settings}{sources}");
    let check = || {
        let program = Program::new().args(["check", "--json"]).settings(&settings).with_keys();
        program.run()
    };
    let ran = check().expect_exit(1);
    CheckedQueue::new(&ran).expect("queue existence", "failed", &[&name]).expect(
        "settings",
        "ok",
        &[],
    );
    run_queue(&settings, &["create"]).expect_exit(0);
    let ran = check().expect_exit(0);
    CheckedQueue::new(&ran).expect("queue existence", "ok", &[&name]).expect(
        "queue permission sqs:SendMessage",
        "ok",
        &[],
    );
    assert!(!stdout_of(&ran).contains("sqs:ReceiveMessage"), "a collector receives nothing");
}

#[test]
fn policies_follow_the_role() {
    let url = "https://sqs.cn-north-1.amazonaws.com.cn/111122223333/standpipe";
    let mapping = "[[plugin.settings.mappings]]\nevent = '*'\nstream = 'rest'\n";
    let policy = |role: &str, more: &[&str]| {
        let settings = settings(role, url) + mapping;
        let ran = Program::new().args(["iam", "policy"]).args(more).settings(&settings).run();
        let text = stdout_of(&ran.expect_exit(0));
        assert!(linter::lint_policy(&text).is_empty(), "{role}: {:?}", linter::lint_policy(&text));
        let kept = moto::shared_server().create_iam_document("policy", &text);
        assert_eq!(kept, Ok(serde_json::from_str(&text).unwrap()), "{role}");
        let document: Value = serde_json::from_str(&text).unwrap();
        let statements = document["Statement"].as_array().unwrap();
        let of_queue = statements.iter().filter(|it| it["Action"].to_string().contains("sqs:"));
        for statement in of_queue.clone() {
            let arn = "arn:aws-cn:sqs:cn-north-1:111122223333:standpipe";
            assert_eq!(statement["Resource"], json!([arn]));
        }
        let sids = statements.iter().map(|it| it["Sid"].as_str().unwrap().to_owned());
        sids.collect::<Vec<_>>()
    };
    assert_eq!(policy("collector", &[]), ["SendMessages"]);
    assert_eq!(policy("mapper", &[]), ["WriteRecords", "ReceiveMessages"]);
    let both = ["WriteRecords", "SendMessages", "ReceiveMessages", "ManageQueue"];
    assert_eq!(policy("both", &["--queue-admin"]), both);
    let ran = Program::new().args(["iam", "policy", "--stream", "s", "--queue-admin"]);
    let ran = ran.args(["--region", "us-east-1", "--account", "111122223333"]).run();
    ran.expect_exit(2).expect_stderr(&["--queue-admin", "[queue]"]);
}
