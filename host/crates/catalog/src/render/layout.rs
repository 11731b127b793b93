//! Where assets stand: columns from left to right, and in each of them an order
//! with few edges that cross and a height that keeps edges level.
//!
//! All edges lead from one column to the next, since columns follow from what assets
//! are; so neither ranks nor bends have to be found, which is what takes general
//! layouts their time. What hangs together stands together: each such group is laid
//! out alone, and groups stand below each other in the order of their first streams.
//! Within a group the order follows from the middle of the neighbours (Sugiyama's
//! barycentres), over and over in both directions, and the best order seen is kept; it
//! begins with the names' order, and with that of going through the group from its rim
//! (Cuthill and McKee's), which brings those near that are near in the graph.
//! Heights are then moved towards those of the neighbours, each column at once: the
//! nearest places that keep the distances, by isotonic regression.
//!
//! The same graph gives the same layout: nothing depends on hashes or on time.

mod crossings;
mod groups;
mod heights;

use super::column::{AssetColumn, assign_columns};
use crate::Graph;

/// Sweeps over the columns of a group. Orders of real groups settle after a few.
const SWEEPS: usize = 24;

/// Rows between groups, besides the one that each asset takes.
const GROUP_GAP: f64 = 0.35;

/// Where everything stands; units are rows, whose height is the painter's.
#[derive(Debug)]
pub(super) struct Layout {
    /// The column of each asset.
    pub(super) columns: Vec<AssetColumn>,
    /// The row of each asset; not a whole number.
    pub(super) rows: Vec<f64>,
    /// How many rows there are.
    pub(super) height: f64,
}

pub(super) fn compute_layout(graph: &Graph) -> Layout {
    let columns = assign_columns(graph);
    let neighbours = find_neighbours(graph);
    let mut rows = vec![0.0; graph.assets.len()];
    let mut height = 0.0;
    for group in groups::find_groups(&neighbours, &columns) {
        let order = best_order(&group, &columns, &neighbours);
        let is_streams = |column: &Vec<usize>| columns[column[0]] == AssetColumn::Streams;
        let pivot = order.iter().position(is_streams).unwrap_or(0);
        let group_height = heights::assign_rows(&order, pivot, &neighbours, &mut rows);
        for asset in group {
            rows[asset] += height;
        }
        height += group_height + GROUP_GAP;
    }
    Layout { columns, rows, height: (height - GROUP_GAP).max(0.0) }
}

/// Of each asset, those that an edge leads to or from, in order.
fn find_neighbours(graph: &Graph) -> Vec<Vec<usize>> {
    let mut neighbours = vec![Vec::new(); graph.assets.len()];
    for edge in &graph.edges {
        neighbours[edge.from].push(edge.to);
        neighbours[edge.to].push(edge.from);
    }
    for of in &mut neighbours {
        of.sort_unstable();
        of.dedup();
    }
    neighbours
}

/// The order of a group's assets in each column: the best that is found from two
/// beginnings, by their names and by how far they are from the group's rim.
fn best_order(
    group: &[usize],
    columns: &[AssetColumn],
    neighbours: &[Vec<usize>],
) -> Vec<Vec<usize>> {
    let mut best = None;
    for assets in [group, &groups::from_rim(group, neighbours)] {
        let (crossings, order) = improve_order(in_columns(assets, columns), neighbours);
        if best.as_ref().is_none_or(|(fewest, _)| crossings < *fewest) {
            best = Some((crossings, order));
        }
    }
    best.map(|(_, order)| order).unwrap_or_default()
}

fn in_columns(assets: &[usize], columns: &[AssetColumn]) -> Vec<Vec<usize>> {
    let of = |column| assets.iter().copied().filter(|asset| columns[*asset] == column).collect();
    let mut order: Vec<Vec<usize>> = AssetColumn::ALL.into_iter().map(of).collect();
    order.retain(|column| !column.is_empty());
    order
}

/// An order with fewer crossings, and how many they are.
fn improve_order(mut order: Vec<Vec<usize>>, neighbours: &[Vec<usize>]) -> (u64, Vec<Vec<usize>>) {
    let mut best = (crossings::count_crossings(&order, neighbours), order.clone());
    for sweep in 0..SWEEPS {
        if best.0 == 0 {
            break;
        }
        crossings::sweep_columns(&mut order, neighbours, sweep);
        let count = crossings::count_crossings(&order, neighbours);
        if count < best.0 {
            best = (count, order.clone());
        }
    }
    best
}
