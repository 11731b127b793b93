//! Checks the docs for contributors: every path and link in them exists, and every module starts
//! with its description.

mod examples;
mod kubernetes;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use standpipe_tests::workspace_directory;

/// Top-level directories. A text in backticks that starts with one of them is a path.
const ROOTS: &[&str] = &["host/", "guest/", "tests/", "wit/", ".ci/"];

/// Directories whose source files start with `//!`.
const DOCUMENTED: &[&str] = &["host", "guest", "tests"];

/// Directories with built or installed files.
const FOREIGN: &[&str] = &["target", "node_modules"];

#[test]
fn every_path_in_the_docs_exists() {
    let mut missing = Vec::new();
    let mut count = 0;
    for document in documents() {
        let text = fs::read_to_string(&document).unwrap();
        for path in paths(&text) {
            count += 1;
            if !workspace_directory().join(&path).exists() {
                missing.push(format!("{}: {path}", shown(&document)));
            }
        }
    }
    assert!(count > 50, "only {count} paths were found: this test looks at the wrong places");
    assert!(missing.is_empty(), "the docs name what does not exist:\n{}", missing.join("\n"));
}

#[test]
fn every_link_in_the_docs_leads_somewhere() {
    let mut broken = Vec::new();
    let mut count = 0;
    for document in documents() {
        let text = fs::read_to_string(&document).unwrap();
        for link in links(&text) {
            count += 1;
            let (file, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let target = match file {
                "" => document.clone(),
                file => document.parent().unwrap().join(file),
            };
            let leads = match anchor {
                "" => target.exists(),
                anchor => fs::read_to_string(&target).is_ok_and(|text| {
                    anchors(&text).contains(anchor) || text.contains(&format!("id=\"{anchor}\""))
                }),
            };
            if !leads {
                broken.push(format!("{}: {link}", shown(&document)));
            }
        }
    }
    assert!(count > 50, "only {count} links were found: this test looks at the wrong places");
    assert!(broken.is_empty(), "links of the docs lead nowhere:\n{}", broken.join("\n"));
}

#[test]
fn every_module_says_what_it_is() {
    let mut silent = Vec::new();
    let mut count = 0;
    for directory in DOCUMENTED {
        for file in files(&workspace_directory().join(directory), "rs") {
            count += 1;
            if !says_what_it_is(&fs::read_to_string(&file).unwrap()) {
                silent.push(shown(&file));
            }
        }
    }
    assert!(count > 500, "only {count} sources were found: this test looks at the wrong places");
    assert!(silent.is_empty(), "these do not begin with `//!`:\n{}", silent.join("\n"));
}

/// Whether a source file starts with a sentence about itself. Attributes of a crate and the first
/// line of a script may precede it.
fn says_what_it_is(source: &str) -> bool {
    let is_before = |line: &&str| line.is_empty() || line.starts_with("#!");
    let first = source.lines().find(|line| !is_before(line));
    first.and_then(|line| line.strip_prefix("//! ")).is_some_and(|words| words.contains(' '))
}

/// The README and every page under `host/docs`.
fn documents() -> Vec<PathBuf> {
    let mut documents = files(&workspace_directory().join("host/docs"), "md");
    documents.push(workspace_directory().join("README.md"));
    assert!(documents.len() > 20, "pages are missing");
    documents
}

/// The texts in backticks that are paths in the repository. A `*` or a word in capitals, as in
/// `tests/cases/NAME`, stands for any name; then the directory before it must exist.
fn paths(text: &str) -> BTreeSet<String> {
    let mut paths = BTreeSet::new();
    for line in prose(text) {
        for code in line.split('`').skip(1).step_by(2) {
            let is_path = ROOTS.iter().any(|root| code.starts_with(root));
            if is_path && !code.contains(char::is_whitespace) {
                paths.insert(without_placeholders(code));
            }
        }
    }
    paths
}

/// The lines of a page without those of its fenced and indented blocks.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut is_fenced = false;
    text.lines().filter(move |line| {
        let is_fence = line.starts_with("```");
        is_fenced ^= is_fence;
        !is_fenced && !is_fence && !line.starts_with("    ")
    })
}

fn without_placeholders(path: &str) -> String {
    let is_placeholder = |part: &&str| {
        part.contains(['*', '<', '{', '$'])
            || (part.len() > 1 && part.chars().all(|c| c.is_ascii_uppercase() || c == '_'))
    };
    let parts: Vec<_> = path.split('/').take_while(|part| !is_placeholder(part)).collect();
    parts.join("/")
}

/// Targets of links within the repository.
fn links(text: &str) -> Vec<String> {
    let prose: Vec<_> = prose(text).collect();
    let prose = prose.join("\n");
    let targets = prose.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    targets.filter(|target| !target.contains("://")).map(str::to_owned).collect()
}

/// The anchors that repository hosts generate for headings.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    headings
        .map(|heading| {
            let words = heading.trim_start_matches('#').trim().to_lowercase();
            let kept = words.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
            kept.map(|c| if c == ' ' { '-' } else { c }).collect()
        })
        .collect()
}

/// All files below a directory with this extension.
fn files(directory: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() && !FOREIGN.contains(&name) {
            found.extend(files(&path, extension));
        } else if path.extension().is_some_and(|found| found == extension) {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn shown(path: &Path) -> String {
    path.strip_prefix(workspace_directory()).unwrap().display().to_string()
}

#[test]
fn paths_links_and_anchors_are_found() {
    let text = "See `host/src/main.rs` and `tests/cases/NAME/input`, not `host run` or `a/b`.\n\
                ```sh\n`host/no`\n```\n    `host/no`";
    assert_eq!(paths(text), BTreeSet::from(["host/src/main.rs".into(), "tests/cases".into()]));
    let text = "[a](b.md#c-d) [web](https://example.com) ![d](e.svg)";
    assert_eq!(links(text), ["b.md#c-d", "e.svg"]);
    assert!(anchors("## Where the time goes, and `why`").contains("where-the-time-goes-and-why"));
    for (source, says) in [
        ("//! Parses lines.\n", true),
        ("#![allow(missing_docs)]\n//! Parses lines.\n", true),
        ("use std::fs;\n//! Parses lines.\n", false),
        ("//!\n", false),
        ("//! parses\n", false),
        ("/// Parses lines.\n", false),
    ] {
        assert_eq!(says_what_it_is(source), says, "{source}");
    }
}
