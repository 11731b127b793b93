//! The server's search. Its index may be outdated and match loosely, so hits are checked before
//! use.

use serde_json::Value;

use super::api::{Api, text_field};
use super::{Entity, EntityKind, RestError, names};

/// Maximum number of hits. More than one hit is usually ambiguous, but all hits of a rotated index
/// count as one.
const CATALOG_HITS_MAX: usize = 1000;

/// A found entity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SearchHit {
    pub(super) entity: Entity,
    pub(super) full_path: Option<String>,
    pub(super) service: Option<String>,
    pub(super) service_type: Option<String>,
}

/// Hits on one page.
const PAGE: usize = 100;

impl Api {
    /// Searches for a value of a field. `*` stands for any text.
    pub(super) async fn search_field(
        &self,
        kind: EntityKind,
        field: &str,
        value: &str,
    ) -> Result<Vec<SearchHit>, RestError> {
        let mut found: Vec<SearchHit> = Vec::new();
        for from in (0..CATALOG_HITS_MAX).step_by(PAGE) {
            let path = format!(
                "/search/fieldQuery?fieldName={field}&fieldValue={}&index={}&from={from}&size={PAGE}&deleted=false",
                names::escape_url(value),
                kind.index(),
            );
            // A server without the index of a kind has no entities of this kind.
            let Some(answer) = self.get_object(&path).await? else { break };
            let page = read_hits(kind, &answer);
            let SearchPage { hits, is_last } =
                page.map_err(|problem| RestError::unreadable("GET", &path, problem))?;
            for hit in hits {
                if !found.iter().any(|other| other.entity.id == hit.entity.id) {
                    found.push(hit);
                }
            }
            if is_last {
                break;
            }
        }
        Ok(found)
    }
}

/// A page of a search.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SearchPage {
    /// The hits, without deleted entities.
    pub hits: Vec<SearchHit>,
    /// Whether this is the last page.
    pub is_last: bool,
}

/// Reads the response of a search.
///
/// # Errors
///
/// Fails if the text is not the response of a search, or if a hit cannot be read, because it could
/// be the right one.
pub fn read_hits(kind: EntityKind, answer: &Value) -> Result<SearchPage, &'static str> {
    let found = answer.get("hits").and_then(|hits| hits.get("hits")).and_then(Value::as_array);
    let found = found.ok_or("it has no `hits.hits`")?;
    let mut hits = Vec::new();
    for one in found {
        let source = one.get("_source").ok_or("a hit has no `_source`")?;
        if source.get("deleted") != Some(&Value::Bool(true)) {
            let hit = read_hit(kind, source);
            hits.push(hit.ok_or("a hit has no `id` or no `fullyQualifiedName`")?);
        }
    }
    // Deleted entities also use space on a page.
    Ok(SearchPage { hits, is_last: found.len() < PAGE })
}

fn read_hit(kind: EntityKind, source: &Value) -> Option<SearchHit> {
    let service = source.get("service").and_then(|service| text_field(service, "name"));
    Some(SearchHit {
        entity: Entity::read(kind, source)?,
        full_path: text_field(source, "fullPath").map(str::to_owned),
        service: service.map(str::to_owned),
        service_type: text_field(source, "serviceType").map(str::to_owned),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn hits_are_read_without_what_is_deleted() {
        let source = |id: &str| json!({"_source": {"id": id, "fullyQualifiedName": "a.b"}});
        let mut deleted = source("2");
        deleted["_source"]["deleted"] = true.into();
        let answer = |hits: &[Value]| json!({"hits": {"hits": hits}});
        let page = read_hits(EntityKind::Table, &answer(&[source("1"), deleted.clone()])).unwrap();
        assert_eq!((page.hits.len(), page.is_last), (1, true));
        // A full page is not the last one, even if many of its hits are deleted.
        let page = read_hits(EntityKind::Table, &answer(&vec![deleted; PAGE])).unwrap();
        assert_eq!((page.hits.len(), page.is_last), (0, false));
        for strange in [json!({"_source": {}}), json!(3), source(""), json!({"_source": null})] {
            let answer = answer(&[source("1"), strange]);
            assert!(read_hits(EntityKind::Table, &answer).is_err(), "{answer}");
        }
        for strange in [json!(null), json!({}), json!({"hits": []}), json!({"hits": {"hits": {}}})]
        {
            assert!(read_hits(EntityKind::Table, &strange).is_err(), "{strange}");
        }
    }

    /// Responses that are nearly valid.
    fn answers() -> impl Strategy<Value = Value> {
        let leaf =
            prop_oneof![Just(json!(null)), Just(json!("a.b")), Just(json!(1)), Just(json!(true))];
        leaf.prop_recursive(5, 40, 4, |inner| {
            let key = prop::sample::select(vec![
                "hits",
                "_source",
                "id",
                "fullyQualifiedName",
                "service",
                "name",
            ]);
            let object = prop::collection::hash_map(key, inner.clone(), 0..4);
            prop_oneof![
                prop::collection::vec(inner, 0..3).prop_map(Value::from),
                object.prop_map(|object| json!(object)),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_found_has_an_id_and_a_name(answer in answers(), inner in answers()) {
            let wrapped = json!({"hits": {"hits": [{"_source": inner}, answer]}});
            for page in [read_hits(EntityKind::Topic, &wrapped), read_hits(EntityKind::Topic, &answer)] {
                for hit in page.map(|page| page.hits).unwrap_or_default() {
                    prop_assert!(!hit.entity.id.is_empty() && !hit.entity.name.is_empty());
                }
            }
        }
    }
}
