//! gRPC with tonic, without its Tokio-bound `transport`: services are a `Routes` for `http::serve`, a client is a service
//! over hyper's HTTP/2 connection. The service is gRPC's own health check, whose generated code comes in a crate; one made
//! by `tonic-prost-build` plugs in the same way.

use std::net::SocketAddr;

use loxley::gather;
use loxley_ecosystem::grpc::Channel;
use loxley_ecosystem::local::{Outcome, serve};
use tonic::service::Routes;
use tonic::{Code, Request};
use tonic_health::ServingStatus;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

async fn connect(addr: SocketAddr) -> Outcome<HealthClient<Channel>> {
    let channel = Channel::connect(&addr.to_string()).await?;
    let origin = format!("http://{addr}").parse()?;
    Ok(HealthClient::with_origin(channel, origin))
}

fn check(service: &str) -> Request<HealthCheckRequest> {
    Request::new(HealthCheckRequest {
        service: service.to_owned(),
    })
}

#[loxley::test(worker_threads = 2)]
async fn unary_calls_are_answered_and_errors_have_their_code() -> Outcome {
    let (reporter, health) = tonic_health::server::health_reporter();
    reporter
        .set_service_status("shop", ServingStatus::NotServing)
        .await;
    let addr = serve(Routes::new(health)).await?;

    let mut client = connect(addr).await?;
    let answer = client.check(check("")).await?.into_inner();
    assert_eq!(answer.status(), ServingStatus::Serving.into());
    let answer = client.check(check("shop")).await?.into_inner();
    assert_eq!(answer.status(), ServingStatus::NotServing.into());
    let refused = client.check(check("nowhere")).await.unwrap_err();
    assert_eq!(refused.code(), Code::NotFound);
    Ok(())
}

#[loxley::test(worker_threads = 2)]
async fn calls_share_one_connection() -> Outcome {
    let (_reporter, health) = tonic_health::server::health_reporter();
    let addr = serve(Routes::new(health)).await?;
    let client = connect(addr).await?;
    let calls = (0..100).map(|_| {
        let mut client = client.clone();
        async move { client.check(check("")).await.map(|_| ()) }
    });
    for answer in gather(calls).await? {
        answer?;
    }
    Ok(())
}

#[loxley::test(worker_threads = 2)]
async fn a_stream_brings_news_as_they_happen() -> Outcome {
    let (reporter, health) = tonic_health::server::health_reporter();
    let addr = serve(Routes::new(health)).await?;
    let mut client = connect(addr).await?;
    let mut news = client.watch(check("")).await?.into_inner();
    let first = news.message().await?.ok_or("the stream ends")?;
    assert_eq!(first.status(), ServingStatus::Serving.into());
    reporter
        .set_service_status("", ServingStatus::NotServing)
        .await;
    let second = news.message().await?.ok_or("the stream ends")?;
    assert_eq!(second.status(), ServingStatus::NotServing.into());
    Ok(())
}
