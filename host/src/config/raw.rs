//! The settings file as it is written: what serde reads and the JSON Schema describes. Nothing is
//! checked here but shape; the doc comments are the schema's descriptions.

mod aws;
mod catalog;
mod json;
mod plugin;

pub use aws::{RawAws, RawEndpoints, RawSecrets};
pub use catalog::{RawCatalog, RawCatalogFiles, RawLineage, RawOpenLineage, RawOpenMetadata};
pub use plugin::{RawBreaker, RawCanary, RawPlugin, RawPluginLimits, RawShadow};

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::Places;
use standpipe_core::secret::Secret;

/// The settings file of Standpipe's host.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawSettings {
    /// Where dead letters and compiled plugins are kept; `standpipe-data` beside the
    /// settings file by default.
    #[schemars(example = &"/var/lib/standpipe")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_dir: Option<PathBuf>,
    /// Threads that map events; one for each processor by default.
    #[schemars(example = 4)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workers: Option<usize>,
    /// Which log lines are written: a level (`error`, `warn`, `info`, `debug`, `trace`,
    /// `off`), or levels of parts of the program, separated by commas:
    /// `info,standpipe_delivery=debug`. `info` by default. The variable `RUST_LOG` goes before
    /// it.
    #[schemars(example = &"info")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log: Option<String>,
    /// The address on which SDKs are listened to, such as `0.0.0.0:8080`. Without
    /// it, and without `--listen`, the host reads files and standard input.
    #[schemars(example = &"0.0.0.0:8080")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listen: Option<String>,
    /// Who may send events to that address.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<RawSource>,
    /// How that address is served.
    #[serde(skip_serializing_if = "RawHttp::is_empty")]
    pub http: RawHttp,
    /// Where events are kept from the answer until they are delivered.
    #[serde(skip_serializing_if = "RawSpool::is_empty")]
    pub spool: RawSpool,
    /// Health and metrics.
    #[serde(skip_serializing_if = "RawAdmin::is_empty")]
    pub admin: RawAdmin,
    /// The mapping plugin.
    pub plugin: RawPlugin,
    /// Access to AWS. What is missing here is looked for where every AWS SDK
    /// looks.
    #[serde(skip_serializing_if = "RawAws::is_empty")]
    pub aws: RawAws,
    /// Who keeps the secrets that are written as `secret:NAME`.
    #[serde(skip_serializing_if = "RawSecrets::is_empty")]
    pub secrets: RawSecrets,
    /// How records are delivered.
    #[serde(skip_serializing_if = "RawDelivery::is_empty")]
    pub delivery: RawDelivery,
    /// What the dead letters may take, and where copies of them go.
    #[serde(skip_serializing_if = "RawDeadLetters::is_empty")]
    pub dead_letters: RawDeadLetters,
    /// What is told about the delivery streams to data catalogs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub catalog: Option<RawCatalog>,
    /// What differs for a delivery stream, by its name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub streams: BTreeMap<String, RawStream>,
    /// Where its keys stand in the file, for errors.
    #[serde(skip)]
    #[schemars(skip)]
    pub places: Places,
}

/// Who may send events.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawSource {
    /// What plugins and dead letters know the source by.
    #[schemars(example = &"web")]
    pub name: String,
    /// Names that it had before: events of these that wait in the spool or in the
    /// dead letters are taken for events of this source.
    #[schemars(example = ["website"])]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub formerly: Option<Vec<String>>,
    /// Whose endpoint it takes the place of: `"segment"` or `"rudderstack"`.
    #[schemars(example = &"segment")]
    pub dialect: String,
    /// What its SDKs identify themselves with.
    #[schemars(example = ["WRITE-KEY"])]
    pub write_keys: Vec<Secret>,
    /// Whether it takes anything at present; true by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Whether one bad event has its whole request refused with 400. By default
    /// the good ones are taken, and the bad ones go to the dead letters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strict: Option<bool>,
    /// Whether the bodies of its requests that are refused for what is in them go to the
    /// dead letters: SDKs delete what is refused. False by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep_refused: Option<bool>,
    /// Origins of pages that may send, such as `https://shop.example` or
    /// `https://*.shop.example`; all by default. Senders that are no pages
    /// name no origin, and are not held by this.
    #[schemars(example = ["https://shop.example"])]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allowed_origins: Option<Vec<String>>,
    /// Events a second; what is beyond is answered with 429. A second's worth may come
    /// at once, and a larger request is taken where nothing came before it; others then
    /// wait until its time has passed. No limit by default.
    #[schemars(example = 1000)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_limit: Option<u32>,
    /// Bytes of events a second, as they are stored: decompressed, and with what is
    /// added to them. Otherwise like `rate_limit`, and both hold where both are set. No
    /// limit by default.
    #[schemars(example = 1_000_000)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_limit_bytes: Option<u32>,
    /// A role that the source's records are written with, in place of that under
    /// `[aws]`.
    #[schemars(example = &"arn:aws:iam::111122223333:role/NAME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role_arn: Option<String>,
    /// The external id that the role asks for, in place of that under `[aws]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_id: Option<Secret>,
}

