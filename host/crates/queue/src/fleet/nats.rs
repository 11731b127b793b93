//! What a fleet shares, in JetStream: two key-value buckets, and an object store for components.
//!
//! The rules are in one bucket, the states of hosts in another one, whose entries expire: hosts come and go. Keys have
//! dots, since the wildcards of NATS match between dots.

use std::collections::BTreeSet;
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_nats::jetstream::context::{Context, ContextBuilder, GetStreamErrorKind};
use async_nats::jetstream::kv::{self, UpdateErrorKind};
use async_nats::jetstream::object_store::{self, ObjectStore};
use async_nats::jetstream::stream::{LastRawMessageErrorKind, StorageType};
use async_nats::{HeaderMap, jetstream};
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::components::ComponentStore;
use super::settings::FleetSettings;
use super::store::{FleetStore, HostEntry, RuleEntry, RuleKey, StoreUpdate};
use super::stream_subjects::{read_subjects, transient_error};
use crate::connect::connect_nats;
use crate::{ConnectQueueError, QueueError, QueueErrorKind, QueueFuture, limits};
use standpipe_core::error_chain;
use standpipe_core::secret::SecretResolver;

/// Writes of a record of rules that the bucket keeps, for people who look into it.
const RULES_HISTORY: i64 = 16;

/// Requests for the states of hosts at a time.
const HOST_REQUESTS_MAX: usize = 32;

/// The prefix of the keys of hosts.
const HOSTS: &str = "hosts.";

/// The header that marks a removed key, and its values.
const OPERATION: &str = "KV-Operation";

/// The buckets of a fleet, once they are open.
struct JetStreamFleet {
    context: Context,
    rules: kv::Store,
    hosts: kv::Store,
    components: ComponentStore,
}

/// Connects to the fleet of the settings, and creates its buckets if they are missing. They have as many replicas as
/// the stream of the queue.
///
/// The connection is not that of the queue: a change of the rules would wait behind megabytes of messages.
///
/// # Errors
///
/// A setting does not work, or NATS does not respond.
pub async fn connect_fleet(
    settings: &FleetSettings,
    secrets: &dyn SecretResolver,
) -> Result<Arc<dyn FleetStore>, ConnectQueueError> {
    let client = connect_nats(&settings.nats, secrets).await?;
    let context = ContextBuilder::new()
        .timeout(limits::REQUEST_TIMEOUT)
        .ack_timeout(limits::REQUEST_TIMEOUT)
        .build(client);
    let opened = in_time("open the buckets of the fleet", open_buckets(context, settings)).await;
    Ok(Arc::new(opened.map_err(ConnectQueueError::Fleet)?))
}

/// Opens the buckets of a fleet, all of which exist.
pub(crate) async fn open_fleet(
    context: Context,
    settings: &FleetSettings,
) -> Result<Arc<dyn FleetStore>, QueueError> {
    let opened = in_time("open the buckets of the fleet", open_buckets(context, settings)).await;
    Ok(Arc::new(opened?))
}

async fn open_buckets(
    context: Context,
    settings: &FleetSettings,
) -> Result<JetStreamFleet, QueueError> {
    let FleetSettings { bucket, nats, .. } = settings;
    let replicas = queue_replicas(&context, &nats.stream).await?;
    let rules = kv::Config {
        bucket: bucket.clone(),
        description: "Standpipe: the rules of a fleet".to_owned(),
        history: RULES_HISTORY,
        storage: StorageType::File,
        num_replicas: replicas,
        ..kv::Config::default()
    };
    let hosts = kv::Config {
        bucket: format!("{bucket}-hosts"),
        description: "Standpipe: the hosts of a fleet".to_owned(),
        history: 1,
        max_age: limits::FLEET_HOST_KEPT,
        storage: StorageType::File,
        num_replicas: replicas,
        ..kv::Config::default()
    };
    Ok(JetStreamFleet {
        rules: open_key_value(&context, rules).await?,
        hosts: open_key_value(&context, hosts).await?,
        components: {
            let objects = open_object_store(&context, bucket, replicas).await?;
            ComponentStore::open(context.clone(), bucket.clone(), objects).await?
        },
        context,
    })
}

