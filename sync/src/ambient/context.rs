//! Context variables: values that follow the work, not the thread. A task starts with a copy of its creator's context.
//!
//! Called by user code and, around each poll, by a runtime: [`swap_context`] puts a task's context where [`ContextVar`]
//! looks for it. Whoever never sets a variable has no context at all, and the swap moves a null pointer.
//!
//! A context is a handle to a map that is shared until it is written (copy on write). The map is a list: a program has as
//! many variables as it has `context_var!` lines, and a short list beats a tree.
//!
//! No user code runs and no value is dropped while a map is locked: values are cloned and dropped by their `Arc`.

use crate::prim::lock::Mutex;
use std::any::Any;
use std::cell::Cell;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as PollContext, Poll};

/// One set variable: its address, and what it holds.
#[derive(Clone)]
struct Entry {
    key: usize,
    value: Value,
}

type Value = Arc<dyn Any + Send + Sync>;

/// What every variable holds in one line of work.
///
/// A clone is the same context; [`copy`](Self::copy) makes another one with the same values, in constant time. A task that
/// is given a context with `task::Builder::context` uses it as it is: what it sets is seen by everybody who has it.
///
/// # Examples
///
/// ```
/// use loxley_sync::{Context, context_var};
///
/// context_var! { static USER: String }
///
/// let context = Context::new();
/// context.run(|| USER.set("alice".to_owned()));
/// assert_eq!(USER.get_in(&context).as_deref(), Some("alice"));
/// assert_eq!(USER.get(), None, "nothing leaks out");
/// ```
///
/// **Differs from asyncio**: one context may be entered twice, and on several threads at once; each `set` is atomic.
#[derive(Clone, Default)]
pub struct Context(Arc<Mutex<Arc<Vec<Entry>>>>);

impl Context {
    /// A context in which no variable is set.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_sync::{Context, context_var};
    /// context_var! { static USER: String }
    /// USER.set("outside".to_owned());
    /// assert_eq!(Context::new().run(|| USER.get()), None, "it starts with nothing");
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Another context with the same values. What is set in one of them later is not seen in the other.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_sync::{Context, context_var};
    /// context_var! { static DEPTH: u32 }
    /// let one = Context::new();
    /// one.run(|| DEPTH.set(1));
    /// let other = one.copy();
    /// other.run(|| DEPTH.set(2));
    /// assert_eq!((DEPTH.get_in(&one), DEPTH.get_in(&other)), (Some(1), Some(2)));
    /// ```
    #[must_use]
    pub fn copy(&self) -> Self {
        Self(Arc::new(Mutex::new(self.entries())))
    }

    /// Calls `f` with this as the current context.
    ///
    /// # Examples
    ///
    /// ```
    /// use loxley_sync::{context_var, copy_context};
    ///
    /// context_var! { static DEPTH: u32 }
    ///
    /// DEPTH.set(1);
    /// let copy = copy_context();
    /// copy.run(|| DEPTH.set(2));
    /// assert_eq!(DEPTH.get(), Some(1));
    /// assert_eq!(DEPTH.get_in(&copy), Some(2));
    /// ```
    pub fn run<R>(&self, f: impl FnOnce() -> R) -> R {
        run_in(Some(self.clone()), f)
    }

    /// Runs `future` with this as the current context, whatever the context of the task around it.
    ///
    /// # Cancel safety
    ///
    /// That of `future`, which is dropped with it, in this context too.
    ///
    /// # Examples
    ///
    /// ```
    /// use loxley_sync::{Context, context_var, wait};
    ///
    /// context_var! { static USER: String }
    ///
    /// let context = Context::new();
    /// wait::block_on(context.within(async { drop(USER.set("bob".to_owned())) }));
    /// assert_eq!(USER.get_in(&context).as_deref(), Some("bob"));
    /// ```
    pub fn within<F: Future>(&self, future: F) -> impl Future<Output = F::Output> + use<F> {
        Within {
            context: self.clone(),
            future: Some(Box::pin(future)),
        }
    }

