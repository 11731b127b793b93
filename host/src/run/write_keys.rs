//! Write keys that a secret manager keeps: resolved at the start and refreshed while the
//! run lasts. Those that cannot be used leave the old ones in place.

use std::sync::Arc;

use tokio::sync::Mutex;

use super::admin_token::KeptToken;
use super::{StartError, open_secrets};
use crate::config::Settings;
use standpipe_collector::{Collector, ReferencedKey, SourceSettings, is_write_key};
use standpipe_core::secret::{Secret, SecretResolver};

/// Write keys that a manager of secrets keeps.
#[derive(Debug)]
pub(super) struct KeptKeys {
    /// Locked while they are asked for and handed over: each says by its position whose
    /// it is, so they must go with the sources that they were read with.
    keys: Mutex<Vec<ReferencedKey>>,
    secrets: Arc<dyn SecretResolver>,
}

impl KeptKeys {
    pub(super) fn new(keys: Vec<ReferencedKey>, secrets: Arc<dyn SecretResolver>) -> Self {
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
