//! Plugins to start from: the examples of `guest/examples`, made to stand alone.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};

use crate::cli::{CommandResult, Exit, print_text, usage};

#[derive(Debug, Args)]
pub(in crate::cli) struct Arguments {
    /// The language.
    #[arg(long, value_name = "LANGUAGE")]
    lang: Language,
    /// The directory to make.
    #[arg(value_name = "DIR")]
    directory: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Language {
    Rust,
    #[value(name = "javascript")]
    JavaScript,
    Python,
}

/// A path in the new directory, and what stands in the file.
type TemplateFile = (&'static str, String);

macro_rules! source {
    ($path:literal) => {
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../", $path))
    };
}

pub(super) fn run(arguments: &Arguments) -> CommandResult {
    let directory = &arguments.directory;
    check_is_free(directory).map_err(usage)?;
    let files = files(arguments.lang);
    write(directory, &files).map_err(|error| (Exit::Fault, error))?;
    let readme = directory.join("README.md");
    print_text(&format!(
        "{} files are written; {} tells how to go on\n",
        files.len(),
        readme.display()
    ))
}

fn check_is_free(directory: &Path) -> anyhow::Result<()> {
    match fs::read_dir(directory) {
        Ok(mut entries) => match entries.next() {
            None => Ok(()),
            Some(_) => bail!(
                "{} is not empty: give a directory that is, or that is not there yet",
                directory.display()
            ),
        },
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error).with_context(|| format!("look into {}", directory.display())),
    }
}

fn write(directory: &Path, files: &[TemplateFile]) -> anyhow::Result<()> {
    for (path, text) in files {
        let path = directory.join(path);
        let parent = path.parent().unwrap_or(directory);
        let written = fs::create_dir_all(parent).and_then(|()| fs::write(&path, text));
        written.with_context(|| format!("write {}", path.display()))?;
    }
    Ok(())
}

fn files(language: Language) -> Vec<TemplateFile> {
    let mut files = match language {
        Language::Rust => rust(),
        Language::JavaScript => javascript(),
        Language::Python => python(),
    };
    files.push(("cases.json", source!("guest/examples/cases.json").to_owned()));
    files.push(("wit/mapping.wit", source!("wit/mapping.wit").to_owned()));
    files
}

fn rust() -> Vec<TemplateFile> {
    let example = source!("guest/examples/rust/Cargo.toml");
    let manifest = replace(example, "path = \"../..\"", "path = \"guest\"");
    let profile =
        "[workspace]\n\n[profile.release]\nlto = true\ncodegen-units = 1\nstrip = \"debuginfo\"";
    let manifest = replace(&manifest, "[lints]\nworkspace = true", profile);
    vec![
        ("Cargo.toml", manifest),
        ("src/lib.rs", source!("guest/examples/rust/src/lib.rs").to_owned()),
        ("src/add.rs", source!("guest/examples/rust/src/add.rs").to_owned()),
        ("src/settings.rs", source!("guest/examples/rust/src/settings.rs").to_owned()),
        ("src/table.rs", source!("guest/examples/rust/src/table.rs").to_owned()),
        ("guest/Cargo.toml", guest_manifest()),
        ("guest/src/lib.rs", source!("guest/src/lib.rs").to_owned()),
        ("guest/src/plugin.rs", source!("guest/src/plugin.rs").to_owned()),
        ("guest/src/testing.rs", source!("guest/src/testing.rs").to_owned()),
        ("README.md", alone(source!("guest/examples/rust/README.md"))),
        (".gitignore", source!("guest/examples/rust/.gitignore").to_owned()),
    ]
}

/// The SDK's manifest, with what it inherits from this workspace.
fn guest_manifest() -> String {
    let inherited = [
        ("edition.workspace = true", "edition = \"2024\"".to_owned()),
        (
            "rust-version.workspace = true",
            format!("rust-version = {:?}", env!("CARGO_PKG_RUST_VERSION")),
        ),
        // The longer key goes before the one that is a part of it.
        ("version.workspace = true", format!("version = {:?}", env!("CARGO_PKG_VERSION"))),
        ("license.workspace = true", format!("license = {:?}", env!("CARGO_PKG_LICENSE"))),
        ("[lints]\nworkspace = true\n\n", String::new()),
    ];
    let manifest = source!("guest/Cargo.toml").to_owned();
    inherited.into_iter().fold(manifest, |manifest, (from, to)| replace(&manifest, from, &to))
}

fn javascript() -> Vec<TemplateFile> {
    vec![
        ("package.json", source!("guest/examples/javascript/package.json").to_owned()),
        ("package-lock.json", source!("guest/examples/javascript/package-lock.json").to_owned()),
        ("build.mjs", alone(source!("guest/examples/javascript/build.mjs"))),
        ("router.js", source!("guest/examples/javascript/router.js").to_owned()),
        ("README.md", alone(source!("guest/examples/javascript/README.md"))),
        (".gitignore", source!("guest/examples/javascript/.gitignore").to_owned()),
    ]
}

fn python() -> Vec<TemplateFile> {
    vec![
        ("requirements.txt", source!("guest/examples/python/requirements.txt").to_owned()),
        ("router.py", source!("guest/examples/python/router.py").to_owned()),
        ("README.md", alone(source!("guest/examples/python/README.md"))),
        (".gitignore", source!("guest/examples/python/.gitignore").to_owned()),
    ]
}

/// An example's text with the paths that it has where it stands alone.
fn alone(text: &str) -> String {
    text.replace("../../../", "").replace("../cases.json", "cases.json")
}

fn replace(text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "an example has no {from:?} to replace");
    text.replace(from, to)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_points_out_of_the_directory() {
        for language in [Language::Rust, Language::JavaScript, Language::Python] {
            for (path, text) in files(language) {
                // The SDK looks for the contract beside itself.
                let text = text.replace("path: \"../wit\"", "");
                assert!(!text.contains("../"), "{language:?}: {path}");
                assert!(!text.contains(".workspace = true"), "{language:?}: {path}");
            }
        }
    }
}
