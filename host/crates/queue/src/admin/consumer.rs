//! The durable consumer in JetStream that all mappers share: its configuration, and what a check of it finds.

use std::time::Duration;

use serde_json::{Value, json};

use super::difference::{
    Property, PropertyFormat, duration_text, limit_text, read_nanoseconds, read_number,
};
use super::finding::QueueFindings;
use super::stream::{matches_subject, nanoseconds_of};
use crate::{NatsSettings, QueueSettings, limits};
use standpipe_aws::JsonFields;

/// What is compared between a consumer that exists and what it should be.
pub(super) const PROPERTIES: &[Property] = &[
    Property::new("ack_policy", "ack policy", PropertyFormat::Word, false),
    Property::new("deliver_policy", "deliver policy", PropertyFormat::Word, false),
    Property::new("replay_policy", "replay policy", PropertyFormat::Word, false),
    Property::new("deliver_subject", "deliver subject", PropertyFormat::Word, false),
    Property::new("ack_wait", "ack wait", PropertyFormat::Nanoseconds, true),
    Property::new("max_deliver", "max deliver", PropertyFormat::Limit, true),
    Property::new("max_ack_pending", "max ack pending", PropertyFormat::Limit, true),
    Property::new("filter_subject", "filter", PropertyFormat::Word, true),
];

const CREATE_AGAIN: &str = "JetStream cannot change this: stop the mappers, delete the consumer, and create it with `host queue create`";
const UPDATE: &str = "change it with `host queue create --update`";

/// Returns the configuration of the consumer.
pub(super) fn consumer_config(settings: &NatsSettings, ack_wait: Duration) -> Value {
    json!({
        "durable_name": settings.consumer,
        "name": settings.consumer,
        "ack_policy": "explicit",
        "ack_wait": nanoseconds_of(ack_wait),
        // A message that was delivered too often would stay in the stream, and never be delivered.
        "max_deliver": -1,
        "max_ack_pending": limits::NATS_UNACKNOWLEDGED_MESSAGES_MAX,
        "deliver_policy": "all",
        "replay_policy": "instant",
        "filter_subject": settings.subject(),
    })
}

/// Checks what JetStream says of the consumer.
pub(super) fn check_consumer(
    info: &Value,
    settings: &QueueSettings,
    nats: &NatsSettings,
    findings: &mut QueueFindings,
) {
    let Some(config) = info.get("config").filter(|config| config.is_object()) else {
        let advice = "check [queue] servers: another program may respond in place of NATS";
        return findings.failed("consumer", "the response has no configuration", advice);
    };
    findings.ok("consumer", format!("{} exists", nats.consumer));
    let fields = JsonFields::new(config);
    if fields.has("deliver_subject") {
        let detail = "it pushes messages, and mappers pull them";
        findings.failed("consumer", detail, CREATE_AGAIN);
    }
    if fields.is("headers_only") == Some(true) {
        findings.failed("consumer", "it delivers messages without their events", CREATE_AGAIN);
    }
    if info.get("paused") == Some(&Value::Bool(true)) {
        findings.warning("consumer", "it is paused", "resume it: mappers receive nothing");
    }
    if fields.is("mem_storage") == Some(true) {
        let detail =
            "its state is in memory: messages are delivered again when the servers restart";
        findings.warning("consumer", detail, CREATE_AGAIN);
    }
    if read_number(config.get("inactive_threshold")) > 0 {
        let detail =
            "JetStream deletes it when no mapper has run for some time (inactive_threshold)";
        findings.failed("consumer", detail, CREATE_AGAIN);
    }
    check_policies(config, findings);
    check_ack_wait(config, settings.ack_wait, findings);
    check_deliveries(config, findings);
    check_filter(fields, &nats.subject(), findings);
    check_capacity(config, settings.prefetch, findings);
}

