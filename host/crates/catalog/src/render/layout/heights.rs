//! Computes heights that keep edges level.

/// Number of rounds that move columns towards each other. Further changes would be invisible.
const ROUNDS: usize = 24;

/// Assigns a row to each asset of a group, starting at 0. Returns the number of rows of the group.
/// The other columns are aligned with the pivot column.
pub(super) fn assign_rows(
    order: &[Vec<usize>],
    pivot: usize,
    neighbours: &[Vec<usize>],
    rows: &mut [f64],
) -> f64 {
    for column in order {
        for (asset, place) in column.iter().zip(0_u32..) {
            rows[*asset] = f64::from(place);
        }
    }
    for _ in 0..ROUNDS {
        for column in order.iter().chain(order.iter().rev()) {
            move_column(column, neighbours, rows);
        }
    }
    // An asset with one neighbour is finally level with it, if there is space.
    for column in order[pivot + 1..].iter().chain(order[..pivot].iter().rev()) {
        move_column(column, neighbours, rows);
    }
    let all = || order.iter().flatten().map(|asset| rows[*asset]);
    let (first, last) = (all().fold(f64::INFINITY, f64::min), all().fold(0.0, f64::max));
    for asset in order.iter().flatten() {
        rows[*asset] -= first;
    }
    last - first + 1.0
}

/// Moves a column's assets as close to their neighbours as their order and one row per asset
/// permit.
fn move_column(column: &[usize], neighbours: &[Vec<usize>], rows: &mut [f64]) {
    let wanted = |asset: &usize| mean_row(&neighbours[*asset], rows).unwrap_or(rows[*asset]);
    // After subtracting one row per asset, only the order must be kept.
    let wishes: Vec<_> =
        column.iter().zip(0_u32..).map(|(asset, place)| wanted(asset) - f64::from(place)).collect();
    for ((asset, row), place) in column.iter().zip(isotonic_regression(&wishes)).zip(0_u32..) {
        rows[*asset] = row + f64::from(place);
    }
}

fn mean_row(neighbours: &[usize], rows: &[f64]) -> Option<f64> {
    let sum: f64 = neighbours.iter().map(|asset| rows[*asset]).sum();
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    (!neighbours.is_empty()).then(|| sum / neighbours.len() as f64)
}

/// The nearest numbers (by squares) in ascending order: neighbours in the wrong order are replaced
/// by their mean.
fn isotonic_regression(wishes: &[f64]) -> Vec<f64> {
    let mut pools: Vec<(f64, u32)> = Vec::new();
    for &wish in wishes {
        let (mut mean, mut size) = (wish, 1);
        while let Some((before, weight)) = pools.pop_if(|(before, _)| *before > mean) {
            mean = (before * f64::from(weight) + mean * f64::from(size)) / f64::from(weight + size);
            size += weight;
        }
        pools.push((mean, size));
    }
    pools.into_iter().flat_map(|(mean, size)| (0..size).map(move |_| mean)).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_in_the_wrong_order_are_pooled() {
        assert_eq!(isotonic_regression(&[1.0, 2.0, 3.0]), [1.0, 2.0, 3.0]);
        assert_eq!(isotonic_regression(&[3.0, 1.0, 2.0]), [2.0, 2.0, 2.0]);
        assert_eq!(isotonic_regression(&[0.0, 5.0, 3.0, 9.0]), [0.0, 4.0, 4.0, 9.0]);
    }

    #[test]
    fn a_lonely_chain_is_level() {
        let (mut rows, neighbours) = ([0.0; 3], [vec![1], vec![0, 2], vec![1]]);
        assert_eq!(assign_rows(&[vec![0], vec![1], vec![2]], 1, &neighbours, &mut rows), 1.0);
        assert_eq!(rows, [0.0; 3]);
    }

    proptest! {
        #[test]
        fn numbers_rise_and_keep_their_sum(wishes in prop::collection::vec(-9.0..9.0_f64, 0..20)) {
            let numbers = isotonic_regression(&wishes);
            prop_assert!(numbers.is_sorted());
            let difference = numbers.iter().sum::<f64>() - wishes.iter().sum::<f64>();
            prop_assert!(difference.abs() < 1e-9);
        }
    }
}
