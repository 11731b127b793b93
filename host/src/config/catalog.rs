use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::aws::{check_aws, check_url};
use super::check::duration;
use super::secrets::{References, check_secrets};
use super::{
    ConfigError, Overrides, RawCatalog, RawLineage, RawOpenLineage, RawOpenMetadata, RawSettings,
};
use crate::catalog::drawing::{Backups, DrawingOptions, Schemas};
use crate::catalog::openmetadata::{Deletion, OpenMetadataSettings, Services};
use crate::catalog::reading::ReadingSettings;
use crate::catalog::schedule::Schedule;
use crate::catalog::web::Verify;
use crate::catalog::{
    CatalogSettings, Files, Filter, Headers, Judgement, LogLevel, OpenLineageServer,
};
use crate::limits;
use crate::secret::Secret;

const TIMEOUT_MAX: Duration = Duration::from_secs(600);
const BATCH_MAX: u64 = 1000;

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
        let data_dir = self.data_dir(directory, overrides.data_dir);
        let references = References::new(&self.secrets);
        let mut catalog = self.catalog.unwrap_or_default();
        let aws = catalog.aws.take().unwrap_or(self.aws);
        let CatalogOverrides { region, endpoint_url, .. } = overrides;
        let (aws, firehose_url) = check_aws(aws, region, endpoint_url, directory, &references)?;
        let secrets = check_secrets(self.secrets, &aws, directory)?;
        let role = aws.role.as_ref().map(|role| role.arn.clone());
        let reading = ReadingSettings {
            aws,
            firehose_url,
            filter: filter(&catalog)?,
            walks_tables: catalog.lineage.dynamodb.unwrap_or(true),
            calls_per_second: calls_per_second(catalog.calls_per_second)?,
        };
        let openmetadata = match catalog.openmetadata.take() {
            Some(server) => Some(openmetadata(server, &catalog, role, directory, &references)?),
            None => None,
        };
        Ok(CatalogSettings {
            service: catalog.service_name.clone(),
            brokers: catalog.openlineage.brokers.clone(),
            reading,
            secrets,
            drawing: drawing(&catalog.lineage),
            openmetadata,
            openlineage: openlineage(&catalog.openlineage, directory, &references)?,
            files: files(&catalog, directory),
            judgement: judgement(&catalog)?,
            log_level: log_level(catalog.log_level.as_deref())?,
            schedule: schedule(&catalog)?,
            data_dir,
        })
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
        None => Ok(limits::CATALOG_CALLS_PER_SECOND),
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

fn openmetadata(
    server: RawOpenMetadata,
    catalog: &RawCatalog,
    assume_role_arn: Option<String>,
    directory: &Path,
    references: &References,
) -> Result<(OpenMetadataSettings, Headers), ConfigError> {
    let place = "[catalog.openmetadata]";
    let url = server.url.ok_or_else(|| {
        ConfigError::new(format!(
            "{place} has no url: write one such as \"http://localhost:8585/api\""
        ))
    })?;
    check_url(&format!("{place} url"), Some(&url))?;
    if !url.trim_end_matches('/').ends_with("/api") {
        return Err(ConfigError::new(format!(
            "{place} url is {url:?}: write the address of the API, with /api at its end"
        )));
    }
    match server.api_version.as_deref() {
        None | Some("v1" | "") => {}
        Some(other) => {
            return Err(ConfigError::new(format!(
                "{place} api_version is {other:?}: this program speaks v1: write that, or remove it"
            )));
        }
    }
    let service = catalog.service_name.as_deref().ok_or_else(|| {
        ConfigError::new(
            "[catalog] service_name is missing: OpenMetadata knows the streams together by it: write one such as \
             \"aws_firehose\"",
        )
    })?;
    let lineage = &catalog.lineage;
    let timeout = duration(
        &format!("{place} timeout"),
        server.timeout.as_deref(),
        limits::WEB_TIMEOUT,
        TIMEOUT_MAX,
    )?;
    let headers = headers(place, server.headers, references)?;
    let settings = OpenMetadataSettings {
        token: references.optional(&format!("{place} token"), server.token)?,
        verify: verify(server.verify.as_deref(), directory),
        timeout,
        version_validation: server.check_version.unwrap_or(true),
        store_service_connection: server.store_connection.unwrap_or(true),
        assume_role_arn,
        adopt_service: server.adopt_service.unwrap_or(false),
        override_metadata: server.overwrite.unwrap_or(false),
        override_lineage: lineage.r#override.unwrap_or(false),
        include_lineage: lineage.include.unwrap_or(true),
        deletion: Deletion {
            is_on: server.mark_deleted.unwrap_or(true),
            prunes_filtered: server.delete_filtered.unwrap_or(false),
            ratio_max: ratio(server.delete_percent_max)?,
        },
        bulk_size: bulk_size(server.batch)?,
        services: services(lineage),
        direct_put_edges: lineage.direct_put.unwrap_or(false),
        column_lineage: lineage.columns.unwrap_or(false),
        ..OpenMetadataSettings::new(&url, service)
    };
    Ok((settings, headers))
}