fn check_policies(config: &Value, findings: &mut QueueFindings) {
    let text = PropertyFormat::Word.render(config.get("ack_policy"));
    match text.as_str() {
        "explicit" => findings.ok("ack policy", text),
        "all" => {
            let detail =
                "all: the acknowledgement of a message deletes all earlier ones, delivered or not";
            findings.failed("ack policy", detail, CREATE_AGAIN);
        }
        _ => {
            let detail = format!("{text}: JetStream deletes messages when it delivers them");
            findings.failed("ack policy", detail, CREATE_AGAIN);
        }
    }
    let text = PropertyFormat::Word.render(config.get("deliver_policy"));
    if text != "all" {
        let detail =
            format!("{text}: the consumer skips messages that were stored before it existed");
        findings.failed("deliver policy", detail, CREATE_AGAIN);
    }
    let text = PropertyFormat::Word.render(config.get("replay_policy"));
    if text == "original" {
        let detail = "original: messages are delivered as slowly as they were stored";
        findings.failed("replay policy", detail, CREATE_AGAIN);
    }
}

fn check_ack_wait(config: &Value, wanted: Duration, findings: &mut QueueFindings) {
    let found = read_nanoseconds(config.get("ack_wait"));
    let (text, wanted_text) = (duration_text(found), duration_text(wanted));
    let pauses = config.get("backoff").and_then(Value::as_array).into_iter().flatten();
    let shortest = pauses.map(|pause| read_nanoseconds(Some(pause))).min();
    if let Some(pause) = shortest {
        let detail = format!(
            "{}, set by `backoff` of the consumer in place of ack_wait",
            duration_text(pause)
        );
        match pause < wanted {
            true => findings.failed(
                "ack wait",
                detail,
                "remove `backoff` from the consumer: messages are delivered \
                                                         again while mappers work on them",
            ),
            false => findings.ok("ack wait", detail),
        }
    } else if found < wanted {
        let detail = format!(
            "{text}, and [queue] ack_wait is {wanted_text}: messages are delivered again while mappers work on them"
        );
        findings.failed("ack wait", detail, UPDATE);
    } else if found > wanted {
        let detail = format!(
            "{text}, and [queue] ack_wait is {wanted_text}: the messages of a mapper that was killed wait for longer"
        );
        findings.warning("ack wait", detail, UPDATE);
    } else {
        findings.ok("ack wait", text);
    }
}

fn check_deliveries(config: &Value, findings: &mut QueueFindings) {
    let limit = read_number(config.get("max_deliver"));
    match limit > 0 {
        true => {
            let detail = format!(
                "{limit}: JetStream never delivers a message again after so many deliveries"
            );
            findings.failed("max deliver", detail, UPDATE);
        }
        false => findings.ok("max deliver", limit_text(limit)),
    }
}

fn check_filter(fields: JsonFields<'_>, subject: &str, findings: &mut QueueFindings) {
    let mut filters = fields.texts("filter_subjects");
    filters.extend(fields.owned("filter_subject"));
    let covers = filters.iter().any(|filter| matches_subject(filter, subject));
    match covers || filters.is_empty() {
        true if filters.is_empty() => findings.ok("filter", "none"),
        true => findings.ok("filter", filters.join(", ")),
        false => {
            let detail = format!("{}: mappers do not receive {subject}", filters.join(", "));
            findings.failed("filter", detail, UPDATE);
        }
    }
}

