//! The stream in JetStream: its configuration, and what a check of it finds.

use std::time::Duration;

use serde_json::{Value, json};

use super::StreamOptions;
use super::difference::{
    Property, PropertyFormat, duration_text, limit_text, read_nanoseconds, read_number,
};
use super::finding::{FindingOutcome, QueueFindings};
use crate::{Custody, NatsSettings, limits};
use standpipe_aws::JsonFields;

/// What is compared between a stream that exists and what it should be.
pub(super) const PROPERTIES: &[Property] = &[
    Property::new("subjects", "subjects", PropertyFormat::Words, true),
    Property::new("retention", "retention", PropertyFormat::Word, false),
    Property::new("storage", "storage", PropertyFormat::Word, false),
    Property::new("discard", "discard", PropertyFormat::Word, true),
    Property::new("num_replicas", "replicas", PropertyFormat::Count, true),
    Property::new("max_age", "max age", PropertyFormat::Nanoseconds, true),
    Property::new("max_bytes", "max bytes", PropertyFormat::Limit, true),
    Property::new("max_msgs", "max messages", PropertyFormat::Limit, true),
    Property::new("max_msgs_per_subject", "max messages per subject", PropertyFormat::Limit, true),
    Property::new("max_msg_size", "max message size", PropertyFormat::Limit, true),
    Property::new("duplicate_window", "duplicate window", PropertyFormat::Nanoseconds, true),
];

const CREATE_AGAIN: &str = "JetStream cannot change this: let mappers empty the stream, delete it, and create it with \
                            `host queue create`";
const UPDATE: &str = "change it with `host queue create --update`";

/// Returns the configuration of a stream.
pub(super) fn stream_config(settings: &NatsSettings, options: &StreamOptions) -> Value {
    // JetStream refuses a window that is longer than messages live.
    let window = options.age_max.unwrap_or(Duration::MAX).min(limits::NATS_DUPLICATE_WINDOW);
    json!({
        "name": settings.stream,
        "subjects": [settings.subject()],
        // A message is deleted when it is acknowledged.
        "retention": "workqueue",
        "storage": "file",
        // A full stream refuses messages, which stay in the spools of collectors.
        "discard": "new",
        "num_replicas": options.replicas,
        "max_age": options.age_max.map_or(0, nanoseconds_of),
        "max_bytes": options.bytes_max.map_or(-1, |bytes| i64::try_from(bytes).unwrap_or(i64::MAX)),
        "max_msgs": -1,
        "max_msgs_per_subject": -1,
        "max_msg_size": -1,
        "duplicate_window": nanoseconds_of(window),
    })
}

