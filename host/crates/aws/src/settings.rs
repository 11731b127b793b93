//! The settings of access to AWS: `[aws]`, and `[catalog.aws]` for the catalog only.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use aws_smithy_http_client::proxy::ProxyConfig;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::AwsRole;
use standpipe_core::secret::{Secret, SecretSetting};
use standpipe_core::settings::{SecretManager, TableChecker, is_default};

/// The range of `session_duration`, as STS allows it.
const SESSION_DURATION: RangeInclusive<Duration> =
    Duration::from_secs(15 * 60)..=Duration::from_secs(12 * 3600);

/// The number of characters of a session name, as STS allows it.
const SESSION_NAME_CHARACTERS: RangeInclusive<usize> = 2..=64;

/// The maximum number of tags of a session, as STS allows it.
const SESSION_TAGS_MAX: usize = 50;

/// The maximum number of characters of a tag's key, as STS allows it.
const TAG_KEY_CHARACTERS_MAX: usize = 128;

/// The maximum number of characters of a tag's value, as STS allows it.
const TAG_VALUE_CHARACTERS_MAX: usize = 256;

/// Access to AWS: region, credentials, role, endpoints and proxy.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawAws {
    /// Region of the delivery streams. Default: as in the AWS SDKs.
    #[schemars(example = &"eu-central-1")]
    pub region: Option<String>,
    /// URL of Firehose. Default: the environment variable `AWS_ENDPOINT_URL_FIREHOSE` or
    /// `AWS_ENDPOINT_URL`, else the endpoint of the region.
    #[schemars(example = &"http://127.0.0.1:4566")]
    pub endpoint_url: Option<String>,
    /// URL of STS. Default: the environment variable `AWS_ENDPOINT_URL_STS` or `AWS_ENDPOINT_URL`,
    /// else the endpoint of the region.
    #[schemars(example = &"http://127.0.0.1:4566")]
    pub sts_endpoint_url: Option<String>,
    /// Region of the STS endpoint. Default: the value of `region`.
    #[schemars(example = &"eu-central-1")]
    pub sts_region: Option<String>,
    /// Profile of the shared AWS configuration files. Default: as in the AWS SDKs.
    pub profile: Option<String>,
    /// Access key id of static credentials, or a reference `secret:NAME`. Requires
    /// `secret_access_key`.
    pub access_key_id: Option<String>,
    /// Secret access key of static credentials, or a reference `secret:NAME`. Requires
    /// `access_key_id`.
    pub secret_access_key: Option<Secret>,
    /// Session token of static credentials that are temporary, or a reference `secret:NAME`.
    pub session_token: Option<Secret>,
    /// ARN of the IAM role that Standpipe assumes with the credentials that it finds. Default:
    /// none.
    #[schemars(example = &"arn:aws:iam::111122223333:role/NAME")]
    pub role_arn: Option<String>,
    /// External id for `role_arn`, or a reference `secret:NAME`. Default: none.
    pub external_id: Option<Secret>,
    /// Name of the role's session in CloudTrail, 2 to 64 characters. Default: `"standpipe"`.
    pub session_name: Option<String>,
    /// Source identity of the role's session, 2 to 64 characters. Default: none.
    pub source_identity: Option<String>,
    /// Duration of the role's session, `"15m"` to `"12h"`. Default: `"1h"`.
    #[schemars(example = &"1h")]
    pub session_duration: Option<String>,
    /// Tags of the role's session, at most 50. Default: none.
    pub session_tags: Option<BTreeMap<String, String>>,
    /// Whether to use FIPS 140 endpoints. Cannot be `true` if a URL of Firehose or STS is set.
    pub use_fips: Option<bool>,
    /// Whether to use dual-stack (IPv4 and IPv6) endpoints. Cannot be `true` if a URL of Firehose
    /// or STS is set.
    pub use_dual_stack: Option<bool>,
    /// HTTP proxy for requests to AWS: `http://HOST:PORT` or `http://USER:PASSWORD@HOST:PORT`.
    /// Default: the environment variable `HTTPS_PROXY` or `ALL_PROXY`. Hosts in `NO_PROXY` are
    /// reached without the proxy.
    #[schemars(example = &"http://HOST:PORT")]
    pub proxy: Option<Secret>,
    /// PEM file with certificates to trust in addition to those of the system. A relative path
    /// starts at the directory of the settings file. Default: the environment variable
    /// `AWS_CA_BUNDLE`.
    pub ca_bundle: Option<PathBuf>,
    /// URLs of AWS services. Default: the endpoints of the region.
    #[serde(skip_serializing_if = "is_default")]
    pub endpoints: RawEndpoints,
}

