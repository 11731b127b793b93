//! Checks the fleet of the settings: its buckets, and what this user of NATS may do with them.
//!
//! Writes are tested with a key and an object of their own, which no host reads and which are deleted afterwards.

use async_nats::HeaderMap;
use bytes::Bytes;
use serde_json::{Value, json};

use super::difference::{duration_text, read_nanoseconds, read_number};
use super::finding::{FindingOutcome, QueueFindings};
use super::jetstream::{JetStreamAdmin, STREAM_NOT_FOUND};
use crate::fleet::{ActiveRecord, FleetRecord, FleetSettings, FleetStore, RuleKey, open_fleet};
use crate::{QueueError, limits};
use standpipe_core::error_chain;

/// The key for tests in the bucket with the rules.
const RULES_KEY: &str = "check";

/// The key for tests in the bucket with the hosts. Mappers may write the keys of hosts alone, and no host can have this
/// name.
const HOSTS_KEY: &str = "hosts.=check";

/// The name of the object for tests: no SHA-256.
const OBJECT: &str = "check";

/// The header that marks a deleted key, and its value.
const OPERATION: &str = "KV-Operation";
const DELETED: &str = "DEL";

/// What a user that may not change the rules needs to know.
const NO_PUSHER: &str = "this user cannot push rules, which mappers need not do";

/// A bucket of a fleet.
struct FleetBucket {
    /// What is checked, for people.
    property: &'static str,
    stream: String,
    /// How long its entries are kept: hosts come and go. None for ever.
    kept: Option<std::time::Duration>,
}

impl JetStreamAdmin {
    pub(super) async fn check_fleet(&self, settings: &FleetSettings, findings: &mut QueueFindings) {
        self.check_fleet_of_mapper(settings, findings).await;
        if !self.settings.is_mapper() {
            // A collector runs without a fleet: only commands with its settings need one.
            let failed = findings.0.iter_mut().filter(|it| it.outcome == FindingOutcome::Failed);
            failed.for_each(|finding| finding.outcome = FindingOutcome::Warning);
        }
    }

    async fn check_fleet_of_mapper(&self, settings: &FleetSettings, findings: &mut QueueFindings) {
        let bucket = &settings.bucket;
        let is_mapper = self.settings.is_mapper();
        let expected = self.queue_replicas().await;
        let mut are_there = true;
        for bucket in [
            FleetBucket { property: "rules", stream: format!("KV_{bucket}"), kept: None },
            FleetBucket {
                property: "hosts",
                stream: format!("KV_{bucket}-hosts"),
                kept: Some(limits::FLEET_HOST_KEPT),
            },
            FleetBucket { property: "plugins", stream: format!("OBJ_{bucket}"), kept: None },
        ] {
            are_there &= self.check_bucket(&bucket, expected, findings).await;
        }
        if !are_there {
            return;
        }
        let store = match open_fleet(self.context.clone(), settings).await {
            Ok(store) => store,
            Err(error) => {
                return findings.failed("buckets", error.to_string(), "check [fleet] bucket");
            }
        };
        let active = self.check_rules(&*store, bucket, findings).await;
        if let Some(active) = active {
            self.check_component(&*store, bucket, &active.rules.sha256, findings).await;
        }
        if is_mapper {
            let subject = format!("$KV.{bucket}-hosts.{HOSTS_KEY}");
            let result = self.write_key(&subject, DELETED).await;
            let detail = format!("$KV.{bucket}-hosts.hosts.*");
            let advice = "allow this user of NATS the subject: a mapper must report to its fleet";
            report("report to the fleet", result.map(|()| detail), advice, findings);
        }
        self.check_push(bucket, is_mapper, findings).await;
    }

    /// The replicas of the queue's stream, as many as the buckets should have. None without a stream, which another
    /// check reports.
    async fn queue_replicas(&self) -> Option<i64> {
        let subject = format!("STREAM.INFO.{}", self.nats.stream);
        let info = self.request(&subject, &json!({})).await.ok()?;
        Some(read_number(info.pointer("/config/num_replicas")))
    }

