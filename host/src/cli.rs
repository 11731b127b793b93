//! The command line of the program `host`, one of several users of the library.

mod bench;
#[cfg(feature = "catalog")]
mod catalog;
mod check;
mod config;
mod dead;
#[cfg(feature = "queue")]
mod fleet;
mod iam;
mod import;
mod plugin;
mod progress;
#[cfg(feature = "queue")]
mod queue;
mod run;
mod signals;
mod stderr;
mod terminal;

use std::io::{self, ErrorKind, IsTerminal, Write};
use std::process::ExitCode;
use std::sync::LazyLock;

use anyhow::{Context, anyhow};
use clap::{Parser, Subcommand};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::runtime::Runtime;

use crate::config::ConfigError;
use standpipe_core::error_chain;
use standpipe_core::escape::escape_lines;
use standpipe_plugin_host::engine_version;

/// The limit of open files that the program sets if the hard limit is higher: Linux's own
/// limit of a process, `fs.nr_open`.
const DESCRIPTORS_ASKED_MAX: u64 = 1_048_576;

/// How the program ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Every event was delivered or filtered.
    Done = 0,
    /// An error that no single event caused; some events may not be delivered.
    Fault = 1,
    /// Wrong usage or settings; nothing was read.
    Usage = 2,
    /// Some events became dead letters.
    DeadLetters = 3,
    /// Stopped by a signal before all events were processed.
    Stopped = 4,
}

const EXIT_CODES: &str = "Exit codes:
  0  every event was delivered or filtered
  1  an error that no single event caused; some events may not be delivered
  2  wrong usage or settings; nothing was read
  3  some events became dead letters
  4  stopped by a signal; the remaining events are still in the input or in the spool";

/// Deliver analytics events to Amazon Data Firehose. A WebAssembly plugin decides
/// which delivery stream each event goes to.
#[derive(Debug, Parser)]
#[command(name = "host", version, long_version = long_version(), after_help = EXIT_CODES)]
#[command(arg_required_else_help = true)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Read events, map them and deliver them.
    Run(run::RunArguments),
    /// Test settings, plugin, credentials and delivery streams.
    Check(check::CheckArguments),
    /// Count, show, replay or delete dead letters.
    #[command(subcommand)]
    Dead(dead::DeadLetterCommand),
    /// Create, test, compare, measure or inspect mapping plugins.
    #[command(subcommand)]
    Plugin(plugin::PluginSubcommand),
    /// Check settings files, or print their schema.
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Print the IAM policies that the program needs.
    #[command(subcommand)]
    Iam(iam::IamCommand),
    #[cfg(feature = "queue")]
    /// Show the mappers of a fleet, or change their plugin: all at once, or on a few of them.
    #[command(subcommand)]
    Fleet(fleet::FleetCommand),
    #[cfg(feature = "catalog")]
    /// List delivery streams, draw their lineage, or write both to data catalogs.
    #[command(subcommand)]
    Catalog(Box<catalog::CatalogCommand>),
    #[cfg(feature = "queue")]
    /// Create, check or show the queue between collectors and mappers.
    #[command(subcommand)]
    Queue(Box<queue::QueueCommand>),
    /// Convert a vendor's destination settings into a settings file.
    Import(import::ImportArguments),
    /// Measure how many events this machine can deliver.
    ///
    /// Generated events, or those of a file, take the path of `host run` to an endpoint
    /// in this process. The report has the cost of an event, the floor (the work that
    /// no program can avoid), and the price of the plugin's sandbox.
    /// host/docs/benchmarks.md explains each figure.
    Bench(Box<bench::BenchArguments>),
}

fn long_version() -> &'static str {
    static VERSION: LazyLock<String> =
        LazyLock::new(|| format!("{} ({})", env!("CARGO_PKG_VERSION"), engine_version()));
    &VERSION
}

/// Runs the program with the process's arguments.
pub fn main() -> ExitCode {
    stderr::report_panics();
    raise_descriptor_limit();
    let exit = match CommandLine::try_parse() {
        Ok(arguments) => run_command(arguments.command) as u8,
        Err(error) => print_clap_error(&error),
    };
    stderr::flush();
    ExitCode::from(exit)
}

