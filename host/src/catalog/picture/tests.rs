use super::example::{graph, large};
use super::*;

#[test]
#[ignore = "for looking at"]
fn look() {
    let directory = std::env::var("LOOK").unwrap();
    for (name, graph) in [("example", graph()), ("g120", large(120)), ("g5000", large(5000))] {
        let start = std::time::Instant::now();
        let text = svg(&graph).unwrap();
        eprintln!("{name}: {} assets {} edges {} bytes {:?}", graph.assets.len(), graph.edges.len(), text.len(), start.elapsed());
        std::fs::write(format!("{directory}/{name}.svg"), text).unwrap();
        std::fs::write(format!("{directory}/{name}.mmd"), mermaid(&graph).unwrap()).unwrap();
        std::fs::write(format!("{directory}/{name}.dot"), dot(&graph).unwrap()).unwrap();
    }
}
