//! `host iam policy`: the minimal policy for the streams of the settings, as JSON or Terraform,
//! optionally split at IAM's size limit.

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::Args;

use super::{aws_settings, print_note, to_json};
use crate::cli::config::{check_settings, read_settings};
use crate::cli::run::parse_mapping;
use crate::config::{Overrides, Settings, SourceRole};
use crate::run::{PluginLoader, event_streams};
use standpipe_core::event::{StreamName, covers};
use standpipe_iam::{
    AccountId, AssumedRole, KeyArn, Partition, PolicyDocument, PolicyGrants, QueueGrants, Region,
    StreamLocation, assume_roles_policy, most_common_prefix, remove_covered, split_document,
    terraform_policies,
};
#[cfg(feature = "queue")]
use standpipe_queue::QueueKind;

/// Characters of a managed policy without white space. It is a fixed limit of IAM.
const POLICY_CHARS_MAX: usize = 6144;

/// Managed policies that can be attached to a role. It is IAM's default, which can be raised to 20.
const POLICIES_OF_ROLE_MAX: usize = 10;

#[derive(Debug, Args)]
pub(crate) struct PolicyArguments {
    /// The settings file.
    #[arg(long, value_name = "FILE.toml")]
    config: Option<PathBuf>,
    /// Add a mapping, as in `host run`. Can be repeated.
    #[arg(long = "map", value_name = "EVENT=STREAM", value_parser = parse_mapping)]
    mappings: Vec<(String, String)>,
    /// The mapping plugin [default: that of the settings].
    #[arg(long, value_name = "FILE.wasm")]
    plugin: Option<PathBuf>,
    /// A further delivery stream, in which `*` stands for any characters. Can be
    /// given several times.
    #[arg(long = "stream", value_name = "NAME", value_parser = parse_stream)]
    streams: Vec<String>,
    /// The account of the streams [default: that of the settings' `role_arn`].
    #[arg(long, value_name = "ID")]
    account: Option<AccountId>,
    /// The region of the streams [default: that of the settings].
    #[arg(long, value_name = "REGION")]
    region: Option<String>,
    /// AWS's partition: aws, aws-cn or aws-us-gov [default: the region's].
    #[arg(long, value_name = "NAME")]
    partition: Option<Partition>,
    /// Allow to describe every stream; streams with `aggregate = "auto"` are always
    /// described.
    #[arg(long)]
    describe: bool,
    /// Allow to list the names of the account's streams.
    #[arg(long)]
    list: bool,
    /// Allow what a data catalog reads: all streams with their tags, and the
    /// DynamoDB tables that stream their changes.
    #[arg(long)]
    catalog: bool,
    /// Allow `host queue create`, and to read the attributes of the queue in [queue].
    #[arg(long)]
    queue_admin: bool,
    /// A customer-managed key that a stream encrypts its records with. Can be
    /// given several times.
    #[arg(long = "kms-key", value_name = "ARN")]
    keys: Vec<KeyArn>,
    /// Print Terraform instead of JSON.
    #[arg(long)]
    terraform: bool,
    /// Print as many policies as IAM's limit of 6,144 characters requires: in
    /// JSON always an array.
    #[arg(long)]
    split: bool,
    /// Print the policy of the credentials that assume the settings' roles: `role_arn` of
    /// [aws] and of [[sources]].
    #[arg(long, conflicts_with_all = ["streams", "describe", "list", "catalog", "queue_admin", "keys", "split"])]
    base: bool,
}

