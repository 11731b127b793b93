//! The programs that the catalog's pictures are for, as judges of them.

use std::process::Command;

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

fn answer(program: &mut Command, text: &str) -> String {
    String::from_utf8(tools::output_for(program, text)).expect("text")
}