/// How the address for SDKs is served.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawHttp {
    /// A certificate with its chain, in PEM; with `key` it turns TLS on. Both
    /// files are read again when they change. A relative path starts at the
    /// settings file.
    #[schemars(example = &"certificate.pem")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate: Option<PathBuf>,
    /// The certificate's key, in PEM.
    #[schemars(example = &"key.pem")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<PathBuf>,
    /// Connections that are open at once; 10,000 by default, or fewer where the limit
    /// of open files leaves room for fewer. Beyond it, connections that wait for their
    /// client are closed for new ones, the oldest first.
    #[schemars(example = 10_000)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_connections: Option<usize>,
    /// Connections of one IP address (of IPv6, of one /64 network) that are open at once;
    /// half of `max_connections` by default.
    #[schemars(example = 5_000)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_connections_per_peer: Option<usize>,
    /// Bytes of a request's body, also once it is decompressed; 4,096,000 by
    /// default.
    #[schemars(example = 4_096_000)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_body_bytes: Option<usize>,
    /// Bytes of all bodies of one client that are read or worked on at once; 33,554,432
    /// by default, which is half of what all clients have.
    #[schemars(example = 33_554_432)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_body_bytes_per_peer: Option<usize>,
    /// How long a connection may be unused after a request, such as `"620s"`; `"120s"` by
    /// default, `"1s"` to `"2h"`. It must be longer than a load balancer before the collector
    /// keeps connections, or that sends requests while they are closed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep_alive: Option<String>,
    /// IP addresses and networks of proxies, such as `203.0.113.0/24`, whose headers
    /// `X-Forwarded-For`, `-Host` and `-Proto`, and `Forwarded`, are believed; private
    /// networks and loopback by default. The limits of one address do not hold for them,
    /// but for the clients that they name.
    #[schemars(example = ["203.0.113.0/24"])]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trusted_proxies: Option<Vec<String>>,
    /// The URL by which clients reach the collector, such as `https://collect.example`,
    /// which SDKs are told to send to. By default what a trusted proxy says, or the
    /// request's own `Host`.
    #[schemars(example = &"https://collect.example")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub public_url: Option<String>,
}

/// Where events are kept from the answer until they are delivered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawSpool {
    /// Bytes that the spool may take; 10 GiB by default. Beyond it requests are
    /// answered with 503.
    #[schemars(example = 10_737_418_240_u64)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_bytes: Option<u64>,
    /// What an answer of 200 promises: `"fsync"`, the default, that the event
    /// outlives a loss of power, `"os"` that it outlives the process, `"memory"`
    /// nothing beyond the process.
    #[schemars(example = &"fsync")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub durability: Option<String>,
}

/// Health, metrics, and control of the plugin.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawAdmin {
    /// The address for `/health/live`, `/health/ready`, `/metrics` and `/plugin`, or
    /// `"off"`.
    /// `127.0.0.1:9180` by default where SDKs are listened to, and otherwise off.
    #[schemars(example = &"127.0.0.1:9180")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listen: Option<String>,
    /// What requests about the plugin must bring along as `Authorization: Bearer
    /// TOKEN`. Without it there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<Secret>,
}

