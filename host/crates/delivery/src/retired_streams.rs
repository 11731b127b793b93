//! The counts of streams that are no longer in use. Those of dynamic streams are kept by name up to
//! a limit, and together above it.

use std::collections::BTreeMap;

use super::StreamReport;

/// Maximum number of streams that are no longer in use but still reported by name. Further ones are
/// reported together. Streams in the settings or the plugin's declaration do not count.
const RETIRED_STREAMS_REPORTED: usize = 1000;

/// The counts of streams that are no longer in use. Counts never decrease: if a stream returns, its
/// counts continue from there.
#[derive(Debug, Default)]
pub(super) struct RetiredStreams {
    by_label: BTreeMap<String, StreamReport>,
    /// The number of dynamic streams among them.
    dynamic: usize,
    /// The combined counts of further streams.
    others: Option<StreamReport>,
}

/// Replaces the name of streams that are not reported by name. It is not a valid stream name.
const OTHERS: &str = "(others)";

impl RetiredStreams {
    /// Stores the counts of a stream that is no longer in use.
    pub(super) fn add(&mut self, label: String, report: StreamReport, is_dynamic: bool) {
        if let Some(kept) = self.by_label.get_mut(&label) {
            kept.add(report);
        } else if !is_dynamic || self.dynamic < RETIRED_STREAMS_REPORTED {
            self.dynamic += usize::from(is_dynamic);
            self.by_label.insert(label, report);
        } else {
            let others = self.others.get_or_insert_default();
            others.add(report);
            // They would only apply to one of many streams.
            (others.problem, others.aggregation) = (None, None);
        }
    }

    /// These counts, combined with those of the streams in use.
    pub(super) fn with(
        &self,
        in_use: impl Iterator<Item = (String, StreamReport)>,
    ) -> BTreeMap<String, StreamReport> {
        let mut all = self.by_label.clone();
        for (label, report) in in_use {
            all.entry(label).or_default().add(report);
        }
        all.extend(self.others.clone().map(|others| (OTHERS.to_owned(), others)));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(events: u64) -> StreamReport {
        StreamReport { events, requests: 1, ..StreamReport::default() }
    }

    #[test]
    fn counts_never_go_backwards_and_names_are_bounded() {
        let mut retired = RetiredStreams::default();
        let most = RETIRED_STREAMS_REPORTED;
        let (mut total, mut before) = (0, 0);
        for number in 0..2 * most {
            let name = format!("s{}", number % (most + 50));
            retired.add(name, report(3), true);
            total += 3;
            let all = retired.with(std::iter::empty());
            let sum: u64 = all.values().map(|report| report.events).sum();
            assert!(sum == total && sum > before && all.len() <= most + 1);
            before = sum;
        }
        retired.add("declared".to_owned(), report(1), false);
        let all = retired.with([("s0".to_owned(), report(5))].into_iter());
        assert_eq!((all["s0"].events, all["declared"].events), (11, 1));
        assert_eq!(all[OTHERS].events, 50 * 3);
    }
}