/// URLs of AWS services. They replace the endpoints of the region.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawEndpoints {
    /// URL of Amazon Data Firehose: the same as `endpoint_url`. Set only one of the two keys.
    pub firehose: Option<String>,
    /// URL of AWS STS: the same as `sts_endpoint_url`. Set only one of the two keys.
    pub sts: Option<String>,
    /// URL of AWS Secrets Manager.
    pub secretsmanager: Option<String>,
    /// URL of AWS Systems Manager.
    pub ssm: Option<String>,
    /// URL of Amazon DynamoDB, for the catalog.
    pub dynamodb: Option<String>,
}

/// The checked settings of access to AWS. For a setting that is `None`, the value that the AWS SDKs
/// find is used.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AwsSettings {
    /// The region of the delivery streams.
    pub region: Option<String>,
    /// A profile of the shared AWS configuration files.
    pub profile: Option<String>,
    /// Static credentials in the settings.
    pub keys: Option<StaticKeys>,
    /// The role to assume with the credentials that are found.
    pub role: Option<AwsRole>,
    /// The region of the STS endpoint, if it differs from `region`.
    pub sts_region: Option<String>,
    /// URLs that replace the region's endpoints.
    pub endpoints: Endpoints,
    /// Whether to use endpoints with FIPS 140 validated cryptography.
    pub use_fips: Option<bool>,
    /// Whether to use dual-stack (IPv4 and IPv6) endpoints.
    pub use_dual_stack: Option<bool>,
    /// The proxy and the certificates for connections to AWS.
    pub transport: TransportSettings,
}

/// Static credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StaticKeys {
    /// The access key id.
    pub access_key_id: SecretSetting,
    /// The secret access key.
    pub secret_access_key: SecretSetting,
    /// The session token of temporary credentials.
    pub session_token: Option<SecretSetting>,
}

/// URLs that replace a region's endpoints.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Endpoints {
    /// The URL of AWS STS.
    pub sts: Option<String>,
    /// The URL of AWS Secrets Manager.
    pub secretsmanager: Option<String>,
    /// The URL of AWS Systems Manager.
    pub ssm: Option<String>,
    /// The URL of Amazon DynamoDB.
    pub dynamodb: Option<String>,
}

/// The proxy and the certificates for connections to AWS.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TransportSettings {
    /// A proxy for all requests: `http://HOST:PORT`, optionally with a user and a password.
    pub proxy: Option<SecretSetting>,
    /// A PEM file with certificates to trust in addition to those of the system.
    pub ca_bundle: Option<PathBuf>,
}

/// Options of the command line that override the settings file.
#[derive(Debug, Clone, Default)]
pub struct AwsOverrides {
    /// The region.
    pub region: Option<String>,
    /// A URL that replaces the region's Firehose endpoint.
    pub endpoint_url: Option<String>,
}

