//! Standard input, output and error of a real process: this program once more, playing one of the roles below.
//!
//! What a child says goes through marks in its output, between what the test harness prints.

use std::fs::File;
use std::future::{Future, poll_fn};
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::pin::pin;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::task::Poll;
use std::thread;
use std::time::Duration;

use loxley_io::{StreamReader, stderr, stdin, stdout};
use loxley_runtime::{create_task, run, yield_now};
use rustix::fs::OFlags;

const HANG: Duration = Duration::from_secs(30);
const ROLE: &str = "LOXLEY_STDIO_ROLE";
const MEGABYTE: usize = 1 << 20;

fn child(role: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("a program"));
    command
        .args(["--exact", "role", "--nocapture"])
        .env(ROLE, role)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Reads all that is written, on a thread of its own: a child that never ends fails the test.
fn all_of(mut source: impl Read + Send + 'static) -> impl FnOnce() -> String {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        let mut text = Vec::new();
        let read = source.read_to_end(&mut text).map(|_| text);
        let _ = sender.send(read);
    });
    move || {
        let text = receiver.recv_timeout(HANG).expect("the child hangs");
        String::from_utf8(text.expect("read")).expect("text")
    }
}

/// The child has ended well, and said this.
fn ended(mut child: Child) -> String {
    let said = all_of(child.stdout.take().expect("a pipe"));
    let complained = child.stderr.take().map(all_of);
    let said = said();
    let complained = complained.map(|text| text()).unwrap_or_default();
    assert!(child.wait().expect("ended").success(), "{said}{complained}");
    said
}

/// Waits for a mark, byte by byte, so that nothing behind it is lost.
fn wait_for(source: &mut impl Read, mark: &str) {
    let mut seen = Vec::new();
    while !seen.ends_with(mark.as_bytes()) {
        let mut byte = [0];
        assert_eq!(
            source.read(&mut byte).expect("read"),
            1,
            "no {mark:?} but the end"
        );
        seen.push(byte[0]);
    }
}

/// Waits for the end of a child whose output nobody reads.
fn wait_for_exit(mut child: Child) {
    let (sender, receiver) = channel();
    let id = rustix::process::Pid::from_child(&child);
    thread::spawn(move || sender.send(child.wait()));
    match receiver.recv_timeout(HANG) {
        Ok(status) => assert!(status.expect("waited for").success()),
        Err(_) => {
            rustix::process::kill_process(id, rustix::process::Signal::KILL).expect("killed");
            panic!("the exit hangs");
        }
    }
}

/// Polls once; what is not ready is given up.
async fn once<F: Future>(future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    poll_fn(|cx| {
        Poll::Ready(match future.as_mut().poll(cx) {
            Poll::Ready(output) => Some(output),
            Poll::Pending => None,
        })
    })
    .await
}

fn say(text: &str) {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}").expect("somebody listens");
    out.flush().expect("somebody listens");
}

/// What the children of the others do; nothing where no role is given.
#[test]
fn role() {
    match std::env::var(ROLE).as_deref() {
        Ok("read for ever") => hang(async {
            let _ = stdin().read(&mut [0; 8]).await;
        }),
        Ok("write for ever") => hang(async {
            let _ = stderr().write_all(&vec![b'x'; MEGABYTE]).await;
        }),
        Ok("give up a read") => give_up_a_read(),
        Ok("count lines") => run(async {
            let mut lines = StreamReader::from_reader(stdin(), 64 << 10);
            let mut count = 0;
            while !lines.readline().await.expect("read").is_empty() {
                count += 1;
            }
            // And again: the end stays.
            assert_eq!(stdin().read(&mut [0; 8]).await.expect("read"), 0);
            say(&format!("[{count} lines]"));
        }),
        Ok("write much") => run(async {
            // On one processor the harness has begun a line with the name of the test.
            stdout().write_all(b"\n").await.expect("written");
            let threads = ["a", "b", "c"].map(|letter| {
                create_task(async move {
                    for number in 0..500 {
                        let line = format!("{}{number}\n", letter.repeat(10_000));
                        stdout().write_all(line.as_bytes()).await.expect("written");
                    }
                })
            });
            for thread in threads {
                thread.await.expect("no panic");
            }
        }),
        Ok("nobody reads") => run(async {
            let mut kind = None;
            // The pipe may take something yet.
            while kind.is_none() {
                let written = stderr().write_all(&vec![b'x'; MEGABYTE]).await;
                kind = written.err().map(|error| error.kind());
            }
            let text = format!("[{kind:?}]");
            stdout().write_all(text.as_bytes()).await.expect("written");
        }),
        Ok("give up a write") => give_up_a_write(),
        _ => {}
    }
}

/// Leaves a runtime in which a task waits in `forever`.
fn hang(forever: impl Future<Output = ()> + Send + 'static) {
    run(async {
        let waits = Arc::new(AtomicBool::new(false));
        let tells = waits.clone();
        let mut forever = Box::pin(forever);
        let task = create_task(poll_fn(move |cx| {
            let poll = forever.as_mut().poll(cx);
            tells.store(poll.is_pending(), Ordering::Release);
            poll
        }));
        while !waits.load(Ordering::Acquire) {
            yield_now().await;
        }
        assert!(!task.is_finished());
    });
}

