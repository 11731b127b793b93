//! Waits for a run's end: sources, workers, delivery, dead letters, copies, in this order; each
//! step is bounded once a stop was requested.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;

use super::collecting::Collecting;
use super::{Collected, Run, Summary, summary};
use crate::source::{ReadReport, Retirement};
use standpipe_delivery::dead::Letters;

impl Run {
    /// Wait until everything that was read has been accounted for. A run that
    /// listens goes on until it is stopped.
    ///
    /// After a stop, delivery goes on for as long as the settings allow; what
    /// is then left counts as not delivered, as do events whose dead letters cannot
    /// be written by then. Copies of dead letters come last, and
    /// are not waited for any longer than that without a stop either.
    pub async fn finish(self) -> Summary {
        let Run { reader, gatherer, workers, delivery, copier, collecting, .. } = self;
        let copies = copier.as_ref().map(|copier| copier.delivery().clone());
        let (intake, collected) = collecting.map(Collecting::part).unzip();
        let feeders = intake.into_iter().chain(gatherer).collect();
        let threads = tokio::task::spawn_blocking(move || join(reader, feeders, workers));
        let mut stopped = self.stopper.stopped.subscribe();
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
            // The sender lives as long as this run, so the wait cannot fail.
            let _ = stopped.wait_for(|&stopped| stopped).await;
            tokio::time::sleep(self.drain_timeout).await;
            delivery.give_up();
            self.letters.stop_waiting();
            self.abandoned.store(true, Ordering::Release);
            if let Some(copies) = &copies {
                copies.give_up();
            }
            std::future::pending::<()>().await;
        };
        let ((read, fault), copies) = tokio::select! {
            report = drained => report,
            () = overdue => unreachable!("it waits for ever"),
        };
        let (letters, retirement) = (Arc::clone(&self.letters), self.retirement);
        let closed = tokio::task::spawn_blocking(move || close(&letters, retirement));
        let not_closed = closed.await.expect("bringing letters to the disk does not panic");
        self.admin.request();
        #[cfg(feature = "catalog")]
        if let Some(cataloging) = self.cataloging {
            let ended = tokio::task::spawn_blocking(|| cataloging.finish());
            ended.await.expect("waiting for the catalog does not panic");
        }
        let swapper = self.swapper.clone();
        let shadow = tokio::task::spawn_blocking(move || swapper.end_shadow().ok());
        let shadow = shadow.await.expect("ending a shadow does not panic");
        let halted = self.halted.lock().take();
        Summary::new(summary::Parts {
            totals: self.totals.snapshot(),
            streams: delivery.report(),
            copies,
            dead: self.letters.report(),
            read,
            collected: collected.map(|remaining| Collected::new(&remaining)),
            shadow,
            fault: halted.or(fault).or(not_closed),
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
fn close(letters: &Letters, retirement: Retirement) -> Option<String> {
    let kept = retirement.finish();
    let not_synced = letters.sync().err().map(|error| format!("sync dead letters: {error}"));
    kept.or(not_synced)
}
