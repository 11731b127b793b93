//! Makes calls for many names, with a limited number at once. After several consecutive failures,
//! the remaining calls fail without being made.

use tokio::task::JoinSet;

use super::error_kind::{is_denied, is_gone, is_incomplete};
use standpipe_aws::AwsError;

/// Maximum number of concurrent descriptions. The rate limits them; this number is enough to reach
/// the rate with responses that take two seconds.
const CATALOG_CALLS_IN_FLIGHT: usize = 8;

/// Number of consecutive calls that may fail with a transient error, after all attempts, before no
/// more are made. Otherwise, an unreachable service would be called thousands of times.
const CATALOG_FAILURES_IN_A_ROW_MAX: usize = 5;

/// Makes a call for each of these names, several at a time, and passes on the results in the order
/// of their arrival. After too many consecutive calls have failed with a transient error, the
/// remaining ones fail like the last.
pub(super) async fn call_for_each<T, F>(
    names: Vec<String>,
    ask: impl Fn(String) -> F,
    mut take: impl FnMut(String, Result<T, AwsError>),
) where
    T: Send + 'static,
    F: Future<Output = Result<T, AwsError>> + Send + 'static,
{
    let (mut names, mut asked, mut failed_in_a_row) = (names.into_iter(), JoinSet::new(), 0);
    loop {
        while asked.len() < CATALOG_CALLS_IN_FLIGHT {
            let Some(name) = names.next() else { break };
            let answer = ask(name.clone());
            asked.spawn(async move { (name, answer.await) });
        }
        let Some(answer) = asked.join_next().await else { return };
        let (name, answer) = answer.expect("a task that asks neither panics nor is stopped");
        let is_of_one =
            |error: &AwsError| is_denied(error) || is_gone(error) || is_incomplete(error);
        let failure = answer.as_ref().err().filter(|error| !is_of_one(error));
        let failure = failure.cloned();
        take(name, answer);
        match failure {
            None => failed_in_a_row = 0,
            Some(error) => {
                failed_in_a_row += 1;
                if failed_in_a_row == CATALOG_FAILURES_IN_A_ROW_MAX {
                    names.by_ref().for_each(|name| take(name, Err(error.clone())));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(code: &str) -> AwsError {
        let (code, message) = (code.to_owned(), String::new());
        AwsError { code, message, advice: None, is_passing: false, status: None }
    }

    /// Returns how many names were called, and how many calls have failed.
    async fn ask(codes: Vec<Option<&'static str>>) -> (usize, usize) {
        let names: Vec<_> = (0..codes.len()).map(|name| name.to_string()).collect();
        let (asked, mut failed) = (std::cell::Cell::new(0), 0);
        let ask = |name: String| {
            asked.set(asked.get() + 1);
            let code = codes[name.parse::<usize>().unwrap()];
            async move { code.map_or(Ok(()), |code| Err(error(code))) }
        };
        call_for_each(names, ask, |_, answer| failed += usize::from(answer.is_err())).await;
        (asked.get(), failed)
    }

    #[tokio::test]
    async fn all_are_asked_about() {
        let mut codes = vec![None; 100];
        codes[3] = Some("HTTP 500");
        assert_eq!(ask(codes).await, (100, 1));
        assert_eq!(ask(Vec::new()).await, (0, 0));
    }

    #[tokio::test]
    async fn an_unreachable_service_is_not_called_for_ever() {
        let (asked, failed) = ask(vec![Some("CannotConnect"); 1000]).await;
        let most = CATALOG_FAILURES_IN_A_ROW_MAX + CATALOG_CALLS_IN_FLIGHT;
        assert!((asked < most, failed) == (true, 1000), "{asked} {failed}");
    }

    #[tokio::test]
    async fn a_refusal_says_nothing_of_the_next_name() {
        for code in ["AccessDeniedException", "ResourceNotFoundException"] {
            assert_eq!(ask(vec![Some(code); 1000]).await, (1000, 1000));
        }
    }
}
