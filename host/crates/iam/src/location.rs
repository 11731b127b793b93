//! Partition, region and account of ARNs, with a check of their form.

use std::fmt;
use std::str::FromStr;

use super::InvalidName;

/// AWS's partitions by the prefixes of their regions. All other regions belong to the partition
/// `aws`. From botocore's `partitions.json`.
const PARTITIONS: &[(&str, &str)] = &[
    ("cn-", "aws-cn"),
    ("us-gov-", "aws-us-gov"),
    ("eusc-", "aws-eusc"),
    ("us-iso-", "aws-iso"),
    ("us-isob-", "aws-iso-b"),
    ("eu-isoe-", "aws-iso-e"),
    ("us-isof-", "aws-iso-f"),
];

const COMMERCIAL: &str = "aws";

/// A group of regions with separate accounts and ARNs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Partition(&'static str);

impl Partition {
    /// The partition of a region.
    pub fn of_region(region: &Region) -> Self {
        let found = PARTITIONS.iter().find(|(prefix, _)| region.0.starts_with(prefix));
        Partition(found.map_or(COMMERCIAL, |(_, name)| name))
    }

    /// The partition of an ARN. `None` if the text is not an ARN, or if the partition is unknown.
    pub fn of_arn(arn: &str) -> Option<Self> {
        super::arn_fields(arn)?[0].parse().ok()
    }

    /// The name of the partition in ARNs.
    pub fn as_str(self) -> &'static str {
        self.0
    }
}

impl Default for Partition {
    fn default() -> Self {
        Partition(COMMERCIAL)
    }
}

impl FromStr for Partition {
    type Err = InvalidName;

    fn from_str(name: &str) -> Result<Self, InvalidName> {
        let known = PARTITIONS.iter().map(|&(_, known)| known);
        known
            .chain([COMMERCIAL])
            .find(|&known| known == name)
            .map(Partition)
            .ok_or_else(|| InvalidName::Partition(name.to_owned()))
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// The name of a region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Region(String);

impl FromStr for Region {
    type Err = InvalidName;

    fn from_str(name: &str) -> Result<Self, InvalidName> {
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if name.is_empty() || !name.bytes().all(allowed) {
            return Err(InvalidName::Region(name.to_owned()));
        }
        // The name of a zone is that of its region, followed by a letter.
        let region = name.trim_end_matches(|c: char| c.is_ascii_lowercase());
        if region.len() < name.len() && region.ends_with(|c: char| c.is_ascii_digit()) {
            return Err(InvalidName::AvailabilityZone {
                zone: name.to_owned(),
                region: region.to_owned(),
            });
        }
        Ok(Region(name.to_owned()))
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The id of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountId(String);

impl AccountId {
    /// The account in an ARN, if there is one.
    pub fn of_arn(arn: &str) -> Option<Self> {
        super::arn_fields(arn)?[3].parse().ok()
    }
}

impl FromStr for AccountId {
    type Err = InvalidName;

    fn from_str(id: &str) -> Result<Self, InvalidName> {
        if id.len() != 12 || !id.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(InvalidName::Account(id.to_owned()));
        }
        Ok(AccountId(id.to_owned()))
    }
}

impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The location of delivery streams.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamLocation {
    /// The partition.
    pub partition: Partition,
    /// The region.
    pub region: Region,
    /// The account.
    pub account: AccountId,
}

impl StreamLocation {
    pub(super) fn arn(&self, service: &str, resource: &str) -> String {
        let StreamLocation { partition, region, account } = self;
        format!("arn:{partition}:{service}:{region}:{account}:{resource}")
    }
}
