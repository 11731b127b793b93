//! The fields of log events in the form that people read: one line for each event,
//! whatever its fields hold.

use std::fmt;

use standpipe_core::escape::OneLineWriter;
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::{DefaultFields, Writer};

/// The fields of log events for people, message included: an event is one line.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct OneLineFields;

impl<'writer> FormatFields<'writer> for OneLineFields {
    fn format_fields<R: RecordFields>(
        &self,
        mut writer: Writer<'writer>,
        fields: R,
    ) -> fmt::Result {
        let mut escaping = OneLineWriter(&mut writer);
        // Without colours: theirs would be escaped with all else.
        DefaultFields::new().format_fields(Writer::new(&mut escaping), fields)
    }
}
