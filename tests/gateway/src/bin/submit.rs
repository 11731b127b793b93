//! The first program of `host/docs/embedding.md`: submits one event.

use std::path::Path;

use standpipe::{Builder, EventOutcome};
use tokio::runtime::Handle;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let settings = r#"
        [plugin.settings]
        mappings = [{ event = "Signed Up", stream = "accounts" }]
    "#;
    let host = Builder::from_toml(settings, Path::new("."))?
        .local_directory("records") // without this line: Amazon Data Firehose
        .start(&Handle::current())
        .await?;
    let outcome = host.submit(r#"{"type":"track","event":"Signed Up"}"#).await?;
    assert_eq!(outcome, EventOutcome::Delivered);
    println!("{}", host.stop().await);
    Ok(())
}
