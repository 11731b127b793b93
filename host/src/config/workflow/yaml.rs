//! A subset of YAML that workflows need: nodes that know their line.
//!
//! The parser returns events. The tree that is built from them is limited in size and depth, and an
//! alias counts as the nodes that it stands for. So a document of a few lines cannot become one of
//! gigabytes.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle};

use super::WorkflowError;

/// Maximum number of nodes in a workflow. An alias counts as the nodes that it stands for.
const WORKFLOW_NODES_MAX: usize = 20_000;

/// Maximum depth of a workflow. The vendor's own workflows have eight levels.
const WORKFLOW_DEPTH_MAX: usize = 32;

/// The tag of scalars that are always text.
const TAG_TEXT: &str = "str";
/// The key that merges another mapping.
const MERGE: &str = "<<";

/// A node, and the line where it starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct YamlNode {
    pub(super) line: Option<usize>,
    pub(super) value: YamlValue,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum YamlValue {
    Null,
    /// A scalar as written. The reader of the node interprets it.
    Scalar(String),
    List(Vec<YamlNode>),
    Map(Vec<(String, YamlNode)>),
}

/// Parses a document.
pub(super) fn parse_yaml(text: &str) -> Result<YamlNode, WorkflowError> {
    let mut reader =
        Reader { parser: Parser::new_from_str(text), anchors: HashMap::new(), nodes: 0 };
    loop {
        match reader.next_event()? {
            (Event::StreamStart | Event::DocumentStart(_), _) => {}
            (Event::StreamEnd, _) => {
                return Err(WorkflowError::new(
                    "the file is empty: write `source`, `sink` and `workflowConfig`",
                ));
            }
            (event, line) => {
                let node = reader.read_node(event, line, 0)?;
                reader.expect_end()?;
                return Ok(node);
            }
        }
    }
}

/// Converts JSON to nodes, which then have no lines.
pub(super) fn from_json(value: serde_json::Value) -> YamlNode {
    use serde_json::Value as Json;

    let value = match value {
        Json::Null => YamlValue::Null,
        Json::Bool(flag) => YamlValue::Scalar(flag.to_string()),
        Json::Number(number) => YamlValue::Scalar(number.to_string()),
        Json::String(text) => YamlValue::Scalar(text),
        Json::Array(items) => YamlValue::List(items.into_iter().map(from_json).collect()),
        Json::Object(map) => {
            YamlValue::Map(map.into_iter().map(|(key, value)| (key, from_json(value))).collect())
        }
    };
    YamlNode { line: None, value }
}

struct Reader<'a> {
    parser: Parser<'a, saphyr_parser::StrInput<'a>>,
    /// The nodes of each anchor, and their number.
    anchors: HashMap<usize, (YamlNode, usize)>,
    nodes: usize,
}

impl<'a> Reader<'a> {
    fn next_event(&mut self) -> Result<(Event<'a>, usize), WorkflowError> {
        match self.parser.next_event() {
            Some(Ok((event, span))) => Ok((event, span.start.line())),
            // The parser's messages are about YAML only, and contain nothing of the text.
            Some(Err(error)) => Err(WorkflowError::at(
                error.marker().line(),
                format!(
                    "this is not YAML: {}: check the indentation, and put text with special characters in quotes",
                    error.info()
                ),
            )),
            None => Err(WorkflowError::new("the file is incomplete: write it again")),
        }
    }

    fn expect_end(&mut self) -> Result<(), WorkflowError> {
        loop {
            match self.next_event()? {
                (Event::StreamEnd, _) => return Ok(()),
                (Event::DocumentEnd, _) => {}
                (_, line) => {
                    return Err(WorkflowError::at(
                        line,
                        "a second document begins here: remove it",
                    ));
                }
            }
        }
    }

