//! The graph in the making: assets, edges and warnings, sorted and without duplicates. Conditions
//! of equal edges are joined; an edge that holds always needs none.

use std::collections::{BTreeMap, BTreeSet};

use crate::{Asset, Edge, Graph, Role};

use super::Drawing;

/// What has been drawn so far: sorted, and without doubles from the start.
#[derive(Debug, Default)]
pub(super) struct Collected {
    assets: BTreeSet<Asset>,
    edges: BTreeMap<(Asset, Asset, Role), Conditions>,
    warnings: BTreeSet<String>,
}

/// When an edge holds.
#[derive(Debug)]
enum Conditions {
    Always,
    AnyOf(BTreeSet<String>),
}

impl Collected {
    pub(super) fn asset(&mut self, asset: Asset) {
        self.assets.insert(asset);
    }

    pub(super) fn warn(&mut self, warning: String) {
        self.warnings.insert(warning);
    }

    /// Data flows from an asset to another, if the condition holds. One that flows
    /// without any condition too, always does.
    pub(super) fn edge(&mut self, from: Asset, to: Asset, role: Role, condition: Option<&str>) {
        self.asset(from.clone());
        self.asset(to.clone());
        let none_yet = || Conditions::AnyOf(BTreeSet::new());
        let conditions = self.edges.entry((from, to, role)).or_insert_with(none_yet);
        match (&mut *conditions, condition) {
            (Conditions::AnyOf(any), Some(condition)) => _ = any.insert(condition.to_owned()),
            _ => *conditions = Conditions::Always,
        }
    }

    pub(super) fn finish(self) -> Drawing {
        let assets: Vec<_> = self.assets.into_iter().collect();
        let place =
            |asset: &Asset| assets.binary_search(asset).expect("both ends of an edge are assets");
        let edge = |((from, to, role), conditions): (&(_, _, Role), &Conditions)| Edge {
            from: place(from),
            to: place(to),
            role: *role,
            note: conditions.note(),
        };
        // The map's order is the edges': places of assets are in the order of assets.
        let edges = self.edges.iter().map(edge).collect();
        let warnings = self.warnings.into_iter().collect();
        Drawing { graph: Graph { assets, edges }, warnings }
    }
}

impl Conditions {
    fn note(&self) -> Option<String> {
        match self {
            Conditions::Always => None,
            Conditions::AnyOf(any) => {
                Some(any.iter().map(String::as_str).collect::<Vec<_>>().join(" or "))
            }
        }
    }
}
