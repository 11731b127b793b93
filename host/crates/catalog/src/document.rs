//! Streams and lineage as one JSON document, for programs and for comparing different days.
//!
//! ```text
//! {
//!   "version": 1,                 // of this form; fields may be added without a new one
//!   "inventory": {...},           // what AWS returned: see `Inventory`, `Stream`
//!   "tables": [                   // DynamoDB tables whose changes feed a Kinesis stream
//!     {"stream": "arn:...", "tables": ["arn:...", ...]}
//!   ],
//!   "graph": {
//!     "assets": [                 // sorted; `kind` says which other fields there are
//!       {"kind": "delivery_stream", "name": "orders", "arn": "arn:..."},
//!       ...
//!     ],
//!     "edges": [                  // sorted; `from` and `to` count assets from 0
//!       {"from": 0, "to": 3, "role": "routed", "note": null},
//!       ...
//!     ]
//!   },
//!   "warnings": [...]             // what a person should know, of both
//! }
//! ```
//!
//! `kind` is one of `events`, `delivery_stream`, `kinesis_stream`, `kafka_topic`, `dynamo_table`,
//! `database_tables`, `objects`, `redshift_table`, `snowflake_table`, `iceberg_table`,
//! `glue_table`, `search_index`, `splunk`, `http_endpoint` and `unsupported`; `role` is one of
//! `routed`, `feeds`, `delivered`, `backup` and `schema`. The same inventory and mapping produce
//! the same bytes.

use serde::Serialize;

use super::lineage::Lineage;
use super::{Arn, Graph, Inventory};

/// The version of the format.
const VERSION: u32 = 1;

/// The document in serializable form.
#[derive(Debug, Serialize)]
pub struct CatalogDocument<'catalog> {
    version: u32,
    inventory: &'catalog Inventory,
    tables: Vec<TablesOfStream<'catalog>>,
    graph: &'catalog Graph,
    warnings: Vec<&'catalog str>,
}

#[derive(Debug, Serialize)]
struct TablesOfStream<'catalog> {
    stream: &'catalog Arn,
    tables: &'catalog [Arn],
}

impl<'catalog> CatalogDocument<'catalog> {
    /// Creates the document of an inventory and its lineage.
    pub fn new(inventory: &'catalog Inventory, lineage: &'catalog Lineage) -> Self {
        let tables = inventory.tables.iter();
        let warnings = inventory.warnings.iter().chain(&lineage.warnings);
        CatalogDocument {
            version: VERSION,
            inventory,
            tables: tables.map(|(stream, tables)| TablesOfStream { stream, tables }).collect(),
            graph: &lineage.graph,
            warnings: warnings.map(String::as_str).collect(),
        }
    }

    /// The document as text, with a line for each field.
    pub fn to_text(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).expect("all keys are strings");
        text.push('\n');
        text
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::lineage::{LineageOptions, build_lineage};
    use crate::render::example;

    #[test]
    fn the_document_has_all_and_is_stable() {
        let (mut inventory, routes) = (example::inventory(), example::routes());
        inventory.warnings.push("a table could not be looked at".to_owned());
        let lineage = build_lineage(&inventory, &routes, LineageOptions::default());
        let text = CatalogDocument::new(&inventory, &lineage).to_text();
        let document: Value = serde_json::from_str(&text).unwrap();
        let keys: Vec<_> = document.as_object().unwrap().keys().collect();
        assert_eq!(keys.len(), 5, "{keys:?}");
        assert_eq!(document["version"], 1);
        assert_eq!(document["warnings"], json!(["a table could not be looked at"]));
        let tables = document["tables"][0]["tables"].as_array().unwrap();
        assert_eq!(
            (tables.len(), &document["tables"][0]["stream"]),
            (2, &json!("arn:aws:kinesis:eu-west-1:123456789012:stream/order-changes"),)
        );
        let assets = document["graph"]["assets"].as_array().unwrap();
        assert_eq!(assets[0], json!({"kind": "events", "label": "all others"}));
        for edge in document["graph"]["edges"].as_array().unwrap() {
            let end = |key: &str| usize::try_from(edge[key].as_u64().unwrap()).unwrap();
            assert!(end("from") < assets.len() && end("to") < assets.len());
        }

        // The order of AWS's and the plugin's lists must not matter.
        inventory.streams.sort_by(|one, other| other.name.cmp(&one.name));
        let again = build_lineage(
            &inventory,
            &routes.into_iter().rev().collect::<Vec<_>>(),
            LineageOptions::default(),
        );
        assert_eq!(again, lineage);
    }
}
