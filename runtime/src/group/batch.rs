//! A fixed number of tasks with their results: what `gather` holds, whether it was given a tuple or an iterator.
//!
//! A batch watches its tasks and collects; it decides nothing. A task is a [`Slot`], which holds it until it has ended and
//! then its result until that is taken.

use super::IntoTask;
use super::arrivals::Roll;
use crate::task::{Task, TaskError, TaskRef};
use std::task::{Context, Poll};

/// One task of a batch.
#[doc(hidden)]
#[derive(Debug)]
pub struct Slot<T>(State<T>);

#[derive(Debug)]
enum State<T> {
    Running(Task<T>),
    Ended(Result<T, TaskError>),
    Taken,
}

/// Nothing in it is pinned: a task is a handle, a result is moved out.
impl<T> Unpin for Slot<T> {}

impl<T> Slot<T> {
    fn new(task: Task<T>) -> Self {
        Self(State::Running(task))
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let State::Running(task) = &mut self.0 {
            if task.poll_finished(cx).is_pending() {
                return Poll::Pending;
            }
            let State::Running(task) = std::mem::replace(&mut self.0, State::Taken) else {
                unreachable!("it was running above");
            };
            self.0 = State::Ended(task.into_result());
        }
        Poll::Ready(())
    }

    fn running(&self) -> Option<TaskRef> {
        match &self.0 {
            State::Running(task) => Some(task.as_ref()),
            State::Ended(_) | State::Taken => None,
        }
    }

    fn is_error(&self) -> bool {
        matches!(self.0, State::Ended(Err(_)))
    }

    fn is_panic(&self) -> bool {
        matches!(self.0, State::Ended(Err(TaskError::Panicked(_))))
    }

    fn take(&mut self) -> Result<T, TaskError> {
        match std::mem::replace(&mut self.0, State::Taken) {
            State::Ended(result) => result,
            State::Running(_) | State::Taken => unreachable!("results are taken once, at the end"),
        }
    }

    /// The value of a task that is known not to have failed.
    fn value(&mut self) -> T {
        match self.take() {
            Ok(value) => value,
            Err(_) => unreachable!("a failure ends the whole before any value is taken"),
        }
    }
}

impl<T, E> Slot<Result<T, E>> {
    fn is_failure(&self) -> bool {
        matches!(self.0, State::Ended(Err(_) | Ok(Err(_))))
    }

    fn success(&mut self) -> T {
        match self.value() {
            Ok(value) => value,
            Err(_) => unreachable!("a failure ends the whole before any value is taken"),
        }
    }

    fn failure(&mut self) -> Option<E>
    where
        E: From<TaskError>,
    {
        self.take()
            .map_or_else(|error| Some(error.into()), Result::err)
    }
}

/// Tasks that belong together. Not to be implemented elsewhere.
#[doc(hidden)]
pub trait Batch: Unpin {
    /// The values, if no task failed.
    type Values;
    /// One result for each task.
    type Results;

    fn len(&self) -> usize;
    fn poll_one(&mut self, index: usize, cx: &mut Context<'_>) -> Poll<()>;
    /// The task at `index`, while it runs.
    fn running(&self, index: usize) -> Option<TaskRef>;
    fn is_error(&self, index: usize) -> bool;
    fn is_panic(&self, index: usize) -> bool;
    fn take_error(&mut self, index: usize) -> Option<TaskError>;
    fn values(&mut self) -> Self::Values;
    fn results(&mut self) -> Self::Results;
}

/// Tasks that belong together and whose values are results. Not to be implemented elsewhere.
#[doc(hidden)]
pub trait TryBatch<E>: Batch {
    /// The values, if no task failed and none gave an error.
    type Successes;

    fn is_failure(&self, index: usize) -> bool;
    fn take_failure(&mut self, index: usize) -> Option<E>;
    fn successes(&mut self) -> Self::Successes;
}

/// Tasks and futures that may be gathered: a tuple of up to eight, or anything that can be iterated over.
///
/// `Values` is what gathering gives: a tuple for a tuple, else a `Vec`. For a list of tasks it must be named,
/// `let results: Vec<u32> = gather(tasks).await?;`: a task is itself a future, of a `Result`, and stable Rust has no
/// specialisation to tell the two apart.
///
/// # Examples
///
/// A function that takes what `gather` takes:
///
/// ```
/// use loxley_runtime::{IntoTasks, TaskError, gather};
///
/// async fn values<V, T: IntoTasks<V>>(tasks: T) -> Result<V, TaskError> {
///     gather(tasks).await
/// }
/// loxley_runtime::run(async {
///     assert_eq!(values((async { 1 }, async { 'b' })).await.unwrap(), (1, 'b'));
///     assert_eq!(values([async { 7 }]).await.unwrap(), [7]);
/// });
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no tuple, `Vec` or iterator of futures",
    label = "these cannot run as tasks",
    note = "give a tuple of up to eight futures or tasks, `gather((a, b))`, or an iterator of them; each must be `Send` and own what it uses"
)]
pub trait IntoTasks<Values> {
    /// The tasks.
    #[doc(hidden)]
    type Batch: Batch<Values = Values>;

