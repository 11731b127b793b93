//! Measures the speed of the whole path, and how close it is to the minimum cost.
//!
//! [`run_bench`] executes a [`Plan`]: the events of a file, generated or given, go several times
//! through the same [`Run`](crate::run::Run) as in `host run`. Each repeat is a [`BenchSample`].
//! The report also has the medians.
//!
//! - The default endpoint runs in this process, on loopback, and responds like Firehose. The CPU
//!   time of its threads is subtracted from that of the process, so the results are those of the
//!   program alone.
//! - The *floor* is the work that no Firehose client can avoid, in a simple loop on one thread over
//!   the same events: scan each event, encode each record, hash each request.
//! - With the feature `native-mapping`, the default mapping alternates between a component and
//!   native code, to measure the cost of the sandbox.
//!
//! This module prints nothing. A [`Report`] can be displayed, or written as JSON.

mod endpoint;
mod floor;
mod generator;
pub mod plugins;
mod process;
mod report;
mod rows;
mod trial;

pub use generator::{EVENT_BYTES_MAX, EVENT_BYTES_MIN, EventShape};
pub use process::{Machine, PeakSince};
pub use report::{BenchSample, InputReport, Report, Series};
pub use rows::mapping_rows;

use std::io;
use std::num::NonZero;
use std::path::PathBuf;

use thiserror::Error;
use tokio::runtime::Handle;

#[cfg(feature = "native-mapping")]
use crate::config::PluginSource;
use crate::config::{RecordDestination, Settings};
use crate::run::RunError;
use crate::source::{Input, InputError};
use endpoint::Endpoint;
use standpipe_aws::{AwsSettings, StaticKeys};
use standpipe_core::secret::{Secret, SecretSetting};

/// The plan of a bench.
#[derive(Debug)]
pub struct Plan {
    /// The settings of the runs. Their inputs are not used. Generated events are written to their
    /// data directory, so it should be a new one.
    pub settings: Settings,
    /// The events of the runs.
    pub events: BenchEvents,
    /// The target of delivery.
    pub target: BenchTarget,
    /// How events are mapped. The variants alternate.
    pub ways: &'static [BenchMapping],
    /// The number of measured runs for each variant.
    pub repeat: NonZero<u32>,
}

/// The events of a bench.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BenchEvents {
    /// Generated events, which are always the same.
    Generated(EventShape),
    /// The events of a file.
    File(PathBuf),
}

/// The target of delivery in a bench.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BenchTarget {
    /// An endpoint in this process, with fixed keys. Nothing leaves the machine, regardless of the
    /// settings.
    InProcess,
    /// The endpoint of the settings.
    Given,
}

/// How the events of a bench are mapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BenchMapping {
    /// The plugin of the settings.
    Component,
    /// The default mapping as native code.
    #[cfg(feature = "native-mapping")]
    Native,
}

