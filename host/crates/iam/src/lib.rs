//! IAM policies: what a writer of these delivery streams may do and nothing
//! more, and who may take on its role.
//!
//! Nothing here asks AWS anything, reads or writes: names in, a [`Document`]
//! out, the same for the same names. A document becomes JSON as IAM takes it, or
//! the same in Terraform's words.
//!
//! What each permission is for, and where that stands, is told in
//! `host/docs/iam.md`.

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
#[error("{0}")]
pub struct BadName(String);

impl BadName {
    fn new(text: impl Into<String>) -> Self {
        BadName(text.into())
    }
}

/// The fields of an ARN: partition, service, region, account and resource.
fn arn_fields(arn: &str) -> Option<[&str; 5]> {
    let mut fields = arn.strip_prefix("arn:")?.splitn(5, ':');
    let mut next = || fields.next();
    Some([next()?, next()?, next()?, next()?, next()?])
}

#[cfg(test)]
mod tests;
