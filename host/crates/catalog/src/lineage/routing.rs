//! The edges from events to the streams to which the plugin sends them.

use std::collections::{BTreeMap, BTreeSet};

use crate::limits;
use crate::{Asset, EdgeRole, EventRoute, Inventory, StreamDescription};
use standpipe_core::event::covers;

use super::builder::LineageBuilder;
use super::stream_asset;

/// Adds edges from events to their streams.
///
/// A pattern has an edge to each stream that matches it. An unknown name has an edge to a stream
/// without an ARN, and causes a warning: its events would become dead letters. Streams that the
/// catalog's patterns exclude are left out.
pub(super) fn add_routes(
    builder: &mut LineageBuilder,
    inventory: &Inventory,
    routes: &[EventRoute],
) {
    let names = StreamNames {
        found: inventory.streams.iter().map(|stream| (&*stream.name, stream)).collect(),
        filtered: inventory.filtered.iter().map(String::as_str).collect(),
    };
    let mut drawn = 0;
    for route in routes {
        let events = Asset::Events { label: event_label(route) };
        let mut streams: Vec<_> =
            names.covered_streams(&route.stream).into_iter().map(stream_asset).collect();
        if streams.is_empty() && !names.filters_out(&route.stream) {
            builder.add_warning(format!("the plugin sends {}", describe_absence(inventory, route)));
            let is_name = !route.stream.contains(ANY);
            let missing = Asset::DeliveryStream { name: route.stream.clone(), arn: None };
            streams.extend(is_name.then_some(missing));
        }
        drawn += streams.len();
        if drawn > limits::CATALOG_ROUTED_EDGES_MAX {
            let max = limits::CATALOG_ROUTED_EDGES_MAX;
            builder.add_warning(format!(
                "the plugin has more than {max} routes to streams; the rest is not shown"
            ));
            break;
        }
        for stream in streams {
            builder.add_edge(events.clone(), stream, EdgeRole::Routed, route.condition.as_deref());
        }
    }
}

/// Stands for any text in a pattern.
const ANY: char = '*';

/// The names of streams, for a lookup of names that are not patterns.
struct StreamNames<'inventory> {
    found: BTreeMap<&'inventory str, &'inventory StreamDescription>,
    filtered: BTreeSet<&'inventory str>,
}

impl<'inventory> StreamNames<'inventory> {
    fn covered_streams(&self, pattern: &str) -> Vec<&'inventory StreamDescription> {
        if !pattern.contains(ANY) {
            return self.found.get(pattern).copied().into_iter().collect();
        }
        let covered = self.found.iter().filter(|(name, _)| covers(pattern, name));
        covered.map(|(_, stream)| *stream).collect()
    }

    fn filters_out(&self, pattern: &str) -> bool {
        self.filtered.contains(pattern) || self.filtered.iter().any(|name| covers(pattern, name))
    }
}

/// The label of events: `track "Order Completed"`, `page`, `all others`.
fn event_label(route: &EventRoute) -> String {
    match (route.message_type.as_deref(), route.name.as_deref()) {
        (Some(kind), Some(name)) => format!("{kind} \"{name}\""),
        (None, Some(name)) => format!("\"{name}\""),
        (Some(kind), None) => kind.to_owned(),
        (None, None) => "all others".to_owned(),
    }
}

fn describe_absence(inventory: &Inventory, route: &EventRoute) -> String {
    let (label, stream) = (event_label(route), &route.stream);
    if stream.contains(ANY) {
        return format!("{label} to streams {stream}, which matches no stream");
    }
    let cause = if inventory.unread.iter().any(|unread| unread.name == *stream) {
        "which could not be read"
    } else if inventory.vanished.contains(stream) {
        "which was deleted meanwhile"
    } else if inventory.is_complete {
        "which does not exist here"
    } else {
        "which is not in the incomplete list"
    };
    format!("{label} to stream {stream}, {cause}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_pattern_covers_names() {
        let table = [
            ("a", "a", true),
            ("a", "ab", false),
            ("*", "", true),
            ("*", "anything", true),
            ("a*", "abc", true),
            ("*c", "abc", true),
            ("a*c", "abc", true),
            ("a*c", "ac", true),
            ("ab*bc", "abc", false),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c", false),
            ("**", "a", true),
            ("", "", true),
            ("", "a", false),
        ];
        for (pattern, name, expected) in table {
            assert_eq!(covers(pattern, name), expected, "{pattern} {name}");
        }
    }

    /// A reference implementation that tries everything.
    fn model(pattern: &[u8], name: &[u8]) -> bool {
        match pattern {
            [] => name.is_empty(),
            [b'*', rest @ ..] => (0..=name.len()).any(|skip| model(rest, &name[skip..])),
            [first, rest @ ..] => name.first() == Some(first) && model(rest, &name[1..]),
        }
    }

    proptest! {
        #[test]
        fn it_covers_what_the_model_covers(pattern in "[ab*]{0,8}", name in "[ab]{0,10}") {
            let expected = model(pattern.as_bytes(), name.as_bytes());
            prop_assert_eq!(covers(&pattern, &name), expected);
        }
    }
}
