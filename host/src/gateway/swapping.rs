//! Changing the plugin of an embedded host: swap, reload and rollback. The work runs on blocking
//! threads.

use super::{Host, Plugin, SwapRefused, Swapped};

/// Which plugin decides.
impl Host {
    /// Have another plugin take over while events flow. It is compiled, checked and
    /// tried first; one that does not fit changes nothing.
    ///
    /// ```
    /// # use standpipe::{Builder, Ended, Plugin, Swapped};
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let directory = tempfile::tempdir()?;
    /// # let settings = "[plugin.settings]\nmappings = [{ event = '*', stream = 'all' }]";
    /// # let builder = Builder::from_toml(settings, directory.path())?.into_directory(directory.path().join("records"));
    /// # let host = builder.start(&tokio::runtime::Handle::current()).await?;
    /// let refused = host.swap(Plugin::new(b"no component".to_vec())).await.unwrap_err();
    /// assert_eq!(refused.step, "compile");
    /// let plugin = Plugin::built_in().with_settings(r#"{"mappings":[{"event":"none","stream":"none"}]}"#);
    /// assert_eq!(host.swap(plugin).await?, Swapped::Taken(2));
    /// assert_eq!(host.submit("{}").await?, Ended::Filtered);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// It does not fit.
    pub async fn swap(&self, plugin: Plugin) -> Result<Swapped, SwapRefused> {
        let (swapper, reloader) = (self.0.swapper.clone(), self.0.reloader.clone());
        let candidate = self.0.runtime.spawn(async move { reloader.with_secrets(plugin.0).await });
        let candidate = candidate.await.map_err(|error| SwapRefused::not_tried(&error))?;
        let candidate = candidate.map_err(SwapRefused::of)?;
        let swapped = self.0.runtime.spawn_blocking(move || swapper.offer(&candidate)).await;
        let swapped = swapped.map_err(|error| SwapRefused::not_tried(&error))?;
        swapped.map(Swapped::of).map_err(SwapRefused::of)
    }

    /// Read the plugin's file again, and the settings' if they are
    /// [from one](super::Builder::from_file), and have the plugin take over where
    /// something has changed.
    ///
    /// ```
    /// # use standpipe::{Builder, Swapped};
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let directory = tempfile::tempdir()?;
    /// # let settings = "[plugin.settings]\nmappings = [{ event = '*', stream = 'all' }]";
    /// # let builder = Builder::from_toml(settings, directory.path())?.into_directory(directory.path().join("records"));
    /// # let host = builder.start(&tokio::runtime::Handle::current()).await?;
    /// assert_eq!(host.reload().await?, Swapped::Unchanged(1));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// A file cannot be read, a setting is wrong, or the plugin does not fit.
    pub async fn reload(&self) -> Result<Swapped, SwapRefused> {
        let reloader = self.0.reloader.clone();
        let reloaded = self.0.runtime.spawn(async move { reloader.reload().await }).await;
        let reloaded = reloaded.map_err(|error| SwapRefused::not_tried(&error))?;
        reloaded.map(Swapped::of).map_err(SwapRefused::of)
    }

    /// Go back to the plugin before this one. That takes no time to speak of; doing it
    /// twice changes nothing.
    ///
    /// ```
    /// # use standpipe::{Builder, Ended, Plugin, Swapped};
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let directory = tempfile::tempdir()?;
    /// # let settings = "[plugin.settings]\nmappings = [{ event = '*', stream = 'all' }]";
    /// # let builder = Builder::from_toml(settings, directory.path())?.into_directory(directory.path().join("records"));
    /// # let host = builder.start(&tokio::runtime::Handle::current()).await?;
    /// host.swap(Plugin::built_in().with_settings(r#"{"mappings":[{"event":"none","stream":"none"}]}"#)).await?;
    /// assert_eq!(host.roll_back().await?, Swapped::Taken(3));
    /// assert_eq!(host.submit("{}").await?, Ended::Delivered);
    /// assert_eq!(host.roll_back().await?, Swapped::Unchanged(3));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// There is none, or it is not trusted any more.
    pub async fn roll_back(&self) -> Result<Swapped, SwapRefused> {
        self.withdraw(None).await
    }

    /// Go back to the plugin before this generation, if it is the one in use: another
    /// plugin that has taken over meanwhile stays. Doing it twice changes nothing.
    ///
    /// ```
    /// # use standpipe::{Builder, Plugin, Swapped};
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let directory = tempfile::tempdir()?;
    /// # let settings = "[plugin.settings]\nmappings = [{ event = '*', stream = 'all' }]";
    /// # let builder = Builder::from_toml(settings, directory.path())?.into_directory(directory.path().join("records"));
    /// # let host = builder.start(&tokio::runtime::Handle::current()).await?;
    /// host.swap(Plugin::built_in().with_settings(r#"{"mappings":[{"event":"none","stream":"none"}]}"#)).await?;
    /// assert!(host.roll_back_from(1).await.is_err());
    /// assert_eq!(host.roll_back_from(2).await?, Swapped::Taken(3));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// It is not in use, there is none before it, or that is not trusted any more.
    pub async fn roll_back_from(&self, generation: u64) -> Result<Swapped, SwapRefused> {
        self.withdraw(Some(generation)).await
    }

    async fn withdraw(&self, generation: Option<u64>) -> Result<Swapped, SwapRefused> {
        let swapper = self.0.swapper.clone();
        let back = self.0.runtime.spawn_blocking(move || swapper.roll_back(generation)).await;
        let back = back.map_err(|error| SwapRefused::not_tried(&error))?;
        back.map(Swapped::of).map_err(|error| SwapRefused::not_possible(&error))
    }
}
