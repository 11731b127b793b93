//! Finds the entity of OpenMetadata for an asset.
//!
//! An entity whose full name is known is requested by name, which is always up to date. Others are
//! searched. Several hits are ambiguous: the first one could be another team's table.

use std::collections::{BTreeMap, HashMap};

use super::levels::prefix_paths;
use super::name_candidates::{self, NameCandidates};
use super::rotation::{is_rotated, newest_index};
use super::search::SearchHit;
use super::{Entity, EntityKind, OpenMetadata, Resolution, RestError, names};
use crate::{Asset, IndexRotation};

/// Finds the entities of assets, and looks up each asset only once.
#[derive(Debug)]
pub(crate) struct AssetResolver<'a> {
    server: &'a OpenMetadata,
    known: HashMap<Asset, Result<Resolution, RestError>>,
}

impl<'a> AssetResolver<'a> {
    pub(crate) fn new(server: &'a OpenMetadata) -> Self {
        AssetResolver { server, known: HashMap::new() }
    }

    /// Finds the entity of an asset.
    pub(crate) async fn resolve(&mut self, asset: &Asset) -> Result<Resolution, RestError> {
        if let Some(known) = self.known.get(asset) {
            return known.clone();
        }
        let found = self.server.resolve(asset).await;
        self.known.insert(asset.clone(), found.clone());
        found
    }
}

impl OpenMetadata {
    /// Finds the entity of an asset.
    ///
    /// # Errors
    ///
    /// Fails if the server cannot be reached.
    pub async fn resolve(&self, asset: &Asset) -> Result<Resolution, RestError> {
        if let Some(spellings) = name_candidates::name_candidates(asset) {
            return self.resolve_by_name(&spellings, asset).await;
        }
        let why = match asset {
            Asset::Objects { bucket, prefix, written } => {
                return self.resolve_objects(bucket, prefix, written).await;
            }
            Asset::SearchIndex { index, rotation, .. } => {
                return self.resolve_search_index(index, *rotation).await;
            }
            Asset::Splunk { .. } => "OpenMetadata has no entity for Splunk".to_owned(),
            Asset::HttpEndpoint { .. } => {
                "OpenMetadata has no entity for HTTP endpoints".to_owned()
            }
            Asset::Events { .. } => "events are tasks of the pipeline".to_owned(),
            Asset::DeliveryStream { .. } => "a delivery stream is a pipeline".to_owned(),
            Asset::Unsupported { what, .. } => format!("{what} is not supported"),
            // All other assets have spellings.
            _ => "a pattern is not the name of a table".to_owned(),
        };
        Ok(Resolution::Unsupported { why })
    }

    /// The services in which an asset is looked up. Empty means all services.
    fn services_of(&self, asset: &Asset) -> Vec<&str> {
        let services = &self.settings.services;
        let named = match (asset, &services.kafka) {
            (Asset::KafkaTopic { .. }, Some(kafka)) => std::slice::from_ref(kafka),
            (Asset::KafkaTopic { .. } | Asset::KinesisStream { .. }, _) => &services.messaging,
            _ => &services.database,
        };
        named.iter().map(String::as_str).collect()
    }

    async fn resolve_by_name(
        &self,
        spellings: &NameCandidates,
        asset: &Asset,
    ) -> Result<Resolution, RestError> {
        let services = self.services_of(asset);
        let mut tried = Vec::new();
        for (number, spelling) in spellings.all.iter().enumerate() {
            let mut found = Vec::new();
            let any = services.is_empty().then_some(None);
            for service in services.iter().copied().map(Some).chain(any) {
                let Some(pattern) = name_pattern(service, spelling) else { continue };
                if service.is_some() && spelling.iter().all(Option::is_some) {
                    found.extend(self.find_by_name(spellings.kind, &pattern).await?);
                } else {
                    let hits = self
                        .api
                        .search_field(spellings.kind, "fullyQualifiedName", &pattern)
                        .await?;
                    let alike = hits.into_iter().filter(|hit| {
                        has_name(&hit.entity.name, service, spelling)
                            && is_of_service_type(hit, asset)
                    });
                    found.extend(alike.map(|hit| hit.entity));
                }
                tried.push(pattern);
            }
            // The first spelling is the exact name, so the report does not mention it.
            let matched = found.first().filter(|_| number > 0).map(|entity| entity.name.clone());
            if let Some(resolution) = single_entity(found, matched) {
                return Ok(resolution);
            }
        }
        Ok(Resolution::NotFound { tried })
    }

    async fn find_by_name(
        &self,
        kind: EntityKind,
        name: &str,
    ) -> Result<Option<Entity>, RestError> {
        let path = format!("/{}/name/{}", kind.collection(), names::escape_url(name));
        let Some(answer) = self.api.get_object(&path).await? else { return Ok(None) };
        let problem = "it has no `id` or no `fullyQualifiedName`";
        let entity = Entity::read(kind, &answer);
        entity.map(Some).ok_or_else(|| RestError::unreadable("GET", &path, problem))
    }

