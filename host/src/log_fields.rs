//! Formats log events for people: one line for each event, regardless of the content of its fields.

use std::fmt;

use standpipe_core::escape::OneLineWriter;
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::{DefaultFields, Writer};

/// Formats the fields of a log event, including its message, on one line.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct OneLineFields;

impl<'writer> FormatFields<'writer> for OneLineFields {
    fn format_fields<R: RecordFields>(
        &self,
        mut writer: Writer<'writer>,
        fields: R,
    ) -> fmt::Result {
        let mut escaping = OneLineWriter(&mut writer);
        // Colors are off, because their escape sequences would be escaped, too.
        DefaultFields::new().format_fields(Writer::new(&mut escaping), fields)
    }
}
