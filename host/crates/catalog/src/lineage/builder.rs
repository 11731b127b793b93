//! Builds a graph: assets, edges and warnings, sorted and without duplicates. Conditions of equal
//! edges are combined. An edge that always holds has no condition.

use std::collections::{BTreeMap, BTreeSet};

use crate::{Asset, Edge, EdgeRole, Graph};

use super::Lineage;

/// The assets, edges and warnings so far, sorted and without duplicates.
#[derive(Debug, Default)]
pub(super) struct LineageBuilder {
    assets: BTreeSet<Asset>,
    /// Edges with conditions, any of which must hold. `None` if the edge always holds.
    edges: BTreeMap<(Asset, Asset, EdgeRole), Option<BTreeSet<String>>>,
    warnings: BTreeSet<String>,
}

impl LineageBuilder {
    pub(super) fn add_asset(&mut self, asset: Asset) {
        self.assets.insert(asset);
    }

    pub(super) fn add_warning(&mut self, warning: String) {
        self.warnings.insert(warning);
    }

    /// Adds a data flow from an asset to another one, if the condition holds. A flow that also
    /// exists without a condition always holds.
    pub(super) fn add_edge(
        &mut self,
        from: Asset,
        to: Asset,
        role: EdgeRole,
        condition: Option<&str>,
    ) {
        self.add_asset(from.clone());
        self.add_asset(to.clone());
        let none_yet = || Some(BTreeSet::new());
        let conditions = self.edges.entry((from, to, role)).or_insert_with(none_yet);
        match (&mut *conditions, condition) {
            (Some(any), Some(condition)) => _ = any.insert(condition.to_owned()),
            _ => *conditions = None,
        }
    }

    pub(super) fn finish(self) -> Lineage {
        let assets: Vec<_> = self.assets.into_iter().collect();
        let place =
            |asset: &Asset| assets.binary_search(asset).expect("both ends of an edge are assets");
        // The order of the map is that of the edges, because positions of assets are in the order
        // of assets.
        let edges = self.edges.iter().map(|((from, to, role), conditions)| {
            let any = |any: &BTreeSet<String>| Vec::from_iter(any.iter().cloned()).join(" or ");
            let note = conditions.as_ref().map(any);
            Edge { from: place(from), to: place(to), role: *role, note }
        });
        let edges = edges.collect();
        let warnings = self.warnings.into_iter().collect();
        Lineage { graph: Graph { assets, edges }, warnings }
    }
}