impl RawAws {
    /// Checks the settings of access to AWS. Also returns the URL that replaces the region's
    /// Firehose endpoint.
    pub fn check(
        &self,
        overrides: AwsOverrides,
        check: &mut TableChecker<'_>,
    ) -> (AwsSettings, Option<String>) {
        let firehose = one_of(
            ("endpoint_url", &self.endpoint_url),
            ("firehose", &self.endpoints.firehose),
            check,
        );
        let sts = one_of(
            ("sts_endpoint_url", &self.sts_endpoint_url),
            ("sts", &self.endpoints.sts),
            check,
        );
        let endpoint_url = overrides.endpoint_url.or(firehose);
        let endpoints = Endpoints {
            sts,
            secretsmanager: self.endpoints.secretsmanager.clone(),
            ssm: self.endpoints.ssm.clone(),
            dynamodb: self.endpoints.dynamodb.clone(),
        };
        check_urls(endpoint_url.as_deref(), &endpoints, check);
        let region = overrides.region.or_else(|| self.region.clone());
        for (key, region) in [("region", &region), ("sts_region", &self.sts_region)] {
            if region.as_ref().is_some_and(|region| region.trim().is_empty()) {
                check.add_mistake(format_args!(
                    "{key} is empty: write one such as \"us-east-1\", or remove it"
                ));
            }
        }
        self.check_variants(endpoint_url.is_some() || endpoints.sts.is_some(), check);
        let settings = AwsSettings {
            region,
            profile: self.profile.clone(),
            keys: self.check_keys(check),
            sts_region: self.sts_region.clone(),
            use_fips: self.use_fips,
            use_dual_stack: self.use_dual_stack,
            role: self.check_role(check),
            endpoints,
            transport: TransportSettings {
                proxy: self.check_proxy(check),
                ca_bundle: self.ca_bundle.as_ref().map(|path| check.path(path)),
            },
        };
        (settings, endpoint_url)
    }

    /// Rejects `use_fips` and `use_dual_stack` together with a URL: they only select among the
    /// endpoints of AWS.
    fn check_variants(&self, is_url_set: bool, check: &mut TableChecker<'_>) {
        let variants = [("use_fips", self.use_fips), ("use_dual_stack", self.use_dual_stack)];
        let wrong = variants.iter().find(|(_, value)| *value == Some(true) && is_url_set);
        if let Some((key, _)) = wrong {
            let endpoints = check.name().table("endpoints");
            check.add_mistake(format_args!(
                "{key} chooses among AWS's own endpoints, and a URL is set in their place: remove \
                 endpoint_url, sts_endpoint_url and {endpoints}, or {key}"
            ));
        }
    }

    fn check_proxy(&self, check: &mut TableChecker<'_>) -> Option<SecretSetting> {
        let proxy = check.optional_secret("proxy", self.proxy.clone());
        match &proxy {
            Some(SecretSetting::Value(_)) => check_proxy_url(proxy.as_ref(), check),
            Some(SecretSetting::Reference(_)) if check.secret_manager() == SecretManager::Aws => {
                check.add_mistake(
                    "proxy is a reference to a secret, and the secret manager is reached through \
                     the proxy: write the URL, or set `manager` under [secrets] to \"files\" or \
                     \"env\"",
                );
            }
            _ => {}
        }
        proxy
    }

    fn check_keys(&self, check: &mut TableChecker<'_>) -> Option<StaticKeys> {
        let problem = match (&self.access_key_id, &self.secret_access_key) {
            (Some(id), Some(key)) => {
                let id = check.secret("access_key_id", Secret::new(id.clone()));
                let key = check.secret("secret_access_key", key.clone());
                let session_token =
                    check.optional_secret("session_token", self.session_token.clone());
                let (access_key_id, secret_access_key) = id.zip(key)?;
                return Some(StaticKeys { access_key_id, secret_access_key, session_token });
            }
            (Some(_), None) => "access_key_id is set: set secret_access_key too, or remove it",
            (None, Some(_)) => "secret_access_key is set: set access_key_id too, or remove it",
            (None, None) if self.session_token.is_none() => return None,
            (None, None) => {
                "session_token is set without keys: set access_key_id and secret_access_key too, or remove it"
            }
        };
        check.add_mistake(problem);
        None
    }

    fn check_role(&self, check: &mut TableChecker<'_>) -> Option<AwsRole> {
        let Some(arn) = self.role_arn.clone() else {
            self.refuse_keys_of_role(check);
            return None;
        };
        if !is_role_arn(&arn) {
            check.add_mistake(format_args!(
                "role_arn {arn:?} is not the ARN of a role: write arn:aws:iam::ACCOUNT:role/NAME"
            ));
        }
        check_session_name("session_name", self.session_name.as_deref(), check);
        check_session_name("source_identity", self.source_identity.as_deref(), check);
        let duration = self.session_duration.as_deref();
        Some(AwsRole {
            arn,
            external_id: check.optional_secret("external_id", self.external_id.clone()),
            session_name: self.session_name.clone(),
            source_identity: self.source_identity.clone(),
            session_duration: duration.map(|text| {
                let usual = *SESSION_DURATION.start();
                check.duration("session_duration", Some(text), usual, SESSION_DURATION)
            }),
            session_tags: self.check_session_tags(check),
        })
    }