    fn read_node(
        &mut self,
        event: Event<'a>,
        line: usize,
        depth: usize,
    ) -> Result<YamlNode, WorkflowError> {
        if depth > WORKFLOW_DEPTH_MAX {
            let problem =
                format!("more than {WORKFLOW_DEPTH_MAX} levels: no workflow has that many");
            return Err(WorkflowError::at(line, problem));
        }
        let before = self.nodes;
        self.count_nodes(1, line)?;
        let (anchor, value) = match event {
            Event::Alias(anchor) => return self.read_alias(anchor, line),
            Event::Scalar(text, style, anchor, tag) => {
                let is_text = tag.is_some_and(|tag| tag.suffix == TAG_TEXT);
                let is_null = style == ScalarStyle::Plain
                    && !is_text
                    && matches!(&*text, "" | "~" | "null" | "Null" | "NULL");
                let scalar = YamlValue::Scalar(text.into_owned());
                (anchor, if is_null { YamlValue::Null } else { scalar })
            }
            Event::SequenceStart(anchor, _) => (anchor, YamlValue::List(self.read_list(depth)?)),
            Event::MappingStart(anchor, _) => (anchor, YamlValue::Map(self.read_map(depth)?)),
            _ => return Err(WorkflowError::at(line, "this is not YAML: a value is missing")),
        };
        let node = YamlNode { line: Some(line), value };
        if anchor > 0 {
            self.anchors.insert(anchor, (node.clone(), self.nodes - before));
        }
        Ok(node)
    }

    fn read_list(&mut self, depth: usize) -> Result<Vec<YamlNode>, WorkflowError> {
        let mut items = Vec::new();
        loop {
            match self.next_event()? {
                (Event::SequenceEnd, _) => return Ok(items),
                (event, line) => items.push(self.read_node(event, line, depth + 1)?),
            }
        }
    }

    fn read_map(&mut self, depth: usize) -> Result<Vec<(String, YamlNode)>, WorkflowError> {
        let (mut entries, mut merged) = (Vec::<(String, YamlNode)>::new(), Vec::new());
        loop {
            let (event, line) = match self.next_event()? {
                (Event::MappingEnd, _) => break,
                next => next,
            };
            let YamlValue::Scalar(key) = self.read_node(event, line, depth + 1)?.value else {
                return Err(WorkflowError::at(line, "a key must be text"));
            };
            let (event, value_line) = self.next_event()?;
            let value = self.read_node(event, value_line, depth + 1)?;
            // An empty value would otherwise have the next line.
            let value = YamlNode { line: Some(line), ..value };
            match value.value {
                YamlValue::Map(map) if key == MERGE => merged.extend(map),
                _ if entries.iter().any(|(known, _)| *known == key) => {
                    return Err(WorkflowError::at(
                        line,
                        format!("{key:?} is set twice: remove one of them"),
                    ));
                }
                _ => entries.push((key, value)),
            }
        }
        for (key, value) in merged {
            if !entries.iter().any(|(known, _)| *known == key) {
                entries.push((key, value));
            }
        }
        Ok(entries)
    }

    fn read_alias(&mut self, anchor: usize, line: usize) -> Result<YamlNode, WorkflowError> {
        let Some((node, nodes)) = self.anchors.get(&anchor) else {
            return Err(WorkflowError::at(
                line,
                "an alias refers to its own parent, or to nothing",
            ));
        };
        let (node, nodes) = (YamlNode { line: Some(line), ..node.clone() }, *nodes);
        self.count_nodes(nodes, line)?;
        Ok(node)
    }

    fn count_nodes(&mut self, nodes: usize, line: usize) -> Result<(), WorkflowError> {
        self.nodes += nodes;
        if self.nodes > WORKFLOW_NODES_MAX {
            let problem = format!(
                "more than {WORKFLOW_NODES_MAX} values, including those of aliases: no workflow has that many"
            );
            return Err(WorkflowError::at(line, problem));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fails(text: &str) -> String {
        parse_yaml(text).unwrap_err().to_string()
    }

    fn scalar<'a>(node: &'a YamlNode, key: &str) -> &'a YamlValue {
        let YamlValue::Map(entries) = &node.value else { panic!("{node:?}") };
        &entries.iter().find(|(known, _)| known == key).unwrap().1.value
    }

