//! Opens everything that a run is made of: its plugin, the clients for the streams, dead letters,
//! listeners. Nothing flows before all of it has worked.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::runtime::Handle;

use super::admin_token::KeptToken;
use super::clients::{self, Clients};
use super::collecting::{Listening, dead_letter_durability};
use super::dead_letter_forwarder::DeadLetterForwarder;
use super::options::RunOptions;
use super::parts::Parts;
use super::patience::patiently;
use super::plugin_secrets::PluginSecrets;
use super::preparation::{Preparation, Prepared};
use super::secrets::open_secrets;
use super::watching::ReloadInputs;
use super::{CACHE, Run, StartError};
use crate::admin::Admin;
use crate::config::Settings;
use crate::stop::StopTokens;
use standpipe_aws::OnUnreachable;
use standpipe_core::private;
use standpipe_delivery::dead_letters::{DeadLetterDirectory, DeadLetterWriter};
use standpipe_delivery::{Delivery, DeliverySettings};

impl Run {
    /// The same as a part of a program.
    ///
    /// # Errors
    ///
    /// As for [`Run::start`].
    pub async fn start_embedded(
        settings: Settings,
        options: RunOptions,
        runtime: &Handle,
    ) -> Result<Self, StartError> {
        let RunOptions { firehose_client, embedded_source, set_log_filter, log_lines_dropped } =
            options;
        for input in &settings.inputs {
            input.check()?;
        }
        for warning in &settings.warnings {
            tracing::warn!("settings: {warning}");
        }
        let unreached =
            if settings.fail_fast { OnUnreachable::Fail } else { OnUnreachable::Continue };
        let secrets = patiently!(unreached, open_secrets(settings.secrets.as_ref()).await);
        let known = patiently!(
            unreached,
            PluginSecrets::ask(settings.all_plugin_settings(), &secrets).await
        );
        // Neither compiling nor the plugin's own code may run on the threads
        // that drive input and output.
        let prepare = move || {
            let cache = settings.data_dir.join(CACHE);
            (Preparation::new(&settings, &known, Some(&cache)).into_prepared(), settings)
        };
        let prepared = runtime.spawn_blocking(prepare).await;
        let (prepared, settings) = prepared.expect("loading a plugin does not panic");
        let Prepared { swapper, tls } = prepared?;
        let clients = match firehose_client {
            Some(firehose_client) => Clients::one(firehose_client),
            None => {
                let (to, roles) = (&settings.destination, &settings.source_roles);
                patiently!(unreached, clients::open(to, roles, &secrets, unreached).await)
            }
        };
        let Clients { firehose_clients, identities, start_rate, aws } = clients;
        let dead = DeadLetterDirectory::of_data_dir(&settings.data_dir).path().to_owned();
        private::narrow_existing(&dead);
        let is_lasting = settings.collect.is_some() || embedded_source.is_some();
        let letters = match is_lasting {
            true => {
                let durability = dead_letter_durability(settings.collect.as_ref());
                let letters = DeadLetterWriter::waiting(dead, settings.dead_letters, durability);
                letters.map_err(StartError::Thread)?
            }
            false => DeadLetterWriter::bounded(dead, settings.dead_letters),
        };
        let letters = Arc::new(letters);
        let how = DeliverySettings { start_rate, ..settings.delivery.clone() };
        let stop = StopTokens::new();
        // Each can be given up alone: copies once events are through, events where a stream
        // is held.
        let deliver = |abort| {
            let (firehose_clients, how, letters) =
                (firehose_clients.clone(), how.clone(), Arc::clone(&letters));
            Delivery::new(firehose_clients, how, letters, runtime.clone(), abort)
        };
        let copier = settings.dead_letter_stream.as_ref().map(|stream| {
            let abort = stop.delivery_abort.child_token();
            DeadLetterForwarder::start(Arc::clone(&letters), deliver(abort.clone()), abort, stream)
        });
        let copier = copier.transpose().map_err(StartError::Thread)?;
        let delivery = deliver(stop.delivery_abort.child_token());
        let listening = match settings.collect.clone() {
            Some(collect) => {
                let secrets = Arc::clone(&secrets);
                Some(Listening::start(collect, tls, secrets, unreached, runtime).await?)
            }
            None => None,
        };
        let admin = match settings.admin {
            Some(address) => {
                let token = settings.admin_token.clone();
                let open = || KeptToken::open(token.clone(), Arc::clone(&secrets));
                let token = patiently!(unreached, open().await);
                warn_of_clear_token(address, token.is_some());
                Some((Admin::bind(address).await?, token))
            }
            None => None,
        };
        let reload_inputs = ReloadInputs::new(&settings, secrets);
        let parts = Parts {
            settings,
            swapper,
            stop,
            reload_inputs,
            delivery,
            identities,
            aws,
            letters,
            copier,
            listening,
            admin,
            embedded_source,
            set_log_filter,
            log_lines_dropped,
        };
        parts.launch(runtime).map_err(StartError::Thread)
    }
}

/// Who listens along where the admin API is reached from elsewhere reads the token.
fn warn_of_clear_token(address: SocketAddr, has_token: bool) {
    if has_token && !address.ip().is_loopback() {
        tracing::warn!(
            "[admin] listen is {address}, which others may connect, and the token of [admin] crosses the network \
             unencrypted: listen on 127.0.0.1, or have a proxy with TLS before it"
        );
    }
}
