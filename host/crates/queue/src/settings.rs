//! The settings of the queue between collectors and mappers: `[queue]`.

use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::QueueUrl;
use standpipe_aws::AwsSettings;
use standpipe_core::secret::{Secret, SecretSetting};
use standpipe_core::settings::TableChecker;

/// The time after which a message is handed out again, unless the settings say otherwise. Messages whose events
/// take longer are extended.
const ACK_WAIT: Duration = Duration::from_secs(60);

/// The shortest such time: extending takes a third of it.
const ACK_WAIT_MIN: Duration = Duration::from_secs(5);

/// The longest such time; a mapper that ends without a word blocks its messages for so long.
const ACK_WAIT_MAX: Duration = Duration::from_secs(60 * 60);

/// Messages that a mapper holds at most, unless the settings say otherwise.
const PREFETCH: usize = 32;

/// The most that the settings can say: each message has about 256 KiB of events.
const PREFETCH_MAX: usize = 1024;

/// How long a collector waits before it publishes a message that is not full, unless the settings say otherwise.
const MAX_DELAY: Duration = Duration::from_millis(100);

/// The same without a spool: clients wait for their responses.
const MAX_DELAY_WITHOUT_SPOOL: Duration = Duration::from_millis(10);

/// The longest such time.
const MAX_DELAY_MAX: Duration = Duration::from_secs(10);

/// The limits of the time for which a mapper recognizes duplicates. SDKs repeat requests within seconds to hours, and what
/// a mapper remembers is limited anyway.
const DEDUPLICATION_WINDOW_MIN: Duration = Duration::from_secs(1);
const DEDUPLICATION_WINDOW_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// Bytes of a name of a stream or a consumer in JetStream, as its documentation recommends.
const NAME_BYTES_MAX: usize = 32;

/// Names of the stream and of its consumer in JetStream, unless the settings say otherwise.
const STREAM: &str = "standpipe";
const CONSUMER: &str = "standpipe-mappers";

/// The queue between collectors, which receive events, and mappers, which deliver them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawQueue {
    /// The queue: `"nats"` for NATS JetStream, or `"sqs"` for Amazon SQS.
    #[schemars(example = &"nats")]
    pub kind: String,
    /// What this process does: `"collector"` publishes events to the queue, `"mapper"` receives events from the queue
    /// and delivers them, `"both"` does both.
    #[schemars(example = &"collector")]
    pub role: String,
    /// URLs of NATS servers, such as `nats://nats-1.example:4222` or `tls://nats.example:4222`.
    #[schemars(example = ["nats://127.0.0.1:4222"])]
    pub servers: Option<Vec<String>>,
    /// The stream in JetStream. Default: `standpipe`.
    #[schemars(example = &"standpipe")]
    pub stream: Option<String>,
    /// The durable consumer that all mappers share. Default: `standpipe-mappers`.
    #[schemars(example = &"standpipe-mappers")]
    pub consumer: Option<String>,
    /// File with the credentials of a NATS user (`.creds`).
    #[schemars(example = &"/etc/standpipe/nats.creds")]
    pub credentials_file: Option<PathBuf>,
    /// NATS user. Requires `password`.
    pub user: Option<String>,
    /// Password of `user`.
    pub password: Option<Secret>,
    /// NATS token.
    pub token: Option<Secret>,
    /// File with the certificates of authorities to trust, in addition to those of the system.
    #[schemars(example = &"/etc/standpipe/nats-ca.pem")]
    pub ca_file: Option<PathBuf>,
    /// When a collector deletes events from its spool: `"until-processed"` (the default) when a mapper has confirmed
    /// that they are delivered, filtered or dead letters; `"until-stored"` when JetStream has stored them.
    #[schemars(example = &"until-processed")]
    pub custody: Option<String>,
    /// Whether a collector stores events in its spool until the queue has them. `"on"` is the default. With `"off"`, a
    /// collector needs no disk: a request gets status 200 when the queue has stored its events, and status 503 if the
    /// queue does not store them in time. `"off"` requires Amazon SQS, or `custody = "until-stored"`.
    #[schemars(example = &"on")]
    pub spool: Option<String>,
    /// How long a collector waits for further events of a source before it publishes a message that is not full, 0 to 10
    /// seconds. Default: 100 milliseconds, or 10 milliseconds with `spool = "off"`. Fewer messages cost less.
    #[schemars(example = &"100ms")]
    pub max_delay: Option<String>,
    /// The URL of the queue in Amazon SQS.
    #[schemars(example = &"https://sqs.eu-central-1.amazonaws.com/111122223333/standpipe")]
    pub url: Option<String>,
    /// The time after which the queue delivers an unacknowledged message again, 5 seconds to 1 hour. Default: 60
    /// seconds. Mappers extend this time while they work on a message.
    #[schemars(example = &"60s")]
    pub ack_wait: Option<String>,
    /// Maximum number of messages that a mapper has received and not started yet, 1 to 1024. Default: 32. A message
    /// contains about 256 KiB of events before compression.
    #[schemars(example = 32)]
    pub prefetch: Option<usize>,
    /// The time for which a mapper remembers the `messageId` of events that it has delivered or filtered, 1 second to 24
    /// hours. It drops further events of the source with the same `messageId`. Default: mappers drop no events.
    #[schemars(example = &"10m")]
    pub deduplication_window: Option<String>,
}

