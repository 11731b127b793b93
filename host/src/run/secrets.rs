//! The secret store of a run.

use std::sync::Arc;

use super::RunError;
use standpipe_aws::secret_store::{SecretStore, SecretStoreSettings};
use standpipe_core::secret::{NoSecretManager, SecretResolver};

/// Opens the secret store of the settings.
pub(crate) async fn open_secrets(
    settings: Option<&SecretStoreSettings>,
) -> Result<Arc<dyn SecretResolver>, RunError> {
    match settings {
        Some(settings) => Ok(Arc::new(SecretStore::open(settings).await?)),
        None => Ok(Arc::new(NoSecretManager)),
    }
}
