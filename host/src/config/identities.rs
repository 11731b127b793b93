//! The roles of sources with their own role.

use standpipe_aws::{AwsRole, is_role_arn};
use standpipe_core::settings::{RawSource, SettingsChecker, source_labels};

/// A source with its own role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceRole {
    /// The source's name.
    pub source: String,
    /// The role. Settings that the source does not have come from the AWS settings.
    pub role: AwsRole,
}

/// The sources with their own role.
pub(super) fn check_source_roles(
    sources: &[RawSource],
    default: Option<&AwsRole>,
    checker: &mut SettingsChecker,
) -> Vec<SourceRole> {
    let mut roles = Vec::new();
    for (source, label) in sources.iter().zip(source_labels(sources)) {
        let mut top = checker.top();
        let mut check = top.item("sources", label);
        let external_id = check.optional_secret("external_id", source.external_id.clone());
        let role = match (source.role_arn.clone(), external_id, default) {
            (None, None, _) => continue,
            (None, Some(_), None) => {
                check.add_mistake(
                    "external_id is only used with role_arn: set role_arn here or under [aws], or remove external_id",
                );
                continue;
            }
            (None, external_id, Some(default)) => AwsRole { external_id, ..default.clone() },
            (Some(arn), _, _) if !is_role_arn(&arn) => {
                check.add_mistake(format_args!(
                    "role_arn {arn:?} is not the ARN of a role: write arn:aws:iam::ACCOUNT:role/NAME"
                ));
                continue;
            }
            (Some(arn), external_id, default) => {
                let default = default.cloned().unwrap_or_default();
                let external_id = external_id.or(default.external_id);
                AwsRole { arn, external_id, ..AwsRole { external_id: None, ..default } }
            }
        };
        if Some(&role) != default {
            roles.push(SourceRole { source: source.name.clone(), role });
        }
    }
    roles
}