    #[doc(hidden)]
    #[track_caller]
    fn into_tasks(self, roll: &mut Roll) -> Self::Batch;
}

impl<I, T> IntoTasks<Vec<T>> for I
where
    I: IntoIterator,
    I::Item: IntoTask<T>,
{
    type Batch = Vec<Slot<T>>;

    #[track_caller]
    fn into_tasks(self, roll: &mut Roll) -> Self::Batch {
        let mut slots = Vec::new();
        // A loop and not a `map`: a closure would hide the caller's line.
        for task in self {
            slots.push(Slot::new(task.into_task_of(roll)));
        }
        slots
    }
}

impl<T> Batch for Vec<Slot<T>> {
    type Values = Vec<T>;
    type Results = Vec<Result<T, TaskError>>;

    fn len(&self) -> usize {
        self.len()
    }

    fn poll_one(&mut self, index: usize, cx: &mut Context<'_>) -> Poll<()> {
        self[index].poll(cx)
    }

    fn running(&self, index: usize) -> Option<TaskRef> {
        self[index].running()
    }

    fn is_error(&self, index: usize) -> bool {
        self[index].is_error()
    }

    fn is_panic(&self, index: usize) -> bool {
        self[index].is_panic()
    }

    fn take_error(&mut self, index: usize) -> Option<TaskError> {
        self[index].take().err()
    }

    fn values(&mut self) -> Vec<T> {
        self.iter_mut().map(Slot::value).collect()
    }

    fn results(&mut self) -> Self::Results {
        self.iter_mut().map(Slot::take).collect()
    }
}

impl<T, E: From<TaskError>> TryBatch<E> for Vec<Slot<Result<T, E>>> {
    type Successes = Vec<T>;

    fn is_failure(&self, index: usize) -> bool {
        self[index].is_failure()
    }

    fn take_failure(&mut self, index: usize) -> Option<E> {
        self[index].failure()
    }

    fn successes(&mut self) -> Vec<T> {
        self.iter_mut().map(Slot::success).collect()
    }
}

macro_rules! tuple {
    ($count:literal: $($T:ident $X:ident $at:tt),+) => {
        impl<$($T, $X: IntoTask<$T>),+> IntoTasks<($($T,)+)> for ($($X,)+) {
            type Batch = ($(Slot<$T>,)+);

            #[track_caller]
            fn into_tasks(self, roll: &mut Roll) -> Self::Batch {
                ($(Slot::new(self.$at.into_task_of(roll)),)+)
            }
        }

        impl<$($T),+> Batch for ($(Slot<$T>,)+) {
            type Values = ($($T,)+);
            type Results = ($(Result<$T, TaskError>,)+);

            fn len(&self) -> usize {
                $count
            }

            fn poll_one(&mut self, index: usize, cx: &mut Context<'_>) -> Poll<()> {
                match index {
                    $($at => self.$at.poll(cx),)+
                    _ => unreachable!("an index of this tuple"),
                }
            }

            fn running(&self, index: usize) -> Option<TaskRef> {
                match index {
                    $($at => self.$at.running(),)+
                    _ => unreachable!("an index of this tuple"),
                }
            }

            fn is_error(&self, index: usize) -> bool {
                match index {
                    $($at => self.$at.is_error(),)+
                    _ => unreachable!("an index of this tuple"),
                }
            }

            fn is_panic(&self, index: usize) -> bool {
                match index {
                    $($at => self.$at.is_panic(),)+
                    _ => unreachable!("an index of this tuple"),
                }
            }

            fn take_error(&mut self, index: usize) -> Option<TaskError> {
                match index {
                    $($at => self.$at.take().err(),)+
                    _ => unreachable!("an index of this tuple"),
                }
            }

            fn values(&mut self) -> Self::Values {
                ($(self.$at.value(),)+)
            }

            fn results(&mut self) -> Self::Results {
                ($(self.$at.take(),)+)
            }
        }

        impl<Error: From<TaskError>, $($T),+> TryBatch<Error> for ($(Slot<Result<$T, Error>>,)+) {
            type Successes = ($($T,)+);

            fn is_failure(&self, index: usize) -> bool {
                match index {
                    $($at => self.$at.is_failure(),)+
                    _ => unreachable!("an index of this tuple"),
                }
            }

            fn take_failure(&mut self, index: usize) -> Option<Error> {
                match index {
                    $($at => self.$at.failure(),)+
                    _ => unreachable!("an index of this tuple"),
                }
            }

            fn successes(&mut self) -> Self::Successes {
                ($(self.$at.success(),)+)
            }
        }
    };
}

tuple!(1: A AX 0);
tuple!(2: A AX 0, B BX 1);
tuple!(3: A AX 0, B BX 1, C CX 2);
tuple!(4: A AX 0, B BX 1, C CX 2, D DX 3);
tuple!(5: A AX 0, B BX 1, C CX 2, D DX 3, E EX 4);
tuple!(6: A AX 0, B BX 1, C CX 2, D DX 3, E EX 4, F FX 5);
tuple!(7: A AX 0, B BX 1, C CX 2, D DX 3, E EX 4, F FX 5, G GX 6);
tuple!(8: A AX 0, B BX 1, C CX 2, D DX 3, E EX 4, F FX 5, G GX 6, H HX 7);
