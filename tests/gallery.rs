//! The programs under `examples/`, each run as its users run it: started, talked to, stopped with SIGTERM, its status
//! read.
#![cfg(all(feature = "process", feature = "macros"))]

mod programs;

use std::collections::HashSet;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use loxley::{Queue, StreamReader, StreamWriter, gather, open_connection, signal, start_server};
use programs::Program;
use rustix::process::{Pid, Signal, kill_process};

/// One client.
struct Client {
    reader: StreamReader,
    writer: StreamWriter,
}

impl Client {
    async fn connect(addr: &str) -> Self {
        let (reader, writer) = open_connection(addr).await.expect("somebody listens");
        Self { reader, writer }
    }

    fn say(&self, line: &str) {
        self.writer.write(format!("{line}\n").as_bytes());
    }

    /// The next line; empty at the end.
    async fn hear(&mut self) -> String {
        let line = self.reader.readline().await.expect("lines are short");
        String::from_utf8(line)
            .expect("it is text")
            .trim_end()
            .to_owned()
    }

    async fn ask(&mut self, line: &str) -> String {
        self.say(line);
        self.hear().await
    }
}

#[test]
fn a_chat_server_passes_lines_on_and_says_goodbye() {
    programs::run(async {
        let mut server = Program::start("chat_server", &["127.0.0.1:0"]).await;
        let addr = server.line_after("serving on ").await;
        let mut ann = Client::connect(&addr).await;
        assert_eq!(ann.hear().await, "Your name?");
        assert_eq!(ann.ask("Ann").await, "* welcome, Ann");
        let mut bob = Client::connect(&addr).await;
        assert_eq!(bob.hear().await, "Your name?");
        assert_eq!(bob.ask("Bob").await, "* welcome, Bob");
        assert_eq!(ann.hear().await, "* Bob has come");
        ann.say("hello, Bob");
        assert_eq!(bob.hear().await, "Ann: hello, Bob");
        server.signal(signal::SIGTERM);
        assert_eq!(ann.hear().await, "* the server stops");
        assert_eq!(bob.hear().await, "* the server stops");
        let ended = server.ended().await;
        assert_eq!((ended.code, ended.stdout.as_str()), (0, "stopped\n"));
    });
}

#[test]
fn a_web_crawler_fetches_each_page_once() {
    programs::run(async {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = asked.clone();
        let site = move |mut reader: StreamReader, writer: StreamWriter| {
            let log = log.clone();
            async move {
                let request = reader.readuntil("\r\n\r\n").await?;
                let request = String::from_utf8_lossy(&request).into_owned();
                let path = request.split(' ').nth(1).expect("a path").to_owned();
                let answer = match path.as_str() {
                    "/" => {
                        "200 OK\r\n\r\n<a href=\"/a\"> <a href=\"/b#part\"> <a href=\"http://elsewhere/\">"
                    }
                    "/a" => "200 OK\r\n\r\n<a href=\"/\"> <a href=\"/b\"> <a href=\"/gone\">",
                    "/b" => "200 OK\r\n\r\nno links",
                    _ => "404 Not Found\r\n\r\n",
                };
                log.lock().expect("nothing panics").push(path);
                writer.write(format!("HTTP/1.0 {answer}").as_bytes());
                writer.drain().await
            }
        };
        let site = start_server(site, "127.0.0.1:0")
            .await
            .expect("a port is free");
        let url = format!("http://{}/", site.local_addr().expect("it listens"));
        let ended = Program::start("web_crawler", &[&url, "3"])
            .await
            .ended()
            .await;
        site.close();
        assert_eq!(ended.code, 0, "{ended:?}");
        assert!(
            ended.stdout.contains("/gone: HTTP/1.0 404 Not Found\n"),
            "{ended:?}"
        );
        assert!(ended.stdout.ends_with("\n4 pages\n"), "{ended:?}");
        let mut asked = asked.lock().expect("nothing panics").clone();
        asked.sort();
        assert_eq!(asked, ["/", "/a", "/b", "/gone"]);
    });
}

