//! Handing events in: one or many, waiting for room or not, each with the answer of how it ended.

use bytes::Bytes;

use super::Host;
use crate::source::{NotSettled, Receipt, Refused};
use standpipe_core::event::Ended;

/// The way in.
impl Host {
    /// Hand an event in, and be told what became of it.
    ///
    /// Where there is room, it is accepted by the call itself; dropping the future
    /// then changes nothing for it. Where there is none, it waits for room while the
    /// future is awaited, and is not accepted if that is dropped before.
    ///
    /// ```
    /// # use standpipe::{Builder, Ended, Reason};
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let directory = tempfile::tempdir()?;
    /// # let settings = "[plugin.settings]\nmappings = [{ event = 'Signed Up', stream = 'accounts' }]";
    /// # let builder = Builder::from_toml(settings, directory.path())?.into_directory(directory.path().join("records"));
    /// # let host = builder.start(&tokio::runtime::Handle::current()).await?;
    /// assert_eq!(host.submit(r#"{"event":"Signed Up"}"#).await?, Ended::Delivered);
    /// assert_eq!(host.submit(r#"{"event":"Logged In"}"#).await?, Ended::Filtered);
    /// assert_eq!(host.submit("no event").await?, Ended::Dead(Reason::NotJson));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// The future says that the host accepts no more events, and gives this one back,
    /// or that it was given up.
    pub fn submit<E>(
        &self,
        event: E,
    ) -> impl Future<Output = Result<Ended, NotSettled>> + Send + use<E>
    where
        E: Into<Bytes>,
    {
        self.0.submitter.submit(event.into())
    }

    /// Hand an event in if there is room for it. That takes about a microsecond, and
    /// never waits; it is what the threads of a proxy want.
    ///
    /// ```
    /// # use standpipe::{Builder, Ended, Refused};
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let directory = tempfile::tempdir()?;
    /// # let settings = "[plugin.settings]\nmappings = [{ event = '*', stream = 'all' }]";
    /// # let builder = Builder::from_toml(settings, directory.path())?.into_directory(directory.path().join("records"));
    /// let host = builder.events_max(1).start(&tokio::runtime::Handle::current()).await?;
    /// let receipt = host.try_submit("{}")?;
    /// if let Err(Refused::Full(event)) = host.try_submit("{}") {
    ///     assert_eq!(event, "{}");
    /// }
    /// assert_eq!(receipt.await?, Ended::Delivered);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// There is no room, or the host accepts no more events. The event comes back.
    pub fn try_submit(&self, event: impl Into<Bytes>) -> Result<Receipt, Refused> {
        self.0.submitter.try_submit(event.into())
    }

    /// Hand events in, each once there is room for it, and be told what became of
    /// each, in their order.
    ///
    /// They need not fit into the room together. If the future is dropped, some of
    /// them may not have been accepted.
    ///
    /// ```
    /// # use standpipe::{Builder, Ended, Reason};
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let directory = tempfile::tempdir()?;
    /// # let settings = "[plugin.settings]\nmappings = [{ event = '*', stream = 'all' }]";
    /// # let builder = Builder::from_toml(settings, directory.path())?.into_directory(directory.path().join("records"));
    /// # let host = builder.start(&tokio::runtime::Handle::current()).await?;
    /// let ended = host.submit_batch(["{}", "no event"]).await;
    /// assert_eq!(ended, [Ok(Ended::Delivered), Ok(Ended::Dead(Reason::NotJson))]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn submit_batch<I>(
        &self,
        events: I,
    ) -> impl Future<Output = Vec<Result<Ended, NotSettled>>> + Send + use<I>
    where
        I: IntoIterator<Item: Into<Bytes>, IntoIter: Send>,
    {
        let submitter = self.0.submitter.clone();
        let events = events.into_iter().map(Into::<Bytes>::into);
        async move {
            let mut receipts = Vec::with_capacity(events.size_hint().0);
            for event in events {
                receipts.push(submitter.accept(event).await);
            }
            let mut ended = Vec::with_capacity(receipts.len());
            for receipt in receipts {
                ended.push(match receipt {
                    Ok(receipt) => receipt.await,
                    Err(refused) => Err(NotSettled::Closed(refused.into_event())),
                });
            }
            ended
        }
    }
}
