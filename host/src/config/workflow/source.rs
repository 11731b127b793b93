//! Converts `source`: the streams to read, and their lineage.

use super::section::Section;
use super::{Workflow, WorkflowError};

/// The vendor's names of the service.
const SOURCE: &str = "kinesisfirehose";
const PIPELINES: &[&str] = &["PipelineMetadata"];

impl Workflow {
    pub(super) fn read_source(&mut self, mut source: Section) -> Result<(), WorkflowError> {
        let kind = source.required_text("type", "kinesisfirehose")?;
        if !kind.eq_ignore_ascii_case(SOURCE) {
            return Err(
                source.error_at_key("type", "only kinesisfirehose is supported: write that")
            );
        }
        let name = source.required_text("serviceName", "aws_firehose")?;
        self.catalog().service_name = Some(name);
        let mut connection = source.section("serviceConnection")?;
        self.read_connection(connection.section("config")?)?;
        connection.end()?;
        let mut config = source.section("sourceConfig")?;
        self.source_config(config.section("config")?)?;
        config.end()?;
        source.end()
    }

    fn source_config(&mut self, mut config: Section) -> Result<(), WorkflowError> {
        config.word("type", PIPELINES)?;
        self.lineage().include = config.flag("includeLineage")?;
        self.lineage().r#override = config.flag("overrideLineage")?;
        let mark_deleted = config.flag("markDeletedPipelines")?;
        let overwrite = config.flag("overrideMetadata")?;
        let server = self.catalog().openmetadata.get_or_insert_default();
        server.mark_deleted = mark_deleted;
        server.overwrite = overwrite;
        self.apply_patterns(&mut config)?;
        self.lineage_information(&mut config)?;
        self.ignore_key(&mut config, "includeTags", "tags of delivery streams are not read");
        self.ignore_key(&mut config, "includeOwners", "delivery streams have no owners");
        self.ignore_key(&mut config, "ownershipUpdateMode", "delivery streams have no owners");
        self.ignore_key(&mut config, "statusLookbackDays", "delivery streams have no runs");
        self.ignore_key(
            &mut config,
            "includeUnDeployedPipelines",
            "a delivery stream has no states other than existing or not",
        );
        config.end()
    }

    fn apply_patterns(&mut self, config: &mut Section) -> Result<(), WorkflowError> {
        let Some((include, exclude)) = read_patterns(config)? else {
            if self.catalog().include.is_some() || self.catalog().exclude.is_some() {
                self.add_notice(
                    "pipelineFilterPattern of the connection is used, because \
                     source.sourceConfig.config has none: the vendor's program would read all \
                     streams",
                );
            }
            return Ok(());
        };
        if self.catalog().include.is_some() || self.catalog().exclude.is_some() {
            self.add_notice(
                "pipelineFilterPattern of source.sourceConfig.config is used, and that of the \
                 connection is ignored",
            );
        }
        (self.catalog().include, self.catalog().exclude) = (include, exclude);
        Ok(())
    }

    fn lineage_information(&mut self, config: &mut Section) -> Result<(), WorkflowError> {
        let mut information = config.section("lineageInformation")?;
        let databases = information.texts("dbServiceNames")?;
        self.lineage().storage_services = information.texts("storageServiceNames")?;
        self.lineage().messaging_services = information.texts("messagingServiceNames")?;
        information.end()?;
        let older = config.texts("dbServiceNames")?;
        if older.is_some() {
            let path = config.path_of("dbServiceNames");
            self.add_notice(format!(
                "{path} is the former place of this key: move it to lineageInformation"
            ));
        }
        self.lineage().database_services = databases.or(older);
        Ok(())
    }
}

type Patterns = (Option<Vec<String>>, Option<Vec<String>>);

/// The include and exclude patterns of the streams. `None` if they are not set.
pub(super) fn read_patterns(config: &mut Section) -> Result<Option<Patterns>, WorkflowError> {
    let Some(mut patterns) = config.optional_section("pipelineFilterPattern")? else {
        return Ok(None);
    };
    let both = (patterns.texts("includes")?, patterns.texts("excludes")?);
    patterns.end()?;
    Ok(Some(both))
}
