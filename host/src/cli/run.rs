//! `host run`: options, logging, signals, the run, its summary and exit code. `host dead replay`
//! shares everything but the options.

use std::fmt;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, anyhow, bail};
use clap::{Args, ValueEnum};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::config::{check_settings, read_settings};
use super::progress::ProgressBar;
use super::signals::Signals;
use super::stderr::{self, LogLines};
use super::{
    CommandResult, Exit, abandon, complain, complain_at_once, fault, start_runtime, usage,
};
use crate::config::{DATA_DIR, Overrides, Settings};
use crate::log_fields::OneLineFields;
use crate::run::{Addresses, BoxError, Reloader, Run, RunError, RunOptions, SetLogFilter, Summary};
use crate::source::Input;
use standpipe_core::error_chain;
use standpipe_plugin_host::swap::Swapped;

/// Inputs are read in the given order. gzip and Zstandard are detected.
/// Dead letters are written to DATA_DIR/dead.
#[derive(Debug, Args)]
pub(super) struct RunArguments {
    /// Files of newline-delimited JSON events; `-` is standard input, the default
    /// without --listen.
    #[arg(value_name = "INPUT")]
    inputs: Vec<PathBuf>,
    /// Serve the HTTP API of Segment's and RudderStack's SDKs on this address, until
    /// stopped. [[sources]] of the settings file has the write keys.
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<String>,
    /// Serve health checks and metrics on this address, or `off` [default:
    /// 127.0.0.1:9180 with --listen].
    #[arg(long, value_name = "ADDRESS:PORT")]
    admin: Option<String>,
    /// Format of standard error: log lines, notices and the summary.
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    log_format: LogFormat,
    #[command(flatten)]
    options: Options,
}

// Without doc comments: they would replace the subcommand's help.
#[derive(Debug, Clone, Args)]
pub(super) struct Options {
    #[command(flatten)]
    pub(super) settings: SettingsOptions,
    /// Write records to DIR/STREAM.ndjson instead of Amazon Data Firehose.
    #[arg(long, value_name = "DIR")]
    local: Option<PathBuf>,
    /// Exit with code 1 where the run would wait: for a service that cannot be reached,
    /// or for a changed permission, stream or clock.
    #[arg(long)]
    fail_fast: bool,
    /// Write the summary as JSON to a file, or to standard output (`-`).
    #[arg(long, value_name = "FILE")]
    summary: Option<PathBuf>,
}

// The settings file, and options that override it.
#[derive(Debug, Clone, Args)]
pub(super) struct SettingsOptions {
    /// Mapping plugin, a WebAssembly component or a script [default: the built-in plugin].
    #[arg(long, value_name = "FILE.wasm|FILE.js")]
    plugin: Option<PathBuf>,
    /// Component that runs the script, for scripts in Python [default: the built-in runner
    /// of JavaScript].
    #[arg(long, value_name = "FILE.wasm")]
    runner: Option<PathBuf>,
    /// Settings file; `host config schema` describes it.
    #[arg(long, value_name = "FILE.toml")]
    pub(super) config: Option<PathBuf>,
    /// Send an event name, an event type, or `*` to a delivery stream; for the built-in
    /// plugin. Can be repeated.
    #[arg(long = "map", value_name = "EVENT=STREAM", value_parser = parse_mapping)]
    mappings: Vec<(String, String)>,
    /// Directory of dead letters and compiled plugins [default: that of the settings
    /// file, or standpipe-data beside it].
    #[arg(long, value_name = "DIR")]
    pub(super) data_dir: Option<PathBuf>,
    /// Region of the delivery streams.
    #[arg(long, value_name = "REGION")]
    region: Option<String>,
    /// URL to use instead of the region's Firehose endpoint.
    #[arg(long, value_name = "URL")]
    endpoint_url: Option<String>,
}

impl Options {
    pub(super) fn overrides(&self) -> Overrides {
        let (local, fail_fast) = (self.local.clone(), self.fail_fast);
        Overrides { local, fail_fast, ..self.settings.overrides() }
    }
}

impl SettingsOptions {
    pub(super) fn overrides(&self) -> Overrides {
        Overrides {
            plugin: self.plugin.clone(),
            runner: self.runner.clone(),
            mappings: self.mappings.clone(),
            data_dir: self.data_dir.clone(),
            region: self.region.clone(),
            endpoint_url: self.endpoint_url.clone(),
            ..Overrides::default()
        }
    }
}

/// Stream names contain no `=`, event names may.
pub(super) fn parse_mapping(text: &str) -> Result<(String, String), String> {
    match text.rsplit_once('=') {
        Some((event, stream)) if !event.is_empty() && !stream.is_empty() => {
            Ok((event.to_owned(), stream.to_owned()))
        }
        _ => {
            Err("write EVENT=STREAM, such as 'Order Completed=orders' or '*=everything'".to_owned())
        }
    }
}