fn services(lineage: &RawLineage) -> Services {
    let list = |list: &Option<Vec<String>>| list.clone().unwrap_or_default();
    Services {
        database: list(&lineage.database_services),
        storage: list(&lineage.storage_services),
        messaging: list(&lineage.messaging_services),
        search: list(&lineage.search_services),
        kafka: lineage.messaging_service.clone(),
    }
}

fn ratio(percent: Option<u64>) -> Result<f64, ConfigError> {
    match percent {
        None => Ok(Deletion::default().ratio_max),
        Some(percent @ 0..=100) => Ok(f64::from(u8::try_from(percent).unwrap_or(100)) / 100.0),
        Some(percent) => Err(ConfigError::new(format!(
            "[catalog.openmetadata] delete_percent_max is {percent}: write a number from 0 to 100"
        ))),
    }
}

/// What the vendor's program takes in one request may be more than is taken here.
fn bulk_size(batch: Option<u64>) -> Result<usize, ConfigError> {
    match batch {
        None => Ok(limits::CATALOG_BULK),
        Some(0) => Err(ConfigError::new("[catalog.openmetadata] batch is 0: write at least 1")),
        Some(batch) => Ok(usize::try_from(batch.min(BATCH_MAX)).unwrap_or(limits::CATALOG_BULK)),
    }
}

fn openlineage(
    server: &RawOpenLineage,
    directory: &Path,
    references: &References,
) -> Result<Option<OpenLineageServer>, ConfigError> {
    let place = "[catalog.openlineage]";
    let Some(url) = server.url.clone() else {
        let is_set =
            server.token.is_some() || server.verify.is_some() || !server.headers.is_empty();
        return match is_set {
            true => Err(ConfigError::new(format!(
                "{place} token, verify and headers have a meaning only with url: set it, or remove them"
            ))),
            false => Ok(None),
        };
    };
    check_url(&format!("{place} url"), Some(&url))?;
    Ok(Some(OpenLineageServer {
        url,
        path: server.path.clone(),
        token: references.optional(&format!("{place} token"), server.token.clone())?,
        headers: headers(place, server.headers.clone(), references)?,
        verify: verify(server.verify.as_deref(), directory),
    }))
}

fn headers(
    place: &str,
    headers: BTreeMap<String, Secret>,
    references: &References,
) -> Result<Headers, ConfigError> {
    let check = |(name, value): (String, Secret)| {
        let setting = references.check(&format!("{place} headers: {name}"), value)?;
        Ok((name, setting))
    };
    headers.into_iter().map(check).collect()
}