fn run_command(command: Command) -> Exit {
    let result = match command {
        Command::Run(arguments) => run::run(arguments),
        Command::Check(arguments) => check::run(arguments),
        Command::Dead(command) => dead::run(command),
        Command::Plugin(command) => plugin::run(command),
        Command::Config(command) => config::run(command),
        Command::Iam(command) => iam::run(command),
        #[cfg(feature = "queue")]
        Command::Fleet(command) => fleet::run(command),
        #[cfg(feature = "catalog")]
        Command::Catalog(command) => catalog::run(*command),
        #[cfg(feature = "queue")]
        Command::Queue(command) => queue::run(*command),
        Command::Import(arguments) => import::run(&arguments),
        Command::Bench(arguments) => bench::run(*arguments),
    };
    result.unwrap_or_else(|(exit, error)| {
        complain_of(&error);
        exit
    })
}

/// Prints the error that ends a command: a line for each mistake in settings.
fn complain_of(error: &anyhow::Error) {
    let whole = error_chain(error.as_ref());
    let Some(settings) = error.downcast_ref::<ConfigError>() else {
        return stderr::write_notice(stderr::Level::ERROR, &whole);
    };
    // The context is, for example, the name of the settings file.
    let context = whole.strip_suffix(&settings.to_string()).unwrap_or_default();
    for mistake in settings.mistakes() {
        stderr::write_notice(stderr::Level::ERROR, &format!("{context}{mistake}"));
    }
}

/// Prints a help text, or an error of the arguments. Returns the exit code.
fn print_clap_error(error: &clap::Error) -> u8 {
    let is_terminal = match error.use_stderr() {
        true => io::stderr().is_terminal(),
        false => io::stdout().is_terminal(),
    };
    if is_terminal {
        // clap's own print function uses colors.
        let _ = error.print();
    } else if error.use_stderr() {
        stderr::write_text(error.render().to_string());
    } else if let Err((exit, error)) = print_text(&error.render().to_string()) {
        complain(&error_chain(error.as_ref()));
        return exit as u8;
    }
    u8::try_from(error.exit_code()).unwrap_or(Exit::Usage as u8)
}

/// Raises the soft limit of open files. It is low for programs that use `select`, which cannot
/// handle more than 1,024; this one does not.
fn raise_descriptor_limit() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let wanted = maximum.unwrap_or(u64::MAX).min(DESCRIPTORS_ASKED_MAX);
    if current.is_some_and(|current| current < wanted) {
        // If it is refused, fewer connections are accepted.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum });
    }
}

/// The result of a subcommand: an error comes with its exit code.
type CommandResult = Result<Exit, (Exit, anyhow::Error)>;

/// Prints a notice for the operator on one line of standard error.
fn complain(text: &str) {
    stderr::write_notice(stderr::Level::INFO, text);
}

/// Prints a notice without waiting, for the task that handles signals.
fn complain_at_once(text: &str) {
    stderr::try_write_notice(stderr::Level::INFO, text);
}

/// Ends the process at once.
#[expect(clippy::disallowed_methods, reason = "this is the program")]
fn abandon(exit: Exit) -> ! {
    stderr::clear_frame();
    stderr::flush();
    std::process::exit(exit as i32)
}

/// Writes output for programs to standard output. If it cannot be written completely, the
/// command fails.
fn print(product: impl AsRef<[u8]>) -> CommandResult {
    write_out(product.as_ref()).context(NOT_WRITTEN).map(|()| Exit::Done).map_err(fault)
}

/// Writes text for people to standard output, without control characters. A closed pipe is not an
/// error.
fn print_text(text: &str) -> CommandResult {
    match write_out(escape_lines(text).as_bytes()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(fault(anyhow!(error).context(NOT_WRITTEN)))
        }
        _ => Ok(Exit::Done),
    }
}

/// Prints a report as JSON, or as text for people.
fn print_report(
    is_json: bool,
    to_json: impl FnOnce() -> String,
    to_text: impl FnOnce() -> String,
) -> CommandResult {
    if is_json { print(to_json() + "\n") } else { print_text(&to_text()) }
}

const NOT_WRITTEN: &str = "failed to write to standard output";

fn write_out(bytes: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(bytes).and_then(|()| out.flush())
}

fn usage(error: impl Into<anyhow::Error>) -> (Exit, anyhow::Error) {
    (Exit::Usage, error.into())
}

fn fault(error: impl Into<anyhow::Error>) -> (Exit, anyhow::Error) {
    (Exit::Fault, error.into())
}

/// Starts a runtime with a thread for each processor.
fn start_runtime() -> Result<Runtime, (Exit, anyhow::Error)> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.context("failed to start the runtime").map_err(fault)
}
