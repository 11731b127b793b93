//! The raw form of the catalog's settings: `[catalog]`.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tracing::Level;

use super::lineage::RawLineage;
use super::openlineage::RawOpenLineage;
use super::openmetadata::RawOpenMetadata;
use super::{CatalogSettings, OutputFiles, SuccessCriteria};
use crate::discovery::DiscoverySettings;
use crate::filter::StreamFilter;
use crate::limits::CATALOG_CALLS_PER_SECOND;
use crate::openmetadata::OpenMetadataSettings;
use crate::schedule::Schedule;
use standpipe_aws::secret_store::SecretStoreSettings;
use standpipe_aws::{AwsSettings, RawAws};
use standpipe_core::settings::{TableChecker, is_default};

/// The catalog: delivery streams and their lineage, for OpenMetadata, OpenLineage and
/// files.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawCatalog {
    /// What the delivery streams are called together, such as `aws_firehose`: the
    /// name of the pipeline service in OpenMetadata.
    #[schemars(example = &"aws_firehose")]
    pub service_name: Option<String>,
    /// Patterns of names of streams that are read; all by default. They are matched
    /// from the beginning of the name, whatever its case.
    #[schemars(example = ["orders.*"])]
    pub include: Option<Vec<String>>,
    /// Patterns of names of streams that are not read, also where `include` names
    /// them.
    #[schemars(example = ["test-.*"])]
    pub exclude: Option<Vec<String>>,
    /// When it is read: `"manual"`, the default, `"hourly"`, `"daily"`, `"weekly"`,
    /// `"every 15m"`, or a cron expression such as `"30 6 * * mon-fri"`, in UTC.
    #[schemars(example = &"every 15m")]
    pub schedule: Option<String>,
    /// The first day or moment of the schedule.
    #[schemars(example = &"2026-01-31")]
    pub start_date: Option<String>,
    /// The last one.
    #[schemars(example = &"2026-12-31")]
    pub end_date: Option<String>,
    /// The level of a run's log: `"debug"`, `"info"`, the default, `"warn"` or
    /// `"error"`.
    #[schemars(example = &"info")]
    pub log_level: Option<String>,
    /// Whether lineage that is not found is a failure of the run; false by default.
    pub strict: Option<bool>,
    /// How many of a hundred must succeed; 90 by default.
    #[schemars(example = 90)]
    pub success_threshold: Option<u64>,
    /// Whether a run that is below that fails; true by default.
    pub raise_on_error: Option<bool>,
    /// Calls in a second of each of Amazon's operations; 4 by default, since Amazon
    /// takes 5 in an account and a region. What emulators take may be more.
    #[schemars(example = 4.0)]
    pub calls_per_second: Option<f64>,
    /// Access to AWS in place of `[aws]`, of which nothing is taken over then.
    pub aws: Option<RawAws>,
    /// What is found out about where records come from and go.
    #[serde(skip_serializing_if = "is_default")]
    pub lineage: RawLineage,
    /// The OpenMetadata server to write to.
    pub openmetadata: Option<RawOpenMetadata>,
    /// A server and a file for OpenLineage events.
    #[serde(skip_serializing_if = "is_default")]
    pub openlineage: RawOpenLineage,
    /// Files that are written anew with each run. Relative paths start at the
    /// settings file.
    #[serde(skip_serializing_if = "is_default")]
    pub files: RawCatalogFiles,
}

/// Files that are written anew with each run.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawCatalogFiles {
    /// The graph as JSON.
    pub json: Option<PathBuf>,
    /// A picture as SVG.
    pub svg: Option<PathBuf>,
    /// The graph as a Mermaid flowchart.
    pub mermaid: Option<PathBuf>,
    /// The graph as a Graphviz graph.
    pub dot: Option<PathBuf>,
}