/// How records are delivered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawDelivery {
    /// Whether each record ends with a newline; true by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub newline: Option<bool>,
    /// Whether several events share a record: `"off"`, the default, `"auto"`
    /// (where the stream's description shows that it is safe), or
    /// `{ max_bytes = N }`.
    #[schemars(example = &"auto")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pack: Option<RawPack>,
    /// The most requests for one stream that may be under way at once; 16 by
    /// default.
    #[schemars(example = 16)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<usize>,
    /// How long an event may wait for its batch to fill, such as `1s`, the
    /// default.
    #[schemars(example = &"1s")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_delay: Option<String>,
    /// How long a stream may not exist before its records go to the dead
    /// letters, such as `1m`, the default.
    #[schemars(example = &"1m")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missing_stream_grace: Option<String>,
    /// How long to go on delivering after a signal to stop, such as `30s`, the
    /// default.
    #[schemars(example = &"30s")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drain_timeout: Option<String>,
    /// Bytes of records of held and slow streams that may be kept on disk, so
    /// that they hold up no other stream; 1 GiB by default.
    #[schemars(example = 1_073_741_824)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overflow_max_bytes: Option<u64>,
    /// Delivery streams that may be in use at once, of those that events choose: whose
    /// names stand in neither the settings nor the plugin's declaration. Events that
    /// choose a further one become dead letters; 1,000 by default.
    #[schemars(example = 1000)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_dynamic_streams: Option<usize>,
    /// How long a delivery stream stays in use without records, such as `5m`, the
    /// default.
    #[schemars(example = &"5m")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream_idle_timeout: Option<String>,
}

/// What the dead letters may take, and where copies of them go.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawDeadLetters {
    /// Bytes of all files of dead letters; 10 GiB by default.
    #[schemars(example = 10_737_418_240_u64)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_bytes: Option<u64>,
    /// What happens to a letter that does not fit: `"stop"`, the default, or
    /// `"drop_oldest"`.
    #[schemars(example = &"stop")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub when_full: Option<String>,
    /// A delivery stream that a copy of each dead letter is sent to; none by
    /// default.
    #[schemars(example = &"dead-letters")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream: Option<String>,
}

/// What differs for a delivery stream.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawStream {
    /// Whether each record ends with a newline.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub newline: Option<bool>,
    /// Whether several events share a record: `"off"`, `"auto"` or
    /// `{ max_bytes = N }`.
    #[schemars(example = &"auto")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pack: Option<RawPack>,
    /// Requests for the stream that may be under way at once.
    #[schemars(example = 16)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<usize>,
}

/// Whether several events share a record.
///
/// The variants are told apart by hand: serde's own attempt at that ends in an
/// error that names neither of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum RawPack {
    /// A word: `off` or `auto`.
    Word(String),
    /// Records of a size.
    UpTo(RawPackUpTo),
}

/// Events are packed into records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawPackUpTo {
    /// The size of a record in bytes, at most 1,024,000.
    #[schemars(example = 102_400)]
    pub max_bytes: usize,
}

impl<'de> Deserialize<'de> for RawPack {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PackVisitor;

        impl<'de> Visitor<'de> for PackVisitor {
            type Value = RawPack;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("\"off\", \"auto\" or { max_bytes = N }")
            }

            fn visit_str<E: Error>(self, word: &str) -> Result<RawPack, E> {
                Ok(RawPack::Word(word.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<RawPack, A::Error> {
                RawPackUpTo::deserialize(MapAccessDeserializer::new(map)).map(RawPack::UpTo)
            }
        }

        deserializer.deserialize_any(PackVisitor)
    }
}

impl RawHttp {
    fn is_empty(&self) -> bool {
        *self == RawHttp::default()
    }
}

impl RawSpool {
    fn is_empty(&self) -> bool {
        *self == RawSpool::default()
    }
}

impl RawAdmin {
    fn is_empty(&self) -> bool {
        *self == RawAdmin::default()
    }
}

impl RawDelivery {
    fn is_empty(&self) -> bool {
        *self == RawDelivery::default()
    }
}

impl RawDeadLetters {
    fn is_empty(&self) -> bool {
        *self == RawDeadLetters::default()
    }
}
