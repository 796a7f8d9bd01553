//! Several errors as one.

use std::error::Error;
use std::fmt;

/// What a task group failed with: the errors of its children and its body, in the order in which they came.
///
/// It is empty if the group was cancelled by [`TaskGroup::cancel`](crate::TaskGroup::cancel) before its body had a value.
///
/// # Examples
///
/// ```
/// use loxley_runtime::{ErrorGroup, TaskGroup, task_group};
///
/// loxley_runtime::run(async {
///     let failed: Result<(), ErrorGroup<String>> = task_group(|tg: TaskGroup<String>| async move {
///         tg.create_task(async { Err::<(), _>("no disk".to_owned()) });
///         Ok(())
///     })
///     .await;
///     let failed = failed.unwrap_err();
///     assert_eq!(failed.to_string(), "1 error in a task group: no disk");
///     let (disks, others) = failed.split(|error| error.contains("disk"));
///     assert!(disks.is_some() && others.is_none());
/// });
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[doc(alias = "ExceptionGroup")]
pub struct ErrorGroup<E> {
    errors: Vec<E>,
}

impl<E> ErrorGroup<E> {
    pub(super) fn new(errors: Vec<E>) -> Self {
        Self { errors }
    }

    fn unless_empty(errors: Vec<E>) -> Option<Self> {
        (!errors.is_empty()).then_some(Self { errors })
    }

    /// The errors, in the order in which they came.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_runtime::{TaskGroup, task_group};
    /// # loxley_runtime::run(async {
    /// let group = task_group(|tg: TaskGroup<&str>| async move {
    ///     tg.create_task(async { Err::<(), _>("no disk") });
    ///     Ok(())
    /// });
    /// assert_eq!(group.await.unwrap_err().errors(), ["no disk"]);
    /// # });
    /// ```
    #[must_use]
    pub fn errors(&self) -> &[E] {
        &self.errors
    }

    /// The errors, in the order in which they came.
    ///
    /// # Examples
    ///
    /// Where one error is all a caller can take:
    ///
    /// ```
    /// # use loxley_runtime::{TaskGroup, task_group};
    /// # loxley_runtime::run(async {
    /// let group = task_group(|_: TaskGroup<&str>| async { Err::<(), _>("no disk") });
    /// let first = group.await.map_err(|failed| failed.into_errors().swap_remove(0));
    /// assert_eq!(first, Err("no disk"));
    /// # });
    /// ```
    #[must_use]
    pub fn into_errors(self) -> Vec<E> {
        self.errors
    }

    /// Whether nothing failed, but the group was cancelled by its own [`cancel`](crate::TaskGroup::cancel).
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_runtime::{TaskGroup, task_group};
    /// # loxley_runtime::run(async {
    /// let group = task_group(|tg: TaskGroup<&str>| async move {
    ///     tg.cancel();
    ///     std::future::pending::<Result<(), &str>>().await
    /// });
    /// let ended = group.await.unwrap_err();
    /// assert!(ended.is_cancelled() && ended.errors().is_empty());
    /// # });
    /// ```
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.errors.is_empty()
    }

    /// Parts the errors that `matches` from the others; a part without any is `None`.
    ///
    /// # Examples
    ///
    /// What can be dealt with here, and what has to go on:
    ///
    /// ```
    /// # use loxley_runtime::{TaskGroup, task_group};
    /// # loxley_runtime::run(async {
    /// let group = task_group(|_: TaskGroup<u16>| async { Err::<(), _>(503) });
    /// let (busy, fatal) = group.await.unwrap_err().split(|&status| status == 503);
    /// assert_eq!(busy.unwrap().errors(), [503]);
    /// assert!(fatal.is_none());
    /// # });
    /// ```
    #[must_use]
    pub fn split(self, matches: impl FnMut(&E) -> bool) -> (Option<Self>, Option<Self>) {
        let (these, others) = self.errors.into_iter().partition(matches);
        (Self::unless_empty(these), Self::unless_empty(others))
    }

    /// The errors that `matches`; `None` if there are none.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_runtime::{TaskGroup, task_group};
    /// # loxley_runtime::run(async {
    /// let group = task_group(|_: TaskGroup<u16>| async { Err::<(), _>(404) });
    /// let failed = group.await.unwrap_err();
    /// assert!(failed.subgroup(|&status| status >= 500).is_none(), "no fault of the server");
    /// # });
    /// ```
    #[must_use]
    pub fn subgroup(self, matches: impl FnMut(&E) -> bool) -> Option<Self> {
        self.split(matches).0
    }
}

impl<E> IntoIterator for ErrorGroup<E> {
    type Item = E;
    type IntoIter = std::vec::IntoIter<E>;

    fn into_iter(self) -> Self::IntoIter {
        self.errors.into_iter()
    }
}

impl<E: fmt::Display> fmt::Display for ErrorGroup<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.errors.len() {
            0 => return f.write_str("the task group was cancelled before it had a value"),
            1 => f.write_str("1 error in a task group")?,
            count => write!(f, "{count} errors in a task group")?,
        }
        for (index, error) in self.errors.iter().enumerate() {
            write!(f, "{} {error}", if index == 0 { ':' } else { ';' })?;
        }
        Ok(())
    }
}

impl<E: Error + 'static> Error for ErrorGroup<E> {
    /// The first error, which made the group cancel the rest.
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.errors.first().map(|error| error as _)
    }
}
