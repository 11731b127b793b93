//! Names of delivery streams in which `*` stands for any characters, as it does
//! in an ARN.

use std::collections::{BTreeMap, BTreeSet};

/// Whether a pattern stands for a name, or for all that another pattern stands
/// for. Without a `*` it stands for itself.
pub fn covers(pattern: &str, name: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else { return pattern == name };
    let Some(mut left) = name.strip_prefix(start) else { return false };
    let (middle, end) = rest.rsplit_once('*').unwrap_or(("", rest));
    for part in middle.split('*') {
        let Some(found) = left.find(part) else { return false };
        left = &left[found + part.len()..];
    }
    left.ends_with(end)
}

/// The names and patterns that no other one stands for.
pub fn without_covered(names: BTreeSet<String>) -> BTreeSet<String> {
    let patterns: Vec<_> = names.iter().filter(|name| name.contains('*')).cloned().collect();
    let is_covered =
        |name: &String| patterns.iter().any(|pattern| pattern != name && covers(pattern, name));
    names.into_iter().filter(|name| !is_covered(name)).collect()
}

/// The beginning that most names share, up to a `-`, `_` or `.`, with how many
/// they are; the longest of those that are shared by as many.
pub fn prefix_of_most(names: &BTreeSet<String>) -> Option<(&str, usize)> {
    let mut counts = BTreeMap::new();
    for name in names {
        for (end, _) in name.match_indices(['-', '_', '.']) {
            *counts.entry(&name[..=end]).or_insert(0) += 1;
        }
    }
    let shared = counts.into_iter().filter(|&(_, count)| count > 1);
    shared.max_by_key(|&(prefix, count)| (count, prefix.len()))
}
