//! Checks `[aws]`: region, endpoints, keys, role, session, proxy and certificates, against the
//! limits that STS documents. Values that may be secrets do not appear in errors.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::Path;
use std::time::Duration;

use super::check::duration;
use super::error::Mistakes;
use super::secrets::References;
use super::{ConfigError, RawAws};
use standpipe_aws::{AwsSettings, Endpoints, Keys, Role, TransportSettings, is_proxy_url};
use standpipe_core::secret::{Secret, SecretSetting};

/// What STS takes.
const SESSION_DURATION: RangeInclusive<Duration> =
    Duration::from_secs(15 * 60)..=Duration::from_secs(12 * 3600);
const SESSION_NAME_CHARACTERS: RangeInclusive<usize> = 2..=64;
const SESSION_TAGS_MAX: usize = 50;
const TAG_KEY_CHARACTERS_MAX: usize = 128;
const TAG_VALUE_CHARACTERS_MAX: usize = 256;

/// How to reach AWS, and a URL in place of Firehose's endpoint. Region and URL of
/// the command line go before those of the file.
pub(super) fn check_aws(
    aws: RawAws,
    region: Option<String>,
    endpoint_url: Option<String>,
    directory: &Path,
    references: &References,
) -> Result<(AwsSettings, Option<String>), ConfigError> {
    let mut mistakes = Mistakes::default();
    let mut one_of = |key: &str, url: &Option<String>, service, same| {
        mistakes.or(one_of(key, url.clone(), service, same), None)
    };
    let firehose = one_of("endpoint_url", &aws.endpoint_url, "firehose", &aws.endpoints.firehose);
    let sts = one_of("sts_endpoint_url", &aws.sts_endpoint_url, "sts", &aws.endpoints.sts);
    let endpoint_url = endpoint_url.or(firehose);
    let endpoints = Endpoints {
        sts,
        secretsmanager: aws.endpoints.secretsmanager.clone(),
        ssm: aws.endpoints.ssm.clone(),
        dynamodb: aws.endpoints.dynamodb.clone(),
    };
    let urls = [
        ("[aws] endpoint_url", &endpoint_url),
        ("[aws] sts_endpoint_url", &endpoints.sts),
        ("[aws.endpoints] secretsmanager", &endpoints.secretsmanager),
        ("[aws.endpoints] ssm", &endpoints.ssm),
        ("[aws.endpoints] dynamodb", &endpoints.dynamodb),
    ];
    for (key, url) in urls {
        mistakes.some(check_url(key, url.as_deref()));
    }
    let region = region.or_else(|| aws.region.clone());
    for (key, region) in [("region", &region), ("sts_region", &aws.sts_region)] {
        mistakes.some(check_region(key, region.as_deref()));
    }
    mistakes.some(check_variants(&aws, endpoint_url.is_some() || endpoints.sts.is_some()));
    let transport = TransportSettings {
        proxy: mistakes.or(proxy(aws.proxy.clone(), references), None),
        ca_bundle: aws.ca_bundle.as_ref().map(|path| directory.join(path)),
    };
    let settings = AwsSettings {
        region,
        profile: aws.profile.clone(),
        keys: mistakes.or(check_keys(&aws, references), None),
        sts_region: aws.sts_region.clone(),
        use_fips: aws.use_fips,
        use_dual_stack: aws.use_dual_stack,
        role: mistakes.or(check_role(aws, references), None),
        endpoints,
        transport,
    };
    mistakes.end((settings, endpoint_url))
}

/// A URL that can be written in two places.
fn one_of(
    key: &str,
    url: Option<String>,
    service: &str,
    same: &Option<String>,
) -> Result<Option<String>, ConfigError> {
    match (url, same) {
        (Some(_), Some(_)) => Err(ConfigError::new(format!(
            "[aws] {key} and [aws.endpoints] {service} are the same: remove one of them"
        ))),
        (url, same) => Ok(url.or_else(|| same.clone())),
    }
}

