//! Reads the files of scripts. One file stays as it is, so that its hash and its signature are those
//! of the file. Several files become a bundle, whose bytes depend on their names and contents alone.
//! Scripts for another runner than the embedded one always become a bundle, which contains the
//! runner's SHA-256: a plugin's hash and signature cover everything that runs.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::RunError;
use super::plugin_files::{read_candidate, read_plugin, signature_path};
use crate::config::ScriptPaths;
use standpipe_core::event::covers;
use standpipe_plugin_host::swap::{Candidate, SignatureCheck};
use standpipe_plugin_host::{ScriptBundle, ScriptFile, ScriptRunner, is_script_bundle};

/// The ends of the names of scripts in a directory, for the embedded runner and for another one.
const EXTENSIONS: [&str; 3] = ["js", "mjs", "cjs"];
const EXTENSIONS_FOR_RUNNER: [&str; 1] = ["py"];

/// Reads scripts with their libraries as a plugin.
pub(crate) fn read_scripts(paths: &ScriptPaths) -> Result<Candidate, RunError> {
    let runner = read_runner(paths)?;
    if let ([file], []) = (&paths.files[..], &paths.libraries[..])
        && !file.is_dir()
    {
        let candidate = read_candidate(file)?;
        let Some(runner) = &runner else { return Ok(candidate) };
        let bundle = ScriptBundle::parse(&candidate.bytes);
        if let Some(bundle) = bundle.map_err(|error| unreadable(file, error))? {
            check_runner(&bundle, runner).map_err(|error| unreadable(file, error))?;
            return Ok(Candidate { runner: Some(runner.clone()), ..candidate });
        }
    }
    let names: Vec<_> = paths.files.iter().map(|path| path.display().to_string()).collect();
    let origin = format!("the plugin {}", names.join(", "));
    let bundle = read_files(paths, runner.as_ref())?.to_bytes();
    let (bytes, signature) = (bundle.into(), SignatureCheck::None);
    Ok(Candidate { bytes, signature, runner, settings: None, origin })
}

/// Checks that a bundle was written for this runner.
fn check_runner(bundle: &ScriptBundle, runner: &ScriptRunner) -> Result<(), String> {
    let found = runner.digest();
    match bundle.runner() {
        Some(wanted) if *wanted == **found => Ok(()),
        Some(wanted) => Err(format!(
            "it is a bundle for the runner with the SHA-256 {wanted}, and the runner has {found}: use that runner, or \
             write the bundle again with `host plugin bundle --runner`"
        )),
        None => Err("it is a bundle for the built-in runner of JavaScript, and the settings name another runner: write \
                     the bundle again with `host plugin bundle --runner`, or remove path"
            .to_owned()),
    }
}

fn read_runner(paths: &ScriptPaths) -> Result<Option<ScriptRunner>, RunError> {
    let Some(path) = &paths.runner else { return Ok(None) };
    Ok(Some(ScriptRunner::new(read_plugin(path)?)))
}

/// Reads scripts with their libraries as a bundle.
///
/// # Errors
///
/// Fails if a file cannot be read or is not text, or if the files are too many or too large.
#[cfg(any(test, feature = "cli"))]
pub(crate) fn read_bundle(paths: &ScriptPaths) -> Result<ScriptBundle, RunError> {
    read_files(paths, read_runner(paths)?.as_ref())
}

fn read_files(
    paths: &ScriptPaths,
    runner: Option<&ScriptRunner>,
) -> Result<ScriptBundle, RunError> {
    let mut files = Vec::new();
    for path in &paths.files {
        for file in script_files(path, extensions(paths))? {
            files.push(read_script(&file, file_name(&file))?);
        }
    }
    let mut libraries = Vec::new();
    for pattern in &paths.libraries {
        for file in library_files(pattern)? {
            let stem = file.file_stem().unwrap_or_default().to_string_lossy();
            libraries.push(read_script(&file, stem.into_owned())?);
        }
    }
    let first = paths.files.first().cloned().unwrap_or_default();
    let bundle = ScriptBundle::new(files, libraries);
    let bundle = bundle.map_err(|error| unreadable(&first, error))?;
    Ok(match runner {
        Some(runner) => bundle.with_runner(runner),
        None => bundle,
    })
}

fn extensions(paths: &ScriptPaths) -> &'static [&'static str] {
    match paths.runner {
        Some(_) => &EXTENSIONS_FOR_RUNNER,
        None => &EXTENSIONS,
    }
}

