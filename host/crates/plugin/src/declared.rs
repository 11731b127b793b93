//! The streams that a plugin declares, and the positions that each of its instances uses for them.
//!
//! A plugin's results contain positions among its declared streams. An instance may declare the
//! streams in another order, for example from a hash map with a random seed. Its positions are then
//! translated into those of the plugin.

use std::collections::HashMap;

use thiserror::Error;

use super::EventReads;
use super::bindings::exports::standpipe::mapping::mapper::Setup;
use super::printable::to_printable;

/// Maximum number of different names in an error.
const NAMES_SHOWN: usize = 3;

/// Maximum characters of a name in an error, which is the limit of Firehose.
const NAME_CHARACTERS_SHOWN: usize = 64;

/// The order in which an instance has declared the streams of its plugin.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) enum StreamOrder {
    /// The order of the plugin.
    #[default]
    Same,
    /// Another order: the plugin's position for each stream of the instance.
    Other(Box<[u32]>),
}

/// How an instance's declaration differs from that of the plugin's first instance.
#[derive(Debug, Clone, Error, PartialEq, Eq)]
pub enum DeclarationChange {
    /// The instance requests other parts of the events.
    #[error("it asked for {before:?} of the events, and now for {now:?}")]
    Reads {
        /// What the first instance requested.
        before: &'static str,
        /// What this instance requests.
        now: &'static str,
    },
    /// The instance declares other streams.
    #[error("it declared {gone} before and not now, and {added} now and not before")]
    Streams {
        /// The first of the missing names, as text of limited length.
        gone: String,
        /// The first of the new names.
        added: String,
    },
}

impl StreamOrder {
    /// Compares the declaration `own` of an instance with the declaration `first` of the plugin's
    /// first instance.
    ///
    /// # Errors
    ///
    /// Fails if they differ in more than the order.
    pub(super) fn between(first: &Setup, own: &Setup) -> Result<Self, DeclarationChange> {
        if first.reads != own.reads {
            let [before, now] = [first, own].map(|setup| EventReads::from(setup.reads).word());
            return Err(DeclarationChange::Reads { before, now });
        }
        if first.streams == own.streams {
            return Ok(StreamOrder::Same);
        }
        let mut positions = HashMap::with_capacity(first.streams.len());
        for (stream, position) in first.streams.iter().zip(0_u32..) {
            positions.entry(stream.as_str()).or_insert(position);
        }
        let mut is_missing = vec![true; first.streams.len()];
        let (mut order, mut added) = (Vec::with_capacity(own.streams.len()), Vec::new());
        for stream in &own.streams {
            match positions.get(stream.as_str()) {
                Some(&position) => {
                    is_missing[position as usize] = false;
                    order.push(position);
                }
                None => added.push(stream.as_str()),
            }
        }
        let is_gone = |stream: &&str| is_missing[positions[stream] as usize];
        let gone: Vec<_> = first.streams.iter().map(String::as_str).filter(is_gone).collect();
        match (gone.is_empty(), added.is_empty()) {
            (true, true) => Ok(StreamOrder::Other(order.into())),
            _ => Err(DeclarationChange::Streams { gone: shown(&gone), added: shown(&added) }),
        }
    }

    /// The plugin's position of the instance's stream at this position. `None` if the instance has
    /// declared fewer streams.
    #[inline]
    pub(super) fn of_plugin(&self, position: u32) -> Option<u32> {
        match self {
            StreamOrder::Same => Some(position),
            StreamOrder::Other(positions) => positions.get(position as usize).copied(),
        }
    }
}

fn shown(names: &[&str]) -> String {
    let short = |name: &&str| to_printable(name).chars().take(NAME_CHARACTERS_SHOWN).collect();
    let short: Vec<String> = names.iter().take(NAMES_SHOWN).map(short).collect();
    match (names.len().saturating_sub(NAMES_SHOWN), short.is_empty()) {
        (_, true) => "nothing".to_owned(),
        (0, _) => format!("{short:?}"),
        (more, _) => format!("{short:?} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bindings::exports::standpipe::mapping::mapper::Reads;

    fn setup(streams: &[&str], reads: Reads) -> Setup {
        Setup { streams: streams.iter().map(|&stream| stream.to_owned()).collect(), reads }
    }

    #[test]
    fn the_same_streams_in_another_order_are_translated() {
        let first = setup(&["a", "b-*", "c"], Reads::Kind);
        assert_eq!(StreamOrder::between(&first, &first), Ok(StreamOrder::Same));
        let order = StreamOrder::between(&first, &setup(&["c", "a", "b-*"], Reads::Kind)).unwrap();
        let positions = [0, 1, 2, 3].map(|position| order.of_plugin(position));
        assert_eq!(positions, [Some(2), Some(0), Some(1), None]);
        // A repeated name is one stream.
        let twice = setup(&["b", "a", "b"], Reads::Kind);
        let order = StreamOrder::between(&twice, &setup(&["a", "b"], Reads::Kind)).unwrap();
        assert_eq!([0, 1].map(|position| order.of_plugin(position)), [Some(1), Some(0)]);
        assert!(StreamOrder::between(&setup(&["a", "b"], Reads::Kind), &twice).is_ok());
    }

    #[test]
    fn what_differs_is_named() {
        let first = setup(&["a", "day-1"], Reads::Kind);
        let error = StreamOrder::between(&first, &setup(&["day-2", "a"], Reads::Kind)).unwrap_err();
        assert_eq!(
            error.to_string(),
            r#"it declared ["day-1"] before and not now, and ["day-2"] now and not before"#
        );
        let many = setup(&["a", "day-1", "1", "2", "3", "4", "\u{1b}[31m"], Reads::Kind);
        let error = StreamOrder::between(&first, &many).unwrap_err().to_string();
        assert!(error.contains(r#"nothing before"#) || error.contains("and 2 more"), "{error}");
        assert!(!error.contains('\u{1b}'), "{error}");
        let error = StreamOrder::between(&first, &setup(&["a", "day-1"], Reads::Text))
            .unwrap_err()
            .to_string();
        assert!(error.contains("\"kind\"") && error.contains("\"text\""), "{error}");
    }
}
