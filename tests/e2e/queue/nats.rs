//! The stream and the consumer in JetStream: created, compared, checked and shown.

use std::time::Duration;

use serde_json::{Value, json};
use standpipe_tests::nats::NatsCluster;
use standpipe_tests::{Program, free_port, moto, wait_until};

use super::{CheckedQueue, check_queue, run_queue, stdout_of};

fn settings(servers: &str, role: &str, more: &str) -> String {
    format!("[queue]\nkind = 'nats'\nrole = '{role}'\nservers = {servers}\n{more}")
}

#[test]
fn a_single_server_needs_one_replica() {
    let server = NatsCluster::start(1);
    let settings = settings(&server.urls(), "both", "");
    check_queue(&settings, 1).expect("queue stream", "failed", &["host queue create"]);
    run_queue(&settings, &["create"]).expect_exit(1).expect_stderr(&["--replicas 1", "10074"]);
    let ran = run_queue(&settings, &["create", "--replicas", "1"]).expect_exit(0);
    assert_eq!(stdout_of(&ran), "created  stream standpipe\ncreated  consumer standpipe-mappers\n");
    let ran = run_queue(&settings, &["create", "--replicas", "1"]).expect_exit(0);
    assert_eq!(stdout_of(&ran).matches("exists, and is as it should be").count(), 2);
    let checked = check_queue(&settings, 0);
    assert_eq!(checked.names("warning"), ["queue replicas"]);
    checked
        .expect("queue servers", "ok", &["1 of 1"])
        .expect("queue permission to publish messages", "ok", &["standpipe.events"])
        .expect("queue permission to receive messages", "ok", &[])
        .expect("queue permission to acknowledge messages", "ok", &[]);
    // The tests of permissions store nothing, and receive nothing.
    server.publish(b"one");
    check_queue(&settings, 0);
    let backlog = server.backlog();
    assert_eq!((backlog.waiting, backlog.unacknowledged, backlog.stored), (1, 0, 1));
}

#[test]
fn a_stream_of_a_cluster_has_three_replicas() {
    let mut cluster = NatsCluster::start(3);
    let settings = settings(&cluster.urls(), "both", "ack_wait = '90s'");
    run_queue(&settings, &["create"]).expect_exit(0);
    wait_until("all replicas are current", || {
        check_queue(&settings, 0).names("warning").is_empty()
    });
    check_queue(&settings, 0)
        .expect("queue servers", "ok", &["3 of 3"])
        .expect("queue replicas", "ok", &["3"])
        .expect("queue ack wait", "ok", &["1m 30s"]);
    cluster.kill(0);
    wait_until("the loss of a server is known", || {
        let ran = run_queue(&settings, &["check", "--json"]);
        ran.exit == 0 && stdout_of(&ran).contains("2 of 3 servers are up")
    });
    cluster.kill(1);
    // One of three is no majority. It gives up to lead the stream, and the consumer, when it has not heard of the others for
    // some time.
    for command in ["check", "status"] {
        wait_until("the queue has stopped", || run_queue(&settings, &[command]).exit == 1);
    }
}

