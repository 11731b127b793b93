//! The administration of a stream in JetStream and its consumer, by its JSON API: what newer servers know of them stays
//! as it is, which would be lost through the client's types.

use async_nats::Client;
use async_nats::jetstream::context::{Context, ContextBuilder, RequestErrorKind};
use serde_json::{Value, json};

use super::difference::{
    CreatedPart, PartState, Property, compare_properties, has_open, mark_updated, update_config,
};
use super::finding::QueueFindings;
use super::permissions::NatsProbe;
use super::server_errors::ServerErrors;
use super::{QueueAdminError, StreamOptions, WhenDifferent, consumer, stream};
use crate::connect::nats_options;
use crate::nats::JetStreamQueue;
use crate::{ConnectQueueError, NatsSettings, QueueSettings, limits};
use standpipe_aws::JsonFields;
use standpipe_core::error_chain;
use standpipe_core::secret::SecretResolver;

/// JetStream's codes of errors that have advice of their own, from the server's `errors.json`.
pub(super) const STREAM_NOT_FOUND: u64 = 10059;
const CONSUMER_NOT_FOUND: u64 = 10014;
const NO_SUITABLE_PEERS: u64 = 10005;
const REPLICAS_WITHOUT_CLUSTER: u64 = 10074;
const SUBJECT_OVERLAP: u64 = 10065;
const STORAGE_EXCEEDED: u64 = 10047;
const ACCOUNT_EXCEEDED: u64 = 10002;
const NOT_ENABLED: [u64; 2] = [10039, 10076];

/// A stream and its consumer.
#[derive(Debug)]
pub(super) struct JetStreamAdmin {
    pub(super) context: Context,
    pub(super) settings: QueueSettings,
    pub(super) nats: NatsSettings,
    pub(super) errors: ServerErrors,
    queue: JetStreamQueue,
}

/// A refusal by JetStream, or a request without a response.
pub(super) struct ApiError {
    /// JetStream's code; 0 without a response.
    pub(super) code: u64,
    problem: String,
    advice: Option<&'static str>,
}

impl JetStreamAdmin {
    pub(super) async fn connect(
        settings: &QueueSettings,
        nats: &NatsSettings,
        secrets: &dyn SecretResolver,
    ) -> Result<Self, ConnectQueueError> {
        let errors = ServerErrors::new();
        let recorded = errors.clone();
        let options = nats_options(nats, secrets).await?.event_callback(move |event| {
            recorded.record(event);
            std::future::ready(())
        });
        let client: Client =
            options.connect(&nats.servers).await.map_err(ConnectQueueError::Nats)?;
        let context = ContextBuilder::new().timeout(limits::REQUEST_TIMEOUT).build(client.clone());
        let publisher = format!("check-{:016x}", client.server_info().client_id);
        let queue = JetStreamQueue::new(client, nats.clone(), settings.ack_wait, &publisher);
        let (settings, nats) = (settings.clone(), nats.clone());
        Ok(JetStreamAdmin { context, settings, nats, errors, queue })
    }

    pub(super) fn queue(&self) -> &JetStreamQueue {
        &self.queue
    }

    pub(super) async fn create(
        &self,
        options: &StreamOptions,
        when_different: WhenDifferent,
    ) -> Result<Vec<CreatedPart>, QueueAdminError> {
        let config = stream::stream_config(&self.nats, options);
        let stream = self.create_stream(&config, when_different).await?;
        let config = consumer::consumer_config(&self.nats, self.settings.ack_wait);
        let consumer = self.create_consumer(&config, when_different).await?;
        Ok(vec![stream, consumer])
    }

