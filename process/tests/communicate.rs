//! Talks with a child that can never deadlock, and lose nothing.

mod support;

use std::future::{Future, poll_fn};
use std::io;
use std::task::Poll;
use std::time::Duration;

use loxley_io::streams::ReadError;
use loxley_process::{Process, Stdio, create_subprocess_exec, create_subprocess_shell};
use loxley_runtime::testing::{self, Config};
use loxley_runtime::{signal, timeout};
use support::{Way, run, until};

async fn piped(way: Way, line: &str) -> Process {
    way.of(create_subprocess_shell(line))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .await
        .expect("it starts")
}

/// Bytes that show when any of them is missing, doubled or out of place.
fn pattern(len: usize) -> Vec<u8> {
    (0..=250).cycle().take(len).collect()
}

#[test]
fn a_hundred_megabytes_on_stdout_and_stderr_at_once_do_not_deadlock() {
    const SIZE: usize = 100_000_000;
    let config = Config::new().leak_check(true).limit(support::HANG);
    testing::run(config, async {
        let line = format!("head -c {SIZE} /dev/zero & head -c {SIZE} /dev/zero >&2; wait");
        let mut child = piped(Way::PidFd, &line).await;
        let output = child.communicate(None).await.expect("it ends");
        assert!(output.status.success());
        assert_eq!((output.stdout.len(), output.stderr.len()), (SIZE, SIZE));
    });
}

#[test]
fn what_goes_in_comes_out_unchanged_both_ways() {
    run(|way| async move {
        let input = pattern(3_000_000);
        let mut child = piped(way, "tee /dev/stderr").await;
        let output = child.communicate(Some(&input)).await.expect("it ends");
        assert!(output.stdout == input && output.stderr == input);
        assert_eq!((child.returncode(), child.stdin.is_none()), (Some(0), true));
        // There is nothing more to say.
        let output = child.communicate(Some(&input)).await.expect("it has ended");
        assert!(output.stdout.is_empty() && output.status.success());
    });
}

#[test]
fn a_child_that_stops_listening_is_no_error_to_communicate_and_one_to_drain() {
    run(|way| async move {
        let input = pattern(1_000_000);
        for line in ["head -c 3", "exec <&-; echo abc", "exit 0"] {
            let mut child = piped(way, line).await;
            let output = child.communicate(Some(&input)).await.expect("it ends");
            assert!(output.status.success(), "{line}");
        }
        let mut child = piped(way, "exec <&-; echo closed; read x").await;
        let stdout = child.stdout.as_mut().expect("it was piped");
        assert_eq!(stdout.readline().await.expect("a line"), b"closed\n");
        let stdin = child.stdin.as_ref().expect("it was piped");
        stdin.write(&input);
        let error = stdin.drain().await.expect_err("nobody listens");
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
        child.wait().await.expect("it ends");
    });
}

#[test]
fn a_child_that_is_killed_leaves_what_it_had_said() {
    run(|way| async move {
        let mut child = piped(way, "printf out; printf err >&2; kill -9 $$").await;
        let output = child.communicate(None).await.expect("it ends");
        assert_eq!(
            (&*output.stdout, &*output.stderr),
            (&b"out"[..], &b"err"[..])
        );
        assert_eq!((child.returncode(), output.status.code()), (Some(-9), None));
    });
}

#[test]
fn a_talk_given_up_leaves_the_child_running_and_goes_on_later() {
    run(|way| async move {
        let mut child = piped(way, "printf out; printf err >&2; exec cat").await;
        let input = pattern(500_000);
        // It cannot take all of it now.
        child.send_signal(signal::SIGSTOP).expect("it runs");
        for _ in 0..5 {
            let mut talk = Box::pin(child.communicate(Some(&input)));
            poll_fn(|cx| Poll::Ready(talk.as_mut().poll(cx).is_pending())).await;
        }
        assert_eq!(child.returncode(), None);
        child.send_signal(signal::SIGCONT).expect("it is stopped");
        let output = child.communicate(Some(&input)).await.expect("it ends");
        let expected = [b"out", &*input].concat();
        assert!(output.stdout == expected && output.stderr == b"err");
    });
}

#[test]
fn killed_between_two_talks_it_is_heard_out() {
    run(|way| async move {
        let mut child = piped(way, "printf 'ready\\nmore\\n'; exec sleep 600").await;
        let stdout = child.stdout.as_mut().expect("it was piped");
        assert_eq!(stdout.readline().await.expect("a line"), b"ready\n");
        let tried = timeout(Duration::from_millis(20), child.communicate(None)).await;
        assert!(tried.is_err());
        child.kill().expect("it runs");
        let output = child.communicate(None).await.expect("it ends");
        assert_eq!(
            (&*output.stdout, output.status.code()),
            (&b"more\n"[..], None)
        );
    });
}

#[test]
fn input_without_a_pipe_is_refused_and_no_pipe_is_no_output() {
    testing::run(Config::new().leak_check(true), async {
        let command = create_subprocess_exec("true", [""; 0]).stdin(Stdio::null());
        let mut child = command.spawn().await.expect("it starts");
        let error = child.communicate(Some(b"x")).await.expect_err("no pipe");
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        assert!(error.to_string().contains("Stdio::piped()"), "{error}");
        let output = child.communicate(None).await.expect("it ends");
        assert!(output.stdout.is_empty() && output.stderr.is_empty());
    });
}

#[test]
fn lines_are_limited_and_what_is_no_text_is_left_as_it_is() {
    run(|way| async move {
        let command =
            create_subprocess_shell("head -c 5000 /dev/zero; echo; printf 'a\\377\\000b\\n'");
        let command = way.of(command).stdout(Stdio::piped()).limit(1000);
        let mut child = command.spawn().await.expect("it starts");
        let stdout = child.stdout.as_mut().expect("it was piped");
        let error = stdout.readline().await.expect_err("too long");
        assert!(matches!(error, ReadError::LineTooLong(_)), "{error:?}");
        let rest = stdout.read_to_end().await.expect("the rest");
        assert!(rest.ends_with(b"a\xff\0b\n"));
        assert_eq!(child.wait().await.expect("its status"), 0);
    });
}

#[test]
fn readers_outlive_the_process_they_read_from() {
    run(|way| async move {
        let mut child = piped(way, "printf all; printf this >&2").await;
        let (mut stdout, mut stderr) = (child.stdout.take(), child.stderr.take());
        assert_eq!(child.wait().await.expect("its status"), 0);
        let pid = child.pid();
        drop(child);
        until(|| !support::is_listed(pid)).await;
        for (stream, text) in [(&mut stdout, "all"), (&mut stderr, "this")] {
            let stream = stream.as_mut().expect("it was piped");
            assert_eq!(stream.read_to_end().await.expect("kept"), text.as_bytes());
        }
    });
}