fn check_region(key: &str, region: Option<&str>) -> Result<(), ConfigError> {
    match region {
        Some(region) if region.trim().is_empty() => Err(ConfigError::new(format!(
            "[aws] {key} is empty: write one such as \"us-east-1\", or remove it"
        ))),
        _ => Ok(()),
    }
}

/// AWS's rules for endpoints know no variant of a URL that is given.
fn check_variants(aws: &RawAws, is_url_set: bool) -> Result<(), ConfigError> {
    for (key, value) in [("use_fips", aws.use_fips), ("use_dual_stack", aws.use_dual_stack)] {
        if value == Some(true) && is_url_set {
            return Err(ConfigError::new(format!(
                "[aws] {key} chooses among AWS's own endpoints, and a URL is set in their place: remove \
                 endpoint_url, sts_endpoint_url and [aws.endpoints], or {key}"
            )));
        }
    }
    Ok(())
}

fn proxy(
    proxy: Option<Secret>,
    references: &References,
) -> Result<Option<SecretSetting>, ConfigError> {
    let proxy = references.optional("[aws] proxy", proxy)?;
    match &proxy {
        Some(SecretSetting::Value(url)) if !is_proxy_url(url) => Err(ConfigError::new(
            "[aws] proxy is no URL of a proxy: write http://HOST:PORT or http://USER:PASSWORD@HOST:PORT",
        )),
        Some(SecretSetting::Reference(_)) if references.are_of_aws() => Err(ConfigError::new(
            "[aws] proxy is a reference to a secret, and the manager of secrets is itself reached through the \
             proxy: write the URL, or set `manager` under [secrets] to \"files\" or \"env\"",
        )),
        _ => Ok(proxy),
    }
}

fn check_keys(aws: &RawAws, references: &References) -> Result<Option<Keys>, ConfigError> {
    match (aws.access_key_id.clone(), aws.secret_access_key.clone()) {
        (Some(id), Some(key)) => {
            let mut mistakes = Mistakes::default();
            let id = mistakes.some(references.check("[aws] access_key_id", Secret::new(id)));
            let key = mistakes.some(references.check("[aws] secret_access_key", key));
            let token = references.optional("[aws] session_token", aws.session_token.clone());
            let session_token = mistakes.or(token, None);
            let keys = id.zip(key).map(|(access_key_id, secret_access_key)| Keys {
                access_key_id,
                secret_access_key,
                session_token,
            });
            mistakes.end(keys)
        }
        (None, None) if aws.session_token.is_some() => Err(ConfigError::new(
            "[aws] session_token stands alone: set access_key_id and secret_access_key too, or remove it",
        )),
        (None, None) => Ok(None),
        (Some(_), None) => Err(ConfigError::new(
            "[aws] access_key_id is set: set secret_access_key too, or remove it",
        )),
        (None, Some(_)) => Err(ConfigError::new(
            "[aws] secret_access_key is set: set access_key_id too, or remove it",
        )),
    }
}

fn check_role(aws: RawAws, references: &References) -> Result<Option<Role>, ConfigError> {
    let Some(arn) = aws.role_arn else {
        let keys = [
            ("external_id", aws.external_id.is_some()),
            ("session_name", aws.session_name.is_some()),
            ("source_identity", aws.source_identity.is_some()),
            ("session_duration", aws.session_duration.is_some()),
            ("session_tags", aws.session_tags.is_some()),
        ];
        let mut mistakes = Mistakes::default();
        for (key, _) in keys.into_iter().filter(|(_, is_set)| *is_set) {
            mistakes.add(ConfigError::new(format!(
                "[aws] {key} has a meaning only with role_arn: set it, or remove this"
            )));
        }
        return mistakes.end(None);
    };
    let mut mistakes = Mistakes::default();
    if !is_role_arn(&arn) {
        mistakes.add(ConfigError::new(format!(
            "[aws] role_arn {arn:?} is no ARN of a role: write arn:aws:iam::ACCOUNT:role/NAME"
        )));
    }
    mistakes.some(check_name("session_name", aws.session_name.as_deref()));
    mistakes.some(check_name("source_identity", aws.source_identity.as_deref()));
    let role = Role {
        arn,
        external_id: mistakes.or(references.optional("[aws] external_id", aws.external_id), None),
        session_name: aws.session_name,
        source_identity: aws.source_identity,
        session_duration: mistakes.or(session_duration(aws.session_duration.as_deref()), None),
        session_tags: mistakes
            .or(session_tags(aws.session_tags.unwrap_or_default()), BTreeMap::new()),
    };
    mistakes.end(Some(role))
}

