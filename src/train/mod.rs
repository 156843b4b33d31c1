//! Training: states and how they start, steps, schedules, checkpoints, replays.

pub mod checkpoint;
pub mod layout;
pub mod replay;
pub mod scalars;
mod session;
mod start;

pub use session::{Options, Progress, Session, fill, pool};
