//! The command line: one embedder of the library.

mod bench;
#[cfg(feature = "catalog")]
mod catalog;
mod check;
mod config;
mod dead;
mod iam;
mod import;
mod plugin;
mod progress;
mod run;
mod signals;
mod stderr;
mod terminal;

use std::io::{ErrorKind, IsTerminal, Write};
use std::process::ExitCode;
use std::sync::LazyLock;

use anyhow::Context;
use clap::{Parser, Subcommand};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::config::ConfigError;
use standpipe_core::error_chain;
use standpipe_core::escape::escape_lines;
use standpipe_plugin_host::engine_version;

/// The most descriptors that the program asks the system for where the hard limit is
/// higher, or there is none: Linux's own bound of a process, `fs.nr_open`.
const DESCRIPTORS_ASKED_MAX: u64 = 1_048_576;

/// How the program ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Every event was delivered or filtered.
    Done = 0,
    /// A fault that no event is guilty of; events may not be delivered.
    Fault = 1,
    /// Wrong usage or settings; nothing was read.
    Usage = 2,
    /// Some events went to the dead letters.
    DeadLetters = 3,
    /// Stopped by a signal before the end of the input.
    Stopped = 4,
}

const EXIT_CODES: &str = "Exit codes:
  0  every event was delivered or filtered
  1  a fault that no single event is guilty of; some events may not be delivered
  2  wrong usage or settings; nothing was read
  3  some events went to the dead letters
  4  stopped by a signal before the end of the input; what was read was delivered";

/// Analytics events in, a WebAssembly plugin decides where each goes, Amazon
/// Data Firehose out.
#[derive(Debug, Parser)]
#[command(name = "host", version, long_version = long_version(), after_help = EXIT_CODES)]
#[command(arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Read events, map them and deliver them.
    Run(run::Arguments),
    /// Test the connection: settings, plugin, credentials, streams.
    Check(check::Arguments),
    /// Work with dead letters: count, show, replay or delete them.
    #[command(subcommand)]
    Dead(dead::Command),
    /// Work with mapping plugins.
    #[command(subcommand)]
    Plugin(plugin::Command),
    /// Work with settings files.
    #[command(subcommand)]
    Config(config::Command),
    /// Print the IAM policies that the host needs.
    #[command(subcommand)]
    Iam(iam::Command),
    #[cfg(feature = "catalog")]
    /// Tell data catalogs what delivery streams there are, what feeds them, and where
    /// their records end up.
    #[command(subcommand)]
    Catalog(Box<catalog::Command>),
    /// Turn another vendor's destination settings into a settings file.
    Import(import::Arguments),
    /// Measure how fast this machine is.
    ///
    /// Events, generated or of a file, go the way of `host run` to an endpoint in
    /// this process. It is told what they cost, how close that is to the work
    /// that nothing can spare (the floor), and what the plugin's sandbox adds.
    /// host/docs/benchmarks.md explains each figure.
    Bench(Box<bench::Arguments>),
}

fn long_version() -> &'static str {
    static VERSION: LazyLock<String> =
        LazyLock::new(|| format!("{} ({})", env!("CARGO_PKG_VERSION"), engine_version()));
    &VERSION
}

/// Run the program with the process's arguments.
pub fn main() -> ExitCode {
    stderr::report_panics();
    raise_descriptor_limit();
    let exit = match Arguments::try_parse() {
        Ok(arguments) => run_command(arguments.command) as u8,
        Err(error) => explain(&error),
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
        #[cfg(feature = "catalog")]
        Command::Catalog(command) => catalog::run(*command),
        Command::Import(arguments) => import::run(&arguments),
        Command::Bench(arguments) => bench::run(*arguments),
    };
    result.unwrap_or_else(|(exit, error)| {
        complain_of(&error);
        exit
    })
}

/// Print what a command ends with: a line for each mistake in settings.
fn complain_of(error: &anyhow::Error) {
    let whole = error_chain(error.as_ref());
    let Some(settings) = error.downcast_ref::<ConfigError>() else {
        return complain_of_error(&whole);
    };
    // What was done with them, such as the name of their file.
    let context = whole.strip_suffix(&settings.to_string()).unwrap_or_default();
    for mistake in settings.mistakes() {
        complain_of_error(&format!("{context}{mistake}"));
    }
}

fn complain_of_error(text: &str) {
    stderr::write_notice(stderr::Level::Error, text);
}

/// Print a help text, or what is wrong with the arguments. Returns the exit code.
fn explain(error: &clap::Error) -> u8 {
    let is_terminal = match error.use_stderr() {
        true => std::io::stderr().is_terminal(),
        false => std::io::stdout().is_terminal(),
    };
    if is_terminal {
        // With its colours.
        let _ = error.print();
    } else if error.use_stderr() {
        stderr::write_text(error.render().to_string());
    } else if let Err((exit, error)) = print_text(&error.render().to_string()) {
        complain(&error_chain(error.as_ref()));
        return exit as u8;
    }
    u8::try_from(error.exit_code()).unwrap_or(Exit::Usage as u8)
}

/// Have as many files and connections open as the system permits: the soft limit is
/// low for programs that cannot tell more than 1,024 of them apart, and this one can.
fn raise_descriptor_limit() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let wanted = maximum.unwrap_or(u64::MAX).min(DESCRIPTORS_ASKED_MAX);
    if current.is_some_and(|current| current < wanted) {
        // Where that is not granted, there are fewer connections.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum });
    }
}

/// What a subcommand ends with: an error brings its exit code along.
type CommandResult = Result<Exit, (Exit, anyhow::Error)>;

/// Print a notice for the operator, on one line.
fn complain(text: &str) {
    stderr::write_notice(stderr::Level::Info, text);
}

/// The same from a task that drives signals: it never waits.
fn complain_at_once(text: &str) {
    stderr::try_write_notice(stderr::Level::Info, text);
}

/// End the process at once, whatever is under way.
#[expect(clippy::disallowed_methods, reason = "this is the program")]
fn abandon(exit: Exit) -> ! {
    stderr::clear_frame();
    stderr::flush();
    std::process::exit(exit as i32)
}

/// Write what the command is there to make to standard output. Where that does not
/// arrive whole, the command has failed.
fn print(product: &str) -> CommandResult {
    print_bytes(product.as_bytes())
}

/// The same with bytes that need not be text.
fn print_bytes(product: &[u8]) -> CommandResult {
    let written = write_out(product);
    written.map(|()| Exit::Done).map_err(|error| (Exit::Fault, error))
}

/// Write text for people to standard output, which steers no terminal. A reader that has
/// gone away has seen enough.
fn print_text(text: &str) -> CommandResult {
    match write_out(escape_lines(text).as_bytes()) {
        Err(error) if !is_broken_pipe(&error) => Err((Exit::Fault, error)),
        _ => Ok(Exit::Done),
    }
}

/// Write what programs read where that is asked for, and text for people otherwise.
fn print_either(is_product: bool, text: &str) -> CommandResult {
    if is_product { print(text) } else { print_text(text) }
}

fn write_out(bytes: &[u8]) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(bytes).and_then(|()| out.flush()).context("write to standard output")
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let error = error.downcast_ref::<std::io::Error>();
    error.is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
}

fn usage(error: impl Into<anyhow::Error>) -> (Exit, anyhow::Error) {
    (Exit::Usage, error.into())
}

fn fault(error: impl Into<anyhow::Error>) -> (Exit, anyhow::Error) {
    (Exit::Fault, error.into())
}
