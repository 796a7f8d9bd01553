//! A job scheduler: commands that run once, later, or again and again, a few at a time.
//!
//! ```text
//! cargo run --release --example job_scheduler [-- 127.0.0.1:8003]
//! nc 127.0.0.1 8003
//! in 2.5 echo two and a half seconds later
//! every 60 date >> /tmp/minutes
//! list
//! cancel 2
//! ```
//!
//! What a job prints, and how it ends, is logged. SIGTERM stops the schedule, and lets jobs that run end.
#![expect(clippy::print_stdout, reason = "a program that speaks to its user")]

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use loxley::lowlevel::now;
use loxley::process::Stdio;
use loxley::{
    Runtime, Semaphore, StreamReader, StreamWriter, Task, catch_cancelled, create_subprocess_shell,
    create_task, gather, interval_at, signal, start_server, uncancellable,
};

const AT_ONCE: usize = 4;
const USAGE: &str = "in S COMMAND | every S COMMAND | cancel N | list\n";
type Jobs = BTreeMap<u64, (String, Task<()>)>;

struct Schedule {
    permits: Semaphore,
    ids: AtomicU64,
    jobs: Mutex<Jobs>,
}

impl Schedule {
    fn jobs(&self) -> MutexGuard<'_, Jobs> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(self: &Arc<Self>, when: Duration, repeats: bool, command: &str) -> u64 {
        let id = self.ids.fetch_add(1, Ordering::Relaxed) + 1; // ordering: Relaxed. Only the number counts.
        let mut jobs = self.jobs(); // Before the job can end.
        let task = create_task(self.clone().job(id, when, repeats, command.to_owned()));
        jobs.insert(id, (command.to_owned(), task));
        id
    }

    async fn job(self: Arc<Self>, id: u64, when: Duration, repeats: bool, command: String) {
        let mut times = interval_at(now() + when, when);
        loop {
            times.tick().await;
            let _permit = self.permits.acquire().await;
            // Whoever cancels the job waits for the end of what runs.
            let ended = uncancellable(output(&command)).await;
            if !repeats {
                self.jobs().remove(&id);
            }
            match ended {
                Ok((code, text)) => println!("job {id}: exit {code}: {}", text.trim_end()),
                Err(error) => println!("job {id}: {error}"),
            }
            if !repeats {
                return;
            }
        }
    }

    fn obey(self: &Arc<Self>, line: &str) -> Option<String> {
        let (verb, rest) = line.trim().split_once(' ').unwrap_or((line.trim(), ""));
        match verb {
            "in" | "every" => {
                let (seconds, command) = rest.split_once(' ')?;
                let seconds = Duration::try_from_secs_f64(seconds.parse().ok()?).ok()?;
                let when = seconds.max(Duration::from_millis(1));
                Some(format!(
                    "job {}\n",
                    self.add(when, verb == "every", command)
                ))
            }
            "cancel" => {
                let id = rest.parse().ok()?;
                let (_, task) = self.jobs().remove(&id)?;
                task.cancel();
                Some(format!("cancelled {id}\n"))
            }
            "list" => {
                let row = |(id, (command, _)): (&u64, &(String, _))| format!("{id}: {command}\n");
                Some(self.jobs().iter().map(row).collect::<String>() + ".\n")
            }
            _ => None,
        }
    }
}

async fn output(command: &str) -> io::Result<(i32, String)> {
    let mut child = create_subprocess_shell(command)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::to_stdout())
        .kill_on_drop(true)
        .spawn()
        .await?;
    let text = child.communicate(None).await?.stdout;
    let text = String::from_utf8_lossy(&text).into_owned();
    Ok((child.returncode().unwrap_or_default(), text))
}

fn main() -> io::Result<()> {
    let runtime = Runtime::builder().shutdown_signals([signal::SIGTERM]);
    runtime.run(serve(std::env::args().nth(1)))
}

async fn serve(addr: Option<String>) -> io::Result<()> {
    let schedule = Arc::new(Schedule {
        permits: Semaphore::new(AT_ONCE),
        ids: AtomicU64::new(0),
        jobs: Mutex::default(),
    });
    let commands = schedule.clone();
    let handler = move |mut reader: StreamReader, writer: StreamWriter| {
        let schedule = commands.clone();
        async move {
            let mut lines = reader.lines();
            while let Some(line) = lines.next().await? {
                let answer = schedule.obey(&String::from_utf8_lossy(&line));
                writer.write(answer.as_deref().unwrap_or(USAGE).as_bytes());
                writer.drain().await?;
            }
            io::Result::Ok(())
        }
    };
    let addr = addr.as_deref().unwrap_or("127.0.0.1:8003");
    let server = start_server(handler, addr).await?;
    println!("serving on {}", server.sockets()[0]);
    let _ = catch_cancelled(std::future::pending::<()>()).await;
    server.close();
    server.close_clients();
    let jobs = std::mem::take(&mut *schedule.jobs());
    for (_, task) in jobs.values() {
        task.cancel();
    }
    let tasks = jobs.into_values().map(|(_, task)| task);
    let ended: Vec<Result<(), _>> = gather(tasks).return_errors().await;
    println!("stopped with {} jobs", ended.len());
    Ok(())
}