/// The replicas of the queue's stream: a fleet needs its rules as much as its messages. One if there is no stream yet.
async fn queue_replicas(context: &Context, stream: &str) -> Result<usize, QueueError> {
    match context.get_stream(stream).await {
        Ok(stream) => Ok(stream.cached_info().config.num_replicas),
        Err(error) if is_missing(&error.kind()) => Ok(1),
        Err(error) => Err(transient_error("Stream", &error)),
    }
}

fn is_missing(kind: &GetStreamErrorKind) -> bool {
    matches!(kind, GetStreamErrorKind::JetStream(error)
        if error.error_code() == jetstream::ErrorCode::STREAM_NOT_FOUND)
}

/// Opens a bucket; creates it first, unless it is there. Many hosts may do so at the same time.
async fn open_key_value(context: &Context, config: kv::Config) -> Result<kv::Store, QueueError> {
    let bucket = config.bucket.clone();
    let opened = context.get_key_value(&bucket).await;
    let Err(error) = opened else { return opened.map_err(|error| cannot_open(&bucket, &error)) };
    if !is_stream_missing(&error) {
        return Err(cannot_open(&bucket, &error));
    }
    match context.create_key_value(config).await {
        Ok(store) => Ok(store),
        Err(error) => {
            // Another host may have created it meanwhile.
            let opened = context.get_key_value(&bucket).await;
            opened.map_err(|_| cannot_open(&bucket, &error))
        }
    }
}

async fn open_object_store(
    context: &Context,
    bucket: &str,
    replicas: usize,
) -> Result<ObjectStore, QueueError> {
    let opened = context.get_object_store(bucket).await;
    let Err(error) = opened else { return opened.map_err(|error| cannot_open(bucket, &error)) };
    if !is_stream_missing(&error) {
        return Err(cannot_open(bucket, &error));
    }
    let config = object_store::Config {
        bucket: bucket.to_owned(),
        description: Some("Standpipe: the plugins of a fleet".to_owned()),
        storage: StorageType::File,
        num_replicas: replicas,
        ..object_store::Config::default()
    };
    match context.create_object_store(config).await {
        Ok(store) => Ok(store),
        Err(error) => {
            let opened = context.get_object_store(bucket).await;
            opened.map_err(|_| cannot_open(bucket, &error))
        }
    }
}

/// Whether an error is due to a stream that does not exist.
fn is_stream_missing(error: &(dyn Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        let stream = error.downcast_ref::<jetstream::context::GetStreamError>();
        if stream.is_some_and(|error| is_missing(&error.kind())) {
            return true;
        }
        cause = error.source();
    }
    false
}

