//! A name server that never answers: this program once more, in a network and a file system of its own.

use std::net::UdpSocket;
use std::process::{Command, Stdio};

use loxley_io::lookup_host;
use loxley_runtime::{create_task, run, to_thread};

const INSIDE: &str = "LOXLEY_BEHIND_A_SILENT_NAME_SERVER";

/// Makes the loopback device the only network and this machine the only name server, then runs what it is given.
const SCRIPT: &str =
    r#"ip link set lo up && mount --bind "$RESOLV_CONF" /etc/resolv.conf && exec "$0" "$@""#;

#[test]
fn look_ups_that_hang_hold_up_nobody() {
    if std::env::var_os(INSIDE).is_some() {
        run(hang());
        return;
    }
    let config = std::env::temp_dir().join(format!("loxley-resolv-{}", std::process::id()));
    std::fs::write(
        &config,
        "nameserver 127.0.0.1\noptions timeout:2 attempts:1\n",
    )
    .expect("written");
    let unshare = |program: &str| {
        let mut command = Command::new("unshare");
        command
            .args([
                "--map-root-user",
                "--mount",
                "--net",
                "sh",
                "-c",
                SCRIPT,
                program,
            ])
            .env("RESOLV_CONF", &config);
        command
    };
    let works = unshare("true")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if works.is_ok_and(|status| status.success()) {
        let program = std::env::current_exe().expect("a program");
        let output = unshare(program.to_str().expect("text"))
            .args([
                "--exact",
                "look_ups_that_hang_hold_up_nobody",
                "--nocapture",
            ])
            .env(INSIDE, "1")
            .output()
            .expect("started");
        let said = String::from_utf8_lossy(&output.stdout);
        let complained = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}{complained}");
    } else {
        not_run("unshare gives no namespaces");
    }
    std::fs::remove_file(&config).expect("removed");
}

#[expect(clippy::print_stderr, reason = "a facility that is missing is named")]
fn not_run(why: &str) {
    eprintln!("not run: {why}");
}

async fn hang() {
    let server = UdpSocket::bind("127.0.0.1:53").expect("the only program in this network");
    let look_ups: Vec<_> = (0..100)
        .map(|number| create_task(lookup_host((format!("host{number}.example"), 80))))
        .collect();
    // They are under way, and so are their successors until the end of the program, which waits for none.
    let server = to_thread(move || {
        for _ in 0..4 {
            server.recv(&mut [0; 512]).expect("a question");
        }
        server
    })
    .await;
    assert!(look_ups.iter().all(|look_up| !look_up.is_finished()));
    let mut look_ups = look_ups.into_iter();
    let first = look_ups.next().expect("a hundred");
    let error = first.await.expect("no panic").expect_err("no answer");
    for words in ["host0.example", "name servers"] {
        assert!(error.to_string().contains(words), "{error}");
    }
    assert!(look_ups.any(|look_up| !look_up.is_finished()));
    // Until now, or the system would have answered in its place that nobody listens.
    drop(server);
}
