//! `host run`: options, logging, signals, the run itself, its summary and exit code. `host dead
//! replay` shares everything behind the options.

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
use super::{CommandResult, Exit, abandon, complain, complain_at_once, usage};
use crate::config::{DATA_DIR, Overrides, Settings};
use crate::log_fields::OneLineFields;
use crate::run::{
    Addresses, BoxError, Reloader, Run, RunOptions, SetLogFilter, StartError, Summary,
};
use crate::source::Input;
use standpipe_core::error_chain;
use standpipe_plugin_host::swap::Swapped;

/// Input is read in the order given. gzip and Zstandard are recognised.
/// Dead letters are kept in DATA_DIR/dead.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Files of newline-delimited JSON events; `-` is standard input, which is
    /// also read if there are none, and nothing is listened to.
    #[arg(value_name = "INPUT")]
    inputs: Vec<PathBuf>,
    /// Take events from SDKs of Segment and RudderStack on this address, until
    /// stopped. The settings file says who may send.
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<String>,
    /// Tell health and metrics on this address, or `off` [default:
    /// 127.0.0.1:9180 with --listen].
    #[arg(long, value_name = "ADDRESS:PORT")]
    admin: Option<String>,
    /// What standard error looks like: log lines, notices and the summary.
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    log_format: LogFormat,
    #[command(flatten)]
    options: Options,
}

