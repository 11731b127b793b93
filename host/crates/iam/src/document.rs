//! An IAM policy document, serialized in the usual order of its keys, and its length as counted by
//! IAM.

use std::collections::BTreeMap;

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

/// The version of IAM's policy language.
const VERSION: &str = "2012-10-17";

/// A policy document: everything that it allows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PolicyDocument {
    /// The statements, each with a unique `Sid`.
    pub statements: Vec<PolicyStatement>,
}

/// A statement that allows actions on resources, or for principals.
///
/// A list with one entry stays a list, so that an additional stream changes one line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PolicyStatement {
    /// The statement's name: letters and digits.
    pub sid: &'static str,
    /// The allowed actions, sorted.
    pub actions: Vec<&'static str>,
    /// ARNs, or `*`. Empty in a trust policy.
    pub resources: Vec<String>,
    /// ARNs of accounts, users and roles. Only in a trust policy.
    pub principals: Vec<String>,
    /// The external ids, one of which a request must contain. Empty if none is required.
    pub external_ids: Vec<String>,
}

impl PolicyDocument {
    /// Adds a statement that allows these actions on the resources, if there are any.
    pub(super) fn allow(
        &mut self,
        sid: &'static str,
        actions: &[&'static str],
        resources: Vec<String>,
    ) {
        if !resources.is_empty() {
            let actions = actions.to_vec();
            let statement =
                PolicyStatement { sid, actions, resources, ..PolicyStatement::default() };
            self.statements.push(statement);
        }
    }

    /// The length as counted by IAM, without white space.
    pub fn character_count(&self) -> usize {
        let text = serde_json::to_string(self).expect("a document has string keys");
        text.chars().filter(|c| !c.is_whitespace()).count()
    }
}

/// Implemented by hand to keep the usual order of keys in policies.
impl Serialize for PolicyDocument {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("Version", VERSION)?;
        map.serialize_entry("Statement", &self.statements)?;
        map.end()
    }
}

impl Serialize for PolicyStatement {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("Sid", self.sid)?;
        map.serialize_entry("Effect", "Allow")?;
        if !self.principals.is_empty() {
            map.serialize_entry("Principal", &BTreeMap::from([("AWS", &self.principals)]))?;
        }
        map.serialize_entry("Action", &self.actions)?;
        if !self.resources.is_empty() {
            map.serialize_entry("Resource", &self.resources)?;
        }
        if !self.external_ids.is_empty() {
            let ids = BTreeMap::from([("sts:ExternalId", &self.external_ids)]);
            map.serialize_entry("Condition", &BTreeMap::from([("StringEquals", ids)]))?;
        }
        map.end()
    }
}
