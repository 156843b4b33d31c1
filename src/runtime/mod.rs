//! Running compiled plans: memory, threads, random numbers.
//!
//! The calling thread and those of a [`Team`] walk a plan together, stage by stage. Tasks of a stage are claimed one by one, by each
//! thread first those of its own share; because a task owns what it writes and computes it in a fixed order, the result does not depend on who
//! claims what.

mod buffer;
mod denormals;
mod execute;
pub mod lanes;
pub mod random;
mod team;

pub use buffer::Buffer;
pub use execute::{Executable, Memory};
pub use team::Team;
