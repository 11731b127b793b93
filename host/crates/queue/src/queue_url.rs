//! The URL of a queue in Amazon SQS: its host, its account and its name, which the ARN is made of.

use thiserror::Error;

/// Characters of a queue's name, according to the documentation of Amazon SQS.
const NAME_CHARACTERS_MAX: usize = 80;

/// How the name of a FIFO queue ends.
const FIFO_SUFFIX: &str = ".fifo";

/// The URL of a standard queue: `https://HOST/ACCOUNT/NAME`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueUrl {
    text: String,
    /// Bytes of the scheme and the host.
    origin_bytes: usize,
    /// Where the name begins.
    name_start: usize,
}

/// Why a text is not the URL of a queue that can be used. The texts say what to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum InvalidQueueUrl {
    /// It has another form.
    #[error(
        "is not the URL of a queue: write https://HOST/ACCOUNT/NAME, such as \"https://sqs.eu-central-1.amazonaws.com/111122223333/standpipe\""
    )]
    Form,
    /// The queue is a FIFO queue.
    #[error(
        "is the URL of a FIFO queue, which delivers the next messages of a group only when those before are acknowledged: use a standard queue"
    )]
    Fifo,
}

impl QueueUrl {
    /// Parses the URL of a queue.
    ///
    /// # Errors
    ///
    /// The text is another URL, or that of a FIFO queue.
    pub fn parse(text: &str) -> Result<Self, InvalidQueueUrl> {
        let host = ["https://", "http://"].iter().find_map(|scheme| text.strip_prefix(scheme));
        let (host, path) =
            host.and_then(|rest| rest.split_once('/')).ok_or(InvalidQueueUrl::Form)?;
        let (account, name) = path.split_once('/').ok_or(InvalidQueueUrl::Form)?;
        let is_in_host = |byte: u8| byte.is_ascii_alphanumeric() || b"-.:[]".contains(&byte);
        let is_account = account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
        if host.is_empty() || !host.bytes().all(is_in_host) || !is_account {
            return Err(InvalidQueueUrl::Form);
        }
        let (stem, is_fifo) = match name.strip_suffix(FIFO_SUFFIX) {
            Some(stem) => (stem, true),
            None => (name, false),
        };
        let is_in_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        if stem.is_empty() || name.len() > NAME_CHARACTERS_MAX || !stem.bytes().all(is_in_name) {
            return Err(InvalidQueueUrl::Form);
        }
        if is_fifo {
            return Err(InvalidQueueUrl::Fifo);
        }
        let name_start = text.len() - name.len();
        let origin_bytes = name_start - account.len() - 2;
        Ok(QueueUrl { text: text.to_owned(), origin_bytes, name_start })
    }

    /// Returns the whole URL.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns scheme, host and port.
    pub fn origin(&self) -> &str {
        &self.text[..self.origin_bytes]
    }

    /// Returns the id of the account.
    pub fn account(&self) -> &str {
        &self.text[self.origin_bytes + 1..self.name_start - 1]
    }

    /// Returns the name of the queue.
    pub fn name(&self) -> &str {
        &self.text[self.name_start..]
    }

    /// Returns the region in the name of the host. None for other hosts than those of AWS, and for AWS's oldest
    /// one, `queue.amazonaws.com`.
    pub fn region(&self) -> Option<&str> {
        let host = self.origin().rsplit('/').next()?;
        let host = ["amazonaws.com", "amazonaws.com.cn", "api.aws", "api.amazonwebservices.com.cn"]
            .iter()
            .find_map(|suffix| host.strip_suffix(suffix)?.strip_suffix('.'))?;
        // `REGION.queue` is older than `sqs.REGION`; an endpoint of a VPC is `ID.sqs.REGION.vpce`.
        let labels: Vec<_> = host.split('.').collect();
        match labels[..] {
            ["sqs" | "sqs-fips", region]
            | [region, "queue"]
            | [_, "sqs" | "sqs-fips", region, "vpce"] => Some(region),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_parts_of_a_url_are_told_apart() {
        let url =
            QueueUrl::parse("https://sqs.eu-central-1.amazonaws.com/111122223333/standpipe-1_A");
        let url = url.unwrap();
        assert_eq!(url.origin(), "https://sqs.eu-central-1.amazonaws.com");
        assert_eq!((url.account(), url.name()), ("111122223333", "standpipe-1_A"));
        let local = QueueUrl::parse("http://127.0.0.1:5000/123456789012/q").unwrap();
        assert_eq!((local.origin(), local.region()), ("http://127.0.0.1:5000", None));
    }

    #[test]
    fn the_region_is_in_the_hosts_name() {
        for (host, region) in [
            ("sqs.eu-central-1.amazonaws.com", Some("eu-central-1")),
            ("sqs.cn-north-1.amazonaws.com.cn", Some("cn-north-1")),
            ("sqs-fips.us-east-1.amazonaws.com", Some("us-east-1")),
            ("sqs.us-west-2.api.aws", Some("us-west-2")),
            ("us-west-2.queue.amazonaws.com", Some("us-west-2")),
            ("vpce-0a-1b.sqs.us-east-2.vpce.amazonaws.com", Some("us-east-2")),
            ("queue.amazonaws.com", None),
            ("sqs.example.com", None),
            ("localhost:5000", None),
        ] {
            let url = QueueUrl::parse(&format!("https://{host}/111122223333/q")).unwrap();
            assert_eq!(url.region(), region, "{host}");
        }
    }

    #[test]
    fn other_urls_are_refused() {
        for text in [
            "",
            "https://",
            "https://host",
            "https://host/111122223333",
            "https://host/111122223333/",
            "https://host/1111/q",
            "https:///111122223333/q",
            "https://host/111122223333/q/r",
            "https://host/111122223333/a.b",
            "https://user@host/111122223333/q",
            "ftp://host/111122223333/q",
            &format!("https://host/111122223333/{}", "q".repeat(81)),
        ] {
            assert_eq!(QueueUrl::parse(text), Err(InvalidQueueUrl::Form), "{text:?}");
        }
        let fifo = QueueUrl::parse("https://host/111122223333/q.fifo");
        assert_eq!(fifo, Err(InvalidQueueUrl::Fifo));
    }

    proptest! {
        #[test]
        fn the_parts_make_up_the_url(text in "(https?://)?[a-z.:0-9/é]{0,12}/[0-9]{11,13}/[a-z.-]{0,6}") {
            if let Ok(url) = QueueUrl::parse(&text) {
                prop_assert_eq!(format!("{}/{}/{}", url.origin(), url.account(), url.name()), text);
                let _ = url.region();
            }
        }

        #[test]
        fn no_text_makes_it_panic(text in any::<String>()) {
            let _ = QueueUrl::parse(&text);
        }
    }
}
