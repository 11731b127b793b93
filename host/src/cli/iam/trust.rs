//! `host iam trust`: who may assume the role. External ids are never shown in errors.

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::Args;

use super::{aws_settings, print_note, to_json};
use crate::cli::config::{check_settings, read_settings};
use crate::config::{Overrides, Settings};
use standpipe_aws::{AwsRole, AwsSettings};
use standpipe_core::secret::SecretSetting;
use standpipe_iam::{
    ExternalId, Partition, Principal, Region, SessionAttributes, terraform_role, trust_policy,
};

/// Characters of a role's trust policy without white space. This is IAM's default, which can be
/// doubled.
const TRUST_CHARS_MAX: usize = 2048;

#[derive(Debug, Args)]
pub(crate) struct TrustArguments {
    /// A principal that may assume the role: an account's 12 digits, or the ARN of
    /// a role or user. Can be given several times.
    #[arg(long = "principal", value_name = "ARN", required = true)]
    principals: Vec<Principal>,
    /// An external id that is accepted. Can be given several times.
    #[arg(long = "external-id", value_name = "ID")]
    external_ids: Vec<String>,
    /// The settings file.
    #[arg(long, value_name = "FILE.toml")]
    config: Option<PathBuf>,
    /// AWS's partition: aws, aws-cn or aws-us-gov [default: that of the
    /// settings' `role_arn` or region, or else aws].
    #[arg(long, value_name = "NAME")]
    partition: Option<Partition>,
    /// Print Terraform instead of JSON.
    #[arg(long)]
    terraform: bool,
}

/// The text to print.
pub(super) fn trust_text(arguments: &TrustArguments) -> anyhow::Result<String> {
    let (raw, directory) = read_settings(arguments.config.as_deref())?;
    let file = arguments.config.as_deref();
    let settings = check_settings(raw, &directory, file, Overrides::default())?;
    let aws = aws_settings(&settings);
    let external_ids = external_ids(&arguments.external_ids, &settings, aws)?;
    if external_ids.is_empty() {
        print_note(
            "the policy requires no external id: set --external-id if the role is for a third \
             party that also serves others",
        );
    }
    let partition = arguments.partition.or_else(|| default_partition(aws)).unwrap_or_default();
    let marks = session_attributes(&settings, aws);
    let document = trust_policy(&arguments.principals, &external_ids, partition, marks);
    if document.character_count() > TRUST_CHARS_MAX {
        print_note(&format!(
            "the trust policy has {} characters, and IAM accepts {} unless its quota is raised",
            document.character_count(),
            TRUST_CHARS_MAX
        ));
    }
    Ok(if arguments.terraform { terraform_role(&document) } else { to_json(&document) })
}

/// Parses external ids here, because an error of the command line parser would show the value.
fn external_ids(
    given: &[String],
    settings: &Settings,
    aws: &AwsSettings,
) -> anyhow::Result<BTreeSet<ExternalId>> {
    if !given.is_empty() {
        return given.iter().map(|id| id.parse().context("--external-id")).collect();
    }
    let ids = role_sessions(settings, aws).filter_map(|role| role.external_id.as_ref());
    ids.map(|id| match id {
        SecretSetting::Value(id) => id.expose().parse().context("external_id"),
        SecretSetting::Reference(reference) => {
            bail!("external_id is a reference, {reference}: set --external-id to its value")
        }
    })
    .collect()
}

/// The sessions in which the role of [aws] is assumed. Sources also assume it, with their own
/// external id.
fn role_sessions<'a>(
    settings: &'a Settings,
    aws: &'a AwsSettings,
) -> impl Iterator<Item = &'a AwsRole> {
    let others = settings.source_roles.iter().map(|own| &own.role);
    let same = others.filter(|role| aws.role.as_ref().is_some_and(|own| own.arn == role.arn));
    aws.role.iter().chain(same)
}

fn session_attributes(settings: &Settings, aws: &AwsSettings) -> SessionAttributes {
    SessionAttributes {
        are_tagged: role_sessions(settings, aws).any(|role| !role.session_tags.is_empty()),
        have_source_identity: role_sessions(settings, aws)
            .any(|role| role.source_identity.is_some()),
    }
}

fn default_partition(aws: &AwsSettings) -> Option<Partition> {
    let of_role = aws.role.as_ref().and_then(|role| Partition::of_arn(&role.arn));
    let region = || aws.region.as_ref()?.parse::<Region>().ok();
    of_role.or_else(|| region().map(|region| Partition::of_region(&region)))
}
