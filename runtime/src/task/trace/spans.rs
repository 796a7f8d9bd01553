//! With the feature: one span per task, entered around each poll, and an event for whatever happens to a waker of it.

use super::WakerOp;
use crate::payload::contain;
use crate::task::cell::Header;
use loxley_sync::prim::atomic::{AtomicU64, Ordering};
use loxley_sync::prim::lock::Mutex;
use tracing::Span;
use tracing::span::EnteredSpan;

/// A task's span, from its first poll to its end.
pub(in crate::task) struct Trace {
    /// Out of its place while the task is polled.
    span: Mutex<Option<Span>>,
    /// The span's number, by which events of wakers name the task; 0 while nobody listens.
    id: AtomicU64,
}

impl Trace {
    pub(in crate::task) const fn new() -> Self {
        Self {
            span: Mutex::new(None),
            id: AtomicU64::new(0),
        }
    }

    /// Enters the task's span for one poll; the first one makes it. The future has `size` bytes.
    pub(in crate::task) fn enter(task: &Header, size: usize) -> Entered<'_> {
        let span = task.trace.span.lock().take();
        let span = span.unwrap_or_else(|| task.trace.begin(task, size));
        Entered {
            trace: &task.trace,
            span: Some(span.entered()),
        }
    }

    #[cold]
    fn begin(&self, task: &Header, size: usize) -> Span {
        let name = task.cold.get().and_then(|cold| cold.name.lock().clone());
        let at = task.spawned_at;
        let span = tracing::trace_span!(
            target: "runtime::task",
            parent: None,
            "runtime.spawn",
            kind = "task",
            task.name = name.as_deref(),
            task.id = task.id.get(),
            size.bytes = size,
            loc.file = at.file(),
            loc.line = at.line(),
            loc.col = at.column(),
        );
        let id = span.id().map_or(0, |id| id.into_u64());
        // ordering: relaxed, a number to name the task by; nothing is reached through it.
        self.id.store(id, Ordering::Relaxed);
        span
    }

    pub(in crate::task) fn waker(&self, op: WakerOp) {
        // ordering: relaxed, as in `begin`.
        let id = self.id.load(Ordering::Relaxed);
        if id == 0 {
            return;
        }
        let op = match op {
            WakerOp::Clone => "waker.clone",
            WakerOp::Wake => "waker.wake",
            WakerOp::WakeByRef => "waker.wake_by_ref",
            WakerOp::Drop => "waker.drop",
        };
        tracing::trace!(target: "runtime::waker", op, task.id = id);
    }

    /// The task has ended: its span is closed, and wakers that are left speak of nothing.
    pub(in crate::task) fn end(&self) {
        // ordering: relaxed, as in `begin`.
        self.id.store(0, Ordering::Relaxed);
        let span = self.span.lock().take();
        // The subscriber's code runs here, not under the lock; its panic is not the worker's.
        contain(|| drop(span));
    }
}

/// While it lives, the task's span is the current one of this thread.
pub(in crate::task) struct Entered<'a> {
    trace: &'a Trace,
    span: Option<EnteredSpan>,
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        let span = self.span.take().map(EnteredSpan::exit);
        *self.trace.span.lock() = span;
    }
}
