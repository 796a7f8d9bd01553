//! redis over our `TcpStream`, against a real server.

use std::time::Duration;

use loxley::{TcpStream, create_task, gather, timeout};
use loxley_ecosystem::local::{self, Outcome};
use redis::aio::MultiplexedConnection;
use redis::{AsyncCommands as _, AsyncConnectionConfig, RedisConnectionInfo};

/// One connection for any number of tasks.
///
/// Its own limit on answers would count on Tokio's timers and is switched off: [`timeout`] takes its place.
async fn connect(addr: &str) -> Outcome<MultiplexedConnection> {
    let stream = TcpStream::connect(addr).await?;
    stream.set_nodelay(true)?;
    let config = AsyncConnectionConfig::new().set_response_timeout(None);
    let info = RedisConnectionInfo::default();
    let (client, driver) = MultiplexedConnection::new_with_config(&info, stream, config).await?;
    drop(create_task(driver));
    Ok(client)
}

#[loxley::test(worker_threads = 2)]
async fn what_is_set_can_be_got() -> Outcome {
    let Some(addr) = local::server("LOXLEY_REDIS") else {
        return Ok(());
    };
    let mut client = connect(&addr).await?;
    let value = "x".repeat(1 << 20);
    let _: () = client.set("large", &value).await?;
    assert!(client.get::<_, String>("large").await? == value);
    assert_eq!(client.get::<_, Option<String>>("nothing").await?, None);
    Ok(())
}

#[loxley::test(worker_threads = 2)]
async fn commands_of_many_tasks_go_down_one_connection() -> Outcome {
    let Some(addr) = local::server("LOXLEY_REDIS") else {
        return Ok(());
    };
    let client = connect(&addr).await?;
    let steps = (0..100).map(|_| {
        let mut client = client.clone();
        async move { client.incr::<_, _, i64>("many", 1).await }
    });
    let mut counts = gather(steps)
        .await?
        .into_iter()
        .collect::<Result<Vec<_>, _>>()?;
    counts.sort_unstable();
    assert!(counts.windows(2).all(|pair| pair[1] == pair[0] + 1));
    Ok(())
}

#[loxley::test(worker_threads = 2)]
async fn an_answer_that_does_not_come_is_given_up() -> Outcome {
    let Some(addr) = local::server("LOXLEY_REDIS") else {
        return Ok(());
    };
    let mut client = connect(&addr).await?;
    let never = client.blpop::<_, Option<(String, String)>>("empty", 0.0);
    assert!(timeout(Duration::from_millis(20), never).await.is_err());
    Ok(())
}