/// The text to print.
pub(super) fn policy_text(mut arguments: PolicyArguments) -> anyhow::Result<String> {
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
        return base_policy(&settings, arguments.terraform);
    }
    let queue = queue_grants(&settings, &arguments)?;
    let place = stream_location(&settings, &arguments, queue.as_ref())?;
    let mut written: BTreeSet<String> = arguments.streams.iter().cloned().collect();
    if has_mapping {
        // A collector of a queue has no plugin.
        if settings.is_mapper() {
            written.extend(declared_streams(&settings)?);
        }
        written.extend(settings.dead_letter_stream.iter().map(ToString::to_string));
    }
    let grants = PolicyGrants {
        place,
        described: described_streams(&settings, &written, arguments.describe),
        written: remove_covered(written),
        lists: arguments.list,
        catalog: arguments.catalog,
        keys: arguments.keys.iter().cloned().collect(),
        queue,
    };
    note_roles(&settings);
    render_policy(&grants, &arguments)
}

/// Notes which role the policy is for.
fn note_roles(settings: &Settings) {
    if let Some(role) = &aws_settings(settings).role {
        print_note(&format!(
            "this policy is for {}, which the settings assume; the credentials that assume it need the policy that --base prints",
            role.arn
        ));
    }
    for SourceRole { source, role } in &settings.source_roles {
        print_note(&format!(
            "the source {source:?} writes with {}, which needs the same policy for the streams in its account, without the \
             stream of the dead letters",
            role.arn
        ));
    }
}

fn render_policy(grants: &PolicyGrants, arguments: &PolicyArguments) -> anyhow::Result<String> {
    let whole = grants.document();
    if whole.statements.is_empty() {
        bail!(
            "no delivery streams to write to, and no queue: name streams with --config, --map or --stream; a queue of NATS \
             needs no permissions in AWS"
        );
    }
    let documents = if arguments.split {
        split_document(&whole, POLICY_CHARS_MAX)
    } else {
        check_length(&whole, &grants.written)?;
        vec![whole]
    };
    if documents.len() > POLICIES_OF_ROLE_MAX {
        print_note(&format!(
            "{} policies are needed, and a role accepts {} unless its quota is raised: --stream \
             'NAME*' covers many streams",
            documents.len(),
            POLICIES_OF_ROLE_MAX
        ));
    }
    Ok(match &documents[..] {
        documents if arguments.terraform => terraform_policies(documents),
        [document] if !arguments.split => to_json(document),
        documents => to_json(&documents),
    })
}

/// Rejects a policy that exceeds IAM's limit.
fn check_length(document: &PolicyDocument, written: &BTreeSet<String>) -> anyhow::Result<()> {
    let chars = document.character_count();
    if chars <= POLICY_CHARS_MAX {
        return Ok(());
    }
    let shorter = most_common_prefix(written).map_or_else(
        || "--stream 'NAME*' covers many streams".to_owned(),
        |(prefix, count)| {
            format!(
                "--stream '{prefix}*' covers {count} of the {} streams, and all others with that prefix",
                written.len()
            )
        },
    );
    bail!(
        "the policy has {chars} characters, and IAM accepts {POLICY_CHARS_MAX}: {shorter}; or use --split to print several policies"
    )
}

/// The streams that events are sent to, including those of a canary, which decides events too.
fn declared_streams(settings: &Settings) -> anyhow::Result<Vec<String>> {
    let mut loader = PluginLoader::new(settings, None)?;
    let plugins = loader.load_deciding(settings)?;
    Ok(event_streams(settings, &plugins))
}

/// The policy of the credentials that assume the roles: the default role, and the roles of sources.
fn base_policy(settings: &Settings, terraform: bool) -> anyhow::Result<String> {
    let own = settings.source_roles.iter().map(|SourceRole { role, .. }| role);
    let roles: Vec<_> = aws_settings(settings).role.iter().chain(own).collect();
    if roles.is_empty() {
        bail!("--base needs a role: set `role_arn` under [aws] or [[sources]], or omit --base");
    }
    let document = assume_roles_policy(roles.into_iter().map(|role| AssumedRole {
        arn: role.arn.clone(),
        is_tagged: !role.session_tags.is_empty(),
        has_source_identity: role.source_identity.is_some(),
    }));
    Ok(if terraform { terraform_policies(&[document]) } else { to_json(&document) })
}

