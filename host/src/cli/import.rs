//! `host import`: turns a vendor's exported destination into a settings file; what has no
//! counterpart is noted on standard error. Secrets are hidden on a terminal.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args, ValueEnum};

use super::{CommandResult, complain, print, usage};
use crate::config::import::{Imported, SecretDisplay, Vendor, import};

/// Prints the settings file to standard output, and what has no counterpart to
/// standard error.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Whose settings they are.
    #[arg(long, value_enum)]
    from: From,
    /// The destination's settings, JSON; `-` is standard input.
    #[arg(value_name = "FILE.json")]
    file: PathBuf,
    /// Print secrets even where standard output is a terminal.
    #[arg(long)]
    show_secrets: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum From {
    Rudderstack,
    Segment,
}

pub(super) fn run(arguments: &Arguments) -> CommandResult {
    let vendor = match arguments.from {
        From::Rudderstack => Vendor::RudderStack,
        From::Segment => Vendor::Segment,
    };
    let imported = read_and_import(vendor, &arguments.file).map_err(usage)?;
    for note in &imported.notes {
        complain(note);
    }
    let hidden = std::io::stdout().is_terminal() && !arguments.show_secrets;
    print(&imported.to_toml(if hidden { SecretDisplay::Hidden } else { SecretDisplay::Shown }))
}

fn read_and_import(vendor: Vendor, file: &Path) -> anyhow::Result<Imported> {
    let text = if file == Path::new("-") {
        std::io::read_to_string(std::io::stdin())
    } else {
        std::fs::read_to_string(file)
    };
    let text = text.with_context(|| format!("read the settings {}", file.display()))?;
    import(vendor, &text).with_context(|| format!("import {}", file.display()))
}
