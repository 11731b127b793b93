//! Write keys and the admin token that a secret manager keeps: resolved at the start and refreshed
//! while the run lasts. What cannot be used leaves the old ones in place.

use std::sync::Arc;

use tokio::sync::Mutex;

use super::{StartError, open_secrets};
use crate::admin::Token;
use crate::config::Settings;
use standpipe_collector::{Collector, ReferencedKey, SourceSettings, is_write_key};
use standpipe_core::secret::{Reference, Resolve, Secret, SecretSetting};

/// Write keys that a manager of secrets keeps.
#[derive(Debug)]
pub(super) struct KeptKeys {
    /// Locked while they are asked for and handed over: each says by its position whose
    /// it is, so they must go with the sources that they were read with.
    keys: Mutex<Vec<ReferencedKey>>,
    secrets: Arc<dyn Resolve>,
}

impl KeptKeys {
    pub(super) fn new(keys: Vec<ReferencedKey>, secrets: Arc<dyn Resolve>) -> Self {
        KeptKeys { keys: Mutex::new(keys), secrets }
    }

    /// Ask for all of them, and have the collector take them.
    pub(super) async fn hand_to(&self, collector: &Collector) -> Result<(), StartError> {
        let keys = self.keys.lock().await;
        if collector.set_kept_keys(&self.resolve(&keys).await?)? {
            tracing::info!(keys = keys.len(), "took write keys from the manager of secrets");
        }
        Ok(())
    }

    /// Have the collector take other sources, with the keys of theirs that are kept
    /// elsewhere.
    pub(super) async fn replace(
        &self,
        collector: &Collector,
        sources: Vec<SourceSettings>,
        referenced: Vec<ReferencedKey>,
    ) -> Result<(), StartError> {
        let mut keys = self.keys.lock().await;
        collector.set_sources(sources, &self.resolve(&referenced).await?)?;
        *keys = referenced;
        Ok(())
    }

    async fn resolve(&self, keys: &[ReferencedKey]) -> Result<Vec<(usize, Secret)>, StartError> {
        let mut resolved = Vec::with_capacity(keys.len());
        for ReferencedKey { source, reference } in keys {
            let key: Secret = self.secrets.resolve(reference).await?;
            if !is_write_key(key.expose()) {
                return Err(StartError::NoWriteKey(reference.clone()));
            }
            resolved.push((*source, key));
        }
        Ok(resolved)
    }

    /// Ask again now and then, for ever. What cannot be used changes nothing, and
    /// is told of.
    pub(super) async fn refresh(self: Arc<Self>, collector: Arc<Collector>) {
        loop {
            tokio::time::sleep(self.secrets.refresh()).await;
            if let Err(error) = self.hand_to(&collector).await {
                tracing::warn!("the write keys stay as they were: {error}");
            }
        }
    }
}

/// Ask for the write keys and the token that are kept elsewhere, as a run does at its
/// start.
///
/// # Errors
///
/// One cannot be had, or cannot be used.
pub(crate) async fn check_kept_secrets(settings: &Settings) -> Result<(), StartError> {
    let secrets = open_secrets(settings.secrets.as_ref()).await?;
    let referenced = settings.collect.iter().flat_map(|collect| &collect.referenced_keys);
    let referenced: Vec<_> = referenced.cloned().collect();
    KeptKeys::new(Vec::new(), Arc::clone(&secrets)).resolve(&referenced).await?;
    KeptToken::open(settings.admin_token.clone(), secrets).await.map(drop)
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
