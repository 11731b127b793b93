//! Requests that scripts send to the network.
//!
//! A request does not leave the script at once: it waits in a queue until the script has nothing
//! else to do ([`jobs`](crate::jobs)). All requests that wait then go to the [`RequestClient`] together,
//! so that a batch of events that send one request each costs the time of the slowest request.

use std::cell::RefCell;

use rquickjs::{Ctx, Function, JsLifetime, Persistent, Promise, Value};

/// Sends requests. The host implements it, if the settings open the network.
pub(crate) trait RequestClient {
    /// Sends requests at the same time. Returns their responses in the same order, or why a request
    /// failed. A status such as 500 is a response.
    fn fetch_all(&mut self, requests: Vec<WebRequest>) -> Vec<Result<WebResponse, String>>;
}

/// A request of a script.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct WebRequest {
    /// In capital letters.
    pub(crate) method: String,
    pub(crate) url: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) redirects: WebRedirects,
    /// A time limit in milliseconds, if it is shorter than that of the settings.
    pub(crate) timeout_ms: Option<u32>,
}

/// What happens if the response is a redirect.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum WebRedirects {
    #[default]
    Follow,
    /// The request fails.
    Error,
    /// The redirect is the response.
    Manual,
}

/// A request without a response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FailedRequest {
    /// The address of the request.
    pub(crate) url: String,
    pub(crate) reason: String,
}

/// The response to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WebResponse {
    /// The address of the response, after redirects.
    pub(crate) url: String,
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

/// Converts the outcome of a request into the value of its promise. If it throws, the promise is
/// rejected with what it throws. It is a plain function because a value of JavaScript in a closure
/// would keep the context alive.
pub(crate) type ConvertResponse =
    for<'js> fn(&Ctx<'js>, Result<WebResponse, FailedRequest>) -> rquickjs::Result<Value<'js>>;

/// The requests of a runtime's contexts that wait. It is empty between batches.
#[derive(Default)]
struct WebQueue {
    waiting: RefCell<Vec<WaitingRequest>>,
    client: RefCell<Option<Box<dyn RequestClient>>>,
}

// SAFETY: the type contains no lifetime of a context.
unsafe impl<'js> JsLifetime<'js> for WebQueue {
    type Changed<'to> = WebQueue;
}

struct WaitingRequest {
    request: WebRequest,
    convert: ConvertResponse,
    resolve: Persistent<Function<'static>>,
    reject: Persistent<Function<'static>>,
}

/// Prepares a runtime for requests. Without a client, each of them fails.
pub(crate) fn prepare_runtime(ctx: &Ctx<'_>) -> rquickjs::Result<()> {
    ctx.store_userdata(WebQueue::default()).map_err(|_| rquickjs::Error::Unknown)?;
    Ok(())
}

/// Sets the client of the runtime's requests.
pub(crate) fn set_client(ctx: &Ctx<'_>, client: Box<dyn RequestClient>) {
    if let Some(queue) = ctx.userdata::<WebQueue>() {
        queue.client.replace(Some(client));
    }
}

/// Puts a request into the queue. The promise is settled with what `convert` makes of the response.
pub(crate) fn send<'js>(
    ctx: &Ctx<'js>,
    request: WebRequest,
    convert: ConvertResponse,
) -> rquickjs::Result<Promise<'js>> {
    let queue = ctx.userdata::<WebQueue>().ok_or(rquickjs::Error::Unknown)?;
    let (promise, resolve, reject) = ctx.promise()?;
    queue.waiting.borrow_mut().push(WaitingRequest {
        request,
        convert,
        resolve: Persistent::save(ctx, resolve),
        reject: Persistent::save(ctx, reject),
    });
    Ok(promise)
}

