//! The assets of a destination.

use crate::prefix::static_prefix;
use crate::url_parts::UrlParts;
use crate::{Arn, Asset, Destination, GlueSchema, S3Location, Sink, StreamDescription, TableName};

use super::builder::LineageBuilder;
use super::glue_catalog;

/// The assets of a destination. Only Iceberg can have several.
pub(super) fn destination_assets(
    builder: &mut LineageBuilder,
    stream: &StreamDescription,
    destination: &Destination,
) -> Vec<Asset> {
    let unsupported =
        |what: &str| Asset::Unsupported { stream: stream.name.clone(), what: what.to_owned() };
    let place = match &destination.sink {
        Sink::S3(place) => objects_asset(place),
        Sink::Redshift { host, database, table, .. } => Asset::RedshiftTable {
            host: host.clone(),
            table: redshift_table(database.as_deref(), table),
        },
        Sink::Search { engine, domain, endpoint, index, rotation } => {
            match search_host(domain.as_ref(), endpoint.as_deref()) {
                Some(place) => Asset::SearchIndex {
                    engine: *engine,
                    place,
                    index: index.clone(),
                    rotation: *rotation,
                },
                None => {
                    let name = &stream.name;
                    builder.add_warning(format!(
                        "stream {name}: its description has neither domain nor endpoint"
                    ));
                    unsupported(&destination.key)
                }
            }
        }
        Sink::Snowflake { account, table } => {
            Asset::SnowflakeTable { account: without_secrets(account), table: table.clone() }
        }
        Sink::Iceberg { catalog, tables } if !tables.is_empty() => {
            let table = |table: &TableName| Asset::IcebergTable {
                catalog: catalog.clone(),
                table: table.clone(),
            };
            return tables.iter().map(table).collect();
        }
        // If each record names its table, the list of tables is empty.
        Sink::Iceberg { .. } => {
            let name = &stream.name;
            builder.add_warning(format!("stream {name}: its records name their Iceberg tables"));
            unsupported("tables of Iceberg that records name")
        }
        Sink::Splunk { endpoint } => Asset::Splunk { endpoint: without_secrets(endpoint) },
        Sink::Http { name, url } => {
            Asset::HttpEndpoint { name: name.clone(), url: without_secrets(url) }
        }
        Sink::Unsupported { what } => {
            builder.add_warning(format!("stream {}: {what} is not supported", stream.name));
            unsupported(what)
        }
    };
    vec![place]
}

/// The objects in a bucket.
pub(super) fn objects_asset(place: &S3Location) -> Asset {
    Asset::Objects {
        bucket: place.bucket.clone(),
        prefix: static_prefix(&place.prefix).to_owned(),
        written: place.prefix.clone(),
    }
}

/// The table whose columns are used.
pub(super) fn schema_table(stream: &StreamDescription, schema: &GlueSchema) -> Asset {
    let catalog = glue_catalog(stream, schema.catalog.as_deref(), schema.region.as_deref());
    let table = TableName {
        database: None,
        schema: Some(schema.database.clone()),
        name: schema.table.clone(),
    };
    Asset::GlueTable { catalog, table }
}

fn search_host(domain: Option<&Arn>, endpoint: Option<&str>) -> Option<String> {
    let host = endpoint.map(|url| UrlParts::of(url).host).filter(|host| !host.is_empty());
    host.map(str::to_ascii_lowercase).or_else(|| domain.map(ToString::to_string))
}

/// Returns a URL without parts that may be secret: user, password, parameters and fragment. The
/// reader of descriptions already removes them, but this text is public.
fn without_secrets(url: &str) -> String {
    let UrlParts { scheme, host, path } = UrlParts::of(url);
    let scheme = scheme.map(|scheme| format!("{scheme}://")).unwrap_or_default();
    format!("{scheme}{host}{path}")
}

/// The full name of a table that is written as `table`, `schema.table` or `database.schema.table`.
///
/// The default schema is `public`, as in Redshift's search path. Redshift converts names to lower
/// case, including quoted names, unless a session changes that
/// (`enable_case_sensitive_identifier`). Therefore catalogs contain tables under their lower-case
/// names.
fn redshift_table(database: Option<&str>, written: &str) -> TableName {
    let mut parts = split_name_parts(written);
    let name = parts.pop().unwrap_or_default();
    let schema = parts.pop().filter(|schema| !schema.is_empty());
    let schema = schema.unwrap_or_else(|| "public".to_owned());
    let database = database.map(str::to_lowercase).or_else(|| parts.pop());
    TableName { database, schema: Some(schema), name }
}

/// Splits a name at dots outside of quotes, and converts the parts to lower case.
fn split_name_parts(written: &str) -> Vec<String> {
    let (mut parts, mut is_quoted) = (vec![String::new()], false);
    for character in written.trim().chars() {
        match character {
            '"' => is_quoted = !is_quoted,
            '.' if !is_quoted => parts.push(String::new()),
            other => parts.last_mut().expect("there is one").extend(other.to_lowercase()),
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_table_of_redshift_has_a_schema() {
        let full = |database, written| {
            let TableName { database, schema, name } = redshift_table(database, written);
            let (database, schema) = (database.unwrap_or_default(), schema.unwrap());
            format!("{database}/{schema}/{name}")
        };
        assert_eq!(full(Some("dev"), "orders"), "dev/public/orders");
        assert_eq!(full(Some("Dev"), "Sales.Orders"), "dev/sales/orders");
        assert_eq!(full(None, "dev.sales.orders"), "dev/sales/orders");
        assert_eq!(full(Some("other"), "dev.sales.orders"), "other/sales/orders");
        assert_eq!(full(Some("dev"), r#""Sales"."a.b""#), "dev/sales/a.b");
        assert_eq!(full(Some("dev"), ".orders"), "dev/public/orders");
        assert_eq!(full(None, ""), "/public/");
    }

    #[test]
    fn a_search_engine_is_known_by_its_host() {
        let domain = Arn::parse("arn:aws:es:eu-west-1:123456789012:domain/logs");
        let place = |domain: Option<&Arn>, endpoint| search_host(domain, endpoint);
        let own = place(domain.as_ref(), Some("https://Search-x.eu-west-1.es.amazonaws.com/path"));
        assert_eq!(own.as_deref(), Some("search-x.eu-west-1.es.amazonaws.com"));
        assert_eq!(place(None, Some("u:p@h:9200")).as_deref(), Some("h:9200"));
        assert_eq!(place(domain.as_ref(), Some("")), domain.as_ref().map(ToString::to_string));
        assert_eq!(place(None, None), None);
    }

    #[test]
    fn a_url_shows_no_secret() {
        let table = [
            ("https://user:pass@h.example:8088/a/b?token=x#y", "https://h.example:8088/a/b"),
            ("https://h.example", "https://h.example"),
            ("h.example/a@b", "h.example/a@b"),
            ("u:p@h.example", "h.example"),
            ("https://u:p@w@h.example/", "https://h.example/"),
        ];
        for (url, expected) in table {
            assert_eq!(without_secrets(url), expected);
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_table_and_a_host(text in "\\PC{0,30}") {
            let table = redshift_table(None, &text);
            prop_assert!(table.schema.is_some());
            prop_assert!(!UrlParts::of(&text).host.contains(['/', '@']));
        }
    }
}
