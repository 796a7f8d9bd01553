//! Every example of asyncio's documentation, run as its reader runs it, and what it prints.
//!
//! `*` stands for any text within a line: a date, a port, a random number. Programs that wait run on a paused clock and say
//! how long they took by it; those about threads and children run on the real one and must not be *faster*.
//!
//! | example | why it is not here |
//! |---|---|
//! | 62, a policy; 63, a selector | there is no policy, and the system's poller is the only one |
//! | 65, a coroutine that was never awaited | the compiler says so: `tests/ui/forgotten_await.rs` |
#![cfg(all(feature = "process", feature = "macros"))]

mod programs;

use loxley::{StreamReader, StreamWriter, gather, signal, start_server, with_cleanup};
use programs::Program;

/// Name; how it runs and how many milliseconds it takes; what it prints.
type Case = (&'static str, Time, &'static str);

enum Time {
    /// On the paused clock, exactly, but for what rounding adds.
    Paused(u64),
    /// On the real clock, at least. Programs that run themselves do not say it.
    Real(u64),
}
use Time::{Paused, Real};

const CASES: &[Case] = &[
    ("hello", Paused(1000), "Hello ...\n... World!\n"),
    ("repl", Paused(10_000), "\"hello\"\n"),
    ("hello_coroutine", Paused(1000), "hello\nworld\n"),
    (
        "say_after_sequential",
        Paused(3000),
        "started at *:*:*\nhello\nworld\nfinished at *:*:*\n",
    ),
    (
        "say_after_with_tasks",
        Paused(2000),
        "started at *:*:*\nhello\nworld\nfinished at *:*:*\n",
    ),
    (
        "say_after_with_group",
        Paused(2000),
        "started at *:*:*\nhello\nworld\nfinished at *:*:*\n",
    ),
    ("nested_awaited", Paused(0), "42\n"),
    ("nested_as_a_task", Paused(0), ""),
    ("awaiting_futures", Paused(0), "given, computed\n"),
    (
        "background_tasks",
        Paused(1000),
        "10 tasks in the background\n0 tasks in the background\n",
    ),
    (
        "group_results",
        Paused(0),
        "Both tasks have completed now: R1, R2\n",
    ),
    ("terminate_group_by_error", Paused(1000), JOBS),
    ("terminate_group_by_cancel", Paused(1000), JOBS),
    (
        "display_date",
        Paused(4000),
        "*-*-* *:*:*\n*-*-* *:*:*\n*-*-* *:*:*\n*-*-* *:*:*\n*-*-* *:*:*\n",
    ),
    (
        "gather_factorial",
        Paused(3000),
        "Task A: Compute factorial(2), currently i=2...\n\
         Task B: Compute factorial(3), currently i=2...\n\
         Task C: Compute factorial(4), currently i=2...\n\
         Task A: factorial(2) = 2\n\
         Task B: Compute factorial(3), currently i=3...\n\
         Task C: Compute factorial(4), currently i=3...\n\
         Task B: factorial(3) = 6\n\
         Task C: Compute factorial(4), currently i=4...\n\
         Task C: factorial(4) = 24\n\
         [2, 6, 24]\n",
    ),
    (
        "shielded",
        Paused(1000),
        "result: None\nsomething is done\nbehind the shield: 7\n",
    ),
    ("timeout_block", Paused(10_000), TIMED_OUT),
    (
        "timeout_rescheduled",
        Paused(10_000),
        "Looks like we haven't finished on time.\n",
    ),
    ("timeout_at_deadline", Paused(20_000), TIMED_OUT),
    ("wait_for_eternity", Paused(1000), "timeout!\n"),
    ("wait_for_all", Paused(2500), "2 done, 1 pending\n"),
    (
        "as_completed_by_identity",
        Paused(0),
        "IPv6 connection established.\nIPv4 connection established.\n",
    ),
    ("as_completed_plain", Paused(0), "hi\nhi\n"),
    (
        "blocking_io",
        Real(1000),
        "started main at *:*:*\nstart blocking_io at *:*:*\nblocking_io complete at *:*:*\nfinished main at *:*:*\n",
    ),
    ("threadsafe_from_a_thread", Real(0), "3\n"),
    ("loop_in_thread", Real(0), "3\nthe loop has stopped\n"),
    (
        "threadsafe_result",
        Real(0),
        "The coroutine took too long, cancelling the task...\n\
         The coroutine raised an exception: task panicked: out of paper\n\
         The coroutine returned: 42\n",
    ),
    (
        "cancel_me",
        Paused(1000),
        "cancel_me(): before sleep\ncancel_me(): cancel sleep\ncancel_me(): after sleep\n\
         main(): cancel_me is cancelled now\n",
    ),
    (
        "request_with_timeout",
        Paused(2000),
        "There was a timeout\nrequests left: 0\nunrelated code runs\n",
    ),
    ("run_hello", Real(0), "hello\n"),
    ("runner_hello", Real(0), "hello\n"),
    ("register_socket", Paused(10), "Received: abc\n"),
    (
        "lock_condition_semaphore",
        Paused(0),
        "lock: 2\ncondition: true\nsemaphore: 9 left\nsemaphore: 10 left\n",
    ),
    (
        "event_waiter",
        Paused(1000),
        "waiting for it ...\n... got it!\n",
    ),
    (
        "barrier_states",
        Paused(0),
        "Barrier { parties: 3, n_waiting: 2, * }\nBarrier { parties: 3, n_waiting: 0, * }\n\
         barrier passed\nBarrier { parties: 3, n_waiting: 0, * }\n",
    ),
    ("barrier_position", Paused(0), "End of *draining phase*\n"),
    ("run_ls", Real(0), LS_FAILED),
    (
        "run_two",
        Real(1000),
        "['ls /zzz' exited with *]\n[stderr]\n*/zzz*\n['sleep 1; echo \"hello\"' exited with 0]\n[stdout]\nhello\n",
    ),
    ("get_date", Real(0), "Current date: *-*-* *:*:*\n"),
    ("hello_world_callback", Real(0), "Hello World\n"),
    (
        "display_date_callback",
        Paused(4000),
        "*-*-* *:*:*\n*-*-* *:*:*\n*-*-* *:*:*\n*-*-* *:*:*\n*-*-* *:*:*\n",
    ),
    ("watch_descriptor", Paused(10), "Received: abc\n"),
    (
        "run_in_executor",
        Real(0),
        "default thread pool *\ncustom thread pool *\ncompute pool *\nown thread *\n",
    ),
    ("server_as_a_block", Real(0), "HELLO\nserving: false\n"),
    ("loop_factory", Real(0), "hello\n"),
    (
        "run_forever_and_close",
        Real(0),
        "generators shut down\nrun: stopped\nclosed: true\n",
    ),
    ("call_with_partial", Paused(0), "Hello\n"),
    ("set_after", Paused(1000), "hello ...\n... world\n"),
    (
        "done_callback",
        Paused(0),
        "Future: TaskRef { * finished: true }\n",
    ),
    ("existing_socket", Paused(10), "Received: abc\n"),
    ("subprocess_date", Real(0), "Current date: *-*-* *:*:*\n"),
    ("extra_info_socket", Real(0), "SocketType(*)\n"),
    ("cancel_from_a_thread", Real(0), "is cancelled: true\n42\n"),
    ("never_retrieved", Paused(1000), "the program goes on\n"),
    (
        "awaited_by",
        Paused(0),
        "\
* Task(name='test', id=*)
  + Call stack:
  |   running
  |   File '*graph.rs', line *, created
  + Awaited by:
    * Task(name='*', id=*)
      + Call stack:
      |   File '*graph.rs', line *, waiting (Task)
      |   File '*', line *, created
",
    ),
    (
        "music_player",
        Paused(5000),
        "\
└── (T) *: running
    ├── (T) Greenwood: File '*graph.rs', line *, waiting (Task)
    │   ├── (T) Oak: File '*graph.rs', line *, waiting (Timer)
    │   └── (T) Ash: File '*graph.rs', line *, waiting (Timer)
    └── (T) Longbow: File '*graph.rs', line *, waiting (Task)
        ├── (T) Yew: File '*graph.rs', line *, waiting (Timer)
        └── (T) Elm: File '*graph.rs', line *, waiting (Timer)
",
    ),
    (
        "without_a_loop_of_its_own",
        Real(0),
        "a task runs\nwaited until told to stop: true\n1 true\n",
    ),
    (
        "coroutine_order",
        Paused(0),
        "I am coro_a(). Hi!\nI am coro_a(). Hi!\nI am coro_a(). Hi!\n\
         I am coro_b(). I sure hope no one hogs the event loop...\n\n\
         I am coro_b(). I sure hope no one hogs the event loop...\n\
         I am coro_a(). Hi!\nI am coro_a(). Hi!\nI am coro_a(). Hi!\n",
    ),
    (
        "sleep_with_a_watcher",
        Paused(3000),
        "Beginning asynchronous sleep at time: *:*:*.\n\
         I like work. Work work.\nI like work. Work work.\nI like work. Work work.\n\
         Done asynchronous sleep at time: *:*:*.\n",
    ),
    (
        "rock",
        Real(0),
        "Beginning coroutine main().\nAwaiting rock...\n\
         Coroutine paused and returned intermediate value: 7.\n\
         Resuming coroutine and sending in value: 42.\n\
         Rock.__await__ resuming with value: 42.\n\
         Coroutine received value: 42 from rock.\n\
         Coroutine main() finished and provided value: 23.\n",
    ),
];

