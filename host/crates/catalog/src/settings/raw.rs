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

/// Reports on the delivery streams and their lineage for OpenMetadata and OpenLineage, and as
/// files.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawCatalog {
    /// Name of the pipeline service in OpenMetadata, such as `aws_firehose`. The service
    /// contains one pipeline for each delivery stream. Required with `[catalog.openmetadata]`.
    #[schemars(example = &"aws_firehose")]
    pub service_name: Option<String>,
    /// Regular expressions for the names of the delivery streams to read. An expression is
    /// matched from the start of the name, and letter case is ignored. Default: all delivery
    /// streams.
    #[schemars(example = ["orders.*"])]
    pub include: Option<Vec<String>>,
    /// Regular expressions for the names of delivery streams that are not read, even if
    /// `include` matches them. Default: none.
    #[schemars(example = ["test-.*"])]
    pub exclude: Option<Vec<String>>,
    /// When runs start, in UTC: `"manual"`, `"hourly"`, `"daily"`, `"weekly"`, an interval
    /// such as `"every 15m"`, or a cron expression such as `"30 6 * * mon-fri"`. Default:
    /// `"manual"`, only when you call `host catalog ingest`.
    #[schemars(example = &"every 15m")]
    pub schedule: Option<String>,
    /// Start of the schedule: a date, or a time such as `2026-01-31T06:00:00Z`. Default: none.
    #[schemars(example = &"2026-01-31")]
    pub start_date: Option<String>,
    /// End of the schedule: a date or a time. If the end is a date, runs still start on that
    /// day. Default: none.
    #[schemars(example = &"2026-12-31")]
    pub end_date: Option<String>,
    /// Level of the log of a run: `"debug"`, `"info"`, `"warn"` or `"error"`. Default:
    /// `"info"`.
    #[schemars(example = &"info")]
    pub log_level: Option<String>,
    /// Whether a run fails if an edge of the lineage is not found, ambiguous or failed.
    /// Default: `false`.
    pub strict: Option<bool>,
    /// Percentage of the items of each step, such as delivery streams, that must succeed, 0 to
    /// 100. With a lower percentage, the run fails, unless `raise_on_error` is `false`.
    /// Default: 90.
    #[schemars(example = 90)]
    pub success_threshold: Option<u64>,
    /// Whether a run fails if a step does not reach `success_threshold`, or if the list of
    /// delivery streams is incomplete. Default: `true`.
    pub raise_on_error: Option<bool>,
    /// Calls per second to each AWS operation, 0.1 to 1000. Raise the value only for emulators
    /// of AWS: AWS allows five per account and region. Default: 4.
    #[schemars(example = 4.0)]
    pub calls_per_second: Option<f64>,
    /// AWS settings for the catalog only, with the keys of `[aws]`. If this table is set, the
    /// catalog ignores `[aws]`.
    pub aws: Option<RawAws>,
    /// The lineage that the catalog reads and writes.
    #[serde(skip_serializing_if = "is_default")]
    pub lineage: RawLineage,
    /// The OpenMetadata server to write to. Default: none.
    pub openmetadata: Option<RawOpenMetadata>,
    /// The server and the file for OpenLineage events.
    #[serde(skip_serializing_if = "is_default")]
    pub openlineage: RawOpenLineage,
    /// Files that each run writes.
    #[serde(skip_serializing_if = "is_default")]
    pub files: RawCatalogFiles,
}

/// Files that each run writes. Relative paths start at the directory of the settings file.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawCatalogFiles {
    /// JSON file for the graph, in Standpipe's own format.
    pub json: Option<PathBuf>,
    /// SVG file for the diagram.
    pub svg: Option<PathBuf>,
    /// File for the diagram as a Mermaid flowchart.
    pub mermaid: Option<PathBuf>,
    /// File for the diagram in the DOT format of Graphviz.
    pub dot: Option<PathBuf>,
}

impl RawCatalog {
    /// Checks the settings of the catalog. The caller checks what the catalog shares with
    /// other parts: access to AWS, the manager of secrets, and the data directory.
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
