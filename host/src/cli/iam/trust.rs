use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::Args;

use super::{aws, json, note};
use crate::aws::AwsSettings;
use crate::cli::config::read_settings;
use crate::config::{Overrides, Settings};
use crate::limits;
use crate::policy::{ExternalId, Partition, Principal, Region, terraform_role, trust};
use crate::secret::SecretSetting;

#[derive(Debug, Args)]
pub(in crate::cli) struct Arguments {
    /// Who may assume the role: an account's 12 digits, for whoever it allows
    /// to, or the ARN of a role or user. Can be given several times.
    #[arg(long = "principal", value_name = "ARN", required = true)]
    principals: Vec<Principal>,
    /// An external id to ask for. Can be given several times, for one or the
    /// other.
    #[arg(long = "external-id", value_name = "ID")]
    external_ids: Vec<String>,
    /// The settings file.
    #[arg(long, value_name = "FILE.toml")]
    config: Option<PathBuf>,
    /// AWS's partition: aws, aws-cn or aws-us-gov [default: that of the
    /// settings' `role_arn` or region, or else aws].
    #[arg(long, value_name = "NAME")]
    partition: Option<Partition>,
    /// Write Terraform in place of JSON.
    #[arg(long)]
    terraform: bool,
}

/// What is printed.
pub(super) fn text(arguments: &Arguments) -> anyhow::Result<String> {
    let (raw, directory) = read_settings(arguments.config.as_deref())?;
    let settings = raw.check(&directory, Overrides::default())?;
    let aws = aws(&settings);
    let external_ids = external_ids(&arguments.external_ids, &settings, aws)?;
    if external_ids.is_empty() {
        note(
            "no external id is asked for: give --external-id if the role is for somebody outside of its account \
             who serves others too",
        );
    }
    let partition = arguments.partition.or_else(|| partition(aws)).unwrap_or_default();
    let document = trust(&arguments.principals, &external_ids, partition);
    if document.chars() > limits::TRUST_CHARS_MAX {
        note(&format!(
            "the trust policy has {} characters, and IAM takes {} unless its quota is raised",
            document.chars(),
            limits::TRUST_CHARS_MAX
        ));
    }
    Ok(if arguments.terraform { terraform_role(&document) } else { json(&document) })
}

/// By hand, since the command line's own error would show the value.
fn external_ids(
    given: &[String],
    settings: &Settings,
    aws: &AwsSettings,
) -> anyhow::Result<BTreeSet<ExternalId>> {
    if !given.is_empty() {
        return given.iter().map(|id| id.parse().context("--external-id")).collect();
    }
    let Some(default) = &aws.role else { return Ok(BTreeSet::new()) };
    // Sources that assume the same role with an external id of their own.
    let others = settings.source_roles.iter().map(|own| &own.role);
    let same = others.filter(|role| role.arn == default.arn);
    let ids = std::iter::once(default).chain(same).filter_map(|role| role.external_id.as_ref());
    ids.map(|id| match id {
        SecretSetting::Value(id) => id.expose().parse().context("external_id"),
        SecretSetting::Reference(reference) => {
            bail!("external_id is kept elsewhere, as {reference}: give it with --external-id")
        }
    })
    .collect()
}

fn partition(aws: &AwsSettings) -> Option<Partition> {
    let of_role = aws.role.as_ref().and_then(|role| Partition::of_arn(&role.arn));
    let region = || aws.region.as_ref()?.parse::<Region>().ok();
    of_role.or_else(|| region().map(|region| Partition::of_region(&region)))
}
