//! Write keys from a secret store. They are refreshed during the run. If a refresh fails, the last
//! keys stay valid.

use std::sync::Arc;

use tokio::sync::Mutex;

use super::admin_token::ResolvedToken;
use super::{RunError, open_secrets};
use crate::config::Settings;
use standpipe_collector::{Collector, ReferencedKey, SourceSettings, is_write_key};
use standpipe_core::secret::{Secret, SecretResolver};

/// Write keys from a secret store.
#[derive(Debug)]
pub(super) struct StoredWriteKeys {
    /// Locked while keys are resolved and set: a key refers to its source by position, so keys and
    /// sources must come from the same settings.
    keys: Mutex<Vec<ReferencedKey>>,
    secrets: Arc<dyn SecretResolver>,
}

impl StoredWriteKeys {
    pub(super) fn new(keys: Vec<ReferencedKey>, secrets: Arc<dyn SecretResolver>) -> Self {
        StoredWriteKeys { keys: Mutex::new(keys), secrets }
    }

    /// Resolves all keys, and sets them at the collector.
    pub(super) async fn apply_to(&self, collector: &Collector) -> Result<(), RunError> {
        let keys = self.keys.lock().await;
        if collector.set_kept_keys(&self.resolve(&keys).await?)? {
            tracing::info!(keys = keys.len(), "write keys updated from the secret store");
        }
        Ok(())
    }

    /// Replaces the collector's sources and their keys.
    pub(super) async fn replace(
        &self,
        collector: &Collector,
        sources: Vec<SourceSettings>,
        referenced: Vec<ReferencedKey>,
    ) -> Result<(), RunError> {
        let mut keys = self.keys.lock().await;
        collector.set_sources(sources, &self.resolve(&referenced).await?)?;
        *keys = referenced;
        Ok(())
    }

    async fn resolve(&self, keys: &[ReferencedKey]) -> Result<Vec<(usize, Secret)>, RunError> {
        let mut resolved = Vec::with_capacity(keys.len());
        for ReferencedKey { source, reference } in keys {
            let key: Secret = self.secrets.resolve(reference).await?;
            if !is_write_key(key.expose()) {
                return Err(RunError::InvalidWriteKey(reference.clone()));
            }
            resolved.push((*source, key));
        }
        Ok(resolved)
    }

    /// Refreshes the keys until the task is dropped. A failure is logged and changes nothing.
    pub(super) async fn refresh(self: Arc<Self>, collector: Arc<Collector>) {
        loop {
            tokio::time::sleep(self.secrets.refresh()).await;
            if let Err(error) = self.apply_to(&collector).await {
                tracing::warn!("failed to refresh write keys; keeping the last ones: {error}");
            }
        }
    }
}

/// Resolves write keys and admin token, as a run does at its start.
///
/// # Errors
///
/// Fails if a secret cannot be resolved, or is not valid.
pub(crate) async fn check_stored_secrets(settings: &Settings) -> Result<(), RunError> {
    let secrets = open_secrets(settings.secrets.as_ref()).await?;
    let referenced = settings.collect.iter().flat_map(|collect| &collect.referenced_keys);
    let referenced: Vec<_> = referenced.cloned().collect();
    StoredWriteKeys::new(Vec::new(), Arc::clone(&secrets)).resolve(&referenced).await?;
    ResolvedToken::open(settings.admin_token.clone(), secrets).await.map(drop)
}
