//! Several tasks as one: waiting for all, for the first, for whichever is next, and groups that leave no child behind.
//!
//! Everything here stands on the public face of a task: it is spawned, watched, asked to stop. Nobody here polls another
//! task's future, and nothing here names the scheduler.
//!
//! | file | holds |
//! |---|---|
//! | `into_task.rs` | [`IntoTask`]: a task is taken as it is, a future is spawned |
//! | `arrivals.rs` | how one future waits for many tasks and is told which of them ended |
//! | `batch.rs` `gather.rs` | tasks side by side, for all their results |
//! | `task_group.rs` `child.rs` `children.rs` `error_group.rs` | groups that end together |
//! | `race.rs` `staggered.rs` `wait_for.rs` | futures inside the caller's task: the first of several, or none in time |
//! | `shield.rs` `wait.rs` `as_completed.rs` | waiting that never cancels what it waits for |

mod arrivals;
mod as_completed;
mod batch;
mod child;
mod children;
mod error_group;
mod gather;
mod into_task;
mod race;
mod shield;
mod staggered;
mod task_group;
mod wait;
mod wait_for;

pub use as_completed::{AsCompleted, as_completed};
pub use batch::IntoTasks;
pub use child::{Child, ChildOutput};
pub use error_group::ErrorGroup;
pub use gather::{Gather, GatherResults, TryGather, gather, try_gather};
pub use into_task::IntoTask;
pub use race::{IntoRace, Race, race};
pub use shield::{Shield, shield};
pub use staggered::staggered_race;
pub use task_group::{TaskGroup, TaskGroupBuilder, task_group};
pub use wait::{ReturnWhen, Wait, Waited, wait};
pub use wait_for::wait_for;

/// What the models of `loom-tests` see of this room.
pub(crate) mod model {
    pub use super::arrivals::{Arrivals, Roll};
    pub use super::children::{Children, Closed, Ticket};
}
