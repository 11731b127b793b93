//! The token of the admin API, from the settings or a secret store. It is refreshed during the run.
//! If a refresh fails, the last token stays valid.

use std::sync::Arc;

use super::RunError;
use crate::admin::AdminToken;
use standpipe_core::secret::{SecretReference, SecretResolver, SecretSetting};

/// The token of the admin API.
pub(super) struct ResolvedToken {
    pub(super) token: AdminToken,
    /// `None` if the settings contain the token itself.
    reference: Option<SecretReference>,
    secrets: Arc<dyn SecretResolver>,
}

impl ResolvedToken {
    /// Resolves the token of the settings, if they have one.
    pub(super) async fn open(
        setting: Option<SecretSetting>,
        secrets: Arc<dyn SecretResolver>,
    ) -> Result<Option<Self>, RunError> {
        let Some(setting) = setting else { return Ok(None) };
        let token = AdminToken::new(&secrets.resolve_setting(&setting).await?)?;
        Ok(Some(ResolvedToken { token, reference: setting.reference().cloned(), secrets }))
    }

    async fn refresh(&self, reference: &SecretReference) -> Result<(), RunError> {
        let token = self.secrets.resolve(reference).await?;
        if self.token.replace(&token)? {
            tracing::info!("token of [admin] updated from the secret store");
        }
        Ok(())
    }
}

/// Refreshes a token until the task is dropped. A failure is logged and changes nothing.
pub(super) async fn refresh_token(kept: Option<ResolvedToken>) {
    let Some((kept, reference)) =
        kept.as_ref().and_then(|kept| Some((kept, kept.reference.as_ref()?)))
    else {
        return std::future::pending().await;
    };
    loop {
        tokio::time::sleep(kept.secrets.refresh()).await;
        if let Err(error) = kept.refresh(reference).await {
            tracing::warn!("failed to refresh the token of [admin]; keeping the last one: {error}");
        }
    }
}