/// The queue that a process uses, and what for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueSettings {
    /// Whether it puts events into the queue, takes them out, or both.
    pub role: QueueRole,
    /// The queue.
    pub kind: QueueKind,
    /// The time after which the queue delivers an unacknowledged message again.
    pub ack_wait: Duration,
    /// The maximum number of messages that wait to be processed.
    pub prefetch: usize,
    /// The time for which a mapper recognizes events that it has processed, if it does.
    pub deduplication_window: Option<Duration>,
    has_spool: bool,
    /// How long a collector waits before it publishes a message that is not full.
    pub max_delay: Duration,
}

/// What a process does with the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueueRole {
    /// It puts events into the queue.
    Collector,
    /// It takes events from the queue, and delivers them.
    Mapper,
    /// It does both.
    Both,
}

/// A queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum QueueKind {
    /// A stream of NATS JetStream.
    Nats(NatsSettings),
    /// A queue of Amazon SQS.
    Sqs(SqsSettings),
}

/// A queue of Amazon SQS, and the access to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqsSettings {
    /// The URL of the queue. Requests go to its host.
    pub url: QueueUrl,
    /// Region and credentials.
    pub aws: Box<AwsSettings>,
}

/// A stream of NATS JetStream, and how to reach it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NatsSettings {
    /// URLs of servers; one that answers names the others.
    pub servers: Vec<String>,
    /// The stream.
    pub stream: String,
    /// The durable consumer.
    pub consumer: String,
    /// How the process identifies itself.
    pub login: NatsLogin,
    /// Certificates to trust beside those of the system.
    pub ca_file: Option<PathBuf>,
    /// When a collector removes events from its spool.
    pub custody: Custody,
}

/// How a process identifies itself to NATS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NatsLogin {
    /// Not at all.
    Anonymous,
    /// By a file of credentials.
    CredentialsFile(PathBuf),
    /// By a user and a password.
    User {
        /// The user.
        user: String,
        /// The password.
        password: SecretSetting,
    },
    /// By a token.
    Token(SecretSetting),
}

/// When a collector removes events from its spool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Custody {
    /// When a mapper has confirmed that they have ended.
    #[default]
    UntilProcessed,
    /// When the queue has stored them.
    UntilStored,
}

