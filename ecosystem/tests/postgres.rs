//! tokio-postgres over our `TcpStream`, against a real server.

use loxley::{TcpStream, create_task};
use loxley_ecosystem::local::{self, Outcome};
use tokio_postgres::{Client, Config, NoTls};

/// `postgres://user@host:port/database`, as in the environment.
async fn connect(url: &str) -> Outcome<Client> {
    let config: Config = url.parse()?;
    let [tokio_postgres::config::Host::Tcp(host)] = config.get_hosts() else {
        return Err("one host, please".into());
    };
    let port = config.get_ports().first().copied().unwrap_or(5432);
    let stream = TcpStream::connect((host.clone(), port)).await?;
    stream.set_nodelay(true)?;
    let (client, connection) = config.connect_raw(stream, NoTls).await?;
    drop(create_task(connection));
    Ok(client)
}

#[loxley::test(worker_threads = 2)]
async fn rows_come_back_as_they_were_put_in() -> Outcome {
    let Some(url) = local::server("LOXLEY_POSTGRES") else {
        return Ok(());
    };
    let mut client = connect(&url).await?;
    client
        .batch_execute("CREATE TEMPORARY TABLE pages (id INT, body TEXT)")
        .await?;
    let transaction = client.transaction().await?;
    let insert = transaction
        .prepare("INSERT INTO pages VALUES ($1, $2)")
        .await?;
    for id in 0..100 {
        let body = "x".repeat(usize::try_from(id)? * 100);
        transaction.execute(&insert, &[&id, &body]).await?;
    }
    transaction.commit().await?;
    let row = client
        .query_one("SELECT count(*), max(length(body)) FROM pages", &[])
        .await?;
    assert_eq!((row.get::<_, i64>(0), row.get::<_, i32>(1)), (100, 9900));
    Ok(())
}

#[loxley::test(worker_threads = 2)]
async fn queries_of_many_tasks_go_down_one_connection() -> Outcome {
    let Some(url) = local::server("LOXLEY_POSTGRES") else {
        return Ok(());
    };
    let client = connect(&url).await?;
    let queries = (0..100).map(|number: i32| {
        let client = &client;
        async move { client.query_one("SELECT $1 * 2", &[&number]).await }
    });
    for (number, row) in (0..).zip(futures_util::future::join_all(queries).await) {
        assert_eq!(row?.get::<_, i32>(0), number * 2);
    }
    Ok(())
}

#[loxley::test(worker_threads = 2)]
async fn an_error_names_what_is_wrong_and_the_connection_goes_on() -> Outcome {
    let Some(url) = local::server("LOXLEY_POSTGRES") else {
        return Ok(());
    };
    let client = connect(&url).await?;
    let error = client.query("SELECT * FROM nowhere", &[]).await;
    let error = error.expect_err("there is no such table");
    assert!(format!("{error:?}").contains("nowhere"), "{error:?}");
    let (one, two) = (
        client.query_one("SELECT 1", &[]),
        client.query_one("SELECT 2", &[]),
    );
    let (one, two) = futures_util::future::join(one, two).await;
    assert_eq!(one?.get::<_, i32>(0) + two?.get::<_, i32>(0), 3);
    Ok(())
}