    async fn create_stream(
        &self,
        wanted: &Value,
        when_different: WhenDifferent,
    ) -> Result<CreatedPart, QueueAdminError> {
        let stream = &self.nats.stream;
        let name = format!("stream {stream}");
        let found = match self.request(&format!("STREAM.INFO.{stream}"), &json!({})).await {
            Ok(info) => info,
            Err(error) if error.code == STREAM_NOT_FOUND => {
                let created = self.request(&format!("STREAM.CREATE.{stream}"), wanted).await;
                created.map_err(|error| error.into_admin_error(format!("create {name}")))?;
                return Ok(CreatedPart { name, state: PartState::Created });
            }
            Err(error) => return Err(error.into_admin_error(format!("read {name}"))),
        };
        let update =
            async |config: Value| self.request(&format!("STREAM.UPDATE.{stream}"), &config).await;
        compare_part(name, stream::PROPERTIES, &found, wanted, when_different, update).await
    }

    async fn create_consumer(
        &self,
        wanted: &Value,
        when_different: WhenDifferent,
    ) -> Result<CreatedPart, QueueAdminError> {
        let NatsSettings { stream, consumer, .. } = &self.nats;
        let name = format!("consumer {consumer}");
        let found =
            match self.request(&format!("CONSUMER.INFO.{stream}.{consumer}"), &json!({})).await {
                Ok(info) => info,
                Err(error) if error.code == CONSUMER_NOT_FOUND => {
                    let created = self.write_consumer(wanted, "create").await;
                    created.map_err(|error| error.into_admin_error(format!("create {name}")))?;
                    return Ok(CreatedPart { name, state: PartState::Created });
                }
                Err(error) => return Err(error.into_admin_error(format!("read {name}"))),
            };
        let update = async |config: Value| self.write_consumer(&config, "update").await;
        compare_part(name, consumer::PROPERTIES, &found, wanted, when_different, update).await
    }

    async fn write_consumer(&self, config: &Value, action: &str) -> Result<Value, ApiError> {
        let NatsSettings { stream, consumer, .. } = &self.nats;
        // Permissions can depend on the filter, so it is a part of the subject.
        let filter = JsonFields::new(config).text("filter_subject");
        let filter = filter.map(|filter| format!(".{filter}")).unwrap_or_default();
        let request = json!({"stream_name": stream, "config": config, "action": action});
        self.request(&format!("CONSUMER.CREATE.{stream}.{consumer}{filter}"), &request).await
    }

    /// Reads the stream and the consumer back, and tests permissions.
    pub(super) async fn check(&self, findings: &mut QueueFindings) {
        let NatsSettings { stream, consumer, .. } = &self.nats;
        let server = self.context.client().server_info();
        findings.ok("connection", format!("NATS {} on {}", server.version, server.server_name));
        match self.request(&format!("STREAM.INFO.{stream}"), &json!({})).await {
            Ok(info) => stream::check_stream(&info, &self.nats, server.max_payload, findings),
            Err(error) => return error.add_to("stream", stream, findings),
        }
        match self.request(&format!("CONSUMER.INFO.{stream}.{consumer}"), &json!({})).await {
            Ok(info) => consumer::check_consumer(&info, &self.settings, &self.nats, findings),
            Err(error) => return error.add_to("consumer", consumer, findings),
        }
        let probe = NatsProbe {
            client: self.context.client(),
            settings: &self.settings,
            nats: &self.nats,
            errors: &self.errors,
        };
        probe.check(findings).await;
    }

    /// Sends a request to JetStream's API. A missing permission is known at once, and has no response.
    pub(super) async fn request(&self, subject: &str, payload: &Value) -> Result<Value, ApiError> {
        let whole = format!("$JS.API.{subject}");
        let response = tokio::select! {
            response = self.context.request::<_, _, Value>(subject.to_owned(), payload) => response,
            refusal = self.errors.refusal(&whole) => {
                let advice = Some("allow this user of NATS to publish to the subject, or use another user");
                return Err(ApiError { code: 0, problem: refusal, advice });
            }
        };
        let response = response.map_err(|error| {
            let advice = match error.kind() {
                RequestErrorKind::NoResponders => {
                    "enable JetStream on the NATS servers, and for this account"
                }
                RequestErrorKind::TimedOut => {
                    "check that most servers of the cluster run and reach each other"
                }
                _ => "check [queue] servers",
            };
            ApiError { code: 0, problem: error_chain(&error), advice: Some(advice) }
        })?;
        match read_refusal(&response) {
            Some(error) => Err(error),
            None => Ok(response),
        }
    }
}