const JOBS: &str = "Task 1: start\nTask 2: start\nTask 1: done\n";
const LS_FAILED: &str = "['ls /zzz' exited with *]\n[stderr]\n*/zzz*\n";
const TIMED_OUT: &str =
    "The long operation timed out, but we've handled it.\nThis statement will run regardless.\n";

/// How much later than by the paused clock a program may end: ticks are rounded up.
const ROUNDING_MS: u64 = 50;

#[test]
fn each_prints_what_its_original_prints() {
    programs::run(async {
        let all = CASES
            .iter()
            .map(|(name, time, expected)| check(name, time, expected));
        let findings: Vec<Option<String>> = gather(all).await.expect("none panics");
        let findings: Vec<_> = findings.into_iter().flatten().collect();
        assert!(findings.is_empty(), "{}", findings.join("\n"));
    });
}

async fn check(name: &'static str, time: &'static Time, expected: &'static str) -> Option<String> {
    let arguments: &[&str] = match time {
        Paused(_) => &["--paused", name],
        Real(_) => &[name],
    };
    let ended = Program::start("asyncio", arguments).await.ended().await;
    let took = ended.stderr.lines().find_map(|line| {
        let number = line.strip_prefix("took ")?.strip_suffix(" ms")?;
        number.parse::<u64>().ok()
    });
    let is_in_time = match (time, took) {
        (Paused(due), Some(took)) => (*due..=due + ROUNDING_MS).contains(&took),
        (Real(least), Some(took)) => took >= *least,
        (Paused(_), None) => false,
        (Real(_), None) => true,
    };
    let is_right = ended.code == 0 && is_in_time && matches(expected, &ended.stdout);
    (!is_right).then(|| format!("{name}, which should print\n{expected}\n{ended:#?}\n"))
}