fn cannot_open(bucket: &str, error: &(dyn Error + 'static)) -> QueueError {
    let message = format!(
        "failed to open or create the bucket {bucket:?} of the fleet: {}: check that JetStream is on and that this user of NATS may create streams",
        error_chain(error)
    );
    QueueError::new(QueueErrorKind::Hold, "Bucket", message)
}

impl JetStreamFleet {
    /// Reads the last message of a subject from the leader: another replica may be behind.
    async fn last_of(
        &self,
        store: &kv::Store,
        key: &str,
    ) -> Result<Option<LatestMessage>, QueueError> {
        let subject = format!("{}{key}", store.prefix);
        match store.stream.get_last_raw_message_by_subject(&subject).await {
            Ok(message) => {
                let is_removed = is_removed(&message.headers);
                let value = (!is_removed).then_some(message.payload);
                Ok(Some(LatestMessage {
                    revision: message.sequence,
                    value,
                    time: SystemTime::from(message.time),
                }))
            }
            Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(None),
            Err(error) => Err(transient_error("Get", &error)),
        }
    }

    async fn latest_rules(&self, key: RuleKey) -> Result<RuleEntry, QueueError> {
        let latest = self.last_of(&self.rules, key.name()).await?;
        let (revision, value) =
            latest.map_or((0, None), |LatestMessage { revision, value, .. }| (revision, value));
        Ok(RuleEntry { key, revision, value })
    }

    async fn latest_hosts(&self) -> Result<Vec<HostEntry>, QueueError> {
        let filter = format!("{}{HOSTS}>", self.hosts.prefix);
        let listed = read_subjects(&self.context, &self.hosts.stream_name, &filter).await?;
        let now = listed.time()?;
        let names = listed
            .subjects()
            .filter_map(|subject| subject.strip_prefix(&self.hosts.prefix)?.strip_prefix(HOSTS));
        let names: Vec<_> = names.map(str::to_owned).collect();
        if names.len() > limits::FLEET_HOSTS_MAX {
            let message = format!(
                "the bucket {} has {} hosts, and the limit is {}: delete keys of hosts that are gone, or use several fleets",
                self.hosts.name,
                names.len(),
                limits::FLEET_HOSTS_MAX
            );
            return Err(QueueError::new(QueueErrorKind::Hold, "Hosts", message));
        }
        let read = |name: String| async move {
            let latest = self.last_of(&self.hosts, &host_key(&name)).await?;
            let entry = latest.and_then(|LatestMessage { revision, value, time }| {
                let age = now.duration_since(time).unwrap_or_default();
                Some(HostEntry { name, revision, value: value?, age })
            });
            Ok::<_, QueueError>(entry)
        };
        let mut entries: Vec<_> = stream::iter(names.into_iter().map(read))
            .buffer_unordered(HOST_REQUESTS_MAX)
            .try_filter_map(|entry| async { Ok(entry) })
            .try_collect()
            .await?;
        entries.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(entries)
    }
}

impl FleetStore for JetStreamFleet {
    fn read_rules(&self, key: RuleKey) -> QueueFuture<'_, RuleEntry> {
        Box::pin(in_short_time("read the rules of the fleet", self.latest_rules(key)))
    }

    fn update_rules(
        &self,
        key: RuleKey,
        value: Bytes,
        revision: u64,
    ) -> QueueFuture<'_, StoreUpdate> {
        Box::pin(in_short_time("write the rules of the fleet", async move {
            update_key(&self.rules, key.name(), value, revision).await
        }))
    }

    fn watch_rules(&self) -> QueueFuture<'_, mpsc::Receiver<RuleEntry>> {
        Box::pin(in_time("watch the rules of the fleet", async {
            let keys = [RuleKey::Active, RuleKey::Candidate].map(RuleKey::name);
            let watch = self.rules.watch_many_with_history(keys).await;
            let watch = watch.map_err(|error| transient_error("Watch", &error))?;
            let (sender, receiver) = mpsc::channel(limits::FLEET_CHANGES_MAX);
            tokio::spawn(forward_changes(watch, sender));
            Ok(receiver)
        }))
    }

    fn write_host<'a>(
        &'a self,
        name: &'a str,
        value: Bytes,
        revision: u64,
    ) -> QueueFuture<'a, StoreUpdate> {
        Box::pin(in_short_time("report to the fleet", async move {
            update_key(&self.hosts, &host_key(name), value, revision).await
        }))
    }

    fn read_host<'a>(&'a self, name: &'a str) -> QueueFuture<'a, (u64, Option<Bytes>)> {
        Box::pin(in_short_time("read the state of a host", async move {
            let latest = self.last_of(&self.hosts, &host_key(name)).await?;
            Ok(latest.map_or((0, None), |LatestMessage { revision, value, .. }| (revision, value)))
        }))
    }

    fn remove_host<'a>(&'a self, name: &'a str) -> QueueFuture<'a, ()> {
        Box::pin(in_time("leave the fleet", async move {
            let removed = self.hosts.delete(host_key(name)).await;
            removed.map_err(|error| transient_error("Delete", &error))
        }))
    }

    fn read_hosts(&self) -> QueueFuture<'_, Vec<HostEntry>> {
        Box::pin(in_short_time("read the hosts of the fleet", self.latest_hosts()))
    }

    fn put_component<'a>(&'a self, sha256: &'a str, component: Bytes) -> QueueFuture<'a, ()> {
        // Not limited in time as a whole: each of its requests is.
        Box::pin(async move { self.components.store(sha256, &component).await })
    }

    fn fetch_component<'a>(&'a self, sha256: &'a str) -> QueueFuture<'a, Option<Bytes>> {
        Box::pin(async move {
            let fetched = timeout(limits::FLEET_FETCH_TIMEOUT, self.components.fetch(sha256)).await;
            fetched.unwrap_or_else(|_| {
                Err(timeout_error("fetch a component", limits::FLEET_FETCH_TIMEOUT))
            })
        })
    }

    fn delete_components<'a>(
        &'a self,
        named: &'a BTreeSet<String>,
        age_min: Duration,
    ) -> QueueFuture<'a, Vec<String>> {
        let deleted = self.components.delete_unnamed(named, age_min);
        Box::pin(in_time("delete old components", deleted))
    }
}

