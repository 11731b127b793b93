use std::sync::Arc;

use super::StartError;
use crate::collector::Collector;
use crate::config::{ReferencedKey, is_write_key};
use crate::secret::{Resolve, Secret};

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