/// Why a bench has no result.
#[derive(Debug, Error)]
pub enum BenchError {
    /// The run cannot start.
    #[error(transparent)]
    Start(#[from] Box<RunError>),
    /// The file cannot be read.
    #[error(transparent)]
    Input(#[from] InputError),
    /// The file can be read only once.
    #[error("{} cannot be read several times: give a regular file", .0.display())]
    NotAFile(PathBuf),
    /// The file has no events.
    #[error("{} holds no events", .0.display())]
    NoEvents(PathBuf),
    /// The endpoint cannot be reached.
    #[error("reach the endpoint {url}: {error}: start it, or leave --endpoint-url out")]
    Unreachable {
        /// The endpoint.
        url: String,
        /// The error.
        error: io::Error,
    },
    /// Generated events cannot be written.
    #[error("write events to {}: {error}: set TMPDIR to a directory with free space", path.display())]
    Generate {
        /// The file.
        path: PathBuf,
        /// The error.
        error: io::Error,
    },
    /// The endpoint in this process cannot listen.
    #[error("listen on loopback: {0}")]
    Listen(io::Error),
    /// Events were lost, so the results would have no meaning.
    #[error("the results would be invalid: {0}")]
    NotDelivered(String),
}

impl BenchError {
    /// Whether the cause is wrong arguments, and nothing was delivered.
    pub fn is_usage(&self) -> bool {
        !matches!(
            self,
            BenchError::Generate { .. } | BenchError::Listen(_) | BenchError::NotDelivered(_)
        )
    }
}

/// Runs a plan. Blocks, so it must not be called on the runtime's threads.
///
/// Each variant runs once before the measured runs, so that the plugin is compiled and the file is
/// in the page cache.
///
/// # Errors
///
/// Fails if a part of the plan does not work, or if an event has no outcome.
pub fn run_bench(plan: &Plan, runtime: &Handle) -> Result<Report, BenchError> {
    let path = events_file(plan)?;
    let input = Input::File(path.clone());
    let endpoint = match plan.target {
        BenchTarget::InProcess => Some(Endpoint::start().map_err(BenchError::Listen)?),
        BenchTarget::Given => {
            endpoint::check_reachable(&plan.settings.destination)?;
            None
        }
    };
    let settings = run_settings(plan, input.clone(), endpoint.as_ref());
    let ways = plan.ways;
    let mut samples = ways.iter().map(|_| Vec::new()).collect::<Vec<_>>();
    for repeat in 0..=plan.repeat.get() {
        let floor =
            floor::ns_per_event(&input).ok_or_else(|| BenchError::NoEvents(path.clone()))?;
        // Alternates the order of the variants.
        let mut order: Vec<_> = (0..ways.len()).collect();
        order.rotate_left(repeat as usize % ways.len());
        for at in order {
            let settings = ways[at].apply_to(&settings);
            let sample = trial::run_trial(settings, endpoint.as_ref(), floor, runtime)?;
            let is_warm_up = repeat == 0;
            samples[at].extend((!is_warm_up).then_some(sample));
        }
    }
    let series = ways.iter().copied().zip(samples.into_iter().map(Series::new));
    let series: Vec<_> = series.collect();
    Ok(Report::new(plan, &path, endpoint.is_some(), &series))
}

/// Returns the file of the plan's events. Generated events are written here.
fn events_file(plan: &Plan) -> Result<PathBuf, BenchError> {
    match &plan.events {
        BenchEvents::Generated(shape) => {
            let path = plan.settings.data_dir.join("events.ndjson");
            let written = generator::write_events(*shape, &path);
            written.map_err(|error| BenchError::Generate { path: path.clone(), error })?;
            Ok(path)
        }
        BenchEvents::File(path) => {
            let input = Input::File(path.clone());
            input.check()?;
            match input.size_bytes() {
                Some(_) => Ok(path.clone()),
                None => Err(BenchError::NotAFile(path.clone())),
            }
        }
    }
}

fn run_settings(plan: &Plan, input: Input, endpoint: Option<&Endpoint>) -> Settings {
    let mut settings = Settings { inputs: vec![input], ..plan.settings.clone() };
    // Copies of dead letters are not part of the measured path, and would be counted as records.
    settings.dead_letter_stream = None;
    if let Some(endpoint) = endpoint {
        let [access_key_id, secret_access_key] = ["AKIDOFNOUSEANYWHERE", "of-no-use-anywhere"]
            .map(|key| SecretSetting::Value(Secret::new(key.to_owned())));
        let aws = AwsSettings {
            region: Some("us-east-1".to_owned()),
            keys: Some(StaticKeys { access_key_id, secret_access_key, session_token: None }),
            ..AwsSettings::default()
        };
        let endpoint_url = Some(endpoint.url());
        settings.destination = RecordDestination::Amazon { aws: Box::new(aws), endpoint_url };
    }
    settings
}

impl BenchMapping {
    fn apply_to(self, settings: &Settings) -> Settings {
        match self {
            BenchMapping::Component => settings.clone(),
            #[cfg(feature = "native-mapping")]
            BenchMapping::Native => Settings { plugin: PluginSource::Native, ..settings.clone() },
        }
    }
}
