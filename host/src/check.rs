//! Tests a connection before the first event: settings, plugin, credentials,
//! streams, and what would be slow or dear.
//!
//! Nothing is written, unless a test record is asked for. A step that cannot tell
//! is skipped, and says why; only what is known to be wrong has failed.

mod report;
mod streams;

pub use report::{CheckReport, CheckStep, Outcome};

use streams::Way;

use std::sync::Arc;

use crate::aws::{Access, AwsSettings, Caller};
use crate::config::{Destination, Settings, SourceRole};
use crate::delivery::{Amazon, StartRate};
use crate::event::StreamName;
use crate::limits;
use crate::plugin::Plugin;
use crate::run::{StartError, load_plugin, open_secrets, reach, resolve_plugin_secrets};

/// What is checked beyond what every run needs.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct CheckOptions {
    /// Whether a record is really written to each stream.
    pub send_test_record: bool,
    /// How much is expected, if it is known.
    pub load: Load,
}

/// How much is expected to be written to one stream.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Load {
    /// Events a second.
    pub events_per_second: Option<f64>,
    /// Bytes of an event.
    pub event_bytes: Option<usize>,
}

/// Events have some 1 KB, where nothing else is known.
const EVENT_BYTES: usize = 1000;

/// Check everything that can be checked.
pub async fn check(mut settings: Settings, options: CheckOptions) -> CheckReport {
    let mut report = CheckReport::default();
    report.ok("settings", "can be read, and contradict nothing");
    if let Err(error) = resolve_plugin_secrets(&mut settings).await {
        report.failed("plugin", error.to_string(), "it gets no settings without its secrets");
        return report;
    }
    let task = tokio::task::spawn_blocking(move || (load_plugin(&settings), settings));
    let (plugin, settings) = task.await.expect("loading a plugin does not panic");
    let plugin = match plugin {
        Ok(plugin) => {
            let names: Vec<_> = plugin.streams().collect();
            report.ok("plugin", format!("may name {}", names.join(", ")));
            plugin
        }
        Err(error) => {
            report.failed("plugin", error.to_string(), "correct it: nothing can be mapped");
            return report;
        }
    };
    let streams = expected_streams(&settings, &plugin, &mut report);
    let Destination::Amazon { aws, endpoint_url } = &settings.destination else {
        report.skipped("credentials", "records go to a local directory");
        return report;
    };
    let mut region = None;
    for (identity, aws) in identities(aws, &settings.source_roles) {
        let step = format!("credentials{identity}");
        let access = match connect(&settings, &aws).await {
            Ok(access) => access,
            Err(error) => {
                report.failed(step, error.to_string(), "nothing at AWS can be checked with them");
                continue;
            }
        };
        match access.caller().await {
            Ok(Caller { account, arn }) => report.ok(step, format!("{arn}, account {account}")),
            Err(error) => report
                .skipped(step, format!("there are some, and STS does not tell whose: {error}")),
        }
        let amazon = Amazon::new(&access.config, endpoint_url.as_deref());
        let port = Arc::new(amazon.renewing(access.session.clone()));
        let way = Way { port, identity };
        for stream in &streams {
            way.check(stream, &settings.delivery, options, &mut report).await;
        }
        region = region.or_else(|| access.config.region().cloned());
    }
    if let Some(region) = region {
        quota(region.as_ref(), options.load, &mut report);
    }
    report
}

/// The settings of AWS for each identity, and what names it in a step: nothing for
/// the default one.
fn identities(aws: &AwsSettings, roles: &[SourceRole]) -> Vec<(String, AwsSettings)> {
    let of_source = |SourceRole { source, role }: &SourceRole| {
        (format!(" of {source}"), AwsSettings { role: Some(role.clone()), ..aws.clone() })
    };
    let default = (String::new(), aws.clone());
    std::iter::once(default).chain(roles.iter().map(of_source)).collect()
}

async fn connect(settings: &Settings, aws: &AwsSettings) -> Result<Access, StartError> {
    let secrets = open_secrets(settings.secrets.as_ref()).await?;
    reach(aws, &secrets).await
}

/// The streams that a run may write to, as far as they are known before.
fn expected_streams(
    settings: &Settings,
    plugin: &Plugin,
    report: &mut CheckReport,
) -> Vec<StreamName> {
    let mut streams: Vec<_> = plugin.declared().flatten().cloned().collect();
    if plugin.declared().any(|declared| declared.is_none()) {
        report.skipped(
            "patterns",
            "the plugin names further streams as events come: only those known before are checked",
        );
    }
    streams.extend(settings.dead_letter_stream.clone());
    streams.sort();
    streams.dedup();
    let known: Vec<_> = plugin.streams().collect();
    for name in settings.delivery.streams.keys() {
        let is_used = streams.contains(name) || known.iter().any(|known| known.contains('*'));
        if !is_used {
            let advice = "correct the name, or remove its settings";
            report.failed(
                format!("[streams.{name}]"),
                "the plugin never names this stream",
                advice,
            );
        }
    }
    streams
}

/// Whether what is expected is within what Firehose takes without asking.
fn quota(region: &str, load: Load, report: &mut CheckReport) {
    let StartRate::Quota(quota) = StartRate::of_region(region) else { return };
    let Some(events) = load.events_per_second else {
        report
            .skipped("quota", "give --events-per-second, and --event-bytes, of the busiest stream");
        return;
    };
    let bytes = events * load.event_bytes.unwrap_or(EVENT_BYTES) as f64;
    let requests = events / limits::REQUEST_RECORDS_MAX as f64;
    let used = [events / quota.records, bytes / quota.bytes, requests / quota.requests];
    let share = used.into_iter().fold(0.0, f64::max) * 100.0;
    let detail = format!("{share:.0} % of what a stream in {region} takes by default");
    if share > 100.0 {
        let advice = "ask for a higher quota (Amazon Data Firehose, \"Direct PUT\"), or divide the events among streams: records wait and nothing is lost, but they are delivered later and later";
        report.failed("quota", detail, advice);
    } else {
        report.ok("quota", detail);
    }
}