/// What comes after a read that was given up is for whoever reads next, ours or not.
fn give_up_a_read() {
    run(async {
        for _ in 0..20 {
            assert!(once(stdin().read(&mut [0; 8])).await.is_none());
        }
        let before = rustix::fs::fcntl_getfl(stdin()).expect("flags");
        assert!(!before.contains(OFlags::NONBLOCK));
    });
    say("[given up]");
    let mut byte = [0];
    let standard = File::from(stdin().as_fd().try_clone_to_owned().expect("a copy"));
    assert_eq!((&standard).read(&mut byte).expect("read"), 1);
    say(&format!("[std {}]", char::from(byte[0])));
    run(async {
        let mut rest = [0; 8];
        let n = stdin().read(&mut rest).await.expect("read");
        say(&format!("[ours {}]", String::from_utf8_lossy(&rest[..n])));
    });
}

/// A write that was given up in the middle leaves the thread to others.
fn give_up_a_write() {
    run(async {
        let much = vec![b'x'; MEGABYTE];
        let mut error = stderr();
        // Once before its turn, once in the middle: the pipe takes 64 KiB.
        assert!(once(error.write_all(&much)).await.is_none());
        let mut write = Box::pin(error.write_all(&much));
        while rustix::io::ioctl_fionread(stderr()).expect("a number") < 65_536 {
            assert!(once(&mut write).await.is_none());
            yield_now().await;
        }
        drop(write);
        say("[given up]");
        stderr().write_all(b"[and on]").await.expect("written");
    });
}

#[test]
fn a_read_that_nothing_answers_does_not_hang_the_exit() {
    let mut child = child("read for ever")
        .stdin(Stdio::piped())
        .spawn()
        .expect("started");
    let input = child.stdin.take();
    wait_for_exit(child);
    drop(input);
}

#[test]
fn a_pipe_that_nobody_empties_does_not_hang_the_exit() {
    let mut child = child("write for ever").spawn().expect("started");
    let outlets = (child.stdout.take(), child.stderr.take());
    wait_for_exit(child);
    drop(outlets);
}

#[test]
fn a_read_given_up_takes_nothing() {
    let mut child = child("give up a read")
        .stdin(Stdio::piped())
        .spawn()
        .expect("started");
    let mut input = child.stdin.take().expect("a pipe");
    wait_for(child.stdout.as_mut().expect("a pipe"), "[given up]");
    input.write_all(b"12345").expect("written");
    let said = ended(child);
    assert!(said.contains("[std 1]"), "{said}");
    assert!(said.contains("[ours 2345]"), "{said}");
}

#[test]
fn a_write_given_up_leaves_the_stream_to_others() {
    let mut child = child("give up a write").spawn().expect("started");
    wait_for(child.stdout.as_mut().expect("a pipe"), "[given up]");
    let complained = all_of(child.stderr.take().expect("a pipe"));
    ended(child);
    let complained = complained();
    assert!(complained.starts_with('x'));
    assert!(complained.ends_with("[and on]"));
}

#[test]
fn lines_of_a_pipe_are_all_read() {
    let mut child = child("count lines")
        .stdin(Stdio::piped())
        .spawn()
        .expect("started");
    let mut input = child.stdin.take().expect("a pipe");
    for number in 0..10_000 {
        writeln!(input, "line {number}").expect("written");
    }
    drop(input);
    assert!(ended(child).contains("[10000 lines]"));
}

#[test]
fn a_file_is_read_like_anything_else() {
    let file = File::open(file!().trim_start_matches("io/")).expect("this file");
    let child = child("count lines").stdin(file).spawn().expect("started");
    let lines = include_str!("stdio.rs").lines().count();
    let said = ended(child);
    assert!(said.contains(&format!("[{lines} lines]")), "{said}");
}

#[test]
fn a_closed_standard_input_is_at_its_end() {
    let mut command = Command::new("sh");
    command
        .args(["-c", "exec \"$0\" \"$@\" <&-"])
        .arg(std::env::current_exe().expect("a program"))
        .args(["--exact", "role", "--nocapture"])
        .env(ROLE, "count lines")
        .stdout(Stdio::piped());
    assert!(ended(command.spawn().expect("started")).contains("[0 lines]"));
}

#[test]
fn pieces_of_several_handles_stay_whole() {
    let said = ended(child("write much").spawn().expect("started"));
    for letter in ["a", "b", "c"] {
        let ours: Vec<&str> = said
            .lines()
            .filter_map(|line| line.strip_prefix(&letter.repeat(10_000)))
            .collect();
        let numbers: Vec<String> = (0..500).map(|number| number.to_string()).collect();
        assert_eq!(ours, numbers, "{letter}");
    }
}

#[test]
fn a_reader_that_is_gone_is_an_error() {
    let mut child = child("nobody reads").spawn().expect("started");
    drop(child.stderr.take());
    let said = ended(child);
    assert!(said.contains("[Some(BrokenPipe)]"), "{said}");
}