    #[test]
    fn values_and_their_lines_are_read() {
        let node = parse_yaml("a: 1\nb:\n  - x\n  - \"null\"\nc:\nd: {e: 'f: g'}\n").unwrap();
        let YamlValue::Map(entries) = &node.value else { panic!("{node:?}") };
        let lines: Vec<_> =
            entries.iter().map(|(key, node)| (&**key, node.line.unwrap())).collect();
        assert_eq!(lines, [("a", 1), ("b", 2), ("c", 5), ("d", 6)]);
        assert_eq!(entries[2].1.value, YamlValue::Null);
        let YamlValue::List(items) = &entries[1].1.value else { panic!("{entries:?}") };
        assert_eq!(items[1].value, YamlValue::Scalar("null".into()));
        assert_eq!(scalar(&entries[3].1, "e"), &YamlValue::Scalar("f: g".into()));
    }

    #[test]
    fn json_is_yaml_and_read_alike() {
        let text = "{\"a\": [1, true, null], \"b\": {\"c\": \"d\\n\"}}";
        fn without_lines(node: YamlNode) -> YamlNode {
            let value = match node.value {
                YamlValue::List(items) => {
                    YamlValue::List(items.into_iter().map(without_lines).collect())
                }
                YamlValue::Map(map) => YamlValue::Map(
                    map.into_iter().map(|(key, node)| (key, without_lines(node))).collect(),
                ),
                value => value,
            };
            YamlNode { line: None, value }
        }
        assert_eq!(
            without_lines(parse_yaml(text).unwrap()),
            from_json(serde_json::from_str(text).unwrap())
        );
    }

    #[test]
    fn aliases_stand_for_what_they_name() {
        let node = parse_yaml("a: &x {b: 1, c: 2}\nd: *x\ne: {<<: *x, c: 3}\n").unwrap();
        let YamlValue::Map(entries) = &node.value else { panic!("{node:?}") };
        assert_eq!(scalar(&entries[1].1, "b"), &YamlValue::Scalar("1".into()));
        assert_eq!(scalar(&entries[2].1, "b"), &YamlValue::Scalar("1".into()));
        assert_eq!(scalar(&entries[2].1, "c"), &YamlValue::Scalar("3".into()));
    }

    #[test]
    fn what_would_grow_without_end_is_refused() {
        let mut laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..12 {
            let below = format!("*a{}, ", level - 1).repeat(10);
            laughs += &format!("a{level}: &a{level} [{below}]\n");
        }
        assert!(fails(&laughs).contains("more than 20000 values"), "{}", fails(&laughs));
        assert!(fails(&"[".repeat(60)).contains("levels"), "{}", fails(&"[".repeat(60)));
        assert!(
            parse_yaml(&"[".repeat(100_000)).is_err() && parse_yaml(&"- ".repeat(100_000)).is_err()
        );
        assert!(parse_yaml("a: &a [*a]").is_err());
    }

    #[test]
    fn what_is_none_is_told_with_its_line() {
        for (text, word) in [
            ("", "empty"),
            ("a: 1\na: 2", "line 2: \"a\" is set twice"),
            ("a: 1\n---\nb: 2", "second document"),
            ("a: [1\nb: 2", "not YAML"),
            ("? [a]\n: b", "must be text"),
            ("a: *x", "not YAML"),
        ] {
            assert!(fails(text).contains(word), "{text:?}: {}", fails(text));
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[-a&*<:{}\\[\\]'\"!|>, \n#?]{0,60}|\\PC{0,60}") {
            let _ = parse_yaml(&text);
        }
    }
}
