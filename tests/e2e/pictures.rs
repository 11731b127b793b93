//! Tests the catalog's pictures with the programs that render them.

use serde_json::Value;
use standpipe_catalog::render::{render_dot, render_mermaid};
use standpipe_catalog::{Asset, Edge, EdgeRole, Graph};
use standpipe_tests::pictures;

/// Names with characters that have a meaning in one of the formats, and conditions.
const NAMES: &[&str] = &[
    "orders",
    "track \"Order Completed\"",
    "a\"]; end\n  n0 --> x[\"b",
    "</title><script>alert(1)</script>",
    "\\N \\\" ] ; } \\",
    "&amp; &#60; #quot; #35; ]]>",
    "%%{init: {}}%% end graph subgraph",
    "`**markdown**` $$x^2$$ fa:fa-ban",
    "Straße 日本 🎉 עברית",
    "",
];

fn sample_graph() -> Graph {
    let label = |name: &&str| Asset::Events { label: (*name).to_owned() };
    let stream = |name: &&str| Asset::DeliveryStream { name: (*name).to_owned(), arn: None };
    let assets: Vec<_> = NAMES.iter().map(label).chain(NAMES.iter().map(stream)).collect();
    let edge = |(number, name): (usize, &&str)| Edge {
        from: number,
        to: number + NAMES.len(),
        role: EdgeRole::Routed,
        note: Some((*name).to_owned()),
    };
    Graph { assets, edges: NAMES.iter().enumerate().map(edge).collect() }
}

#[test]
fn graphviz_draws_the_picture_with_all_names() {
    let svg = pictures::render_with_graphviz(&render_dot(&sample_graph()).unwrap());
    assert_eq!(svg.matches("class=\"node\"").count(), 2 * NAMES.len());
    assert_eq!(svg.matches("class=\"edge\"").count(), NAMES.len());
    for shown in
        ["&lt;/title&gt;&lt;script&gt;", "Straße 日本 🎉", "&amp;amp; &amp;#60; #quot;", "\\N"]
    {
        assert!(svg.contains(shown), "{shown} in {svg}");
    }
}

#[test]
fn mermaid_reads_the_flowchart_with_all_names() {
    let read = pictures::parse_with_mermaid(&render_mermaid(&sample_graph()).unwrap());
    let (labels, edges): (Vec<String>, Value) = serde_json::from_str(&read).unwrap();
    assert_eq!((labels.len(), edges), (2 * NAMES.len(), NAMES.len().into()));
    for name in NAMES {
        let shown = format!("{}\n", name.replace('\n', " "));
        let count = labels.iter().filter(|label| label.starts_with(&shown)).count();
        assert_eq!(count, 2, "{name:?} in {labels:#?}");
    }
}
