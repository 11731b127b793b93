//! The command line: one embedder of the library.

mod bench;
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

use std::process::ExitCode;

use clap::{Parser, Subcommand};

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
    concat!(env!("CARGO_PKG_VERSION"), " (wasmtime ", env!("WASMTIME_VERSION"), ")")
}

/// Run the program with the process's arguments.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let result = match arguments.command {
        Command::Run(arguments) => run::run(arguments),
        Command::Check(arguments) => check::run(arguments),
        Command::Dead(command) => dead::run(command),
        Command::Plugin(command) => plugin::run(command),
        Command::Config(command) => config::run(command),
        Command::Iam(command) => iam::run(command),
        Command::Catalog(command) => catalog::run(*command),
        Command::Import(arguments) => import::run(&arguments),
        Command::Bench(arguments) => bench::run(*arguments),
    };
    let exit = result.unwrap_or_else(|(exit, error)| {
        complain(&format!("{error:#}"));
        exit
    });
    ExitCode::from(exit as u8)
}

/// What a subcommand ends with: an error brings its exit code along.
type CommandResult = Result<Exit, (Exit, anyhow::Error)>;

#[expect(clippy::print_stderr, reason = "this is the command line")]
fn complain(text: &str) {
    eprintln!("host: {text}");
}

/// Write to standard output. A reader that has gone away is no error.
fn print(text: &str) -> CommandResult {
    use std::io::{ErrorKind, Write};

    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err((Exit::Fault, anyhow::Error::new(error).context("write to standard output")))
        }
        _ => Ok(Exit::Done),
    }
}

fn usage(error: impl Into<anyhow::Error>) -> (Exit, anyhow::Error) {
    (Exit::Usage, error.into())
}