/// Sends all requests that wait, and settles their promises. Returns false if none waits.
pub(crate) fn answer_requests(ctx: &Ctx<'_>) -> bool {
    let Some(queue) = ctx.userdata::<WebQueue>() else { return false };
    let waiting = queue.waiting.take();
    if waiting.is_empty() {
        return false;
    }
    let (requests, promises): (Vec<_>, Vec<_>) = waiting
        .into_iter()
        .map(|WaitingRequest { request, convert, resolve, reject }| {
            let url = request.url.clone();
            (request, (url, convert, resolve, reject))
        })
        .unzip();
    let responses = queue.fetch_all(requests);
    for ((url, convert, resolve, reject), response) in promises.into_iter().zip(responses) {
        let response = response.map_err(|reason| FailedRequest { url, reason });
        let settled = settle(ctx, convert, response, resolve, reject);
        if settled.is_err() {
            // The functions of a promise do not throw, except without memory.
            ctx.catch();
        }
    }
    true
}

/// Settles the promise of a request. The value is created in the context that sent the request.
fn settle<'js>(
    ctx: &Ctx<'js>,
    convert: ConvertResponse,
    response: Result<WebResponse, FailedRequest>,
    resolve: Persistent<Function<'static>>,
    reject: Persistent<Function<'static>>,
) -> rquickjs::Result<()> {
    let resolve = resolve.restore(ctx)?;
    let reject = reject.restore(ctx)?;
    let sender = resolve.ctx().clone();
    match convert(&sender, response) {
        Ok(value) => resolve.call((value,)),
        Err(error) => reject.call((thrown_value(&sender, &error),)),
    }
}

/// The exception that an error stands for.
fn thrown_value<'js>(ctx: &Ctx<'js>, error: &rquickjs::Error) -> Value<'js> {
    if error.is_exception() {
        return ctx.catch();
    }
    rquickjs::Exception::throw_message(ctx, &error.to_string());
    ctx.catch()
}

impl WebQueue {
    fn fetch_all(&self, requests: Vec<WebRequest>) -> Vec<Result<WebResponse, String>> {
        let expected = requests.len();
        let mut responses = match &mut *self.client.borrow_mut() {
            Some(client) => client.fetch_all(requests),
            None => requests.iter().map(|request| Err(network_is_off(&request.url))).collect(),
        };
        // A promise without a response would never be settled.
        responses.resize_with(expected, || Err("the host returned no response".to_owned()));
        responses
    }
}

/// Why a request fails if the settings do not open the network.
fn network_is_off(url: &str) -> String {
    let host = url.split_once("://").map_or(url, |(_, rest)| rest);
    let host = host.split(['/', '?', '#']).next().unwrap_or_default();
    let host = host.rsplit('@').next().unwrap_or_default();
    format!("the network is off for scripts: set [plugin.network] allow = [\"{host}\"]")
}

#[cfg(test)]
pub(crate) mod testing {
    //! A client that answers without a network.

    use std::cell::RefCell;
    use std::rc::Rc;

    use super::{RequestClient, WebRequest, WebResponse};

    /// Passes the requests of each call to a function, and keeps them.
    pub(crate) struct TestClient<F> {
        pub(crate) calls: Rc<RefCell<Vec<Vec<WebRequest>>>>,
        pub(crate) respond: F,
    }

    impl<F: FnMut(&WebRequest) -> Result<WebResponse, String>> RequestClient for TestClient<F> {
        fn fetch_all(&mut self, requests: Vec<WebRequest>) -> Vec<Result<WebResponse, String>> {
            let responses = requests.iter().map(&mut self.respond).collect();
            self.calls.borrow_mut().push(requests);
            responses
        }
    }

    /// A response with a status and a text.
    pub(crate) fn response(request: &WebRequest, status: u16, body: &str) -> WebResponse {
        WebResponse {
            url: request.url.clone(),
            status,
            headers: vec![("content-type".to_owned(), "application/json".to_owned())],
            body: body.as_bytes().to_vec(),
        }
    }
}

#[cfg(test)]
mod tests;
