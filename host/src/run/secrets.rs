//! The manager of secrets that a run asks.

use std::sync::Arc;

use super::StartError;
use standpipe_aws::secret_store::{SecretStore, SecretStoreSettings};
use standpipe_core::secret::{NoSecretManager, SecretResolver};

/// Opens the manager of secrets, if there is one.
pub(crate) async fn open_secrets(
    settings: Option<&SecretStoreSettings>,
) -> Result<Arc<dyn SecretResolver>, StartError> {
    match settings {
        Some(settings) => Ok(Arc::new(SecretStore::open(settings).await?)),
        None => Ok(Arc::new(NoSecretManager)),
    }
}