impl RawQueue {
    /// Checks the settings of a queue. None if there is a mistake without which nothing else can be said.
    pub fn check(&self, aws: &AwsSettings, check: &mut TableChecker<'_>) -> Option<QueueSettings> {
        let bounds = ACK_WAIT_MIN..=ACK_WAIT_MAX;
        let ack_wait = check.duration("ack_wait", self.ack_wait.as_deref(), ACK_WAIT, bounds);
        let prefetch = self.prefetch.unwrap_or(PREFETCH);
        let prefetch = check.number("prefetch", prefetch, 1..=PREFETCH_MAX).unwrap_or(PREFETCH);
        let role = self.check_role(check);
        let kind = match self.kind.as_str() {
            "nats" => self.check_nats(check).map(QueueKind::Nats),
            "sqs" => self.check_sqs(aws, check),
            other => {
                check.add_mistake(format_args!("kind is {other:?}: write \"nats\" or \"sqs\""));
                None
            }
        };
        let has_spool = match self.spool.as_deref() {
            None | Some("on") => true,
            Some("off") => false,
            Some(other) => {
                check.add_mistake(format_args!("spool is {other:?}: write \"on\" or \"off\""));
                true
            }
        };
        if let (false, Some(QueueKind::Nats(nats))) = (has_spool, &kind)
            && nats.custody == Custody::UntilProcessed
        {
            check.add_mistake(
                "spool is \"off\", and nothing would keep events that JetStream loses: remove spool, or write \
                 custody = \"until-stored\" if your cluster loses no stored message",
            );
        }
        let delay = if has_spool { MAX_DELAY } else { MAX_DELAY_WITHOUT_SPOOL };
        let bounds = Duration::ZERO..=MAX_DELAY_MAX;
        let max_delay = check.duration("max_delay", self.max_delay.as_deref(), delay, bounds);
        let bounds = DEDUPLICATION_WINDOW_MIN..=DEDUPLICATION_WINDOW_MAX;
        let deduplication_window = self.deduplication_window.as_deref().map(|window| {
            let key = "deduplication_window";
            check.duration(key, Some(window), DEDUPLICATION_WINDOW_MIN, bounds)
        });
        Some(QueueSettings {
            role: role?,
            kind: kind?,
            ack_wait,
            prefetch,
            deduplication_window,
            has_spool,
            max_delay,
        })
    }

    fn check_role(&self, check: &mut TableChecker<'_>) -> Option<QueueRole> {
        match self.role.as_str() {
            "collector" => Some(QueueRole::Collector),
            "mapper" => Some(QueueRole::Mapper),
            "both" => Some(QueueRole::Both),
            other => {
                check.add_mistake(format_args!(
                    "role is {other:?}: write \"collector\", \"mapper\" or \"both\""
                ));
                None
            }
        }
    }

    fn check_nats(&self, check: &mut TableChecker<'_>) -> Option<NatsSettings> {
        self.reject_keys(check, "sqs", &[("url", self.url.is_some())]);
        let servers = self.servers.clone().unwrap_or_default();
        if servers.is_empty() {
            check.add_mistake("servers is missing: write for example [\"nats://127.0.0.1:4222\"]");
        }
        for server in &servers {
            if let Err(error) = server.parse::<async_nats::ServerAddr>() {
                check.add_mistake(format_args!(
                    "servers has {server:?}, which is not a URL of a NATS server ({error}): write for example \"nats://127.0.0.1:4222\""
                ));
            }
        }
        let stream = self.check_name("stream", self.stream.as_deref().unwrap_or(STREAM), check);
        let consumer = self.consumer.as_deref().unwrap_or(CONSUMER);
        let consumer = self.check_name("consumer", consumer, check);
        let login = self.check_login(check)?;
        let custody = match self.custody.as_deref() {
            None | Some("until-processed") => Custody::UntilProcessed,
            Some("until-stored") => Custody::UntilStored,
            Some(other) => {
                check.add_mistake(format_args!(
                    "custody is {other:?}: write \"until-processed\" or \"until-stored\""
                ));
                return None;
            }
        };
        let ca_file = self.ca_file.as_deref().map(|file| check.path(file));
        Some(NatsSettings {
            servers,
            stream: stream?,
            consumer: consumer?,
            login,
            ca_file,
            custody,
        })
    }

