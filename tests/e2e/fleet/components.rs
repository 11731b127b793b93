//! The plugins of a fleet in the object store of a NATS server: old ones leave it with all that belongs to them, and a
//! push and a deletion at the same time do not damage each other.

use std::collections::{BTreeMap, BTreeSet};

use async_nats::jetstream::{self, Context};
use bytes::Bytes;
use standpipe_core::secret::NoSecretManager;
use standpipe_queue::fleet::{FleetSettings, FleetStore, connect_fleet};
use standpipe_queue::{Custody, NatsLogin, NatsSettings};
use tokio::runtime::Runtime;

use super::*;

/// Bytes of a component: several chunks.
const COMPONENT_BYTES: usize = 300_000;

const HOUR: Duration = Duration::from_secs(60 * 60);

/// The access of a command to the fleet of the default settings.
pub(super) async fn open_store(servers: Vec<String>) -> Arc<dyn FleetStore> {
    let nats = NatsSettings {
        servers,
        stream: "standpipe".to_owned(),
        consumer: "standpipe-mappers".to_owned(),
        login: NatsLogin::Anonymous,
        ca_file: None,
        custody: Custody::UntilProcessed,
    };
    let settings = FleetSettings { bucket: "standpipe".to_owned(), name: "test".to_owned(), nats };
    connect_fleet(&settings, &NoSecretManager).await.expect("the buckets are open")
}

/// The subjects of the object store with the number of their messages.
async fn stored_subjects(context: &Context) -> BTreeMap<String, u64> {
    let request = json!({ "subjects_filter": ">" });
    let info: Value = context.request("STREAM.INFO.OBJ_standpipe", &request).await.unwrap();
    serde_json::from_value(info["state"]["subjects"].clone()).unwrap_or_default()
}

fn sha256_of_digit(digit: &str) -> String {
    digit.repeat(64)
}

fn named(names: &[&String]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).clone()).collect()
}

#[test]
fn plugins_that_nothing_names_leave_the_object_store() {
    let nats = NatsCluster::start(1);
    create_queue(&nats);
    Runtime::new().expect("a runtime").block_on(async {
        let store = open_store(vec![format!("nats://{}", nats.address(0))]).await;
        let context = jetstream::new(async_nats::connect(nats.address(0)).await.unwrap());
        let [old, kept] = ["1", "2"].map(sha256_of_digit);
        let component = Bytes::from(vec![7; COMPONENT_BYTES]);
        for name in [&old, &kept] {
            store.put_component(name, component.clone()).await.unwrap();
        }
        // What a push leaves that is killed, and an object that is not of a fleet.
        let chunk = context.publish("$O.standpipe.C.interrupted", "chunk".into()).await;
        chunk.unwrap().await.unwrap();
        let objects = context.get_object_store("standpipe").await.unwrap();
        objects.put("notes", &mut &b"mine"[..]).await.unwrap();
        assert_eq!(store.delete_components(&named(&[&kept]), HOUR).await.unwrap(), [""; 0]);
        let before = stored_subjects(&context).await;
        assert_eq!(before.len(), 7, "{before:?}");
        let deleted = store.delete_components(&named(&[&kept]), Duration::ZERO).await.unwrap();
        assert_eq!(deleted, std::slice::from_ref(&old));
        assert_eq!(store.fetch_component(&old).await.unwrap(), None);
        assert_eq!(store.fetch_component(&kept).await.unwrap(), Some(component.clone()));
        // The properties and the chunks of two objects, and nothing else.
        let after = stored_subjects(&context).await;
        assert_eq!(after.len(), 4, "{after:?}");
        assert!(objects.info("notes").await.is_ok());
        // It can be pushed again; what is pushed again counts as new.
        store.put_component(&old, component.clone()).await.unwrap();
        assert_eq!(store.fetch_component(&old).await.unwrap(), Some(component.clone()));
        std::thread::sleep(Duration::from_secs(2));
        store.put_component(&old, component.clone()).await.unwrap();
        let second = Duration::from_secs(1);
        let deleted = store.delete_components(&BTreeSet::new(), second).await.unwrap();
        assert_eq!(deleted, [kept]);
        assert_eq!(store.fetch_component(&old).await.unwrap(), Some(component));
    });
}

#[test]
#[expect(clippy::print_stdout, reason = "how often each comes first is worth knowing")]
fn a_push_and_a_deletion_at_the_same_time_leave_a_whole_plugin() {
    const ROUNDS: usize = 12;
    const AGE: Duration = Duration::from_secs(1);
    let nats = NatsCluster::start(1);
    create_queue(&nats);
    Runtime::new().expect("a runtime").block_on(async {
        let servers = vec![format!("nats://{}", nats.address(0))];
        let (pusher, other) = (open_store(servers.clone()).await, open_store(servers).await);
        let context = jetstream::new(async_nats::connect(nats.address(0)).await.unwrap());
        let name = sha256_of_digit("3");
        let component = Bytes::from(vec![9; COMPONENT_BYTES]);
        let mut kept = 0;
        for round in 0..ROUNDS {
            pusher.put_component(&name, component.clone()).await.unwrap();
            tokio::time::sleep(AGE + Duration::from_millis(50)).await;
            // Each begins first in half of the rounds.
            let pause = Duration::from_micros(round as u64 / 2 * 300);
            let [push_pause, deletion_pause] = match round % 2 {
                0 => [pause, Duration::ZERO],
                _ => [Duration::ZERO, pause],
            };
            let pushed = async {
                tokio::time::sleep(push_pause).await;
                pusher.put_component(&name, component.clone()).await
            };
            let deleted = async {
                tokio::time::sleep(deletion_pause).await;
                other.delete_components(&BTreeSet::new(), AGE).await
            };
            let (pushed, deleted) = tokio::join!(pushed, deleted);
            pushed.unwrap();
            let deleted = deleted.unwrap();
            // Pushed after the deletion, or dated anew before it.
            assert_eq!(pusher.fetch_component(&name).await.unwrap(), Some(component.clone()));
            kept += usize::from(deleted.is_empty());
        }
        println!("{kept} of {ROUNDS} plugins were dated anew before they were deleted");
        other.delete_components(&BTreeSet::new(), Duration::ZERO).await.unwrap();
        assert_eq!(stored_subjects(&context).await, BTreeMap::new());
    });
}
