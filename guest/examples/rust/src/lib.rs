//! A mapping plugin that routes events by name and type, like the built-in plugin, and can add
//! members to delivered events.
//!
//! ```toml
//! [[plugin.settings.mappings]]
//! event = "Order Completed"   # an event's name, or its type, or "*"
//! stream = "orders"
//!
//! [plugin.settings.add]
//! environment = "production"  # each event gets "environment":"production"
//! ```

mod add;
mod settings;
mod table;

use add::Members;
use settings::{Settings, Unmapped};
use standpipe_plugin::{Event, Outputs, Plugin, Setup, Stream};
use table::Table;

const UNMAPPED: &str = "no mapping matches the event's name or type, and there is no mapping for *";

/// The plugin with its parsed settings.
pub struct Router {
    table: Table,
    fan_out: bool,
    unmapped: Unmapped,
    add: Option<Members>,
}

impl Plugin for Router {
    fn configure(settings: &str, setup: &mut Setup) -> Result<Self, String> {
        let settings = Settings::parse(settings)?;
        let table = Table::new(&settings.rows, setup)?;
        // If only name and type matter, the host calls the plugin once for all equal events.
        if settings.add.is_none() {
            setup.read_kind_only();
        }
        let Settings { fan_out, unmapped, add, .. } = settings;
        Ok(Router { table, fan_out, unmapped, add })
    }

    fn map(&mut self, event: &Event, outputs: &mut Outputs) {
        let streams = self.streams_for(event);
        if streams.is_empty() && self.unmapped == Unmapped::DeadLetter {
            outputs.reject(UNMAPPED);
        }
        for stream in streams {
            match &self.add {
                None => outputs.deliver(stream),
                Some(members) => outputs.deliver_payload(stream, members.added_to(&event.text)),
            }
        }
    }
}

impl Router {
    /// The streams of an event: by its name, else by its type, else `*`. With `fan_out`, by all
    /// three, and each stream once.
    fn streams_for(&self, event: &Event) -> Vec<Stream> {
        let words = [event.name.as_deref(), event.message_type.as_deref(), Some(table::ANY)];
        let matched = words.into_iter().flatten().filter_map(|word| self.table.find_row(word));
        let mut streams = Vec::new();
        for row in matched {
            if self.fan_out {
                for &stream in &row.all {
                    if !streams.contains(&stream) {
                        streams.push(stream);
                    }
                }
            } else if let Some(last) = row.last {
                return vec![last];
            }
        }
        streams
    }
}

standpipe_plugin::export!(Router);

#[cfg(test)]
mod tests {
    use standpipe_plugin::Event;
    use standpipe_plugin::testing::{Decision, Harness, deliver, event};

    use super::Router;

    #[test]
    fn names_go_before_types() {
        let settings =
            r#"{"mappings": [{"event": "A", "stream": "a"}, {"event": "track", "stream": "t"}]}"#;
        let mut plugin = Harness::<Router>::configure(settings).unwrap();
        let named = |name: &str| Event {
            name: Some(name.to_owned()),
            message_type: Some("track".to_owned()),
            ..event("{}")
        };
        assert_eq!(plugin.map(named("a")), [deliver("a")]);
        assert_eq!(plugin.map(named("b")), [deliver("t")]);
    }

    #[test]
    fn members_are_added_before_the_last_brace() {
        let settings =
            r#"{"mappings": [{"event": "*", "stream": "s"}], "add": {"b": "2", "a": "\"1\""}}"#;
        let mut plugin = Harness::<Router>::configure(settings).unwrap();
        for (text, expected) in [
            ("{}", r#"{"a":"\"1\"","b":"2"}"#),
            ("{ } ", r#"{ "a":"\"1\"","b":"2"} "#),
            (r#"{"x":{} }"#, r#"{"x":{} ,"a":"\"1\"","b":"2"}"#),
        ] {
            let decision = Decision::Deliver("s".to_owned(), Some(expected.into()));
            assert_eq!(plugin.map(event(text)), [decision], "{text}");
        }
    }
}
