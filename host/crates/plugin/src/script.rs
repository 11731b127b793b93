//! User code as a plugin.
//!
//! A plugin file that contains text is a script, or a bundle of several scripts and libraries as
//! JSON. Its component is a script runner, which reads the code from its settings: the embedded one
//! for JavaScript, or the one whose SHA-256 a bundle contains. This module recognizes scripts,
//! limits their number and size, and fills the code into the settings. The SHA-256 of such a plugin
//! is that of the script or bundle.

use std::collections::HashSet;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use thiserror::Error;

use super::ScriptRunner;
use crate::limits;

/// The first bytes of a component and of a core module.
pub(crate) const WASM_MAGIC: &[u8] = b"\0asm";

/// The component that runs scripts, compressed. `guest/script/build.sh` builds it.
const RUNNER_COMPRESSED: &[u8] = include_bytes!("../prebuilt/script.wasm.zst");

/// The line with the SHA-256 of that component.
const RUNNER_SHA256_LINE: &str = include_str!("../prebuilt/script.wasm.sha256");

/// The member of the settings with the code and its options.
pub const SCRIPT_MEMBER: &str = "script";

/// The option with the name of a script in messages, which the host sets and removes.
pub const SCRIPT_NAME_OPTION: &str = "name";

/// The name of a script in messages if the settings contain none.
const DEFAULT_NAME: &str = "script.js";

/// The same for a script that another runner than the embedded one runs.
const DEFAULT_NAME_FOR_RUNNER: &str = "script";

/// How a line begins that only a transformation in Python has. In JavaScript, it is a syntax error,
/// which would not say what to do.
const PYTHON_STARTS: [&str; 2] = ["def transformEvent(", "def transformBatch("];

/// The member of a bundle with the version of its form.
const BUNDLE_MARK: &str = "standpipe_script";

/// The version of the form of bundles.
const BUNDLE_VERSION: u32 = 1;

type SettingsMembers = Map<String, Value>;

/// The code of a plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Script {
    /// One script, without a name of its own.
    Code(String),
    /// Several scripts and libraries, which have names.
    Bundle(ScriptBundle),
}

/// Several scripts that events pass one after the other, and libraries that the scripts import. As
/// JSON text, a bundle is a plugin file.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ScriptBundle {
    standpipe_script: u32,
    /// The SHA-256 of the component that runs the scripts. By default, the embedded runner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    runner: Option<String>,
    files: Vec<ScriptFile>,
    #[serde(default)]
    libraries: Vec<ScriptFile>,
}

/// A script or library with its name.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ScriptFile {
    /// The name of a script is its file's name. That of a library is its file's name without the
    /// extension; the script runner derives from it the name that scripts import.
    pub name: String,
    /// The JavaScript, or another language that the runner of the script runs.
    pub code: String,
}

/// Why text is not a script or bundle that can be loaded.
#[derive(Debug, Error)]
pub enum ScriptError {
    /// The text is not a bundle.
    #[error("it is not a bundle of scripts: {0}: write it with `host plugin bundle`")]
    Form(#[source] serde_json::Error),
    /// Another version of this program wrote the bundle.
    #[error(
        "it is a bundle of scripts in version {0}, expected {BUNDLE_VERSION}: write it again with `host plugin bundle` \
         of this version"
    )]
    Version(u32),
    /// There is no script.
    #[error("it contains no script: add at least one file")]
    Empty,
    /// There are too many files.
    #[error(
        "it contains {0} scripts and libraries, and the limit is {max}: combine some of them",
        max = limits::SCRIPT_FILES_MAX
    )]
    TooMany(usize),
    /// There is too much code.
    #[error(
        "its code has {0} bytes, and the limit is {max}: minify it, or leave libraries out",
        max = limits::SCRIPT_BYTES_MAX
    )]
    TooLarge(usize),
    /// Two files have one name.
    #[error("two of its files are called {0:?}: rename one of them")]
    DuplicateName(String),
    /// The code is Python, and no runner for it was given.
    #[error(
        "it is a transformation in Python, which a component must run: name the component with path under [plugin], or \
         with --runner; `host plugin new --dialect rudderstack-python` creates one"
    )]
    Python,
    /// No component with the runner's SHA-256 was given.
    #[error(
        "its scripts run in the component with the SHA-256 {0}, which was not given: name the component with path under \
         [plugin], or with --runner"
    )]
    UnknownRunner(String),
}

