//! Amazon Resource Names, parsed and printed. Any other text is rejected.

use std::fmt;

use serde::{Serialize, Serializer};

/// The name of an AWS resource: `arn:PARTITION:SERVICE:REGION:ACCOUNT:RESOURCE`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Arn {
    /// The partition: `aws`, `aws-cn`, `aws-us-gov`, ...
    pub partition: String,
    /// The service, such as `kinesis`.
    pub service: String,
    /// The region. Empty for resources without one, such as buckets.
    pub region: String,
    /// The account, twelve digits. Empty for resources without one, such as buckets.
    pub account: String,
    /// The rest, such as `stream/NAME`.
    pub resource: String,
}

impl Arn {
    /// Parses an ARN. Returns `None` if the text is not one.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(6, ':');
        let is_arn = parts.next() == Some("arn");
        let mut part = || parts.next().map(str::to_owned);
        let arn = Arn {
            partition: part()?,
            service: part()?,
            region: part()?,
            account: part()?,
            resource: part()?,
        };
        (is_arn && !arn.service.is_empty() && !arn.resource.is_empty()).then_some(arn)
    }

    /// The resource without its type: `NAME` of `stream/NAME` and of `NAME`.
    pub fn name(&self) -> &str {
        self.resource.split_once('/').map_or(&*self.resource, |(_, name)| name)
    }
}

impl fmt::Display for Arn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Arn { partition, service, region, account, resource } = self;
        write!(f, "arn:{partition}:{service}:{region}:{account}:{resource}")
    }
}

impl Serialize for Arn {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_arn_is_taken_apart() {
        let arn = Arn::parse("arn:aws:kinesis:eu-west-1:123456789012:stream/a/b").unwrap();
        assert_eq!((&*arn.service, arn.name()), ("kinesis", "a/b"));
        assert_eq!(Arn::parse("arn:aws:s3:::bucket").unwrap().name(), "bucket");
        for none in ["", "arn:aws:s3", "a:aws:s3:::b", "arn:aws:s3:::", "arn:aws::::b"] {
            assert_eq!(Arn::parse(none), None, "{none}");
        }
    }

    proptest! {
        #[test]
        fn printed_it_is_the_same(text in "(arn:)?[a-z:/]{0,30}") {
            if let Some(arn) = Arn::parse(&text) {
                prop_assert_eq!(arn.to_string(), text);
            }
        }
    }
}