fn stream_location(
    settings: &Settings,
    arguments: &PolicyArguments,
    queue: Option<&QueueGrants>,
) -> anyhow::Result<StreamLocation> {
    let region = aws_settings(settings).region.clone();
    let region = region.or_else(|| Some(queue?.place.region.to_string()));
    let region = region.context("unknown region: set --region, or `region` under [aws]")?;
    let region: Region = region.parse()?;
    let of_role = || AccountId::of_arn(&aws_settings(settings).role.as_ref()?.arn);
    let of_queue = || Some(queue?.place.account.clone());
    let account = arguments.account.clone().or_else(of_role).or_else(of_queue);
    let account = account
        .context("unknown account of the delivery streams: set --account to its 12 digits")?;
    let partition = arguments.partition.unwrap_or_else(|| Partition::of_region(&region));
    Ok(StreamLocation { partition, region, account })
}

/// Returns the permissions on the settings' queue in Amazon SQS. The queue's URL contains the parts of the ARN. Only some
/// hosts, such as those of emulators, do not name the region.
#[cfg(feature = "queue")]
fn queue_grants(
    settings: &Settings,
    arguments: &PolicyArguments,
) -> anyhow::Result<Option<QueueGrants>> {
    let sqs = settings.queue.as_ref().and_then(|queue| match &queue.kind {
        QueueKind::Sqs(sqs) => Some((queue, &sqs.url)),
        QueueKind::Nats(_) => None,
    });
    let Some((queue, url)) = sqs else {
        if arguments.queue_admin {
            bail!(
                "--queue-admin needs a queue of Amazon SQS: set [queue] with kind = \"sqs\" in the file of --config"
            );
        }
        return Ok(None);
    };
    let region = url.region().or(aws_settings(settings).region.as_deref());
    let region = region.context(
        "unknown region of the queue: set --region, or `region` under [aws], or a [queue] url with a region",
    )?;
    let region: Region = region.parse()?;
    let partition = arguments.partition.unwrap_or_else(|| Partition::of_region(&region));
    let account = url.account().parse()?;
    Ok(Some(QueueGrants {
        place: StreamLocation { partition, region, account },
        name: url.name().to_owned(),
        sends: queue.is_collector(),
        receives: queue.is_mapper(),
        manages: arguments.queue_admin,
    }))
}

/// This build has no queues, so there are no settings of one.
#[cfg(not(feature = "queue"))]
fn queue_grants(_: &Settings, arguments: &PolicyArguments) -> anyhow::Result<Option<QueueGrants>> {
    if arguments.queue_admin {
        bail!(
            "--queue-admin needs a program with queues: build it with the feature `queue` of the crate `standpipe`"
        );
    }
    Ok(None)
}

/// The streams whose descriptions the host requests because their aggregation depends on them, or
/// all streams.
fn described_streams(
    settings: &Settings,
    written: &BTreeSet<String>,
    all: bool,
) -> BTreeSet<String> {
    let delivery = &settings.delivery;
    let needs_description = |name: &String| {
        let name = StreamName::parse(name).ok();
        let own = name.and_then(|name| delivery.streams.get(&name));
        own.unwrap_or(&delivery.stream).aggregation.needs_description()
    };
    let described = written.iter().filter(|name| all || needs_description(name)).cloned();
    // A declared pattern may match a stream with its own settings.
    let own =
        delivery.streams.iter().filter(|(_, settings)| settings.aggregation.needs_description());
    let own = own.map(|(name, _)| name.to_string());
    let own = own.filter(|name| written.iter().any(|pattern| covers(pattern, name)));
    remove_covered(described.chain(own).collect())
}

fn parse_stream(text: &str) -> Result<String, String> {
    StreamName::parse(&text.replace('*', "x")).map(|_| text.to_owned()).map_err(|_| {
        "Firehose accepts 1 to 64 of the characters a-z, A-Z, 0-9, _ . and -; `*` stands for any"
            .into()
    })
}
