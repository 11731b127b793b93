//! Errors as text, with their causes.
//!
//! An error of this program says what failed, why, and how to solve it: its text contains that of
//! its cause, followed by advice. The cause is available as its
//! [`source`](std::error::Error::source), so that code can match on it. Code that displays an error
//! leaves out causes whose text is already included.

use std::error::Error;

/// An error, its cause, the cause of that, and so on.
pub fn error_sources<'a>(
    error: &'a (dyn Error + 'static),
) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

/// An error and its causes, without repeating any.
pub fn error_chain(error: &(dyn Error + 'static)) -> String {
    let mut parts: Vec<String> = Vec::new();
    for cause in error_sources(error) {
        let part = cause.to_string();
        if !parts.iter().any(|earlier| earlier.contains(&part)) {
            parts.push(part);
        }
    }
    parts.join(": ")
}

#[cfg(test)]
mod tests {
    use std::io;

    use thiserror::Error;

    use super::*;

    #[derive(Debug, Error)]
    #[error("read a: {0}: check its path")]
    struct Advising(#[source] io::Error);

    #[derive(Debug, Error)]
    #[error("start")]
    struct Bare(#[source] Advising);

    #[test]
    fn causes_are_told_once() {
        let cause = || Advising(io::Error::other("no room"));
        assert_eq!(error_chain(&cause()), "read a: no room: check its path");
        assert_eq!(error_chain(&Bare(cause())), "start: read a: no room: check its path");
    }
}
