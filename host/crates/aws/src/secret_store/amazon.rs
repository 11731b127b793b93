//! Secrets from AWS Secrets Manager and from Systems Manager's parameter store, with one signed
//! request each. Their credentials are never references.

use std::sync::Arc;

use serde_json::{Value, json};

use super::SecretError;
use crate::{
    self as aws, AwsError, AwsSettings, ConnectError, JsonClient, JsonService, OnUnreachable,
};
use standpipe_core::secret::{NoSecretManager, Secret, SecretResolver};

/// AWS Secrets Manager.
pub(super) const SECRETS_MANAGER: JsonService =
    JsonService { name: "secretsmanager", target: "secretsmanager", version: "1.1" };
/// The parameter store of AWS Systems Manager.
pub(super) const PARAMETERS: JsonService =
    JsonService { name: "ssm", target: "AmazonSSM", version: "1.1" };

/// Requests a secret from AWS Secrets Manager.
pub(super) async fn secret_value(client: &JsonClient, name: &str) -> Result<Secret, SecretError> {
    let answer = client.call("GetSecretValue", &json!({"SecretId": name})).await?;
    if answer.get("SecretString").is_none() && answer.get("SecretBinary").is_some() {
        return Err(SecretError::Binary);
    }
    take_text(answer, "/SecretString")
}

/// Requests a parameter from the parameter store.
pub(super) async fn parameter_value(
    client: &JsonClient,
    name: &str,
) -> Result<Secret, SecretError> {
    let input = json!({"Name": name, "WithDecryption": true});
    take_text(client.call("GetParameter", &input).await?, "/Parameter/Value")
}

/// Creates a client for a manager. Its settings contain no references, because the manager itself
/// would have to resolve them.
pub(super) async fn open_client(
    settings: &AwsSettings,
    service: JsonService,
    url: Option<&str>,
) -> Result<JsonClient, ConnectError> {
    let nobody: Arc<dyn SecretResolver> = Arc::new(NoSecretManager);
    let http = aws::http_client(&settings.transport, &*nobody).await?;
    let access = aws::connect(settings, &http, &nobody, OnUnreachable::Fail).await?;
    let connector = aws::http_connector(&settings.transport, &*nobody, &access.clock).await?;
    Ok(JsonClient::new(access, connector, service, settings, url))
}

/// Takes a text from a response.
fn take_text(mut answer: Value, pointer: &str) -> Result<Secret, SecretError> {
    match answer.pointer_mut(pointer).map(Value::take) {
        Some(Value::String(text)) => Ok(Secret::new(text)),
        _ => {
            let member = pointer.trim_start_matches('/').replace('/', ".");
            let problem = format!("the response has no text {member}");
            Err(AwsError::incomplete_response(problem).into())
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
            assert!(
                error.contains("no text Parameter.Value") && !error.contains("hush"),
                "{error}"
            );
        }
    }
}