    /// Rejects keys that apply to a role if no role is set.
    fn refuse_keys_of_role(&self, check: &mut TableChecker<'_>) {
        let keys = [
            ("external_id", self.external_id.is_some()),
            ("session_name", self.session_name.is_some()),
            ("source_identity", self.source_identity.is_some()),
            ("session_duration", self.session_duration.is_some()),
            ("session_tags", self.session_tags.is_some()),
        ];
        for (key, _) in keys.into_iter().filter(|(_, is_set)| *is_set) {
            check.add_mistake(format_args!(
                "{key} is only used with role_arn: set role_arn, or remove {key}"
            ));
        }
    }

    fn check_session_tags(&self, check: &mut TableChecker<'_>) -> BTreeMap<String, String> {
        let tags = self.session_tags.clone().unwrap_or_default();
        let mut check = check.table("session_tags");
        let characters = |text: &str| text.chars().count();
        let is_key = |key: &str| (1..=TAG_KEY_CHARACTERS_MAX).contains(&characters(key));
        let wrong = tags
            .iter()
            .find(|(key, value)| !is_key(key) || characters(value) > TAG_VALUE_CHARACTERS_MAX);
        if let Some((key, _)) = wrong {
            check.add_mistake(format_args!(
                "{key:?}: a key must have 1 to {TAG_KEY_CHARACTERS_MAX} characters, and a value at most \
                 {TAG_VALUE_CHARACTERS_MAX}"
            ));
        } else if tags.len() > SESSION_TAGS_MAX {
            check.add_mistake(format_args!(
                "has {} tags: write at most {SESSION_TAGS_MAX}",
                tags.len()
            ));
        }
        tags
    }
}

/// Returns a URL that two keys can set, and rejects it if both do.
fn one_of(
    (key, url): (&str, &Option<String>),
    (service, same): (&str, &Option<String>),
    check: &mut TableChecker<'_>,
) -> Option<String> {
    if url.is_some() && same.is_some() {
        let endpoints = check.name().table("endpoints");
        check.add_mistake(format_args!(
            "{key} and {endpoints} {service} are the same: remove one of them"
        ));
    }
    url.clone().or_else(|| same.clone())
}

fn check_urls(firehose: Option<&str>, endpoints: &Endpoints, check: &mut TableChecker<'_>) {
    for (key, url) in [("endpoint_url", firehose), ("sts_endpoint_url", endpoints.sts.as_deref())] {
        url.map(|url| check.is_url(key, url));
    }
    let mut check = check.table("endpoints");
    for (key, url) in [
        ("secretsmanager", &endpoints.secretsmanager),
        ("ssm", &endpoints.ssm),
        ("dynamodb", &endpoints.dynamodb),
    ] {
        url.as_ref().map(|url| check.is_url(key, url));
    }
}

/// Checks the characters and the length of a session name or source identity, as STS allows them.
fn check_session_name(key: &str, name: Option<&str>, check: &mut TableChecker<'_>) {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"_+=,.@-".contains(&byte);
    if let Some(name) = name
        && (!SESSION_NAME_CHARACTERS.contains(&name.len()) || !name.bytes().all(is_part))
    {
        check.add_mistake(format_args!(
            "{key} is {name:?}: write 2 to 64 of the characters a-z A-Z 0-9 _ + = , . @ -"
        ));
    }
}

/// Checks the setting `proxy` of a table, unless it is a reference.
pub fn check_proxy_url(proxy: Option<&SecretSetting>, check: &mut TableChecker<'_>) {
    if let Some(SecretSetting::Value(url)) = proxy
        && !is_proxy_url(url)
    {
        check.add_mistake(
            "proxy is not the URL of a proxy: write http://HOST:PORT or http://USER:PASSWORD@HOST:PORT",
        );
    }
}

