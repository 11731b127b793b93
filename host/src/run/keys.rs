use std::sync::Arc;

use super::StartError;
use crate::admin::Token;
use crate::collector::Collector;
use crate::config::{ReferencedKey, is_write_key};
use crate::secret::{Reference, Resolve, Secret, SecretSetting};

/// Write keys that a manager of secrets keeps.
pub(super) struct KeptKeys {
    keys: Vec<ReferencedKey>,
    secrets: Arc<dyn Resolve>,
}

impl KeptKeys {
    pub(super) fn new(keys: Vec<ReferencedKey>, secrets: Arc<dyn Resolve>) -> Self {
        KeptKeys { keys, secrets }
    }

    /// Ask for all of them, and have the collector take them.
    pub(super) async fn hand_to(&self, collector: &Collector) -> Result<(), StartError> {
        let mut keys = Vec::with_capacity(self.keys.len());
        for ReferencedKey { source, reference } in &self.keys {
            let key: Secret = self.secrets.resolve(reference).await?;
            if !is_write_key(key.expose()) {
                return Err(StartError::NoWriteKey(reference.clone()));
            }
            keys.push((*source, key));
        }
        if collector.set_kept_keys(&keys)? {
            tracing::info!(keys = keys.len(), "took write keys from the manager of secrets");
        }
        Ok(())
    }

    /// Ask again now and then, for ever. What cannot be used changes nothing, and
    /// is told of.
    pub(super) async fn refresh(self, collector: Arc<Collector>) {
        if self.keys.is_empty() {
            return std::future::pending().await;
        }
        loop {
            tokio::time::sleep(self.secrets.refresh()).await;
            if let Err(error) = self.hand_to(&collector).await {
                tracing::warn!("the write keys stay as they were: {error}");
            }
        }
    }
}

/// The token of the admin API, wherever it is kept.
pub(super) struct KeptToken {
    token: Token,
    /// None where it stands in the settings.
    reference: Option<Reference>,
    secrets: Arc<dyn Resolve>,
}

impl KeptToken {
    /// Ask for the token that the settings name, if they do.
    pub(super) async fn open(
        setting: Option<SecretSetting>,
        secrets: Arc<dyn Resolve>,
    ) -> Result<Option<Self>, StartError> {
        let Some(setting) = setting else { return Ok(None) };
        let token = Token::new(&secrets.value(&setting).await?)?;
        Ok(Some(KeptToken { token, reference: setting.reference().cloned(), secrets }))
    }

    pub(super) fn token(&self) -> Token {
        self.token.clone()
    }

    async fn ask(&self, reference: &Reference) -> Result<(), StartError> {
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
