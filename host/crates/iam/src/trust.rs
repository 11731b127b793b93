//! Trust policies: principals, external ids (never shown in errors) and session marks.

use std::collections::BTreeSet;
use std::str::FromStr;

use super::{AccountId, InvalidName, Partition, PolicyDocument, PolicyStatement, arn_fields};

/// Who may assume a role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Principal {
    /// Every identity that this account permits to assume the role.
    Account(AccountId),
    /// The account, user, role or session of an ARN.
    Arn(String),
}

impl Principal {
    fn arn(&self, partition: Partition) -> String {
        match self {
            Principal::Account(id) => format!("arn:{partition}:iam::{id}:root"),
            Principal::Arn(arn) => arn.clone(),
        }
    }
}

impl FromStr for Principal {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        if let Ok(account) = text.parse() {
            return Ok(Principal::Account(account));
        }
        if text.contains('*') {
            return Err(InvalidName::WildcardPrincipal(text.to_owned()));
        }
        if !is_identity(text) {
            return Err(InvalidName::Principal(text.to_owned()));
        }
        Ok(Principal::Arn(text.to_owned()))
    }
}

fn is_identity(arn: &str) -> bool {
    let Some([partition, service, "", account, resource]) = arn_fields(arn) else { return false };
    let known = partition.parse::<Partition>().is_ok() && account.parse::<AccountId>().is_ok();
    known && is_identity_of(service, resource)
}

fn is_identity_of(service: &str, resource: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_+=,.@-/".contains(c);
    let (kind, name) = match resource.split_once('/') {
        None => return (service, resource) == ("iam", "root"),
        Some(parts) => parts,
    };
    let is_named = !name.is_empty() && !name.ends_with('/') && name.chars().all(allowed);
    let is_kind = match service {
        "iam" => matches!(kind, "role" | "user"),
        "sts" => kind == "federated-user" || kind == "assumed-role" && name.contains('/'),
        _ => false,
    };
    is_named && is_kind
}

/// The external id that a request to assume a role must contain, as agreed beforehand.
///
/// Some users treat it as a secret, so errors never show it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ExternalId(String);

impl std::fmt::Debug for ExternalId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ExternalId(hidden)")
    }
}

impl FromStr for ExternalId {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "_+=,.@:/-".contains(c);
        if !(2..=1224).contains(&text.len()) || !text.chars().all(allowed) {
            return Err(InvalidName::ExternalId);
        }
        Ok(ExternalId(text.to_owned()))
    }
}

/// Attributes of role sessions that the role's trust policy must permit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SessionAttributes {
    /// Whether sessions have tags.
    pub are_tagged: bool,
    /// Whether sessions have a source identity.
    pub have_source_identity: bool,
}

/// Creates the trust policy of a role that these principals may assume. If external ids are given,
/// a request must contain one of them. Accounts are of the partition.
pub fn trust_policy(
    principals: &[Principal],
    external_ids: &BTreeSet<ExternalId>,
    partition: Partition,
    marks: SessionAttributes,
) -> PolicyDocument {
    let principals: BTreeSet<_> = principals.iter().map(|one| one.arn(partition)).collect();
    let principals: Vec<_> = principals.into_iter().collect();
    let mut statements = vec![PolicyStatement {
        sid: "AssumeRole",
        actions: vec!["sts:AssumeRole"],
        principals: principals.clone(),
        external_ids: external_ids.iter().map(|id| id.0.clone()).collect(),
        ..PolicyStatement::default()
    }];
    let mut actions = Vec::new();
    actions.extend(marks.have_source_identity.then_some("sts:SetSourceIdentity"));
    actions.extend(marks.are_tagged.then_some("sts:TagSession"));
    if !actions.is_empty() {
        // A session gets its attributes only from a request that may assume the role. The first
        // statement already requires the external id.
        statements.push(PolicyStatement {
            sid: "MarkSession",
            actions,
            principals,
            ..PolicyStatement::default()
        });
    }
    PolicyDocument { statements }
}
