//! IAM policies: the minimal permissions of a writer to these delivery streams, and who may assume
//! its role.
//!
//! This crate does no input or output: it converts names to a [`PolicyDocument`], which is always
//! the same for the same names. A document can be converted to JSON for IAM, or to Terraform.
//!
//! `host/docs/iam.md` explains each permission, with its source.

#![cfg_attr(test, allow(clippy::disallowed_methods, clippy::disallowed_types))]

mod document;
mod grants;
mod key;
mod location;
mod pattern;
mod split;
mod terraform;
mod trust;

pub use document::{PolicyDocument, PolicyStatement};
pub use grants::{AssumedRole, PolicyGrants, QueueGrants, assume_roles_policy};
pub use key::KeyArn;
pub use location::{AccountId, Partition, Region, StreamLocation};
pub use pattern::{most_common_prefix, remove_covered};
pub use split::split_document;
pub use terraform::{terraform_policies, terraform_role};
pub use trust::{ExternalId, Principal, SessionAttributes, trust_policy};

use thiserror::Error;

/// A name that cannot be part of a policy. The message says what to write instead.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum InvalidName {
    /// The text is not the ARN of a KMS key, or is the ARN of an alias.
    #[error(
        "{0:?} is not the ARN of a KMS key: write arn:aws:kms:REGION:ACCOUNT:key/ID; an alias is not enough, \
         `aws kms describe-key --key-id alias/NAME` prints its key"
    )]
    KeyArn(String),
    /// The text is not an AWS partition.
    #[error(
        "{0:?} is not an AWS partition: write aws, aws-cn or aws-us-gov, or omit it to use the region's"
    )]
    Partition(String),
    /// The text does not have the form of a region's name.
    #[error("{0:?} is not a region: write one such as us-east-1")]
    Region(String),
    /// The text is a zone of a region.
    #[error("{zone:?} is an availability zone: write its region, {region}")]
    AvailabilityZone {
        /// The zone.
        zone: String,
        /// The region of the zone.
        region: String,
    },
    /// The text is not an account id.
    #[error("{0:?} is not an AWS account id: write its 12 digits, without hyphens")]
    Account(String),
    /// The text stands for several principals.
    #[error("{0:?} has a wildcard, which IAM does not accept there: list each account or role")]
    WildcardPrincipal(String),
    /// The text is neither an account nor the ARN of an identity that can assume a role.
    #[error(
        "{0:?} is not a principal: write the 12 digits of an account, or an ARN such as \
         arn:aws:iam::ACCOUNT:role/NAME"
    )]
    Principal(String),
    /// The text is not an external id. Some users treat external ids as secrets, so the error does
    /// not contain it.
    #[error(
        "invalid external id: STS accepts 2 to 1224 of the characters a-z, A-Z, 0-9 and _ + = , . @ : / -"
    )]
    ExternalId,
}

/// The fields of an ARN: partition, service, region, account and resource.
fn arn_fields(arn: &str) -> Option<[&str; 5]> {
    let mut fields = arn.strip_prefix("arn:")?.splitn(5, ':');
    let mut next = || fields.next();
    Some([next()?, next()?, next()?, next()?, next()?])
}

#[cfg(test)]
mod tests;
