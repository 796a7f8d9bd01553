//! The place of local tasks: the thread that is in `block_on`, for as long as it is.

use super::shared::Shared;
use crate::current;
use crate::payload::contain;
use crate::task::{Locals, Site, Task, TaskRef, waker_of};
use std::cell::RefCell;
use std::future::Future;
use std::mem::ManuallyDrop;
use std::panic::Location;
use std::sync::Arc;
use std::task::Waker;

loxley_sync::prim::thread::thread_local! {
    /// Without drop glue: a thread-local of the user's may call `block_on` when its thread ends. `close` empties it.
    static HERE: ManuallyDrop<RefCell<Option<Here>>> = const { ManuallyDrop::new(RefCell::new(None)) };
}

/// What a thread in `block_on` knows of its local tasks.
struct Here {
    shared: Arc<Shared>,
    /// How to wake the main task.
    owner: Waker,
    /// Made with the first local task.
    locals: Option<Arc<Locals<Shared>>>,
}

/// This thread, in `block_on` of a runtime.
pub(super) struct LocalSite;

impl LocalSite {
    /// From now on, until the future of the main task is dropped, local tasks may be made.
    pub(super) fn open(shared: &Arc<Shared>, main: &TaskRef) {
        let here = Here {
            shared: shared.clone(),
            owner: waker_of(main),
            locals: None,
        };
        drop(HERE.with(|place| place.replace(Some(here))));
    }
}

fn locals() -> Option<Arc<Locals<Shared>>> {
    HERE.with(|here| here.borrow().as_ref()?.locals.clone())
}

impl Site for LocalSite {
    fn run_queued(&self) -> bool {
        locals().is_some_and(|locals| locals.run_queued())
    }

    fn close(&self) {
        if let Some(locals) = locals() {
            locals.close();
        }
        drop(HERE.with(|here| here.take()));
    }
}

/// Makes a local task; gives the future back where there is no place for one.
pub(crate) fn create_local<F: Future + 'static>(
    future: F,
    at: &'static Location<'static>,
) -> Result<Task<F::Output>, F> {
    let found = HERE.with(|here| {
        let mut here = here.borrow_mut();
        let Here {
            shared,
            owner,
            locals,
        } = here.as_mut()?;
        let locals = locals.get_or_insert_with(|| Locals::new(shared.clone(), owner.clone()));
        Some((shared.clone(), locals.clone()))
    });
    let Some((shared, locals)) = found.filter(|(shared, _)| current::polls_for(shared)) else {
        return Err(future);
    };
    let id = shared.foreign.lock().ids.next();
    Ok(locals.create(future, id, at, |task| {
        if let Some(hook) = &shared.config.on_task_spawn {
            let task_ref = task.as_ref();
            contain(|| hook(&task_ref));
        }
        shared.admit_main(task)
    }))
}
