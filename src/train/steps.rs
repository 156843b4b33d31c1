//! The loop over training steps: give data, draw noise, run the phases, look at the losses.
//!
//! Everything a step needs is a function of the seed and the number of the draw, so a step that went wrong can be run
//! again from an earlier state: that is how the bundle of a diverging step is made.

use super::checkpoint::{Metadata, TensorError, states, write};
use super::layout::to_torch;
use super::session::{Progress, Session};
use crate::build::FeedSource;
use crate::data::{DataError, Loader, Source};
use crate::graph::{FeedId, StateId};
use std::path::{Path, PathBuf};

/// Steps between the states kept in memory for a replay of a diverging step.
const SNAPSHOT: u64 = 64;

/// The data streams that a program reads, and where their columns go.
pub struct Streams {
    sources: Vec<Opened>,
}

struct Opened {
    source: Box<dyn Source>,
    /// For each column of the source its feed; `None` where nobody reads it.
    feeds: Vec<Option<FeedId>>,
    /// Elements of a batch of each column.
    sizes: Vec<usize>,
}

impl Streams {
    /// Opens every stream of `model` that `session` reads.
    /// Errors: files are missing or broken.
    pub fn open(model: &crate::model::Model, session: &Session) -> Result<Streams, DataError> {
        let mut sources = Vec::new();
        for (number, feeds) in columns(model, session) {
            let stream = &model.streams[number];
            let batch = session.program.batch;
            let sizes = stream.columns[..feeds.len()].iter().map(|(_, ty)| batch * ty.numbers()).collect();
            let source = crate::data::open(&stream.source, batch, session.seed, number as u32)?;
            sources.push(Opened { source, feeds, sizes });
        }
        Ok(Streams { sources })
    }

    /// Gives to another session of the same data from here on.
    pub fn rebind(&mut self, model: &crate::model::Model, session: &Session) {
        for (source, (_, feeds)) in self.sources.iter_mut().zip(columns(model, session)) {
            source.feeds = feeds;
        }
    }

    /// Gives draw `draw` to `session`, computed here and now.
    /// Errors: a file cannot be read any more.
    pub fn give(&self, session: &mut Session, draw: u64) -> Result<(), DataError> {
        for s in &self.sources {
            let mut columns: Vec<Vec<f32>> = s.sizes.iter().map(|&n| vec![0.0; n]).collect();
            let mut slices: Vec<&mut [f32]> = columns.iter_mut().map(Vec::as_mut_slice).collect();
            s.source.draw(draw, &mut slices)?;
            hand_over(session, &s.feeds, &columns);
        }
        Ok(())
    }

    /// The same streams prepared in the background from draw `first` on.
    /// Errors: the system gives no thread.
    pub fn start(self, first: u64) -> Result<Feeder, DataError> {
        let feeds = self.sources.iter().map(|s| s.feeds.clone()).collect();
        let loader = Loader::start(self.sources.into_iter().map(|s| (s.source, s.sizes)).collect(), first)?;
        Ok(Feeder { loader, feeds })
    }
}

/// The streams that `session` reads, each with the feeds of its columns up to the last one read.
fn columns(model: &crate::model::Model, session: &Session) -> Vec<(usize, Vec<Option<FeedId>>)> {
    let mut found = Vec::new();
    for (number, stream) in model.streams.iter().enumerate() {
        let feed_of = |column: usize| {
            let is = |f: &crate::build::Feed| f.source == FeedSource::Data { stream: number, column };
            session.program.feeds.iter().position(is).map(|i| FeedId(i as u32))
        };
        let mut feeds: Vec<Option<FeedId>> = (0..stream.columns.len()).map(feed_of).collect();
        while feeds.last() == Some(&None) {
            feeds.pop();
        }
        if !feeds.is_empty() {
            found.push((number, feeds));
        }
    }
    found
}

fn hand_over(session: &mut Session, feeds: &[Option<FeedId>], columns: &[Vec<f32>]) {
    for (feed, column) in feeds.iter().zip(columns) {
        if let Some(id) = feed {
            session.memory.feed_mut(*id).copy_from_slice(column);
        }
    }
}

/// Data streams that are prepared beside training.
pub struct Feeder {
    loader: Loader,
    feeds: Vec<Vec<Option<FeedId>>>,
}

impl Feeder {
    /// Gives to another session of the same data from here on.
    pub fn rebind(&mut self, model: &crate::model::Model, session: &Session) {
        for (feeds, (_, new)) in self.feeds.iter_mut().zip(columns(model, session)) {
            *feeds = new;
        }
    }

