//! [`OnceCell`]: a value computed once, by whichever task asks first.
//!
//! The value lives in the standard library's cell; who computes it holds a [`Lock`]. A computation that fails, panics or is
//! dropped releases the lock, and the next task that waits computes instead. No protocol of its own.

use crate::Lock;
use crate::error::SetError;
use crate::prim::const_fn;
use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::sync::OnceLock;

/// A cell that is filled once, by an async computation if need be.
///
/// # Fairness
///
/// If a computation does not succeed, the task that has waited longest computes next.
///
/// # Examples
///
/// ```
/// use loxley_sync::{OnceCell, wait::block_on};
///
/// static CONFIG: OnceCell<String> = OnceCell::new();
/// block_on(async {
///     let first = CONFIG.get_or_init(|| async { "from disk".to_owned() }).await;
///     assert_eq!(first, "from disk");
///     assert_eq!(CONFIG.get().map(String::as_str), Some("from disk"));
/// });
/// ```
pub struct OnceCell<T> {
    value: OnceLock<T>,
    computing: Lock,
}

impl<T> OnceCell<T> {
    const_fn! {
        /// An empty cell.
        #[must_use]
        pub const fn new() -> Self {
            Self {
                value: OnceLock::new(),
                computing: Lock::new(()),
            }
        }
    }

    /// The value, if there is one.
    #[must_use]
    #[inline]
    pub fn get(&self) -> Option<&T> {
        self.value.get()
    }

    /// The value, if there is one and nobody else can have it.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_sync::OnceCell;
    /// let mut cell = OnceCell::from(1);
    /// if let Some(value) = cell.get_mut() {
    ///     *value += 1;
    /// }
    /// assert_eq!(cell.get(), Some(&2));
    /// ```
    pub fn get_mut(&mut self) -> Option<&mut T> {
        self.value.get_mut()
    }

    /// Fills the cell.
    ///
    /// # Errors
    ///
    /// The value, if the cell has one or somebody is computing one.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_sync::{OnceCell, error::SetError};
    /// static PORT: OnceCell<u16> = OnceCell::new();
    /// assert_eq!(PORT.set(80), Ok(()));
    /// assert_eq!(PORT.set(81), Err(SetError::AlreadySet(81)), "it stays what it is");
    /// ```
    pub fn set(&self, value: T) -> Result<(), SetError<T>> {
        if self.value.get().is_some() {
            return Err(SetError::AlreadySet(value));
        }
        let Some(_computing) = self.computing.try_acquire() else {
            return Err(match self.value.get() {
                Some(_) => SetError::AlreadySet(value),
                None => SetError::Initializing(value),
            });
        };
        self.value.set(value).map_err(SetError::AlreadySet)
    }

    /// The value, computed by `init` if there is none and nobody else computes it.
    ///
    /// # Cancel safety
    ///
    /// A computation dropped half-way, or that panicked, leaves the cell empty; the next who waits runs its own. If the
    /// cell has a value the call completes without waiting.
    ///
    /// # Examples
    ///
    /// Whoever is first computes, once for all:
    ///
    /// ```
    /// # use loxley_sync::{OnceCell, wait::block_on};
    /// static CONFIG: OnceCell<String> = OnceCell::new();
    /// let threads = [0; 2].map(|_| {
    ///     std::thread::spawn(|| block_on(CONFIG.get_or_init(|| async { "from disk".to_owned() })).len())
    /// });
    /// assert_eq!(threads.map(|thread| thread.join().unwrap()), [9, 9]);
    /// ```
    #[track_caller]
    pub fn get_or_init<'a, F>(
        &'a self,
        init: impl FnOnce() -> F + 'a,
    ) -> impl Future<Output = &'a T>
    where
        F: Future<Output = T> + 'a,
    {
        let at = Location::caller();
        async move {
            let init = || async { Ok::<T, Infallible>(init().await) };
            match self.init_at(init, at).await {
                Ok(value) => value,
                Err(never) => match never {},
            }
        }
    }

    /// The value, computed by `init` if there is none and nobody else computes it.
    ///
    /// # Errors
    ///
    /// That of `init`; the cell stays empty then.
    ///
    /// # Cancel safety
    ///
    /// As [`get_or_init`](Self::get_or_init).
    ///
    /// # Examples
    ///
    /// A failure is not kept: the next one tries again.
    ///
    /// ```
    /// # use loxley_sync::{OnceCell, wait::block_on};
    /// let cell = OnceCell::new();
    /// block_on(async {
    ///     assert!(cell.get_or_try_init(|| async { "many".parse::<u32>() }).await.is_err());
    ///     assert_eq!(cell.get_or_try_init(|| async { "12".parse::<u32>() }).await, Ok(&12));
    /// });
    /// ```
    #[track_caller]
    pub fn get_or_try_init<'a, F, E>(
        &'a self,
        init: impl FnOnce() -> F + 'a,
    ) -> impl Future<Output = Result<&'a T, E>>
    where
        F: Future<Output = Result<T, E>> + 'a,
        E: 'a,
    {
        self.init_at(init, Location::caller())
    }

    async fn init_at<F, E>(
        &self,
        init: impl FnOnce() -> F,
        at: &'static Location<'static>,
    ) -> Result<&T, E>
    where
        F: Future<Output = Result<T, E>>,
    {
        if let Some(value) = self.value.get() {
            return Ok(value);
        }
        let _computing = self.computing.acquire_at(at).await;
        if let Some(value) = self.value.get() {
            return Ok(value);
        }
        let value = init().await?;
        Ok(self.value.get_or_init(|| value))
    }

    /// The value, taken out of the cell.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_sync::OnceCell;
    /// assert_eq!(OnceCell::from("value").into_inner(), Some("value"));
    /// assert_eq!(OnceCell::<u8>::new().into_inner(), None);
    /// ```
    #[must_use]
    pub fn into_inner(self) -> Option<T> {
        self.value.into_inner()
    }

    /// Empties the cell.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_sync::OnceCell;
    /// let mut session = OnceCell::from("old");
    /// assert_eq!(session.take(), Some("old"));
    /// assert_eq!(session.set("new"), Ok(()), "it can be filled again");
    /// ```
    pub fn take(&mut self) -> Option<T> {
        self.value.take()
    }
}

impl<T> Default for OnceCell<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> From<T> for OnceCell<T> {
    fn from(value: T) -> Self {
        Self {
            value: OnceLock::from(value),
            computing: Lock::new(()),
        }
    }
}

impl<T: fmt::Debug> fmt::Debug for OnceCell<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("OnceCell").field(&self.get()).finish()
    }
}
