//! The names of assets in OpenMetadata: the parts of their full names after the service, in the
//! order in which they are tried.

use std::collections::HashSet;

use super::EntityKind;
use crate::{Arn, Asset, TableName};

/// The names to look up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NameCandidates {
    pub(super) kind: EntityKind,
    /// All spellings. An unknown part is `None`.
    pub(super) all: Vec<Vec<Option<String>>>,
}

/// The spellings of an asset that is found by its name alone. `None` for other assets.
pub(super) fn name_candidates(asset: &Asset) -> Option<NameCandidates> {
    let (kind, mut all) = match asset {
        Asset::DynamoTable { arn } => {
            (EntityKind::Table, vec![known_parts(["default", "default", arn.name()])])
        }
        Asset::KinesisStream { arn } => (EntityKind::Topic, vec![known_parts([arn.name()])]),
        Asset::KafkaTopic { topic, .. } => (EntityKind::Topic, vec![known_parts([&**topic])]),
        Asset::RedshiftTable { table, .. } => (EntityKind::Table, redshift_names(table)),
        Asset::SnowflakeTable { table, .. } => (EntityKind::Table, snowflake_names(table)),
        Asset::IcebergTable { catalog, table } => {
            (EntityKind::Table, iceberg_names(catalog.as_ref(), table))
        }
        Asset::GlueTable { catalog, table } => {
            (EntityKind::Table, iceberg_names(Some(catalog), table))
        }
        Asset::DatabaseTables { engine, database, table, .. } => {
            (EntityKind::Table, database_table_names(engine, database, table)?)
        }
        _ => return None,
    };
    let mut seen = HashSet::new();
    all.retain(|spelling| seen.insert(spelling.clone()));
    Some(NameCandidates { kind, all })
}

fn known_parts<'a>(parts: impl IntoIterator<Item = &'a str>) -> Vec<Option<String>> {
    parts.into_iter().map(|part| Some(part.to_owned())).collect()
}

fn map_parts(parts: &[Option<String>], change: fn(&str) -> String) -> Vec<Option<String>> {
    parts.iter().map(|part| part.as_deref().map(change)).collect()
}

/// Redshift stores unquoted names in lower case, and a table without a schema is in `public`.
fn redshift_names(table: &TableName) -> Vec<Vec<Option<String>>> {
    let schema = table.schema.clone().unwrap_or_else(|| "public".to_owned());
    let written = vec![table.database.clone(), Some(schema), Some(table.name.clone())];
    vec![map_parts(&written, str::to_lowercase), written]
}

/// Snowflake stores unquoted names in upper case.
fn snowflake_names(table: &TableName) -> Vec<Vec<Option<String>>> {
    let written = vec![table.database.clone(), table.schema.clone(), Some(table.name.clone())];
    let upper = map_parts(&written, str::to_uppercase);
    let lower = map_parts(&written, str::to_lowercase);
    vec![written, upper, lower]
}

/// In OpenMetadata, a Glue catalog is a database with the name of its account, or `default`.
fn iceberg_names(catalog: Option<&Arn>, table: &TableName) -> Vec<Vec<Option<String>>> {
    let account = catalog.map(|arn| arn.account.clone()).filter(|account| !account.is_empty());
    let database = table.database.clone();
    let names = database.into_iter().chain(account).chain(["default".to_owned()]).map(Some);
    let spelling = |first| vec![first, table.schema.clone(), Some(table.name.clone())];
    let mut all: Vec<_> = names.map(spelling).collect();
    all.push(spelling(None));
    all
}

/// `None` for a pattern, which does not name a table.
fn database_table_names(
    engine: &str,
    database: &str,
    table: &str,
) -> Option<Vec<Vec<Option<String>>>> {
    let is_name = |text: &str| {
        let is_letter = |it: char| it.is_alphanumeric() || matches!(it, '_' | '-' | '$');
        !text.is_empty() && text.chars().all(is_letter)
    };
    let mut parts: Vec<&str> = table.split('.').collect();
    if parts.first() == Some(&database) && parts.len() > 1 {
        parts.remove(0);
    }
    if !is_name(database) || !parts.iter().all(|part| is_name(part)) {
        return None;
    }
    let spelling = match (engine, &*parts) {
        // In OpenMetadata, databases of MySQL are schemas.
        ("MySQL", [table]) => known_parts(["default", database, table]),
        ("PostgreSQL", [schema, table]) => known_parts([database, schema, table]),
        ("PostgreSQL", [table]) => vec![Some(database.to_owned()), None, Some((*table).to_owned())],
        _ => return None,
    };
    Some(vec![spelling])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written_names(asset: &Asset) -> Vec<String> {
        let line = |spelling: &Vec<Option<String>>| {
            let parts: Vec<_> =
                spelling.iter().map(|part| part.as_deref().unwrap_or("*")).collect();
            parts.join(".")
        };
        name_candidates(asset)
            .map(|spellings| spellings.all.iter().map(line).collect())
            .unwrap_or_default()
    }

    fn table(database: Option<&str>, schema: Option<&str>, name: &str) -> TableName {
        let own = |part: Option<&str>| part.map(str::to_owned);
        TableName { database: own(database), schema: own(schema), name: name.to_owned() }
    }

    #[test]
    fn each_kind_has_its_own() {
        let arn = |text: &str| Arn::parse(text).unwrap();
        let source = |engine: &str, table: &str| Asset::DatabaseTables {
            engine: engine.into(),
            host: "h".into(),
            port: 1,
            database: "shop".into(),
            table: table.into(),
        };
        for (asset, expected) in [
            (
                Asset::DynamoTable { arn: arn("arn:aws:dynamodb:r:1:table/T") },
                &["default.default.T"][..],
            ),
            (
                Asset::RedshiftTable {
                    host: "h".into(),
                    table: table(Some("Dev"), None, "Orders"),
                },
                &["dev.public.orders", "Dev.public.Orders"],
            ),
            (
                Asset::RedshiftTable { host: "h".into(), table: table(None, Some("s"), "t") },
                &["*.s.t"],
            ),
            (
                Asset::SnowflakeTable {
                    account: "a".into(),
                    table: table(Some("Db"), Some("S"), "T"),
                },
                &["Db.S.T", "DB.S.T", "db.s.t"],
            ),
            (
                Asset::IcebergTable {
                    catalog: Some(arn("arn:aws:glue:r:12:catalog")),
                    table: table(None, Some("lake"), "t"),
                },
                &["12.lake.t", "default.lake.t", "*.lake.t"],
            ),
            (source("MySQL", "shop.orders"), &["default.shop.orders"]),
            (source("PostgreSQL", "public.orders"), &["shop.public.orders"]),
            (source("PostgreSQL", "orders"), &["shop.*.orders"]),
            (source("MySQL", "ord.*"), &[]),
            (Asset::Splunk { endpoint: "e".into() }, &[]),
        ] {
            assert_eq!(written_names(&asset), expected, "{asset:?}");
        }
    }
}
