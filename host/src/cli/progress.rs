use std::io::IsTerminal;
use std::time::Duration;

use indicatif::ProgressStyle;

use super::terminal::Terminal;
use crate::run::Progress;

const REFRESH: Duration = Duration::from_millis(200);

/// A bar on standard error, where that is a terminal.
pub(super) struct ProgressBar(Option<(indicatif::ProgressBar, tokio::task::JoinHandle<()>)>);

impl ProgressBar {
    /// `size_bytes` is the size of all inputs where they are plain files; of
    /// compressed ones more bytes are read than that, and the bar stays full.
    pub(super) fn start(progress: Progress, size_bytes: Option<u64>) -> Self {
        if !std::io::stderr().is_terminal() {
            return ProgressBar(None);
        }
        let (bar, template) = match size_bytes {
            Some(size) => (
                indicatif::ProgressBar::new(size),
                "{elapsed} {wide_bar} {binary_bytes_per_sec} {msg}",
            ),
            None => {
                (indicatif::ProgressBar::new_spinner(), "{elapsed} {spinner} {binary_bytes} {msg}")
            }
        };
        bar.set_draw_target(Terminal::target());
        bar.set_style(ProgressStyle::with_template(template).expect("a constant template"));
        let drawn = bar.clone();
        let task = tokio::spawn(async move {
            loop {
                drawn.set_position(progress.bytes_read());
                let totals = progress.totals();
                let dead = totals.settled.dead;
                drawn.set_message(format!("{} events, {dead} dead", totals.read));
                tokio::time::sleep(REFRESH).await;
            }
        });
        ProgressBar(Some((bar, task)))
    }

    pub(super) fn finish(self) {
        if let Some((bar, task)) = self.0 {
            task.abort();
            bar.finish_and_clear();
        }
    }
}
