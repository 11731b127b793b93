//! Tests rendered pictures by parsing them: no name breaks out of SVG, Mermaid or DOT, boxes do not
//! overlap, and the README's picture matches the example.

use std::path::Path;

use proptest::prelude::*;
use roxmltree::{Document, Node};

use super::example::{graph, large};
use super::*;
use crate::{Asset, Edge, EdgeRole};

/// The picture in the README. `UPDATE_CATALOG_PICTURE=1` renders it again.
#[test]
fn the_picture_of_the_readme_is_the_example_s() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/catalog.svg");
    let drawn = render_svg(&graph()).unwrap();
    if std::env::var_os("UPDATE_CATALOG_PICTURE").is_some() {
        std::fs::write(&path, &drawn).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap();
    assert!(kept == drawn, "look at what UPDATE_CATALOG_PICTURE=1 draws");
}

/// A graph of assets with these names, in all columns.
fn named(names: &[String], notes: &[String]) -> Graph {
    let mut assets = Vec::new();
    let (mut edges, mut streams) = (Vec::new(), Vec::new());
    for (number, name) in names.iter().enumerate() {
        assets.push(match number % 3 {
            0 => Asset::Events { label: name.clone() },
            1 => Asset::DeliveryStream { name: name.clone(), arn: None },
            _ => Asset::HttpEndpoint { name: Some(name.clone()), url: name.clone() },
        });
        if number % 3 == 1 {
            streams.push(number);
        }
    }
    for (place, note) in streams.iter().zip(notes.iter().cycle()) {
        let (from, note) = (place - 1, Some(note.clone()));
        edges.push(Edge { from, to: *place, role: EdgeRole::Routed, note });
        if place + 1 < assets.len() {
            let (from, to, role) = (*place, place + 1, EdgeRole::Delivered);
            edges.push(Edge { from, to, role, note: None });
        }
    }
    Graph { assets, edges }
}

/// Names that try to break out of their label.
fn evil() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        Just("\"]; end\n  n0 --> x[\"".to_owned()),
        Just("</title><script>alert(1)</script>".to_owned()),
        Just("\\\" ] ; } \\".to_owned()),
        Just("]]>&amp;&lt;#quot;#35;&#x22;<!--".to_owned()),
        Just("\u{202e}\u{0}\u{1b}[31m\u{ffff}".to_owned()),
        Just("%%{init: {}}%%".to_owned()),
        "\\PC{0,40}",
        ".{0,40}",
    ];
    prop::collection::vec(word, 1..4).prop_map(|words| words.concat())
}

fn texts<'svg>(svg: &'svg Document<'_>, class: &str) -> Vec<&'svg str> {
    let is_it = |node: &Node<'_, '_>| node.attribute("class") == Some(class);
    let texts = svg.descendants().filter(is_it).map(|node| node.text().unwrap_or_default());
    texts.collect()
}

proptest! {
    #[test]
    fn no_name_gets_out_of_an_svg(
        names in prop::collection::vec(evil(), 0..9),
        notes in prop::collection::vec(evil(), 1..3),
    ) {
        let graph = named(&names, &notes);
        let text = render_svg(&graph).unwrap();
        let document = Document::parse(&text).map_err(|error| error.to_string());
        prop_assert!(document.is_ok(), "{document:?} {text}");
        let document = document.unwrap();
        prop_assert_eq!(texts(&document, "t").len(), names.len());
        let known =
            ["svg", "style", "defs", "clipPath", "path", "marker", "rect", "g", "title", "text"];
        let elements = document.descendants().filter(Node::is_element);
        prop_assert!(elements.clone().all(|node| known.contains(&node.tag_name().name())));
        let titles = elements.filter(|node| node.has_tag_name(("http://www.w3.org/2000/svg", "title")));
        prop_assert_eq!(titles.count(), names.len() + graph.edges.len());
    }

    #[test]
    fn no_name_gets_out_of_mermaid(
        names in prop::collection::vec(evil(), 0..9),
        notes in prop::collection::vec(evil(), 1..3),
    ) {
        let graph = named(&names, &notes);
        let text = render_mermaid(&graph).unwrap();
        let columns = text.lines().filter(|line| line.starts_with("  subgraph ")).count();
        let lines = 1 + 2 * columns + 2 * names.len() + graph.edges.len();
        prop_assert_eq!(text.lines().count(), lines, "{}", text);
        for line in text.lines() {
            let quotes = line.matches('"').count();
            prop_assert!(quotes == 0 || quotes == 2, "{}", line);
            let label = line.split('"').nth(1).unwrap_or_default().replace("<br/>", "");
            prop_assert!(!label.contains(['<', '>', '&', '`', '\\', '%', '|', ']']), "{}", line);
        }
    }

    #[test]
    fn no_name_gets_out_of_dot(
        names in prop::collection::vec(evil(), 0..9),
        notes in prop::collection::vec(evil(), 1..3),
    ) {
        let graph = named(&names, &notes);
        let text = render_dot(&graph).unwrap();
        // Without quoted texts, only a fixed syntax is left.
        let (mut rest, mut is_quoted, mut is_escaped) = (String::new(), false, false);
        for character in text.chars() {
            match character {
                _ if is_escaped => is_escaped = false,
                '\\' if is_quoted => is_escaped = true,
                '"' => is_quoted = !is_quoted,
                other if !is_quoted => rest.push(other),
                other => prop_assert!(!other.is_control()),
            }
        }
        prop_assert!(!is_quoted);
        let nodes = rest.matches("label=").count();
        prop_assert_eq!((nodes, rest.matches(" -> ").count()), (names.len(), graph.edges.len()));
        prop_assert!(rest.chars().all(|it| it.is_ascii_alphanumeric() || " \n{}[]=,->.".contains(it)), "{}", rest);
    }
}