fn session_duration(text: Option<&str>) -> Result<Option<Duration>, ConfigError> {
    let Some(text) = text else { return Ok(None) };
    let (least, most) = (*SESSION_DURATION.start(), *SESSION_DURATION.end());
    let checked = duration("[aws] session_duration", Some(text), least, most)?;
    if checked < least {
        return Err(ConfigError::new(format!(
            "[aws] session_duration is {text:?}: write at least {}",
            humantime::format_duration(least)
        )));
    }
    Ok(Some(checked))
}

fn session_tags(tags: BTreeMap<String, String>) -> Result<BTreeMap<String, String>, ConfigError> {
    let characters = |text: &str| text.chars().count();
    let is_key = |key: &str| (1..=TAG_KEY_CHARACTERS_MAX).contains(&characters(key));
    let wrong = tags
        .iter()
        .find(|(key, value)| !is_key(key) || characters(value) > TAG_VALUE_CHARACTERS_MAX);
    if let Some((key, _)) = wrong {
        return Err(ConfigError::new(format!(
            "[aws.session_tags] {key:?}: a key must have 1 to {TAG_KEY_CHARACTERS_MAX} characters, and a value at \
             most {TAG_VALUE_CHARACTERS_MAX}"
        )));
    }
    if tags.len() > SESSION_TAGS_MAX {
        return Err(ConfigError::new(format!(
            "[aws.session_tags] has {} tags: write at most {SESSION_TAGS_MAX}",
            tags.len()
        )));
    }
    Ok(tags)
}

/// What STS takes for names of sessions and their sources.
fn check_name(key: &str, name: Option<&str>) -> Result<(), ConfigError> {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"_+=,.@-".contains(&byte);
    match name {
        Some(name)
            if !SESSION_NAME_CHARACTERS.contains(&name.len()) || !name.bytes().all(is_part) =>
        {
            Err(ConfigError::new(format!(
                "[aws] {key} is {name:?}: write 2 to 64 of the characters a-z A-Z 0-9 _ + = , . @ -"
            )))
        }
        _ => Ok(()),
    }
}

pub(super) fn is_role_arn(arn: &str) -> bool {
    let parts: Vec<_> = arn.splitn(6, ':').collect();
    matches!(parts[..], ["arn", partition, "iam", "", account, resource]
        if partition.starts_with("aws") && is_account(account) && is_role(resource))
}

fn is_account(account: &str) -> bool {
    account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_role(resource: &str) -> bool {
    let name = resource.strip_prefix("role/").unwrap_or_default();
    !name.is_empty() && !name.contains(char::is_whitespace)
}

pub(super) fn check_url(key: &str, url: Option<&str>) -> Result<(), ConfigError> {
    let is_good = |url: &str| {
        let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
        rest.is_some_and(|host| !host.is_empty() && !host.starts_with('/'))
    };
    match url {
        Some(url) if !is_good(url) => Err(ConfigError::new(format!(
            "{key} {url:?} is no URL: write http://HOST:PORT or https://HOST"
        ))),
        _ => Ok(()),
    }
}
