//! `[aws]`, its endpoints, and `[secrets]`, as written.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use standpipe_core::secret::Secret;

/// Access to AWS. What is a secret may be written as `secret:NAME`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawAws {
    /// The region of the delivery streams, such as `us-east-1`.
    #[schemars(example = &"eu-central-1")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// A URL in place of the region's Firehose endpoint.
    #[schemars(example = &"http://127.0.0.1:4566")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint_url: Option<String>,
    /// A URL in place of the region's STS endpoint.
    #[schemars(example = &"http://127.0.0.1:4566")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sts_endpoint_url: Option<String>,
    /// The region whose STS is asked for the role; `region` by default.
    #[schemars(example = &"eu-central-1")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sts_region: Option<String>,
    /// A profile of the shared AWS configuration files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// Static credentials: the access key id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access_key_id: Option<String>,
    /// Static credentials: the secret access key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_access_key: Option<Secret>,
    /// Static credentials: the session token of temporary ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_token: Option<Secret>,
    /// The ARN of a role to assume with the credentials found.
    #[schemars(example = &"arn:aws:iam::111122223333:role/NAME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role_arn: Option<String>,
    /// The external id that the role's trust policy asks for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_id: Option<Secret>,
    /// The name of the role's session; `standpipe` by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_name: Option<String>,
    /// Who is behind the role's session, for CloudTrail.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_identity: Option<String>,
    /// How long a session of the role lasts, `15m` to `12h`; an hour by default.
    #[schemars(example = &"1h")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_duration: Option<String>,
    /// Tags of the role's session.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_tags: Option<BTreeMap<String, String>>,
    /// Whether to use endpoints with FIPS 140 validated cryptography.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub use_fips: Option<bool>,
    /// Whether to use endpoints that IPv6 reaches too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub use_dual_stack: Option<bool>,
    /// A proxy for all requests: `http://HOST:PORT` or
    /// `http://USER:PASSWORD@HOST:PORT`.
    #[schemars(example = &"http://HOST:PORT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxy: Option<Secret>,
    /// A file of certificates in PEM that are trusted besides the system's. A
    /// relative path starts at the settings file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_bundle: Option<PathBuf>,
    /// URLs in place of the region's endpoints, service by service.
    #[serde(skip_serializing_if = "RawEndpoints::is_empty")]
    pub endpoints: RawEndpoints,
}

/// URLs in place of a region's endpoints.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawEndpoints {
    /// Of Amazon Data Firehose: the same as `endpoint_url`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub firehose: Option<String>,
    /// Of AWS STS: the same as `sts_endpoint_url`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sts: Option<String>,
    /// Of AWS Secrets Manager.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secretsmanager: Option<String>,
    /// Of AWS Systems Manager.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ssm: Option<String>,
    /// Of Amazon DynamoDB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dynamodb: Option<String>,
}

/// Who keeps the secrets that are written as `secret:NAME`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawSecrets {
    /// `"aws-secretsmanager"`, `"aws-ssm"`, `"files"` or `"env"`.
    #[schemars(example = &"aws-secretsmanager")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub manager: Option<String>,
    /// Where the files are, for `files`. A relative path starts at the settings
    /// file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub directory: Option<PathBuf>,
    /// What stands before each name; nothing by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// How long a secret is used before it is asked for again, such as `5m`, the
    /// default.
    #[schemars(example = &"5m")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refresh: Option<String>,
    /// The region of AWS's managers; that of `[aws]` by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// A profile of the shared AWS configuration files to ask AWS's managers with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
}

impl RawAws {
    pub(super) fn is_empty(&self) -> bool {
        *self == RawAws::default()
    }
}

impl RawEndpoints {
    fn is_empty(&self) -> bool {
        *self == RawEndpoints::default()
    }
}

impl RawSecrets {
    pub(super) fn is_empty(&self) -> bool {
        *self == RawSecrets::default()
    }
}