impl RawCatalog {
    /// Checks the settings of the catalog, apart from what it shares with the rest: its access
    /// to AWS, the manager of secrets, and the directory of the history.
    pub fn check(
        &self,
        aws: AwsSettings,
        firehose_url: Option<String>,
        secrets: Option<SecretStoreSettings>,
        data_dir: PathBuf,
        check: &mut TableChecker<'_>,
    ) -> CatalogSettings {
        let role_arn = aws.role.as_ref().map(|role| role.arn.clone());
        let discovery = DiscoverySettings {
            aws,
            firehose_url,
            filter: self.check_filter(check),
            walks_tables: self.lineage.dynamodb.unwrap_or(true),
            calls_per_second: self.check_calls_per_second(check),
        };
        let openmetadata =
            self.openmetadata.as_ref().map(|server| self.check_server(server, role_arn, check));
        CatalogSettings {
            service: self.service_name.clone(),
            brokers: self.openlineage.brokers.clone(),
            discovery,
            secrets,
            lineage: self.lineage.lineage_options(),
            openmetadata,
            openlineage: self.openlineage.check(&mut check.table("openlineage")),
            files: self.output_files(check),
            judgement: self.check_judgement(check),
            log_level: self.check_log_level(check),
            schedule: self.check_schedule(check),
            data_dir,
        }
    }

    fn check_server(
        &self,
        server: &RawOpenMetadata,
        role_arn: Option<String>,
        check: &mut TableChecker<'_>,
    ) -> OpenMetadataSettings {
        if self.service_name.is_none() {
            check.add_mistake(
                "service_name is missing: it is the name of the pipeline service in OpenMetadata: write one such as \
                 \"aws_firehose\"",
            );
        }
        let service = self.service_name.as_deref().unwrap_or_default();
        server.check(service, &self.lineage, role_arn, &mut check.table("openmetadata"))
    }

    fn check_filter(&self, check: &mut TableChecker<'_>) -> StreamFilter {
        let list = |list: &Option<Vec<String>>| list.clone().unwrap_or_default();
        let filter = StreamFilter::new(&list(&self.include), &list(&self.exclude));
        filter.unwrap_or_else(|error| {
            check.add_mistake(error);
            StreamFilter::default()
        })
    }

    fn check_calls_per_second(&self, check: &mut TableChecker<'_>) -> f64 {
        let calls = self.calls_per_second.unwrap_or(CATALOG_CALLS_PER_SECOND);
        if !(0.1..=1000.0).contains(&calls) {
            check.add_mistake(format_args!(
                "calls_per_second is {calls}: write a number from 0.1 to 1000; AWS allows 5"
            ));
        }
        calls
    }

    fn output_files(&self, check: &TableChecker<'_>) -> OutputFiles {
        let of = |path: &Option<PathBuf>| path.as_ref().map(|path| check.path(path));
        OutputFiles {
            json: of(&self.files.json),
            svg: of(&self.files.svg),
            mermaid: of(&self.files.mermaid),
            dot: of(&self.files.dot),
            openlineage: of(&self.openlineage.file),
        }
    }

    fn check_judgement(&self, check: &mut TableChecker<'_>) -> SuccessCriteria {
        let usual = SuccessCriteria::default();
        let threshold = self.success_threshold.unwrap_or(usual.success_threshold);
        SuccessCriteria {
            strict: self.strict.unwrap_or(usual.strict),
            success_threshold: check.number("success_threshold", threshold, 0..=100).unwrap_or(100),
            raise_on_error: self.raise_on_error.unwrap_or(usual.raise_on_error),
        }
    }

    fn check_log_level(&self, check: &mut TableChecker<'_>) -> Level {
        let word = self.log_level.as_deref().unwrap_or("info");
        let is_known = matches!(word, "debug" | "info" | "warn" | "error");
        word.parse().ok().filter(|_| is_known).unwrap_or_else(|| {
            check.add_mistake(format_args!(
                "log_level is {word:?}: write \"debug\", \"info\", \"warn\" or \"error\""
            ));
            Level::INFO
        })
    }

    fn check_schedule(&self, check: &mut TableChecker<'_>) -> Schedule {
        let start = self.start_date.as_deref();
        let end = self.end_date.as_deref();
        let Some(rhythm) = self.schedule.as_deref() else {
            if start.is_some() || end.is_some() {
                check.add_mistake(
                    "start_date and end_date have no effect without schedule: set schedule, or remove them",
                );
            }
            return Schedule::manual();
        };
        Schedule::parse(rhythm, start, end).unwrap_or_else(|error| {
            check.add_mistake(error);
            Schedule::manual()
        })
    }
}