fn verify(word: Option<&str>, directory: &Path) -> Verify {
    match word {
        None | Some("system") => Verify::System,
        Some("nothing") => Verify::Nothing,
        Some(path) => Verify::Authority(directory.join(path)),
    }
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
mod tests {
    use super::*;
    use crate::config::parse;

    fn check(text: &str) -> Result<CatalogSettings, ConfigError> {
        parse(text)?.check_catalog(Path::new("/etc/x"), CatalogOverrides::default())
    }

    fn fails(text: &str) -> String {
        check(text).unwrap_err().to_string()
    }

    #[test]
    fn nothing_needs_to_be_set() {
        let settings = check("").unwrap();
        assert!(settings.schedule.is_manual() && settings.openmetadata.is_none());
        assert_eq!(settings.judgement, Judgement::default());
        assert!(settings.reading.filter.is_empty() && settings.reading.walks_tables);
    }

    #[test]
    fn all_of_it_is_taken() {
        let settings = check(
            "[aws]\nregion = \"a\"\n[secrets]\nmanager = \"env\"\n[catalog]\nservice_name = \"f\"\nschedule = \"daily\"\n\
             include = [\"a.*\"]\nstrict = true\nsuccess_threshold = 50\nlog_level = \"debug\"\n\
             [catalog.aws]\nregion = \"b\"\n[catalog.lineage]\ndynamodb = false\nbackups = true\nstorage_services = [\"s\"]\n\
             [catalog.openmetadata]\nurl = \"http://h/api\"\ntoken = \"secret:T\"\nverify = \"ca.pem\"\n\
             delete_percent_max = 5\nheaders = { X-A = \"secret:H\" }\n\
             [catalog.openlineage]\nurl = \"http://l\"\nfile = \"o.ndjson\"\n[catalog.files]\nsvg = \"/p.svg\"\n",
        )
        .unwrap();
        assert_eq!(settings.reading.aws.region.as_deref(), Some("b"));
        assert!(!settings.reading.walks_tables && !settings.schedule.is_manual());
        assert_eq!(settings.log_level, LogLevel::Debug);
        let (server, headers) = settings.openmetadata.unwrap();
        assert_eq!(server.verify, Verify::Authority("/etc/x/ca.pem".into()));
        assert!(server.token.unwrap().reference().is_some() && headers[0].1.reference().is_some());
        assert_eq!(
            (server.deletion.ratio_max, &*server.services.storage),
            (0.05, &["s".to_owned()][..])
        );
        assert_eq!(settings.files.svg, Some("/p.svg".into()));
        assert_eq!(settings.files.openlineage, Some("/etc/x/o.ndjson".into()));
    }

    #[test]
    fn what_is_wrong_is_told() {
        let server =
            "[catalog]\nservice_name = \"f\"\n[catalog.openmetadata]\nurl = \"http://h/api\"\n";
        for (text, word) in [
            ("[catalog]\nschedule = \"x\"", "[catalog] schedule"),
            ("[catalog]\nstart_date = \"2026-01-01\"", "only with schedule"),
            ("[catalog]\ninclude = [\"(\"]", "no regular expression"),
            ("[catalog]\ninclud = []", "did you mean `include`?"),
            ("[catalog.lineage]\noverrid = true", "did you mean `override`?"),
            ("[catalog.openmetadata]\nur = \"\"", "did you mean `url`?"),
            ("[catalog.openmetadata]", "has no url"),
            ("[catalog.openmetadata]\nurl = \"http://h/api\"", "service_name is missing"),
            ("[catalog.openmetadata]\nurl = \"http://h\"", "/api at its end"),
            ("[catalog.openlineage]\ntoken = \"x\"", "only with url"),
            ("[catalog]\nsuccess_threshold = 101", "from 0 to 100"),
            ("[catalog]\nlog_level = \"loud\"", "log_level"),
            ("[catalog]\ncalls_per_second = 0.0", "calls_per_second"),
            (&format!("{server}token = \"secret:x\""), "no manager of secrets"),
            (&format!("{server}batch = 0"), "at least 1"),
            (&format!("{server}timeout = \"x\""), "timeout"),
            (&format!("{server}api_version = \"v2\""), "v1"),
        ] {
            assert!(fails(text).contains(word), "{text}: {}", fails(text));
        }
    }
}
