//! `host iam policy`: the least policy for the streams of the settings, as JSON or Terraform, split
//! at IAM's size limit on demand.

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::Args;

use super::{aws, json, note};
use crate::cli::config::{check_settings, read_settings};
use crate::cli::run::parse_mapping;
use crate::config::{Overrides, Settings, SourceRole};
use crate::run::{PluginLoader, event_streams};
use standpipe_core::event::{StreamName, covers};
use standpipe_delivery::Pack;
use standpipe_iam::{
    Account, AssumedRole, Document, Grants, KeyArn, Partition, Place, Region, assume_roles,
    prefix_of_most, split, terraform_policies, without_covered,
};

/// Characters of a managed policy, white space not counted. IAM's, and not to be
/// raised.
const POLICY_CHARS_MAX: usize = 6144;

/// Managed policies that can be attached to a role. IAM's default; it can be
/// raised to 20.
const POLICIES_OF_ROLE_MAX: usize = 10;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The settings file.
    #[arg(long, value_name = "FILE.toml")]
    config: Option<PathBuf>,
    /// A further row of the mapping, as `host run` takes it. Can be given
    /// several times.
    #[arg(long = "map", value_name = "EVENT=STREAM", value_parser = parse_mapping)]
    mappings: Vec<(String, String)>,
    /// The mapping plugin; the settings' otherwise.
    #[arg(long, value_name = "FILE.wasm")]
    plugin: Option<PathBuf>,
    /// A further delivery stream, in which `*` stands for any characters. Can be
    /// given several times.
    #[arg(long = "stream", value_name = "NAME", value_parser = parse_stream)]
    streams: Vec<String>,
    /// The account of the streams [default: that of the settings' `role_arn`].
    #[arg(long, value_name = "ID")]
    account: Option<Account>,
    /// The region of the streams [default: that of the settings].
    #[arg(long, value_name = "REGION")]
    region: Option<String>,
    /// AWS's partition: aws, aws-cn or aws-us-gov [default: the region's].
    #[arg(long, value_name = "NAME")]
    partition: Option<Partition>,
    /// Allow to describe every stream; what is packed with `pack = "auto"` is
    /// described in any case.
    #[arg(long)]
    describe: bool,
    /// Allow to list the names of the account's streams.
    #[arg(long)]
    list: bool,
    /// Allow what a data catalog reads: all streams with their tags, and which
    /// DynamoDB tables stream their changes.
    #[arg(long)]
    catalog: bool,
    /// A customer-managed key that a stream encrypts its records with. Can be
    /// given several times.
    #[arg(long = "kms-key", value_name = "ARN")]
    keys: Vec<KeyArn>,
    /// Write Terraform in place of JSON.
    #[arg(long)]
    terraform: bool,
    /// Write as many policies as IAM's limit of 6,144 characters asks for: as
    /// JSON an array, also of one.
    #[arg(long)]
    split: bool,
    /// Write what the credentials need that assume the settings' roles: `role_arn` of
    /// [aws] and of [[sources]].
    #[arg(long, conflicts_with_all = ["streams", "describe", "list", "catalog", "keys", "split"])]
    base: bool,
}

/// What is printed.
pub(super) fn text(mut arguments: Arguments) -> anyhow::Result<String> {
    let (raw, directory) = read_settings(arguments.config.as_deref())?;
    let has_mapping =
        arguments.config.is_some() || arguments.plugin.is_some() || !arguments.mappings.is_empty();
    let overrides = Overrides {
        plugin: arguments.plugin.take(),
        mappings: std::mem::take(&mut arguments.mappings),
        region: arguments.region.take(),
        ..Overrides::default()
    };
    let settings = check_settings(raw, &directory, arguments.config.as_deref(), overrides)?;
    if arguments.base {
        return base(&settings, arguments.terraform);
    }
    let place = place(&settings, &arguments)?;
    let mut written: BTreeSet<String> = arguments.streams.iter().cloned().collect();
    if has_mapping {
        written.extend(declared_streams(&settings)?);
        written.extend(settings.dead_letter_stream.iter().map(ToString::to_string));
    }
    let grants = Grants {
        place,
        described: described(&settings, &written, arguments.describe),
        written: without_covered(written),
        lists: arguments.list,
        catalog: arguments.catalog,
        keys: arguments.keys.iter().cloned().collect(),
    };
    tell_of_roles(&settings);
    write(&grants, &arguments)
}

/// Whose policy it is.
fn tell_of_roles(settings: &Settings) {
    if let Some(role) = &aws(settings).role {
        note(&format!(
            "this is for {}, which the settings assume: the credentials that assume it need what --base prints",
            role.arn
        ));
    }
    for SourceRole { source, role } in &settings.source_roles {
        note(&format!(
            "the source {source:?} writes with {}: it needs the same for the streams in its account, without the \
             stream of the dead letters",
            role.arn
        ));
    }
}