/// Whether `text` has the lines of `pattern`, in which `*` stands for anything.
fn matches(pattern: &str, text: &str) -> bool {
    let is_alike = |(pattern, line): (&str, &str)| {
        let mut pieces = pattern.split('*');
        let Some(mut rest) = pieces.next().and_then(|first| line.strip_prefix(first)) else {
            return false;
        };
        let mut last = "";
        for piece in pieces {
            let Some(at) = rest.find(piece) else {
                return false;
            };
            rest = &rest[at + piece.len()..];
            last = piece;
        }
        rest.is_empty() || (pattern.contains('*') && last.is_empty())
    };
    pattern.lines().count() == text.lines().count()
        && pattern.lines().zip(text.lines()).all(is_alike)
}

#[test]
fn every_example_is_run_by_a_test() {
    programs::run(async {
        let apart = [
            "echo_client",
            "echo_server",
            "http_headers",
            "queue_workers",
            "signal_handlers",
            "tcp_echo_client",
            "tcp_echo_server",
            "udp_echo_client",
            "udp_echo_server",
        ];
        let list = Program::start("asyncio", &["--list"])
            .await
            .ended()
            .await
            .stdout;
        for line in list.lines() {
            let (_, name) = line.split_once(' ').expect("a number and a name");
            assert!(
                apart.contains(&name) || CASES.iter().any(|(known, ..)| *known == name),
                "nothing runs {name}"
            );
        }
        assert_eq!(list.lines().count(), apart.len() + CASES.len());
    });
}

