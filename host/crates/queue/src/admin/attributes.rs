//! The attributes of a queue in Amazon SQS, which are texts: what they should be, and what a check of them finds.

use std::fmt;
use std::time::Duration;

use serde_json::{Value, json};

use super::difference::{Difference, DifferenceState, duration_text};
use super::finding::QueueFindings;
use crate::limits;
use standpipe_aws::JsonFields;

/// Where Amazon SQS moves a message that was received too often.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedrivePolicy {
    /// The ARN of the dead-letter queue.
    pub dead_letter_queue: String,
    /// Receptions after which a message is moved.
    pub receives_max: u32,
}

/// How a queue encrypts messages at rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Encryption {
    Off,
    /// With a key that Amazon SQS owns (SSE-SQS).
    Managed,
    /// With this key of KMS.
    Key(String),
}

/// The attributes of a queue that matter here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct QueueAttributes {
    pub(super) visibility: Duration,
    pub(super) retention: Duration,
    pub(super) message_bytes_max: u64,
    pub(super) delay: Duration,
    pub(super) redrive: Option<RedrivePolicy>,
    pub(super) encryption: Encryption,
    is_fifo: bool,
}

/// The names of the attributes that are read.
pub(super) const NAMES: &[&str] = &["All"];

const UPDATE: &str = "change it with `host queue create --update`";

impl QueueAttributes {
    /// Returns what a queue should be.
    pub(super) fn wanted(ack_wait: Duration, redrive: Option<&RedrivePolicy>) -> Self {
        QueueAttributes {
            visibility: ack_wait.min(limits::SQS_VISIBILITY_MAX),
            retention: limits::SQS_RETENTION_MAX,
            message_bytes_max: limits::SQS_MESSAGE_BYTES_MAX as u64,
            delay: Duration::ZERO,
            redrive: redrive.cloned(),
            encryption: Encryption::Managed,
            is_fifo: false,
        }
    }

