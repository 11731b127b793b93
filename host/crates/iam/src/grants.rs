//! The minimal policy for given streams, keys and options, and the policy of credentials that
//! assume roles.

use std::collections::BTreeSet;

use super::{KeyArn, PolicyDocument, StreamLocation};

/// The permissions of a policy. Names of streams may contain `*`.
#[derive(Debug, Clone)]
pub struct PolicyGrants {
    /// The location of the streams.
    pub place: StreamLocation,
    /// The streams to write to.
    pub written: BTreeSet<String>,
    /// The streams to describe.
    pub described: BTreeSet<String>,
    /// Whether to list the names of all streams.
    pub lists: bool,
    /// Whether a data catalog reads the descriptions of all streams.
    pub catalog: bool,
    /// Customer-managed keys with which streams encrypt records.
    pub keys: BTreeSet<KeyArn>,
    /// The queue between collectors and mappers.
    pub queue: Option<QueueGrants>,
}

/// The permissions on a queue in Amazon SQS.
#[derive(Debug, Clone)]
pub struct QueueGrants {
    /// The location of the queue.
    pub place: StreamLocation,
    /// The queue's name.
    pub name: String,
    /// Whether to send messages, as collectors do.
    pub sends: bool,
    /// Whether to receive messages, as mappers do.
    pub receives: bool,
    /// Whether to create the queue, and to read and set its attributes.
    pub manages: bool,
}

impl PolicyGrants {
    /// The minimal policy with these permissions.
    pub fn document(&self) -> PolicyDocument {
        let mut document = PolicyDocument::default();
        let mut allow = |sid, actions: &[_], resources| document.allow(sid, actions, resources);
        let written = &["firehose:PutRecord", "firehose:PutRecordBatch"];
        allow("WriteRecords", written, self.stream_arns(&self.written));
        let keys = self.keys.iter().map(|key| key.as_str().to_owned()).collect();
        allow("EncryptRecords", &["kms:Decrypt", "kms:GenerateDataKey"], keys);
        // A catalog describes all streams, including these.
        let described = if self.catalog { Vec::new() } else { self.stream_arns(&self.described) };
        allow("DescribeStreams", &["firehose:DescribeDeliveryStream"], described);
        if self.lists || self.catalog {
            // The action does not support resources.
            allow("ListStreams", &["firehose:ListDeliveryStreams"], vec!["*".to_owned()]);
        }
        if self.catalog {
            let streams = vec![self.place.arn("firehose", "deliverystream/*")];
            allow("CatalogStreams", &["firehose:DescribeDeliveryStream"], streams);
            allow("ListTables", &["dynamodb:ListTables"], vec!["*".to_owned()]);
            let tables = vec![self.place.arn("dynamodb", "table/*")];
            allow("CatalogTables", &["dynamodb:DescribeKinesisStreamingDestination"], tables);
        }
        if let Some(queue) = &self.queue {
            queue.allow(&mut document);
        }
        document
    }

    fn stream_arns(&self, names: &BTreeSet<String>) -> Vec<String> {
        let arn = |name: &String| self.place.arn("firehose", &format!("deliverystream/{name}"));
        names.iter().map(arn).collect()
    }
}

impl QueueGrants {
    fn allow(&self, document: &mut PolicyDocument) {
        let QueueGrants { place, name, sends, receives, manages } = self;
        let mut allow = |is_allowed: bool, sid, actions: &[_]| {
            let queues = is_allowed.then(|| place.arn("sqs", name));
            document.allow(sid, actions, queues.into_iter().collect());
        };
        allow(*sends, "SendMessages", &["sqs:SendMessage"]);
        // The actions also allow requests for several messages, which have no actions of their own.
        let received = &[
            "sqs:ChangeMessageVisibility",
            "sqs:DeleteMessage",
            "sqs:GetQueueAttributes",
            "sqs:ReceiveMessage",
        ];
        allow(*receives, "ReceiveMessages", received);
        let managed = &["sqs:CreateQueue", "sqs:GetQueueAttributes", "sqs:SetQueueAttributes"];
        allow(*manages, "ManageQueue", managed);
    }
}

/// A role to assume, and the attributes of its sessions.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct AssumedRole {
    /// The role's ARN.
    pub arn: String,
    /// Whether the sessions have tags.
    pub is_tagged: bool,
    /// Whether the sessions have a source identity.
    pub has_source_identity: bool,
}

/// The permissions of credentials that assume these roles. Session attributes need separate
/// permissions.
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
