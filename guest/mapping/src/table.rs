//! Finds the mappings of an event by its name and type.

use std::collections::HashMap;

/// The mapping that matches events that no other mapping matches.
const ANY: &str = "*";

/// The values of the mappings, keyed by their event in lower case.
#[derive(Debug, Clone)]
pub(crate) struct EventTable<T> {
    rows: HashMap<String, T>,
    any: T,
    /// Reused for every lookup, so that converting to lower case allocates nothing.
    key: String,
}

impl<T: Default + Clone> EventTable<T> {
    /// Builds the table from mappings; `add` merges a mapping into the earlier ones of the same
    /// event.
    ///
    /// # Errors
    ///
    /// Fails with the error of the function that adds a mapping.
    pub(crate) fn new<R>(
        rows: impl IntoIterator<Item = R>,
        event: impl Fn(&R) -> &str,
        mut add: impl FnMut(&mut T, R) -> Result<(), String>,
    ) -> Result<Self, String> {
        let mut table = HashMap::<String, T>::new();
        for row in rows {
            let entry = table.entry(event(&row).to_lowercase()).or_default();
            add(entry, row)?;
        }
        let any = table.get(ANY).cloned().unwrap_or_default();
        Ok(EventTable { rows: table, any, key: String::new() })
    }

    /// The entries that match an event, the most specific first.
    pub(crate) fn find_rows(
        &mut self,
        name: Option<&str>,
        message_type: Option<&str>,
    ) -> [Option<&T>; 3] {
        let EventTable { rows, any, key } = self;
        let mut find = |word: Option<&str>| rows.get(lower_case(word?, key));
        [find(name), find(message_type), Some(any)]
    }
}

/// Converts to lower case with Unicode's default rules, like JavaScript's `toLowerCase`.
fn lower_case<'a>(word: &str, buffer: &'a mut String) -> &'a str {
    buffer.clear();
    if word.is_ascii() {
        buffer.push_str(word);
        buffer.make_ascii_lowercase();
    } else {
        *buffer = word.to_lowercase();
    }
    buffer
}
