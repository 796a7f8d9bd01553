//! What is bound to Tokio, as it is, in tasks of ours: `Builder::tokio_context`.

use std::future::{Future, pending};
use std::time::Duration;

use axum::routing::post;
use axum::{Json, Router};
use loxley::{Builder, Runtime, create_task, gather, timeout};
use loxley_ecosystem::local::{Outcome, serve};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

const MS: Duration = Duration::from_millis(1);

/// Both flavours, one after the other; nothing is left at the end.
fn run<F: Future<Output = Outcome>>(test: impl Fn() -> F) -> Outcome {
    let flavours: [fn(Builder) -> Builder; 2] =
        [|knobs| knobs.worker_threads(2), Builder::current_thread];
    for flavour in flavours {
        let knobs = Runtime::builder().tokio_context(true);
        let runtime = flavour(knobs).build()?;
        runtime.block_on(async { timeout(MS * 30_000, test()).await })??;
        let report = runtime.shutdown_timeout(MS * 5000);
        assert!(report.is_clean(), "{report}");
    }
    Ok(())
}

#[test]
fn reqwest_asks_our_server() -> Outcome {
    run(async || {
        let double = async |Json(number): Json<i64>| Json(json!({ "double": number * 2 }));
        let addr = serve(Router::new().route("/", post(double))).await?;
        let client = reqwest::Client::new();
        let requests = (0..20_i64).map(|number| {
            let request = client.post(format!("http://{addr}/")).json(&number);
            async move { request.send().await?.json::<serde_json::Value>().await }
        });
        for (number, answer) in (0..).zip(gather(requests).await?) {
            assert_eq!(answer?["double"], number * 2);
        }
        Ok(())
    })
}

#[test]
fn tokios_sockets_and_timers_work_in_our_tasks() -> Outcome {
    run(async || {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let addr = listener.local_addr()?;
        let echo = create_task(async move {
            let (mut stream, _) = listener.accept().await?;
            let (mut reader, mut writer) = stream.split();
            tokio::io::copy(&mut reader, &mut writer).await
        });
        let mut stream = TcpStream::connect(addr).await?;
        stream.write_all(b"hello").await?;
        stream.shutdown().await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        assert_eq!((&answer[..], echo.await??), (&b"hello"[..], 5));

        let never = tokio::time::timeout(MS, pending::<()>());
        assert!(create_task(never).await?.is_err());
        Ok(())
    })
}

#[test]
fn what_tokio_spawns_runs_and_can_be_awaited() -> Outcome {
    run(async || {
        let name = || std::thread::current().name().map(str::to_owned);
        let there = create_task(async move { tokio::spawn(async move { name() }).await });
        assert_eq!(there.await??.as_deref(), Some("loxley-tokio"));
        let blocking = tokio::task::spawn_blocking(|| 6 * 7);
        assert_eq!(blocking.await?, 42);
        Ok(())
    })
}

#[test]
fn without_the_knob_there_is_no_context() -> Outcome {
    let runtime = Runtime::builder().worker_threads(1).build()?;
    let inside = async || tokio::runtime::Handle::try_current().is_ok();
    assert!(!runtime.block_on(inside()));
    assert!(!runtime.block_on(create_task_in(&runtime, inside()))?);
    Ok(())
}

fn create_task_in<F>(runtime: &Runtime, future: F) -> loxley::Task<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    runtime.handle().create_task(future)
}
