//! Limits that this crate enforces, each with its unit and its source.

use std::time::Duration;

use standpipe_core::backoff::{Backoff, Jitter};

/// Bytes of a message in Amazon SQS, according to its documentation since August 2025. A queue can have a lower limit.
pub const SQS_MESSAGE_BYTES_MAX: usize = 1024 * 1024;

/// Messages in one request to Amazon SQS, according to its documentation.
pub const SQS_BATCH_MESSAGES_MAX: usize = 10;

/// How long one request to Amazon SQS waits for messages. Each request costs money, and Amazon SQS allows up to 20
/// seconds; but a mapper that stops waits for this request.
pub const SQS_WAIT: Duration = Duration::from_secs(1);

/// Bytes of messages that Amazon SQS bills as one request, according to its price list: a request with more messages or
/// larger ones is billed for each part of this size.
pub const SQS_BILLED_BYTES: usize = 64 * 1024;

/// The longest time for which Amazon SQS hides a received message, counted from the receipt.
pub const SQS_VISIBILITY_MAX: Duration = Duration::from_secs(12 * 60 * 60);

/// How long Amazon SQS keeps a message at most, which queues are created with.
pub const SQS_RETENTION_MAX: Duration = Duration::from_secs(14 * 24 * 60 * 60);

/// A shorter time than this is a mistake: mappers that stop for a weekend, or for a day without anybody to notice,
/// would lose events.
pub const SQS_RETENTION_MIN: Duration = Duration::from_secs(3 * 24 * 60 * 60);

/// The most receptions after which Amazon SQS moves a message to a dead-letter queue, according to its documentation.
pub const SQS_RECEIVES_MAX: u32 = 1000;

/// Fewer receptions than this are a mistake: each mapper that ends while it has a message uses one up.
pub const SQS_RECEIVES_MIN: u32 = 50;

/// How long JetStream recognizes a message that is published twice: the server's own default. A publisher tries again
/// within seconds.
pub const NATS_DUPLICATE_WINDOW: Duration = Duration::from_secs(2 * 60);

/// Messages that all mappers together can hold in JetStream: more than 500 mappers with the default of `prefetch`. The
/// servers keep some bytes for each.
pub const NATS_UNACKNOWLEDGED_MESSAGES_MAX: usize = 20_000;

/// The shortest age at which a stream may delete messages: less than an outage takes.
pub const NATS_AGE_MIN: Duration = Duration::from_secs(60 * 60);

/// Replicas of a stream in JetStream, according to its documentation.
pub const NATS_REPLICAS_MAX: usize = 5;

/// How long a server of a stream may be silent before it counts as down: servers exchange heartbeats each second.
pub const NATS_SILENCE_MAX: Duration = Duration::from_secs(5);

/// How long a check waits for the refusal of something to which a NATS server does not respond.
pub const NATS_REFUSAL_WAIT: Duration = Duration::from_millis(100);

/// Bytes of a message in JetStream if the server reports no limit: the default of `max_payload`.
pub const NATS_MESSAGE_BYTES_MAX: usize = 1024 * 1024;

/// Bytes that headers and the protocol add to a NATS message: an upper bound.
pub const NATS_HEADER_BYTES: usize = 1024;

/// How long one request to JetStream waits for a message. A mapper that stops waits for this request, so that no
/// message is delivered to a mapper that is gone.
pub const NATS_WAIT: Duration = Duration::from_millis(500);

/// The time for the next message of a request to JetStream, in addition to the time that the request waits: enough for
/// the largest message on a slow network. It is short, since a server that is gone sends no response.
pub const NATS_RESPONSE_TIMEOUT: Duration = Duration::from_secs(5);

/// How often the client of NATS checks its connection. It connects to another server when three checks in a row have no
/// response.
pub const NATS_PING_INTERVAL: Duration = Duration::from_secs(5);

/// Bytes of a message after decompression: the longest event, and room for the head of an entry. A larger message is
/// unreadable.
pub const MESSAGE_CONTENT_BYTES_MAX: usize = standpipe_core::limits::EVENT_BYTES_MAX + 1024 * 1024;

/// The time for one request to a queue, in addition to the time that the request waits for messages.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// Bytes of messages that a publisher holds until they are published and confirmed. If mappers are further behind, the
/// collector's spool holds the events.
pub const UNCONFIRMED_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Bytes that each message takes of them at least, so that the number of messages is limited too: to 8,192.
pub const UNCONFIRMED_MESSAGE_BYTES_MIN: usize = 8 * 1024;

/// The pauses between attempts of a request.
pub const RETRY: Backoff =
    Backoff::new(Duration::from_millis(100), Duration::from_secs(5), Jitter::Half);

/// How long a confirmation may take to its publisher after the message was removed from the queue.
pub const CONFIRMATION_PATIENCE: Duration = Duration::from_secs(1);

/// How often the time until a lost message is looked for doubles: with `ack_wait` of a minute, up to an hour.
pub const DOUBLINGS_MAX: u32 = 6;

/// How long a mapper that stops waits for its last acknowledgements. The queue delivers other messages again.
pub const LAST_ACKNOWLEDGEMENTS_PATIENCE: Duration = Duration::from_secs(3);

