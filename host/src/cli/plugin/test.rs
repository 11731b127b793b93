//! `host plugin test`: runs cases under the limits of production. The exit code is 1 if one fails.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::settings::{PluginSettingsArguments, RunnerArgument, plugin_loader, read_named_plugin};
use crate::cli::run::{LogFormat, start_logging};
use crate::cli::{CommandResult, Exit, print_report, usage};
use standpipe_plugin_host::cases::{CaseFailure, Cases};
use standpipe_plugin_host::swap::SwapStep;

const FORM: &str = r#"The form of cases:
  {
    "settings": {...},                the plugin's settings; --settings or --config otherwise
    "cases": [
      {
        "name": "an order",
        "source": "web",              optional
        "settings": {...},            optional, in place of those above
        "event": {...},               or a string: the event's text, byte by byte
        "expect": [                   deliveries in any order; none: it is filtered
          {"stream": "orders"},       the event's text as received
          {"stream": "all", "payload": {...}},   compared as JSON
          {"stream": "raw", "payload": "text"}   compared byte by byte
        ]
      },
      {"name": "no order", "event": {}, "expect": {"reject": "words of the reason"}}
    ]
  }

Exit codes:
  0  every case came out as expected
  1  some did not
  2  wrong usage, no plugin, or no cases"#;

#[derive(Debug, Args)]
#[command(after_help = FORM)]
pub(crate) struct TestPluginArguments {
    /// The file of a component or script, or a directory of scripts.
    #[arg(value_name = "PLUGIN.wasm|PLUGIN.js")]
    plugin: PathBuf,
    /// A file of cases, or a directory of *.json.
    #[arg(value_name = "CASES")]
    cases: PathBuf,
    #[command(flatten)]
    runner: RunnerArgument,
    #[command(flatten)]
    settings: PluginSettingsArguments,
    /// Where compiled plugins are kept [default: that of --config].
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &TestPluginArguments) -> CommandResult {
    start_logging(LogFormat::Human);
    let (cases, failures) = run_cases(arguments).map_err(usage)?;
    let report = json!({"cases": cases, "failed": failures.len(), "failures": failures});
    print_report(arguments.json, || report.to_string(), || failures_text(cases, &failures))?;
    Ok(if failures.is_empty() { Exit::Done } else { Exit::Fault })
}

fn run_cases(arguments: &TestPluginArguments) -> anyhow::Result<(usize, Vec<CaseFailure>)> {
    let cases = Cases::read(&arguments.cases)?;
    let (settings, of_plugin) = arguments.settings.read(arguments.data_dir.clone())?;
    let plugin = read_named_plugin(&arguments.plugin, &arguments.runner, &settings)?;
    let mut loader = plugin_loader(&settings)?;
    let load =
        |settings: &str| match loader.load_with(&plugin.candidate, &plugin.settings(settings)) {
            Ok(plugin) => Ok(Ok(plugin)),
            // These steps depend on the settings.
            Err(error) if matches!(error.step, SwapStep::Configure | SwapStep::Samples) => {
                Ok(Err(error.cause))
            }
            Err(error) => Err(error),
        };
    let failures = cases.run_all(&of_plugin, load).map_err(|error| {
        anyhow::Error::new(error.cause).context(arguments.plugin.display().to_string())
    })?;
    Ok((cases.len(), failures))
}

fn failures_text(cases: usize, failures: &[CaseFailure]) -> String {
    let mut text: String = failures.iter().map(|failure| format!("{failure}\n\n")).collect();
    text += &format!("{cases} cases, {} failed\n", failures.len());
    text
}
