//! What may be handed in where a task is wanted.
//!
//! A `Task<T>` is itself a future, of `Result<T, TaskError>`, so one blanket rule for futures would swallow it, and stable
//! Rust has no specialisation. The type wanted is therefore a parameter of the trait: a future of `T` becomes a `Task<T>`, a
//! `Task<T>` stays one. The two rules cannot meet, since no `T` is `Result<T, TaskError>`. What it costs: of a task the
//! compiler sees two readings, and wants the type of the value from its surroundings. Looking for a task by `Any` at run
//! time would have spared that, but typed every value of a task as a `Result` that is never an error.

use super::arrivals::{Roll, announced};
use crate::spawn::create_awaited;
use crate::task::Task;
use std::future::Future;

/// A task, which is taken as it is, or a future, which is spawned as one.
///
/// A task is itself a future, of a `Result`, and stable Rust has no specialisation to tell the two apart: so where a task is
/// given, the type of its value must be known from somewhere, `let results: Vec<u32> = gather(tasks).await?;`.
///
/// # Examples
///
/// ```
/// use loxley_runtime::{create_task, shield};
///
/// loxley_runtime::run(async {
///     assert_eq!(shield(async { 1 }).await.unwrap(), 1);
///     // Of a task the type of the value must be known from somewhere: here the annotation.
///     let two: u32 = shield(create_task(async { 2 })).await.unwrap();
///     assert_eq!(two, 2);
/// });
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is neither a task nor a future that can become one",
    label = "this cannot run as a task",
    note = "a future that becomes a task must be `Send` and own what it uses"
)]
#[doc(alias = "ensure_future")]
pub trait IntoTask<T> {
    /// The task.
    ///
    /// # Panics
    ///
    /// If there is something to spawn, and this thread is in no runtime.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_runtime::{IntoTask, create_task};
    /// # loxley_runtime::run(async {
    /// let spawned = async { 1 }.into_task();
    /// let itself = IntoTask::<u8>::into_task(create_task(async { 2 }));
    /// assert_eq!((spawned.await.unwrap(), itself.await.unwrap()), (1, 2));
    /// # });
    /// ```
    #[track_caller]
    fn into_task(self) -> Task<T>;

    /// The task, as one of several.
    #[doc(hidden)]
    #[track_caller]
    fn into_task_of(self, roll: &mut Roll) -> Task<T>
    where
        Self: Sized,
    {
        roll.ask();
        self.into_task()
    }
}

impl<T> IntoTask<T> for Task<T> {
    fn into_task(self) -> Self {
        self
    }
}

impl<F, T> IntoTask<T> for F
where
    F: Future<Output = T> + Send + 'static,
    T: Send + 'static,
{
    #[track_caller]
    fn into_task(self) -> Task<T> {
        crate::create_task(self)
    }

    #[track_caller]
    fn into_task_of(self, roll: &mut Roll) -> Task<T> {
        create_awaited(announced(roll.announce(self)))
    }
}
