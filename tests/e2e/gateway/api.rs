//! Tests the public API of the crate `standpipe` for other programs: every change of it must be
//! deliberate.

use std::fs;
use std::path::Path;

use standpipe::Reason;
use standpipe_tests::workspace_directory;

/// The files of the API, and the selected items: all items of a file, or the named ones.
const FILES: &[(&str, &[&str])] = &[
    ("src/lib.rs", &["pub use", "    pub use"]),
    ("src/gateway/builder.rs", &[]),
    ("src/gateway/body.rs", &[]),
    ("src/gateway/capture.rs", &[]),
    ("src/gateway/exchange.rs", &[]),
    ("src/gateway/host.rs", &[]),
    ("src/gateway/layer.rs", &[]),
    ("src/gateway/plugin.rs", &[]),
    ("src/gateway/service.rs", &[]),
    ("src/gateway/start_error.rs", &[]),
    ("src/source/submitted/stats.rs", &[]),
    ("src/source/submitted/outcome.rs", &[]),
    ("crates/core/src/event/ack.rs", &["pub enum EventOutcome"]),
    ("crates/plugin/src/swap/swapper.rs", &["pub enum Swapped"]),
];

#[test]
fn the_public_api_matches_its_listing() {
    let golden = workspace_directory().join("tests/data/gateway-api.txt");
    let now = list_api();
    let before = fs::read_to_string(&golden).unwrap_or_default();
    if std::env::var_os("ACCEPT").is_some() {
        fs::write(&golden, &now).unwrap();
    }
    assert_eq!(before, now, "the API has changed: if that is meant, run this test with ACCEPT=1");
    for word in ["wasmtime", "aws_"] {
        assert!(!now.contains(word), "the API shows a type of {word}");
    }
}

fn list_api() -> String {
    let root = workspace_directory().join("host");
    let files = FILES.iter().map(|(file, only)| (*file, list_items(&root.join(file), only)));
    let files: String = files.map(|(file, items)| format!("# {file}\n{items}\n")).collect();
    let reasons: Vec<_> = Reason::ALL.iter().map(|reason| format!("{reason:?}")).collect();
    format!(
        "{files}# crates/core/src/event/reason.rs\npub enum Reason {{ {} }}\n",
        reasons.join(", ")
    )
}

/// The public items of a file without their bodies, and whole enums.
fn list_items(path: &Path, only: &[&str]) -> String {
    let text = fs::read_to_string(path).unwrap();
    let text = text.split("#[cfg(test)]\nmod tests").next().unwrap();
    let is_code = |line: &&str| {
        let line = line.trim_start();
        !line.starts_with("//") && !line.starts_with("#[")
    };
    let mut lines = text.lines().filter(is_code);
    let mut items = String::new();
    let mut owner = None;
    while let Some(line) = lines.next() {
        if line.starts_with("impl") {
            owner = Some(line.trim_end_matches(" {"));
        }
        let is_public = line.trim_start().starts_with("pub ");
        let is_trait = line.starts_with("impl")
            && line.split_once(" for ").is_some_and(|(_, of)| is_public_type(text, of));
        if !(is_public || is_trait)
            || !only.is_empty() && !only.iter().any(|only| line.starts_with(only))
        {
            continue;
        }
        let end = match line.trim_start() {
            line if line.starts_with("pub enum") => "}",
            line if line.starts_with("pub use") => ";",
            _ => "{;,",
        };
        let mut item = line.trim().to_owned();
        while !item.ends_with(|last| end.contains(last))
            || item.matches('(').count() != item.matches(')').count()
        {
            let Some(next) = lines.next() else { break };
            item = format!("{item} {}", next.trim());
        }
        let item = item.trim_end_matches(['{', ';', ',']).trim_end();
        match owner {
            Some(owner) if line.starts_with(' ') => items += &format!("{owner}: {item}\n"),
            _ => items += &format!("{item}\n"),
        }
    }
    items
}

/// Whether a file has a public type with the name at the start of the text.
fn is_public_type(file: &str, text: &str) -> bool {
    let name: String = text.chars().take_while(|char| char.is_alphanumeric()).collect();
    ["struct", "enum"].iter().any(|kind| {
        let after = file.split(&format!("\npub {kind} {name}")).nth(1);
        after.is_some_and(|after| !after.starts_with(char::is_alphanumeric))
    })
}
