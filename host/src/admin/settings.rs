//! The settings of the admin address: `[admin]`.

use std::net::SocketAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::AdminToken;
use standpipe_core::secret::{Secret, SecretSetting};
use standpipe_core::settings::SettingsChecker;

/// Where the admin address is, unless the settings say otherwise, where SDKs are listened to.
const ADDRESS: &str = "127.0.0.1:9180";

/// Health, metrics, and control of the plugin.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RawAdmin {
    /// The address for `/health/live`, `/health/ready`, `/metrics` and `/plugin`, or
    /// `"off"`.
    /// `127.0.0.1:9180` by default where SDKs are listened to, and otherwise off.
    #[schemars(example = &"127.0.0.1:9180")]
    pub listen: Option<String>,
    /// What requests about the plugin must bring along as `Authorization: Bearer
    /// TOKEN`. Without it there are none.
    pub token: Option<Secret>,
}

impl RawAdmin {
    /// Checks the address, of which an override goes before that of the file.
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

    /// Checks what requests about the plugin must bring along.
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
