//! Checks the sources that write with a role of their own; what a source leaves out comes from
//! `[aws]`.

use super::aws::is_role_arn;
use super::error::Mistakes;
use super::places::source_places;
use super::secrets::References;
use super::{ConfigError, RawSource};
use standpipe_aws::Role;

/// A source that writes with a role of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceRole {
    /// The source's name.
    pub source: String,
    /// The role, with all that the settings of AWS say about roles and this source
    /// does not.
    pub role: Role,
}

/// The sources that do not write with the role of all others.
pub(super) fn check_source_roles(
    sources: &[RawSource],
    default: Option<&Role>,
    references: &References,
) -> Result<Vec<SourceRole>, ConfigError> {
    let mut roles = Vec::new();
    let mut mistakes = Mistakes::default();
    for (source, place) in sources.iter().zip(source_places(sources)) {
        let external_id = source.external_id.clone();
        let external_id = references.optional(&format!("{place}: external_id"), external_id);
        let Some(external_id) = mistakes.some(external_id) else { continue };
        let role = match (source.role_arn.clone(), external_id, default) {
            (None, None, _) => continue,
            (None, Some(_), None) => {
                mistakes.add(ConfigError::new(format!(
                    "{place}: external_id has a meaning only with role_arn: set it here or under [aws], or remove this"
                )));
                continue;
            }
            (None, external_id, Some(default)) => Role { external_id, ..default.clone() },
            (Some(arn), _, _) if !is_role_arn(&arn) => {
                mistakes.add(ConfigError::new(format!(
                    "{place}: role_arn {arn:?} is no ARN of a role: write arn:aws:iam::ACCOUNT:role/NAME"
                )));
                continue;
            }
            (Some(arn), external_id, default) => {
                let default = default.cloned().unwrap_or_default();
                let external_id = external_id.or(default.external_id);
                Role { arn, external_id, ..Role { external_id: None, ..default } }
            }
        };
        if Some(&role) != default {
            roles.push(SourceRole { source: source.name.clone(), role });
        }
    }
    mistakes.end(roles)
}
