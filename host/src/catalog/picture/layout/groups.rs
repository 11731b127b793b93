//! What hangs together.

use crate::catalog::picture::column::Column;

/// Groups of assets that edges lead between; by their first delivery stream, and
/// those without one at the end. Each is sorted.
pub(super) fn groups(neighbours: &[Vec<usize>], columns: &[Column]) -> Vec<Vec<usize>> {
    let mut is_seen = vec![false; neighbours.len()];
    let mut groups = Vec::new();
    for first in 0..neighbours.len() {
        if !is_seen[first] {
            groups.push(group(first, neighbours, &mut is_seen));
        }
    }
    let first_stream =
        |group: &Vec<usize>| group.iter().copied().find(|asset| columns[*asset] == Column::Streams);
    groups.sort_by_key(|group| first_stream(group).map_or((1, group[0]), |stream| (0, stream)));
    groups
}

fn group(first: usize, neighbours: &[Vec<usize>], is_seen: &mut [bool]) -> Vec<usize> {
    let (mut group, mut next) = (vec![first], 0);
    is_seen[first] = true;
    while let Some(asset) = group.get(next).copied() {
        next += 1;
        for &other in &neighbours[asset] {
            if !std::mem::replace(&mut is_seen[other], true) {
                group.push(other);
            }
        }
    }
    group.sort_unstable();
    group
}
