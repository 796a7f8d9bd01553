//! Several errors as one.

use std::error::Error;
use std::fmt;
use std::io;

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

/// All errors, one after the other; with `{:#}` each of them so, too, which for `anyhow`'s is with its causes.
impl<E: fmt::Display> fmt::Display for ErrorGroup<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.errors.len() {
            0 => return f.write_str("the task group was cancelled before it had a value"),
            1 => f.write_str("1 error in a task group")?,
            count => write!(f, "{count} errors in a task group")?,
        }
        for (index, error) in self.errors.iter().enumerate() {
            f.write_str(if index == 0 { ": " } else { "; " })?;
            error.fmt(f)?;
        }
        Ok(())
    }
}

/// Also of what is no [`Error`] itself, such as `anyhow::Error`, `Box<dyn Error>` and `String`, so that `?` takes the group
/// wherever it takes one of them. What it consists of is in its text and in [`errors`](Self::errors); it has no `source`,
/// for none of several is the cause of the others.
///
/// # Examples
///
/// ```
/// use loxley_runtime::{TaskGroup, task_group};
///
/// async fn print() -> Result<(), Box<dyn std::error::Error>> {
///     task_group(|tg: TaskGroup<String>| async move {
///         tg.create_task(async { Err::<(), _>("no paper".to_owned()) });
///         Ok(())
///     })
///     .await?;
///     Ok(())
/// }
/// let failed = loxley_runtime::run(print()).unwrap_err();
/// assert_eq!(failed.to_string(), "1 error in a task group: no paper");
/// ```
impl<E: fmt::Debug + fmt::Display> Error for ErrorGroup<E> {}

/// So that `?` works where errors are those of I/O.
impl<E: fmt::Debug + fmt::Display + Send + Sync + 'static> From<ErrorGroup<E>> for io::Error {
    fn from(errors: ErrorGroup<E>) -> Self {
        Self::other(errors)
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    /// As `anyhow::Error`: to be shown, with its cause if that is asked for, but no `Error` itself.
    #[derive(Debug)]
    struct Report;

    impl fmt::Display for Report {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(if f.alternate() {
                "no paper: the tray is open"
            } else {
                "no paper"
            })
        }
    }

    #[test]
    fn a_group_whose_errors_can_only_be_shown_is_an_error_that_shows_them() {
        let group = || ErrorGroup::new(vec![Report, Report]);
        let boxed: Box<dyn Error + Send + Sync> = group().into();
        assert_eq!(
            boxed.to_string(),
            "2 errors in a task group: no paper; no paper"
        );
        assert!(format!("{boxed:#}").contains(": no paper: the tray is open; no paper: the"));
        let of_io = io::Error::from(group());
        assert_eq!(of_io.kind(), io::ErrorKind::Other);
        assert!(of_io.get_ref().unwrap().is::<ErrorGroup<Report>>());
    }
}