/// The parts of a script, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScriptOutline {
    /// The SHA-256 of the component that runs the scripts.
    pub runner: String,
    /// The names and bytes of the scripts.
    pub files: Vec<(String, usize)>,
    /// The names and bytes of the libraries.
    pub libraries: Vec<(String, usize)>,
}

impl ScriptOutline {
    /// Sets the name of a single script, which is that of its file. The parts of a bundle keep their
    /// names.
    pub fn name_single_script(&mut self, name: &str) {
        if let [(unnamed, _)] = &mut self.files[..]
            && unnamed == DEFAULT_NAME
        {
            name.clone_into(unnamed);
        }
    }
}

/// Whether a plugin file contains scripts that the embedded runner runs. Their settings contain rules
/// of the built-in plugin.
pub(crate) fn is_script_of_embedded_runner(bytes: &[u8]) -> bool {
    let script = Script::parse(bytes).ok().flatten();
    script.is_some_and(|script| !script.has_other_runner())
}

/// Whether a plugin file contains scripts.
pub fn is_script(bytes: &[u8]) -> bool {
    code_of(bytes).is_some()
}

/// The SHA-256 of the embedded component that runs scripts, in hexadecimal.
pub fn script_runner_sha256() -> &'static str {
    RUNNER_SHA256_LINE.trim_end()
}

/// Decompresses the embedded component that runs scripts.
pub(crate) fn embedded_runner() -> Vec<u8> {
    zstd::decode_all(RUNNER_COMPRESSED).expect("a test decompresses the embedded file")
}

/// The text of a plugin file, unless it looks like text that is not JavaScript: then a syntax error
/// would not say what is wrong.
fn code_of(bytes: &[u8]) -> Option<&str> {
    if bytes.starts_with(WASM_MAGIC) {
        return None;
    }
    let text = std::str::from_utf8(bytes).ok()?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let start = text.trim_start();
    let is_other = ["<", "(component", "(module", "version https://git-lfs"]
        .iter()
        .any(|prefix| start.starts_with(prefix));
    let is_other = is_other || start.is_empty() || text.contains('\0');
    (!is_other && !is_other_json(start)).then_some(text)
}

/// Whether the text is JSON, but not a bundle.
fn is_other_json(text: &str) -> bool {
    if !text.starts_with('{') {
        return false;
    }
    let value = serde_json::from_str::<SettingsMembers>(text);
    value.is_ok_and(|members| !members.contains_key(BUNDLE_MARK))
}

/// Whether the text is meant to be a bundle: no script begins like this.
fn is_bundle(text: &str) -> bool {
    let start = text.trim_start().strip_prefix('{').map(str::trim_start);
    start.is_some_and(|start| start.starts_with('"')) && text.contains(BUNDLE_MARK)
}