#[test]
fn a_connection_pool_shares_few_connections_among_many_clients() {
    const CONNECTIONS: usize = 3;
    programs::run(async {
        let connections = Arc::new(AtomicUsize::new(0));
        let counter = connections.clone();
        let backend = move |mut reader: StreamReader, writer: StreamWriter| {
            counter.fetch_add(1, Ordering::Relaxed); // ordering: a count, read when all is over.
            async move {
                let mut lines = reader.lines();
                while let Some(line) = lines.next().await? {
                    writer.write(&line.to_ascii_uppercase());
                    writer.drain().await?;
                }
                io::Result::Ok(())
            }
        };
        let backend = start_server(backend, "127.0.0.1:0")
            .await
            .expect("a port is free");
        let behind = backend.local_addr().expect("it listens").to_string();
        let arguments = [behind.as_str(), "127.0.0.1:0", &CONNECTIONS.to_string()];
        let mut pool = Program::start("connection_pool", &arguments).await;
        let addr = pool.line_after("serving on ").await;
        let clients = (0..12).map(|number| {
            let addr = addr.clone();
            async move {
                let mut client = Client::connect(&addr).await;
                for turn in 0..10 {
                    let answer = client.ask(&format!("client {number} turn {turn}")).await;
                    assert_eq!(answer, format!("CLIENT {number} TURN {turn}"));
                }
            }
        });
        let _: Vec<()> = gather(clients).await.expect("none panics");
        pool.signal(signal::SIGTERM);
        let ended = pool.ended().await;
        // ordering: all connections were made before their clients were answered.
        let connections = connections.load(Ordering::Relaxed);
        assert!((1..=CONNECTIONS).contains(&connections), "{connections}");
        let summary = format!("120 questions over {connections} connections\n");
        assert_eq!((ended.code, ended.stdout), (0, summary));
    });
}

#[test]
fn a_rate_limiter_lets_a_burst_through_and_no_more() {
    programs::run(async {
        // So slow that no token comes in however long the test takes.
        let arguments = ["127.0.0.1:0", "0.001", "5"];
        let mut limiter = Program::start("rate_limiter", &arguments).await;
        let addr = limiter.line_after("serving on ").await;
        let mut client = Client::connect(&addr).await;
        for _ in 0..5 {
            assert_eq!(client.ask("a request").await, "ok");
        }
        // Another connection of the same client has the same bucket.
        let mut again = Client::connect(&addr).await;
        for client in [&mut client, &mut again] {
            let answer = client.ask("one too many").await;
            assert!(answer.starts_with("try again in "), "{answer}");
        }
        limiter.signal(signal::SIGTERM);
        assert_eq!(limiter.ended().await.code, 0);
    });
}

#[test]
fn a_job_scheduler_runs_later_again_and_not_at_all() {
    programs::run(async {
        let mut scheduler = Program::start("job_scheduler", &["127.0.0.1:0"]).await;
        let addr = scheduler.line_after("serving on ").await;
        let mut client = Client::connect(&addr).await;
        assert_eq!(client.ask("in 3600 echo never").await, "job 1");
        assert_eq!(client.ask("in 0.01 echo once; exit 3").await, "job 2");
        assert_eq!(scheduler.line().await, "job 2: exit 3: once");
        assert_eq!(client.ask("every 0.01 echo again").await, "job 3");
        for _ in 0..3 {
            assert_eq!(scheduler.line().await, "job 3: exit 0: again");
        }
        assert_eq!(client.ask("cancel 1").await, "cancelled 1");
        assert_eq!(client.ask("list").await, "3: echo again");
        assert_eq!(client.hear().await, ".");
        assert!(client.ask("nonsense").await.starts_with("in S COMMAND"));
        scheduler.signal(signal::SIGTERM);
        let ended = scheduler.ended().await;
        assert_eq!(ended.code, 0, "{ended:?}");
        assert!(ended.stdout.ends_with("stopped with 1 jobs\n"), "{ended:?}");
    });
}

/// A collector that puts the lines it gets into a queue.
async fn collector() -> (loxley::Server, SocketAddr, Queue<String>) {
    let lines = Queue::new(0);
    let to = lines.clone();
    let collect = move |mut reader: StreamReader, _: StreamWriter| {
        let to = to.clone();
        async move {
            let mut lines = reader.lines();
            while let Some(line) = lines.next().await? {
                let line = String::from_utf8(line).expect("it is text");
                to.put_nowait(line.trim_end().to_owned())
                    .expect("it has no limit");
            }
            io::Result::Ok(())
        }
    };
    let server = start_server(collect, "127.0.0.1:0")
        .await
        .expect("a port is free");
    let addr = server.local_addr().expect("it listens");
    (server, addr, lines)
}

