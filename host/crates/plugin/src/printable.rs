//! Texts of plugins, with a limited length and without characters that control a terminal.

/// A text of a plugin, without control characters and with a limited length.
pub(super) fn to_printable(text: &str) -> String {
    let text = text.chars().filter(|c| !c.is_control() || *c == '\n');
    text.take(standpipe_core::limits::DETAIL_BYTES_MAX).collect()
}
