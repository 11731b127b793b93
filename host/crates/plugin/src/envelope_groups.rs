//! Groups the events of a batch with equal type and name, for plugins that read nothing else: the
//! plugin gets one event of each group, and its decision applies to all.

use std::collections::HashMap;

use rustc_hash::FxBuildHasher;

use standpipe_core::event::Event;

/// The events of a batch that a plugin gets, and the events to which each decision applies.
#[derive(Debug, Default)]
pub(super) struct EnvelopeGroups {
    /// The events for the plugin, by their position in the batch.
    pub(super) asked: Vec<usize>,
    /// The position of each event's decision. Empty if each event has its own.
    answers: Vec<u32>,
}

impl EnvelopeGroups {
    /// Creates a group for each event.
    pub(super) fn ungrouped(events: usize) -> Self {
        EnvelopeGroups { asked: (0..events).collect(), answers: Vec::new() }
    }

    /// Groups events with the same message type and name. All events of a batch have the same
    /// source.
    pub(super) fn by_type_and_name(events: &[Event<'_>]) -> Self {
        let mut groups =
            EnvelopeGroups { asked: Vec::new(), answers: Vec::with_capacity(events.len()) };
        // The hash is not safe against chosen collisions, but a batch is too small for that to
        // matter.
        let mut seen = HashMap::with_capacity_and_hasher(64, FxBuildHasher);
        for (position, event) in events.iter().enumerate() {
            let envelope = &event.envelope;
            let answer =
                *seen.entry((&envelope.message_type, &envelope.name)).or_insert_with(|| {
                    groups.asked.push(position);
                    u32::try_from(groups.asked.len() - 1).expect("a batch is small")
                });
            groups.answers.push(answer);
        }
        groups
    }

    /// The position of an event's decision.
    pub(super) fn answer(&self, event: usize) -> usize {
        self.answers.get(event).map_or(event, |&answer| answer as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use standpipe_core::event::scan;

    #[test]
    fn events_of_one_type_and_name_are_alike() {
        let texts = [
            r#"{"type":"track","event":"a"}"#,
            r#"{"type":"track","event":"b"}"#,
            r#"{"type":"page","event":"a"}"#,
            r#"{"event":"\u0061","type":"track","x":1}"#,
            r#"{"type":"track"}"#,
            r#"{"event":"track"}"#,
            "{}",
            r#"{"type":"track","event":"b"}"#,
        ];
        let events = texts.map(|text| {
            let (text, envelope) = scan(text.as_bytes(), 10).unwrap();
            Event { index: 0, line: 1, text, envelope }
        });
        let groups = EnvelopeGroups::by_type_and_name(&events);
        assert_eq!(groups.asked, [0, 1, 2, 4, 5, 6]);
        let answers: Vec<_> = (0..events.len()).map(|event| groups.answer(event)).collect();
        assert_eq!(answers, [0, 1, 2, 0, 3, 4, 5, 1]);
        let each = EnvelopeGroups::ungrouped(3);
        assert_eq!((each.asked.as_slice(), each.answer(2)), (&[0, 1, 2][..], 2));
    }
}
