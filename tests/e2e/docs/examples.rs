//! Runs the examples of the docs as a reader would: a page's files are written and its commands
//! run, from top to bottom, in one empty directory.
//!
//! The first word after the fence is the language; what follows it says what to do:
//!
//! | fence | done with the block |
//! |---|---|
//! | `toml NAME.toml` | written to that file, which must pass `host config check` |
//! | `toml part` | a part of a settings file, which must pass it too |
//! | `sh` | run by bash; a command that fails ends the page |
//! | `sh exit=3` | the last command must end with this exit code |
//! | `sh background=URL` | run beside the rest of the page, which goes on once the URL answers 2xx |
//! | `console` | must be what the block before it printed |
//! | anything else with a name | written to that file |
//!
//! `<!-- streams: a b -->` creates delivery streams in the AWS account that the commands use.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

use standpipe_tests::{Program, Ran, moto, program_path, workspace};

use super::{documents, shown};

/// The pages, and directories of pages, whose examples run.
const PAGES: &[&str] = &["README.md", "host/docs/migrating"];

/// Languages of blocks that are shown only: what runs them is no part of this project.
const SHOWN_ONLY: &[&str] = &["mermaid", "nginx"];

/// A fenced block.
#[derive(Debug)]
struct Block {
    /// The line of its fence, counted from 1.
    line: usize,
    language: String,
    /// What follows the language.
    instruction: String,
    text: String,
}

#[test]
fn the_examples_of_every_page_run() {
    let mut failures = Vec::new();
    let mut count = 0;
    for document in documents() {
        if !PAGES.iter().any(|page| document.starts_with(workspace().join(page))) {
            continue;
        }
        let text = fs::read_to_string(&document).unwrap();
        let blocks = blocks(&text);
        count += blocks.len();
        if let Err(error) = run_page(&text, &blocks) {
            failures.push(format!("{}: {error}", shown(&document)));
        }
    }
    assert!(count > 10, "only {count} examples were found: this test looks at the wrong places");
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn an_example_that_fails_is_reported_with_its_line() {
    let page = "```sh\ntrue\n```\n\n```sh\necho wrong\nfalse\n```\n";
    let error = run_page(page, &blocks(page)).unwrap_err();
    assert!(error.contains("line 5") && error.contains("exit code 1"), "{error}");
    let page = "```sh\necho one\n```\n```console\ntwo\n```\n";
    let error = run_page(page, &blocks(page)).unwrap_err();
    assert!(error.contains("line 4") && error.contains("one"), "{error}");
    let page = "```toml wrong.toml\nunknown = 1\n```\n";
    let error = run_page(page, &blocks(page)).unwrap_err();
    assert!(error.contains("line 1") && error.contains("unknown"), "{error}");
    let page = "```sh exit=3\nexit 3\n```\n```json data.json\n{}\n```\n";
    assert_eq!(run_page(page, &blocks(page)), Ok(()));
}

/// Runs the blocks of a page.
fn run_page(page: &str, blocks: &[Block]) -> Result<(), String> {
    let script = script(blocks)?;
    let binaries = program_path().parent().expect("a directory").display();
    let path = format!("{binaries}:{}", env::var("PATH").expect("a PATH"));
    let streams = streams(page);
    if !streams.is_empty() {
        moto::server().create("docs", &streams);
    }
    let program = Program::of(Path::new("/bin/bash"))
        .args(["page.sh"])
        .file("page.sh", script.as_bytes())
        .env("PATH", path)
        .env("AWS_REGION", moto::REGION)
        .env("AWS_ENDPOINT_URL", moto::server().url())
        .with_keys();
    let ran = program.run();
    if ran.exit == 0 {
        return Ok(());
    }
    let step = fs::read_to_string(ran.path("step")).unwrap_or_default();
    let printed = fs::read_to_string(ran.path("printed")).unwrap_or_default();
    let difference = String::from_utf8_lossy(&ran.stdout);
    let Ran { exit, stderr, .. } = &ran;
    Err(format!("the example in {step} failed, exit code {exit}:\n{printed}{difference}{stderr}"))
}

/// The page as a script of bash that names its current step in the file `step`.
fn script(blocks: &[Block]) -> Result<String, String> {
    let mut script = String::from("set -euo pipefail\n");
    for block in blocks {
        let Block { line, language, instruction, text } = block;
        let _ = writeln!(script, "echo -n 'line {line}' > step");
        match (language.as_str(), instruction.as_str()) {
            ("sh", "") => {
                let _ = writeln!(script, "{{\n{text}\n}} > printed");
            }
            ("sh", instruction) => script += &instructed(instruction, text)?,
            ("console", "") => {
                script += &written("expected", text);
                script += "diff -u expected printed\n";
            }
            ("toml", "part") => {
                script += &written("part.toml", text);
                script += "host config check part.toml > printed\n";
            }
            ("toml", name) if !name.is_empty() => {
                script += &written(name, text);
                let _ = writeln!(script, "host config check '{name}' > printed");
            }
            (language, "") if SHOWN_ONLY.contains(&language) => {}
            (_, name) if !name.is_empty() => script += &written(name, text),
            _ => return Err(format!("line {line}: what is to be done with ```{language}?")),
        }
    }
    script += "for job in $(jobs -p); do kill \"$job\"; wait \"$job\" || [ $? = 4 ]; done\n";
    Ok(script)
}

/// Commands with an instruction.
fn instructed(instruction: &str, text: &str) -> Result<String, String> {
    if let Some(code) = instruction.strip_prefix("exit=") {
        return Ok(format!("( {text}\n) > printed && code=0 || code=$?\n[ $code = {code} ]\n"));
    }
    if let Some(url) = instruction.strip_prefix("background=") {
        let wait = format!(
            "for try in $(seq 300); do curl -sf -o /dev/null '{url}' && break; sleep 0.1; done"
        );
        return Ok(format!("{{\n{text}\n}} &\n{wait}\ncurl -sf -o /dev/null '{url}'\n"));
    }
    Err(format!("unknown instruction after ```sh: {instruction}"))
}

/// Writes a file. The delimiter is no line of any example.
fn written(name: &str, text: &str) -> String {
    format!(
        "mkdir -p \"$(dirname '{name}')\"\ncat > '{name}' <<'END-OF-EXAMPLE'\n{text}\nEND-OF-EXAMPLE\n"
    )
}

/// The delivery streams that a page's commands need.
fn streams(page: &str) -> Vec<&str> {
    let names = page.lines().filter_map(|line| {
        line.strip_prefix("<!-- streams: ").and_then(|rest| rest.strip_suffix(" -->"))
    });
    let names: BTreeSet<_> = names.flat_map(str::split_whitespace).collect();
    names.into_iter().collect()
}

/// The fenced blocks of a page.
fn blocks(page: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut lines = page.lines().enumerate();
    while let Some((index, line)) = lines.next() {
        let Some(info) = line.strip_prefix("```") else { continue };
        let (language, instruction) = info.split_once(' ').unwrap_or((info, ""));
        let text = lines.by_ref().map(|(_, line)| line).take_while(|line| *line != "```");
        blocks.push(Block {
            line: index + 1,
            language: language.to_owned(),
            instruction: instruction.trim().to_owned(),
            text: text.collect::<Vec<_>>().join("\n"),
        });
    }
    blocks
}