    /// Reads attributes.
    ///
    /// # Errors
    ///
    /// An attribute that every queue has is missing, or is not a number. The error names it.
    pub(super) fn read(attributes: &Value) -> Result<Self, &'static str> {
        let fields = JsonFields::new(attributes);
        let number = |name| fields.text(name).and_then(|text| text.parse::<u64>().ok()).ok_or(name);
        let seconds = |name| number(name).map(Duration::from_secs);
        let is = |name| fields.text(name) == Some("true");
        let encryption = match fields.owned("KmsMasterKeyId") {
            Some(key) => Encryption::Key(key),
            None if is("SqsManagedSseEnabled") => Encryption::Managed,
            None => Encryption::Off,
        };
        Ok(QueueAttributes {
            visibility: seconds("VisibilityTimeout")?,
            retention: seconds("MessageRetentionPeriod")?,
            message_bytes_max: number("MaximumMessageSize")?,
            delay: seconds("DelaySeconds")?,
            redrive: fields.text("RedrivePolicy").map(RedrivePolicy::read).transpose()?,
            encryption,
            is_fifo: is("FifoQueue"),
        })
    }

    /// Returns the attributes as Amazon SQS takes them. `is_new` leaves out those that remove something.
    pub(super) fn to_json(&self, is_new: bool) -> Value {
        let mut attributes = json!({
            "VisibilityTimeout": self.visibility.as_secs().to_string(),
            "MessageRetentionPeriod": self.retention.as_secs().to_string(),
            "MaximumMessageSize": self.message_bytes_max.to_string(),
            "DelaySeconds": self.delay.as_secs().to_string(),
        });
        if self.encryption == Encryption::Managed {
            attributes["SqsManagedSseEnabled"] = "true".into();
        }
        match &self.redrive {
            Some(redrive) => attributes["RedrivePolicy"] = redrive.to_json().into(),
            None if is_new => {}
            None => attributes["RedrivePolicy"] = "".into(),
        }
        attributes
    }

    /// Compares what a queue is with what it should be.
    pub(super) fn compare(&self, wanted: &Self) -> Vec<Difference> {
        let texts = |it: &Self| {
            [
                ("visibility timeout", duration_text(it.visibility)),
                ("retention", duration_text(it.retention)),
                ("message size", it.message_bytes_max.to_string()),
                ("delay", format!("{:?}", it.delay)),
                ("redrive policy", redrive_text(it.redrive.as_ref())),
                ("encryption", it.encryption.to_string()),
            ]
        };
        let pairs = texts(self).into_iter().zip(texts(wanted));
        let differing = pairs.filter(|((property, found), (_, wanted))| {
            // Which key encrypts messages is the operator's choice.
            let has_key =
                *property == "encryption" && matches!(self.encryption, Encryption::Key(_));
            found != wanted && !has_key
        });
        let state = DifferenceState::Open;
        let difference =
            |((property, found), (_, wanted))| Difference { property, found, wanted, state };
        differing.map(difference).collect()
    }

    /// Checks that events are safe in the queue.
    pub(super) fn check(&self, ack_wait: Duration, findings: &mut QueueFindings) {
        if self.is_fifo {
            let advice = "use a standard queue: in a FIFO queue, one message that waits stops all others of its group";
            findings.failed("type", "it is a FIFO queue", advice);
        } else {
            findings.ok("type", "standard");
        }
        self.check_visibility(ack_wait, findings);
        self.check_retention(findings);
        self.check_message_size(findings);
        self.check_redrive(findings);
        match &self.encryption {
            Encryption::Off => {
                findings.warning("encryption", "off: messages are stored as they are", UPDATE);
            }
            encryption => findings.ok("encryption", encryption.to_string()),
        }
        if !self.delay.is_zero() {
            let detail =
                format!("{:?}: each message waits so long before its first delivery", self.delay);
            findings.warning("delay", detail, UPDATE);
        }
    }

    fn check_visibility(&self, ack_wait: Duration, findings: &mut QueueFindings) {
        let text = duration_text(self.visibility);
        if self.visibility.is_zero() {
            findings.ok("visibility timeout", "0; mappers set ack_wait for each message");
        } else if self.visibility == ack_wait {
            findings.ok("visibility timeout", text);
        } else {
            let wanted = duration_text(ack_wait);
            findings
                .ok("visibility timeout", format!("{text}; mappers set {wanted} for each message"));
        }
    }

    fn check_retention(&self, findings: &mut QueueFindings) {
        let detail = format!(
            "{}: older messages are deleted, delivered or not",
            duration_text(self.retention)
        );
        if self.retention < limits::SQS_RETENTION_MIN {
            findings.failed("retention", detail, UPDATE);
        } else if self.retention < limits::SQS_RETENTION_MAX {
            findings.warning("retention", detail, UPDATE);
        } else {
            findings.ok("retention", duration_text(self.retention));
        }
    }

    fn check_message_size(&self, findings: &mut QueueFindings) {
        let bytes = self.message_bytes_max;
        match bytes < limits::SQS_MESSAGE_BYTES_MAX as u64 {
            true => {
                let detail = format!(
                    "at most {bytes} bytes: an event that takes more when it is compressed becomes a dead letter"
                );
                findings.warning("message size", detail, UPDATE);
            }
            false => findings.ok("message size", format!("at most {bytes} bytes")),
        }
    }

    fn check_redrive(&self, findings: &mut QueueFindings) {
        let property = "redrive policy";
        let Some(redrive) = &self.redrive else {
            return findings.ok(property, "none: messages stay until they are acknowledged");
        };
        let text = redrive.to_string();
        let detail = format!(
            "{text}: mappers that stop, or that wait for a stream for more than 12 hours, use up receptions; Standpipe does not read the dead-letter queue"
        );
        if redrive.receives_max < limits::SQS_RECEIVES_MIN {
            let advice = "raise it with `host queue create --update --max-receives 1000`, or remove the policy";
            findings.failed(property, detail, advice);
        } else if redrive.receives_max < limits::SQS_RECEIVES_MAX {
            let advice = "raise it with `host queue create --update --max-receives 1000`, and watch the dead-letter queue";
            findings.warning(property, detail, advice);
        } else {
            findings.ok(property, text);
        }
    }
}

impl RedrivePolicy {
    /// Reads the JSON of the attribute, in which numbers can be texts.
    fn read(text: &str) -> Result<Self, &'static str> {
        let policy: Value = serde_json::from_str(text).map_err(|_| "RedrivePolicy")?;
        let dead_letter_queue = JsonFields::new(&policy).owned("deadLetterTargetArn");
        let receives = match policy.get("maxReceiveCount") {
            Some(Value::String(text)) => text.parse().ok(),
            Some(number) => number.as_u64().and_then(|number| number.try_into().ok()),
            None => None,
        };
        let dead_letter_queue = dead_letter_queue.ok_or("RedrivePolicy")?;
        Ok(RedrivePolicy { dead_letter_queue, receives_max: receives.ok_or("RedrivePolicy")? })
    }

    fn to_json(&self) -> String {
        let RedrivePolicy { dead_letter_queue, receives_max } = self;
        json!({"deadLetterTargetArn": dead_letter_queue, "maxReceiveCount": receives_max})
            .to_string()
    }
}

impl fmt::Display for RedrivePolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "to {} after {} receptions", self.dead_letter_queue, self.receives_max)
    }
}

impl fmt::Display for Encryption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Encryption::Off => f.write_str("off"),
            Encryption::Managed => f.write_str("SSE-SQS"),
            Encryption::Key(key) => write!(f, "SSE-KMS with {key}"),
        }
    }
}

