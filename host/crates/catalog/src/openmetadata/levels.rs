//! The paths at which an S3 prefix is looked up.

use crate::prefix;

/// Maximum number of levels of an S3 prefix that are looked up, including the deepest one and the
/// bucket.
const CATALOG_PREFIX_LEVELS_MAX: usize = 12;

/// The paths to look up, the deepest first: the written prefix if it has no expression, its static
/// part, its parents, and the bucket.
pub(super) fn prefix_paths(bucket: &str, prefix: &str, written: &str) -> Vec<String> {
    let root = format!("s3://{bucket}");
    let mut paths = Vec::new();
    if !written.contains("!{") {
        paths.push(written.trim_matches('/'));
    }
    paths.extend(prefix::parent_prefixes(prefix.trim_matches('/')));
    paths.retain(|path| !path.is_empty());
    paths.dedup();
    paths.truncate(CATALOG_PREFIX_LEVELS_MAX - 1);
    let mut levels: Vec<String> = paths.iter().map(|path| format!("{root}/{path}")).collect();
    levels.push(root);
    levels
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn prefixes_are_looked_up_from_the_deepest_to_the_bucket() {
        for (prefix, written, expected) in [
            ("", "", &["s3://b"][..]),
            ("a/b", "a/b/!{timestamp:yyyy}/", &["s3://b/a/b", "s3://b/a", "s3://b"]),
            ("a", "a/raw", &["s3://b/a/raw", "s3://b/a", "s3://b"]),
            ("", "raw", &["s3://b/raw", "s3://b"]),
            ("a", "a/", &["s3://b/a", "s3://b"]),
        ] {
            assert_eq!(prefix_paths("b", prefix, written), expected, "{written}");
        }
        let deep = "a/".repeat(200);
        assert_eq!(prefix_paths("b", &deep, &deep).len(), CATALOG_PREFIX_LEVELS_MAX);
    }

    proptest! {
        #[test]
        fn levels_end_at_the_bucket(prefix in "[a/!{}.:]{0,40}", written in "[a/!{}.:]{0,40}") {
            let levels = prefix_paths("b", &prefix, &written);
            prop_assert_eq!(levels.last().map(String::as_str), Some("s3://b"));
            prop_assert!(levels.len() <= CATALOG_PREFIX_LEVELS_MAX);
        }
    }
}