/// Compares what exists with what it should be, and updates it if that is requested.
async fn compare_part(
    name: String,
    properties: &[Property],
    found: &Value,
    wanted: &Value,
    when_different: WhenDifferent,
    update: impl AsyncFnOnce(Value) -> Result<Value, ApiError>,
) -> Result<CreatedPart, QueueAdminError> {
    let config = found.get("config").unwrap_or(&Value::Null);
    let mut differences = compare_properties(properties, config, wanted);
    if when_different == WhenDifferent::Update && has_open(&differences) {
        let updated = update(update_config(properties, config, wanted)).await;
        updated.map_err(|error| error.into_admin_error(format!("update {name}")))?;
        mark_updated(&mut differences);
    }
    Ok(CreatedPart { name, state: PartState::Existing(differences) })
}

/// Reads the error of a response of JetStream's API.
fn read_refusal(response: &Value) -> Option<ApiError> {
    let error = JsonFields::new(response).object("error")?;
    let code = response["error"]["err_code"].as_u64().unwrap_or(0);
    let problem = error.text("description").unwrap_or("an error without a description");
    Some(ApiError { code, problem: format!("{problem} ({code})"), advice: advice_of(code) })
}

fn advice_of(code: u64) -> Option<&'static str> {
    match code {
        STREAM_NOT_FOUND | CONSUMER_NOT_FOUND => Some("create it with `host queue create`"),
        REPLICAS_WITHOUT_CLUSTER => Some(
            "the server is not part of a cluster: pass --replicas 1 for tests, or set up a cluster of three servers",
        ),
        NO_SUITABLE_PEERS => Some(
            "the cluster has too few servers, or their disks have too little space: pass a lower number with --replicas, \
             or add servers",
        ),
        SUBJECT_OVERLAP => Some(
            "another stream has the subject: set another name as [queue] stream, or change that stream",
        ),
        STORAGE_EXCEEDED | ACCOUNT_EXCEEDED => Some(
            "the account or the server allows no more: raise its limits, or pass a lower --max-bytes",
        ),
        code if NOT_ENABLED.contains(&code) => {
            Some("enable JetStream on the NATS servers, and for this account")
        }
        _ => None,
    }
}

impl ApiError {
    fn into_admin_error(self, action: String) -> QueueAdminError {
        QueueAdminError { action, problem: self.problem, advice: self.advice.map(str::to_owned) }
    }

    pub(super) fn add_to(self, part: &str, name: &str, findings: &mut QueueFindings) {
        let advice = self.advice.unwrap_or("check [queue], and the log of the NATS servers");
        findings.failed(part, format!("{name}: {}", self.problem), advice);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn refusals_have_advice() {
        let response = json!({"error": {"code": 500, "err_code": 10074, "description": "replicas > 1 not supported"}});
        let error = read_refusal(&response).unwrap().into_admin_error("create stream s".to_owned());
        let text = error.to_string();
        assert!(
            text.starts_with("failed to create stream s: replicas > 1 not supported (10074): "),
            "{text}"
        );
        assert!(text.contains("--replicas 1"), "{text}");
        assert!(read_refusal(&json!({"config": {}})).is_none());
        let unknown = read_refusal(&json!({"error": {}})).unwrap();
        assert_eq!((unknown.code, unknown.advice), (0, None));
    }

    proptest! {
        #[test]
        fn no_response_makes_it_panic(text in "\\PC{0,40}", code in any::<u64>()) {
            let _ = read_refusal(&json!({"error": {"err_code": code, "description": text}}));
            let _ = read_refusal(&json!({"error": {"err_code": text, "description": code}}));
            let _ = read_refusal(&json!({"error": text}));
            if let Ok(value) = serde_json::from_str::<Value>(&text) {
                let _ = read_refusal(&value);
            }
        }
    }
}
