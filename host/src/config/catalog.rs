//! The catalog's settings, with what they need of the rest of the file.

use std::path::Path;

use super::{ConfigError, Overrides, RawSettings};
use standpipe_aws::AwsOverrides;
use standpipe_catalog::CatalogSettings;
use standpipe_core::settings::SettingsChecker;

impl RawSettings {
    /// Check what is set about the catalog, and whatever it needs of the rest.
    ///
    /// # Errors
    ///
    /// A setting is wrong; the error names it.
    pub fn check_catalog(
        &self,
        directory: &Path,
        overrides: &Overrides,
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
        let settings = self.check_catalog_with(directory, overrides, checker);
        (!settings.schedule.is_manual()).then(|| Box::new(settings))
    }

    fn check_catalog_with(
        &self,
        directory: &Path,
        overrides: &Overrides,
        checker: &mut SettingsChecker,
    ) -> CatalogSettings {
        let Overrides { region, endpoint_url, data_dir, .. } = overrides.clone();
        let data_dir = self.data_dir(directory, data_dir);
        let catalog = self.catalog.clone().unwrap_or_default();
        let over = AwsOverrides { region, endpoint_url };
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
