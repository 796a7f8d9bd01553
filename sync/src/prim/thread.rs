//! Threads, parking and thread-locals.

#[cfg(loom)]
pub use loom::thread::{JoinHandle, ThreadId, spawn, yield_now};
#[cfg(loom)]
pub use parking::{Thread, current, park};
#[cfg(shuttle)]
pub use shuttle::thread::{JoinHandle, Thread, ThreadId, current, park, spawn, yield_now};
#[cfg(not(any(loom, shuttle)))]
pub use std::thread::{JoinHandle, Thread, ThreadId, current, park, spawn, yield_now};

use std::io;
use std::time::Duration;

/// Starts a thread with a name and a stack size in bytes. Models have neither, and never fail.
///
/// # Errors
///
/// What the operating system says when it will not give another thread.
pub fn spawn_named<F>(name: String, stack_size: Option<usize>, f: F) -> io::Result<JoinHandle<()>>
where
    F: FnOnce() + Send + 'static,
{
    #[cfg(any(loom, shuttle))]
    {
        let _ = (name, stack_size);
        Ok(spawn(f))
    }
    #[cfg(not(any(loom, shuttle)))]
    spawn_boxed(name, stack_size, Box::new(f))
}

/// Apart, so that what std makes of it is compiled once and not for every caller.
#[cfg(not(any(loom, shuttle)))]
fn spawn_boxed(
    name: String,
    stack_size: Option<usize>,
    f: Box<dyn FnOnce() + Send>,
) -> io::Result<JoinHandle<()>> {
    let mut builder = std::thread::Builder::new().name(name);
    if let Some(bytes) = stack_size {
        builder = builder.stack_size(bytes);
    }
    builder.spawn(f)
}

/// Parks for at most `limit`. Models have no time: there it is [`park`].
#[inline]
pub fn park_timeout(limit: Duration) {
    #[cfg(any(loom, shuttle))]
    {
        let _ = limit;
        park();
    }
    #[cfg(not(any(loom, shuttle)))]
    std::thread::park_timeout(limit);
}

/// Leaves the processor to others for a moment, to those of a lower priority, too. Models never call it.
#[cold]
pub fn nap() {
    std::thread::sleep(Duration::from_micros(50));
}

#[cfg(loom)]
#[doc(hidden)]
pub use loom::thread_local as loom_thread_local;

/// `std::thread_local!` in the one form we use; loom's own does not know `const`. All threads of a model share one thread
/// of the system, so a plain thread-local would be everybody's.
#[cfg(loom)]
#[doc(hidden)]
#[macro_export]
macro_rules! __loom_thread_local {
    ($(#[$attr:meta])* $vis:vis static $name:ident: $t:ty = const $init:block $(;)?) => {
        $crate::prim::thread::loom_thread_local! { $(#[$attr])* $vis static $name: $t = $init; }
    };
}
#[cfg(loom)]
pub use crate::__loom_thread_local as thread_local;
#[cfg(shuttle)]
pub use shuttle::thread_local;
#[cfg(not(any(loom, shuttle)))]
pub use std::thread_local;

/// Parking as std promises it. Loom's own loses the token of a thread that waits for a lock meanwhile, and wakes it there.
#[cfg(loom)]
mod parking {
    use loom::sync::{Arc, Condvar, Mutex};
    use loom::thread::ThreadId;

    #[derive(Clone, Debug)]
    pub struct Thread {
        id: ThreadId,
        token: Arc<(Mutex<bool>, Condvar)>,
    }

    loom::thread_local! {
        static CURRENT: Thread = Thread {
            id: loom::thread::current().id(),
            token: Arc::new((Mutex::new(false), Condvar::new())),
        };
    }

    pub fn current() -> Thread {
        CURRENT.with(Clone::clone)
    }

    pub fn park() {
        let this = current();
        let (token, changed) = &*this.token;
        let mut token = super::super::lock::unpoison(token.lock());
        while !*token {
            token = super::super::lock::unpoison(changed.wait(token));
        }
        *token = false;
    }

    impl Thread {
        pub fn id(&self) -> ThreadId {
            self.id
        }

        pub fn unpark(&self) {
            let (token, changed) = &*self.token;
            *super::super::lock::unpoison(token.lock()) = true;
            changed.notify_one();
        }
    }
}
