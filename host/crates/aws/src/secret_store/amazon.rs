//! Secrets from AWS Secrets Manager and from Systems Manager's parameter store, by one signed
//! request each. Their credentials are never references.

use std::sync::Arc;

use serde_json::{Value, json};

use super::SecretError;
use crate::{self as aws, AwsError, AwsSettings, ConnectError, JsonClient, Service, Unreached};
use standpipe_core::secret::{NoSecretManager, Secret, SecretResolver};

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

    pub(super) async fn get(&self, name: &str) -> Result<Secret, SecretError> {
        let answer = self.client.call("GetSecretValue", &json!({"SecretId": name})).await?;
        if answer.get("SecretString").is_none() && answer.get("SecretBinary").is_some() {
            return Err(SecretError::Binary);
        }
        take_text(answer, "/SecretString")
    }
}

impl Parameters {
    pub(super) async fn open(settings: &AwsSettings) -> Result<Self, ConnectError> {
        let url = settings.endpoints.ssm.as_deref();
        open(settings, PARAMETERS, url).await.map(|client| Parameters { client })
    }

    pub(super) async fn get(&self, name: &str) -> Result<Secret, SecretError> {
        let input = json!({"Name": name, "WithDecryption": true});
        let answer = self.client.call("GetParameter", &input).await?;
        take_text(answer, "/Parameter/Value")
    }
}

/// No reference is resolved on the way to the manager that would resolve it.
async fn open(
    settings: &AwsSettings,
    service: Service,
    url: Option<&str>,
) -> Result<JsonClient, ConnectError> {
    let nobody: Arc<dyn SecretResolver> = Arc::new(NoSecretManager);
    let http = aws::http_client(&settings.transport, &*nobody).await?;
    let access = aws::connect(settings, &http, &nobody, Unreached::Fail).await?;
    let connector = aws::http_connector(&settings.transport, &*nobody, &access.clock).await?;
    Ok(JsonClient::new(access, connector, service, settings, url))
}

/// The text that an answer is asked for.
fn take_text(mut answer: Value, pointer: &str) -> Result<Secret, SecretError> {
    match answer.pointer_mut(pointer).map(Value::take) {
        Some(Value::String(text)) => Ok(Secret::new(text)),
        _ => {
            let member = pointer.trim_start_matches('/').replace('/', ".");
            let problem = format!("the answer has no {member} that is a text");
            Err(AwsError::incomplete(problem).into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_without_a_value_is_no_secret() {
        let found = take_text(json!({"Parameter": {"Value": "v"}}), "/Parameter/Value");
        assert_eq!(found.unwrap().expose(), "v");
        for answer in [
            json!({}),
            json!({"Parameter": null}),
            json!({"Parameter": ["hush"]}),
            json!({"Parameter": {"Value": 7}}),
            json!({"Parameter": {"Value": null}}),
        ] {
            let error = take_text(answer, "/Parameter/Value").unwrap_err();
            assert!(!error.is_transient(), "what answers so is not AWS, and will go on so");
            let error = error.to_string();
            assert!(error.contains("no Parameter.Value") && !error.contains("hush"), "{error}");
        }
    }
}