    fn check_sqs(&self, aws: &AwsSettings, check: &mut TableChecker<'_>) -> Option<QueueKind> {
        let of_nats = [
            ("servers", self.servers.is_some()),
            ("stream", self.stream.is_some()),
            ("consumer", self.consumer.is_some()),
            ("credentials_file", self.credentials_file.is_some()),
            ("user", self.user.is_some()),
            ("password", self.password.is_some()),
            ("token", self.token.is_some()),
            ("ca_file", self.ca_file.is_some()),
            ("custody", self.custody.is_some()),
        ];
        self.reject_keys(check, "nats", &of_nats);
        match &self.url {
            Some(url) => match QueueUrl::parse(url) {
                Ok(url) => Some(QueueKind::Sqs(SqsSettings { url, aws: Box::new(aws.clone()) })),
                Err(error) => {
                    check.add_mistake(format_args!("url {url:?} {error}"));
                    None
                }
            },
            None => {
                check.add_mistake(
                    "url is missing: write the URL of the queue, such as \"https://sqs.eu-central-1.amazonaws.com/111122223333/standpipe\"",
                );
                None
            }
        }
    }

    /// Reports keys that are of use with the other kind alone.
    fn reject_keys(&self, check: &mut TableChecker<'_>, kind: &str, keys: &[(&str, bool)]) {
        for (key, _) in keys.iter().filter(|(_, is_set)| *is_set) {
            check.add_mistake(format_args!("{key} is only for kind = {kind:?}: remove the key"));
        }
    }

    /// A name of JetStream has none of the characters that separate parts of a subject.
    fn check_name(&self, key: &str, name: &str, check: &mut TableChecker<'_>) -> Option<String> {
        let is_good =
            |character: char| character.is_ascii_alphanumeric() || "-_".contains(character);
        if !name.is_empty() && name.len() <= NAME_BYTES_MAX && name.chars().all(is_good) {
            return Some(name.to_owned());
        }
        check.add_mistake(format_args!(
            "{key} is {name:?}: write 1 to {NAME_BYTES_MAX} letters, digits, \"-\" and \"_\""
        ));
        None
    }

    fn check_login(&self, check: &mut TableChecker<'_>) -> Option<NatsLogin> {
        let password = check.optional_secret("password", self.password.clone());
        let token = check.optional_secret("token", self.token.clone());
        match (&self.credentials_file, &self.user, password, token) {
            (None, None, None, None) => Some(NatsLogin::Anonymous),
            (Some(file), None, None, None) => Some(NatsLogin::CredentialsFile(check.path(file))),
            (None, Some(user), Some(password), None) => {
                Some(NatsLogin::User { user: user.clone(), password })
            }
            (None, None, None, Some(token)) => Some(NatsLogin::Token(token)),
            _ => {
                check.add_mistake(
                    "has parts of more than one login: write `credentials_file`, or `user` and `password`, or `token`",
                );
                None
            }
        }
    }
}

impl NatsSettings {
    /// Returns the subject of messages, which the stream must contain.
    pub fn subject(&self) -> String {
        format!("{}.events", self.stream)
    }
}

impl QueueSettings {
    /// Whether the process publishes events to the queue.
    pub fn is_collector(&self) -> bool {
        matches!(self.role, QueueRole::Collector | QueueRole::Both)
    }

    /// Whether a collector stores events in its spool until the queue has them.
    pub fn has_spool(&self) -> bool {
        self.has_spool
    }

    /// Whether the process receives events from the queue, and delivers them.
    pub fn is_mapper(&self) -> bool {
        matches!(self.role, QueueRole::Mapper | QueueRole::Both)
    }
}
