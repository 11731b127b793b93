//! Runs the programs that read the catalog's graphs, to validate them.

use std::process::Command;

use crate::{tools, workspace_directory};

/// Renders a graph with Graphviz, as SVG.
pub fn render_with_graphviz(text: &str) -> String {
    run_with_input(Command::new(tools::find_program("dot")).arg("-Tsvg"), text)
}

/// Parses a flowchart with Mermaid. Returns the labels of the nodes, with their lines, and the
/// number of edges, as JSON.
pub fn parse_with_mermaid(text: &str) -> String {
    let packages = tools::node_packages("mermaid", "tests/pictures");
    let script = workspace_directory().join("tests/pictures/parse.mjs");
    run_with_input(Command::new(tools::find_program("node")).arg(script).arg(packages), text)
}

fn run_with_input(program: &mut Command, text: &str) -> String {
    String::from_utf8(tools::output_for(program, text)).expect("text")
}
