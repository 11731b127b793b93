//! The programs that the catalog's pictures are for, as judges of them.

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::{install, workspace};

/// What Graphviz makes of a picture in its language: SVG.
pub fn graphviz(text: &str) -> String {
    let dot = install::needs("graphviz", || install::find(&["dot"]));
    answer(Command::new(dot).arg("-Tsvg"), text)
}

/// What Mermaid reads in a flowchart, as JSON: the labels of the nodes, with their
/// lines, and the number of edges.
pub fn mermaid(text: &str) -> String {
    let source = workspace().join("tests/pictures");
    let lock = fs::read_to_string(source.join("package-lock.json")).expect("the lock file of npm");
    let directory = install::once("mermaid", &lock, |directory| fetch(&source, directory));
    answer(Command::new("node").arg(source.join("parse.mjs")).arg(directory), text)
}

fn fetch(source: &Path, directory: &Path) {
    for file in ["package.json", "package-lock.json"] {
        fs::copy(source.join(file), directory.join(file)).expect("a copy for npm");
    }
    let npm = install::needs("npm", || install::find(&["npm"]));
    let quietly = ["--no-audit", "--no-fund", "--ignore-scripts"].map(OsStr::new);
    let prefix = [OsStr::new("ci"), OsStr::new("--prefix"), directory.as_os_str()];
    let installed = install::succeeds(npm, [&prefix[..], &quietly].concat());
    assert!(installed, "npm could not install Mermaid: its words are above");
}

/// What a program answers to a text on its standard input.
fn answer(program: &mut Command, text: &str) -> String {
    let program = program.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut process = program.spawn().expect("the program starts");
    let mut stdin = process.stdin.take().expect("a pipe");
    // Neither of them answers before it has read all.
    stdin.write_all(text.as_bytes()).expect("the program reads");
    drop(stdin);
    let output = process.wait_with_output().expect("the program ends");
    assert!(output.status.success(), "refused: its words are above\n{text}");
    String::from_utf8(output.stdout).expect("text")
}
