//! Trust policies: principals, external ids (never shown in errors) and session marks.

use std::collections::BTreeSet;
use std::str::FromStr;

use super::{AccountId, InvalidName, Partition, PolicyDocument, PolicyStatement, arn_fields};

/// Who may assume a role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Principal {
    /// All that an account allows to.
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

/// What a request to assume a role must bring, agreed on beforehand.
///
/// Some take it for a secret, so that no error shows it.
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

/// What the sessions of a role are marked with, which its trust must allow too.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SessionAttributes {
    /// Whether they have tags.
    pub are_tagged: bool,
    /// Whether they say who is behind them.
    pub have_source_identity: bool,
}

/// The trust policy of a role that these may assume, with one of the external
/// ids where there are any. Accounts are of the partition.
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
        // Only a request that may assume the role can mark its session, so the external id
        // is asked for above alone.
        statements.push(PolicyStatement {
            sid: "MarkSession",
            actions,
            principals,
            ..PolicyStatement::default()
        });
    }
    PolicyDocument { statements }
}
