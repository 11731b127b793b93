//! `host plugin bundle`: writes scripts and libraries as one file, which can be signed, pinned and
//! pushed to a fleet.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;

use crate::cli::{CommandResult, Exit, fault, print, usage};
use crate::config::ScriptPaths;
use crate::run::read_bundle;

/// The same files always give the same bytes.
#[derive(Debug, Args)]
pub(crate) struct BundleArguments {
    /// The scripts in the order in which events pass them, or a directory of scripts.
    #[arg(value_name = "FILE.js", required = true)]
    files: Vec<PathBuf>,
    /// Files that the scripts can import, by the name of the file in camel case.
    #[arg(long, value_name = "FILE.js", num_args = 1..)]
    libraries: Vec<PathBuf>,
    /// The component that runs the scripts, for scripts in Python. The bundle contains its
    /// SHA-256.
    #[arg(long, value_name = "FILE.wasm")]
    runner: Option<PathBuf>,
    /// The file to write; `-` is standard output.
    #[arg(short, long, value_name = "FILE.json")]
    output: PathBuf,
}

pub(super) fn run(arguments: &BundleArguments) -> CommandResult {
    let BundleArguments { files, libraries, runner, output } = arguments;
    let (files, libraries) = (files.clone(), libraries.clone());
    let paths = ScriptPaths { files, libraries, runner: runner.clone() };
    let bundle = read_bundle(&paths).map_err(|error| usage(anyhow::Error::new(error)))?;
    write_bundle(output, &bundle.to_bytes())
}

#[expect(clippy::disallowed_methods, reason = "a user asked for the file")]
fn write_bundle(file: &Path, bundle: &[u8]) -> CommandResult {
    if file == Path::new("-") {
        return print(bundle);
    }
    let written = std::fs::write(file, bundle);
    written.with_context(|| format!("write {}", file.display())).map_err(fault)?;
    Ok(Exit::Done)
}
