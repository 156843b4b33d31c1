//! How far a run is: a bar on a terminal, a plain line every few seconds elsewhere.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::collections::VecDeque;
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

/// Between plain lines.
const PLAIN: Duration = Duration::from_secs(5);
/// Between changes of the bar.
const BAR: Duration = Duration::from_millis(100);
/// Speed is measured over this long: stalls show, single steps do not.
const WINDOW: Duration = Duration::from_secs(10);

/// Shows the progress of a run, on stderr.
pub struct Progress {
    view: View,
    total: u64,
    batch: u64,
    /// When the view was last changed.
    shown: Option<Instant>,
    /// Times at which steps were done, oldest first.
    times: VecDeque<(Instant, u64)>,
    started: Instant,
    first: u64,
}

enum View {
    Bar(ProgressBar),
    Plain(Box<dyn Write + Send>, Duration),
}

/// What there is to say about a point of training.
#[derive(Clone, PartialEq, Debug)]
pub struct State<'a> {
    /// Steps done.
    pub step: u64,
    /// Steps in all.
    pub total: u64,
    /// Real samples a second; `None` before it is known.
    pub images_per_s: Option<f64>,
    /// Name and loss of each player.
    pub losses: &'a [(&'a str, f32)],
    /// Time that the remaining steps need.
    pub left: Option<Duration>,
}

impl Progress {
    /// Starts at step `first` of `total`, with `batch` samples a step: a bar where stderr is a terminal, else plain lines.
    pub fn start(first: u64, total: u64, batch: usize) -> Progress {
        let view = if std::io::stderr().is_terminal() {
            View::Bar(bar(first, total, std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty())))
        } else {
            View::Plain(Box::new(std::io::stderr()), PLAIN)
        };
        Progress::new(view, first, total, batch)
    }

    /// Plain lines to `out`, at least `every` apart.
    pub fn plain(out: Box<dyn Write + Send>, every: Duration, first: u64, total: u64, batch: usize) -> Progress {
        Progress::new(View::Plain(out, every), first, total, batch)
    }

    fn new(view: View, first: u64, total: u64, batch: usize) -> Progress {
        let now = Instant::now();
        let times = VecDeque::from([(now, first)]);
        Progress { view, total, batch: batch as u64, shown: None, times, started: now, first }
    }

    /// Tells that `step` steps are done. Cheap: most calls show nothing.
    pub fn step(&mut self, step: u64, losses: &[(&str, f32)]) {
        let now = Instant::now();
        let every = match &self.view {
            View::Bar(_) => BAR,
            View::Plain(_, every) => *every,
        };
        // The first line comes at once: it tells that training runs.
        let due = self.shown.is_none_or(|s| now - s >= every) || step >= self.total;
        if due {
            self.measure(now, step);
            self.shown = Some(now);
            self.show(step, losses);
        }
    }

    /// Says something without tearing the bar: a line of its own.
    pub fn note(&mut self, text: &str) {
        match &mut self.view {
            View::Bar(bar) => bar.suspend(|| eprintln!("{text}")),
            // A closed stderr must not end a run.
            View::Plain(out, _) => drop(writeln!(out, "{text}")),
        }
    }

    /// Ends the view with a line about the whole run.
    pub fn finish(mut self, step: u64) {
        let elapsed = self.started.elapsed();
        let rate = (step.saturating_sub(self.first) * self.batch) as f64 / elapsed.as_secs_f64().max(1e-9);
        if let View::Bar(bar) = &self.view {
            bar.finish_and_clear();
        }
        self.note(&format!("step {step}/{} after {}, {} images/s", self.total, show_time(elapsed), show_rate(rate)));
    }

    fn measure(&mut self, now: Instant, step: u64) {
        self.times.push_back((now, step));
        while self.times.len() > 2 && now - self.times[1].0 >= WINDOW {
            self.times.pop_front();
        }
    }

    fn show(&mut self, step: u64, losses: &[(&str, f32)]) {
        let (from, to) = (self.times[0], self.times[self.times.len() - 1]);
        let seconds = (to.0 - from.0).as_secs_f64();
        let steps_per_s = (seconds > 0.0 && to.1 > from.1).then(|| (to.1 - from.1) as f64 / seconds);
        let left = steps_per_s.and_then(|r| Duration::try_from_secs_f64(self.total.saturating_sub(step) as f64 / r).ok());
        let images_per_s = steps_per_s.map(|r| r * self.batch as f64);
        let state = State { step, total: self.total, images_per_s, losses, left };
        match &mut self.view {
            View::Bar(bar) => {
                bar.set_position(step);
                bar.set_message(details(&state));
            }
            View::Plain(out, _) => drop(writeln!(out, "{}", line(&state))),
        }
    }
}

fn bar(first: u64, total: u64, colour: bool) -> ProgressBar {
    let template = if colour { "{bar:32.green} {pos}/{len}  {wide_msg}" } else { "{bar:32} {pos}/{len}  {wide_msg}" };
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr_with_hz(10));
    bar.set_style(style.progress_chars("━╸ "));
    bar.set_position(first);
    bar
}

/// A state as one plain line.
pub fn line(state: &State) -> String {
    format!("step {}/{}  {}", state.step, state.total, details(state))
}

fn details(state: &State) -> String {
    let mut parts = Vec::new();
    parts.extend(state.images_per_s.map(|r| format!("{} images/s", show_rate(r))));
    parts.extend(state.losses.iter().map(|(name, loss)| format!("{name} {loss:.4}")));
    parts.extend(state.left.filter(|_| state.step < state.total).map(|l| format!("{} left", show_time(l))));
    parts.join("  ")
}

fn show_rate(rate: f64) -> String {
    if rate < 10.0 { format!("{rate:.1}") } else { format!("{rate:.0}") }
}

/// Hours, minutes and seconds, the two largest that matter.
pub fn show_time(time: Duration) -> String {
    let s = time.as_secs();
    match (s / 3600, s / 60 % 60, s % 60) {
        (0, 0, s) if s < 10 => format!("{:.1} s", time.as_secs_f64()),
        (0, 0, s) => format!("{s} s"),
        (0, m, s) => format!("{m} min {s:02} s"),
        (h, m, _) => format!("{h} h {m:02} min"),
    }
}
