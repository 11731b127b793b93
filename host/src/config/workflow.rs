//! Reads the vendor's workflow file, `metadata ingest -c FILE`, without changes.
//!
//! Each key becomes the equivalent setting of `[catalog]`, `[aws]` or `[secrets]`. These settings
//! are then checked as if they were in a settings file, so neither format can express something
//! that the other cannot. Keys without an effect are accepted with a notice. Unknown keys are
//! errors with their path.
//!
//! The file is untrusted and may contain secrets: its size is limited, and errors show no values.

mod connection;
mod environment;
mod section;
mod server;
mod source;
mod yaml;

use std::cell::RefCell;
use std::path::Path;

use thiserror::Error;

use super::RawSettings;
use crate::limits;
use section::Section;
use standpipe_catalog::{RawCatalog, RawLineage};

/// Minimum bytes of a part of a variable's value that is hidden in errors. A shorter text is part
/// of many words, and is not a secret.
const HIDDEN_BYTES_MIN: usize = 6;

/// A workflow that cannot be used.
#[derive(Debug, Clone, Error, PartialEq, Eq)]
#[error("{}{message}", line.map(|line| format!("line {line}: ")).unwrap_or_default())]
pub struct WorkflowError {
    /// The line, counted from 1, if it is known.
    pub line: Option<usize>,
    /// What is wrong, with the path of the key, and what to write instead.
    pub message: String,
}

/// A workflow, converted to a settings file.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Workflow {
    /// The settings.
    pub settings: RawSettings,
    /// Notices for the operator about the conversion.
    pub notices: Vec<String>,
}

/// The format of a workflow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WorkflowFormat {
    /// YAML.
    Yaml,
    /// JSON.
    Json,
}

impl WorkflowFormat {
    /// The format for a file name, with the same rule as in the vendor's program. `None` for other
    /// extensions.
    pub fn of(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()? {
            "yaml" | "yml" => Some(WorkflowFormat::Yaml),
            "json" => Some(WorkflowFormat::Json),
            _ => None,
        }
    }
}

