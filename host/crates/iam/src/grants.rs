//! The least policy for given streams, keys and wishes, and that of credentials that assume roles.

use std::collections::BTreeSet;

use super::{Document, KeyArn, Place, Statement};

/// What somebody is to be allowed. Names of streams may hold `*`.
#[derive(Debug, Clone)]
pub struct Grants {
    /// Where the streams are.
    pub place: Place,
    /// The streams that are written to.
    pub written: BTreeSet<String>,
    /// The streams whose descriptions are asked for.
    pub described: BTreeSet<String>,
    /// Whether the names of all streams are asked for.
    pub lists: bool,
    /// Whether a data catalog is to read what all streams are.
    pub catalog: bool,
    /// Customer-managed keys that streams encrypt records with.
    pub keys: BTreeSet<KeyArn>,
}

impl Grants {
    /// The least policy that allows this.
    pub fn document(&self) -> Document {
        let mut statements = Vec::new();
        let mut allow = |sid, actions: &[&'static str], resources: Vec<String>| {
            if !resources.is_empty() {
                let actions = actions.to_vec();
                statements.push(Statement { sid, actions, resources, ..Statement::default() });
            }
        };
        let written = &["firehose:PutRecord", "firehose:PutRecordBatch"];
        allow("WriteRecords", written, self.streams(&self.written));
        let keys = self.keys.iter().map(|key| key.as_str().to_owned()).collect();
        allow("EncryptRecords", &["kms:Decrypt", "kms:GenerateDataKey"], keys);
        // A catalog describes all streams, these among them.
        let described = if self.catalog { Vec::new() } else { self.streams(&self.described) };
        allow("DescribeStreams", &["firehose:DescribeDeliveryStream"], described);
        if self.lists || self.catalog {
            // The action knows no resources.
            allow("ListStreams", &["firehose:ListDeliveryStreams"], vec!["*".to_owned()]);
        }
        if self.catalog {
            let read = &["firehose:DescribeDeliveryStream", "firehose:ListTagsForDeliveryStream"];
            allow("CatalogStreams", read, vec![self.place.arn("firehose", "deliverystream/*")]);
            allow("ListTables", &["dynamodb:ListTables"], vec!["*".to_owned()]);
            let tables = vec![self.place.arn("dynamodb", "table/*")];
            allow("CatalogTables", &["dynamodb:DescribeKinesisStreamingDestination"], tables);
        }
        Document { statements }
    }

    fn streams(&self, names: &BTreeSet<String>) -> Vec<String> {
        let arn = |name: &String| self.place.arn("firehose", &format!("deliverystream/{name}"));
        names.iter().map(arn).collect()
    }
}

/// A role that is assumed, and what its sessions are marked with.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct AssumedRole {
    /// Its ARN.
    pub arn: String,
    /// Whether its sessions have tags.
    pub is_tagged: bool,
    /// Whether its sessions say who is behind them.
    pub has_source_identity: bool,
}

/// What the credentials need with which these roles are assumed. Marking a session is
/// allowed apart from beginning it.
pub fn assume_roles(roles: impl IntoIterator<Item = AssumedRole>) -> Document {
    let roles: BTreeSet<_> = roles.into_iter().collect();
    let arns = |which: fn(&AssumedRole) -> bool| -> Vec<String> {
        let arns = roles.iter().filter(|role| which(role)).map(|role| role.arn.clone());
        BTreeSet::from_iter(arns).into_iter().collect()
    };
    let statements = [
        ("AssumeRole", "sts:AssumeRole", arns(|_| true)),
        ("SetSourceIdentity", "sts:SetSourceIdentity", arns(|role| role.has_source_identity)),
        ("TagSession", "sts:TagSession", arns(|role| role.is_tagged)),
    ];
    let statements = statements.into_iter().filter(|(_, _, resources)| !resources.is_empty());
    Document {
        statements: statements
            .map(|(sid, action, resources)| Statement {
                sid,
                actions: vec![action],
                resources,
                ..Statement::default()
            })
            .collect(),
    }
}
