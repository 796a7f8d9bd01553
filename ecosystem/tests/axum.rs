//! An axum `Router` through `http::serve`: paths, JSON, shared state, our timeout layer, the end in good order.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::extract::{Path, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use http_body_util::{BodyExt as _, Full};
use hyper::StatusCode;
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use loxley::http::{self, Executor, TimeoutLayer, Timer};
use loxley::{Event, create_task, sleep};
use loxley_ecosystem::connector::Connector;
use loxley_ecosystem::local::{Outcome, serve};
use serde_json::{Value, json};

fn router() -> Router {
    let visits = Arc::new(AtomicUsize::new(0));
    let hello = async |State(visits): State<Arc<AtomicUsize>>, Path(name): Path<String>| {
        let visit = visits.fetch_add(1, Ordering::Relaxed) + 1;
        Json(json!({ "hello": name, "visit": visit }))
    };
    let sum = async |Json(numbers): Json<Vec<i64>>| Json(numbers.iter().sum::<i64>());
    Router::new()
        .route("/hello/{name}", get(hello))
        .route("/sum", post(sum))
        .route("/slow", get(async || sleep(Duration::from_secs(60)).await))
        .layer(TimeoutLayer::new(Duration::from_millis(50)))
        .with_state(visits)
}

async fn exercise(client: &Client<Connector, Full<Bytes>>, base: &str) -> Outcome {
    let response = client.get(format!("{base}/hello/you").parse()?).await?;
    let body = response.into_body().collect().await?.to_bytes();
    let hello: Value = serde_json::from_slice(&body)?;
    assert_eq!(hello["hello"], "you");

    let request = hyper::Request::post(format!("{base}/sum"))
        .header("content-type", "application/json")
        .body(Full::from("[1, 2, 39]"))?;
    let body = client.request(request).await?.into_body();
    assert_eq!(body.collect().await?.to_bytes(), "42");

    let late = client.get(format!("{base}/slow").parse()?).await?;
    assert_eq!(late.status(), StatusCode::SERVICE_UNAVAILABLE);
    Ok(())
}

#[loxley::test(worker_threads = 2)]
async fn a_router_over_http1() -> Outcome {
    let addr = serve(router()).await?;
    let client = Client::builder(Executor).pool_timer(Timer).build(Connector);
    exercise(&client, &format!("http://{addr}")).await
}

#[loxley::test(worker_threads = 2)]
async fn a_router_over_http2() -> Outcome {
    let addr = serve(router()).await?;
    let client = Client::builder(Executor).http2_only(true).build(Connector);
    exercise(&client, &format!("http://{addr}")).await
}

#[loxley::test(worker_threads = 2)]
async fn a_router_answers_what_has_begun_and_ends() -> Outcome {
    let (begun, stop) = (Arc::new(Event::new()), Arc::new(Event::new()));
    let (begins, stopping) = (begun.clone(), stop.clone());
    let last = async move || {
        begins.set();
        stopping.wait().await;
        "the last one"
    };
    let server = http::serve("127.0.0.1:0", Router::new().route("/", get(last)));
    let stopping = stop.clone();
    let server = server.with_graceful_shutdown(async move { stopping.wait().await });
    let server = server.bind().await?;
    let uri = format!("http://{}/", server.local_addr()).parse()?;
    let server = create_task(server);

    let client = Client::builder(Executor).build::<_, Full<Bytes>>(Connector);
    let answer = create_task(client.get(uri));
    begun.wait().await;
    stop.set();
    let body = answer.await??.into_body().collect().await?.to_bytes();
    assert_eq!(body, "the last one");
    assert_eq!(server.await??.dropped, 0);
    Ok(())
}
