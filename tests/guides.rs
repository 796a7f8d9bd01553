//! What the guides promise about themselves: that no name of asyncio is missing. Their code is compiled as doctests,
//! their links are resolved by rustdoc.

/// `asyncio.__all__` of Python 3.15 on Unix, and the hooks that `asyncio.tasks` and `asyncio.events` export.
const NAMES: &str = "
    run Runner Task create_task current_task all_tasks sleep ensure_future iscoroutine iscoroutinefunction isfuture
    timeout timeout_at Timeout wait_for TimeoutError TaskGroup
    gather shield wait as_completed FIRST_COMPLETED FIRST_EXCEPTION ALL_COMPLETED
    to_thread run_coroutine_threadsafe eager_task_factory create_eager_task_factory
    get_running_loop get_event_loop set_event_loop new_event_loop
    Lock Event Condition Semaphore BoundedSemaphore Barrier
    Queue PriorityQueue LifoQueue QueueEmpty QueueFull QueueShutDown
    open_connection open_unix_connection start_server start_unix_server StreamReader StreamWriter StreamReaderProtocol
    Server AbstractServer create_subprocess_exec create_subprocess_shell
    CancelledError InvalidStateError IncompleteReadError LimitOverrunError BrokenBarrierError SendfileNotAvailableError
    AbstractEventLoop BaseEventLoop SelectorEventLoop EventLoop Handle TimerHandle Future wrap_future
    BaseTransport ReadTransport WriteTransport Transport DatagramTransport SubprocessTransport
    BaseProtocol Protocol BufferedProtocol DatagramProtocol SubprocessProtocol
    get_event_loop_policy set_event_loop_policy
    capture_call_graph format_call_graph print_call_graph FutureCallGraph FrameCallGraphEntry
    future_add_to_awaited_by future_discard_from_awaited_by
    _register_task _unregister_task _enter_task _leave_task _get_running_loop _set_running_loop
";

#[test]
fn every_public_name_of_asyncio_has_a_row() {
    let guide = include_str!("../src/guide/from_asyncio.md");
    let names: Vec<_> = NAMES.split_whitespace().collect();
    assert_eq!(names.len(), 95);
    for name in names {
        let row = format!("| `{name}` |");
        let rows = guide.lines().filter(|line| line.starts_with(&row));
        assert_eq!(rows.count(), 1, "one row for {name}");
    }
}