/// The left, top, width and height of each box.
fn boxes(svg: &Document<'_>) -> Vec<[f64; 4]> {
    let groups = svg.descendants().filter_map(|node| {
        let place = node.attribute("transform")?;
        let (left, top) = place.strip_prefix("translate(")?.strip_suffix(')')?.split_once(' ')?;
        let rect = node.children().find(|it| it.tag_name().name() == "rect")?;
        let number = |text: &str| text.parse::<f64>().ok();
        let size = |key| rect.attribute(key).and_then(number);
        Some([number(left)?, number(top)?, size("width")?, size("height")?])
    });
    groups.collect()
}

#[test]
fn no_box_is_on_another_and_all_are_in_the_picture() {
    for graph in [graph(), large(120)] {
        let text = render_svg(&graph).unwrap();
        let svg = Document::parse(&text).unwrap();
        let size = |key| svg.root_element().attribute(key).unwrap().parse::<f64>().unwrap();
        let (width, height) = (size("width"), size("height"));
        let boxes = boxes(&svg);
        assert_eq!(boxes.len(), graph.assets.len());
        for (number, one) in boxes.iter().enumerate() {
            assert!(one[0] > 0.0 && one[0] + one[2] < width, "{one:?}");
            assert!(one[1] > 0.0 && one[1] + one[3] < height, "{one:?}");
            for other in &boxes[..number] {
                let is_before = |one: &[f64; 4], other: &[f64; 4], axis: usize| {
                    one[axis] + one[axis + 2] <= other[axis]
                };
                let apart = |axis| is_before(one, other, axis) || is_before(other, one, axis);
                assert!(apart(0) || apart(1), "{one:?} {other:?}");
            }
        }
    }
}

#[test]
fn lonely_chains_are_level() {
    let Graph { assets, edges } = graph();
    let rows = layout::compute_layout(&graph()).rows;
    let degree = |asset| edges.iter().filter(|edge| edge.from == asset || edge.to == asset).count();
    for edge in edges.iter().filter(|edge| degree(edge.from) == 1 && degree(edge.to) <= 2) {
        let slope = (rows[edge.from] - rows[edge.to]).abs();
        let is_chain = edges.iter().filter(|it| it.to == edge.to).count() == 1;
        assert!(!is_chain || slope < 0.01, "{:?} {slope}", assets[edge.from]);
    }
}

#[test]
fn what_is_too_large_is_refused() {
    let assets = vec![Asset::Events { label: String::new() }; PICTURE_ASSETS_MAX + 1];
    let graph = Graph { assets, edges: Vec::new() };
    let words = render_svg(&graph).unwrap_err().to_string();
    assert!(
        words.starts_with("failed to render 25001 assets and 0 edges: a picture has at most"),
        "{words}"
    );
    assert!(render_mermaid(&graph).is_err() && render_dot(&graph).is_err());
}

#[test]
fn an_empty_graph_is_an_empty_picture() {
    let empty = Graph::default();
    assert!(Document::parse(&render_svg(&empty).unwrap()).is_ok());
    assert_eq!(render_mermaid(&empty).unwrap(), "flowchart LR\n");
    assert!(render_dot(&empty).unwrap().starts_with("digraph"));
}