// What runs have in common. No comment for the help: it would take the place of
// the subcommand's own.
#[derive(Debug, Clone, Args)]
pub(super) struct Options {
    /// The mapping plugin, a WebAssembly component; the default plugin
    /// otherwise.
    #[arg(long, value_name = "FILE.wasm")]
    plugin: Option<PathBuf>,
    /// The settings file; `host config schema` describes it.
    #[arg(long, value_name = "FILE.toml")]
    pub(super) config: Option<PathBuf>,
    /// Send an event name, an event type, or `*` to a delivery stream; for the
    /// default plugin. Can be given several times.
    #[arg(long = "map", value_name = "EVENT=STREAM", value_parser = parse_mapping)]
    mappings: Vec<(String, String)>,
    /// Write DIR/STREAM.ndjson in place of Amazon Data Firehose.
    #[arg(long, value_name = "DIR")]
    local: Option<PathBuf>,
    /// Where dead letters and compiled plugins are kept [default: that of the
    /// settings file, or standpipe-data beside it].
    #[arg(long, value_name = "DIR")]
    pub(super) data_dir: Option<PathBuf>,
    /// The region of the delivery streams.
    #[arg(long, value_name = "REGION")]
    region: Option<String>,
    /// A URL in place of the region's Firehose endpoint.
    #[arg(long, value_name = "URL")]
    endpoint_url: Option<String>,
    /// End with exit code 1 where the run would wait: for a service that is not reached, or
    /// for somebody to change a permission, a stream or a clock.
    #[arg(long)]
    fail_fast: bool,
    /// Write a summary as JSON, to a file or to standard output (`-`).
    #[arg(long, value_name = "FILE")]
    summary: Option<PathBuf>,
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

pub(super) fn run(arguments: Arguments) -> CommandResult {
    let Arguments { inputs, listen, admin, log_format, options } = arguments;
    let set_log_filter = start_logging(log_format);
    let inputs = inputs.iter().map(|input| Input::from_argument(input)).collect();
    execute(options, Intakes { inputs, listen, admin }, set_log_filter, |settings| {
        if settings.inputs == [Input::Stdin] && std::io::stdin().is_terminal() {
            complain("reading events from the terminal; end with Ctrl-D");
        }
    })
}

/// Where the events of a run come from.
#[derive(Debug, Clone, Default)]
pub(super) struct Intakes {
    pub(super) inputs: Vec<Input>,
    pub(super) listen: Option<String>,
    pub(super) admin: Option<String>,
}

/// A run with these options, after a last look at its settings.
pub(super) fn execute(
    options: Options,
    intakes: Intakes,
    set_log_filter: SetLogFilter,
    look: impl FnOnce(&mut Settings),
) -> CommandResult {
    let summary_path = options.summary.clone();
    let mut settings = read(options.clone(), intakes.clone()).map_err(usage)?;
    check_summary(summary_path.as_deref()).map_err(usage)?;
    look(&mut settings);
    check_listener(&settings).map_err(usage)?;
    set_log_filter(settings.log.as_deref()).map_err(|error| usage(anyhow!(error)))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime =
        runtime.map_err(|error| (Exit::Fault, anyhow!(error).context("start the runtime")))?;
    let settings_file = options.config.clone();
    let read_again =
        move || read(options.clone(), intakes.clone()).map_err(|error| OnOneLine(error).into());
    let summary =
        runtime.block_on(run_settings(settings, settings_file, set_log_filter, read_again))?;
    // Signals end the process as long as the runtime lives: also while nobody takes the
    // summary.
    let reported = report(&summary, summary_path);
    // A thread that still writes a file to a hanging disk must not keep the
    // process alive.
    runtime.shutdown_background();
    reported
}

/// An error that can have a line for each mistake, for the log.
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

/// Nobody else brings requests here.
fn check_listener(settings: &Settings) -> anyhow::Result<()> {
    match &settings.collect {
        Some(collect) if collect.address.is_none() => Err(anyhow!(
            "listen = \"off\" is for programs that the host is part of: give an address, or remove it"
        )),
        _ => Ok(()),
    }
}

/// The default data directory was once that of the working directory, whatever the
/// settings file's was. What waits there must not be forgotten.
fn check_moved_data(data_dir: &Path) -> anyhow::Result<()> {
    let before = Path::new(DATA_DIR);
    let holds = |name| std::fs::read_dir(before.join(name)).is_ok_and(|mut it| it.next().is_some());
    if !data_dir.exists() && ["spool", "dead", "overflow"].into_iter().any(holds) {
        bail!(
            "found events of an earlier run in {DATA_DIR} of the working directory, and data is kept in {}, beside the \
             settings file: move it there, or set data_dir (or --data-dir) to where it is",
            data_dir.display()
        );
    }
    Ok(())
}

fn read(options: Options, intakes: Intakes) -> anyhow::Result<Settings> {
    let (raw, directory) = read_settings(options.config.as_deref())?;
    if raw.data_dir.is_none() && options.data_dir.is_none() {
        check_moved_data(&directory.join(DATA_DIR))?;
    }
    let overrides = Overrides {
        inputs: intakes.inputs,
        listen: intakes.listen,
        admin: intakes.admin,
        plugin: options.plugin,
        mappings: options.mappings,
        local: options.local,
        data_dir: options.data_dir,
        region: options.region,
        endpoint_url: options.endpoint_url,
        fail_fast: options.fail_fast,
    };
    check_settings(raw, &directory, options.config.as_deref(), overrides)
}

async fn run_settings(
    settings: Settings,
    settings_file: Option<PathBuf>,
    set_log_filter: SetLogFilter,
    read_again: impl Fn() -> Result<Settings, BoxError> + Send + Sync + 'static,
) -> Result<Summary, (Exit, anyhow::Error)> {
    // Before anything takes time: without a listener the signal ends the process.
    let hangup = signal(SignalKind::hangup()).context("listen for SIGHUP");
    let hangup = hangup.map_err(|error| (Exit::Fault, error))?;
    let sizes: Option<Vec<_>> = settings.inputs.iter().map(Input::size_bytes).collect();
    let options = RunOptions {
        set_log_filter: Some(set_log_filter),
        log_lines_dropped: Some(stderr::dropped_lines()),
        ..RunOptions::default()
    };
    let runtime = tokio::runtime::Handle::current();
    let run = Run::start_embedded(settings, options, &runtime).await.map_err(not_started)?;
    stop_on_signals(run.intake_stop()).map_err(|error| (Exit::Fault, error))?;
    reload_on_signals(hangup, run.watch(settings_file, read_again).await);
    announce(run.addresses());
    let bar = ProgressBar::start(run.progress(), sizes.map(|sizes| sizes.iter().sum()));
    let summary = run.finish().await;
    bar.finish();
    Ok(summary)
}

/// Settings that do not work are wrong usage; a service that is not reached is a fault.
fn not_started(error: StartError) -> (Exit, anyhow::Error) {
    let exit = if error.is_transient() { Exit::Fault } else { Exit::Usage };
    (exit, error.into())
}

/// Tell where the run listens: a port of 0 has become a real one.
fn announce(addresses: Addresses) {
    if let Some(address) = addresses.collector {
        let scheme = if addresses.is_encrypted { "https" } else { "http" };
        complain(&format!("listening on {scheme}://{address}"));
    }
    if let Some(address) = addresses.admin {
        complain(&format!("health and metrics on http://{address}"));
    }
}

/// SIGHUP reloads the settings and the plugin. What is refused has been logged where it
/// was.
fn reload_on_signals(mut hangup: Signal, reloader: Reloader) {
    tokio::spawn(async move {
        while hangup.recv().await.is_some() {
            if let Ok(Swapped::Unchanged(generation)) = reloader.reload().await {
                tracing::info!(generation, "neither the plugin nor its settings have changed");
            }
        }
    });
}

/// The first SIGINT or SIGTERM stops reading and drains; the second ends the
/// process at once.
fn stop_on_signals(intake_stop: CancellationToken) -> anyhow::Result<()> {
    let mut signals = Signals::listen().context("listen for SIGINT and SIGTERM")?;
    tokio::spawn(async move {
        signals.stop().await;
        intake_stop.cancel();
        complain_at_once(
            "stopping: no more is read, what was read is delivered; again to stop at once",
        );
        signals.stop().await;
        complain_at_once("stopped at once: events that were read may not be delivered");
        abandon(Exit::Fault);
    });
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "a user asked for the file")]
fn report(summary: &Summary, path: Option<PathBuf>) -> CommandResult {
    if stderr::is_json() {
        let value = serde_json::to_value(summary).expect("a summary has string keys");
        stderr::write_object(stderr::Level::Info, "the run has ended", "summary", &value);
    } else {
        summary.to_string().lines().for_each(complain);
    }
    match path {
        Some(path) if path == Path::new("-") => {
            super::print(&format!("{}\n", summary.to_json()))?;
        }
        Some(path) => {
            let write = std::fs::write(&path, summary.to_json() + "\n");
            let write = write.with_context(|| format!("write the summary to {}", path.display()));
            write.map_err(|error| (Exit::Fault, error))?;
        }
        None => {}
    }
    Ok(exit_of(summary))
}

