//! Entities of OpenMetadata with id, kind and full name, and the outcome of a lookup: found, not
//! found, ambiguous or unsupported.

use serde::Serialize;
use serde_json::{Value, json};

use super::api::text_field;

/// An entity in OpenMetadata.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Entity {
    /// The entity's id.
    pub id: String,
    /// The entity's kind.
    #[serde(rename = "type")]
    pub kind: EntityKind,
    /// The entity's full name.
    pub name: String,
}

/// The kind of an entity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum EntityKind {
    /// A table.
    Table,
    /// A topic, or a Kinesis stream.
    Topic,
    /// A bucket, or objects in a bucket.
    Container,
    /// A search index.
    SearchIndex,
    /// A pipeline.
    Pipeline,
}

/// The outcome of looking up an asset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resolution {
    /// The entity was found.
    Found {
        /// The entity.
        entity: Entity,
        /// The name that matched, if it was not the first one that was tried.
        matched: Option<String>,
    },
    /// The asset is not in OpenMetadata.
    NotFound {
        /// The names that were tried.
        tried: Vec<String>,
    },
    /// Several entities match.
    Ambiguous {
        /// The full names of these entities.
        candidates: Vec<String>,
    },
    /// OpenMetadata has no entity for the asset, or its name there is unknown.
    Unsupported {
        /// The reason.
        why: String,
    },
}

impl EntityKind {
    /// The kind's word in references and in paths of lineage.
    pub fn word(self) -> &'static str {
        self.words().0
    }

    pub(super) fn collection(self) -> &'static str {
        self.words().1
    }

    pub(super) fn index(self) -> &'static str {
        self.words().2
    }

    /// The kind's word, its collection in the API, and its search index.
    fn words(self) -> (&'static str, &'static str, &'static str) {
        match self {
            EntityKind::Table => ("table", "tables", "table_search_index"),
            EntityKind::Topic => ("topic", "topics", "topic_search_index"),
            EntityKind::Container => ("container", "containers", "container_search_index"),
            EntityKind::SearchIndex => {
                ("searchIndex", "searchIndexes", "search_entity_search_index")
            }
            EntityKind::Pipeline => ("pipeline", "pipelines", "pipeline_search_index"),
        }
    }
}

impl Entity {
    /// Reads an entity of a response.
    pub(super) fn read(kind: EntityKind, answer: &Value) -> Option<Self> {
        let id = text_field(answer, "id")?.to_owned();
        let name = text_field(answer, "fullyQualifiedName")?.to_owned();
        Some(Entity { id, kind, name })
    }

    /// Returns a reference. Servers require the id.
    pub(super) fn reference(&self) -> Value {
        json!({"id": self.id, "type": self.kind.word()})
    }
}