    /// Finds the container of a prefix, or of its nearest parent.
    async fn resolve_objects(
        &self,
        bucket: &str,
        prefix: &str,
        written: &str,
    ) -> Result<Resolution, RestError> {
        let services = &self.settings.services.storage;
        let mut tried = Vec::new();
        for level in prefix_paths(bucket, prefix, written) {
            let mut found: BTreeMap<String, Entity> = BTreeMap::new();
            for path in [level.clone(), format!("{level}/")] {
                for hit in self.api.search_field(EntityKind::Container, "fullPath", &path).await? {
                    let full_path = hit.full_path.as_deref();
                    let is_path = full_path.is_some_and(|it| it.trim_end_matches('/') == level);
                    let first = || names::split_name(&hit.entity.name)?.into_iter().next();
                    let service = hit.service.clone().or_else(first);
                    let is_there = services.is_empty()
                        || service.is_some_and(|service| services.contains(&service));
                    if is_path && is_there {
                        found.insert(hit.entity.id.clone(), hit.entity);
                    }
                }
            }
            // The bucket's name is known, and the search index may be outdated.
            if found.is_empty() && level == format!("s3://{bucket}") {
                for service in services {
                    let name = names::join_parts([&**service, bucket]);
                    let Some(name) = name else { continue };
                    let entity = self.find_by_name(EntityKind::Container, &name).await?;
                    found.extend(entity.map(|entity| (entity.id.clone(), entity)));
                    tried.push(name);
                }
            }
            let matched = (!tried.is_empty()).then(|| level.clone());
            if let Some(resolution) = single_entity(found.into_values().collect(), matched) {
                return Ok(resolution);
            }
            tried.push(level);
        }
        Ok(Resolution::NotFound { tried })
    }

    /// Finds an index by its name, or the newest index of a rotation.
    async fn resolve_search_index(
        &self,
        index: &str,
        rotation: IndexRotation,
    ) -> Result<Resolution, RestError> {
        let services = &self.settings.services.search;
        let (mut tried, mut exact) = (Vec::new(), Vec::new());
        for service in services {
            let Some(name) = names::join_parts([&**service, index]) else { continue };
            exact.extend(self.find_by_name(EntityKind::SearchIndex, &name).await?);
            tried.push(name);
        }
        let mut rotated = Vec::new();
        if services.is_empty() || rotation != IndexRotation::None && exact.is_empty() {
            let value = format!("*{index}*");
            let hits = self
                .api
                .search_field(EntityKind::SearchIndex, "fullyQualifiedName", &value)
                .await?;
            for entity in hits.into_iter().map(|hit| hit.entity) {
                let parts = names::split_name(&entity.name).unwrap_or_default();
                let [service, name] = &*parts else { continue };
                let is_there = services.is_empty() || services.contains(service);
                if is_there && name == index {
                    exact.push(entity);
                } else if is_there && is_rotated(name, index, rotation) {
                    rotated.push((service.clone(), entity));
                }
            }
            tried.push(value);
        }
        let resolution = single_entity(exact, None).or_else(|| newest_index(rotated));
        Ok(resolution.unwrap_or(Resolution::NotFound { tried }))
    }
}

/// Returns the only entity. Several entities are ambiguous.
fn single_entity(mut found: Vec<Entity>, matched: Option<String>) -> Option<Resolution> {
    found.sort_by(|one, other| one.id.cmp(&other.id));
    found.dedup_by(|one, other| one.id == other.id);
    if found.len() > 1 {
        let mut candidates: Vec<_> = found.into_iter().map(|entity| entity.name).collect();
        candidates.sort();
        return Some(Resolution::Ambiguous { candidates });
    }
    found.pop().map(|entity| Resolution::Found { entity, matched })
}

/// A full name with `*` for unknown parts. `None` if it cannot be written.
fn name_pattern(service: Option<&str>, spelling: &[Option<String>]) -> Option<String> {
    let parts = [service].into_iter().chain(spelling.iter().map(Option::as_deref));
    let parts: Option<Vec<String>> =
        parts.map(|part| part.map_or_else(|| Some("*".to_owned()), names::quote_part)).collect();
    Some(parts?.join("."))
}

fn has_name(name: &str, service: Option<&str>, spelling: &[Option<String>]) -> bool {
    let Some(parts) = names::split_name(name) else { return false };
    let expected = [service].into_iter().chain(spelling.iter().map(Option::as_deref));
    parts.len() == spelling.len() + 1
        && parts
            .iter()
            .zip(expected)
            .all(|(part, expected)| expected.is_none_or(|word| word == part))
}

/// A Kafka topic does not match a Kinesis stream, regardless of its name.
fn is_of_service_type(hit: &SearchHit, asset: &Asset) -> bool {
    let Some(kind) = hit.service_type.as_deref() else { return true };
    match asset {
        Asset::KinesisStream { .. } => kind == "Kinesis",
        Asset::KafkaTopic { .. } => kind != "Kinesis",
        Asset::DynamoTable { .. } => kind == "DynamoDB",
        Asset::RedshiftTable { .. } => kind == "Redshift",
        Asset::SnowflakeTable { .. } => kind == "Snowflake",
        _ => true,
    }
}
