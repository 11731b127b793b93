//! Words of plugins, bounded and without what controls a terminal.

/// A plugin's own words, without control characters and of bounded length.
pub(super) fn to_printable(text: &str) -> String {
    let text = text.chars().filter(|c| !c.is_control() || *c == '\n');
    text.take(standpipe_core::limits::DETAIL_BYTES_MAX).collect()
}
