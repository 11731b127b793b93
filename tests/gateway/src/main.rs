//! A gateway with Standpipe inside. The response to an event posted to `/events` follows when the
//! event is settled, and contains its outcome: `delivered`, `filtered` or `dead`.
//!
//!     test-gateway ADDRESS SETTINGS_FILE
//!
//! SIGTERM drains it.

use std::env;
use std::error::Error;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use standpipe::{Builder, EventOutcome, Host};
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let (Some(address), Some(settings)) = (arguments.next(), arguments.next()) else {
        return Err("usage: test-gateway ADDRESS SETTINGS_FILE".into());
    };
    let mut terminate = signal(SignalKind::terminate())?;
    let host = Builder::from_file(settings)?.start(&Handle::current()).await?;
    let listener = TcpListener::bind(address).await?;
    eprintln!("listening on http://{}", listener.local_addr()?);
    let routes = Router::new().route("/events", post(submit)).with_state(host.clone());
    let stopped = async move {
        terminate.recv().await;
    };
    axum::serve(listener, routes).with_graceful_shutdown(stopped).await?;
    print!("{}", host.stop().await);
    Ok(())
}

async fn submit(State(host): State<Host>, event: String) -> (StatusCode, String) {
    match host.submit(event).await {
        Ok(EventOutcome::Delivered) => (StatusCode::OK, "delivered".to_owned()),
        Ok(EventOutcome::Filtered) => (StatusCode::OK, "filtered".to_owned()),
        Ok(EventOutcome::DeadLettered(reason)) => (StatusCode::OK, format!("dead: {reason}")),
        Err(not_settled) => (StatusCode::SERVICE_UNAVAILABLE, not_settled.to_string()),
    }
}
