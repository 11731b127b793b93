//! Computes the positions of assets: columns from left to right, and in each column an order with
//! few crossing edges and heights that keep edges level.
//!
//! All edges lead from one column to the next, because the kind of an asset determines its column.
//! So ranks and bends, which take most of the time in general layouts, do not have to be computed.
//! Connected assets form a group. Each group is laid out separately, and the groups follow each
//! other vertically in the order of their first streams. Within a group, the order follows from the
//! mean position of the neighbours (Sugiyama's barycenters), repeated in both directions, and the
//! best order is kept. There are two initial orders: by name, and by distance from the rim of the
//! group (Cuthill and McKee), which keeps neighbours close. Heights are then moved towards those of
//! the neighbours, for a whole column at once: isotonic regression finds the nearest positions that
//! keep the distances.
//!
//! The same graph always has the same layout: nothing depends on hashes or on time.

mod crossings;
mod groups;
mod heights;

use super::column::{AssetColumn, assign_columns};
use crate::Graph;

/// Sweeps over the columns of a group. The orders of real groups are stable after a few.
const SWEEPS: usize = 24;

/// Additional rows between groups.
const GROUP_GAP: f64 = 0.35;

/// The positions of all assets. The unit is a row, whose height the painter determines.
#[derive(Debug)]
pub(super) struct Layout {
    /// The column of each asset.
    pub(super) columns: Vec<AssetColumn>,
    /// The row of each asset, which may be fractional.
    pub(super) rows: Vec<f64>,
    /// The number of rows.
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

/// The neighbours of each asset in both directions, in order.
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

/// The order of a group's assets in each column: the best order from two initial orders, by name
/// and by distance from the group's rim.
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

/// An order with fewer crossings, and the number of crossings.
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