/// A wrong path must not come to light when everything has been delivered.
fn check_summary(path: Option<&Path>) -> anyhow::Result<()> {
    let Some(path) = path else { return Ok(()) };
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    if path.is_dir() || directory.is_some_and(|directory| !directory.is_dir()) {
        bail!(
            "write the summary to {}: there is no such directory: correct --summary",
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

/// What log lines look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum LogFormat {
    /// For people.
    Human,
    /// A JSON object on each line.
    Json,
}

/// Which log lines are written where nobody says: none of what AWS's libraries repeat.
const LOG_FILTER: &str = "info,aws_config=error,aws=warn,hyper=warn";

/// Start to write log lines to standard error; `RUST_LOG` chooses which, or else the
/// settings do, by what is returned. They are dropped where nobody reads them.
#[expect(clippy::disallowed_methods, reason = "this is the program")]
pub(super) fn start_logging(format: LogFormat) -> SetLogFilter {
    use tracing_subscriber::EnvFilter;

    let of_environment = EnvFilter::try_from_default_env().ok();
    let is_of_environment = of_environment.is_some();
    let filter = of_environment.unwrap_or_else(|| EnvFilter::new(LOG_FILTER));
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(format == LogFormat::Human && std::io::stderr().is_terminal());
    if format == LogFormat::Json {
        stderr::write_json();
    }
    // Only a second call could fail, and there is none.
    let reload: Box<dyn Fn(EnvFilter) -> Result<(), BoxError> + Send + Sync> = match format {
        LogFormat::Human => {
            let lines = lines.fmt_fields(OneLineFields).with_writer(LogLines::Human);
            let lines = lines.with_filter_reloading();
            let handle = lines.reload_handle();
            let _ = lines.try_init();
            Box::new(move |filter| Ok(handle.reload(filter)?))
        }
        LogFormat::Json => {
            let lines = lines.json().with_writer(LogLines::Json).with_filter_reloading();
            let handle = lines.reload_handle();
            let _ = lines.try_init();
            Box::new(move |filter| Ok(handle.reload(filter)?))
        }
    };
    Arc::new(move |filter| {
        if is_of_environment {
            return Ok(());
        }
        reload(EnvFilter::try_new(filter.unwrap_or(LOG_FILTER))?)
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