    fn entries(&self) -> Arc<Vec<Entry>> {
        self.0.lock().clone()
    }

    fn value_of(&self, key: usize) -> Option<Value> {
        let entries = self.entries();
        let entry = entries.iter().find(|entry| entry.key == key)?;
        Some(entry.value.clone())
    }

    /// What stood there before.
    fn replace(&self, key: usize, value: Option<Value>) -> Option<Value> {
        let mut shared = self.0.lock();
        let entries = Arc::make_mut(&mut *shared);
        let place = entries.iter().position(|entry| entry.key == key);
        match (place, value) {
            (Some(place), Some(value)) => Some(std::mem::replace(&mut entries[place].value, value)),
            (Some(place), None) => Some(entries.swap_remove(place).value),
            (None, Some(value)) => {
                entries.push(Entry { key, value });
                None
            }
            (None, None) => None,
        }
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("variables", &self.entries().len())
            .finish()
    }
}

/// A copy of the current context.
///
/// # Examples
///
/// What happens in the copy stays there:
///
/// ```
/// use loxley_sync::{context_var, copy_context};
///
/// context_var! { static USER: String }
///
/// USER.set("ann".to_owned());
/// let copy = copy_context();
/// copy.run(|| drop(USER.set("bob".to_owned())));
/// assert_eq!(USER.get_in(&copy).as_deref(), Some("bob"));
/// assert_eq!(USER.get().as_deref(), Some("ann"));
/// ```
#[must_use]
pub fn copy_context() -> Context {
    inherit_context().unwrap_or_default()
}

/// A variable with a value for each line of work, made by [`context_var!`](crate::context_var).
///
/// A value set in a task is seen by the task, by what it awaits, and by the tasks, callbacks and `to_thread` closures that
/// it starts later; never by its creator or its siblings.
///
/// # Examples
///
/// ```
/// use loxley_sync::context_var;
///
/// context_var! {
///     /// Which request this work is for.
///     pub static REQUEST_ID: String;
/// }
///
/// assert_eq!(REQUEST_ID.get(), None);
/// let token = REQUEST_ID.set("r-17".to_owned());
/// assert_eq!(REQUEST_ID.get().as_deref(), Some("r-17"));
/// REQUEST_ID.reset(token);
/// assert_eq!(REQUEST_ID.get(), None);
/// ```
pub struct ContextVar<T> {
    name: &'static str,
    _value: PhantomData<fn(T) -> T>,
}

