//! Computes the common start of object names from a prefix with expressions.
//!
//! AWS only replaces `!{timestamp:...}`, `!{firehose:...}` and `!{partitionKey...:...}` when it
//! writes, so no catalog knows a place by such a prefix. The part before the first expression is
//! constant, and only its complete folders are used: `raw/dt=!{...}` is in `raw`.
//!
//! A timestamp is appended to a prefix without one. AWS's own examples disagree on whether a `/`
//! precedes it. In both cases, all names start with the written prefix, so such a prefix is used as
//! a whole.

/// The start of every expression. An incomplete expression also counts: its effect in AWS is
/// unknown, and it is not a name in any case.
const EXPRESSION: &str = "!{";

/// The common start of all object names, without a `/` at its end. Empty for the whole bucket.
pub fn static_prefix(written: &str) -> &str {
    let folders = match written.split_once(EXPRESSION) {
        None => written,
        Some((before, _)) => before.rsplit_once('/').map_or("", |(folders, _)| folders),
    };
    folders.trim_end_matches('/')
}

/// A static prefix, its parents, and finally the whole bucket, which is empty. A catalog may know
/// the place by any of them.
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
            // The timestamp may follow with or without a slash.
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
            // An incomplete expression, and a text that is not an expression.
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