/// Whether a text has the form of the URL of a proxy.
pub(crate) fn is_proxy_url(url: &Secret) -> bool {
    let url = url.expose();
    let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
    let host = rest.map(|rest| rest.rsplit_once('@').map_or(rest, |(_, host)| host));
    let is_good = host.is_some_and(|host| !host.is_empty() && !host.starts_with([':', '/']));
    is_good && ProxyConfig::all(url).is_ok()
}

/// Whether a text is the ARN of a role.
pub fn is_role_arn(arn: &str) -> bool {
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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use standpipe_core::settings::SettingsChecker;

    use super::*;

    fn check(raw: &RawAws, table: &[&str]) -> Result<(AwsSettings, Option<String>), Vec<String>> {
        let mut checker = SettingsChecker::new(Path::new("/etc/standpipe"), SecretManager::Aws);
        let settings = match table {
            ["catalog", "aws"] => {
                raw.check(AwsOverrides::default(), &mut checker.table("catalog").table("aws"))
            }
            _ => raw.check(AwsOverrides::default(), &mut checker.table("aws")),
        };
        match checker.into_mistakes() {
            mistakes if mistakes.is_empty() => Ok(settings),
            mistakes => Err(mistakes),
        }
    }

    #[test]
    fn mistakes_name_the_table_that_they_are_in() {
        let raw = RawAws {
            endpoint_url: Some("http://a".to_owned()),
            use_fips: Some(true),
            endpoints: RawEndpoints {
                firehose: Some("http://b".to_owned()),
                ssm: Some("c".to_owned()),
                ..RawEndpoints::default()
            },
            ..RawAws::default()
        };
        let expected = |table: &str| {
            let endpoints = table.replace(']', ".endpoints]");
            [
                format!(
                    "{table} endpoint_url and {endpoints} firehose are the same: remove one of them"
                ),
                format!(
                    "{endpoints} ssm \"c\" is not a URL: write http://HOST:PORT or https://HOST"
                ),
                format!(
                    "{table} use_fips chooses among AWS's own endpoints, and a URL is set in their place: remove \
                     endpoint_url, sts_endpoint_url and {endpoints}, or use_fips"
                ),
            ]
        };
        assert_eq!(check(&raw, &["aws"]).unwrap_err(), expected("[aws]"));
        assert_eq!(check(&raw, &["catalog", "aws"]).unwrap_err(), expected("[catalog.aws]"));
    }

    #[test]
    fn tags_have_the_bounds_of_sts() {
        let tags = |key: usize, value: usize, count: usize| {
            let tags = (0..count).map(|n| (format!("{n:0>key$}"), "v".repeat(value)));
            let raw = RawAws {
                role_arn: Some("arn:aws:iam::111122223333:role/a".to_owned()),
                session_tags: Some(tags.collect()),
                ..RawAws::default()
            };
            check(&raw, &["aws"]).is_ok()
        };
        assert!(tags(TAG_KEY_CHARACTERS_MAX, TAG_VALUE_CHARACTERS_MAX, SESSION_TAGS_MAX));
        assert!(!tags(TAG_KEY_CHARACTERS_MAX + 1, TAG_VALUE_CHARACTERS_MAX, SESSION_TAGS_MAX));
        assert!(!tags(TAG_KEY_CHARACTERS_MAX, TAG_VALUE_CHARACTERS_MAX + 1, SESSION_TAGS_MAX));
        assert!(!tags(TAG_KEY_CHARACTERS_MAX, TAG_VALUE_CHARACTERS_MAX, SESSION_TAGS_MAX + 1));
    }

    #[test]
    fn urls_of_proxies_are_told_from_others() {
        for (url, expected) in [
            ("http://proxy:8080", true),
            ("http://proxy", true),
            ("http://user:pass%40word@proxy:8080", true),
            ("https://[::1]:8080", true),
            ("proxy:8080", false),
            ("socks5://proxy:8080", false),
            ("http://", false),
            ("http://user@", false),
            ("http://user@:80", false),
            ("http://pro xy:80", false),
            ("", false),
        ] {
            assert_eq!(is_proxy_url(&Secret::new(url.to_owned())), expected, "{url}");
        }
    }
}
