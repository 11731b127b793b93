//! The default mapping plugin: event names and types to delivery streams.
//!
//! ```toml
//! [[plugin.settings.mappings]]
//! event = "Order Completed"   # an event's name
//! stream = "orders"
//!
//! [[plugin.settings.mappings]]
//! event = "page"              # or its type
//! stream = "web-pages"
//!
//! [[plugin.settings.mappings]]
//! event = "*"                 # everything that nothing else matched
//! stream = "everything-else"
//! ```
//!
//! # Which row counts
//!
//! The first of these that names a stream: the row for the event's name, the
//! row for its type, the row `*`. Letters are compared without regard to case
//! (Unicode's default lower-casing); spaces count. Names and types share one
//! key space. Where two rows have the same `event`, the last one counts. A row
//! with an empty `stream` matches nothing, so that the lookup goes on to the
//! next level, and a row whose `event` is empty or no string is skipped. These
//! are the rules of RudderStack's Firehose destination.
//!
//! An event that no row matches is filtered; with `unmapped = "dead_letter"` it
//! goes to the dead letters.
//!
//! With `fan_out = true` an event goes to every stream that a matching row
//! names (by name, by type, and `*`), to each stream once.
//!
//! # Errors
//!
//! Settings without any usable row, or with a stream name that Firehose would
//! refuse, are refused with the number of the row, counted from 1.

mod fql;
#[doc(hidden)]
pub mod fuzzing;
#[allow(dead_code, reason = "its users follow")]
mod json;
mod redact;
mod scan;
mod settings;
mod table;
mod timestamp;

use guest::{Event, Outputs, Plugin, Setup, Stream};
use settings::{Settings, Unmapped};
use table::Table;

/// Why an event goes to the dead letters where the settings ask for it.
const UNMAPPED: &str = "no mapping row matches the event's name or type, and there is no row *";

/// The default mapping plugin.
#[derive(Debug, Clone)]
pub struct Mapping {
    table: Table,
    fan_out: bool,
    unmapped: Unmapped,
}

impl Plugin for Mapping {
    fn configure(settings: &str, setup: &mut Setup) -> Result<Self, String> {
        let settings = Settings::parse(settings)?;
        setup.read_kind_only();
        Ok(Mapping {
            table: Table::new(&settings.rows, setup)?,
            fan_out: settings.fan_out,
            unmapped: settings.unmapped,
        })
    }

    fn map(&mut self, event: &Event, outputs: &mut Outputs) {
        let (name, message_type) = (event.name.as_deref(), event.message_type.as_deref());
        if let Err(reason) = self.route(name, message_type, |stream| outputs.deliver(stream)) {
            outputs.reject(reason);
        }
    }
}

impl Mapping {
    /// Hand out each stream that an event with this name and type goes to. This
    /// is all that the plugin does, for those who call it without a component
    /// around it.
    ///
    /// # Errors
    ///
    /// The event is to be refused, with this reason. No stream was handed out.
    pub fn route(
        &mut self,
        name: Option<&str>,
        message_type: Option<&str>,
        mut deliver: impl FnMut(Stream),
    ) -> Result<(), &'static str> {
        let matched = self.table.matched(name, message_type);
        let mut delivered = false;
        if self.fan_out {
            for stream in matched.all_streams() {
                deliver(stream);
                delivered = true;
            }
        } else if let Some(stream) = matched.first_stream() {
            deliver(stream);
            delivered = true;
        }
        if !delivered && self.unmapped == Unmapped::DeadLetter {
            return Err(UNMAPPED);
        }
        Ok(())
    }
}

guest::export!(Mapping);

#[cfg(test)]
mod tests;