fn write(grants: &Grants, arguments: &Arguments) -> anyhow::Result<String> {
    let whole = grants.document();
    if whole.statements.is_empty() {
        bail!(
            "there is no delivery stream to write to: name them with --config, --map or --stream"
        );
    }
    let documents = if arguments.split {
        split(&whole, POLICY_CHARS_MAX)
    } else {
        check_length(&whole, &grants.written)?;
        vec![whole]
    };
    if documents.len() > POLICIES_OF_ROLE_MAX {
        note(&format!(
            "these are {} policies, and a role takes {} unless its quota is raised: --stream 'NAME*' can stand for \
             many streams",
            documents.len(),
            POLICIES_OF_ROLE_MAX
        ));
    }
    Ok(match &documents[..] {
        documents if arguments.terraform => terraform_policies(documents),
        [document] if !arguments.split => json(document),
        documents => json(&documents),
    })
}

/// IAM would refuse a longer one.
fn check_length(document: &Document, written: &BTreeSet<String>) -> anyhow::Result<()> {
    let chars = document.chars();
    if chars <= POLICY_CHARS_MAX {
        return Ok(());
    }
    let shorter = prefix_of_most(written).map_or_else(
        || "--stream 'NAME*' can stand for many streams".to_owned(),
        |(prefix, count)| {
            format!(
                "--stream '{prefix}*' would stand for {count} of the {} streams, and for others whose names begin so",
                written.len()
            )
        },
    );
    bail!(
        "the policy has {chars} characters, and IAM takes {POLICY_CHARS_MAX}: {shorter}; or --split writes several policies"
    )
}

/// The streams that events go to. A canary decides about events too, so its streams are
/// among them.
fn declared_streams(settings: &Settings) -> anyhow::Result<Vec<String>> {
    let mut loader = PluginLoader::new(settings, None)?;
    let plugins = loader.load_deciding(settings)?;
    Ok(event_streams(settings, &plugins))
}

/// What the credentials need that assume the roles: that of all, and those of sources.
fn base(settings: &Settings, terraform: bool) -> anyhow::Result<String> {
    let own = settings.source_roles.iter().map(|SourceRole { role, .. }| role);
    let roles: Vec<_> = aws(settings).role.iter().chain(own).collect();
    if roles.is_empty() {
        bail!(
            "--base: the settings assume no role: set `role_arn` under [aws] or [[sources]], or leave --base away"
        );
    }
    let document = assume_roles(roles.into_iter().map(|role| AssumedRole {
        arn: role.arn.clone(),
        is_tagged: !role.session_tags.is_empty(),
        has_source_identity: role.source_identity.is_some(),
    }));
    Ok(if terraform { terraform_policies(&[document]) } else { json(&document) })
}

fn place(settings: &Settings, arguments: &Arguments) -> anyhow::Result<Place> {
    let region = aws(settings).region.as_deref();
    let region =
        region.context("the region is not known: set --region, or `region` under [aws]")?;
    let region: Region = region.parse()?;
    let of_role = || Account::of_arn(&aws(settings).role.as_ref()?.arn);
    let account = arguments.account.clone().or_else(of_role);
    let account = account.context(
        "the account of the delivery streams is not known: set --account to its 12 digits",
    )?;
    let partition = arguments.partition.unwrap_or_else(|| Partition::of_region(&region));
    Ok(Place { partition, region, account })
}

/// The streams that the host asks for their description, since how they are
/// packed depends on it; or all.
fn described(settings: &Settings, written: &BTreeSet<String>, all: bool) -> BTreeSet<String> {
    let delivery = &settings.delivery;
    let is_auto = |name: &String| {
        let name = StreamName::parse(name).ok();
        let own = name.and_then(|name| delivery.streams.get(&name));
        own.unwrap_or(&delivery.stream).pack == Pack::Auto
    };
    let described = written.iter().filter(|name| all || is_auto(name)).cloned();
    // A pattern that the plugin declares may stand for a stream with settings of
    // its own.
    let own = delivery.streams.iter().filter(|(_, settings)| settings.pack == Pack::Auto);
    let own = own.map(|(name, _)| name.to_string());
    let own = own.filter(|name| written.iter().any(|pattern| covers(pattern, name)));
    without_covered(described.chain(own).collect())
}

fn parse_stream(text: &str) -> Result<String, String> {
    StreamName::parse(&text.replace('*', "x")).map(|_| text.to_owned()).map_err(|_| {
        "Firehose takes 1 to 64 of the characters a-z, A-Z, 0-9, _ . and -; `*` stands for any"
            .into()
    })
}
