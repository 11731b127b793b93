//! Test cases that are folders with files.
//!
//! | file | meaning |
//! |---|---|
//! | `settings.toml` | the settings file |
//! | `input*` | the inputs, in the order of their names |
//! | `plugins` | the plugins that it is for, one on each line: `default`, or a language of `host plugin new`; optional, all otherwise |
//! | `arguments` | further arguments, one on each line; optional |
//! | `expected.json` | `exit`, and optionally `summary` (counts), `dead` (`line`, `reason`, and what else of a dead letter matters), `stderr` (words that must be there) |
//! | `expected/STREAM.ndjson` | the exact bytes of each stream |
//!
//! With `workers = 1` in the settings, the order of a stream's records does not change, so its
//! bytes can be compared directly.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::{DeadLetter, FinishedRun, Program};

/// The number of bytes of a differing line that are shown.
const SHOWN_BYTES_MAX: usize = 200;

/// Lists the folders of cases under a directory.
pub fn list_cases(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).expect("the directory of cases");
    let mut folders: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    folders.sort();
    folders
}

/// Whether a case is for the plugin of this name.
pub fn is_for(folder: &Path, plugin: &str) -> bool {
    let plugins = fs::read_to_string(folder.join("plugins"));
    plugins.map_or(true, |plugins| plugins.lines().any(|line| line == plugin))
}

/// Runs a case with this component, or with the built-in plugin.
///
/// # Errors
///
/// Fails with a list of differences if the result differs from the expected one.
pub fn run_case(folder: &Path, plugin: Option<&Path>) -> Result<(), String> {
    let expected = fs::read(folder.join("expected.json")).map_err(|error| error.to_string())?;
    let expected = serde_json::from_slice(&expected).map_err(|error| error.to_string())?;
    let ran = start_case(folder, plugin).run();
    let mut differences = String::new();
    compare_outcome(&expected, &ran, &mut differences);
    compare_dead_letters(&expected["dead"], &ran.dead_letters(), &mut differences);
    compare_streams(&read_streams(&folder.join("expected")), &ran.streams(), &mut differences);
    if differences.is_empty() {
        return Ok(());
    }
    Err(format!("{differences}standard error was:\n{}", ran.stderr))
}

fn start_case(folder: &Path, plugin: Option<&Path>) -> Program {
    let mut program = Program::host_run_locally();
    if let Some(plugin) = plugin {
        program = program.args(["--plugin".as_ref(), plugin]);
    }
    for file in list_cases(folder) {
        let name = file.file_name().and_then(|name| name.to_str()).expect("a name");
        if name.starts_with("input") {
            program = program.file(name, &fs::read(&file).expect("an input")).args([name]);
        }
    }
    if let Ok(arguments) = fs::read_to_string(folder.join("arguments")) {
        program = program.args(arguments.lines());
    }
    let settings = fs::read_to_string(folder.join("settings.toml"));
    program.settings(&settings.expect("settings.toml"))
}

fn compare_outcome(expected: &Value, ran: &FinishedRun, differences: &mut String) {
    let mut compare = |what: &str, expected: &Value, got: &Value| {
        if expected != got {
            let _ = writeln!(differences, "{what}: expected {expected}, got {got}");
        }
    };
    compare("exit code", &expected["exit"], &ran.exit.into());
    if let Some(counts) = expected["summary"].as_object() {
        let summary = ran.summary();
        for (key, count) in counts {
            compare(key, count, &summary[key]);
        }
    }
    for words in expected["stderr"].as_array().into_iter().flatten() {
        let words = words.as_str().expect("stderr holds strings");
        compare(
            &format!("standard error has {words:?}"),
            &true.into(),
            &ran.stderr.contains(words).into(),
        );
    }
}

fn compare_dead_letters(expected: &Value, dead_letters: &[DeadLetter], differences: &mut String) {
    let expected = expected.as_array().map_or(&[][..], Vec::as_slice);
    for position in 0..expected.len().max(dead_letters.len()) {
        match (expected.get(position), dead_letters.get(position)) {
            (Some(expected), Some(dead_letter)) if matches_dead_letter(expected, dead_letter) => {}
            (expected, dead_letter) => {
                let expected = expected.map_or("none".to_owned(), Value::to_string);
                let _ = writeln!(
                    differences,
                    "dead letter {position}: expected {expected}, got {dead_letter:?}"
                );
            }
        }
    }
}

fn matches_dead_letter(expected: &Value, dead_letter: &DeadLetter) -> bool {
    expected.as_object().expect("a dead letter is an object").iter().all(|(key, value)| {
        match key.as_str() {
            "line" => value == dead_letter.line,
            "reason" => *value == dead_letter.reason,
            "source" => *value == dead_letter.source,
            "stream" => value.as_str() == dead_letter.stream.as_deref(),
            "event" => value.as_str().map(str::as_bytes) == Some(&dead_letter.event[..]),
            unknown => panic!("expected.json: a dead letter has no {unknown:?} to compare"),
        }
    })
}

fn compare_streams(
    expected: &BTreeMap<String, Vec<u8>>,
    got: &BTreeMap<String, Vec<u8>>,
    differences: &mut String,
) {
    let nothing = Vec::new();
    let mut names: Vec<_> = expected.keys().chain(got.keys()).collect();
    names.sort();
    names.dedup();
    for name in names {
        let (expected, got) =
            (expected.get(name).unwrap_or(&nothing), got.get(name).unwrap_or(&nothing));
        if expected != got {
            let _ = writeln!(differences, "stream {name}: {}", first_difference(expected, got));
        }
    }
}

fn first_difference(expected: &[u8], got: &[u8]) -> String {
    let (mut expected, mut got) = (split_lines(expected), split_lines(got));
    let mut line = 1;
    loop {
        let pair = (expected.next(), got.next());
        if pair.0 != pair.1 {
            let [expected, got] =
                [pair.0, pair.1].map(|line| line.map_or("the end".to_owned(), quote_line));
            return format!("line {line}:\n  expected {expected}\n  got      {got}");
        }
        line += 1;
    }
}

fn split_lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.split_inclusive(|&byte| byte == b'\n')
}

fn quote_line(line: &[u8]) -> String {
    let cut = &line[..line.len().min(SHOWN_BYTES_MAX)];
    let rest =
        if cut.len() < line.len() { format!("... ({} bytes)", line.len()) } else { String::new() };
    format!("{}{rest}", cut.escape_ascii())
}

fn read_streams(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    if !directory.exists() {
        return BTreeMap::new();
    }
    let name = |path: &Path| path.file_stem().expect("a name").to_string_lossy().into_owned();
    let files = list_cases(directory);
    files.iter().map(|path| (name(path), fs::read(path).expect("a stream"))).collect()
}
