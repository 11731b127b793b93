//! Waits for a run's end: sources, workers, delivery, dead letters, copies, in this order; each
//! step is bounded once a stop was requested.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::JoinHandle;

use super::collecting::Collecting;
use super::{Run, Summary, summary};
use crate::source::{ReadReport, ReplayCompactor};
use standpipe_delivery::dead_letters::DeadLetterWriter;

impl Run {
    /// Wait until everything that was read has been accounted for. A run that
    /// listens goes on until it is stopped.
    ///
    /// After a stop, delivery goes on for as long as the settings allow; what
    /// is then left counts as not delivered, as do events whose dead letters cannot
    /// be written by then. Copies of dead letters come last, and
    /// are not waited for any longer than that without a stop either.
    pub async fn finish(self) -> Summary {
        let Run { reader, submissions, workers, delivery, copier, collecting, .. } = self;
        let (spool_reader, collected) = collecting.map(Collecting::part).unzip();
        let feeders = spool_reader.into_iter().chain(submissions).collect();
        let threads = tokio::task::spawn_blocking(move || join(reader, feeders, workers));
        let letters = Arc::clone(&self.letters);
        let drained = async {
            let report = threads.await.expect("joining threads does not panic");
            delivery.drain().await;
            let written = tokio::task::spawn_blocking(move || letters.finish());
            written.await.expect("waiting for letters does not panic");
            match copier {
                Some(copier) => (report, copier.finish(self.drain_timeout).await),
                None => (report, BTreeMap::new()),
            }
        };
        let overdue = async {
            self.stop.intake_stop.cancelled().await;
            tokio::time::sleep(self.drain_timeout).await;
            self.stop.delivery_abort.cancel();
            self.letters.stop_waiting();
            std::future::pending::<()>().await;
        };
        let ((read, fault), copies) = tokio::select! {
            report = drained => report,
            () = overdue => unreachable!("it waits for ever"),
        };
        let (letters, compactor) = (Arc::clone(&self.letters), self.compactor);
        let closed = tokio::task::spawn_blocking(move || close(&letters, compactor));
        let not_closed = closed.await.expect("bringing letters to the disk does not panic");
        self.admin_stop.cancel();
        #[cfg(feature = "catalog")]
        if let Some(cataloging) = self.cataloging {
            let ended = tokio::task::spawn_blocking(|| cataloging.finish());
            ended.await.expect("waiting for the catalog does not panic");
        }
        let swapper = self.swapper.clone();
        let shadow = tokio::task::spawn_blocking(move || swapper.end_shadow().ok());
        let shadow = shadow.await.expect("ending a shadow does not panic");
        let early = self.stop.why_early().map(str::to_owned);
        Summary::new(summary::Parts {
            totals: self.progress.totals(),
            streams: delivery.report(),
            copies,
            dead: self.letters.report(),
            read,
            collected: collected.map(|remaining| remaining.collected()),
            shadow,
            fault: early.or(fault).or(not_closed),
            elapsed: self.started.elapsed(),
        })
    }
}

/// The reader's report, and what went wrong with a thread.
fn join(
    reader: JoinHandle<ReadReport>,
    feeders: Vec<JoinHandle<()>>,
    workers: Vec<JoinHandle<()>>,
) -> (ReadReport, Option<String>) {
    let fed = feeders.into_iter().map(JoinHandle::join).filter(Result::is_err).count();
    let failed = workers.into_iter().map(JoinHandle::join).filter(Result::is_err).count();
    let fault =
        (failed > 0).then(|| format!("{failed} worker threads failed: this is a bug of the host"));
    match (reader.join(), fed) {
        (Ok(report), 0) => (report, fault),
        _ => {
            (ReadReport::default(), Some("the reader failed: this is a bug of the host".to_owned()))
        }
    }
}

/// Take the letters that were replayed out of their files, and bring the new ones
/// to the disk. Tells what went wrong.
fn close(letters: &DeadLetterWriter, compactor: ReplayCompactor) -> Option<String> {
    let kept = compactor.finish();
    let not_synced = letters.sync().err().map(|error| format!("sync dead letters: {error}"));
    kept.or(not_synced)
}
