//! Tests a connection before the first event: settings, plugin, credentials,
//! streams, and what is slow or expensive.
//!
//! No record is written, unless a test record is requested. What the check of a fleet writes to its
//! buckets is deleted. A step that cannot be checked is skipped, with the reason. Only known
//! problems fail.

#[cfg(feature = "queue")]
mod queue;
mod report;
mod settings;
mod streams;

#[cfg(feature = "queue")]
pub(crate) use queue::check_queue;
pub use report::{CheckOutcome, CheckReport, CheckStep};
pub(crate) use settings::ConfigReview;

#[cfg(feature = "queue")]
use queue::check_queue_and_fleet;
use streams::check_stream;

use crate::config::{RecordDestination, Settings, SourceRole};
use crate::run::{
    CACHE, PluginSecrets, Preparation, PreparedPart, RunError, check_stored_secrets, connect_aws,
    open_secrets,
};
use standpipe_aws::{AwsAccess, AwsSettings, CallerIdentity};
use standpipe_core::event::StreamName;
use standpipe_core::settings::toml_key;
use standpipe_delivery::{AmazonClient, StartRate};

/// Options of the check.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct CheckOptions {
    /// Whether to write a test record to each stream.
    pub send_test_record: bool,
    /// The expected number of events per second of one stream, if it is known.
    pub events_per_second: Option<f64>,
    /// The expected bytes of an event, if known.
    pub event_bytes: Option<usize>,
}

/// The default size of an event: about 1 KB.
const EVENT_BYTES: usize = 1000;

/// Runs all checks.
pub async fn run_checks(settings: Settings, options: CheckOptions) -> CheckReport {
    let mut report = CheckReport::default();
    let secrets = match PluginSecrets::for_settings(&settings).await {
        Ok(secrets) => secrets,
        Err(error) => {
            report.ok("settings", "valid");
            let advice = "check the secrets in its settings, and [secrets]";
            report.failed("plugin", error.to_string(), advice);
            return report;
        }
    };
    let task = tokio::task::spawn_blocking(move || {
        let cache = settings.data_dir.join(CACHE);
        let preparation = Preparation::new(&settings, &secrets, Some(&cache));
        (ConfigReview::new(&settings, &preparation), settings)
    });
    let (review, settings) = task.await.expect("loading a plugin does not panic");
    report_review(&review, &mut report);
    if review.mistakes().next().is_some() {
        return report;
    }
    check_referenced_secrets(&settings, &mut report).await;
    #[cfg(feature = "queue")]
    if let Some(queue) = &settings.queue {
        report.steps.extend(check_queue_and_fleet(&settings, queue).await.steps);
    }
    let streams = ExpectedStreams::new(&settings, &review.streams);
    if streams.has_patterns {
        let why =
            "the plugin takes stream names from events; only streams with known names are checked";
        report.skipped("patterns", why);
    }
    let RecordDestination::Amazon { aws, endpoint_url } = &settings.destination else {
        report.skipped("credentials", "records are written to a local directory");
        return report;
    };
    let mut region = None;
    for (source, aws) in list_identities(aws, &settings.source_roles) {
        let identity = source.map(|source| format!(" of {source}")).unwrap_or_default();
        let step = format!("credentials{identity}");
        let access = match connect_identity(&settings, &aws).await {
            Ok(access) => access,
            Err(error) => {
                let advice = "fix the credentials; nothing at AWS can be checked without them";
                report.failed(step, error.to_string(), advice);
                continue;
            }
        };
        match access.caller_identity().await {
            Ok(CallerIdentity { account, arn }) => {
                report.ok(step, format!("{arn}, account {account}"));
            }
            Err(error) => {
                report
                    .skipped(step, format!("found, but STS does not return their owner: {error}"));
            }
        }
        let client = AmazonClient::new(&access, endpoint_url.as_deref());
        let first = report.steps.len();
        for stream in streams.written_by(source) {
            check_stream(&client, stream, &settings.delivery, options, &mut report).await;
        }
        for step in &mut report.steps[first..] {
            step.step.push_str(&identity);
        }
        region = region.or_else(|| access.config.region().cloned());
    }
    if let Some(region) = region {
        check_quota(region.as_ref(), options, &mut report);
    }
    report
}

/// Resolves the other secrets that a run needs at its start, besides those of plugins and
/// credentials.
async fn check_referenced_secrets(settings: &Settings, report: &mut CheckReport) {
    let keys = settings.collect.iter().flat_map(|collect| &collect.referenced_keys).count();
    let has_token = settings.admin_token.as_ref().is_some_and(|it| it.reference().is_some());
    if keys == 0 && !has_token {
        return;
    }
    match check_stored_secrets(settings).await {
        Ok(()) => report.ok("secrets", "the write keys and the [admin] token are available"),
        Err(error) => {
            let advice =
                "check the secret names, and [secrets]: `host run` does not start without them";
            report.failed("secrets", error.to_string(), advice);
        }
    }
}