impl fmt::Debug for JetStreamFleet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JetStreamFleet").field("bucket", &self.rules.name).finish_non_exhaustive()
    }
}

impl RuleKey {
    fn name(self) -> &'static str {
        match self {
            RuleKey::Active => "active",
            RuleKey::Candidate => "candidate",
        }
    }

    fn of_name(name: &str) -> Option<Self> {
        [RuleKey::Active, RuleKey::Candidate].into_iter().find(|key| key.name() == name)
    }
}

/// The last message of a key.
struct LatestMessage {
    revision: u64,
    /// None if the key was removed.
    value: Option<Bytes>,
    time: SystemTime,
}

fn host_key(name: &str) -> String {
    format!("{HOSTS}{name}")
}

fn is_removed(headers: &HeaderMap) -> bool {
    headers.get(OPERATION).is_some_and(|operation| operation.as_str() != "PUT")
}

async fn update_key(
    store: &kv::Store,
    key: &str,
    value: Bytes,
    revision: u64,
) -> Result<StoreUpdate, QueueError> {
    match store.update(key, value, revision).await {
        Ok(revision) => Ok(StoreUpdate::Written(revision)),
        Err(error) if error.kind() == UpdateErrorKind::WrongLastRevision => {
            Ok(StoreUpdate::Conflict)
        }
        Err(error) => Err(transient_error("Update", &error)),
    }
}

/// Forwards changes until the watch fails or nobody listens.
async fn forward_changes(mut watch: kv::Watch, sender: mpsc::Sender<RuleEntry>) {
    loop {
        let change = tokio::select! {
            change = watch.next() => change,
            () = sender.closed() => return,
        };
        let Some(Ok(kv::Entry { key, value, revision, operation, .. })) = change else {
            return;
        };
        let Some(key) = RuleKey::of_name(&key) else { continue };
        let value = (operation == kv::Operation::Put).then_some(value);
        if sender.send(RuleEntry { key, revision, value }).await.is_err() {
            return;
        }
    }
}

/// Limits a request about a record in time. A server that is gone sends no response, and another attempt soon succeeds.
async fn in_short_time<T>(
    action: &str,
    request: impl Future<Output = Result<T, QueueError>>,
) -> Result<T, QueueError> {
    let done = timeout(limits::FLEET_REQUEST_TIMEOUT, request).await;
    done.unwrap_or_else(|_| Err(timeout_error(action, limits::FLEET_REQUEST_TIMEOUT)))
}

/// Limits a request in time: without a connection, the client queues requests for an unlimited time.
async fn in_time<T>(
    action: &str,
    request: impl Future<Output = Result<T, QueueError>>,
) -> Result<T, QueueError> {
    let done = timeout(limits::REQUEST_TIMEOUT, request).await;
    done.unwrap_or_else(|_| Err(timeout_error(action, limits::REQUEST_TIMEOUT)))
}

fn timeout_error(action: &str, limit: Duration) -> QueueError {
    let message = format!("failed to {action}: no response within {limit:?}");
    QueueError::new(QueueErrorKind::Transient, "Timeout", message)
}
