//! The mappings of a bench.

use super::EventShape;

/// The default mappings, the most general one first.
const ROWS: &[(&str, &str)] =
    &[("*", "bench-rest"), ("page", "bench-pages"), ("Order Completed", "bench-orders")];

/// The stream of mappings that no event matches.
const NEVER: &str = "bench-never";

/// Mappings as event and stream, which are added to the `own` ones of a settings file: the given
/// mappings, or, without any mapping, those that fit the shape. Generated mappings that no event
/// matches are added until there are `rows` in total.
///
/// If `rows` is smaller than the number of default mappings, the more specific ones are omitted.
/// Other mappings are never omitted.
pub fn mapping_rows(
    given: Vec<(String, String)>,
    own: usize,
    shape: EventShape,
    rows: Option<usize>,
) -> Vec<(String, String)> {
    let owned = |(event, stream): &(&str, &str)| ((*event).to_owned(), (*stream).to_owned());
    let for_stream = |stream| (shape.event_name(stream), format!("bench-{stream}"));
    let mut all: Vec<_> = match shape.streams {
        Some(streams) => (0..streams.get()).map(for_stream).collect(),
        None if given.is_empty() && own == 0 => {
            ROWS.iter().take(rows.unwrap_or(ROWS.len())).map(owned).collect()
        }
        None => given,
    };
    let missing = rows.unwrap_or(0).saturating_sub(all.len() + own);
    all.extend((0..missing).map(|row| (format!("Never Happened {row:05}"), NEVER.to_owned())));
    all
}

#[cfg(test)]
mod tests {
    use std::num::NonZero;

    use super::*;

    #[test]
    fn there_are_as_many_rows_as_asked_for() {
        let count = |rows| mapping_rows(Vec::new(), 0, EventShape::default(), rows).len();
        assert_eq!([None, Some(1), Some(2), Some(10_000)].map(count), [3, 1, 2, 10_000]);
        assert_eq!(mapping_rows(Vec::new(), 0, EventShape::default(), Some(1))[0].0, "*");
        let given = vec![("a".to_owned(), "s".to_owned())];
        assert_eq!(mapping_rows(given.clone(), 0, EventShape::default(), None), given);
        assert_eq!(mapping_rows(given, 2, EventShape::default(), Some(5)).len(), 3);
        assert_eq!(mapping_rows(Vec::new(), 2, EventShape::default(), None), []);
        let spread = EventShape { streams: NonZero::new(500), ..EventShape::default() };
        assert_eq!(mapping_rows(Vec::new(), 0, spread, None).len(), 500);
    }
}
