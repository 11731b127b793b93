//! Heights that keep edges level.

/// Rounds of moving columns towards each other. The rest is below what anyone sees.
const ROUNDS: usize = 24;

/// Give each asset of a group a row, the first of them 0; answers how many rows the
/// group takes. The pivot is the column that the others stand beside.
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
    // What has one neighbour is level with it in the end, where there is room.
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

/// Move a column's assets to where their neighbours are, as near as their order and
/// a row for each allow.
fn move_column(column: &[usize], neighbours: &[Vec<usize>], rows: &mut [f64]) {
    let wanted = |asset: &usize| mean_row(&neighbours[*asset], rows).unwrap_or(rows[*asset]);
    // Without the row that each takes, the order alone has to be kept.
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

/// The numbers nearest to these (by squares) of which none is below the one before:
/// neighbours that are in the wrong order are pooled at their mean.
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
