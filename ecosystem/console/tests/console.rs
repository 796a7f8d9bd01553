//! Our tasks as tokio-console sees them: its own subscriber in this process, and a client of its protocol, which is gRPC. The
//! same subscriber serves the real program: `tokio-console`.
//!
//! Alone in its process: the subscriber is the whole program's.

#[path = "../../src/grpc.rs"]
#[allow(dead_code, reason = "over a socket that is there")]
mod grpc;

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use console_api::field::Value;
use console_api::instrument::instrument_client::InstrumentClient;
use console_api::instrument::{InstrumentRequest, Update};
use console_api::tasks::{Stats, Task};
use console_subscriber::ConsoleLayer;
use grpc::Channel;
use loxley::{Event, UnixStream, create_task, sleep, task, yield_now};
use tonic::Streaming;
use tracing_subscriber::prelude::*;

/// What the console knows so far.
#[derive(Default)]
struct Seen {
    tasks: BTreeMap<u64, Task>,
    stats: BTreeMap<u64, Stats>,
}

impl Seen {
    fn take(&mut self, update: Update) {
        let tasks = update.task_update.unwrap_or_default();
        for task in tasks.new_tasks {
            self.tasks.insert(task.id.map_or(0, |id| id.id), task);
        }
        self.stats.extend(tasks.stats_update);
    }

    /// The task with this name, and its numbers.
    fn named(&self, name: &str) -> Option<(&Task, &Stats)> {
        let is_named = |task: &&Task| field(task, "task.name") == Some(&Value::StrVal(name.into()));
        let task = self.tasks.values().find(is_named)?;
        Some((task, self.stats.get(&task.id?.id)?))
    }

    /// Takes updates until one makes `holds` true.
    async fn wait_for(
        &mut self,
        updates: &mut Streaming<Update>,
        mut holds: impl FnMut(&Self) -> bool,
    ) -> Outcome {
        while !holds(self) {
            self.take(updates.message().await?.ok_or("the console hangs up")?);
        }
        Ok(())
    }
}

fn field<'a>(task: &'a Task, name: &str) -> Option<&'a Value> {
    let field = task.fields.iter().find(
        |field| matches!(&field.name, Some(console_api::field::Name::StrName(it)) if it == name),
    );
    field?.value.as_ref()
}

/// The subscriber begins to listen on a thread of its own, when it comes to it.
async fn connect(path: &PathBuf) -> io::Result<UnixStream> {
    loop {
        match UnixStream::connect(path).await {
            Err(_) => sleep(Duration::from_millis(5)).await,
            stream => return stream,
        }
    }
}

type Outcome = Result<(), Box<dyn std::error::Error + Send + Sync>>;

#[loxley::test(worker_threads = 2)]
async fn the_console_sees_our_tasks_their_polls_and_their_wakers() -> Outcome {
    let folder = std::env::temp_dir().join(format!("loxley-console-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let path = folder.join("socket");
    let layer = ConsoleLayer::builder()
        .server_addr(path.clone())
        .publish_interval(Duration::from_millis(20))
        .spawn();
    tracing_subscriber::registry().with(layer).init();

    let channel = Channel::over(connect(&path).await?).await?;
    let mut client = InstrumentClient::with_origin(channel, "http://console".parse()?);
    let updates = client.watch_updates(InstrumentRequest {}).await?;
    let (mut updates, mut seen) = (updates.into_inner(), Seen::default());

    let gate = Arc::new(Event::new());
    let opened = gate.clone();
    let poller = task::Builder::new().name("poller").create_task(async move {
        for _ in 0..10 {
            yield_now().await;
        }
        opened.wait().await;
    });
    // Waits at the gate, seen with its waker in somebody's hands.
    let waits = |seen: &Seen| {
        seen.named("poller").is_some_and(|(_, stats)| {
            let polls = stats.poll_stats.as_ref().map_or(0, |polls| polls.polls);
            polls == 11 && stats.wakes == 10 && stats.waker_clones == stats.waker_drops + 1
        })
    };
    seen.wait_for(&mut updates, waits).await?;
    let (task, stats) = seen.named("poller").ok_or("it was there")?;
    assert_eq!(stats.self_wakes, 10);
    assert_eq!(
        field(task, "task.id"),
        Some(&Value::U64Val(poller.id().get()))
    );
    let at = task.location.as_ref().ok_or("no location")?;
    assert!(at.file().ends_with("tests/console.rs"), "{at:?}");

    gate.set();
    poller.await?;
    let ended = |seen: &Seen| {
        let poller = seen.named("poller");
        poller.is_some_and(|(_, stats)| stats.dropped_at.is_some())
    };
    seen.wait_for(&mut updates, ended).await?;
    let (_, stats) = seen.named("poller").ok_or("it was there")?;
    assert_eq!(stats.wakes, 11);
    assert_eq!(stats.waker_clones, stats.waker_drops);
    drop(create_task(async {}));
    std::fs::remove_dir_all(&folder)?;
    Ok(())
}
