//! sqlx's pool, against a real server. Its `runtime-smol` runs under any executor: sockets and timers are smol's, on a thread
//! of their own, and the tasks that use them are ours.

use loxley::gather;
use loxley_ecosystem::local::{self, Outcome};
use sqlx::postgres::{PgPool, PgPoolOptions};

async fn pool() -> Outcome<Option<PgPool>> {
    let Some(url) = local::server("LOXLEY_POSTGRES") else {
        return Ok(None);
    };
    let pool = PgPoolOptions::new().max_connections(4);
    Ok(Some(pool.connect(&url).await?))
}

#[loxley::test(worker_threads = 2)]
async fn tasks_share_a_pool() -> Outcome {
    let Some(pool) = pool().await? else {
        return Ok(());
    };
    let queries = (0..50).map(|number: i64| {
        let pool = pool.clone();
        async move {
            let query = sqlx::query_scalar::<_, i64>("SELECT $1 * 2").bind(number);
            query.fetch_one(&pool).await
        }
    });
    for (number, answer) in (0..).zip(gather(queries).await?) {
        assert_eq!(answer?, number * 2);
    }
    assert!(pool.size() <= 4);
    pool.close().await;
    Ok(())
}

#[loxley::test(worker_threads = 2)]
async fn a_transaction_that_is_dropped_leaves_nothing() -> Outcome {
    let Some(pool) = pool().await? else {
        return Ok(());
    };
    let mut connection = pool.acquire().await?;
    sqlx::query("CREATE TEMPORARY TABLE pages (id BIGINT)")
        .execute(&mut *connection)
        .await?;
    let mut transaction = sqlx::Connection::begin(&mut *connection).await?;
    sqlx::query("INSERT INTO pages VALUES (1)")
        .execute(&mut *transaction)
        .await?;
    drop(transaction);
    let left = sqlx::query_scalar::<_, i64>("SELECT count(*) FROM pages")
        .fetch_one(&mut *connection)
        .await?;
    assert_eq!(left, 0);
    drop(connection);
    pool.close().await;
    Ok(())
}
