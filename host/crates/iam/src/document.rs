//! An IAM policy document, serialised in the order in which people write it, and its length as IAM
//! counts it.

use std::collections::BTreeMap;

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

/// The version of IAM's policy language.
const VERSION: &str = "2012-10-17";

/// A policy document: all that is allowed by it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PolicyDocument {
    /// Its statements, each with a `Sid` of its own.
    pub statements: Vec<PolicyStatement>,
}

/// What is allowed, on what or to whom.
///
/// Lists stay lists where they hold one entry, so that a further stream changes
/// one line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PolicyStatement {
    /// Its name: letters and digits.
    pub sid: &'static str,
    /// What is allowed, sorted.
    pub actions: Vec<&'static str>,
    /// ARNs, or `*`; none in a trust policy.
    pub resources: Vec<String>,
    /// ARNs of accounts, users and roles; only in a trust policy.
    pub principals: Vec<String>,
    /// The external ids of which a request must bring one; none if it need not.
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

    /// Its length as IAM counts it, without white space.
    pub fn character_count(&self) -> usize {
        let text = serde_json::to_string(self).expect("a document has string keys");
        text.chars().filter(|c| !c.is_whitespace()).count()
    }
}

/// Written by hand to keep the order in which people write policies.
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