impl Script {
    /// Parses a plugin file. Returns `None` if it does not contain scripts.
    ///
    /// # Errors
    ///
    /// Fails if it is a damaged bundle, or larger than the limits.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Option<Self>, ScriptError> {
        let Some(text) = code_of(bytes) else { return Ok(None) };
        if is_bundle(text) {
            let bundle: ScriptBundle = serde_json::from_str(text).map_err(ScriptError::Form)?;
            bundle.check()?;
            return Ok(Some(Script::Bundle(bundle)));
        }
        check_size(text.len())?;
        if text.lines().any(|line| PYTHON_STARTS.iter().any(|start| line.starts_with(start))) {
            return Err(ScriptError::Python);
        }
        Ok(Some(Script::Code(text.to_owned())))
    }

    /// The SHA-256 of the component that runs the script.
    pub(crate) fn runner(&self) -> &str {
        match self {
            Script::Bundle(bundle) => bundle.runner().unwrap_or(script_runner_sha256()),
            Script::Code(_) => script_runner_sha256(),
        }
    }

    /// Whether the script runs in another component than the embedded one.
    pub(crate) fn has_other_runner(&self) -> bool {
        self.runner() != script_runner_sha256()
    }

    /// Fills the code into settings (JSON text).
    ///
    /// # Errors
    ///
    /// Fails if the settings are not an object, or if they contain code of their own.
    pub(crate) fn fill(&self, settings: &str) -> Result<String, String> {
        let (mut settings, mut script) = split_settings(settings)?;
        let name = script.remove(SCRIPT_NAME_OPTION);
        if let Some(member) = ["files", "libraries"].iter().find(|key| script.contains_key(**key)) {
            return Err(format!(
                "`script` contains `{member}`, but the plugin is a script: remove `{member}`"
            ));
        }
        let (files, libraries) = match self {
            Script::Code(code) => {
                let name = name.as_ref().and_then(Value::as_str).unwrap_or(DEFAULT_NAME);
                (json!([{"name": name, "code": code}]), json!([]))
            }
            Script::Bundle(bundle) => (json!(bundle.files), json!(bundle.libraries)),
        };
        script.insert("files".to_owned(), files);
        script.insert("libraries".to_owned(), libraries);
        settings.insert(SCRIPT_MEMBER.to_owned(), script.into());
        Ok(Value::Object(settings).to_string())
    }

    /// The names and sizes of the files.
    pub(crate) fn outline(&self) -> ScriptOutline {
        let sizes = |files: &[ScriptFile]| {
            files.iter().map(|file| (file.name.clone(), file.code.len())).collect()
        };
        let runner = self.runner().to_owned();
        match self {
            Script::Code(code) => ScriptOutline {
                runner,
                files: vec![(DEFAULT_NAME.to_owned(), code.len())],
                libraries: Vec::new(),
            },
            Script::Bundle(bundle) => ScriptOutline {
                runner,
                files: sizes(&bundle.files),
                libraries: sizes(&bundle.libraries),
            },
        }
    }
}

/// The settings of the mapping that routes what a script returns: all but those of the script.
/// Settings that are not an object stay as they are.
pub fn mapping_settings(settings: &str) -> String {
    match split_settings(settings) {
        Ok((rules, _)) => Value::Object(rules).to_string(),
        Err(_) => settings.to_owned(),
    }
}

/// Settings in which the script has this name in messages. Settings that are not an object stay as
/// they are.
pub fn with_script_name(settings: &str, name: &str) -> String {
    match split_settings(settings) {
        Ok((mut settings, mut script)) => {
            script.insert(SCRIPT_NAME_OPTION.to_owned(), name.into());
            settings.insert(SCRIPT_MEMBER.to_owned(), script.into());
            Value::Object(settings).to_string()
        }
        Err(_) => settings.to_owned(),
    }
}

/// Whether text is a bundle of scripts.
pub fn is_script_bundle(bytes: &[u8]) -> bool {
    code_of(bytes).is_some_and(is_bundle)
}

/// A plugin file for the runner with this SHA-256: code becomes a bundle, which names the runner. The
/// script is called as in these settings. Anything but code stays as it is.
pub(crate) fn for_runner(bytes: Vec<u8>, runner: &str, settings: &str) -> Vec<u8> {
    let Some(code) = code_of(&bytes).filter(|text| !is_bundle(text)) else { return bytes };
    let script = split_settings(settings).map(|(_, script)| script).unwrap_or_default();
    let name = script.get(SCRIPT_NAME_OPTION).and_then(Value::as_str);
    let name = name.unwrap_or(DEFAULT_NAME_FOR_RUNNER).to_owned();
    let file = ScriptFile { name, code: code.to_owned() };
    match ScriptBundle::new(vec![file], Vec::new()) {
        Ok(bundle) => bundle.with_runner_sha256(runner.to_owned()).to_bytes(),
        // Loading the code fails in the same way.
        Err(_) => bytes,
    }
}

