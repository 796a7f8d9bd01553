//! System calls that a signal interrupts: this program once more, under a tracer that has every second one fail so.

mod support;

use std::fs;
use std::net::Ipv4Addr;
use std::process::{Command, Stdio};

use loxley_io::net::{Datagram, RecvBatch};
use loxley_io::{TcpListener, TcpStream, UdpSocket, UnixStream, copy_bidirectional, pipe, stdout};
use loxley_runtime::{create_task, to_thread};
use support::{pattern, run};

const INSIDE: &str = "LOXLEY_INTERRUPTED";

/// All that move bytes or wait for something.
const CALLS: &str = "read,write,readv,writev,recvfrom,sendto,recvmsg,sendmsg,recvmmsg,sendmmsg,accept4,splice,poll,epoll_wait,epoll_pwait,epoll_pwait2";

#[test]
fn a_call_that_is_interrupted_is_made_again() {
    if std::env::var_os(INSIDE).is_some() {
        run(everything);
        return;
    }
    // The first few of each thread go through: what loads a program is not made for this.
    let inject = format!("inject=?{}:error=EINTR:when=8+2", CALLS.replace(',', ",?"));
    let strace = |program: &str| {
        let mut command = Command::new("strace");
        command.args(["-f", "-qq", "-o", "/dev/null", "-e", &inject, program]);
        command
    };
    let works = strace("true")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if !works.is_ok_and(|status| status.success()) {
        not_run("strace cannot make calls fail here");
        return;
    }
    let program = std::env::current_exe().expect("a program");
    let output = strace(program.to_str().expect("text"))
        .args([
            "--exact",
            "a_call_that_is_interrupted_is_made_again",
            "--nocapture",
        ])
        .env(INSIDE, "1")
        .output()
        .expect("started");
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}{complained}");
    assert!(said.contains("[said]"), "{said}");
}

#[expect(clippy::print_stderr, reason = "a facility that is missing is named")]
fn not_run(why: &str) {
    eprintln!("not run: {why}");
}

async fn everything() {
    streams().await;
    datagrams().await;
    through_the_kernel().await;
    let (reader, writer) = pipe().expect("a pipe");
    writer.write_all(b"through a pipe").await.expect("written");
    let mut bytes = [0; 14];
    reader.read_exact(&mut bytes).await.expect("read");
    // Each ends with a write that wakes the driver, if it is asleep by then.
    for _ in 0..40 {
        let calls = to_thread(|| (0..50).filter(|_| fs::metadata("/").is_ok()).count());
        assert_eq!(calls.await, 50);
    }
    stdout().write_all(b"[said]\n").await.expect("written");
}

async fn streams() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .expect("bound");
    let addr = listener.local_addr().expect("bound");
    let echo = create_task(async move {
        for _ in 0..3 {
            let (stream, _) = listener.accept().await.expect("accepted");
            let mut bytes = [0; 1_000];
            while let n @ 1.. = stream.read(&mut bytes).await.expect("read") {
                stream.write_all(&bytes[..n]).await.expect("written");
            }
        }
    });
    for _ in 0..3 {
        let stream = TcpStream::connect(addr).await.expect("connected");
        for _ in 0..20 {
            let sent = pattern(2_500);
            stream.write_all(&sent).await.expect("written");
            let mut bytes = vec![0; sent.len()];
            stream.read_exact(&mut bytes).await.expect("read");
            assert_eq!(bytes, sent);
        }
    }
    echo.await.expect("no panic");
}

async fn datagrams() {
    let one = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .expect("bound");
    let other = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .expect("bound");
    one.connect(other.local_addr().expect("bound"))
        .await
        .expect("connected");
    for _ in 0..10 {
        let words = [
            Datagram::connected(b"one"),
            Datagram::connected(b"after the other"),
        ];
        assert_eq!(one.send_batch(&words).await.expect("sent"), 2);
        let mut batch = RecvBatch::new(4, 100);
        let mut received = 0;
        while received < 2 {
            other.recv_batch(&mut batch).await.expect("received");
            received += batch.iter().count();
        }
    }
}

async fn through_the_kernel() {
    let (client, mut front) = UnixStream::pair().expect("a pair");
    let (mut back, server) = UnixStream::pair().expect("a pair");
    let copying = create_task(async move { copy_bidirectional(&mut front, &mut back).await });
    let sent = pattern(100_000);
    let expected = sent.clone();
    let reading = create_task(async move {
        let mut bytes = vec![0; expected.len()];
        server.read_exact(&mut bytes).await.expect("read");
        assert_eq!(bytes, expected);
    });
    client.write_all(&sent).await.expect("written");
    reading.await.expect("no panic");
    drop(client);
    let copied = copying.await.expect("no panic").expect("copied");
    assert_eq!(copied, (100_000, 0));
}
