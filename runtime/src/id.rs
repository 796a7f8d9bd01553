//! The numbers the runtime hands out, as types that cannot be mixed up.

use loxley_sync::prim::GlobalCounter;
use std::fmt;
use std::num::NonZeroU64;

/// The number of a task: unique in this process, never used twice.
///
/// # Examples
///
/// A key for what is known of tasks:
///
/// ```
/// use loxley_runtime::{create_task, task::TaskId};
/// use std::collections::HashMap;
///
/// loxley_runtime::run(async {
///     let mut started: HashMap<TaskId, &str> = HashMap::new();
///     let task = create_task(async {});
///     started.insert(task.id(), "import");
///     assert_eq!(started[&task.as_ref().id()], "import");
/// });
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TaskId(NonZeroU64);

impl TaskId {
    /// What a task has before it is launched.
    pub(crate) const NONE: Self = Self(NonZeroU64::MAX);

    /// The number itself.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_runtime::create_task;
    /// # loxley_runtime::run(async {
    /// let task = create_task(async {});
    /// assert_eq!(&*task.name(), format!("Task-{}", task.id().get()));
    /// # });
    /// ```
    #[must_use]
    pub fn get(self) -> u64 {
        self.0.get()
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How many ids a worker takes at once, so that spawning does not meet on one cache line.
const BLOCK: u64 = 1024;

/// The process-wide source of blocks of ids: it makes ids comparable between runtimes and is touched once per block.
static NEXT_BLOCK: GlobalCounter = GlobalCounter::new(1);

/// A block of task ids owned by one spawner.
#[derive(Debug, Default)]
pub struct TaskIds {
    next: u64,
    end: u64,
}

impl TaskIds {
    /// An id nobody else has.
    ///
    /// # Panics
    ///
    /// After 2^64 ids.
    #[inline]
    #[allow(clippy::should_implement_trait, reason = "ids do not end")]
    pub fn next(&mut self) -> TaskId {
        if self.next == self.end {
            self.refill();
        }
        let id = self.next;
        self.next += 1;
        // Blocks start at 1, and 2^64 ids are not used up.
        TaskId(NonZeroU64::new(id).unwrap_or(NonZeroU64::MIN))
    }

    #[cold]
    fn refill(&mut self) {
        self.next = NEXT_BLOCK.take(BLOCK);
        self.end = self.next + BLOCK;
    }
}
