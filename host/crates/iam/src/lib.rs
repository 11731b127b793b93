//! IAM policies: what a writer of these delivery streams may do and nothing
//! more, and who may take on its role.
//!
//! Nothing here asks AWS anything, reads or writes: names in, a [`PolicyDocument`]
//! out, the same for the same names. A document becomes JSON as IAM takes it, or
//! the same in Terraform's words.
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
pub use grants::{AssumedRole, PolicyGrants, assume_roles_policy};
pub use key::KeyArn;
pub use location::{AccountId, Partition, Region, StreamLocation};
pub use pattern::{most_common_prefix, remove_covered};
pub use split::split_document;
pub use terraform::{terraform_policies, terraform_role};
pub use trust::{ExternalId, Principal, SessionAttributes, trust_policy};

use thiserror::Error;

/// A name that stands in no policy. Its text says what to write.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum InvalidName {
    /// It is not the ARN of a KMS key, or is an alias of one.
    #[error(
        "{0:?} is not the ARN of a KMS key: write arn:aws:kms:REGION:ACCOUNT:key/ID; an alias is not enough, \
         `aws kms describe-key --key-id alias/NAME` prints its key"
    )]
    KeyArn(String),
    /// It is none of AWS's partitions.
    #[error(
        "{0:?} is not an AWS partition: write aws, aws-cn or aws-us-gov, or omit it to use the region's"
    )]
    Partition(String),
    /// It has no form of a region's name.
    #[error("{0:?} is not a region: write one such as us-east-1")]
    Region(String),
    /// It is a zone of a region.
    #[error("{zone:?} is an availability zone: write its region, {region}")]
    AvailabilityZone {
        /// The zone.
        zone: String,
        /// Its region.
        region: String,
    },
    /// It is not an account id.
    #[error("{0:?} is not an AWS account id: write its 12 digits, without hyphens")]
    Account(String),
    /// It stands for several principals.
    #[error("{0:?} has a wildcard, which IAM does not accept there: list each account or role")]
    WildcardPrincipal(String),
    /// It is neither an account nor the ARN of somebody who can assume a role.
    #[error(
        "{0:?} is not a principal: write the 12 digits of an account, or an ARN such as \
         arn:aws:iam::ACCOUNT:role/NAME"
    )]
    Principal(String),
    /// It is not an external id. Some treat external ids as secrets, so it is not kept here.
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
