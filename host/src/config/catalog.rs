//! The catalog's settings, and the parts of the file that they depend on.

use std::path::Path;

use super::{ConfigError, Overrides, RawSettings};
use standpipe_aws::AwsOverrides;
use standpipe_catalog::CatalogSettings;
use standpipe_core::settings::SettingsChecker;

impl RawSettings {
    /// Checks the settings of the catalog, and the other settings that it needs.
    ///
    /// # Errors
    ///
    /// Fails if a setting is wrong. The error contains its name.
    pub fn check_catalog(
        &self,
        directory: &Path,
        overrides: &Overrides,
    ) -> Result<CatalogSettings, ConfigError> {
        let mut checker = SettingsChecker::new(directory, self.secrets.secret_manager());
        let settings = self.check_catalog_with(directory, overrides, &mut checker);
        ConfigError::check(checker, settings).map_err(|error| self.places.locate_all(error))
    }

    /// Checks the catalog of a run, which the run only needs if there is a schedule. All of its
    /// settings are checked in any case.
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
