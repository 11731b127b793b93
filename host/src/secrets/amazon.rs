use serde_json::{Value, json};

use crate::aws::{self, AwsSettings, ConnectError, JsonClient, Service};
use crate::secret::{NoManager, Resolve, Secret};
use std::sync::Arc;

const SECRETS_MANAGER: Service =
    Service { name: "secretsmanager", target: "secretsmanager", version: "1.1" };
const PARAMETERS: Service = Service { name: "ssm", target: "AmazonSSM", version: "1.1" };

/// AWS Secrets Manager.
#[derive(Debug)]
pub(super) struct SecretsManager {
    client: JsonClient,
}

/// The parameter store of AWS Systems Manager.
#[derive(Debug)]
pub(super) struct Parameters {
    client: JsonClient,
}

impl SecretsManager {
    pub(super) async fn open(settings: &AwsSettings) -> Result<Self, ConnectError> {
        let url = settings.endpoints.secretsmanager.as_deref();
        open(settings, SECRETS_MANAGER, url).await.map(|client| SecretsManager { client })
    }

    pub(super) async fn get(&self, name: &str) -> Result<Secret, String> {
        let answer = self.client.call("GetSecretValue", &json!({"SecretId": name})).await;
        let answer = answer.map_err(|error| error.to_string())?;
        take_text(answer, "/SecretString")
            .ok_or_else(|| "it is binary, and must be text".to_owned())
    }
}

impl Parameters {
    pub(super) async fn open(settings: &AwsSettings) -> Result<Self, ConnectError> {
        let url = settings.endpoints.ssm.as_deref();
        open(settings, PARAMETERS, url).await.map(|client| Parameters { client })
    }

    pub(super) async fn get(&self, name: &str) -> Result<Secret, String> {
        let input = json!({"Name": name, "WithDecryption": true});
        let answer = self.client.call("GetParameter", &input).await;
        let answer = answer.map_err(|error| error.to_string())?;
        take_text(answer, "/Parameter/Value").ok_or_else(|| "the answer has no value".to_owned())
    }
}

/// No reference is resolved on the way to the manager that would resolve it.
async fn open(
    settings: &AwsSettings,
    service: Service,
    url: Option<&str>,
) -> Result<JsonClient, ConnectError> {
    let nobody: Arc<dyn Resolve> = Arc::new(NoManager);
    let http = aws::http_client(&settings.transport, &*nobody).await?;
    let connector = aws::http_connector(&settings.transport, &*nobody).await?;
    let access = aws::connect(settings, &http, &nobody).await?;
    Ok(JsonClient::new(access, connector, service, settings, url))
}

fn take_text(mut answer: Value, pointer: &str) -> Option<Secret> {
    match answer.pointer_mut(pointer)?.take() {
        Value::String(text) => Some(Secret::new(text)),
        _ => None,
    }
}
