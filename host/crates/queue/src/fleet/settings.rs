//! The settings of a fleet: `[fleet]`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{NatsSettings, QueueKind, QueueSettings, limits};
use standpipe_core::settings::TableChecker;

/// The buckets, unless the settings say otherwise.
const BUCKET: &str = "standpipe";

/// Bytes of the name of a bucket: as for streams, whose names contain it.
const BUCKET_BYTES_MAX: usize = 32;

/// The fleet that a mapper is a part of: all its hosts change to another plugin at once, with `host fleet push`.
/// Requires `[queue]` with `kind = "nats"`, and connects to the same servers. Collectors ignore this table.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawFleet {
    /// The buckets in JetStream with the rules and the components of the fleet; `standpipe` by default. Hosts with
    /// other buckets are another fleet.
    #[schemars(example = &"standpipe")]
    pub bucket: Option<String>,
    /// The name of this host, different from those of all others: 1 to 64 letters, digits, `-` and `_`. Default: the
    /// host name of the machine, with `-` in place of other characters.
    #[schemars(example = &"mapper-1")]
    pub name: Option<String>,
}

/// The fleet that a host is a part of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FleetSettings {
    /// The buckets.
    pub bucket: String,
    /// The name of the host.
    pub name: String,
    /// The connection to NATS.
    pub nats: NatsSettings,
}

impl RawFleet {
    /// Checks the settings of a fleet beside those of the queue.
    pub fn check(
        &self,
        queue: Option<&QueueSettings>,
        check: &mut TableChecker<'_>,
    ) -> Option<FleetSettings> {
        let bucket = self.bucket.as_deref().unwrap_or(BUCKET);
        if bucket.len() > BUCKET_BYTES_MAX || !is_host_name(bucket) {
            check.add_mistake(format_args!(
                "bucket is {bucket:?}: write 1 to {BUCKET_BYTES_MAX} letters, digits, \"-\" and \"_\""
            ));
        }
        let name = self.name.clone().unwrap_or_else(|| default_host_name(&machine_name()));
        if !is_host_name(&name) {
            check.add_mistake(format_args!(
                "name is {name:?}: write 1 to {} letters, digits, \"-\" and \"_\"",
                limits::FLEET_NAME_BYTES_MAX
            ));
        }
        match queue.map(|queue| &queue.kind) {
            Some(QueueKind::Nats(nats)) => {
                Some(FleetSettings { bucket: bucket.to_owned(), name, nats: nats.clone() })
            }
            Some(QueueKind::Sqs(_)) | None => {
                check.add_table_mistake(
                    "needs [queue] with kind = \"nats\", whose servers keep the rules: set it, or remove [fleet]",
                );
                None
            }
        }
    }
}

/// The host name of this machine, from a file of Linux. Empty if the file does not exist: the settings must then name
/// the host.
fn machine_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname");
    name.map(|name| name.trim_end().to_owned()).unwrap_or_default()
}

/// Returns the name of a host on a machine with this name.
fn default_host_name(machine: &str) -> String {
    let is_good = |character: &char| character.is_ascii_alphanumeric() || "-_".contains(*character);
    let name = machine.chars().map(|character| if is_good(&character) { character } else { '-' });
    name.take(limits::FLEET_NAME_BYTES_MAX).collect()
}

/// Whether a text is a part of a key in every bucket.
pub(super) fn is_host_name(name: &str) -> bool {
    let is_good = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    (1..=limits::FLEET_NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(is_good)
}
