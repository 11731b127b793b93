//! Groups the events of a batch that are alike in type and name, for plugins that read no more than
//! that: one of each group is handed in, and the answer holds for all.

use std::collections::HashMap;

use rustc_hash::FxBuildHasher;

use standpipe_core::event::Event;

/// Which events of a batch a plugin is asked about, and for whom each answer
/// goes.
#[derive(Debug, Default)]
pub(super) struct Kinds {
    /// The events that are handed in, by their position in the batch.
    pub(super) asked: Vec<usize>,
    /// For each event the position of its answer; empty where each has its own.
    answers: Vec<u32>,
}

impl Kinds {
    /// Every event is a matter of its own.
    pub(super) fn each(events: usize) -> Self {
        Kinds { asked: (0..events).collect(), answers: Vec::new() }
    }

    /// Events with the same message type and name are alike; those of a batch
    /// have one source.
    pub(super) fn of(events: &[Event<'_>]) -> Self {
        let mut kinds = Kinds { asked: Vec::new(), answers: Vec::with_capacity(events.len()) };
        // The hash is not safe from events that are made to collide: a batch is
        // too small for that to matter.
        let mut seen = HashMap::with_capacity_and_hasher(64, FxBuildHasher);
        for (position, event) in events.iter().enumerate() {
            let envelope = &event.envelope;
            let answer =
                *seen.entry((&envelope.message_type, &envelope.name)).or_insert_with(|| {
                    kinds.asked.push(position);
                    u32::try_from(kinds.asked.len() - 1).expect("a batch is small")
                });
            kinds.answers.push(answer);
        }
        kinds
    }

    /// The position of an event's answer.
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
        let kinds = Kinds::of(&events);
        assert_eq!(kinds.asked, [0, 1, 2, 4, 5, 6]);
        let answers: Vec<_> = (0..events.len()).map(|event| kinds.answer(event)).collect();
        assert_eq!(answers, [0, 1, 2, 0, 3, 4, 5, 1]);
        let each = Kinds::each(3);
        assert_eq!((each.asked.as_slice(), each.answer(2)), (&[0, 1, 2][..], 2));
    }
}
