//! The components of a fleet in an object store of JetStream: stored by their SHA-256, dated again when they are pushed
//! again, and deleted when nothing names them any more.
//!
//! An object is a message with its properties, and messages with its chunks. Each change of the properties expects the
//! revision that was read before, so that a push and a deletion at the same time do not undo each other.

use std::collections::{BTreeSet, HashSet};
use std::time::{Duration, SystemTime};

use async_nats::HeaderMap;
use async_nats::jetstream::context::{Context, PublishErrorKind};
use async_nats::jetstream::object_store::{GetErrorKind, ObjectInfo, ObjectStore};
use async_nats::jetstream::stream::{LastRawMessageErrorKind, Stream};
use bytes::Bytes;
use tokio::io::AsyncReadExt;

use super::records::is_sha256;
use super::store::StoreUpdate;
use super::stream_subjects::{read_subjects, transient_error};
use crate::{QueueError, QueueErrorKind, limits};

/// Attempts to store a component while others store or delete the same one.
const STORE_ATTEMPTS: usize = 5;

/// The header by which a message replaces all earlier ones of its subject, and its value.
const ROLLUP: &str = "Nats-Rollup";
const ROLLUP_OF_SUBJECT: &str = "sub";

/// The header with the revision that a message expects of its subject.
const EXPECTED_REVISION: &str = "Nats-Expected-Last-Subject-Sequence";

/// An object store with components.
pub(super) struct ComponentStore {
    context: Context,
    bucket: String,
    objects: ObjectStore,
    stream: Stream<()>,
}

/// The properties of an object as they are stored.
struct StoredInfo {
    subject: String,
    revision: u64,
    time: SystemTime,
    info: ObjectInfo,
}

impl ComponentStore {
    pub(super) async fn open(
        context: Context,
        bucket: String,
        objects: ObjectStore,
    ) -> Result<Self, QueueError> {
        let stream = context.get_stream_no_info(format!("OBJ_{bucket}")).await;
        let stream = stream.map_err(|error| transient_error("Stream", &error))?;
        Ok(ComponentStore { context, bucket, objects, stream })
    }

    /// Stores a component, or dates it anew if it is there: storing it again would delete what hosts may be reading.
    pub(super) async fn store(&self, sha256: &str, component: &Bytes) -> Result<(), QueueError> {
        check_size(component.len())?;
        for _ in 0..STORE_ATTEMPTS {
            let subject = self.info_subject(sha256);
            let stored = self.read_info(subject).await?;
            let is_there =
                |stored: &StoredInfo| !stored.info.deleted && stored.info.size == component.len();
            let Some(stored) = stored.filter(is_there) else {
                let put = self.objects.put(sha256, &mut &component[..]).await;
                return put.map(drop).map_err(|error| transient_error("PutObject", &error));
            };
            if let StoreUpdate::Written(_) = self.write_info(&stored, &stored.info).await? {
                return Ok(());
            }
        }
        let message = "others store and delete the same component all the time: try again";
        Err(QueueError::new(QueueErrorKind::Transient, "Conflict", message.to_owned()))
    }

    /// Reads a component. None if there is none with this SHA-256.
    pub(super) async fn fetch(&self, sha256: &str) -> Result<Option<Bytes>, QueueError> {
        let object = match self.objects.get(sha256).await {
            Ok(object) => object,
            Err(error) if error.kind() == GetErrorKind::NotFound => {
                // A replica responds, which may be behind. A host rejects rules whose component does not exist, so the
                // leader is asked.
                let stored = self.read_info(self.info_subject(sha256)).await?;
                return match stored.is_some_and(|stored| !stored.info.deleted) {
                    true => Err(transient_error("GetObject", &error)),
                    false => Ok(None),
                };
            }
            Err(error) => return Err(transient_error("GetObject", &error)),
        };
        check_size(object.info().size)?;
        let mut component = Vec::with_capacity(object.info().size);
        // The chunks can have more bytes than the properties say: anyone who may write to the bucket writes both.
        let mut limited = object.take(limits::FLEET_COMPONENT_BYTES_MAX as u64 + 1);
        let read = limited.read_to_end(&mut component).await;
        read.map_err(|error| transient_error("GetObject", &error))?;
        check_size(component.len())?;
        Ok(Some(component.into()))
    }

