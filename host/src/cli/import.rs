//! `host import`: converts a vendor's exported destination and code into a settings file and scripts.
//! Notes on standard error name options without a counterpart. Secrets are hidden on a terminal. No
//! file is overwritten.

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use clap::Args;

use super::{CommandResult, complain, fault, print, print_text, usage};
use crate::config::import::{Imported, SecretDisplay, Vendor, import};
use standpipe_core::private;

/// The name of the settings file in the directory of `--output`.
const SETTINGS_FILE: &str = "settings.toml";

/// Without --output, the settings file is written to standard output, and code is not written.
/// Notes on standard error name what has no counterpart.
#[derive(Debug, Args)]
pub(super) struct ImportArguments {
    /// The vendor that exported the settings.
    #[arg(long, value_enum)]
    from: Vendor,
    /// The destination's settings and the code of transformations or functions as JSON; `-` is
    /// standard input.
    #[arg(value_name = "FILE.json")]
    file: PathBuf,
    /// The directory for settings.toml and the files with code. Existing files are not
    /// overwritten.
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Print secrets even if standard output is a terminal.
    #[arg(long)]
    show_secrets: bool,
}

pub(super) fn run(arguments: &ImportArguments) -> CommandResult {
    let imported = read_and_import(arguments.from, &arguments.file).map_err(usage)?;
    for note in &imported.notes {
        complain(note);
    }
    if let Some(directory) = &arguments.output {
        return write_directory(directory, &imported);
    }
    if !imported.files.is_empty() {
        complain(&format!(
            "the code ({} files) is not written: run again with --output DIR",
            imported.files.len()
        ));
    }
    let hidden = io::stdout().is_terminal() && !arguments.show_secrets;
    print(imported.to_toml(if hidden { SecretDisplay::Hidden } else { SecretDisplay::Shown }))
}

/// Writes settings and code into a directory. Checks first that no file exists.
fn write_directory(directory: &Path, imported: &Imported) -> CommandResult {
    let settings = imported.to_toml(SecretDisplay::Shown);
    let code = imported.files.iter().map(|file| (directory.join(&file.path), file.code.as_str()));
    let files: Vec<_> =
        [(directory.join(SETTINGS_FILE), settings.as_str())].into_iter().chain(code).collect();
    files.iter().try_for_each(|(path, _)| check_is_new(path)).map_err(usage)?;
    for (path, text) in &files {
        write_new_file(path, text)
            .with_context(|| format!("failed to write {}", path.display()))
            .map_err(fault)?;
    }
    let paths: String = files.iter().map(|(path, _)| format!("{}\n", path.display())).collect();
    print_text(&format!("Created {} files:\n{paths}", files.len()))
}

fn check_is_new(path: &Path) -> anyhow::Result<()> {
    match path.symlink_metadata() {
        Ok(_) => bail!("{} exists: remove it, or choose another directory", path.display()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(anyhow!(error).context(format!("failed to look for {}", path.display()))),
    }
}

/// Writes a file for this user only: settings and code can contain secrets.
fn write_new_file(path: &Path, text: &str) -> io::Result<()> {
    if let Some(parent) = path.parent().filter(|parent| !parent.is_dir()) {
        private::create_directory(parent)?;
    }
    private::file_options().write(true).create_new(true).open(path)?.write_all(text.as_bytes())
}

fn read_and_import(vendor: Vendor, file: &Path) -> anyhow::Result<Imported> {
    let text = if file == Path::new("-") {
        io::read_to_string(io::stdin())
    } else {
        std::fs::read_to_string(file)
    };
    let text = text.with_context(|| format!("failed to read the settings {}", file.display()))?;
    import(vendor, &text).with_context(|| format!("failed to import {}", file.display()))
}
