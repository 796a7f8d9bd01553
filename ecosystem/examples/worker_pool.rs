//! Workers spread over several machines, through NATS: one process scales over cores, several through a broker.
//!
//! ```text
//! nats-server &
//! cargo run --release --example worker_pool -- work 127.0.0.1:4222 here    # as many of these as you like, anywhere
//! cargo run --release --example worker_pool -- ask 127.0.0.1:4222 10000 20000 30000
//! ```
//!
//! A job is a number `n` and the answer how many primes lie below `n`. NATS gives each job to one worker of the group and keeps
//! nothing: a job whose worker dies is asked for again after [`PATIENCE`], so it may be done twice, never lost. SIGTERM
//! lets a worker finish what it has begun and take nothing new. The protocol is in `src/nats.rs`.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io::{self, Error, Write as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use loxley::{
    Runtime, TaskGroup, catch_cancelled, create_task, oneshot, shield, signal, timeout, to_thread,
};
use loxley_ecosystem::nats;

/// How long an answer may take before the job is given to another, and how often that is done.
const PATIENCE: Duration = Duration::from_millis(500);
const TRIES: usize = 60;

/// How many jobs one worker process has at a time, and one who asks.
const AT_ONCE: usize = 2;
const IN_FLIGHT: usize = 8;

fn main() -> io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let runtime = Runtime::builder().shutdown_signals([signal::SIGTERM]);
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["work", addr, name] => runtime.run(work(addr.to_owned(), name.to_owned())),
        ["ask", addr, ref numbers @ ..] => {
            let numbers = numbers.iter().map(|&n| n.to_owned()).collect();
            runtime.run(ask(addr.to_owned(), numbers))
        }
        _ => Err(Error::other("work ADDR NAME, or ask ADDR NUMBERS")),
    }
}

async fn work(addr: String, name: String) -> io::Result<()> {
    let (mut messages, client) = nats::subscribe(&addr, "jobs workers").await?;
    writeln!(io::stdout(), "{name} works")?;
    let answers = client.clone();
    let jobs = TaskGroup::builder().limit(AT_ONCE);
    let jobs = jobs.run(async move |tg: TaskGroup<io::Error>| {
        while let Some(job) = messages.next().await? {
            let (answers, name) = (answers.clone(), name.clone());
            tg.create_task(async move {
                let answer = match job.payload.parse() {
                    Ok(n) => to_thread(move || primes_below(n)).await.to_string(),
                    Err(error) => error.to_string(),
                };
                if let Some(reply) = job.reply {
                    answers.publish(&reply, "", &format!("{answer}, by {name}"));
                }
            });
        }
        Ok(())
    });
    // A task of its own, which a signal does not cancel: that only stops the flow of new jobs.
    let mut jobs = shield::<Result<(), _>>(create_task(jobs));
    let ended = match catch_cancelled(&mut jobs).await {
        Ok(ended) => ended,
        Err(_) => {
            client.unsubscribe();
            jobs.await
        }
    };
    ended?.map_err(Error::other)?;
    client.close().await?;
    writeln!(io::stdout(), "stopped")
}

/// Where one who asks waits for answers.
struct Desk {
    client: nats::Client,
    /// Answers go to subjects below this one.
    inbox: String,
    waiting: Mutex<HashMap<String, oneshot::Sender<String>>>,
}

async fn ask(addr: String, numbers: Vec<String>) -> io::Result<()> {
    let inbox = format!("to.{:x}", RandomState::new().build_hasher().finish());
    let (mut messages, client) = nats::subscribe(&addr, &format!("{inbox}.*")).await?;
    let desk = Arc::new(Desk {
        client,
        inbox,
        waiting: Mutex::default(),
    });
    let hearing = desk.clone();
    let hears = create_task(async move {
        while let Some(answer) = messages.next().await? {
            // Nobody waits for the second answer to a job that was done twice.
            if let Some(asker) = hearing.waiting().remove(&answer.subject) {
                let _ = asker.send(answer.payload);
            }
        }
        io::Result::Ok(())
    });
    let jobs = TaskGroup::builder().limit(IN_FLIGHT);
    let jobs = jobs.run(async move |tg: TaskGroup<io::Error>| {
        let job = |(index, n): (usize, String)| {
            let (desk, text) = (desk.clone(), n.clone());
            (
                n,
                tg.create_task(async move { desk.answer(index, &text).await }),
            )
        };
        for (n, answer) in numbers.into_iter().enumerate().map(job).collect::<Vec<_>>() {
            writeln!(io::stdout(), "primes below {n}: {}", answer.await?)?;
        }
        Ok(())
    });
    let done = jobs.await.map_err(Error::other);
    hears.cancel();
    done
}

impl Desk {
    async fn answer(&self, index: usize, job: &str) -> io::Result<String> {
        let reply = format!("{}.{index}", self.inbox);
        let (sender, mut answer) = oneshot::channel();
        self.waiting().insert(reply.clone(), sender);
        for _ in 0..TRIES {
            self.client.publish("jobs", &reply, job);
            if let Ok(answer) = timeout(PATIENCE, &mut answer).await {
                return answer.map_err(Error::other);
            }
        }
        Err(Error::other(format!("nobody does the job {job}")))
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<String, oneshot::Sender<String>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn primes_below(n: u64) -> usize {
    let is_prime = |&n: &u64| (2..).take_while(|d| d * d <= n).all(|d| n % d != 0);
    (2..n).filter(is_prime).count()
}
