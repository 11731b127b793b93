//! A spinner that shows the progress of reading, if standard error is a terminal.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::cli::terminal::Terminal;
use standpipe_catalog::discovery::DiscoveryProgress;

/// Shows the progress of discovery on standard error, if that is a terminal. A spinner that is
/// dropped clears its line.
#[derive(Debug)]
pub(super) struct DiscoverySpinner(Option<ProgressBar>);

impl DiscoverySpinner {
    pub(super) fn start() -> Self {
        if !std::io::stderr().is_terminal() {
            return DiscoverySpinner(None);
        }
        let bar = ProgressBar::new_spinner();
        bar.set_draw_target(Terminal::target());
        let style = ProgressStyle::with_template("{elapsed} {spinner} {msg}");
        bar.set_style(style.expect("a constant template"));
        bar.enable_steady_tick(Duration::from_millis(200));
        DiscoverySpinner(Some(bar))
    }

    pub(super) fn report(&self, progress: DiscoveryProgress) {
        let Some(bar) = &self.0 else { return };
        bar.set_message(match progress {
            DiscoveryProgress::Listed(count) => format!("{count} delivery streams"),
            DiscoveryProgress::Described { done, of } => {
                format!("{done} of {of} streams described")
            }
            DiscoveryProgress::Tables { done, of } => {
                format!("{done} of {of} DynamoDB tables asked")
            }
        });
    }
}