/// Reports what was prepared, and warnings.
fn report_review(review: &ConfigReview, report: &mut CheckReport) {
    match review.warnings.is_empty() {
        true => report.ok("settings", "valid"),
        false => report.ok("settings", "valid, with the warnings below"),
    }
    for warning in &review.warnings {
        let advice = "no action needed if this is intended".to_owned();
        report.add("settings", CheckOutcome::Ok, warning.to_string(), Some(advice));
    }
    for (part, mistakes) in &review.parts {
        let detail = match part {
            PreparedPart::Plugin => format!("may name {}", review.streams.join(", ")),
            PreparedPart::Cases => "are passed".to_owned(),
            PreparedPart::Canary | PreparedPart::Shadow => "is taken".to_owned(),
            PreparedPart::Function => "is loaded".to_owned(),
            PreparedPart::Certificate => "fits its key".to_owned(),
            PreparedPart::Connections => "fit within the limit of open files".to_owned(),
            PreparedPart::CaBundle => "has certificates".to_owned(),
        };
        if mistakes.is_empty() {
            report.ok(part.name(), detail);
        }
        for mistake in mistakes {
            report.failed(
                part.name(),
                mistake.to_string(),
                "fix it: `host run` does not start with it",
            );
        }
    }
    for (name, mistake) in &review.unused {
        let advice = "fix the name, or remove the table";
        report.failed(
            format!("[streams.{}]", toml_key(name.as_str())),
            mistake.to_string(),
            advice,
        );
    }
}

/// The AWS settings of each identity, with its source. The default identity has no source.
fn list_identities<'a>(
    aws: &AwsSettings,
    roles: &'a [SourceRole],
) -> Vec<(Option<&'a str>, AwsSettings)> {
    let of_source = |SourceRole { source, role }: &'a SourceRole| {
        (Some(source.as_str()), AwsSettings { role: Some(role.clone()), ..aws.clone() })
    };
    let default = (None, aws.clone());
    std::iter::once(default).chain(roles.iter().map(of_source)).collect()
}

async fn connect_identity(settings: &Settings, aws: &AwsSettings) -> Result<AwsAccess, RunError> {
    let secrets = open_secrets(settings.secrets.as_ref()).await?;
    connect_aws(aws, &secrets).await
}

/// The streams that a run may write to, as far as they are known in advance.
#[derive(Debug)]
struct ExpectedStreams {
    of_events: Vec<StreamName>,
    /// The stream for copies of dead letters, which only the default identity writes.
    of_dead_letters: Option<StreamName>,
    /// Whether all events are written with the roles of their sources, so that the default role is
    /// not used.
    have_all_sources_roles: bool,
    /// Whether events determine some stream names.
    has_patterns: bool,
}

impl ExpectedStreams {
    fn new(settings: &Settings, streams: &[String]) -> Self {
        let (patterns, names): (Vec<_>, Vec<_>) =
            streams.iter().partition(|stream| stream.contains('*'));
        let mut of_events: Vec<_> =
            names.iter().filter_map(|name| StreamName::parse(name).ok()).collect();
        of_events.sort();
        let has_role = |name: &str| {
            settings.source_roles.iter().any(|SourceRole { source, .. }| source == name)
        };
        let sources = settings.collect.iter().flat_map(|collect| &collect.sources);
        let has_others = settings.collect.is_none() || !settings.inputs.is_empty();
        ExpectedStreams {
            of_events,
            of_dead_letters: settings.dead_letter_stream.clone(),
            have_all_sources_roles: !has_others && sources.clone().all(|it| has_role(&it.name)),
            has_patterns: !patterns.is_empty(),
        }
    }

    /// The streams that are written with the role of this source, or with the default identity.
    fn written_by(&self, source: Option<&str>) -> Vec<&StreamName> {
        let events = self.of_events.iter();
        let events = events.filter(|_| source.is_some() || !self.have_all_sources_roles);
        let dead = self.of_dead_letters.iter().filter(|_| source.is_none());
        let mut streams: Vec<_> = events.chain(dead).collect();
        streams.sort();
        streams.dedup();
        streams
    }
}

/// Checks that the expected rate is within the default quota of Firehose.
fn check_quota(region: &str, options: CheckOptions, report: &mut CheckReport) {
    let StartRate::Quota(quota) = StartRate::of_region(region) else { return };
    let Some(events) = options.events_per_second else {
        report.skipped(
            "quota",
            "pass --events-per-second and --event-bytes for the busiest stream to check it",
        );
        return;
    };
    let bytes = events * options.event_bytes.unwrap_or(EVENT_BYTES) as f64;
    let requests = events / standpipe_delivery::limits::REQUEST_RECORDS_MAX as f64;
    let used = [events / quota.records, bytes / quota.bytes, requests / quota.requests];
    let share = used.into_iter().fold(0.0, f64::max) * 100.0;
    let detail = format!("{share:.0} % of the default quota of a stream in {region}");
    if share > 100.0 {
        let advice = "request a higher quota (Amazon Data Firehose, \"Direct PUT\"), or distribute the events over more streams: no record is lost, but the delay of delivery increases";
        report.failed("quota", detail, advice);
    } else {
        report.ok("quota", detail);
    }
}