#[test]
fn a_task_that_fails_unseen_is_reported_with_its_place() {
    programs::run(async {
        let ended = Program::start("asyncio", &["never_retrieved"])
            .await
            .ended()
            .await;
        let place = "spawned at examples/asyncio/runner.rs:";
        assert!(
            ended.stderr.contains(place) && ended.stderr.contains("nobody awaits it: not consumed"),
            "{ended:#?}"
        );
    });
}

#[test]
fn three_workers_share_twenty_jobs() {
    programs::run(async {
        let ended = Program::start("asyncio", &["--paused", "queue_workers"])
            .await
            .ended()
            .await;
        let lines: Vec<_> = ended.stdout.lines().collect();
        let (jobs, summary) = lines.split_at(20);
        for job in jobs {
            assert!(matches("worker-* has slept for * seconds", job), "{job}");
        }
        let [line, slept, total] = summary else {
            panic!("{ended:#?}");
        };
        let number = |text: &str| {
            text.split(' ')
                .rev()
                .nth(1)
                .and_then(|word| word.parse::<f64>().ok())
        };
        let (slept, total) = (
            number(slept).expect("a number"),
            number(total).expect("a number"),
        );
        assert_eq!(*line, "====");
        // No worker rests while there are jobs: only the last second may be unshared.
        assert!(
            slept + 0.02 >= total / 3.0 && slept <= total / 3.0 + 1.0,
            "{slept} of {total}"
        );
    });
}

#[test]
fn an_echo_server_and_its_client_talk() {
    programs::run(async {
        let mut server = Program::start("asyncio", &["echo_server", "127.0.0.1:0"]).await;
        let addr = server.line_after("Serving on ").await;
        let client = Program::start("asyncio", &["echo_client", &addr])
            .await
            .ended()
            .await;
        assert_eq!(
            client.stdout,
            "Send: 'Hello World!'\nReceived: 'Hello World!'\nClose the connection\n"
        );
        server
            .line_after("Received 'Hello World!' from 127.0.0.1:")
            .await;
        assert_eq!(server.line().await, "Send: 'Hello World!'");
        assert_eq!(server.line().await, "Close the connection");
        server.signal(signal::SIGINT);
        assert_eq!(server.ended().await.code, -signal::SIGINT);
    });
}

#[test]
fn the_echo_protocols_talk() {
    programs::run(async {
        let mut server = Program::start("asyncio", &["tcp_echo_server", "127.0.0.1:0"]).await;
        let addr = server.line_after("Serving on ").await;
        let client = Program::start("asyncio", &["tcp_echo_client", &addr])
            .await
            .ended()
            .await;
        assert_eq!(
            client.stdout,
            "Data sent: 'Hello World!'\nData received: 'Hello World!'\nThe server closed the connection\n"
        );
        server.line_after("Connection from 127.0.0.1:").await;
        assert_eq!(server.line().await, "Data received: 'Hello World!'");
        assert_eq!(server.line().await, "Send: 'Hello World!'");
        assert_eq!(server.line().await, "Close the client socket");

        let mut server = Program::start("asyncio", &["udp_echo_server", "127.0.0.1:0"]).await;
        assert_eq!(server.line().await, "Starting UDP server");
        let addr = server.line_after("Serving on ").await;
        let client = Program::start("asyncio", &["udp_echo_client", &addr])
            .await
            .ended()
            .await;
        assert_eq!(
            client.stdout,
            "Send: Hello World!\nReceived: Hello World!\nClose the socket\nConnection closed\n"
        );
        server
            .line_after("Received 'Hello World!' from 127.0.0.1:")
            .await;
        server.line_after("Send 'Hello World!' to 127.0.0.1:").await;
    });
}

