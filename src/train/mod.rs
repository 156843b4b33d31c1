//! Training: states and how they start, steps, schedules, checkpoints, replays, samples.

pub mod checkpoint;
mod conditions;
mod drawing;
pub mod layout;
pub mod replay;
mod sampling;
pub mod scalars;
mod session;
mod start;
pub mod steps;
mod trained;

pub use conditions::{Condition, conditions};
pub use drawing::{Asked, DRAWN, Drawing, DrawingError, Drawn, Pairs, Texts};
pub use sampling::{Sampling, reads};
pub use session::{Options, Progress, Session, fill, set_scalars};
pub use start::fresh;
pub use trained::{CHECKPOINTS, Loaded, RESOLVED, load_run};
