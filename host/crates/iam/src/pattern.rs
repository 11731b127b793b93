//! Names of delivery streams in which `*` stands for any characters, as in an ARN.

use std::collections::{BTreeMap, BTreeSet};

use standpipe_core::event::covers;

/// Removes the names and patterns that another pattern covers.
pub fn remove_covered(names: BTreeSet<String>) -> BTreeSet<String> {
    let patterns: Vec<_> = names.iter().filter(|name| name.contains('*')).cloned().collect();
    let is_covered =
        |name: &String| patterns.iter().any(|pattern| pattern != name && covers(pattern, name));
    names.into_iter().filter(|name| !is_covered(name)).collect()
}

/// The prefix that most names share, up to a `-`, `_` or `.`, with the number of these names. Among
/// prefixes with the same number, it is the longest one.
pub fn most_common_prefix(names: &BTreeSet<String>) -> Option<(&str, usize)> {
    let mut counts = BTreeMap::new();
    for name in names {
        for (end, _) in name.match_indices(['-', '_', '.']) {
            *counts.entry(&name[..=end]).or_insert(0) += 1;
        }
    }
    let shared = counts.into_iter().filter(|&(_, count)| count > 1);
    shared.max_by_key(|&(prefix, count)| (count, prefix.len()))
}
