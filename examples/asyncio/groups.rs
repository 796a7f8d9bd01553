//! Coroutines and tasks: several at once.

use std::convert::Infallible;
use std::io;
use std::time::Duration;

use loxley::{
    StreamReader, StreamWriter, TaskError, TaskGroup, as_completed, create_task, gather, oneshot,
    open_connection, sleep, start_server, task_group, wait,
};

use crate::clock;
use crate::tasks::say_after;

const SECOND: Duration = Duration::from_secs(1);

/// Example 6. Both at once, in a group that waits for them: two seconds.
pub(crate) async fn say_after_with_group() {
    let group = task_group(|group: TaskGroup<Infallible>| async move {
        group.create_task(say_after(SECOND, "hello"));
        group.create_task(say_after(2 * SECOND, "world"));
        println!("started at {:#}", clock::now());
        Ok(())
    });
    // The await is implicit in asyncio, when the block ends.
    group.await.expect("nothing fails");
    println!("finished at {:#}", clock::now());
}

/// What asyncio's `Future` is for: a value that somebody else will give.
fn function_that_returns_a_future() -> oneshot::Receiver<&'static str> {
    let (sender, receiver) = oneshot::channel();
    drop(create_task(async move { sender.send("given") }));
    receiver
}

/// Example 9. Such a future can be awaited as it is, and together with others.
pub(crate) async fn awaiting_futures() {
    function_that_returns_a_future().await.expect("it is given");
    let both = gather((function_that_returns_a_future(), async { "computed" }));
    let (given, computed) = both.await.expect("nothing is cancelled");
    println!("{}, {computed}", given.expect("it is given"));
}

/// Example 11. The results of a group's tasks.
pub(crate) async fn group_results() {
    let group = task_group(|group: TaskGroup<TaskError>| async move {
        let task1 = group.create_task(async { Ok("R1") });
        let task2 = group.create_task(async { Ok("R2") });
        Ok((task1.await?, task2.await?))
    });
    let (first, second) = group.await.expect("nothing fails");
    println!("Both tasks have completed now: {first}, {second}");
}

async fn job(number: u32, delay: Duration) {
    println!("Task {number}: start");
    sleep(delay).await;
    println!("Task {number}: done");
}

/// Raised to terminate a group.
#[derive(Debug)]
struct TerminateTaskGroup;

/// Example 12. A group ended by a task that fails for this purpose.
pub(crate) async fn terminate_group_by_error() {
    let group = task_group(|group: TaskGroup<TerminateTaskGroup>| async move {
        group.create_task(job(1, SECOND / 2));
        group.create_task(job(2, SECOND * 3 / 2));
        sleep(SECOND).await;
        group.create_task(async { Err::<(), _>(TerminateTaskGroup) });
        Ok(())
    });
    let errors = group.await.expect_err("a task has failed").into_errors();
    assert!(matches!(errors[..], [TerminateTaskGroup]));
}

/// Example 13. The same with the group's own method: from the body, from a child, and before there is anything in it.
pub(crate) async fn terminate_group_by_cancel() {
    type Group = TaskGroup<Infallible>;
    let from_the_body = task_group(|group: Group| async move {
        group.create_task(job(1, SECOND / 2));
        group.create_task(job(2, SECOND * 3 / 2));
        sleep(SECOND).await;
        group.cancel();
        Ok(())
    });
    from_the_body.await.expect("nothing fails");
    let from_a_child = task_group(|group: Group| async move {
        let inner = group.clone();
        group.create_task(async move {
            inner.cancel();
            sleep(SECOND).await;
            println!("never printed");
        });
        Ok(())
    });
    from_a_child.await.expect("nothing fails");
    let before_entry = task_group(|group: Group| async move {
        group.cancel();
        group.create_task(job(3, SECOND));
        Ok(())
    });
    before_entry.await.expect("nothing fails");
}

async fn factorial(name: &str, number: u32) -> u32 {
    let mut f = 1;
    for i in 2..=number {
        println!("Task {name}: Compute factorial({number}), currently i={i}...");
        sleep(SECOND).await;
        f *= i;
    }
    println!("Task {name}: factorial({number}) = {f}");
    f
}

/// Example 15. Three at once, and their results in the order given.
pub(crate) async fn gather_factorial() {
    let all = [factorial("A", 2), factorial("B", 3), factorial("C", 4)];
    println!("{:?}", gather(all).await.expect("nothing is cancelled"));
}

/// Example 21. Those that are done, and those that are not.
pub(crate) async fn wait_for_all() {
    let tasks = (1..=3).map(|n| create_task(sleep(n * SECOND)));
    let waited = wait(tasks).timeout(SECOND * 5 / 2).await;
    println!(
        "{} done, {} pending",
        waited.done.len(),
        waited.pending.len()
    );
}

/// Two servers of ours in place of the documentation's, so that no network is needed. Where there is no IPv6, a
/// second address of IPv4 stands in.
async fn two_servers() -> io::Result<(loxley::Server, loxley::Server)> {
    let silent = |_: StreamReader, writer: StreamWriter| async move { writer.write(b"hi") };
    let ipv4 = start_server(silent, "127.0.0.1:0").await?;
    let ipv6 = match start_server(silent, "[::1]:0").await {
        Ok(server) => server,
        Err(_) => start_server(silent, "127.0.0.2:0").await?,
    };
    Ok((ipv4, ipv6))
}

/// Example 22. In the order in which they end; each is recognised by its identity.
pub(crate) async fn as_completed_by_identity() -> io::Result<()> {
    let (ipv4_server, ipv6_server) = two_servers().await?;
    let (v4, v6) = (ipv4_server.local_addr(), ipv6_server.local_addr());
    let (v4, v6) = (v4.expect("it listens"), v6.expect("it listens"));
    let (first, is_connected) = oneshot::channel();
    let ipv4 = create_task(async move {
        // IPv6 goes first, so that the order is known.
        let _ = is_connected.await;
        open_connection(v4).await
    });
    let ipv6 = create_task(open_connection(v6));
    ipv6.add_done_callback(move |_| {
        let _ = first.send(());
    });
    let ipv6_id = ipv6.id();
    let mut ended = as_completed([ipv4, ipv6]);
    while let Some(earliest) = ended.next().await {
        let is_ipv6 = earliest.id() == ipv6_id;
        let (_reader, _writer) = earliest.await??;
        println!("IPv{} connection established.", if is_ipv6 { 6 } else { 4 });
    }
    Ok(())
}

/// Example 23. The same, where it does not matter which is which.
pub(crate) async fn as_completed_plain() -> io::Result<()> {
    let (ipv4_server, ipv6_server) = two_servers().await?;
    let servers = [ipv4_server, ipv6_server];
    let addrs = servers.iter().filter_map(loxley::Server::local_addr);
    let mut ended = as_completed(addrs.map(|addr| create_task(open_connection(addr))));
    while let Some(next) = ended.next().await {
        let (mut reader, _writer) = next.await.expect("nobody cancels it")?;
        println!("{}", String::from_utf8_lossy(&reader.read_to_end().await?));
    }
    Ok(())
}
