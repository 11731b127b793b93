//! IAM policies: what a writer of these delivery streams may do and nothing
//! more, and who may take on its role.
//!
//! Nothing here asks AWS anything, reads or writes: names in, a [`Document`]
//! out, the same for the same names. A document becomes JSON as IAM takes it, or
//! the same in Terraform's words.
//!
//! What each permission is for, and where that stands, is told in
//! `host/docs/iam.md`.

#![cfg_attr(test, allow(clippy::disallowed_methods, clippy::disallowed_types))]

mod document;
mod grants;
mod key;
mod pattern;
mod place;
mod split;
mod terraform;
mod trust;

pub use document::{Document, Statement};
pub use grants::{AssumedRole, Grants, assume_roles};
pub use key::KeyArn;
pub use pattern::{prefix_of_most, without_covered};
pub use place::{Account, Partition, Place, Region};
pub use split::split;
pub use terraform::{policies as terraform_policies, role as terraform_role};
pub use trust::{ExternalId, Principal, SessionMarks, trust};

use thiserror::Error;

/// A name that stands in no policy. Its text says what to write.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum InvalidName {
    /// It is no ARN of a KMS key, or an alias of one.
    #[error(
        "{0:?} is no ARN of a KMS key: write arn:aws:kms:REGION:ACCOUNT:key/ID; an alias does not do, \
         `aws kms describe-key --key-id alias/NAME` tells its key"
    )]
    KeyArn(String),
    /// It is none of AWS's partitions.
    #[error(
        "{0:?} is no partition of AWS: write aws, aws-cn or aws-us-gov, or leave it to the region"
    )]
    Partition(String),
    /// It has no form of a region's name.
    #[error("{0:?} is no region: write one such as us-east-1")]
    Region(String),
    /// It is a zone of a region.
    #[error("{zone:?} is an availability zone: write its region, {region}")]
    AvailabilityZone {
        /// The zone.
        zone: String,
        /// Its region.
        region: String,
    },
    /// It is no id of an account.
    #[error("{0:?} is no id of an AWS account: write its 12 digits, without hyphens")]
    Account(String),
    /// It stands for several principals.
    #[error(
        "{0:?} has a wildcard, which IAM does not take there: write each account or role by itself"
    )]
    WildcardPrincipal(String),
    /// It is neither an account nor the ARN of somebody who can assume a role.
    #[error(
        "{0:?} is no principal: write the 12 digits of an account, or an ARN such as \
         arn:aws:iam::ACCOUNT:role/NAME"
    )]
    Principal(String),
    /// It is no external id. Some take that for a secret, so it is not here.
    #[error(
        "it is no external id: STS takes 2 to 1224 of the characters a-z, A-Z, 0-9 and _ + = , . @ : / -"
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