    /// Checks a bucket. Returns whether it exists.
    async fn check_bucket(
        &self,
        bucket: &FleetBucket,
        expected: Option<i64>,
        findings: &mut QueueFindings,
    ) -> bool {
        let FleetBucket { property, stream, kept } = bucket;
        let info = match self.request(&format!("STREAM.INFO.{stream}"), &json!({})).await {
            Ok(info) => info,
            Err(error) if error.code == STREAM_NOT_FOUND => {
                let detail = format!("the stream {stream} does not exist yet");
                let advice = "start a mapper, or use `host fleet push`: both create it";
                findings.skipped(property, detail, advice);
                return false;
            }
            Err(error) => {
                error.add_to(property, stream, findings);
                return false;
            }
        };
        let config = info.get("config").unwrap_or(&Value::Null);
        let wrong = findings.0.len();
        check_replicas(bucket, read_number(config.get("num_replicas")), expected, findings);
        let age = read_nanoseconds(config.get("max_age"));
        let wanted = kept.unwrap_or_default();
        if age != wanted {
            let detail = format!(
                "{stream} keeps entries for {}, expected {}",
                duration_text(age),
                duration_text(wanted)
            );
            let limit = if wanted.is_zero() { "0".to_owned() } else { duration_text(wanted) };
            let advice = format!("change it with `nats stream edit {stream} --max-age={limit}`");
            let is_lost = !age.is_zero() && age < limits::FLEET_ALIVE.max(wanted);
            match is_lost || (kept.is_none() && !age.is_zero()) {
                true => findings.failed(property, detail, &advice),
                false => findings.warning(property, detail, &advice),
            }
        }
        if config.get("storage").and_then(Value::as_str) != Some("file") {
            let detail = format!("{stream} is in memory: it is lost when the servers restart");
            let advice = "stop the mappers, delete it, and start them again: they create it";
            findings.failed(property, detail, advice);
        }
        if findings.0.len() == wrong {
            findings.ok(property, format!("{stream} exists"));
        }
        true
    }

    /// Reads the active rules, as mappers do.
    async fn check_rules(
        &self,
        store: &dyn FleetStore,
        bucket: &str,
        findings: &mut QueueFindings,
    ) -> Option<ActiveRecord> {
        let property = "permission to read rules";
        let subject = format!("$JS.API.STREAM.MSG.GET.KV_{bucket}");
        let entry = self.unless_refused(&[subject], store.read_rules(RuleKey::Active)).await;
        let advice = "allow this user of NATS the subject: a mapper without rules takes no events";
        match entry.map(|entry| entry.value) {
            Err(problem) => {
                findings.failed(property, problem, advice);
                None
            }
            Ok(None) => {
                let detail = "no rules yet: each mapper uses the plugin of its own settings";
                findings.ok(property, detail);
                None
            }
            Ok(Some(value)) => match ActiveRecord::parse(&value) {
                Ok(active) => {
                    findings.ok(property, format!("generation {} is active", active.generation));
                    Some(active)
                }
                Err(error) => {
                    let detail = format!("the active rules are not usable: {error}");
                    let advice = format!(
                        "delete the key `active` of the bucket {bucket}, and push rules again"
                    );
                    findings.failed(property, detail, &advice);
                    None
                }
            },
        }
    }

    /// Fetches the active component, as a mapper does that starts.
    async fn check_component(
        &self,
        store: &dyn FleetStore,
        bucket: &str,
        sha256: &str,
        findings: &mut QueueFindings,
    ) {
        let property = "permission to fetch plugins";
        let subjects = ["DIRECT.GET", "CONSUMER.CREATE", "STREAM.INFO"]
            .map(|request| format!("$JS.API.{request}.OBJ_{bucket}"));
        match self.unless_refused(&subjects, store.fetch_component(sha256)).await {
            Ok(Some(_)) => findings.ok(property, "the active plugin can be fetched"),
            Ok(None) => {
                let detail = format!("the object store does not have the active plugin {sha256}");
                let advice =
                    "push it again: mappers that start and do not contain it reject the rules";
                findings.warning(property, detail, advice);
            }
            Err(problem) => {
                let advice = "allow this user of NATS the subjects that the page about the rules of a fleet lists";
                findings.failed(property, problem, advice);
            }
        }
    }