/// How long requests may fail before a process reports that it has lost its queue.
pub const LINK_PATIENCE: Duration = Duration::from_secs(10);

/// The time between two log lines about failing requests.
pub const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// Ids of messages that a mapper remembers after it has acknowledged them, to recognize messages that are delivered
/// again. Each takes some 100 bytes.
pub const REMEMBERED_MESSAGES_MAX: usize = 65_536;

/// Events that a mapper remembers to recognize duplicates, if the settings say so. A hash table of 2^21 places takes half
/// of them, with 17 bytes for each place, so that they take 71 MB at most. A mapper that processes 3,000 events a second
/// has filled one of the two tables after 10 minutes.
pub const REMEMBERED_EVENTS_MAX: usize = 2 * (1 << 21) / 8 * 7;

/// Messages in one request to acknowledge, extend or release.
pub const ACKNOWLEDGED_TOGETHER_MAX: usize = 256;

/// Requests to acknowledge or release messages that wait for their responses at the same time: a few, so that a server
/// that does not respond to one delays no other.
pub const ACKNOWLEDGING_REQUESTS_MAX: usize = 8;

/// How often a process reads how much the queue contains, for its metrics.
pub const STATUS_INTERVAL: Duration = Duration::from_secs(10);

/// Bytes of the settings of a plugin that a fleet gets. The record of the active rules has up to three of them, in which
/// quotes take two bytes each, and must fit into a message of NATS: by default 1 MiB.
pub const FLEET_SETTINGS_BYTES_MAX: usize = 128 * 1024;

/// Bytes of a detached signature: four short lines.
pub const FLEET_SIGNATURE_BYTES_MAX: usize = 4096;

/// Bytes of any other text in a record of a fleet, such as the reason of a rejection. Longer texts are cut.
pub const FLEET_TEXT_BYTES_MAX: usize = 2048;

/// Bytes of a record of rules.
pub const FLEET_RULES_BYTES_MAX: usize = 896 * 1024;

/// Bytes of the record of a host: four texts, in which each byte can take six.
pub const FLEET_HOST_BYTES_MAX: usize = 64 * 1024;

/// Hosts of a fleet. Each is a key, and all are read together.
pub const FLEET_HOSTS_MAX: usize = 1024;

/// Bytes of the name of a host: that of a machine has up to 64, according to Linux.
pub const FLEET_NAME_BYTES_MAX: usize = 64;

/// The highest generation: the largest integer that every reader of JSON takes exactly.
pub const FLEET_GENERATION_MAX: u64 = 1 << 53;

/// Bytes of a component: those of a file that `host run` loads.
pub const FLEET_COMPONENT_BYTES_MAX: usize = 64 * 1024 * 1024;

/// How often a host reports that it is alive, and reads the rules although it would be notified of changes.
pub const FLEET_HEARTBEAT: Duration = Duration::from_secs(1);

/// How long a host maps events without contact to its fleet. It must be shorter than [`FLEET_ALIVE`]: a vote that does
/// not wait for a host may make rules active that the host does not know, and by then the host must have stopped.
pub const FLEET_CONTACT_PATIENCE: Duration = Duration::from_secs(5);

/// How long a host counts as alive after it has reported: no vote ends without it until then.
pub const FLEET_ALIVE: Duration = Duration::from_secs(6);

/// How long the state of a host that is gone is shown.
pub const FLEET_HOST_KEPT: Duration = Duration::from_secs(60 * 60);

/// The time for one request about a record of a fleet, which has some kilobytes: much shorter than
/// [`FLEET_WRITE_PATIENCE`], so that several attempts fit in.
pub const FLEET_REQUEST_TIMEOUT: Duration = Duration::from_secs(3);

/// How long a command tries to write a record. A cluster of NATS servers has a new leader some seconds after it has
/// lost one.
pub const FLEET_WRITE_PATIENCE: Duration = Duration::from_secs(20);

/// How often a command looks whether hosts have voted, or have loaded rules.
pub const FLEET_POLL: Duration = Duration::from_millis(50);

/// How long a command waits until hosts have loaded rules that are active. Hosts that take longer are named.
pub const FLEET_LOADED_PATIENCE: Duration = Duration::from_secs(5);

/// The pauses before a host tries again to load rules that it could not load.
pub const FLEET_RETRY: Backoff =
    Backoff::new(Duration::from_millis(500), Duration::from_secs(30), Jitter::Half);

/// How often a receiver of messages looks whether it may receive again.
pub const GATE_POLL: Duration = Duration::from_millis(20);

/// Changes of rules that wait for a host to look at them. Each is read again from the store if it is lost.
pub const FLEET_CHANGES_MAX: usize = 64;

/// How long a host takes to fetch a component: 64 MiB at 1 MiB a second.
pub const FLEET_FETCH_TIMEOUT: Duration = Duration::from_secs(60);

/// How long a host waits for the response to a report. It reports again afterwards, so that it has contact soon after
/// NATS responds again.
pub const FLEET_REPORT_TIMEOUT: Duration = Duration::from_secs(2);

/// How long a component that nothing names stays in the object store. A push stores its component, or dates it anew,
/// before its candidate names it: between the two are some requests, with their time limits less than a minute.
pub const FLEET_COMPONENT_KEPT: Duration = Duration::from_secs(60 * 60);
