//! Samples events.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::ops::ControlFlow;

use crate::json::JsonValue;
use crate::path::{FieldPath, PathStep};

/// The share of events that passes, and what determines the choice.
#[derive(Debug, Clone)]
pub(crate) struct SampleRule {
    /// Events with a number below this one pass.
    below: u128,
    by: Option<FieldPath>,
}

impl SampleRule {
    /// Creates a rule with a percentage from 0 to 100. With a path, events with the same value
    /// there are treated alike, in every worker and after every restart.
    pub(crate) fn new(percent: f64, by: Option<FieldPath>) -> Self {
        // The share of 2^64. Hundredths of a percent keep all of their digits.
        let share = percent / 100.0 * 18_446_744_073_709_551_616.0;
        SampleRule { below: share as u128, by }
    }

    /// Whether a value of the event determines the choice.
    pub(crate) fn reads_text(&self) -> bool {
        self.by.is_some()
    }

    /// Whether an event passes. For an event without a value at the path, the choice is random.
    pub(crate) fn passes(&self, event: JsonValue<'_>, chance: &mut Chance) -> bool {
        let number = match self.by.as_ref().and_then(|by| read_value(event, by)) {
            Some(value) => stable_number(value),
            None => chance.next_number(),
        };
        u128::from(number) < self.below
    }
}

/// The value at a path without arrays.
pub(crate) fn read_value<'a>(event: JsonValue<'a>, path: &FieldPath) -> Option<JsonValue<'a>> {
    let found = path.steps().iter().try_fold(event, |value, step| match step {
        PathStep::Each => ControlFlow::Break(()),
        PathStep::Name(name) => {
            value.get(name).map_or(ControlFlow::Break(()), ControlFlow::Continue)
        }
    });
    found.continue_value()
}

/// A number that is always the same for the same value: FNV-1a, followed by a step that mixes its
/// bits. The decoded text of a string is used, independent of its escapes.
fn stable_number(value: JsonValue<'_>) -> u64 {
    let text = value.as_string().unwrap_or_else(|| value.raw_text().into());
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    mix_bits(hash)
}

/// The final step of SplitMix64.
fn mix_bits(mut bits: u64) -> u64 {
    bits = (bits ^ bits >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ bits >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ bits >> 31
}

/// Random numbers (SplitMix64). They select events, and are not for security.
#[derive(Debug, Clone)]
pub(crate) struct Chance(u64);

impl Default for Chance {
    /// Uses a seed that the standard library draws for its hash tables.
    fn default() -> Self {
        Chance(RandomState::new().build_hasher().finish())
    }
}

impl Chance {
    fn next_number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix_bits(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::{Chance, SampleRule};
    use crate::json::JsonValue;
    use crate::path::FieldPath;

    fn count_passed(sample: &SampleRule, events: impl Iterator<Item = String>) -> usize {
        let mut chance = Chance::default();
        events.filter(|event| sample.passes(JsonValue::of_text(event), &mut chance)).count()
    }

    #[test]
    fn the_share_that_passes_is_the_one_asked_for() {
        let by = FieldPath::parse("userId").expect("a path");
        for by in [Some(by), None] {
            for percent in [0.0, 0.5, 10.0, 50.0, 100.0] {
                let events = (0..20_000).map(|user| format!(r#"{{"userId":"user-{user}"}}"#));
                let passed =
                    count_passed(&SampleRule::new(percent, by.clone()), events) as f64 / 200.0;
                assert!((passed - percent).abs() < 2.0, "{percent}: {passed}");
            }
        }
    }

    #[test]
    fn the_same_value_always_passes_or_never() {
        let sample = SampleRule::new(50.0, FieldPath::parse("a.b").ok());
        for value in ["\"x\"", "7", "null", "[1]"] {
            let event = format!(r#"{{"a":{{"b":{value}}}}}"#);
            let passed = count_passed(&sample, std::iter::repeat_n(event, 100));
            assert!(passed == 0 || passed == 100, "{value}");
        }
        let spelled = [r#"{"a":{"b":"xyz"}}"#, r#"{"a":{"b":"x\u0079z"}}"#].map(str::to_owned);
        assert_ne!(count_passed(&sample, spelled.into_iter()), 1, "escapes make no difference");
        let missing = count_passed(&sample, std::iter::repeat_n("{}".to_owned(), 1000));
        assert!((300..700).contains(&missing), "{missing}");
    }
}
