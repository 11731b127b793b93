//! The programs that the catalog's pictures are for, as judges of them.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::{tools, workspace};

/// What Graphviz makes of a picture in its language: SVG.
pub fn graphviz(text: &str) -> String {
    answer(Command::new(tools::program("dot")).arg("-Tsvg"), text)
}

/// What Mermaid reads in a flowchart, as JSON: the labels of the nodes, with their
/// lines, and the number of edges.
pub fn mermaid(text: &str) -> String {
    let packages = tools::node_packages("mermaid", "tests/pictures");
    let script = workspace().join("tests/pictures/parse.mjs");
    answer(Command::new(tools::program("node")).arg(script).arg(packages), text)
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
