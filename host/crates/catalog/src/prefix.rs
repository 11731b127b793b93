//! What the names of objects begin with, of a prefix with expressions in it.
//!
//! Amazon puts `!{timestamp:...}`, `!{firehose:...}` and `!{partitionKey...:...}` in
//! only when it writes, so that no catalog knows a place by such a prefix. What
//! stands before the first of them is always the same, and of that whole folders
//! alone: `raw/dt=!{...}` is in `raw`.
//!
//! A prefix without a timestamp gets one at its end. Whether a `/` comes before it,
//! Amazon's own examples disagree about; all names begin with what was written in
//! either case, so that such a prefix is kept whole.

/// How every expression begins. One that does not end is one still: what Amazon
/// makes of it is not known, and it is not a name in any case.
const EXPRESSION: &str = "!{";

/// What all names of objects begin with, without a `/` at its end; empty for the
/// whole bucket.
pub fn static_prefix(written: &str) -> &str {
    let folders = match written.split_once(EXPRESSION) {
        None => written,
        Some((before, _)) => before.rsplit_once('/').map_or("", |(folders, _)| folders),
    };
    folders.trim_end_matches('/')
}

/// A static prefix, what it is in, and so on, to the whole bucket, which is empty:
/// where a catalog may know the place by.
pub fn parent_prefixes(prefix: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(prefix), |level| {
        let parent = level.rsplit_once('/').map_or("", |(parent, _)| parent.trim_end_matches('/'));
        (!level.is_empty()).then_some(parent)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_static_part_is_whole_folders_before_the_first_expression() {
        let table = [
            ("", ""),
            ("/", ""),
            // A timestamp is appended.
            ("raw/", "raw"),
            ("raw/orders/", "raw/orders"),
            // With or without a slash before it.
            ("raw", "raw"),
            ("raw/orders", "raw/orders"),
            ("raw//", "raw"),
            ("/raw/", "/raw"),
            ("raw/!{timestamp:yyyy/MM/dd/HH}/", "raw"),
            ("raw/dt=!{timestamp:yyyy-MM-dd}/", "raw"),
            ("raw/a/dt=!{timestamp:yyyy}/x/!{firehose:random-string}/", "raw/a"),
            ("raw!{timestamp:yyyy}/", ""),
            ("!{partitionKeyFromQuery:customer}/raw/", ""),
            ("!{partitionKeyFromLambda:customer}", ""),
            ("a//!{timestamp:yyyy}", "a"),
            // One that does not end, and what is none.
            ("raw/!{timestamp:yyyy", "raw"),
            ("raw/!{", "raw"),
            ("raw/{a}/!b/", "raw/{a}/!b"),
            ("raw/!", "raw/!"),
            ("öl/日本/!{timestamp:yyyy}", "öl/日本"),
        ];
        for (written, expected) in table {
            assert_eq!(static_prefix(written), expected, "{written}");
        }
    }

    #[test]
    fn the_levels_lead_to_the_bucket() {
        let all = |prefix| parent_prefixes(prefix).collect::<Vec<_>>();
        assert_eq!(all("a/b/c"), ["a/b/c", "a/b", "a", ""]);
        assert_eq!(all("a//b"), ["a//b", "a", ""]);
        assert_eq!(all("/a"), ["/a", ""]);
        assert_eq!(all(""), [""]);
    }

    proptest! {
        #[test]
        fn it_begins_the_prefix_and_has_no_expression(written in "([a-z/]|!\\{|\\}|:|\\PC){0,30}") {
            let prefix = static_prefix(&written);
            prop_assert!(written.starts_with(prefix));
            prop_assert!(!prefix.contains(EXPRESSION) && !prefix.ends_with('/'));
            prop_assert_eq!(static_prefix(prefix), prefix);
            let levels: Vec<_> = parent_prefixes(prefix).collect();
            prop_assert_eq!(levels.last(), Some(&""));
            prop_assert!(levels.windows(2).all(|pair| pair[0].starts_with(pair[1])));
            prop_assert!(levels.iter().all(|level| !level.ends_with('/')));
        }
    }
}
