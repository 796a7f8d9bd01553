//! What the guides promise about themselves: that no name of asyncio is missing. Their code is compiled as doctests,
//! their links are resolved by rustdoc.

#[path = "support/tables.rs"]
mod tables;

use std::collections::HashSet;

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

/// The names in the first column of a row of a guide's table whose second column begins with something that there is.
fn names_with_a_counterpart(row: &'static str) -> Vec<&'static str> {
    let mut columns = row.split(" | ");
    let (Some(names), Some(counterpart)) = (columns.next(), columns.next()) else {
        return Vec::new();
    };
    if !names.starts_with("| `")
        || ["none", "not yet"]
            .iter()
            .any(|no| counterpart.starts_with(no))
    {
        return Vec::new();
    }
    let spans = names.split('`').skip(1).step_by(2);
    let word = |span: &'static str| {
        let path = span.split('(').next()?;
        let name = path.rsplit(['.', ':']).next()?;
        Some(name.trim_matches(|c: char| !(c.is_alphanumeric() || c == '_')))
    };
    spans.filter_map(word).collect()
}

/// A search of the documentation finds items by their names and by their aliases.
#[test]
fn a_search_for_a_name_of_asyncio_or_tokio_finds_its_counterpart() {
    let mut known = HashSet::new();
    for folder in [
        "sync/src",
        "runtime/src",
        "io/src",
        "process/src",
        "macros/src",
    ] {
        for file in tables::sources(folder) {
            for line in tables::read(file).lines().map(str::trim) {
                if let Some(alias) = line.strip_prefix("#[doc(alias = \"") {
                    known.extend(alias.split('"').next().map(str::to_owned));
                } else if line.starts_with("pub ") || line.starts_with("macro_rules!") {
                    let words = line.split(|c: char| !(c.is_alphanumeric() || c == '_'));
                    known.extend(words.map(str::to_owned));
                }
            }
        }
    }
    // Made by macros, one of several names of one row, or no name of an item.
    let elsewhere = [
        "ContextVar",
        "Queue",
        "LifoQueue",
        "PriorityQueue",
        "stop",
        "hyper-util",
    ];
    let of_asyncio = include_str!("../src/guide/from_asyncio.md").lines();
    let of_tokio = include_str!("../src/guide/from_tokio.md").lines();
    let names = of_asyncio
        .chain(of_tokio)
        .flat_map(names_with_a_counterpart);
    let names: Vec<_> = names.filter(|name| !elsewhere.contains(name)).collect();
    assert!(names.len() > 160, "only {} names", names.len());
    let lost = names.iter().filter(|name| !known.contains(**name));
    let lost: Vec<_> = lost.collect();
    assert!(
        lost.is_empty(),
        "give them as `#[doc(alias = …)]`: {lost:?}"
    );
}

/// The README, which is the crate's front page.
const README: &str = include_str!("../README.md");

/// The first block of code after `marker`, without its fences.
fn code_after(marker: &str) -> &'static str {
    let (_, rest) = README.split_once(marker).expect("the marker is there");
    let (_, block) = rest.split_once("\n```rust").expect("a block begins");
    let (_, block) = block.split_once('\n').expect("it has lines");
    block.split_once("```").expect("it ends").0
}

#[test]
fn the_servers_on_the_front_page_are_as_short_as_promised() {
    let code_lines = |code: &str| code.lines().filter(|line| !line.is_empty()).count();
    assert_eq!(code_lines(code_after("An echo server:")), 12);
    assert_eq!(code_lines(code_after("with feature `hyper`:")), 6);
}

#[test]
fn the_http_server_on_the_front_page_is_an_example_that_compiles() {
    let example = include_str!("../examples/hello_http.rs");
    let (_, code) = example.split_once("\n\n").expect("a head and code");
    assert_eq!(code_after("with feature `hyper`:"), code);
}

#[test]
fn files_that_documents_link_to_exist() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    for document in [
        "README.md",
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
        "CHANGELOG.md",
    ] {
        let text = std::fs::read_to_string(root.join(document)).expect("it is there");
        for link in text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next())
        {
            let is_file = !link.contains("://") && !link.starts_with('#') && !link.contains(' ');
            let file = link.split('#').next().unwrap_or(link);
            assert!(
                !is_file || root.join(file).exists(),
                "{document} links to {link}"
            );
        }
    }
}