pub(super) fn run(arguments: RunArguments) -> CommandResult {
    let RunArguments { inputs, listen, admin, log_format, options } = arguments;
    let set_log_filter = start_logging(log_format);
    let inputs = inputs.iter().map(|input| Input::from_argument(input)).collect();
    let overrides = Overrides { inputs, listen, admin, ..options.overrides() };
    run_with_options(options, overrides, set_log_filter, |settings| {
        if settings.inputs == [Input::Stdin] && std::io::stdin().is_terminal() {
            complain("reading events from the terminal; press Ctrl-D to end");
        }
    })
}

/// Runs with these options. `look` can change the settings.
pub(super) fn run_with_options(
    options: Options,
    overrides: Overrides,
    set_log_filter: SetLogFilter,
    look: impl FnOnce(&mut Settings),
) -> CommandResult {
    let Options { settings: SettingsOptions { config, .. }, summary: summary_path, .. } = options;
    let mut settings = read_run_settings(config.as_deref(), overrides.clone()).map_err(usage)?;
    check_summary(summary_path.as_deref()).map_err(usage)?;
    look(&mut settings);
    check_listener(&settings).map_err(usage)?;
    set_log_filter(settings.log.as_deref()).map_err(|error| usage(anyhow!(error)))?;
    let runtime = start_runtime()?;
    let settings_file = config.clone();
    let read_again = move || {
        read_run_settings(config.as_deref(), overrides.clone())
            .map_err(|error| OnOneLine(error).into())
    };
    let summary =
        runtime.block_on(run_settings(settings, settings_file, set_log_filter, read_again))?;
    // While the runtime exists, a second signal ends the process, even while the summary waits for
    // its reader.
    let reported = write_summary(&summary, summary_path);
    // A thread that writes to a hanging disk must not keep the process alive.
    runtime.shutdown_background();
    reported
}

/// An error on one line for the log, although it can have a line for each mistake.
#[derive(Debug)]
struct OnOneLine(anyhow::Error);

impl fmt::Display for OnOneLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&error_chain(self.0.as_ref()).replace('\n', "; "))
    }
}

impl std::error::Error for OnOneLine {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source()
    }
}

/// `listen = "off"` is for embedders.
fn check_listener(settings: &Settings) -> anyhow::Result<()> {
    match &settings.collect {
        Some(collect) if collect.address.is_none() => Err(anyhow!(
            "invalid listen = \"off\": only programs that embed the library can use it; give an address, or remove it"
        )),
        _ => Ok(()),
    }
}

/// Earlier versions kept data in the working directory. Events that wait there must not be
/// forgotten.
fn check_moved_data(data_dir: &Path) -> anyhow::Result<()> {
    let before = Path::new(DATA_DIR);
    let holds = |name| std::fs::read_dir(before.join(name)).is_ok_and(|mut it| it.next().is_some());
    if !data_dir.exists() && ["spool", "dead", "overflow"].into_iter().any(holds) {
        bail!(
            "found events of an earlier run in {DATA_DIR} of the working directory, but data is \
             now stored in {}, next to the settings file: move it there, or set data_dir (or \
             --data-dir) to its path",
            data_dir.display()
        );
    }
    Ok(())
}

fn read_run_settings(file: Option<&Path>, overrides: Overrides) -> anyhow::Result<Settings> {
    let (raw, directory) = read_settings(file)?;
    if raw.data_dir.is_none() && overrides.data_dir.is_none() {
        check_moved_data(&directory.join(DATA_DIR))?;
    }
    check_settings(raw, &directory, file, overrides)
}

async fn run_settings(
    settings: Settings,
    settings_file: Option<PathBuf>,
    set_log_filter: SetLogFilter,
    read_again: impl Fn() -> Result<Settings, BoxError> + Send + Sync + 'static,
) -> Result<Summary, (Exit, anyhow::Error)> {
    // The handler is installed first, because SIGHUP ends the process until then.
    let hangup =
        signal(SignalKind::hangup()).context("failed to listen for SIGHUP").map_err(fault)?;
    let sizes: Option<Vec<_>> = settings.inputs.iter().map(Input::size_bytes).collect();
    let options = RunOptions {
        set_log_filter: Some(set_log_filter),
        log_lines_dropped: Some(stderr::dropped_lines()),
        ..RunOptions::default()
    };
    let runtime = tokio::runtime::Handle::current();
    let run = Run::start(settings, options, &runtime).await.map_err(not_started)?;
    stop_on_signals(run.intake_stop()).map_err(fault)?;
    reload_on_signals(hangup, run.watch(settings_file, read_again).await);
    print_addresses(run.addresses);
    let bar = ProgressBar::start(run.progress(), sizes.map(|sizes| sizes.iter().sum()));
    let summary = run.finish().await;
    bar.finish();
    Ok(summary)
}

/// Wrong settings are a usage error. A service that cannot be reached is not.
fn not_started(error: RunError) -> (Exit, anyhow::Error) {
    let exit = if error.is_transient() { Exit::Fault } else { Exit::Usage };
    (exit, error.into())
}

