//! Checks `[catalog]` with the parts of other sections that it needs. A run checks all of it even
//! where there is no schedule.

mod servers;

use std::path::{Path, PathBuf};

use super::aws::check_aws;
use super::error::Mistakes;
use super::secrets::{References, check_secrets};
use super::{ConfigError, Overrides, RawCatalog, RawLineage, RawSettings};
use servers::{openlineage, openmetadata};
use standpipe_aws::AwsSettings;
use standpipe_catalog::drawing::{Backups, DrawingOptions, Schemas};
use standpipe_catalog::reading::ReadingSettings;
use standpipe_catalog::schedule::Schedule;
use standpipe_catalog::{CatalogSettings, Files, Filter, Judgement, LogLevel};

/// What the command line says of the catalog; it goes before the settings file.
#[derive(Debug, Clone, Default)]
pub struct CatalogOverrides {
    /// The region.
    pub region: Option<String>,
    /// A URL in place of Firehose's own.
    pub endpoint_url: Option<String>,
    /// Where the history is kept.
    pub data_dir: Option<PathBuf>,
}

impl RawSettings {
    /// Check what is set about the catalog, and whatever it needs of the rest.
    ///
    /// # Errors
    ///
    /// A setting is wrong; the error names it.
    pub fn check_catalog(
        self,
        directory: &Path,
        overrides: CatalogOverrides,
    ) -> Result<CatalogSettings, ConfigError> {
        let places = self.places.clone();
        let checked = self.check_all_of_catalog(directory, overrides);
        checked.map_err(|error| error.located(&places))
    }

    fn check_all_of_catalog(
        self,
        directory: &Path,
        overrides: CatalogOverrides,
    ) -> Result<CatalogSettings, ConfigError> {
        let mut mistakes = Mistakes::default();
        let data_dir = self.data_dir(directory, overrides.data_dir);
        let references = References::new(&self.secrets);
        let mut catalog = self.catalog.unwrap_or_default();
        let own_aws = catalog.aws.take();
        let section = if own_aws.is_some() { "[catalog.aws" } else { "[aws" };
        let aws = own_aws.unwrap_or(self.aws);
        let CatalogOverrides { region, endpoint_url, .. } = overrides;
        let aws = check_aws(aws, region, endpoint_url, directory, &references);
        let aws = aws.map_err(|error| error.renamed("[aws", section));
        let (aws, firehose_url) = mistakes.or(aws, (AwsSettings::default(), None));
        let secrets = mistakes.or(check_secrets(self.secrets, &aws, directory), None);
        let role = aws.role.as_ref().map(|role| role.arn.clone());
        let filter = mistakes.some(filter(&catalog));
        let calls = calls_per_second(catalog.calls_per_second);
        let calls_per_second =
            mistakes.or(calls, standpipe_catalog::limits::CATALOG_CALLS_PER_SECOND);
        let server = catalog.openmetadata.take();
        let server = server
            .map(|server| openmetadata(server, &catalog, role, directory, &references))
            .transpose();
        let openmetadata = mistakes.or(server, None);
        let openlineage = openlineage(&catalog.openlineage, directory, &references);
        let openlineage = mistakes.or(openlineage, None);
        let judgement = mistakes.or(judgement(&catalog), Judgement::default());
        let log_level = mistakes.or(log_level(catalog.log_level.as_deref()), LogLevel::Info);
        let schedule = mistakes.or(schedule(&catalog), Schedule::manual());
        let settings = filter.map(|filter| CatalogSettings {
            service: catalog.service_name.clone(),
            brokers: catalog.openlineage.brokers.clone(),
            reading: ReadingSettings {
                aws,
                firehose_url,
                filter,
                walks_tables: catalog.lineage.dynamodb.unwrap_or(true),
                calls_per_second,
            },
            secrets,
            drawing: drawing(&catalog.lineage),
            openmetadata,
            openlineage,
            files: files(&catalog, directory),
            judgement,
            log_level,
            schedule,
            data_dir,
        });
        Ok(mistakes.end(settings)?.expect("nothing is wrong with the filter"))
    }
}

