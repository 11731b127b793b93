//! Streams, the assets that they connect, and a server that knows these assets.

use std::time::Duration;

use serde_json::json;
use standpipe_catalog::http_client::TlsVerification;
use standpipe_catalog::ingest::{IngestOptions, IngestOutcome, ingest_inventory};
use standpipe_catalog::openmetadata::{
    DeletionPolicy, OpenMetadata, OpenMetadataSettings, ServiceNames,
};
use standpipe_catalog::{
    Arn, Asset, Destination, Edge, EdgeRole, Graph, Inventory, S3Location, Sink, StreamDescription,
    StreamOrigin, StreamStatus, SuccessCriteria, limits,
};
use standpipe_core::secret::{NoSecretManager, Secret, SecretSetting};
use standpipe_tests::openmetadata::rules::quote_part;
use standpipe_tests::openmetadata::{OpenMetadataServer, ServerTraits};

pub(super) const TOKEN: &str = "t0p-s3cret-t0ken";
pub(super) const ACCOUNT: &str = "123456789012";

/// The default settings for this server.
fn default_settings(host_port: String) -> OpenMetadataSettings {
    OpenMetadataSettings {
        host_port,
        token: Some(SecretSetting::Value(Secret::new(TOKEN.to_owned()))),
        verify: TlsVerification::System,
        extra_headers: Vec::new(),
        timeout: limits::HTTP_TIMEOUT,
        pause: Duration::from_millis(1),
        service: "my.firehose".to_owned(),
        version_validation: true,
        store_service_connection: true,
        assume_role_arn: None,
        adopt_service: false,
        override_metadata: false,
        override_lineage: false,
        include_lineage: true,
        deletion: DeletionPolicy { is_on: true, prunes_filtered: false, ratio_max: 0.5 },
        bulk_size: limits::CATALOG_BULK,
        services: ServiceNames::default(),
        direct_put_edges: false,
        column_lineage: false,
    }
}

/// The input of a run: settings, streams and a server.
pub(super) struct MetadataWorld {
    pub(super) server: OpenMetadataServer,
    pub(super) inventory: Inventory,
    pub(super) graph: Graph,
    pub(super) settings: OpenMetadataSettings,
    pub(super) options: IngestOptions,
}

impl MetadataWorld {
    /// A server with these traits, and streams with these names. A Kinesis stream `NAME-in` feeds
    /// each stream, and its destination is `s3://lake/NAME`. The server knows all of these assets.
    pub(super) fn new(traits: ServerTraits, streams: &[&str]) -> Self {
        let server =
            OpenMetadataServer::start(ServerTraits { token: Some(TOKEN.to_owned()), ..traits });
        let settings = default_settings(server.url());
        let inventory = Inventory {
            account: Some(ACCOUNT.to_owned()),
            region: "eu-west-1".to_owned(),
            is_complete: true,
            ..Inventory::default()
        };
        let judgement = SuccessCriteria::default();
        let options = IngestOptions { workflow: "standpipe".to_owned(), is_dry: false, judgement };
        let graph = Graph::default();
        let mut world = MetadataWorld { server, inventory, graph, settings, options };
        for name in streams {
            world.add_stream(name);
        }
        world
    }

    pub(super) fn add_stream(&mut self, name: &str) {
        let from = kinesis_asset(&format!("{name}-in"));
        world_topic(&self.server, &format!("{name}-in"));
        self.server.add_entity(
            "containers",
            &format!("s3.lake.\"{name}.objects\""),
            &json!({"fullPath": format!("s3://lake/{name}"), "serviceType": "S3"}),
        );
        self.add_stream_between(name, &[from], &[bucket_asset("lake", name)]);
    }

    /// Adds a stream between these assets. The server does not have to know them.
    pub(super) fn add_stream_between(&mut self, name: &str, from: &[Asset], to: &[Asset]) {
        let origin = match from.first() {
            None => StreamOrigin::DirectPut,
            Some(Asset::KinesisStream { arn }) => StreamOrigin::Kinesis { arn: arn.clone() },
            Some(_) => StreamOrigin::Unsupported { what: "of a test".to_owned() },
        };
        let stream = describe_stream(name, origin);
        let own = Asset::DeliveryStream { name: name.to_owned(), arn: Some(stream.arn.clone()) };
        self.inventory.streams.push(stream);
        for from in from {
            self.add_edge(from, &own, EdgeRole::Feeds);
        }
        for to in to {
            self.add_edge(&own, to, EdgeRole::Delivered);
        }
    }