    /// Tests whether this user can push: whether it may write rules, and store plugins.
    async fn check_push(&self, bucket: &str, is_mapper: bool, findings: &mut QueueFindings) {
        let subject = format!("$KV.{bucket}.{RULES_KEY}");
        let rules = match self.write_key(&subject, "").await {
            Ok(()) => self.write_key(&subject, DELETED).await,
            Err(refused) => Err(refused),
        };
        let plugins = self.store_object(bucket).await;
        for (action, result) in [("write rules", rules), ("store plugins", plugins)] {
            let property = format!("permission to {action}");
            match result {
                Ok(()) => findings.ok(&property, "`host fleet push` can do so"),
                Err(refused) if is_mapper && refused.is_denied => findings.ok(&property, NO_PUSHER),
                Err(refused) => {
                    let advice = "use another user of NATS for `host fleet push`, or allow this one to write to the buckets";
                    findings.warning(&property, refused.problem, advice);
                }
            }
        }
    }

    /// Stores an object, reads it, and deletes it.
    async fn store_object(&self, bucket: &str) -> Result<(), RefusedWrite> {
        let content = b"host check";
        let stored = async {
            let objects = self.context.get_object_store(bucket).await;
            let objects = objects.map_err(|error| error_chain(&error))?;
            let stored = objects.put(OBJECT, &mut &content[..]).await;
            let stored = stored.map_err(|error| error_chain(&error))?;
            let deleted = objects.delete(OBJECT).await;
            deleted.map_err(|error| error_chain(&error))?;
            match stored.size == content.len() {
                true => Ok(()),
                false => Err("an object was not stored whole".to_owned()),
            }
        };
        let subjects = [
            format!("$O.{bucket}."),
            format!("$JS.API.STREAM.PURGE.OBJ_{bucket}"),
            format!("$JS.API.DIRECT.GET.OBJ_{bucket}"),
        ];
        tokio::select! {
            stored = tokio::time::timeout(limits::REQUEST_TIMEOUT, stored) => {
                let stored = stored.unwrap_or_else(|_| Err(no_response()));
                stored.map_err(|problem| RefusedWrite { problem, is_denied: false })
            }
            problem = self.errors.refusal_under(&subjects) => {
                Err(RefusedWrite { problem, is_denied: true })
            }
        }
    }

    /// Writes a key of a bucket. `operation` is that of a deletion, or empty.
    async fn write_key(&self, subject: &str, operation: &str) -> Result<(), RefusedWrite> {
        let mut headers = HeaderMap::new();
        if !operation.is_empty() {
            headers.insert(OPERATION, operation);
        }
        let written = async {
            let subject = subject.to_owned();
            self.context.publish_with_headers(subject, headers, Bytes::new()).await?.await
        };
        tokio::select! {
            written = tokio::time::timeout(limits::REQUEST_TIMEOUT, written) => {
                let problem = match written {
                    Ok(Ok(_)) => return Ok(()),
                    Ok(Err(error)) => error_chain(&error),
                    Err(_) => no_response(),
                };
                Err(RefusedWrite { problem, is_denied: false })
            }
            problem = self.errors.refusal(subject) => {
                Err(RefusedWrite { problem, is_denied: true })
            }
        }
    }

    /// Returns the response, or why the server refuses requests with subjects that begin so: it responds to none.
    async fn unless_refused<T>(
        &self,
        subjects: &[String],
        request: impl Future<Output = Result<T, QueueError>>,
    ) -> Result<T, String> {
        tokio::select! {
            response = request => response.map_err(|error| error.to_string()),
            refusal = self.errors.refusal_under(subjects) => Err(refusal),
        }
    }
}

/// Why a write for a test had no effect.
struct RefusedWrite {
    problem: String,
    /// Whether the user has no permission.
    is_denied: bool,
}

fn no_response() -> String {
    format!("no response within {:?}", limits::REQUEST_TIMEOUT)
}

fn check_replicas(
    bucket: &FleetBucket,
    found: i64,
    expected: Option<i64>,
    findings: &mut QueueFindings,
) {
    let FleetBucket { property, stream, .. } = bucket;
    if let Some(expected) = expected
        && found < expected
    {
        let detail = format!(
            "{stream} has {found} replicas, and the stream of the queue has {expected}: rules can be lost with a server"
        );
        let advice = format!("change it with `nats stream edit {stream} --replicas={expected}`");
        findings.warning(property, detail, &advice);
    }
}

fn report(
    action: &str,
    result: Result<String, RefusedWrite>,
    advice: &str,
    findings: &mut QueueFindings,
) {
    let property = format!("permission to {action}");
    match result {
        Ok(detail) => findings.ok(&property, detail),
        Err(refused) => findings.failed(&property, refused.problem, advice),
    }
}
