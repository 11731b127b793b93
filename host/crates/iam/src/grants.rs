//! The least policy for given streams, keys and wishes, and that of credentials that assume roles.

use std::collections::BTreeSet;

use super::{KeyArn, PolicyDocument, StreamLocation};

/// What a policy allows. Names of streams may hold `*`.
#[derive(Debug, Clone)]
pub struct PolicyGrants {
    /// Where the streams are.
    pub place: StreamLocation,
    /// The streams that are written to.
    pub written: BTreeSet<String>,
    /// The streams that are described.
    pub described: BTreeSet<String>,
    /// Whether the names of all streams are listed.
    pub lists: bool,
    /// Whether a data catalog is to read what all streams are.
    pub catalog: bool,
    /// Customer-managed keys that streams encrypt records with.
    pub keys: BTreeSet<KeyArn>,
}

impl PolicyGrants {
    /// The least policy that allows this.
    pub fn document(&self) -> PolicyDocument {
        let mut document = PolicyDocument::default();
        let mut allow = |sid, actions: &[_], resources| document.allow(sid, actions, resources);
        let written = &["firehose:PutRecord", "firehose:PutRecordBatch"];
        allow("WriteRecords", written, self.stream_arns(&self.written));
        let keys = self.keys.iter().map(|key| key.as_str().to_owned()).collect();
        allow("EncryptRecords", &["kms:Decrypt", "kms:GenerateDataKey"], keys);
        // A catalog describes all streams, these among them.
        let described = if self.catalog { Vec::new() } else { self.stream_arns(&self.described) };
        allow("DescribeStreams", &["firehose:DescribeDeliveryStream"], described);
        if self.lists || self.catalog {
            // The action knows no resources.
            allow("ListStreams", &["firehose:ListDeliveryStreams"], vec!["*".to_owned()]);
        }
        if self.catalog {
            let streams = vec![self.place.arn("firehose", "deliverystream/*")];
            allow("CatalogStreams", &["firehose:DescribeDeliveryStream"], streams);
            allow("ListTables", &["dynamodb:ListTables"], vec!["*".to_owned()]);
            let tables = vec![self.place.arn("dynamodb", "table/*")];
            allow("CatalogTables", &["dynamodb:DescribeKinesisStreamingDestination"], tables);
        }
        document
    }

    fn stream_arns(&self, names: &BTreeSet<String>) -> Vec<String> {
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
pub fn assume_roles_policy(roles: impl IntoIterator<Item = AssumedRole>) -> PolicyDocument {
    let roles: BTreeSet<_> = roles.into_iter().collect();
    let arns = |which: fn(&AssumedRole) -> bool| -> Vec<String> {
        let arns = roles.iter().filter(|role| which(role)).map(|role| role.arn.clone());
        BTreeSet::from_iter(arns).into_iter().collect()
    };
    let mut document = PolicyDocument::default();
    document.allow("AssumeRole", &["sts:AssumeRole"], arns(|_| true));
    let with_identity = arns(|role| role.has_source_identity);
    document.allow("SetSourceIdentity", &["sts:SetSourceIdentity"], with_identity);
    document.allow("TagSession", &["sts:TagSession"], arns(|role| role.is_tagged));
    document
}
