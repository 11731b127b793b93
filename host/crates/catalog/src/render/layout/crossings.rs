//! Orders columns so that few edges cross.

use std::collections::BTreeMap;

/// Sorts the assets of each column by the mean position of their neighbours in the previous column,
/// alternating between left to right and right to left.
pub(super) fn sweep_columns(order: &mut [Vec<usize>], neighbours: &[Vec<usize>], sweep: usize) {
    let columns = order.len();
    for step in 1..columns {
        let (fixed, moved) = match sweep % 2 {
            0 => (step - 1, step),
            _ => (columns - step, columns - step - 1),
        };
        let places = places_by_asset(&order[fixed]);
        // Assets with equal means keep their order in half of the sweeps, and swap it in the other
        // half.
        if sweep % 4 >= 2 {
            order[moved].reverse();
        }
        sort_by_middle(&mut order[moved], neighbours, &places);
    }
}

fn places_by_asset(column: &[usize]) -> BTreeMap<usize, usize> {
    column.iter().enumerate().map(|(place, asset)| (*asset, place)).collect()
}

/// Assets without a neighbour in that column keep their position.
fn sort_by_middle(
    column: &mut [usize],
    neighbours: &[Vec<usize>],
    places: &BTreeMap<usize, usize>,
) {
    let middle = |asset: &usize| {
        let found: Vec<_> = neighbours[*asset].iter().filter_map(|it| places.get(it)).collect();
        #[expect(clippy::cast_precision_loss, reason = "places are far below 2^52")]
        let middle = found.iter().copied().sum::<usize>() as f64 / found.len() as f64;
        (!found.is_empty()).then_some((middle, *asset))
    };
    let mut placed: Vec<_> = column.iter().filter_map(middle).collect();
    placed.sort_by(|(one, _), (other, _)| one.total_cmp(other));
    let is_placed =
        |asset: &&mut usize| neighbours[**asset].iter().any(|it| places.contains_key(it));
    for (asset, (_, sorted)) in column.iter_mut().filter(is_placed).zip(placed) {
        *asset = sorted;
    }
}

/// The number of crossing edges.
pub(super) fn count_crossings(order: &[Vec<usize>], neighbours: &[Vec<usize>]) -> u64 {
    order.windows(2).map(|pair| count_between(&pair[0], &pair[1], neighbours)).sum()
}

/// Two edges between two columns cross if their ends are in opposite orders. So crossings are the
/// inversions among the right ends, counted with a tree of sums.
fn count_between(left: &[usize], right: &[usize], neighbours: &[Vec<usize>]) -> u64 {
    let places = places_by_asset(right);
    let mut sums = vec![0_u64; right.len() + 1];
    let (mut crossings, mut seen) = (0, 0);
    for asset in left {
        let mut ends: Vec<_> =
            neighbours[*asset].iter().filter_map(|other| places.get(other).copied()).collect();
        ends.sort_unstable();
        crossings += ends.iter().map(|end| seen - sum_to(&sums, *end)).sum::<u64>();
        for end in ends {
            add_at(&mut sums, end);
            seen += 1;
        }
    }
    crossings
}

fn add_at(sums: &mut [u64], place: usize) {
    let mut index = place + 1;
    while let Some(sum) = sums.get_mut(index) {
        *sum += 1;
        index += index & index.wrapping_neg();
    }
}

/// The number of entries at this position or before.
fn sum_to(sums: &[u64], place: usize) -> u64 {
    let (mut index, mut sum) = (place + 1, 0);
    while index > 0 {
        sum += sums[index];
        index &= index - 1;
    }
    sum
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn edges() -> impl Strategy<Value = Vec<(usize, usize)>> {
        prop::collection::vec((0..8_usize, 8..16_usize), 0..30)
    }

    fn neighbours_of(edges: &[(usize, usize)]) -> Vec<Vec<usize>> {
        let mut neighbours = vec![Vec::new(); 16];
        for (from, to) in edges {
            neighbours[*from].push(*to);
            neighbours[*to].push(*from);
        }
        for of in &mut neighbours {
            of.sort_unstable();
            of.dedup();
        }
        neighbours
    }

    proptest! {
        #[test]
        fn crossings_are_pairs_in_the_other_order(mut edges in edges()) {
            edges.sort_unstable();
            edges.dedup();
            let pairs = edges.iter().flat_map(|one| edges.iter().map(move |other| (one, other)));
            let cross = pairs.filter(|(one, other)| one.0 < other.0 && one.1 > other.1).count();
            let order = [(0..8).collect(), (8..16).collect()];
            prop_assert_eq!(count_crossings(&order, &neighbours_of(&edges)), cross as u64);
        }

        #[test]
        fn a_sweep_keeps_all_assets(edges in edges(), turns in 0..8_usize) {
            let mut order = [(0..8).collect::<Vec<_>>(), (8..16).collect()];
            for turn in 0..turns {
                sweep_columns(&mut order, &neighbours_of(&edges), turn);
            }
            for (column, expected) in order.iter_mut().zip([0..8, 8..16]) {
                column.sort_unstable();
                prop_assert_eq!(&*column, &*expected.collect::<Vec<_>>());
            }
        }
    }
}
