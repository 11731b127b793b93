//! Finds groups of connected assets.

use std::collections::BTreeSet;

use crate::render::column::AssetColumn;

/// Number of passes through a group to find its rim. The last pass is the order.
const TURNS: usize = 3;

/// Groups of connected assets, sorted by their first delivery stream. Groups without one are last.
/// Each group is sorted.
pub(super) fn find_groups(neighbours: &[Vec<usize>], columns: &[AssetColumn]) -> Vec<Vec<usize>> {
    let mut is_seen = vec![false; neighbours.len()];
    let mut groups = Vec::new();
    for first in 0..neighbours.len() {
        if !is_seen[first] {
            let is_new = |asset| !std::mem::replace(&mut is_seen[asset], true);
            let mut group = reachable_assets(first, neighbours, is_new);
            group.sort_unstable();
            groups.push(group);
        }
    }
    let first_stream = |group: &Vec<usize>| {
        group.iter().copied().find(|asset| columns[*asset] == AssetColumn::Streams)
    };
    groups.sort_by_key(|group| first_stream(group).map_or((1, group[0]), |stream| (0, stream)));
    groups
}

/// The order of a group from one end to the other. It starts at an asset that is far from the
/// others, found by repeated passes.
pub(super) fn from_rim(group: &[usize], neighbours: &[Vec<usize>]) -> Vec<usize> {
    let mut order = group.to_vec();
    for _ in 0..TURNS {
        let Some(rim) = order.last().copied() else { break };
        let mut seen = BTreeSet::new();
        order = reachable_assets(rim, neighbours, |asset| seen.insert(asset));
    }
    order
}

/// Assets in the order in which they are reached, the nearest first.
fn reachable_assets(
    first: usize,
    neighbours: &[Vec<usize>],
    mut is_new: impl FnMut(usize) -> bool,
) -> Vec<usize> {
    is_new(first);
    let (mut reached, mut next) = (vec![first], 0);
    while let Some(asset) = reached.get(next).copied() {
        next += 1;
        reached.extend(neighbours[asset].iter().copied().filter(|other| is_new(*other)));
    }
    reached
}
