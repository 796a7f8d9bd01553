//! How a connection with TLS is left while bytes still come.
#![cfg(feature = "tls")]

mod streams_support;
mod tls_support;

use std::time::Duration;

use loxley_io::streams::from_tcp;
use loxley_runtime::create_task;
use streams_support::{each, pattern, same, tcp_pair};
use tls_support::both;

/// Longer than any test takes.
const FOR_EVER: Duration = Duration::from_secs(3_600);

#[test]
fn a_close_with_records_in_hand_loses_no_place_in_the_stream() {
    each(|| async {
        let (client_tls, server_tls) = both();
        let (ours, theirs) = tcp_pair().await;
        let served = create_task(async move {
            let (mut reader, writer) = from_tcp(theirs);
            writer.start_tls(&mut reader, server_tls).await.unwrap();
            writer.write(&pattern(1 << 20));
            assert_eq!(reader.read_to_end().await.unwrap(), b"");
            // The end of the session behind all that: it has to be understood for the client to be done.
            writer.close();
            writer.wait_closed().await.unwrap();
        });
        let (mut reader, writer) = from_tcp(ours);
        let tls = client_tls.shutdown_timeout(FOR_EVER);
        writer.start_tls(&mut reader, tls).await.unwrap();
        // Much at once, until much is asked for; then little, so that some of it stays unopened.
        let mut got = reader.readexactly(300_000).await.unwrap();
        for _ in 0..300 {
            got.extend(reader.read(1_100).await.unwrap());
        }
        same(&got, &pattern(1 << 20)[..got.len()]);
        writer.close();
        writer.wait_closed().await.unwrap();
        served.await.unwrap();
    });
}