/// Prints the addresses of the run, with the ports that the system assigned.
fn print_addresses(addresses: Addresses) {
    if let Some(address) = addresses.collector {
        let scheme = if addresses.is_encrypted { "https" } else { "http" };
        complain(&format!("listening on {scheme}://{address}"));
    }
    if let Some(address) = addresses.admin {
        complain(&format!("health and metrics on http://{address}"));
    }
}

/// Reloads settings and plugin on SIGHUP. Rejections have been logged.
fn reload_on_signals(mut hangup: Signal, reloader: Reloader) {
    tokio::spawn(async move {
        while hangup.recv().await.is_some() {
            if let Ok(Swapped::Unchanged(generation)) = reloader.reload().await {
                tracing::info!(generation, "plugin and its settings are unchanged");
            }
        }
    });
}

/// Stops reading and drains on the first SIGINT or SIGTERM. The second ends the process.
fn stop_on_signals(intake_stop: CancellationToken) -> anyhow::Result<()> {
    let mut signals = Signals::listen().context("failed to listen for SIGINT and SIGTERM")?;
    tokio::spawn(async move {
        signals.stop().await;
        intake_stop.cancel();
        complain_at_once(
            "stopping: delivering the events that were read; send the signal again to stop at once",
        );
        signals.stop().await;
        complain_at_once("stopped at once: events that were read may not be delivered");
        abandon(Exit::Fault);
    });
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "a user asked for the file")]
fn write_summary(summary: &Summary, path: Option<PathBuf>) -> CommandResult {
    if stderr::is_json() {
        let value = serde_json::to_value(summary).expect("a summary has string keys");
        stderr::write_object(stderr::Level::INFO, "the run has ended", "summary", &value);
    } else {
        summary.to_string().lines().for_each(complain);
    }
    match path {
        Some(path) if path == Path::new("-") => {
            super::print(format!("{}\n", summary.to_json()))?;
        }
        Some(path) => {
            let write = std::fs::write(&path, summary.to_json() + "\n");
            let write =
                write.with_context(|| format!("failed to write the summary to {}", path.display()));
            write.map_err(fault)?;
        }
        None => {}
    }
    Ok(exit_of(summary))
}

/// Checks the path of the summary before the run.
fn check_summary(path: Option<&Path>) -> anyhow::Result<()> {
    let Some(path) = path else { return Ok(()) };
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    if path.is_dir() || directory.is_some_and(|directory| !directory.is_dir()) {
        bail!(
            "failed to write the summary to {}: the directory does not exist: correct --summary",
            path.display()
        );
    }
    Ok(())
}

fn exit_of(summary: &Summary) -> Exit {
    if !summary.faults.is_empty() || summary.undelivered > 0 {
        Exit::Fault
    } else if summary.dead > 0 {
        Exit::DeadLetters
    } else if !summary.unread.is_empty()
        || summary.collected.as_ref().is_some_and(|collected| collected.waiting > 0)
    {
        Exit::Stopped
    } else {
        Exit::Done
    }
}

/// The format of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum LogFormat {
    /// For people.
    Human,
    /// A JSON object on each line.
    Json,
}

/// The default log filter, without repeated messages of AWS's libraries.
const LOG_FILTER: &str = "info,async_nats=warn,aws_config=error,aws=warn,hyper=warn";

/// Starts to write log lines to standard error, and returns what changes their filter. If
/// `RUST_LOG` is set, it is the filter. Lines are dropped if standard error is not read.
#[expect(clippy::disallowed_methods, reason = "this is the program")]
pub(super) fn start_logging(format: LogFormat) -> SetLogFilter {
    use tracing_subscriber::EnvFilter;
    use tracing_subscriber::prelude::*;

    let of_environment = EnvFilter::try_from_default_env().ok();
    let is_of_environment = of_environment.is_some();
    let filter = of_environment.unwrap_or_else(|| EnvFilter::new(LOG_FILTER));
    let (filter, handle) = tracing_subscriber::reload::Layer::new(filter);
    let lines = tracing_subscriber::fmt::layer();
    let lines = match format {
        LogFormat::Human => lines
            .with_ansi(std::io::stderr().is_terminal())
            .fmt_fields(OneLineFields)
            .with_writer(LogLines)
            .boxed(),
        LogFormat::Json => {
            stderr::write_json();
            lines.with_ansi(false).json().with_writer(LogLines).boxed()
        }
    };
    // Only a second call can fail.
    let _ = tracing_subscriber::registry().with(filter).with(lines).try_init();
    Arc::new(move |filter| {
        if is_of_environment {
            return Ok(());
        }
        Ok(handle.reload(EnvFilter::try_new(filter.unwrap_or(LOG_FILTER))?)?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_equals_sign_divides_a_mapping() {
        assert_eq!(parse_mapping("a=b=c"), Ok(("a=b".to_owned(), "c".to_owned())));
        assert_eq!(parse_mapping("*=all"), Ok(("*".to_owned(), "all".to_owned())));
        for wrong in ["", "a", "a=", "=b"] {
            assert!(parse_mapping(wrong).is_err(), "{wrong}");
        }
    }
}
