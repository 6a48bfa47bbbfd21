//! Progress on the terminal: a bar or a spinner while a phase lasts, one line with its time when it is done.
//!
//! Invariant: all of it goes to standard error; standard output has results alone. Without a terminal there are only
//! the lines.

use std::io::IsTerminal;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use rig::Progress;

/// Draws phases.
#[derive(Debug, Default)]
pub struct Screen {
    bar: Mutex<Option<ProgressBar>>,
    done: Mutex<Vec<(String, Duration)>>,
}

impl Screen {
    fn with(&self, act: impl FnOnce(&mut Option<ProgressBar>)) {
        act(&mut self.bar.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn line(&self, text: &str) {
        self.with(|bar| match bar {
            Some(bar) => bar.suspend(|| eprintln!("{text}")),
            None => eprintln!("{text}"),
        });
    }

    /// The phases that were done, with their times.
    pub fn phases(&self) -> Vec<(String, Duration)> {
        self.done.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes away what is drawn of an unfinished phase.
    pub fn clear(&self) {
        self.with(|bar| {
            if let Some(bar) = bar.take() {
                bar.finish_and_clear();
            }
        });
    }
}

impl Progress for Screen {
    fn note(&self, text: &str) {
        self.line(text);
    }

    fn begin(&self, phase: &str, total: Option<u64>) {
        self.clear();
        let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr());
        let form = match total {
            Some(_) => {
                "{msg:<34} {bar:30.cyan} {bytes:>10} of {total_bytes} {binary_bytes_per_sec:>12}"
            }
            None => "{spinner:.cyan} {msg:<32} {elapsed}",
        };
        bar.set_style(
            ProgressStyle::with_template(form).unwrap_or_else(|_| ProgressStyle::default_bar()),
        );
        bar.set_message(phase.to_owned());
        if std::io::stderr().is_terminal() {
            bar.enable_steady_tick(Duration::from_millis(100));
        }
        self.with(|place| *place = Some(bar));
    }

    fn advance(&self, done: u64) {
        self.with(|bar| {
            if let Some(bar) = bar {
                bar.set_position(done);
            }
        });
    }

    fn end(&self, phase: &str, took: Duration) {
        self.clear();
        eprintln!("{phase:<34} {:>7.2} s", took.as_secs_f32());
        self.done.lock().unwrap_or_else(PoisonError::into_inner).push((phase.to_owned(), took));
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.clear();
    }
}
