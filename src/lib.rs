#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![forbid(unsafe_code)]

pub use loxley_runtime::{
    AsCompleted, Child, ChildOutput, ErrorGroup, Gather, GatherResults, IntoRace, IntoTask,
    IntoTasks, Race, ReturnWhen, Shield, TaskGroup, TaskGroupBuilder, TryGather, Wait, Waited,
    as_completed, gather, race, shield, staggered_race, task_group, try_gather, wait, wait_for,
};
pub use loxley_runtime::{
    Builder, CallGraph, ConcurrentFuture, EnterGuard, Handle, Interval, Metrics, MissedTicks,
    NotInRuntime, RunError, Runner, Runtime, ShutdownReport, Sleep, Task, TaskError, TaskRef,
    Timeout, TimeoutError, TimeoutHandle, TimeoutStateError, WaitError, WorkerMetrics, all_tasks,
    capture_call_graph, create_local_task, create_task, current_task, format_call_graph,
    format_task_tree, interval, interval_at, print_call_graph, run, run_coroutine_threadsafe,
    signal, sleep, sleep_until, task, testing, timeout, timeout_at, timeout_scope, to_thread,
    yield_now,
};
pub use loxley_sync::{
    Barrier, BoundedSemaphore, CancelledError, CatchCancelled, Condition, Context, ContextVar,
    Event, LifoQueue, Lock, LockGuard, Notify, OnceCell, OwnedLockGuard, OwnedPermit, Permit,
    PriorityQueue, Queue, ReadGuard, RwLock, Semaphore, Uncancellable, UpgradableGuard, WriteGuard,
    broadcast, catch_cancelled, checkpoint, context_var, copy_context, oneshot, queue,
    uncancellable, watch, with_cleanup,
};

#[cfg(feature = "stream")]
#[cfg_attr(docsrs, doc(cfg(feature = "stream")))]
pub use loxley_sync::stream;

/// The errors of locks, barriers and queues.
pub use loxley_sync::error;

/// What a leaf future may know about who runs it: the budget, and a place to say what it waits for.
pub use loxley_sync::ambient;

/// The floor on which I/O crates build.
pub use loxley_runtime::lowlevel;

#[cfg(feature = "macros")]
pub use loxley_macros::{main, test};

#[cfg(feature = "hyper")]
#[cfg_attr(docsrs, doc(cfg(feature = "hyper")))]
pub use loxley_io::http;
#[cfg(feature = "net")]
pub use loxley_io::net;
#[cfg(feature = "net")]
pub use loxley_io::net::{
    TcpListener, TcpStream, UdpSocket, UnixDatagram, UnixListener, UnixStream,
};
#[cfg(feature = "net")]
pub use loxley_io::{
    PipeReader, PipeWriter, Registered, SendfileError, Stderr, Stdin, Stdout, ToSocketAddrs, copy,
    copy_bidirectional, lookup_host, pipe, sendfile, splice, stderr, stdin, stdout,
};

/// Child processes.
#[cfg(feature = "process")]
#[cfg_attr(docsrs, doc(cfg(feature = "process")))]
pub use loxley_process as process;
#[cfg(feature = "process")]
pub use loxley_process::{create_subprocess_exec, create_subprocess_shell};

#[cfg(feature = "net")]
pub use loxley_io::streams;
#[cfg(feature = "net")]
pub use loxley_io::streams::{
    OpenConnection, Server, ServerBuilder, StreamReader, StreamWriter, open_connection,
    open_unix_connection, start_server, start_unix_server,
};
#[cfg(feature = "tls")]
#[cfg_attr(docsrs, doc(cfg(feature = "tls")))]
pub use loxley_io::tls;

#[cfg(all(any(doc, doctest), feature = "process", feature = "macros"))]
pub mod guide;