fn redrive_text(redrive: Option<&RedrivePolicy>) -> String {
    redrive.map_or_else(|| "none".to_owned(), ToString::to_string)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::admin::FindingOutcome;

    const ARN: &str = "arn:aws:sqs:eu-central-1:111122223333:dead";
    const MINUTE: Duration = Duration::from_secs(60);

    fn redrive(receives_max: u32) -> RedrivePolicy {
        RedrivePolicy { dead_letter_queue: ARN.to_owned(), receives_max }
    }

    #[test]
    fn what_is_written_is_read_back() {
        for policy in [None, Some(redrive(1000))] {
            let wanted = QueueAttributes::wanted(MINUTE, policy.as_ref());
            let read = QueueAttributes::read(&wanted.to_json(false)).unwrap();
            assert_eq!((read.compare(&wanted), &read), (Vec::new(), &wanted));
            let mut findings = QueueFindings::default();
            read.check(MINUTE, &mut findings);
            assert!(
                findings.0.iter().all(|found| found.outcome == FindingOutcome::Ok),
                "{findings:?}"
            );
        }
    }

    #[test]
    fn each_unsafe_attribute_is_found() {
        use FindingOutcome::{Failed, Ok, Warning};
        let good = QueueAttributes::wanted(MINUTE, None).to_json(true);
        let policy = |receives| redrive(receives).to_json().into();
        for (name, value, property, outcome) in [
            ("FifoQueue", Value::from("true"), "type", Failed),
            ("MessageRetentionPeriod", "60".into(), "retention", Failed),
            ("MessageRetentionPeriod", "345600".into(), "retention", Warning),
            ("MaximumMessageSize", "262144".into(), "message size", Warning),
            ("SqsManagedSseEnabled", "false".into(), "encryption", Warning),
            ("RedrivePolicy", policy(3), "redrive policy", Failed),
            ("RedrivePolicy", policy(100), "redrive policy", Warning),
            ("RedrivePolicy", policy(1000), "redrive policy", Ok),
            ("DelaySeconds", "5".into(), "delay", Warning),
            ("VisibilityTimeout", "30".into(), "visibility timeout", Ok),
            ("KmsMasterKeyId", "alias/aws/sqs".into(), "encryption", Ok),
        ] {
            let mut attributes = good.clone();
            attributes[name] = value;
            let mut findings = QueueFindings::default();
            QueueAttributes::read(&attributes).unwrap().check(MINUTE, &mut findings);
            for found in findings.0 {
                let expected = if found.property == property { outcome } else { Ok };
                assert_eq!(found.outcome, expected, "{name}: {found:?}");
            }
        }
    }

    #[test]
    fn missing_attributes_are_named() {
        let mut attributes = QueueAttributes::wanted(MINUTE, None).to_json(true);
        attributes["RedrivePolicy"] = "{}".into();
        assert_eq!(QueueAttributes::read(&attributes), Err("RedrivePolicy"));
        attributes["VisibilityTimeout"] = "x".into();
        assert_eq!(QueueAttributes::read(&attributes), Err("VisibilityTimeout"));
        assert_eq!(QueueAttributes::read(&Value::Null), Err("VisibilityTimeout"));
    }

    #[test]
    fn a_key_of_the_operator_is_no_difference() {
        let wanted = QueueAttributes::wanted(MINUTE, None);
        let with_key =
            QueueAttributes { encryption: Encryption::Key("k".to_owned()), ..wanted.clone() };
        assert_eq!(with_key.compare(&wanted), []);
        let without = QueueAttributes { encryption: Encryption::Off, ..wanted.clone() };
        assert_eq!(without.compare(&wanted).len(), 1);
        // A removed policy is an empty text.
        assert_eq!(wanted.to_json(false)["RedrivePolicy"], "");
        assert_eq!(wanted.to_json(true).get("RedrivePolicy"), None);
    }

    proptest! {
        #[test]
        fn no_attributes_make_it_panic(
            texts in prop::collection::vec("[0-9]{0,22}|true|-1|\\PC{0,8}|\\{\"maxReceiveCount\":[0-9]{1,12},\"deadLetterTargetArn\":\"a\"\\}", 8),
        ) {
            let names = [
                "VisibilityTimeout", "MessageRetentionPeriod", "MaximumMessageSize", "DelaySeconds", "RedrivePolicy",
                "SqsManagedSseEnabled", "FifoQueue", "KmsMasterKeyId",
            ];
            let attributes: serde_json::Map<_, _> =
                names.iter().map(|name| (*name).to_owned()).zip(texts.into_iter().map(Value::from)).collect();
            if let Ok(read) = QueueAttributes::read(&Value::Object(attributes)) {
                read.check(MINUTE, &mut QueueFindings::default());
                let _ = read.compare(&QueueAttributes::wanted(MINUTE, None));
            }
        }
    }
}
