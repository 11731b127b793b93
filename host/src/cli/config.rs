//! `host config check` and `schema`, and reading settings files for other commands. Errors name the
//! file.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args, Subcommand};

use super::{CommandResult, Exit, complain, print, print_text, usage};
use crate::check::ConfigReview;
use crate::config::{self, Overrides, RawSettings, Settings};
use crate::run::{PluginSecrets, Preparation, uses_stored_secrets};
use standpipe_core::escape::one_line;

const CHECK_HELP: &str = "Reports all mistakes with their lines. Prepares what `host run` prepares: the plugin with \
its pin, signature, limits and cases, the canary, the shadow and the certificate. Makes no request and writes nothing; \
`host check` also tests credentials and delivery streams.

Exit codes:
  0  a run can start with these settings, as far as can be checked without a request
  1  it can, and there are warnings, with --strict
  2  it cannot";

#[derive(Debug, Subcommand)]
pub(super) enum ConfigCommand {
    /// Check a settings file, and everything that it names.
    #[command(after_help = CHECK_HELP)]
    Check(ConfigCheckArguments),
    /// Print the JSON Schema of the settings file, for editors.
    Schema,
}

#[derive(Debug, Args)]
pub(super) struct ConfigCheckArguments {
    /// The settings file.
    #[arg(value_name = "FILE.toml")]
    file: PathBuf,
    /// End with 1 if there are warnings.
    #[arg(long)]
    strict: bool,
}

pub(super) fn run(command: ConfigCommand) -> CommandResult {
    match command {
        ConfigCommand::Check(arguments) => check_file(&arguments),
        ConfigCommand::Schema => print(format!("{:#}\n", config::schema())),
    }
}

fn check_file(ConfigCheckArguments { file, strict }: &ConfigCheckArguments) -> CommandResult {
    let review = review_file(file).map_err(usage)?;
    let unused = review.unused.iter().map(|(_, mistake)| mistake);
    let warnings: Vec<_> = review.warnings.iter().chain(unused).collect();
    for warning in &warnings {
        complain(&format!("{}: warning: {warning}", file.display()));
    }
    let mistakes: Vec<_> = review.mistakes().collect();
    for mistake in &mistakes {
        complain(&format!("{}: {mistake}", file.display()));
    }
    if !mistakes.is_empty() {
        return Ok(Exit::Usage);
    }
    let streams = review.streams.join(", ");
    let text = format!("{}: good; delivery streams: {streams}", file.display());
    print_text(&format!("{}\n", one_line(&text)))?;
    Ok(if *strict && !warnings.is_empty() { Exit::Fault } else { Exit::Done })
}

fn review_file(file: &Path) -> anyhow::Result<ConfigReview> {
    let (raw, directory) = read_settings(Some(file))?;
    let mut settings = check_settings(raw, &directory, Some(file), Overrides::default())?;
    if settings.hosting.cases.is_some() && uses_stored_secrets(&settings) {
        // The cases may need the secrets, for example for hashes.
        settings.hosting.cases = None;
        complain(
            "note: skipping [plugin] cases, because the plugin gets secrets from a secret manager; `host check` runs them",
        );
    }
    let secrets = PluginSecrets::unresolved(&settings);
    Ok(ConfigReview::new(&settings, &Preparation::new(&settings, &secrets, None)))
}

/// Returns a settings file and the directory of its relative paths. Without a file, all settings
/// have their defaults.
pub(super) fn read_settings(file: Option<&Path>) -> anyhow::Result<(RawSettings, PathBuf)> {
    let Some(file) = file else { return Ok((RawSettings::default(), PathBuf::new())) };
    let text = std::fs::read_to_string(file)
        .with_context(|| format!("failed to read the settings file {}", file.display()))?;
    let raw = config::parse(&text).with_context(|| of_file(file))?;
    Ok((raw, file.parent().unwrap_or(Path::new("")).to_owned()))
}

/// Checks the settings. Errors name the file.
pub(super) fn check_settings(
    raw: RawSettings,
    directory: &Path,
    file: Option<&Path>,
    overrides: Overrides,
) -> anyhow::Result<Settings> {
    let checked = raw.check(directory, overrides);
    match file {
        Some(file) => checked.with_context(|| of_file(file)),
        None => Ok(checked?),
    }
}

fn of_file(file: &Path) -> String {
    format!("the settings file {}", file.display())
}
