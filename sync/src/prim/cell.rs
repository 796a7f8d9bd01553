//! `UnsafeCell` reached through closures, so that loom can watch who touches it when.

/// A cell whose every access is one call of [`with`](Self::with) or [`with_mut`](Self::with_mut).
///
/// The pointer handed to the closure must not outlive it; dereferencing it is the caller's unsafe act.
#[derive(Debug)]
pub struct UnsafeCell<T: ?Sized> {
    #[cfg(loom)]
    inner: loom::cell::UnsafeCell<T>,
    #[cfg(not(loom))]
    inner: std::cell::UnsafeCell<T>,
}

impl<T> UnsafeCell<T> {
    #[cfg(not(loom))]
    pub const fn new(value: T) -> Self {
        Self {
            inner: std::cell::UnsafeCell::new(value),
        }
    }

    #[cfg(loom)]
    pub fn new(value: T) -> Self {
        Self {
            inner: loom::cell::UnsafeCell::new(value),
        }
    }
}

impl<T: Default> Default for UnsafeCell<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T> UnsafeCell<T> {
    pub fn into_inner(self) -> T {
        self.inner.into_inner()
    }
}

impl<T: ?Sized> UnsafeCell<T> {
    /// Calls `f` with a pointer for shared access.
    #[inline(always)]
    pub fn with<R>(&self, f: impl FnOnce(*const T) -> R) -> R {
        #[cfg(loom)]
        return self.inner.with(f);
        #[cfg(not(loom))]
        f(self.inner.get())
    }

    /// Calls `f` with a pointer for exclusive access.
    #[inline(always)]
    pub fn with_mut<R>(&self, f: impl FnOnce(*mut T) -> R) -> R {
        #[cfg(loom)]
        return self.inner.with_mut(f);
        #[cfg(not(loom))]
        f(self.inner.get())
    }
}

/// Lies in memory that is freed by hand, so that loom can see whether it was. Nothing in the other flavours.
#[derive(Debug)]
pub struct Tracked {
    #[cfg(loom)]
    _alive: loom::alloc::Track<()>,
}

impl Tracked {
    #[inline]
    #[must_use]
    #[allow(clippy::new_without_default, reason = "one is made on purpose")]
    pub fn new() -> Self {
        Self {
            #[cfg(loom)]
            _alive: loom::alloc::Track::new(()),
        }
    }
}
