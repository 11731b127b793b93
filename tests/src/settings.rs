//! Builds the settings file of a collector from the parts that a test needs.

use std::collections::BTreeMap;
use std::fmt;

/// A settings file with sources. Records wait 10 ms for others, which keeps tests fast.
#[derive(Debug, Clone)]
pub struct CollectorSettings {
    /// The lines of each table.
    tables: BTreeMap<&'static str, Vec<String>>,
    sources: Vec<SourceEntry>,
}

/// An entry of `[[sources]]`.
#[derive(Debug, Clone)]
pub struct SourceEntry {
    name: String,
    dialect: &'static str,
    write_keys: Vec<String>,
    lines: Vec<String>,
}

impl CollectorSettings {
    /// Settings with these sources.
    pub fn new(sources: impl IntoIterator<Item = SourceEntry>) -> Self {
        let sources = sources.into_iter().collect();
        let settings = CollectorSettings { tables: BTreeMap::new(), sources };
        settings.with_line("delivery", "max_delay = '10ms'")
    }

    /// Adds a line to a table.
    #[must_use]
    pub fn with_line(mut self, table: &'static str, line: &str) -> Self {
        self.tables.entry(table).or_default().push(line.to_owned());
        self
    }

    /// Delivers to a stub of Firehose with the role `writer`, which a stub of STS issues.
    #[must_use]
    pub fn writing_as_role(self, firehose: &str, sts: &str) -> Self {
        self.with_line("aws", "region = 'eu-central-1'")
            .with_line("aws", &format!("endpoint_url = '{firehose}'"))
            .with_line("aws", &format!("sts_endpoint_url = '{sts}'"))
            .with_line("aws", "role_arn = 'arn:aws:iam::111122223333:role/writer'")
    }
}

impl SourceEntry {
    /// A source for Segment's SDKs, with the write key `key-of-NAME`.
    pub fn segment(name: &str) -> Self {
        SourceEntry::new(name, "segment")
    }

    /// A source for RudderStack's SDKs, with the write key `key-of-NAME`.
    pub fn rudderstack(name: &str) -> Self {
        SourceEntry::new(name, "rudderstack")
    }

    fn new(name: &str, dialect: &'static str) -> Self {
        let write_keys = vec![format!("key-of-{name}")];
        SourceEntry { name: name.to_owned(), dialect, write_keys, lines: Vec::new() }
    }

    /// Sets the write keys.
    #[must_use]
    pub fn write_keys(mut self, keys: &[&str]) -> Self {
        self.write_keys = keys.iter().map(|key| (*key).to_owned()).collect();
        self
    }

    /// Adds a line to the entry.
    #[must_use]
    pub fn with_line(mut self, line: &str) -> Self {
        self.lines.push(line.to_owned());
        self
    }
}

/// The text of the file.
impl fmt::Display for CollectorSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (table, lines) in &self.tables {
            writeln!(f, "[{table}]\n{}\n", lines.join("\n"))?;
        }
        self.sources.iter().try_for_each(|source| writeln!(f, "{source}"))
    }
}

/// The entry as a part of the file.
impl fmt::Display for SourceEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SourceEntry { name, dialect, write_keys, lines } = self;
        writeln!(
            f,
            "[[sources]]\nname = {name:?}\ndialect = {dialect:?}\nwrite_keys = {write_keys:?}"
        )?;
        lines.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}
