//! The admin token that a secret manager keeps: resolved at the start and refreshed while
//! the run lasts. One that cannot be used leaves the old one in place.

use std::sync::Arc;

use super::StartError;
use crate::admin::Token;
use standpipe_core::secret::{SecretReference, SecretResolver, SecretSetting};

/// The token of the admin API, wherever it is kept.
pub(super) struct KeptToken {
    token: Token,
    /// None where it stands in the settings.
    reference: Option<SecretReference>,
    secrets: Arc<dyn SecretResolver>,
}

impl KeptToken {
    /// Ask for the token that the settings name, if they do.
    pub(super) async fn open(
        setting: Option<SecretSetting>,
        secrets: Arc<dyn SecretResolver>,
    ) -> Result<Option<Self>, StartError> {
        let Some(setting) = setting else { return Ok(None) };
        let token = Token::new(&secrets.resolve_setting(&setting).await?)?;
        Ok(Some(KeptToken { token, reference: setting.reference().cloned(), secrets }))
    }

    pub(super) fn token(&self) -> Token {
        self.token.clone()
    }

    async fn ask(&self, reference: &SecretReference) -> Result<(), StartError> {
        let token = self.secrets.resolve(reference).await?;
        if self.token.set(&token)? {
            tracing::info!("took the token of [admin] from the manager of secrets");
        }
        Ok(())
    }
}

/// Ask for a token again now and then, for ever. What cannot be used changes
/// nothing, and is told of.
pub(super) async fn refresh_token(kept: Option<KeptToken>) {
    let Some((kept, reference)) =
        kept.as_ref().and_then(|kept| Some((kept, kept.reference.as_ref()?)))
    else {
        return std::future::pending().await;
    };
    loop {
        tokio::time::sleep(kept.secrets.refresh()).await;
        if let Err(error) = kept.ask(reference).await {
            tracing::warn!("the token of [admin] stays as it was: {error}");
        }
    }
}