#[test]
fn a_log_shipper_ships_every_line_and_hands_the_status_on() {
    programs::run(async {
        let (_server, addr, lines) = collector().await;
        let script =
            "i=0; while [ $i -lt 2000 ]; do echo line $i; i=$((i+1)); done; echo oops >&2; exit 7";
        let arguments = [&addr.to_string(), "sh", "-c", script];
        let shipper = Program::start("log_shipper", &arguments).await;
        let (mut out, mut is_err_seen) = (0, false);
        while out < 2000 || !is_err_seen {
            match lines.get().await.expect("nobody shuts it down").as_str() {
                "err oops" => is_err_seen = true,
                line => {
                    assert_eq!(line, format!("out line {out}"));
                    out += 1;
                }
            }
        }
        assert_eq!(shipper.ended().await.code, 7);
    });
}

#[test]
fn a_log_shipper_passes_sigterm_on_and_ships_the_last_words() {
    programs::run(async {
        let (_server, addr, lines) = collector().await;
        let script = "trap 'echo goodbye; exit 0' TERM; echo ready; while :; do sleep 0.01; done";
        let arguments = [&addr.to_string(), "sh", "-c", script];
        let shipper = Program::start("log_shipper", &arguments).await;
        assert_eq!(lines.get().await.as_deref(), Ok("out ready"));
        shipper.signal(signal::SIGTERM);
        assert_eq!(lines.get().await.as_deref(), Ok("out goodbye"));
        assert_eq!(shipper.ended().await.code, 0);
    });
}

#[test]
fn a_static_server_sends_files_below_its_root_alone() {
    async fn get(addr: &str, path: &str) -> Vec<u8> {
        let mut client = Client::connect(addr).await;
        client.say(&format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r"));
        client.reader.read_to_end().await.expect("it is answered")
    }
    programs::run(async {
        let root = std::env::temp_dir().join(format!("loxley-static-{}", std::process::id()));
        std::fs::create_dir_all(&root).expect("it can be made");
        let large: Vec<u8> = (0..3_000_000_u32).map(|n| n.to_le_bytes()[0]).collect();
        std::fs::write(root.join("large"), &large).expect("it can be written");
        let arguments = [root.to_str().expect("it is text"), "127.0.0.1:0"];
        let mut server = Program::start("static_server", &arguments).await;
        let addr = server.line_after("serving on ").await;
        let answer = get(&addr, "/large").await;
        let head = b"HTTP/1.1 200 OK\r\nContent-Length: 3000000\r\nConnection: close\r\n\r\n";
        assert!(answer.starts_with(head));
        assert!(
            answer[head.len()..] == large[..],
            "the bytes are those of the file"
        );
        for (path, status) in [
            ("/none", "404"),
            ("/../etc/passwd", "400"),
            ("//etc/passwd", "400"),
        ] {
            let answer = get(&addr, path).await;
            assert!(
                answer.starts_with(format!("HTTP/1.1 {status}").as_bytes()),
                "{path}"
            );
        }
        server.signal(signal::SIGTERM);
        let ended = server.ended().await;
        assert_eq!((ended.code, ended.stdout.as_str()), (0, "stopped\n"));
        std::fs::remove_dir_all(&root).expect("it is ours");
    });
}

#[test]
fn a_graceful_restart_refuses_nobody_and_drops_no_connection() {
    programs::run(async {
        let mut old = Program::start("graceful_restart", &["127.0.0.1:0"]).await;
        let line = old.line().await;
        let (old_pid, addr) = line.split_once(" serves on ").expect("two parts");
        let mut early = Client::connect(addr).await;
        assert_eq!(early.ask("who?").await, old_pid);
        old.signal(signal::SIGHUP);
        // Those who come meanwhile are answered by one or the other.
        let mut answers = HashSet::new();
        while answers.len() < 2 {
            answers.insert(Client::connect(addr).await.ask("who?").await);
        }
        assert!(answers.remove(old_pid));
        let new_pid = answers.into_iter().next().expect("there is another");
        old.line_after(&format!("{old_pid} is replaced by {new_pid}"))
            .await;
        assert_eq!(early.ask("still there?").await, old_pid);
        drop(early);
        old.line_after(&format!("{old_pid} ends")).await;
        assert_eq!(Client::connect(addr).await.ask("who?").await, new_pid);
        let pid = new_pid
            .parse()
            .ok()
            .and_then(Pid::from_raw)
            .expect("a process number");
        kill_process(pid, Signal::TERM).expect("it runs");
        // The new one has the old one's output, which ends with it.
        let ended = old.ended().await;
        assert_eq!(ended.code, 0);
        assert!(
            ended.stdout.ends_with(&format!("{new_pid} ends\n")),
            "{ended:?}"
        );
    });
}
