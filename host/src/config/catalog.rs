//! The catalog's settings, with what they need of the rest of the file.

use std::path::{Path, PathBuf};

use super::{ConfigError, Overrides, RawSettings};
use standpipe_aws::AwsOverrides;
use standpipe_catalog::CatalogSettings;
use standpipe_core::settings::SettingsChecker;

/// Options of the command line for the catalog, which override the settings file.
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
        &self,
        directory: &Path,
        overrides: CatalogOverrides,
    ) -> Result<CatalogSettings, ConfigError> {
        let mut checker = SettingsChecker::new(directory, self.secrets.secret_manager());
        let settings = self.check_catalog_with(directory, overrides, &mut checker);
        ConfigError::check(checker, settings).map_err(|error| self.places.locate_all(error))
    }

    /// Checks the catalog of a run, which it comes along with where there is a schedule. All
    /// of it is checked in any case.
    pub(super) fn check_scheduled_catalog(
        &self,
        directory: &Path,
        overrides: &Overrides,
        checker: &mut SettingsChecker,
    ) -> Option<Box<CatalogSettings>> {
        self.catalog.as_ref()?;
        let overrides = CatalogOverrides {
            region: overrides.region.clone(),
            endpoint_url: overrides.endpoint_url.clone(),
            data_dir: overrides.data_dir.clone(),
        };
        let settings = self.check_catalog_with(directory, overrides, checker);
        (!settings.schedule.is_manual()).then(|| Box::new(settings))
    }

    fn check_catalog_with(
        &self,
        directory: &Path,
        overrides: CatalogOverrides,
        checker: &mut SettingsChecker,
    ) -> CatalogSettings {
        let data_dir = self.data_dir(directory, overrides.data_dir);
        let catalog = self.catalog.clone().unwrap_or_default();
        let over = AwsOverrides { region: overrides.region, endpoint_url: overrides.endpoint_url };
        let (aws, firehose_url) = match &catalog.aws {
            Some(aws) => aws.check(over, &mut checker.table("catalog").table("aws")),
            None => self.aws.check(over, &mut checker.table("aws")),
        };
        let secrets = self.secrets.check(&aws, &mut checker.table("secrets"));
        catalog.check(aws, firehose_url, secrets, data_dir, &mut checker.table("catalog"))
    }
}

#[cfg(test)]
mod tests;