    /// Gives the next draw to `session`.
    /// Errors: a file cannot be read any more.
    pub fn give(&mut self, session: &mut Session) -> Result<(), DataError> {
        let batch = self.loader.next()?;
        for (feeds, columns) in self.feeds.iter().zip(&batch.streams) {
            hand_over(session, feeds, columns);
        }
        self.loader.recycle(batch);
        Ok(())
    }
}

/// Why a step failed.
#[derive(Debug)]
pub enum StepError {
    /// Data cannot be had.
    Data(DataError),
    /// The loss of this player is no number.
    Diverged {
        /// The player.
        player: String,
        /// Its loss.
        loss: f32,
    },
}

/// States as they were.
pub struct Snapshot {
    states: Vec<Vec<f32>>,
    progress: Progress,
}

impl Snapshot {
    /// The states of `session` now.
    pub fn take(session: &Session) -> Snapshot {
        let states = (0..session.program.states.len()).map(|i| session.memory.state(StateId(i as u32)).to_vec()).collect();
        Snapshot { states, progress: session.progress.clone() }
    }

    /// Puts them back.
    pub fn restore(&self, session: &mut Session) {
        for (i, s) in self.states.iter().enumerate() {
            session.memory.state_mut(StateId(i as u32)).copy_from_slice(s);
        }
        session.progress = self.progress.clone();
    }

    /// Whether it is time to take another one.
    pub fn is_old(&self, session: &Session) -> bool {
        session.progress.step >= self.progress.step + SNAPSHOT
    }
}

/// One training step: all its phases. Returns the last loss of each player.
/// Errors: data cannot be had, or a loss is no number; then the step does not count.
pub fn step(session: &mut Session, feeder: &mut Feeder) -> Result<Vec<f32>, StepError> {
    run_phases(session, |session| feeder.give(session))
}

fn run_phases(session: &mut Session, mut give: impl FnMut(&mut Session) -> Result<(), DataError>) -> Result<Vec<f32>, StepError> {
    let mut losses = vec![f32::NAN; session.program.players.len()];
    let order = session.program.order(session.progress.step).to_vec();
    for phase in order {
        give(session).map_err(StepError::Data)?;
        session.draw_noise();
        session.run_phase(phase);
        for (player, loss) in session.losses(phase) {
            losses[player] = loss;
            if !loss.is_finite() {
                return Err(StepError::Diverged { player: session.program.players[player].clone(), loss });
            }
        }
    }
    session.progress.step += 1;
    Ok(losses)
}

/// Writes what is needed to replay the step that diverged, `weights.safetensors` and `feed.safetensors`, into `folder`: goes back
/// to `from` and runs up to that step again.
/// Errors: data or files.
pub fn diverged(session: &mut Session, streams: &Streams, from: &Snapshot, step: u64, folder: &Path) -> Result<PathBuf, String> {
    from.restore(session);
    while session.progress.step < step {
        let outcome = run_phases(session, |s| {
            let draw = s.progress.draws;
            streams.give(s, draw)
        });
        match outcome {
            Ok(_) => {}
            Err(StepError::Data(e)) => return Err(e.to_string()),
            Err(StepError::Diverged { .. }) => break,
        }
    }
    std::fs::create_dir_all(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let wrong = |e: TensorError| e.to_string();
    write(&folder.join("weights.safetensors"), &states(&session.program, &session.memory), &Metadata::new()).map_err(wrong)?;
    let order = session.program.order(session.progress.step).to_vec();
    let runs = order.len();
    let mut feeds: Vec<(String, Vec<usize>, Vec<f32>)> = Vec::new();
    for run in 0..runs {
        let draw = session.progress.draws;
        streams.give(session, draw).map_err(|e| e.to_string())?;
        session.draw_noise();
        for i in 0..session.program.feeds.len() {
            let feed = &session.program.feeds[i];
            if !session.uses(&feed.name) {
                continue;
            }
            let data = to_torch(&feed.layout, session.memory.feed(FeedId(i as u32)));
            match feeds.iter_mut().find(|f| f.0 == feed.name) {
                Some(f) => f.2.extend(data),
                None => feeds.push((feed.name.clone(), [vec![runs], feed.layout.shape.clone()].concat(), data)),
            }
        }
        if run + 1 < runs {
            session.run_phase(order[run]);
        }
    }
    write(&folder.join("feed.safetensors"), &feeds, &Metadata::new()).map_err(wrong)?;
    Ok(folder.to_path_buf())
}
