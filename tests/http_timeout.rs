//! The timeout layer: in front of an axum router, with the clock in our hands.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use axum::routing::get;
use loxley::http::TimeoutLayer;
use loxley::{Event, catch_cancelled, sleep, testing};
use tower_service::Service as _;

const SECOND: Duration = Duration::from_secs(1);

/// A handler that is asked to stop says so before it goes.
fn router(layer: TimeoutLayer, cleaned: Arc<Event>) -> Router {
    let slow = async move || {
        if let Err(error) = catch_cancelled(sleep(SECOND * 60)).await {
            sleep(SECOND).await;
            cleaned.set();
            error.reraise().await;
        }
    };
    let router = Router::new()
        .route("/quick", get(async || "quick"))
        .route("/slow", get(slow));
    router.layer(layer)
}

async fn status(router: &mut Router, path: &str) -> StatusCode {
    let request = Request::builder().uri(path).body(Body::empty());
    let answer = router.call(request.expect("a request")).await;
    answer.expect("a router does not fail").status()
}

#[loxley::test(start_paused = true, leak_check = true)]
async fn an_answer_in_time_goes_through() {
    let mut router = router(TimeoutLayer::new(SECOND), Arc::default());
    assert_eq!(status(&mut router, "/quick").await, StatusCode::OK);
}

#[loxley::test(start_paused = true, leak_check = true)]
async fn a_late_answer_is_replaced_once_the_handler_has_cleaned_up() {
    let cleaned = Arc::new(Event::new());
    let mut router = router(TimeoutLayer::new(SECOND), cleaned.clone());
    let begun = loxley::lowlevel::now();
    assert_eq!(
        status(&mut router, "/slow").await,
        StatusCode::SERVICE_UNAVAILABLE
    );
    assert!(cleaned.is_set());
    let took = loxley::lowlevel::now() - begun;
    assert!(took >= SECOND * 2 && took < SECOND * 3, "{took:?}");
}

#[loxley::test(start_paused = true, leak_check = true)]
async fn the_status_is_the_users_choice() {
    let layer = TimeoutLayer::new(SECOND).status(StatusCode::GATEWAY_TIMEOUT);
    let mut router = router(layer, Arc::default());
    assert_eq!(
        status(&mut router, "/slow").await,
        StatusCode::GATEWAY_TIMEOUT
    );
}

#[loxley::test(start_paused = true, leak_check = true)]
async fn an_answer_can_be_dropped_and_cancelled_at_every_wait() {
    let scenario = || {
        let mut router = router(TimeoutLayer::new(SECOND), Arc::default());
        let answer = async move { status(&mut router, "/slow").await };
        (answer, ())
    };
    let dropped = testing::drop_at_every_pending(scenario, |_, ()| async {}).await;
    let cancelled = testing::cancel_at_every_pending(scenario, |_, ()| async {}).await;
    assert!(dropped >= 2 && cancelled >= 2, "{dropped} {cancelled}");
}