    pub(super) fn add_edge(&mut self, from: &Asset, to: &Asset, role: EdgeRole) {
        let (from, to) = (self.position_of(from), self.position_of(to));
        self.graph.edges.push(Edge { from, to, role, note: None });
    }

    fn position_of(&mut self, asset: &Asset) -> usize {
        let assets = &mut self.graph.assets;
        assets.iter().position(|one| one == asset).unwrap_or_else(|| {
            assets.push(asset.clone());
            assets.len() - 1
        })
    }

    /// Removes a stream, as if it was deleted in AWS.
    pub(super) fn remove_stream(&mut self, name: &str) {
        self.inventory.streams.retain(|stream| stream.name != name);
    }

    /// Runs the catalog. Asserts that its report does not contain the token, and that the server
    /// knows all its requests.
    pub(super) fn run(&self) -> IngestOutcome {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let outcome = runtime.block_on(async {
            let server = OpenMetadata::new(self.settings.clone(), &NoSecretManager).await.unwrap();
            ingest_inventory(&self.inventory, &self.graph, Some(&server), &self.options).await
        });
        let report = standpipe_catalog::report::report_table(&outcome.report);
        let report = [
            outcome.summary(&self.options),
            serde_json::to_string(&outcome).unwrap(),
            report,
            format!("{outcome:?} {:?}", self.settings),
        ];
        assert!(!report.concat().contains(TOKEN), "{report:?}");
        assert_eq!(self.server.violations(), [""; 0]);
        outcome
    }

    /// Runs the catalog, and asserts that the run has no problems.
    pub(super) fn run_well(&self) -> IngestOutcome {
        let outcome = self.run();
        assert_eq!(outcome.aborted, None);
        let failures: Vec<_> = outcome.steps.iter().flat_map(|step| &step.failures).collect();
        assert!(failures.is_empty(), "{failures:#?} {:?}", self.server.refusals());
        assert!(!outcome.has_failed(&self.options));
        outcome
    }

    /// Runs the catalog again, and returns its writes.
    pub(super) fn run_and_list_writes(&self) -> Vec<String> {
        self.server.forget_requests();
        self.run_well();
        self.server.writes()
    }
}

pub(super) fn world_topic(server: &OpenMetadataServer, name: &str) -> String {
    server.add_entity(
        "topics",
        &format!("kinesis.{}", quote_part(name)),
        &json!({"serviceType": "Kinesis"}),
    )
}

pub(super) fn kinesis_asset(name: &str) -> Asset {
    Asset::KinesisStream { arn: make_arn("kinesis", &format!("stream/{name}")) }
}

pub(super) fn bucket_asset(bucket: &str, prefix: &str) -> Asset {
    let (bucket, prefix) = (bucket.to_owned(), prefix.to_owned());
    let written = format!("{prefix}/!{{timestamp:yyyy}}/");
    Asset::Objects { bucket, prefix, written }
}

pub(super) fn make_arn(service: &str, resource: &str) -> Arn {
    Arn::parse(&format!("arn:aws:{service}:eu-west-1:{ACCOUNT}:{resource}")).unwrap()
}

fn describe_stream(name: &str, origin: StreamOrigin) -> StreamDescription {
    StreamDescription {
        name: name.to_owned(),
        arn: make_arn("firehose", &format!("deliverystream/{name}")),
        status: StreamStatus { word: "ACTIVE".to_owned(), failure: None },
        kind: "KinesisStreamAsSource".to_owned(),
        version: "1".to_owned(),
        created: Some(1_767_225_600.5),
        updated: None,
        origin,
        destinations: vec![Destination::bare(
            "destinationId-000000000001",
            "ExtendedS3DestinationDescription",
            Sink::S3(S3Location { bucket: "lake".to_owned(), prefix: format!("{name}/") }),
        )],
        has_more_destinations: false,
        is_encrypted: false,
    }
}