impl RawSettings {
    /// The same for a run, which it comes along with where there is a schedule. All
    /// of it is checked in any case.
    pub(super) fn scheduled_catalog(
        &self,
        directory: &Path,
        overrides: &Overrides,
    ) -> Result<Option<Box<CatalogSettings>>, ConfigError> {
        if self.catalog.is_none() {
            return Ok(None);
        }
        let overrides = CatalogOverrides {
            region: overrides.region.clone(),
            endpoint_url: overrides.endpoint_url.clone(),
            data_dir: overrides.data_dir.clone(),
        };
        let settings = self.clone().check_catalog(directory, overrides)?;
        Ok((!settings.schedule.is_manual()).then(|| Box::new(settings)))
    }
}

fn filter(catalog: &RawCatalog) -> Result<Filter, ConfigError> {
    let list = |list: &Option<Vec<String>>| list.clone().unwrap_or_default();
    Filter::new(&list(&catalog.include), &list(&catalog.exclude))
        .map_err(|error| ConfigError::new(format!("[catalog] {error}")))
}

fn calls_per_second(calls: Option<f64>) -> Result<f64, ConfigError> {
    match calls {
        None => Ok(standpipe_catalog::limits::CATALOG_CALLS_PER_SECOND),
        Some(calls) if (0.1..=1000.0).contains(&calls) => Ok(calls),
        Some(calls) => Err(ConfigError::new(format!(
            "[catalog] calls_per_second is {calls}: write a number from 0.1 to 1000; AWS itself takes 5"
        ))),
    }
}

fn drawing(lineage: &RawLineage) -> DrawingOptions {
    let backups = if lineage.backups == Some(true) { Backups::Drawn } else { Backups::LeftOut };
    let schemas = if lineage.schemas == Some(true) { Schemas::Drawn } else { Schemas::LeftOut };
    DrawingOptions { backups, schemas }
}

fn files(catalog: &RawCatalog, directory: &Path) -> Files {
    let of = |path: &Option<PathBuf>| path.as_ref().map(|path| directory.join(path));
    let files = &catalog.files;
    Files {
        json: of(&files.json),
        svg: of(&files.svg),
        mermaid: of(&files.mermaid),
        dot: of(&files.dot),
        openlineage: of(&catalog.openlineage.file),
    }
}

fn judgement(catalog: &RawCatalog) -> Result<Judgement, ConfigError> {
    let known = Judgement::default();
    let success_threshold = catalog.success_threshold.unwrap_or(known.success_threshold);
    if success_threshold > 100 {
        return Err(ConfigError::new(format!(
            "[catalog] success_threshold is {success_threshold}: write a number from 0 to 100"
        )));
    }
    Ok(Judgement {
        strict: catalog.strict.unwrap_or(known.strict),
        success_threshold,
        raise_on_error: catalog.raise_on_error.unwrap_or(known.raise_on_error),
    })
}

fn log_level(word: Option<&str>) -> Result<LogLevel, ConfigError> {
    match word {
        Some("debug") => Ok(LogLevel::Debug),
        None | Some("info") => Ok(LogLevel::Info),
        Some("warn") => Ok(LogLevel::Warn),
        Some("error") => Ok(LogLevel::Error),
        Some(word) => Err(ConfigError::new(format!(
            "[catalog] log_level is {word:?}: write \"debug\", \"info\", \"warn\" or \"error\""
        ))),
    }
}

fn schedule(catalog: &RawCatalog) -> Result<Schedule, ConfigError> {
    let (start, end) = (catalog.start_date.as_deref(), catalog.end_date.as_deref());
    match catalog.schedule.as_deref() {
        None if start.is_some() || end.is_some() => Err(ConfigError::new(
            "[catalog] start_date and end_date have a meaning only with schedule: set it, or remove them",
        )),
        None => Ok(Schedule::manual()),
        Some(rhythm) => Schedule::parse(rhythm, start, end)
            .map_err(|error| ConfigError::new(format!("[catalog] {error}"))),
    }
}

#[cfg(test)]
mod tests;
