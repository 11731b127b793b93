//! The settings of the admin address: `[admin]`.

use std::net::SocketAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::AdminToken;
use standpipe_core::secret::{Secret, SecretSetting};
use standpipe_core::settings::SettingsChecker;

/// The default address of the admin server, if Standpipe listens for SDKs.
const ADDRESS: &str = "127.0.0.1:9180";

/// Health checks, metrics and the admin API.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawAdmin {
    /// Address for `/health/live`, `/health/ready`, `/metrics` and the admin API (`/plugin`),
    /// or `"off"`. Default: `127.0.0.1:9180` if the top-level `listen` is an address, else
    /// `"off"`.
    #[schemars(example = &"127.0.0.1:9180")]
    pub listen: Option<String>,
    /// Bearer token for requests to `/plugin`, at least 16 characters, or a reference
    /// `secret:NAME`. Without a token, Standpipe refuses these requests.
    pub token: Option<Secret>,
}

impl RawAdmin {
    /// Checks the address. `over`, from the command line, overrides the address in the file.
    pub fn check_address(
        &self,
        over: Option<&str>,
        has_listener: bool,
        checker: &mut SettingsChecker,
    ) -> Option<SocketAddr> {
        let usual = has_listener.then_some(ADDRESS);
        match over.or(self.listen.as_deref()).or(usual)? {
            "off" => None,
            address => checker.table("admin").address("listen", address),
        }
    }

    /// Checks the bearer token for requests to `/plugin`.
    pub fn check_token(&self, checker: &mut SettingsChecker) -> Option<SecretSetting> {
        let token = checker.table("admin").optional_secret("token", self.token.clone());
        if let Some(SecretSetting::Value(token)) = &token
            && let Err(error) = AdminToken::new(token)
        {
            checker.add(error.to_string());
        }
        token
    }
}