impl<T: Clone + Send + Sync + 'static> ContextVar<T> {
    /// For [`context_var!`](crate::context_var): a variable is known by its address.
    #[doc(hidden)]
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        Self {
            name,
            _value: PhantomData,
        }
    }

    /// The name it was declared with.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_sync::context_var;
    /// context_var! { static USER: String }
    /// assert_eq!(USER.name(), "USER");
    /// ```
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The value in the current context, if it is set there.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_sync::context_var;
    /// context_var! { static VERBOSE: bool }
    /// assert!(!VERBOSE.get().unwrap_or(false), "a default where it is read");
    /// VERBOSE.set(true);
    /// assert_eq!(VERBOSE.get(), Some(true));
    /// ```
    #[must_use]
    pub fn get(&'static self) -> Option<T> {
        let value = with_current(|context| context?.value_of(self.key()))?;
        self.read(&value)
    }

    /// The value in `context`, if it is set there.
    ///
    /// # Examples
    ///
    /// What work that has ended left behind:
    ///
    /// ```
    /// # use loxley_sync::{Context, context_var};
    /// context_var! { static QUERIES: u32 }
    /// let request = Context::new();
    /// request.run(|| QUERIES.set(3));
    /// assert_eq!(QUERIES.get_in(&request), Some(3));
    /// ```
    #[must_use]
    pub fn get_in(&'static self, context: &Context) -> Option<T> {
        self.read(&context.value_of(self.key())?)
    }

    /// Sets the value in the current context; the token brings the old one back.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_sync::context_var;
    /// context_var! { static USER: &'static str }
    /// USER.set("alice");
    /// let before = USER.set("bob");
    /// assert_eq!((before.old_value(), USER.get()), (Some("alice"), Some("bob")));
    /// ```
    pub fn set(&'static self, value: T) -> Token<T> {
        let context = current_or_new();
        let before = context.replace(self.key(), Some(Arc::new(value)));
        Token {
            var: self,
            before,
            context,
        }
    }

    /// Brings back what stood before the [`set`](Self::set) that gave `token`.
    ///
    /// # Panics
    ///
    /// At the caller's line, if `token` belongs to another variable or was made in another context.
    ///
    /// # Examples
    ///
    /// For a stretch of code, and not beyond:
    ///
    /// ```
    /// # use loxley_sync::context_var;
    /// context_var! { static INDENT: usize }
    /// let before = INDENT.set(2);
    /// assert_eq!(INDENT.get(), Some(2));
    /// INDENT.reset(before);
    /// assert_eq!(INDENT.get(), None);
    /// ```
    #[track_caller]
    pub fn reset(&'static self, token: Token<T>) {
        assert!(
            token.var.key() == self.key(),
            "the token of `{}` cannot reset `{}`: give it to the variable that made it",
            token.var.name,
            self.name
        );
        assert!(
            with_current(
                |context| context.is_some_and(|context| Arc::ptr_eq(&context.0, &token.context.0))
            ),
            "the token of `{}` was made in another context: reset it in the task, or the `Context::run`, that set it",
            self.name
        );
        let now = token.context.replace(self.key(), token.before);
        drop(now);
    }

    fn key(&'static self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    /// Clones the value, with no lock held.
    fn read(&self, value: &Value) -> Option<T> {
        let value = value.downcast_ref::<T>();
        debug_assert!(value.is_some(), "one address, one variable, one type");
        value.cloned()
    }
}

impl<T> fmt::Debug for ContextVar<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ContextVar").field(&self.name).finish()
    }
}

/// The way back from one [`ContextVar::set`]. Dropped, the new value stays.
///
/// # Examples
///
/// ```
/// # use loxley_sync::context_var;
/// context_var! { static USER: &'static str }
/// let outer = USER.set("alice");
/// let inner = USER.set("bob");
/// USER.reset(inner);
/// assert_eq!(USER.get(), Some("alice"));
/// USER.reset(outer);
/// assert_eq!(USER.get(), None);
/// ```
pub struct Token<T: 'static> {
    var: &'static ContextVar<T>,
    before: Option<Value>,
    context: Context,
}

impl<T: Clone + Send + Sync + 'static> Token<T> {
    /// What stood there before, if anything did.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_sync::context_var;
    /// context_var! { static DEPTH: u32 }
    /// DEPTH.set(1);
    /// let token = DEPTH.set(2);
    /// assert_eq!(token.old_value(), Some(1));
    /// ```
    #[must_use]
    pub fn old_value(&self) -> Option<T> {
        self.var.read(self.before.as_ref()?)
    }
}

impl<T> fmt::Debug for Token<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Token").field(&self.var).finish()
    }
}