pub(super) fn nanoseconds_of(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// What a loss in the queue means: with custody until processed, collectors publish lost messages again.
fn loss_outcome(custody: Custody) -> FindingOutcome {
    match custody {
        Custody::UntilProcessed => FindingOutcome::Warning,
        Custody::UntilStored => FindingOutcome::Failed,
    }
}

/// Checks what JetStream says of the stream. `payload_bytes_max` is the server's limit of a message.
pub(super) fn check_stream(
    info: &Value,
    settings: &NatsSettings,
    payload_bytes_max: usize,
    findings: &mut QueueFindings,
) {
    let Some(config) = info.get("config").filter(|config| config.is_object()) else {
        let advice = "check [queue] servers: another program may respond in place of NATS";
        return findings.failed("stream", "the response has no configuration", advice);
    };
    findings.ok("stream", format!("{} exists", settings.stream));
    let has = |key| config.get(key).is_some_and(|value| !value.is_null());
    if has("mirror") || config.get("sealed") == Some(&Value::Bool(true)) {
        findings.failed(
            "stream",
            "it is a mirror, or is sealed, so that it takes no messages",
            CREATE_AGAIN,
        );
    }
    if config.get("no_ack") == Some(&Value::Bool(true)) {
        let detail =
            "it does not acknowledge messages, so that collectors publish them again and again";
        findings.failed("acknowledgements", detail, CREATE_AGAIN);
    }
    check_servers(info.get("cluster"), findings);
    check_replicas(read_number(config.get("num_replicas")), settings.custody, findings);
    check_subjects(config, settings, findings);
    check_retention(config, findings);
    check_storage(config, settings.custody, findings);
    check_limits(config, findings);
    check_age(read_nanoseconds(config.get("max_age")), settings.custody, findings);
    check_message_size(read_number(config.get("max_msg_size")), payload_bytes_max, findings);
    let window = read_nanoseconds(config.get("duplicate_window"));
    let text = duration_text(window);
    match window < limits::NATS_DUPLICATE_WINDOW {
        true => {
            let detail =
                format!("{text}: a message whose acknowledgement was lost may be stored twice");
            findings.warning("duplicate window", detail, UPDATE);
        }
        false => findings.ok("duplicate window", text),
    }
}

/// Counts the servers of the stream that are up.
fn check_servers(cluster: Option<&Value>, findings: &mut QueueFindings) {
    let null = Value::Null;
    let cluster = JsonFields::new(cluster.unwrap_or(&null));
    let others: Vec<_> = cluster.objects("replicas").collect();
    let offline = others.iter().filter(|it| is_down(**it)).count();
    let behind = others.iter().filter(|it| it.is("current") != Some(true)).count();
    let total = others.len() + 1;
    let up = total - offline;
    if cluster.text("leader").is_none() {
        let detail = format!("the stream has no leader; {} of {total} servers are up", up - 1);
        findings.failed("servers", detail, "start the servers that are down");
    } else if offline > 0 {
        let detail = format!("{up} of {total} servers are up");
        let advice = "start the servers that are down: the stream stops when half of them are";
        findings.warning("servers", detail, advice);
    } else if behind > 0 {
        let detail =
            format!("{total} of {total} servers are up, and {behind} are behind the leader");
        findings.warning("servers", detail, "wait until they have caught up");
    } else {
        findings.ok("servers", format!("{up} of {total} are up"));
    }
}

/// Whether a server is down. JetStream calls it offline only after minutes, but reports when the leader has heard of it:
/// 0 nanoseconds ago if it never has, since it was killed before this leader was elected.
fn is_down(server: JsonFields<'_>) -> bool {
    let is_silent = server.number("active").is_some_and(|nanoseconds| {
        nanoseconds == 0 || Duration::from_nanos(nanoseconds) > limits::NATS_SILENCE_MAX
    });
    server.is("offline") == Some(true) || (is_silent && server.is("current") != Some(true))
}

fn check_replicas(replicas: i64, custody: Custody, findings: &mut QueueFindings) {
    match replicas {
        i64::MIN..=1 => {
            let detail = "1: when its server is down, no events move, and when its disk is lost, its messages are too";
            let advice = "use three servers, and `host queue create --update --replicas 3`; keep custody = \
                          \"until-processed\", so that collectors publish lost messages again";
            findings.add("replicas", loss_outcome(custody), detail, Some(advice));
        }
        2 => {
            let detail = "2: the stream stops as soon as one of the servers is down";
            findings.warning("replicas", detail, "use `host queue create --update --replicas 3`");
        }
        _ => findings.ok("replicas", replicas.to_string()),
    }
}

fn check_subjects(config: &Value, settings: &NatsSettings, findings: &mut QueueFindings) {
    let subject = settings.subject();
    let subjects = JsonFields::new(config).texts("subjects");
    let text = subjects.join(", ");
    if !subjects.iter().any(|pattern| matches_subject(pattern, &subject)) {
        let detail = format!("{text}: {subject} is not among them, so that publishing fails");
        findings.failed("subjects", detail, UPDATE);
    } else if subjects != [subject] {
        let advice = "no action needed if other programs use the stream on purpose";
        findings.warning("subjects", format!("{text}: more than Standpipe needs"), advice);
    } else {
        findings.ok("subjects", text);
    }
}

/// Whether a subject with wildcards stands for this one.
pub(super) fn matches_subject(pattern: &str, subject: &str) -> bool {
    let mut tokens = subject.split('.');
    let mut patterns = pattern.split('.');
    loop {
        match (patterns.next(), tokens.next()) {
            (Some(">"), Some(_)) => return patterns.next().is_none(),
            (Some(pattern), Some(token)) if pattern == "*" || pattern == token => {}
            (None, None) => return true,
            _ => return false,
        }
    }
}

fn check_retention(config: &Value, findings: &mut QueueFindings) {
    let text = PropertyFormat::Word.render(config.get("retention"));
    match text.as_str() {
        "workqueue" => findings.ok("retention", text),
        "interest" => {
            let detail = "interest: JetStream drops messages while the consumer does not exist";
            findings.failed("retention", detail, CREATE_AGAIN);
        }
        _ => {
            let detail =
                format!("{text}: acknowledged messages stay in the stream until it is full");
            findings.failed("retention", detail, CREATE_AGAIN);
        }
    }
}

fn check_storage(config: &Value, custody: Custody, findings: &mut QueueFindings) {
    let text = PropertyFormat::Word.render(config.get("storage"));
    if text != "file" {
        let detail = format!("{text}: messages are lost when the servers restart");
        findings.add("storage", loss_outcome(custody), detail, Some(CREATE_AGAIN));
    } else if config.get("persist_mode").and_then(Value::as_str) == Some("async") {
        let detail =
            "file, but messages are acknowledged before they are written (persist_mode async)";
        findings.add("storage", loss_outcome(custody), detail, Some(CREATE_AGAIN));
    } else {
        findings.ok("storage", text);
    }
}

/// Checks what happens when the stream is full.
fn check_limits(config: &Value, findings: &mut QueueFindings) {
    let limit = |key| read_number(config.get(key));
    let limits = [
        ("bytes", limit("max_bytes")),
        ("messages", limit("max_msgs")),
        ("messages per subject", limit("max_msgs_per_subject")),
    ];
    let set = limits.iter().filter(|(_, limit)| *limit > 0);
    let set: Vec<_> = set.map(|(name, limit)| format!("{limit} {name}")).collect();
    let is_limited = !set.is_empty();
    let size = match is_limited {
        true => format!("at most {}", set.join(", ")),
        false => limit_text(0),
    };
    findings.ok("size", size);
    let text = PropertyFormat::Word.render(config.get("discard"));
    match (text.as_str(), is_limited) {
        ("new", _) => findings.ok("discard", "new: a full stream refuses messages"),
        (_, true) => {
            let detail = format!("{text}: a full stream deletes its oldest messages");
            findings.failed("discard", detail, UPDATE);
        }
        (_, false) => {
            let detail = format!("{text}: a stream with a limit would delete its oldest messages");
            findings.warning("discard", detail, UPDATE);
        }
    }
}

fn check_age(age: Duration, custody: Custody, findings: &mut QueueFindings) {
    let text = duration_text(age);
    if age.is_zero() {
        return findings.ok("max age", text);
    }
    let detail = format!("{text}: older messages are deleted, delivered or not");
    let advice = "remove the limit with `host queue create --update` without --max-age, or keep custody = \
                  \"until-processed\", so that collectors publish deleted messages again";
    findings.add("max age", loss_outcome(custody), detail, Some(advice));
}

fn check_message_size(limit: i64, payload_bytes_max: usize, findings: &mut QueueFindings) {
    let property = "message size";
    let is_lower = limit > 0 && usize::try_from(limit).is_ok_and(|limit| limit < payload_bytes_max);
    if is_lower {
        let detail = format!(
            "at most {limit} bytes: the stream refuses messages that the servers accept ({payload_bytes_max} bytes)"
        );
        findings.failed(property, detail, UPDATE);
    } else if payload_bytes_max < limits::NATS_MESSAGE_BYTES_MAX {
        let detail =
            format!("at most {payload_bytes_max} bytes: larger events become dead letters");
        findings.warning(
            property,
            detail,
            "raise `max_payload` in the settings of the NATS servers",
        );
    } else {
        findings.ok(property, format!("at most {payload_bytes_max} bytes"));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::NatsLogin;

    fn settings(custody: Custody) -> NatsSettings {
        NatsSettings {
            servers: vec!["nats://127.0.0.1:4222".to_owned()],
            stream: "standpipe".to_owned(),
            consumer: "standpipe-mappers".to_owned(),
            login: NatsLogin::Anonymous,
            ca_file: None,
            custody,
        }
    }

    /// What JetStream says of a stream with three replicas, with some members replaced.
    fn info(changes: &Value) -> Value {
        let options = StreamOptions { replicas: 3, age_max: None, bytes_max: None };
        let mut config = stream_config(&settings(Custody::UntilProcessed), &options);
        let members = changes.as_object().unwrap().clone();
        config.as_object_mut().unwrap().extend(members);
        let replica = |name| json!({"name": name, "current": true, "active": 0});
        json!({"config": config, "cluster": {"leader": "a", "replicas": [replica("b"), replica("c")]}})
    }

    fn check(info: &Value, custody: Custody) -> Vec<(String, FindingOutcome)> {
        let mut findings = QueueFindings::default();
        check_stream(info, &settings(custody), 1024 * 1024, &mut findings);
        let wrong = findings.0.into_iter().filter(|found| found.outcome != FindingOutcome::Ok);
        wrong.map(|found| (found.property, found.outcome)).collect()
    }

    #[test]
    fn a_new_stream_is_as_it_should_be() {
        assert_eq!(check(&info(&json!({})), Custody::UntilStored), []);
    }

    #[test]
    fn each_unsafe_property_is_found() {
        use FindingOutcome::{Failed, Warning};
        for (changes, property, until_processed, until_stored) in [
            (json!({"num_replicas": 1}), "replicas", Warning, Failed),
            (json!({"num_replicas": 2}), "replicas", Warning, Warning),
            (json!({"storage": "memory"}), "storage", Warning, Failed),
            (json!({"persist_mode": "async"}), "storage", Warning, Failed),
            (json!({"max_age": 3_600_000_000_000_u64}), "max age", Warning, Failed),
            (json!({"retention": "limits"}), "retention", Failed, Failed),
            (json!({"retention": "interest"}), "retention", Failed, Failed),
            (json!({"discard": "old"}), "discard", Warning, Warning),
            (json!({"discard": "old", "max_bytes": 1}), "discard", Failed, Failed),
            (json!({"max_msg_size": 1000}), "message size", Failed, Failed),
            (json!({"subjects": ["other"]}), "subjects", Failed, Failed),
            (json!({"subjects": ["standpipe.>"]}), "subjects", Warning, Warning),
            (json!({"duplicate_window": 1}), "duplicate window", Warning, Warning),
            (json!({"no_ack": true}), "acknowledgements", Failed, Failed),
            (json!({"sealed": true}), "stream", Failed, Failed),
            (json!({"mirror": {"name": "x"}}), "stream", Failed, Failed),
        ] {
            for (custody, outcome) in
                [(Custody::UntilProcessed, until_processed), (Custody::UntilStored, until_stored)]
            {
                let found = check(&info(&changes), custody);
                assert_eq!(found, [(property.to_owned(), outcome)], "{changes} {custody:?}");
            }
        }
    }

    #[test]
    fn servers_that_are_down_are_counted() {
        let with = |leader: Value, offline: [bool; 2]| {
            let mut info = info(&json!({}));
            info["cluster"]["leader"] = leader;
            for (index, offline) in offline.into_iter().enumerate() {
                let server = &mut info["cluster"]["replicas"][index];
                server["offline"] = offline.into();
                server["current"] = (!offline).into();
            }
            let mut findings = QueueFindings::default();
            check_servers(info.get("cluster"), &mut findings);
            (findings.0[0].outcome, findings.0[0].detail.clone())
        };
        let (outcome, detail) = with("a".into(), [true, false]);
        assert_eq!((outcome, &*detail), (FindingOutcome::Warning, "2 of 3 servers are up"));
        let (outcome, detail) = with(Value::Null, [true, false]);
        assert_eq!(outcome, FindingOutcome::Failed);
        assert!(detail.contains("no leader; 1 of 3"), "{detail}");
        assert_eq!(with("a".into(), [false, false]).0, FindingOutcome::Ok);
        let silent = |nanoseconds: u64| json!({"leader": "a", "replicas": [{"name": "b", "current": false, "active": nanoseconds}]});
        for (nanoseconds, detail) in [
            (0, "1 of 2 servers are up"),
            (16_000_000_000, "1 of 2 servers are up"),
            (800_000_000, "2 of 2 servers are up, and 1 are behind the leader"),
        ] {
            let mut findings = QueueFindings::default();
            check_servers(Some(&silent(nanoseconds)), &mut findings);
            assert_eq!(findings.0[0].detail, detail);
        }
    }

    #[test]
    fn subjects_match_as_in_nats() {
        for (pattern, is_match) in [
            ("a.b", true),
            ("a.*", true),
            ("*.b", true),
            ("a.>", true),
            (">", true),
            ("a", false),
            ("a.b.>", false),
            ("a.b.c", false),
            ("*", false),
            ("b.*", false),
        ] {
            assert_eq!(matches_subject(pattern, "a.b"), is_match, "{pattern}");
        }
    }

    #[test]
    fn messages_live_as_long_as_their_ids() {
        let hour = Duration::from_secs(60);
        let options = StreamOptions { replicas: 1, age_max: Some(hour), bytes_max: Some(5) };
        let config = stream_config(&settings(Custody::UntilStored), &options);
        assert_eq!(config["duplicate_window"], config["max_age"]);
        assert_eq!((&config["max_bytes"], &config["num_replicas"]), (&json!(5), &json!(1)));
    }

    /// JSON of any shape below the keys that are read.
    fn any_member() -> impl Strategy<Value = Value> {
        prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            "[a-z.*>]{0,8}".prop_map(Value::from),
            prop::collection::vec("[a-z.*>]{0,8}", 0..3).prop_map(Value::from),
        ]
    }

    proptest! {
        #[test]
        fn no_response_makes_it_panic(values in prop::collection::vec(any_member(), 16)) {
            let keys = [
                "num_replicas", "storage", "max_age", "retention", "discard", "max_bytes", "max_msgs",
                "max_msgs_per_subject", "max_msg_size", "subjects", "duplicate_window", "no_ack", "sealed", "mirror",
                "persist_mode",
            ];
            let config: serde_json::Map<_, _> =
                keys.iter().map(|key| (*key).to_owned()).zip(values.iter().cloned()).collect();
            let info = json!({"config": config, "cluster": values[15]});
            check(&info, Custody::UntilStored);
            check(&values[0], Custody::UntilStored);
        }
    }
}