async fn page(mut reader: StreamReader, writer: StreamWriter) -> std::io::Result<()> {
    let request = reader.readuntil("\r\n\r\n").await?;
    let request = String::from_utf8_lossy(&request).into_owned();
    let rest = request.strip_prefix("HEAD /path HTTP/1.0\r\nHost: ");
    assert!(rest.is_some_and(|host| host.contains(':')), "{request}");
    writer.write(b"HTTP/1.0 200 OK\r\nServer: test\r\n\r\n");
    writer.drain().await
}

/// A certificate for `localhost`, made on the spot by OpenSSL; the program is told to trust it.
#[cfg(feature = "tls")]
#[test]
#[expect(clippy::print_stderr, reason = "a facility that is missing is named")]
fn the_headers_of_a_secured_page_are_printed() {
    const REQUEST: &str = "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost \
        -addext subjectAltName=DNS:localhost -addext basicConstraints=critical,CA:FALSE -keyout key.pem -out cert.pem";
    let folder = std::env::temp_dir().join(format!("loxley-asyncio-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("there is room");
    let openssl = std::process::Command::new("openssl")
        .args(REQUEST.split_whitespace())
        .current_dir(&folder)
        .output();
    if !openssl.is_ok_and(|made| made.status.success()) {
        eprintln!("not run: there is no openssl to make a certificate");
        return;
    }
    let file = |name| std::fs::read(folder.join(name)).expect("it was made");
    let tls = loxley::tls::TlsServer::new(file("cert.pem"), file("key.pem"));
    programs::run(async {
        let server = loxley::ServerBuilder::new().addr("127.0.0.1:0");
        let server = server.tls(tls.expect("they belong together"));
        let server = server.start(page).await.expect("a port is free");
        let port = server.local_addr().expect("it listens").port();
        let url = format!("https://localhost:{port}/path");
        let trusted = folder.join("cert.pem");
        let talk = async {
            let trusted = trusted.to_str().expect("a path of text");
            let arguments = ["http_headers", &url, trusted];
            let program = Program::start("asyncio", &arguments).await;
            program.ended().await
        };
        let ended = with_cleanup(talk, |_| async { server.close() }).await;
        let headers = "HTTP header> HTTP/1.0 200 OK\nHTTP header> Server: test\n";
        assert_eq!(ended.stdout, headers, "{}", ended.stderr);
    });
    std::fs::remove_dir_all(folder).expect("it is ours");
}

#[test]
fn the_headers_of_a_page_are_printed() {
    programs::run(async {
        let server = start_server(page, "127.0.0.1:0")
            .await
            .expect("a port is free");
        let url = format!("http://{}/path", server.local_addr().expect("it listens"));
        let talk = async {
            Program::start("asyncio", &["http_headers", &url])
                .await
                .ended()
                .await
        };
        let ended = with_cleanup(talk, |_| async { server.close() }).await;
        assert_eq!(
            ended.stdout,
            "HTTP header> HTTP/1.0 200 OK\nHTTP header> Server: test\n"
        );
    });
}

#[test]
fn signal_handlers_end_the_program() {
    programs::run(async {
        for (signum, name) in [(signal::SIGINT, "SIGINT"), (signal::SIGTERM, "SIGTERM")] {
            let mut program = Program::start("asyncio", &["signal_handlers"]).await;
            program.line_after("pid ").await;
            program.signal(signum);
            assert_eq!(program.line().await, format!("got signal {name}: exit"));
            let ended = program.ended().await;
            assert_eq!(ended.code, 1);
            assert!(
                ended
                    .stderr
                    .contains("signal_handlers: the main task was cancelled"),
                "{ended:?}"
            );
        }
    });
}
