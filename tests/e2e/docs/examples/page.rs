//! A page of the docs with its examples, which are sequences of fenced blocks.

use std::collections::BTreeSet;

/// The examples of a page.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) examples: Vec<Example>,
    /// The delivery streams that the page's commands need.
    pub(super) streams: BTreeSet<String>,
}

/// Blocks that run one after the other in one directory that is empty at first.
#[derive(Debug, Default)]
pub(super) struct Example {
    pub(super) blocks: Vec<Block>,
    /// Whether the directory contains the repository's files.
    pub(super) in_checkout: bool,
}

/// A fenced block.
#[derive(Debug)]
pub(super) struct Block {
    /// The line of the block's fence, counted from 1.
    pub(super) line: usize,
    pub(super) language: String,
    /// The text after the language.
    pub(super) instruction: String,
    pub(super) text: String,
}

impl Page {
    /// Parses a page. Blocks that a test could overlook are errors: indented ones, and fences of
    /// another form.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut page = Page { examples: vec![Example::default()], streams: BTreeSet::new() };
        let mut errors = Vec::new();
        let mut lines = text.lines().enumerate();
        while let Some((index, line)) = lines.next() {
            let number = index + 1;
            let example = page.examples.last_mut().expect("a page has an example");
            if let Some(info) = line.strip_prefix("```") {
                let mut inside = Vec::new();
                let is_closed = lines.by_ref().map(|(_, line)| line).any(|line| {
                    inside.push(line);
                    line == "```"
                });
                inside.truncate(inside.len() - usize::from(is_closed));
                example.blocks.push(Block::new(number, info, &inside));
                if !is_closed {
                    errors.push(format!("line {number}: the block has no end"));
                }
            } else if line.trim_start().starts_with("```") || line.starts_with("~~~") {
                errors.push(format!("line {number}: write the fence ``` at the start of the line"));
            } else if line.starts_with("    ") || line.starts_with('\t') {
                errors.push(format!("line {number}: indented block; write a fenced one"));
            } else if line == "<!-- new directory -->" {
                page.examples.push(Example::default());
            } else if line == "<!-- in a checkout -->" {
                example.in_checkout = true;
            } else if let Some(path) = line.strip_prefix("<!-- python runner: ") {
                let copy = format!("cp \"$PYTHON_RUNNER\" {}", path.trim_end_matches(" -->"));
                example.blocks.push(Block::new(number, "sh", &[&copy]));
            } else if let Some(names) = line.strip_prefix("<!-- streams: ") {
                let names = names.trim_end_matches(" -->").split_whitespace();
                page.streams.extend(names.map(str::to_owned));
            }
        }
        if errors.is_empty() { Ok(page) } else { Err(errors.join("\n")) }
    }

    pub(super) fn blocks(&self) -> impl Iterator<Item = &Block> {
        self.examples.iter().flat_map(|example| &example.blocks)
    }
}

impl Block {
    fn new(line: usize, info: &str, text: &[&str]) -> Self {
        let (language, instruction) = info.split_once(' ').unwrap_or((info, ""));
        Block {
            line,
            language: language.to_owned(),
            instruction: instruction.trim().to_owned(),
            text: text.join("\n"),
        }
    }
}