/// Declares [context variables](crate::ContextVar): `context_var! { pub static REQUEST_ID: String }`.
///
/// # Examples
///
/// ```
/// loxley_sync::context_var! {
///     static USER: String;
///     pub static DEPTH: u32;
/// }
/// assert_eq!(USER.name(), "USER");
/// assert_eq!(DEPTH.get(), None);
/// ```
#[doc(alias = "task_local")]
#[macro_export]
macro_rules! context_var {
    ($($(#[$attribute:meta])* $visibility:vis static $name:ident: $type:ty);+ $(;)?) => {
        $(
            $(#[$attribute])*
            $visibility static $name: $crate::ContextVar<$type> =
                $crate::ContextVar::new(::core::stringify!($name));
        )+
    };
}

crate::prim::thread::thread_local! {
    /// Without drop glue, so that reading it never asks whether it still stands; `AT_EXIT` empties it.
    static CURRENT: Cell<ManuallyDrop<Option<Context>>> = const { Cell::new(ManuallyDrop::new(None)) };
}

crate::prim::thread::thread_local! {
    static AT_EXIT: AtExit = const { AtExit };
}

/// Drops what a thread has set outside every task and every `Context::run`.
struct AtExit;

impl Drop for AtExit {
    fn drop(&mut self) {
        if let Ok(context) = CURRENT.try_with(Cell::take) {
            drop(ManuallyDrop::into_inner(context));
        }
    }
}

/// Makes `context` the current one of this thread and returns the one that was. For whoever polls tasks.
///
/// # Examples
///
/// An executor of one's own gives each poll the context of its task:
///
/// ```
/// # use loxley_sync::{Context, ambient::swap_context, context_var};
/// context_var! { static USER: &'static str }
/// let task = Context::new();
/// task.run(|| USER.set("alice"));
/// let outer = swap_context(Some(task));
/// assert_eq!(USER.get(), Some("alice")); // Here the task is polled.
/// swap_context(outer);
/// assert_eq!(USER.get(), None);
/// ```
#[inline]
#[must_use = "it must be put back"]
pub fn swap_context(context: Option<Context>) -> Option<Context> {
    ManuallyDrop::into_inner(CURRENT.with(|current| current.replace(ManuallyDrop::new(context))))
}

/// Calls `f` with `context` as the current one, or with none.
///
/// # Examples
///
/// ```
/// # use loxley_sync::{ambient::run_in, context_var};
/// context_var! { static USER: &'static str }
/// USER.set("alice");
/// assert_eq!(run_in(None, || USER.get()), None);
/// assert_eq!(USER.get(), Some("alice"));
/// ```
pub fn run_in<R>(context: Option<Context>, f: impl FnOnce() -> R) -> R {
    let _outer = Entered(Some(swap_context(context)));
    f()
}

/// What a task made here starts with: a copy of the current context, or none if there is none.
///
/// # Examples
///
/// ```
/// # use loxley_sync::{ambient::{inherit_context, run_in}, context_var};
/// context_var! { static USER: &'static str }
/// USER.set("alice");
/// let child = inherit_context();
/// run_in(child, || {
///     assert_eq!(USER.get(), Some("alice"));
///     USER.set("bob");
/// });
/// assert_eq!(USER.get(), Some("alice"), "what a child sets is its own");
/// ```
#[inline]
#[must_use]
pub fn inherit_context() -> Option<Context> {
    with_current(|context| context.map(Context::copy))
}

/// `f` must not run user code: the current context is out of its place meanwhile.
#[inline]
fn with_current<R>(f: impl FnOnce(Option<&Context>) -> R) -> R {
    CURRENT.with(|current| {
        let context = current.take();
        let result = f(context.as_ref());
        current.set(context);
        result
    })
}

/// The current context; made, and made current, if there was none.
fn current_or_new() -> Context {
    if let Some(context) = with_current(|context| context.cloned()) {
        return context;
    }
    // On a thread that is going away the value is leaked with the context.
    let _ = AT_EXIT.try_with(|_| ());
    let fresh = Context::new();
    let none = swap_context(Some(fresh.clone()));
    drop(none);
    fresh
}

/// Dropped, the outer context is back.
struct Entered(Option<Option<Context>>);

impl Drop for Entered {
    fn drop(&mut self) {
        if let Some(outer) = self.0.take() {
            drop(swap_context(outer));
        }
    }
}

/// See [`Context::within`].
struct Within<F> {
    context: Context,
    /// Taken by drop alone.
    future: Option<Pin<Box<F>>>,
}

impl<F: Future> Future for Within<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut PollContext<'_>) -> Poll<F::Output> {
        let Self { context, future } = &mut *self;
        context.run(|| match future {
            Some(future) => future.as_mut().poll(cx),
            None => Poll::Pending,
        })
    }
}

impl<F> Drop for Within<F> {
    /// The future goes in its context too.
    fn drop(&mut self) {
        let Self { context, future } = self;
        context.run(|| drop(future.take()));
    }
}