/// Parses a workflow's text. The function `variable` returns the values that replace names of
/// variables.
///
/// # Errors
///
/// Fails if the text is not in this format, has an unknown key, or requires something unsupported.
pub fn read_workflow(
    text: &str,
    form: WorkflowFormat,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Workflow, WorkflowError> {
    let is_long = |text: &str| text.len() > limits::WORKFLOW_BYTES_MAX;
    let used = RefCell::new(Vec::new());
    let noted = |name: &str| {
        let value = variable(name)?;
        used.borrow_mut().push(value.clone());
        Some(value)
    };
    let expanded =
        if is_long(text) { String::new() } else { environment::expand_variables(text, noted) };
    if is_long(text) || is_long(&expanded) {
        let most = limits::WORKFLOW_BYTES_MAX;
        return Err(WorkflowError::new(format!(
            "it has more than {most} bytes after the variables of the environment are inserted: no \
             workflow is that large"
        )));
    }
    let workflow = read_expanded(&expanded, form, &variable);
    workflow.map_err(|error| error.without_secrets(text, &used.into_inner()))
}

fn read_expanded(
    expanded: &str,
    form: WorkflowFormat,
    variable: &impl Fn(&str) -> Option<String>,
) -> Result<Workflow, WorkflowError> {
    let node = match form {
        WorkflowFormat::Yaml => yaml::parse_yaml(expanded)?,
        WorkflowFormat::Json => yaml::from_json(parse_json(expanded)?),
    };
    let mut workflow = Workflow::default();
    workflow.read(Section::new(String::new(), node)?, variable)?;
    Ok(workflow)
}

/// Replaces the keys of settings in an error by the keys of a workflow.
pub fn translate_to_workflow_keys(error: &str) -> String {
    const WORDS: [(&str, &str); 11] = [
        ("[aws]", "awsConfig:"),
        ("secret_access_key", "awsSecretAccessKey"),
        ("access_key_id", "awsAccessKeyId"),
        ("session_token", "awsSessionToken"),
        ("role_arn", "assumeRoleArn"),
        ("session_name", "assumeRoleSessionName"),
        ("source_identity", "assumeRoleSourceIdentity"),
        ("[catalog.openmetadata]", "openMetadataServerConfig:"),
        ("api_version", "apiVersion"),
        ("headers:", "extraHeaders:"),
        ("[catalog]", "pipelineFilterPattern:"),
    ];
    WORDS.iter().fold(error.to_owned(), |text, (ours, theirs)| text.replace(ours, theirs))
}

/// Parses JSON without the parser's own error, which would show the invalid text.
fn parse_json(text: &str) -> Result<serde_json::Value, WorkflowError> {
    serde_json::from_str(text).map_err(|error| {
        WorkflowError::at(error.line(), "this is not JSON: check this line and the one before")
    })
}

impl Workflow {
    fn read(
        &mut self,
        mut root: Section,
        variable: &impl Fn(&str) -> Option<String>,
    ) -> Result<(), WorkflowError> {
        self.settings.catalog = Some(RawCatalog::default());
        self.read_source(root.section("source")?)?;
        let needs_server = self.read_sink(root.section("sink")?)?;
        self.workflow_config(root.section("workflowConfig")?, needs_server, variable)?;
        for key in ["processor", "stage", "bulkSink"] {
            self.ignore_key(&mut root, key, "it is not used to read pipelines");
        }
        for key in
            ["ingestionPipelineFQN", "pipelineRunId", "enableStreamableLogs", "ingestionRunnerName"]
        {
            self.ignore_key(
                &mut root,
                key,
                "it is only used by runs that OpenMetadata itself starts",
            );
        }
        root.end()
    }

    /// Reads `sink`. Returns whether an OpenMetadata server is needed.
    fn read_sink(&mut self, mut sink: Section) -> Result<bool, WorkflowError> {
        let word = sink.required_text("type", "metadata-rest")?;
        let mut config = sink.section("config")?;
        let needs_server = match &*word {
            "metadata-rest" => {
                let batch = config.number("bulk_sink_batch_size", u64::from(u32::MAX))?;
                self.catalog().openmetadata.get_or_insert_default().batch = batch;
                true
            }
            "file" => {
                let file = config.required_text("filename", "lineage.json")?;
                self.catalog().files.json = Some(file.into());
                self.add_notice(
                    "sink: the file contains streams and lineage in this program's own format",
                );
                false
            }
            _ => return Err(sink.error_at_key("type", "write metadata-rest or file")),
        };
        config.end()?;
        sink.end()?;
        Ok(needs_server)
    }

    fn catalog(&mut self) -> &mut RawCatalog {
        self.settings.catalog.get_or_insert_default()
    }

    fn lineage(&mut self) -> &mut RawLineage {
        &mut self.catalog().lineage
    }

    fn add_notice(&mut self, text: impl Into<String>) {
        self.notices.push(text.into());
    }

    /// Takes a key that has no effect, with any value.
    fn ignore_key(&mut self, section: &mut Section, key: &'static str, why: &str) {
        if section.take(key).is_some() {
            self.add_notice(format!("{} has no effect: {why}", section.path_of(key)));
        }
    }
}

impl WorkflowError {
    fn new(message: impl Into<String>) -> Self {
        Self::at(None, message)
    }

    fn at(line: impl Into<Option<usize>>, message: impl Into<String>) -> Self {
        WorkflowError { line: line.into(), message: message.into() }
    }

    /// Hides text that only environment variables contain: a secret with a line break or a colon
    /// may have become a key.
    fn without_secrets(mut self, text: &str, values: &[String]) -> Self {
        let is_part = |character: char| character.is_alphanumeric() || character == '_';
        let parts = values.iter().flat_map(|value| value.split(|it| !is_part(it)));
        for part in parts.filter(|part| part.len() >= HIDDEN_BYTES_MIN && !text.contains(part)) {
            self.message = self.message.replace(part, "...");
        }
        self
    }
}

#[cfg(test)]
mod tests;