/// The files that a change of scripts affects, with directories, where files can appear.
pub(crate) fn watched_scripts(paths: &ScriptPaths) -> Vec<PathBuf> {
    let mut watched: Vec<_> = paths.runner.iter().cloned().collect();
    for path in &paths.files {
        watched.extend([path.clone(), signature_path(path)]);
        if path.is_dir() {
            watched.extend(script_files(path, extensions(paths)).unwrap_or_default());
        }
    }
    for pattern in &paths.libraries {
        watched.extend(library_files(pattern).unwrap_or_default());
        if has_wildcard(pattern) {
            watched.extend(pattern.parent().map(Path::to_owned));
        }
    }
    watched
}

fn read_script(path: &Path, name: String) -> Result<ScriptFile, RunError> {
    let bytes = read_plugin(path)?;
    if is_script_bundle(&bytes) {
        return Err(unreadable(
            path,
            "it is a bundle, which contains its libraries, and cannot be a part of another one",
        ));
    }
    match String::from_utf8(bytes) {
        Ok(code) => Ok(ScriptFile { name, code }),
        Err(_) => Err(unreadable(path, "it is not text in UTF-8")),
    }
}

/// The file, or the scripts of a directory by name.
fn script_files(path: &Path, extensions: &[&str]) -> Result<Vec<PathBuf>, RunError> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let is_script = |file: &PathBuf| {
        let extension = file.extension().and_then(|extension| extension.to_str());
        extension.is_some_and(|extension| extensions.contains(&extension))
    };
    let files = list_directory(path, is_script)?;
    if files.is_empty() {
        return Err(unreadable(path, format!("it contains no file *.{}", extensions[0])));
    }
    Ok(files)
}

/// The file, or the files that a pattern stands for, by name.
fn library_files(pattern: &Path) -> Result<Vec<PathBuf>, RunError> {
    if !has_wildcard(pattern) {
        return Ok(vec![pattern.to_owned()]);
    }
    let directory = match pattern.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let name = file_name(pattern);
    let files = list_directory(directory, |file| covers(&name, &file_name(file)))?;
    if files.is_empty() {
        return Err(unreadable(
            pattern,
            "no file has such a name: check `libraries` under [plugin]",
        ));
    }
    Ok(files)
}

fn list_directory(
    directory: &Path,
    is_wanted: impl Fn(&PathBuf) -> bool,
) -> Result<Vec<PathBuf>, RunError> {
    let failed = |error: io::Error| RunError::PluginFile { path: directory.to_owned(), error };
    let entries = fs::read_dir(directory).map_err(failed)?.map(|entry| Ok(entry?.path()));
    let mut files = entries.collect::<io::Result<Vec<_>>>().map_err(failed)?;
    // Editors keep unsaved changes in hidden files.
    files.retain(|file| !file_name(file).starts_with('.') && is_wanted(file) && file.is_file());
    files.sort();
    Ok(files)
}

fn has_wildcard(pattern: &Path) -> bool {
    file_name(pattern).contains('*')
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn unreadable(path: &Path, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> RunError {
    RunError::PluginFile { path: path.to_owned(), error: io::Error::other(error) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bundle_of(directory: &Path, files: &[&str], libraries: &[&str]) -> Result<String, String> {
        let join = |names: &[&str]| names.iter().map(|name| directory.join(name)).collect();
        let paths = ScriptPaths { files: join(files), libraries: join(libraries), runner: None };
        let bundle = read_bundle(&paths).map_err(|error| error.to_string())?;
        Ok(String::from_utf8(bundle.to_bytes()).unwrap())
    }

    #[test]
    fn directories_and_patterns_become_a_bundle_in_a_fixed_order() {
        let directory = tempfile::tempdir().unwrap();
        let at = directory.path();
        fs::create_dir(at.join("steps")).unwrap();
        fs::create_dir(at.join("libs")).unwrap();
        for name in
            ["steps/2.js", "steps/1.mjs", "steps/.3.js", "steps/notes.txt", "libs/my-lib.js"]
        {
            fs::write(at.join(name), format!("// {name}")).unwrap();
        }
        let bundle = bundle_of(at, &["steps"], &["libs/*.js"]).unwrap();
        assert_eq!(
            bundle,
            r#"{"standpipe_script":1,"files":[{"name":"1.mjs","code":"// steps/1.mjs"},{"name":"2.js","code":"// steps/2.js"}],"libraries":[{"name":"my-lib","code":"// libs/my-lib.js"}]}"#
        );
        fs::write(at.join("bundle.json"), &bundle).unwrap();
        let error =
            |files: &[&str], libraries: &[&str]| bundle_of(at, files, libraries).unwrap_err();
        assert!(
            error(&["bundle.json"], &["libs/*.js"]).contains("cannot be a part of another one")
        );
        assert!(error(&["libs/none.js"], &[]).contains("none.js"));
        assert!(error(&["steps"], &["libs/*.ts"]).contains("no file has such a name"));
        assert!(error(&["steps", "steps/2.js"], &[]).contains("called \"2.js\""));
    }
}
