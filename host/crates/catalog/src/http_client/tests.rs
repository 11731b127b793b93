//! Tests requests to catalog servers: retries, redirects that are not followed, limited responses,
//! and errors without secrets.

use proptest::prelude::*;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::*;

/// A server that sends these responses in order, one per connection, and returns its requests.
async fn server(answers: Vec<String>) -> (String, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/a?token=hidden", listener.local_addr().unwrap());
    let seen = tokio::spawn(async move {
        let mut seen = Vec::new();
        for answer in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = vec![0; 65536];
            let read = stream.read(&mut request).await.unwrap();
            seen.push(String::from_utf8_lossy(&request[..read]).into_owned());
            let _ = stream.write_all(answer.as_bytes()).await;
        }
        seen
    });
    (url, seen)
}

fn answer(head: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {head}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}")
}

fn settings() -> HttpClientSettings {
    HttpClientSettings {
        bearer: Some(Secret::new("t0p".to_owned())),
        extra_headers: vec![("X-Tenant".to_owned(), Secret::new("blue".to_owned()))],
        pause: Duration::from_millis(1),
        ..HttpClientSettings::default()
    }
}

#[tokio::test]
async fn what_failed_in_passing_is_asked_again() {
    let answers = vec![
        answer("429 Slow\r\nretry-after: 0", ""),
        answer("503 Busy", "{}"),
        "HTTP/1.1 ".to_owned(),
        answer("200 OK\r\ncontent-type: application/json", "{\"a\":1}"),
    ];
    let (url, seen) = server(answers).await;
    let web = HttpClient::new(&settings()).unwrap();
    let answer = web.send(Method::PUT, &url, Some(&json!({"b": 2}))).await.unwrap();
    assert_eq!((answer.status, &*answer.body, answer.is_html), (200, &b"{\"a\":1}"[..], false));
    let seen = seen.await.unwrap();
    assert_eq!(seen.len(), 4);
    for request in seen {
        assert!(request.contains("authorization: Bearer t0p\r\n"), "{request}");
        assert!(request.contains("x-tenant: blue\r\n"), "{request}");
        assert!(request.ends_with("{\"b\":2}"), "{request}");
    }
}

#[tokio::test]
async fn the_last_answer_stands_and_nothing_is_posted_twice() {
    let (url, seen) = server(vec![answer("503 Busy", "x"); 4]).await;
    let web = HttpClient::new(&settings()).unwrap();
    assert_eq!(web.send(Method::GET, &url, None).await.unwrap().status, 503);
    assert_eq!(seen.await.unwrap().len(), 4);
    let (url, seen) = server(vec![answer("503 Busy", "x")]).await;
    assert_eq!(web.send(Method::POST, &url, Some(&json!({}))).await.unwrap().status, 503);
    assert_eq!(seen.await.unwrap().len(), 1);
}

#[tokio::test]
async fn redirects_are_told_without_their_query() {
    let moved = answer("302 Moved\r\nlocation: https://u:pw@sso/login?code=hidden", "");
    let (url, _seen) = server(vec![moved]).await;
    let web = HttpClient::new(&settings()).unwrap();
    let error = web.send(Method::GET, &url, None).await.unwrap_err().to_string();
    assert!(error.contains("redirects to https://sso/login;"), "{error}");
    assert!(!error.contains("hidden") && !error.contains("pw"), "{error}");
}

#[tokio::test]
async fn pages_are_told_from_answers() {
    for (head, body, expected) in [
        ("200 OK\r\ncontent-type: text/html; charset=utf-8", "x", true),
        ("200 OK\r\ncontent-type: application/json", " \n<!DOCTYPE html>", true),
        ("404 No", "<HTML>", true),
        ("404 No", "{}", false),
        ("200 OK", "", false),
    ] {
        let (url, _seen) = server(vec![answer(head, body)]).await;
        let web = HttpClient::new(&settings()).unwrap();
        assert_eq!(web.send(Method::GET, &url, None).await.unwrap().is_html, expected, "{body}");
    }
}

#[tokio::test]
async fn answers_have_an_end() {
    let long = "x".repeat(limits::HTTP_ANSWER_BYTES_MAX + 1);
    let (url, _seen) = server(vec![answer("200 OK", &long)]).await;
    let web = HttpClient::new(&settings()).unwrap();
    let error = web.send(Method::GET, &url, None).await.unwrap_err();
    assert!(matches!(error, HttpError::TooLong { .. }), "{error}");
}

#[tokio::test]
async fn errors_show_no_secret() {
    let web = HttpClient::new(&settings()).unwrap();
    for url in ["http://u:hidden@127.0.0.1:1/a?k=hidden", "//u:hidden@a?hidden", "hidden: x"] {
        let error = web.send(Method::GET, url, None).await.unwrap_err();
        let error = format!("{error} {error:?}");
        assert!(!error.contains("hidden") || url.starts_with("hidden"), "{error}");
    }
    let mut wrong = settings();
    wrong.extra_headers = vec![("X-Key".to_owned(), Secret::new("hidden\n".to_owned()))];
    assert!(!HttpClient::new(&wrong).unwrap_err().to_string().contains("hidden"));
    wrong.extra_headers = vec![("authorization".to_owned(), Secret::new("hidden".to_owned()))];
    assert!(matches!(HttpClient::new(&wrong).unwrap_err(), HttpError::HeaderTaken { .. }));
    wrong.bearer = None;
    let web = HttpClient::new(&wrong).unwrap();
    assert!(!format!("{web:?}").contains("hidden"));
}

proptest! {
    #[test]
    fn no_user_and_no_query_is_shown(
        user in "[a-z:]{0,8}", host in "[a-z.]{1,8}", path in "[a-z/]{0,8}", query in "[a-z@/]{0,8}",
    ) {
        let url = format!("https://{user}@{host}/{path}?{query}");
        prop_assert_eq!(without_secrets(&url), format!("https://{host}/{path}"));
    }
}
