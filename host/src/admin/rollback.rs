//! Parses the query of a rollback request: `generation=N`, once, or nothing. Values in errors are
//! cut at a limit.

use thiserror::Error;

use crate::limits;

/// A query that names no generation.
#[derive(Debug, Clone, Error, PartialEq, Eq)]
pub(super) enum RollbackQueryError {
    /// A parameter that there is not.
    #[error("unknown parameter {0:?}: expected generation, or none")]
    Unknown(String),
    /// The parameter is there twice.
    #[error("the parameter generation is there twice: write it once")]
    Twice,
    /// It is no number.
    #[error("invalid parameter generation: expected the number of a generation, found {0:?}")]
    NotANumber(String),
}

/// The generation that a rollback is to withdraw, from the query of a URL; the one in use
/// where it names none.
pub(super) fn withdrawn_generation(query: &str) -> Result<Option<u64>, RollbackQueryError> {
    let short = |text: &str| text.chars().take(limits::ADMIN_SHOWN_CHARACTERS_MAX).collect();
    let mut generation = None;
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        if name != "generation" {
            return Err(RollbackQueryError::Unknown(short(&name)));
        }
        let number = value.parse().map_err(|_| RollbackQueryError::NotANumber(short(&value)))?;
        if generation.replace(number).is_some() {
            return Err(RollbackQueryError::Twice);
        }
    }
    Ok(generation)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generation_is_named_once_or_not_at_all() {
        assert_eq!(withdrawn_generation(""), Ok(None));
        assert_eq!(withdrawn_generation("generation=7"), Ok(Some(7)));
        for (query, words) in [
            ("generation=7&generation=7", "twice"),
            ("generation=", "found \"\""),
            ("generation=-1", "found \"-1\""),
            ("generation=1.0", "found \"1.0\""),
            ("gen=1", "unknown parameter \"gen\""),
        ] {
            let error = withdrawn_generation(query).expect_err(query).to_string();
            assert!(error.contains(words), "{query}: {error}");
        }
        let long = "x".repeat(10_000);
        assert!(withdrawn_generation(&long).unwrap_err().to_string().len() < 2000);
    }
}
