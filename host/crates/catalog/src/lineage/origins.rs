//! Adds the sources of a delivery stream, and their own sources: Kinesis streams with their
//! DynamoDB tables, Kafka topics, database tables. The product of databases and tables is limited.

use crate::limits;
use crate::{Asset, EdgeRole, Inventory, StreamDescription, StreamOrigin};

use super::builder::LineageBuilder;

/// Adds the sources of a stream, and their own sources.
pub(super) fn add_origins(
    builder: &mut LineageBuilder,
    inventory: &Inventory,
    stream: &StreamDescription,
    node: &Asset,
) {
    for origin in origin_assets(builder, stream) {
        if let Asset::KinesisStream { arn } = &origin {
            for table in inventory.tables.get(arn).into_iter().flatten() {
                let table = Asset::DynamoTable { arn: table.clone() };
                builder.add_edge(table, origin.clone(), EdgeRole::Feeds, None);
            }
        }
        builder.add_edge(origin, node.clone(), EdgeRole::Feeds, None);
    }
}

fn origin_assets(builder: &mut LineageBuilder, stream: &StreamDescription) -> Vec<Asset> {
    match &stream.origin {
        StreamOrigin::DirectPut => Vec::new(),
        StreamOrigin::Kinesis { arn } => vec![Asset::KinesisStream { arn: arn.clone() }],
        StreamOrigin::Kafka { cluster, topic } => {
            vec![Asset::KafkaTopic { cluster: cluster.clone(), topic: topic.clone() }]
        }
        StreamOrigin::Database { engine, host, port, databases, tables } => {
            let pairs = database_table_pairs(engine, databases, tables);
            if pairs.len() > limits::CATALOG_TABLES_PER_STREAM_MAX {
                let (name, drawn) = (&stream.name, limits::CATALOG_TABLES_PER_STREAM_MAX);
                builder.add_warning(format!(
                    "stream {name}: reads {} tables; only {drawn} are shown",
                    pairs.len()
                ));
            }
            let asset = |(database, table)| Asset::DatabaseTables {
                engine: engine.clone(),
                host: host.clone(),
                port: *port,
                database,
                table,
            };
            pairs.into_iter().take(limits::CATALOG_TABLES_PER_STREAM_MAX).map(asset).collect()
        }
        StreamOrigin::Unsupported { what } => {
            vec![Asset::Unsupported { stream: stream.name.clone(), what: what.clone() }]
        }
    }
}

/// Each table in each database. If no tables are named, all of them are read.
///
/// MySQL's tables may be written with their database. Such a table belongs to no other database.
fn database_table_pairs(
    engine: &str,
    databases: &[String],
    tables: &[String],
) -> Vec<(String, String)> {
    const ALL: &str = "*";
    let or_all = |names: &[String]| match names {
        [] => vec![ALL.to_owned()],
        names => names.to_vec(),
    };
    let (databases, tables) = (or_all(databases), or_all(tables));
    let is_mysql = engine.eq_ignore_ascii_case("mysql");
    let mut pairs = Vec::new();
    for table in &tables {
        let own = table
            .split_once('.')
            .filter(|(database, _)| is_mysql && databases.iter().any(|known| known == database));
        match own {
            Some((database, table)) => pairs.push((database.to_owned(), table.to_owned())),
            None => pairs.extend(databases.iter().map(|of| (of.clone(), table.clone()))),
        }
        // Further pairs are not shown, and the product of two lists can be huge.
        if pairs.len() > 2 * limits::CATALOG_TABLES_PER_STREAM_MAX {
            break;
        }
    }
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_table_is_in_each_database() {
        let pairs = |engine, databases: &[&str], tables: &[&str]| {
            let owned = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
            let pairs = database_table_pairs(engine, &owned(databases), &owned(tables));
            pairs.iter().map(|(of, table)| format!("{of}/{table}")).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(pairs("MySQL", &["a", "b"], &["x", "y"]), "a/x b/x a/y b/y");
        assert_eq!(pairs("MySQL", &[], &["x"]), "*/x");
        assert_eq!(pairs("MySQL", &["a"], &[]), "a/*");
        assert_eq!(pairs("MySQL", &[], &[]), "*/*");
        assert_eq!(pairs("MySQL", &["a", "b"], &["a.x", "c.y"]), "a/x a/c.y b/c.y");
        assert_eq!(pairs("PostgreSQL", &["a"], &["a.x"]), "a/a.x");
    }
}