/// Checks how many messages all mappers together can hold.
fn check_capacity(config: &Value, prefetch: usize, findings: &mut QueueFindings) {
    let is_lower = |key| {
        let limit = read_number(config.get(key));
        usize::try_from(limit).is_ok_and(|limit| limit > 0 && limit < prefetch)
    };
    let text = limit_text(read_number(config.get("max_ack_pending")));
    match is_lower("max_ack_pending") {
        true => {
            let detail =
                format!("{text} for all mappers, and [queue] prefetch is {prefetch} for each");
            findings.warning("max ack pending", detail, UPDATE);
        }
        false => findings.ok("max ack pending", text),
    }
    if is_lower("max_batch") {
        let detail = format!(
            "{}: JetStream refuses requests for [queue] prefetch = {prefetch} messages",
            read_number(config.get("max_batch"))
        );
        findings.failed(
            "max batch",
            detail,
            "lower [queue] prefetch, or raise max_batch of the consumer",
        );
    }
    let expires = read_nanoseconds(config.get("max_expires"));
    if !expires.is_zero() && expires < limits::NATS_WAIT {
        let detail = format!("{}: mappers wait longer for messages", duration_text(expires));
        findings.failed(
            "max expires",
            detail,
            "raise max_expires of the consumer to 1 second at least",
        );
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;

    use super::*;
    use crate::admin::FindingOutcome;
    use crate::{QueueKind, RawQueue};
    use standpipe_aws::AwsSettings;
    use standpipe_core::settings::{SecretManager, SettingsChecker};

    const MINUTE: Duration = Duration::from_secs(60);

    /// The default settings of a mapper.
    fn settings() -> (QueueSettings, NatsSettings) {
        let raw = RawQueue {
            kind: "nats".to_owned(),
            role: "mapper".to_owned(),
            servers: Some(vec!["nats://127.0.0.1:4222".to_owned()]),
            ..RawQueue::default()
        };
        let mut checker = SettingsChecker::new(Path::new(""), SecretManager::None);
        let settings = raw.check(&AwsSettings::default(), &mut checker.table("queue")).unwrap();
        let QueueKind::Nats(nats) = settings.kind.clone() else { unreachable!("it is set") };
        (settings, nats)
    }

    fn check(changes: &Value) -> Vec<(String, FindingOutcome)> {
        let (settings, nats) = settings();
        let mut config = consumer_config(&nats, MINUTE);
        config.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        let mut findings = QueueFindings::default();
        check_consumer(&json!({"config": config}), &settings, &nats, &mut findings);
        let wrong = findings.0.into_iter().filter(|found| found.outcome != FindingOutcome::Ok);
        wrong.map(|found| (found.property, found.outcome)).collect()
    }

    #[test]
    fn a_new_consumer_is_as_it_should_be() {
        assert_eq!(check(&json!({})), []);
    }

    #[test]
    fn each_unsafe_property_is_found() {
        use FindingOutcome::{Failed, Warning};
        let second = 1_000_000_000_u64;
        for (changes, property, outcome) in [
            (json!({"ack_policy": "none"}), "ack policy", Failed),
            (json!({"ack_policy": "all"}), "ack policy", Failed),
            (json!({"deliver_policy": "new"}), "deliver policy", Failed),
            (json!({"replay_policy": "original"}), "replay policy", Failed),
            (json!({"ack_wait": 30 * second}), "ack wait", Failed),
            (json!({"ack_wait": 90 * second}), "ack wait", Warning),
            (json!({"backoff": [second, 90 * second]}), "ack wait", Failed),
            (json!({"max_deliver": 5}), "max deliver", Failed),
            (json!({"filter_subject": "other"}), "filter", Failed),
            (json!({"max_ack_pending": 5}), "max ack pending", Warning),
            (json!({"max_batch": 5}), "max batch", Failed),
            (json!({"max_expires": 5}), "max expires", Failed),
            (json!({"deliver_subject": "x"}), "consumer", Failed),
            (json!({"headers_only": true}), "consumer", Failed),
            (json!({"mem_storage": true}), "consumer", Warning),
            (json!({"inactive_threshold": 5}), "consumer", Failed),
        ] {
            assert_eq!(check(&changes), [(property.to_owned(), outcome)], "{changes}");
        }
        assert_eq!(check(&json!({"filter_subject": "", "filter_subjects": ["standpipe.*"]})), []);
        assert_eq!(check(&json!({"max_deliver": 0, "max_ack_pending": -1})), []);
    }

    proptest! {
        #[test]
        fn no_response_makes_it_panic(number in any::<i64>(), text in any::<String>(), rest in any::<bool>()) {
            for value in [Value::from(number), Value::from(text.clone()), Value::from(rest), json!([number, text]), Value::Null] {
                for Property { key, .. } in PROPERTIES {
                    check(&json!({(*key): value}));
                }
                for key in ["backoff", "max_batch", "max_expires", "filter_subjects", "inactive_threshold"] {
                    check(&json!({(key): value}));
                }
            }
        }
    }
}