/// Settings for a component without the options that the host has added for a script, which the
/// component has replaced. A member `script` without a name is the component's own.
pub(crate) fn without_script_options(settings: &str) -> Option<String> {
    // Most settings have no such member, and need not be parsed.
    if !settings.contains(SCRIPT_MEMBER) {
        return None;
    }
    let (rules, script) = split_settings(settings).ok()?;
    script.contains_key(SCRIPT_NAME_OPTION).then(|| Value::Object(rules).to_string())
}

/// The settings without the script's options, and these options.
fn split_settings(settings: &str) -> Result<(SettingsMembers, SettingsMembers), String> {
    let mut settings = match settings.is_empty() {
        true => SettingsMembers::new(),
        false => serde_json::from_str(settings).map_err(|error| error.to_string())?,
    };
    match settings.remove(SCRIPT_MEMBER) {
        None => Ok((settings, SettingsMembers::new())),
        Some(Value::Object(script)) => Ok((settings, script)),
        Some(_) => Err("`script` is reserved for the options of scripts: remove it".to_owned()),
    }
}

impl ScriptBundle {
    /// Creates a bundle. The order of scripts stays; libraries are sorted by name, so that the same
    /// files always give the same bytes.
    ///
    /// # Errors
    ///
    /// Fails if the files are too many or too large, or if two have one name.
    pub fn new(
        files: Vec<ScriptFile>,
        mut libraries: Vec<ScriptFile>,
    ) -> Result<Self, ScriptError> {
        libraries.sort_by(|one, other| one.name.cmp(&other.name));
        let bundle =
            ScriptBundle { standpipe_script: BUNDLE_VERSION, runner: None, files, libraries };
        bundle.check()?;
        Ok(bundle)
    }

    /// Parses a plugin file. Returns `None` if it is not a bundle.
    ///
    /// # Errors
    ///
    /// Fails if the bundle is damaged or too large.
    pub fn parse(bytes: &[u8]) -> Result<Option<Self>, ScriptError> {
        match is_script_bundle(bytes).then(|| Script::parse(bytes)).transpose()?.flatten() {
            Some(Script::Bundle(bundle)) => Ok(Some(bundle)),
            _ => Ok(None),
        }
    }

    /// The same scripts for a component that runs them.
    #[must_use]
    pub fn with_runner(self, runner: &ScriptRunner) -> Self {
        self.with_runner_sha256(runner.digest().to_string())
    }

    fn with_runner_sha256(self, runner: String) -> Self {
        ScriptBundle { runner: Some(runner), ..self }
    }

    /// The SHA-256 of the component that runs the scripts, unless it is the embedded one.
    pub fn runner(&self) -> Option<&str> {
        self.runner.as_deref()
    }

    /// The bundle as a plugin file.
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("texts and numbers are JSON")
    }

    fn check(&self) -> Result<(), ScriptError> {
        if self.standpipe_script != BUNDLE_VERSION {
            return Err(ScriptError::Version(self.standpipe_script));
        }
        if self.files.is_empty() {
            return Err(ScriptError::Empty);
        }
        let count = self.files.len() + self.libraries.len();
        if count > limits::SCRIPT_FILES_MAX {
            return Err(ScriptError::TooMany(count));
        }
        let all = self.files.iter().chain(&self.libraries);
        check_size(all.map(|file| file.code.len()).sum())?;
        check_names(&self.files)?;
        check_names(&self.libraries)
    }
}

fn check_size(bytes: usize) -> Result<(), ScriptError> {
    if bytes > limits::SCRIPT_BYTES_MAX { Err(ScriptError::TooLarge(bytes)) } else { Ok(()) }
}

fn check_names(files: &[ScriptFile]) -> Result<(), ScriptError> {
    let mut names = HashSet::new();
    match files.iter().find(|file| !names.insert(&file.name)) {
        Some(file) => Err(ScriptError::DuplicateName(file.name.clone())),
        None => Ok(()),
    }
}

impl fmt::Display for ScriptOutline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = |files: &[(String, usize)]| {
            let names = files.iter().map(|(name, bytes)| format!("{name:?} ({bytes} bytes)"));
            names.collect::<Vec<_>>().join(", ")
        };
        write!(f, "scripts {}", names(&self.files))?;
        if !self.libraries.is_empty() {
            write!(f, "; libraries {}", names(&self.libraries))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
