//! Rotated indexes, which are started every hour, day, week or month.

use super::{Entity, Resolution};
use crate::IndexRotation;

/// The newest of the rotated indexes, if all of them are in one service.
pub(super) fn newest_index(mut rotated: Vec<(String, Entity)>) -> Option<Resolution> {
    rotated.sort_by(|one, other| one.1.name.cmp(&other.1.name));
    let (service, entity) = rotated.last()?;
    if rotated.iter().any(|(other, _)| other != service) {
        let candidates = rotated.into_iter().map(|(_, entity)| entity.name).collect();
        return Some(Resolution::Ambiguous { candidates });
    }
    let matched = format!("{}, the newest of {} rotated indexes", entity.name, rotated.len());
    Some(Resolution::Found { entity: entity.clone(), matched: Some(matched) })
}

/// Whether a name is that of this index followed by a date.
pub(super) fn is_rotated(name: &str, index: &str, rotation: IndexRotation) -> bool {
    let shape = match rotation {
        IndexRotation::None => return false,
        IndexRotation::Hour => "-dddd-dd-dd-dd",
        IndexRotation::Day => "-dddd-dd-dd",
        IndexRotation::Week => "-dddd-wdd",
        IndexRotation::Month => "-dddd-dd",
    };
    let Some(date) = name.strip_prefix(index) else { return false };
    let is_like =
        |(byte, shape): (u8, u8)| if shape == b'd' { byte.is_ascii_digit() } else { byte == shape };
    date.len() == shape.len() && date.bytes().zip(shape.bytes()).all(is_like)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rotated_indexes_are_told_by_the_date() {
        for (name, rotation, expected) in [
            ("a-2026-01-02-03", IndexRotation::Hour, true),
            ("a-2026-01-02", IndexRotation::Day, true),
            ("a-2026-w05", IndexRotation::Week, true),
            ("a-2026-01", IndexRotation::Month, true),
            ("a-2026-01", IndexRotation::Day, false),
            ("a-2026-01", IndexRotation::None, false),
            ("a-b-2026-01", IndexRotation::Month, false),
            ("a", IndexRotation::Month, false),
        ] {
            assert_eq!(is_rotated(name, "a", rotation), expected, "{name}");
        }
    }
}