    /// Deletes components that are not named and were stored longer ago than `age_min`, and what is left of pushes and
    /// deletions that were interrupted. Objects whose names are no SHA-256 are not of a fleet, and stay.
    pub(super) async fn delete_unnamed(
        &self,
        named: &BTreeSet<String>,
        age_min: Duration,
    ) -> Result<Vec<String>, QueueError> {
        let listed = read_subjects(&self.context, &self.stream_name(), &self.subject(">")).await?;
        let now = listed.time()?;
        let is_old = |time: SystemTime| now.duration_since(time).unwrap_or_default() >= age_min;
        let (infos, chunks) = (self.subject("M."), self.subject("C."));
        let mut deleted = Vec::new();
        let mut used = HashSet::new();
        for subject in listed.subjects().filter(|subject| subject.starts_with(&infos)) {
            let Some(stored) = self.read_info(subject.clone()).await? else { continue };
            let StoredInfo { time, info, .. } = &stored;
            let is_unnamed = is_sha256(&info.name) && !named.contains(&info.name);
            let is_unused = info.deleted || (is_unnamed && is_old(*time));
            match is_unused && self.delete(&stored).await? {
                true if info.deleted => {}
                true => deleted.push(stored.info.name),
                false => drop(used.insert(stored.info.nuid)),
            }
        }
        for subject in listed.subjects() {
            let Some(nuid) = subject.strip_prefix(&chunks) else { continue };
            if !used.contains(nuid) && self.last_message_time(subject).await?.is_some_and(is_old) {
                self.purge(subject).await?;
            }
        }
        Ok(deleted)
    }

    /// Deletes an object, unless it was stored again meanwhile. Returns whether it did.
    async fn delete(&self, stored: &StoredInfo) -> Result<bool, QueueError> {
        let mut revision = stored.revision;
        if !stored.info.deleted {
            let info = ObjectInfo { deleted: true, size: 0, chunks: 0, ..stored.info.clone() };
            match self.write_info(stored, &info).await? {
                StoreUpdate::Written(written) => revision = written,
                StoreUpdate::Conflict => return Ok(false),
            }
        }
        self.purge(&self.subject(&format!("C.{}", stored.info.nuid))).await?;
        // The mark of the deletion too, or a bucket would contain one for each component that it ever had.
        let purged = self.stream.purge().filter(&stored.subject).sequence(revision + 1).await;
        purged.map_err(|error| transient_error("Purge", &error))?;
        Ok(true)
    }

    /// Reads the properties of an object from the leader.
    async fn read_info(&self, subject: String) -> Result<Option<StoredInfo>, QueueError> {
        match self.stream.get_last_raw_message_by_subject(&subject).await {
            Ok(message) => {
                let info = serde_json::from_slice(&message.payload);
                let info = info.map_err(|error| transient_error("ObjectInfo", &error))?;
                let (revision, time) = (message.sequence, SystemTime::from(message.time));
                Ok(Some(StoredInfo { subject, revision, time, info }))
            }
            Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(None),
            Err(error) => Err(transient_error("ObjectInfo", &error)),
        }
    }

    async fn last_message_time(&self, subject: &str) -> Result<Option<SystemTime>, QueueError> {
        match self.stream.get_last_raw_message_by_subject(subject).await {
            Ok(message) => Ok(Some(SystemTime::from(message.time))),
            Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(None),
            Err(error) => Err(transient_error("ObjectChunk", &error)),
        }
    }

    /// Replaces the properties of an object, if they still are what was read.
    async fn write_info(
        &self,
        stored: &StoredInfo,
        info: &ObjectInfo,
    ) -> Result<StoreUpdate, QueueError> {
        let mut headers = HeaderMap::new();
        headers.insert(ROLLUP, ROLLUP_OF_SUBJECT);
        headers.insert(EXPECTED_REVISION, stored.revision.to_string());
        let info = serde_json::to_vec(info).map_err(|error| transient_error("Object", &error))?;
        let subject = stored.subject.clone();
        let sent = self.context.publish_with_headers(subject, headers, info.into()).await;
        let acknowledged = match sent {
            Ok(acknowledged) => acknowledged.await,
            Err(error) => Err(error),
        };
        match acknowledged {
            Ok(acknowledged) => Ok(StoreUpdate::Written(acknowledged.sequence)),
            Err(error) if error.kind() == PublishErrorKind::WrongLastSequence => {
                Ok(StoreUpdate::Conflict)
            }
            Err(error) => Err(transient_error("Object", &error)),
        }
    }

    async fn purge(&self, subject: &str) -> Result<(), QueueError> {
        let purged = self.stream.purge().filter(subject).await;
        purged.map(drop).map_err(|error| transient_error("Purge", &error))
    }

    fn stream_name(&self) -> String {
        format!("OBJ_{}", self.bucket)
    }

    fn subject(&self, end: &str) -> String {
        format!("$O.{}.{end}", self.bucket)
    }

    /// The subject of an object's properties: the name is base64, as clients of NATS write it.
    fn info_subject(&self, sha256: &str) -> String {
        self.subject(&format!("M.{}", base64_simd::URL_SAFE.encode_to_string(sha256)))
    }
}

fn check_size(bytes: usize) -> Result<(), QueueError> {
    let max = limits::FLEET_COMPONENT_BYTES_MAX;
    if bytes <= max {
        return Ok(());
    }
    let message = format!("the component has {bytes} bytes or more, and the limit is {max}");
    Err(QueueError::new(QueueErrorKind::TooLarge, "TooLarge", message))
}
