//! ARNs of KMS keys. Aliases are rejected, because IAM would accept a policy for an alias, although
//! it permits nothing.

use std::str::FromStr;

use super::{InvalidName, arn_fields};

/// The ARN of a KMS key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyArn(String);

impl KeyArn {
    /// The ARN's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for KeyArn {
    type Err = InvalidName;

    /// Rejects an alias: IAM would accept a policy for it, although it permits nothing.
    fn from_str(arn: &str) -> Result<Self, InvalidName> {
        let id = match arn_fields(arn) {
            Some([_, "kms", region, account, resource])
                if !region.is_empty() && !account.is_empty() =>
            {
                resource.strip_prefix("key/").unwrap_or_default()
            }
            _ => "",
        };
        let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-';
        if id.is_empty() || !id.chars().all(allowed) {
            return Err(InvalidName::KeyArn(arn.to_owned()));
        }
        Ok(KeyArn(arn.to_owned()))
    }
}
