//! `host import`: converts a vendor's exported destination into a settings file. Notes on standard
//! error name options without a counterpart. Secrets are hidden on a terminal.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;

use super::{CommandResult, complain, print, usage};
use crate::config::import::{Imported, SecretDisplay, Vendor, import};

/// The settings file is written to standard output. Notes on standard error name the
/// settings that have no counterpart.
#[derive(Debug, Args)]
pub(super) struct ImportArguments {
    /// The vendor that exported the settings.
    #[arg(long, value_enum)]
    from: Vendor,
    /// The destination's settings as JSON; `-` is standard input.
    #[arg(value_name = "FILE.json")]
    file: PathBuf,
    /// Print secrets even if standard output is a terminal.
    #[arg(long)]
    show_secrets: bool,
}

pub(super) fn run(arguments: &ImportArguments) -> CommandResult {
    let imported = read_and_import(arguments.from, &arguments.file).map_err(usage)?;
    for note in &imported.notes {
        complain(note);
    }
    let hidden = std::io::stdout().is_terminal() && !arguments.show_secrets;
    print(imported.to_toml(if hidden { SecretDisplay::Hidden } else { SecretDisplay::Shown }))
}

fn read_and_import(vendor: Vendor, file: &Path) -> anyhow::Result<Imported> {
    let text = if file == Path::new("-") {
        std::io::read_to_string(std::io::stdin())
    } else {
        std::fs::read_to_string(file)
    };
    let text = text.with_context(|| format!("failed to read the settings {}", file.display()))?;
    import(vendor, &text).with_context(|| format!("failed to import {}", file.display()))
}