#[test]
fn what_exists_is_compared_and_changed_on_request() {
    let server = NatsCluster::start(1);
    server.create_queue(Duration::from_secs(5));
    let settings = settings(&server.urls(), "mapper", "");
    check_queue(&settings, 1)
        .expect("queue discard", "warning", &["host queue create --update"])
        .expect("queue ack wait", "failed", &["5s", "1m"]);
    let create = ["create", "--replicas", "1", "--max-bytes", "1000000", "--max-age", "72h"];
    let ran = run_queue(&settings, &create).expect_exit(1);
    let text = stdout_of(&ran);
    for words in [
        "discard: old, expected new",
        "max age: unlimited, expected 3days",
        "ack wait: 5s, expected 1m",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
    // Nothing was changed.
    assert_eq!(stdout_of(&run_queue(&settings, &create).expect_exit(1)), text);
    let ran = run_queue(&settings, &[&create[..], &["--update"]].concat()).expect_exit(0);
    assert!(stdout_of(&ran).contains("max bytes: unlimited -> 1000000"));
    run_queue(&settings, &create).expect_exit(0);
    let checked = check_queue(&settings, 0);
    checked.expect("queue max age", "warning", &["3days"]).expect("queue ack wait", "ok", &["1m"]);
    let until_stored = settings.clone() + "custody = 'until-stored'\n";
    check_queue(&until_stored, 1).expect("queue max age", "failed", &["until-processed"]);
}

#[test]
fn the_status_counts_what_waits() {
    let server = NatsCluster::start(1);
    server.create_queue(Duration::from_secs(60));
    let settings = settings(&server.urls(), "mapper", "");
    let empty = stdout_of(&run_queue(&settings, &["status"]).expect_exit(0));
    assert_eq!(
        empty,
        "queue      waiting  unacknowledged  bytes  oldest\nstandpipe  0        0               0      -\n"
    );
    server.publish(b"one");
    server.publish(b"two");
    let ran = run_queue(&settings, &["status", "--json"]).expect_exit(0);
    let status: Value = serde_json::from_slice(&ran.stdout).expect("JSON");
    assert_eq!((&status["queue"], &status["waiting"]), (&json!("standpipe"), &json!(2)));
    assert_eq!(status["unacknowledged"], 0);
    assert!(status["bytes"].as_u64().unwrap() > 6, "{status}");
    let age = status["oldest_age_seconds"].as_f64().unwrap();
    assert!((0.0..60.0).contains(&age), "{status}");
}

/// Users who may do all, what `host/docs/fleet.md` says of a collector and of a mapper, and less.
const USERS: &str = r#"
authorization {
  users: [
    { user: admin, password: p }
    { user: collector, password: p, permissions: {
      publish: ["standpipe.events", "$JS.API.STREAM.MSG.GET.standpipe", "$JS.API.STREAM.INFO.standpipe",
        "$JS.API.CONSUMER.INFO.standpipe.*"],
      subscribe: ["standpipe.confirmations.*", "_INBOX.>"] } }
    { user: mapper, password: p, permissions: {
      publish: ["standpipe.confirmations.*", "$JS.ACK.standpipe.>", "$JS.API.CONSUMER.MSG.NEXT.standpipe.*",
        "$JS.API.STREAM.INFO.standpipe", "$JS.API.CONSUMER.INFO.standpipe.*"],
      subscribe: ["_INBOX.>"] } }
    { user: reader, password: p, permissions: {
      publish: ["$JS.API.STREAM.INFO.>", "$JS.API.CONSUMER.INFO.>"], subscribe: ["_INBOX.>"] } }
    { user: stranger, password: p, permissions: { publish: ["other"], subscribe: ["_INBOX.>"] } }
  ]
}
no_auth_user: admin
"#;

#[test]
fn missing_permissions_are_named() {
    let server = NatsCluster::start_with(1, USERS);
    let login = |user: &str| {
        let login = format!("user = '{user}'\npassword = 'p'\n");
        settings(&server.urls(), "both", &login)
    };
    run_queue(&login("admin"), &["create", "--replicas", "1"]).expect_exit(0);
    assert!(check_queue(&login("admin"), 0).names("failed").is_empty());
    for role in ["collector", "mapper"] {
        let settings = login(role).replace("'both'", &format!("'{role}'"));
        assert_eq!(check_queue(&settings, 0).names("skipped"), [""; 0]);
        check_queue(&login(role), 1);
    }
    let checked = check_queue(&login("reader"), 1);
    let denied = [
        "queue permission to publish messages",
        "queue permission to receive confirmations",
        "queue permission to look for messages",
        "queue permission to receive messages",
        "queue permission to acknowledge messages",
        "queue permission to confirm messages",
    ];
    assert_eq!(checked.names("failed"), denied);
    checked.expect(denied[0], "failed", &["Permissions Violation for Publish", "standpipe.events"]);
    checked.expect(denied[1], "failed", &["Permissions Violation for Subscription"]);
    check_queue(&login("stranger"), 1).expect("queue stream", "failed", &["STREAM.INFO.standpipe"]);
    let ran =
        run_queue(&login("reader"), &["create", "--replicas", "1", "--max-bytes", "9", "--update"]);
    ran.expect_exit(1).expect_stderr(&["update stream standpipe", "STREAM.UPDATE.standpipe"]);
    let wrong = login("admin").replace("'p'", "'x'");
    let ran = run_queue(&wrong, &["status"])
        .expect_exit(1)
        .expect_stderr(&["authorization violation", "[queue]"]);
    assert!(!ran.stderr.contains("'x'"));
}

#[test]
fn a_server_that_is_down_is_reported() {
    let settings = settings(&format!("['nats://127.0.0.1:{}']", free_port()), "mapper", "");
    check_queue(&settings, 1).expect("queue connection", "failed", &["refused"]);
    for command in ["create", "status"] {
        run_queue(&settings, &[command]).expect_exit(1).expect_stderr(&["NATS", "refused"]);
    }
}

#[test]
fn options_of_the_other_kind_are_mistakes() {
    let settings = settings("['nats://127.0.0.1:1']", "mapper", "");
    let arn = "arn:aws:sqs:eu-central-1:111122223333:dead";
    let ran = run_queue(&settings, &["create", "--dead-letter-queue", arn]);
    ran.expect_exit(2).expect_stderr(&["kind = \"sqs\""]);
    run_queue(&settings, &["create", "--max-age", "5m"]).expect_exit(2).expect_stderr(&["1h"]);
}

/// The settings of a mapper of a fleet, with a login.
fn fleet_settings(servers: &str, login: &str) -> String {
    let aws = format!(
        "[aws]\nregion = 'eu-central-1'\nsts_endpoint_url = '{}'\n",
        moto::shared_server().url()
    );
    let mappings = format!("mappings = [{{ event = '*', stream = '{FLEET_STREAM}' }}]\n");
    let queue = settings(servers, "mapper", login);
    format!("{queue}[fleet]\nname = 'm0'\n{aws}[plugin.settings]\n{mappings}")
}

/// The delivery stream of the fleet.
const FLEET_STREAM: &str = "fleet-checked";

/// `host check` with these settings.
fn check_settings(settings: &str, exit: i32) -> CheckedQueue {
    let arguments = ["check", "--json", "--endpoint-url", moto::shared_server().url()];
    let program = Program::new().args(arguments).with_keys();
    CheckedQueue::new(&program.settings(settings).run().expect_exit(exit))
}

/// Users who may do all, what a mapper of a fleet needs, and nothing about fleets.
const FLEET_USERS: &str = r#"
authorization {
  users: [
    { user: admin, password: p }
    { user: mapper, password: p, permissions: {
      publish: ["standpipe.confirmations.*", "$JS.ACK.standpipe.>", "$JS.API.CONSUMER.MSG.NEXT.standpipe.*",
        "$JS.API.CONSUMER.INFO.standpipe.*", "$KV.standpipe-hosts.hosts.*", "$JS.API.STREAM.INFO.*",
        "$JS.API.STREAM.MSG.GET.*", "$JS.API.DIRECT.GET.OBJ_standpipe.>", "$JS.API.CONSUMER.CREATE.OBJ_standpipe",
        "$JS.API.CONSUMER.CREATE.OBJ_standpipe.>", "$JS.API.CONSUMER.DELETE.OBJ_standpipe.*", "$JS.FC.>"],
      subscribe: ["_INBOX.>"] } }
    { user: reader, password: p, permissions: {
      publish: ["standpipe.confirmations.*", "$JS.ACK.standpipe.>", "$JS.API.CONSUMER.MSG.NEXT.standpipe.*",
        "$JS.API.STREAM.INFO.*", "$JS.API.CONSUMER.INFO.>"], subscribe: ["_INBOX.>"] } }
  ]
}
no_auth_user: admin
"#;

#[test]
fn the_check_of_a_connection_includes_the_fleet() {
    moto::shared_server().create_streams(FLEET_STREAM, &[FLEET_STREAM]);
    let server = NatsCluster::start_with(1, FLEET_USERS);
    let admin = fleet_settings(&server.urls(), "");
    run_queue(&admin, &["create", "--replicas", "1"]).expect_exit(0);
    let checked = check_settings(&admin, 0);
    for part in ["fleet rules", "fleet hosts", "fleet plugins"] {
        checked.expect(part, "skipped", &["does not exist yet", "host fleet push"]);
    }
    // Creates the buckets.
    let push = ["fleet", "push"];
    let pushed = || Program::new().args(push).settings(&admin).run();
    pushed().expect_exit(1).expect_stderr(&["no host of the fleet"]);
    let checked = check_settings(&admin, 0);
    let of_fleet = ["fleet rules", "fleet hosts", "fleet plugins"].into_iter().chain([
        "fleet permission to read rules",
        "fleet permission to report to the fleet",
        "fleet permission to write rules",
        "fleet permission to store plugins",
    ]);
    for part in of_fleet {
        checked.expect(part, "ok", &[]);
    }
    // The tests are no host, and leave nothing that anyone reads.
    let status = Program::new().args(["fleet", "status", "--json"]).settings(&admin).run();
    let status: Value = serde_json::from_slice(&status.expect_exit(0).stdout).expect("JSON");
    assert_eq!((&status["active"], &status["hosts"]), (&Value::Null, &json!([])));
    // A mapper needs no permission to push, and one that cannot report is of no use.
    let login =
        |user: &str| fleet_settings(&server.urls(), &format!("user = '{user}'\npassword = 'p'\n"));
    check_settings(&login("mapper"), 0)
        .expect("fleet permission to read rules", "ok", &["no rules yet"])
        .expect("fleet permission to report to the fleet", "ok", &[])
        .expect("fleet permission to write rules", "ok", &["mappers need not"])
        .expect("fleet permission to store plugins", "ok", &["mappers need not"]);
    check_settings(&login("reader"), 1)
        .expect("fleet permission to read rules", "failed", &["STREAM.MSG.GET.KV_standpipe"])
        .expect("fleet permission to report to the fleet", "failed", &["$KV.standpipe-hosts"]);
    let source = "[[sources]]\nname = 'w'\ndialect = 'segment'\nwrite_keys = ['k']\n";
    let collector = login("").replace("user = ''\npassword = 'p'\n", "");
    let collector = collector.replace("role = 'mapper'", "role = 'collector'");
    let collector = format!("listen = '127.0.0.1:0'\n{collector}{source}");
    // Someone has changed a bucket.
    server.update_stream("KV_standpipe-hosts", |config| {
        (config.max_age, config.duplicate_window) =
            (Duration::from_secs(2), Duration::from_secs(2));
    });
    // A collector ignores its fleet.
    check_settings(&collector, 0).expect("fleet hosts", "warning", &["2s"]);
    check_settings(&admin, 1).expect("fleet hosts", "failed", &["2s", "1h", "nats stream edit"]);
}

#[test]
fn fleets_need_no_permissions_of_aws() {
    let policy = |settings: &str| {
        let program = Program::new().args(["iam", "policy", "--account", "111122223333"]);
        stdout_of(&program.settings(settings).run().expect_exit(0))
    };
    let settings = fleet_settings("['nats://127.0.0.1:4222']", "");
    let without = settings.replace("[fleet]\nname = 'm0'\n", "");
    assert_ne!(settings, without);
    assert_eq!(policy(&settings), policy(&without));
}
