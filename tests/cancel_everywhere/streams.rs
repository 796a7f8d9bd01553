//! Streams, servers and child processes: swept in their own crates, with their own doubles.
//!
//! | file | futures | held by |
//! |---|---|---|
//! | `io/src/streams/connect.rs` | `open_connection, connect` | `[io/tests/streams_connect.rs] a_connect_given_up_at_any_point_leaves_no_socket` |
//! | `io/src/streams/connect.rs` | `open_unix_connection` | `a_conversation_over_a_path_given_up_leaves_nothing` |
//! | `io/src/streams/flush.rs` | `Flight` | `[io/tests/streams_writer.rs] a_drain_given_up_at_any_point_loses_nothing` |
//! | `io/src/streams/reader.rs` | `read, read_into, read_to_end, readexactly, readuntil, readline` | `[io/tests/streams_reader.rs] a_read_given_up_at_any_point_loses_nothing` |
//! | `io/src/streams/reader.rs` | `next` | `a_conversation_over_a_path_given_up_leaves_nothing` |
//! | `io/src/streams/writer.rs` | `drain, wait_closed` | `[io/tests/streams_writer.rs] a_drain_given_up_at_any_point_loses_nothing` |
//! | `io/src/streams/tls/knobs.rs` | `start_tls` | `[io/tests/tls_upgrade.rs] an_upgrade_given_up_before_it_begins_changes_nothing_and_later_closes_the_connection` |
//! | `io/src/stdio/mod.rs` | `read` | `[io/tests/stdio.rs] a_read_given_up_takes_nothing` |
//! | `io/src/stdio/mod.rs` | `write, write_all` | `[io/tests/stdio.rs] a_write_given_up_leaves_the_stream_to_others` |
//! | `io/src/streams/server/builder.rs` | `start_server, start_unix_server, start` | `[io/tests/streams_server.rs] a_server_given_up_at_any_point_leaves_nothing_bound, a_conversation_over_a_path_given_up_leaves_nothing` |
//! | `io/src/streams/server/mod.rs` | `serve_forever, serving, wait_closed` | `a_server_given_up_while_it_serves_is_closed` |
//! | `process/src/options.rs` | `spawn` | `[process/tests/cancel_everywhere.rs] a_spawn_given_up_leaves_no_child` |
//! | `process/src/process.rs` | `wait` | `[process/tests/cancel_everywhere.rs] a_wait_given_up_leaves_the_child_and_the_others_who_wait` |
//! | `process/src/process.rs` | `communicate` | `[process/tests/cancel_everywhere.rs] a_talk_given_up_loses_no_byte_of_either_side` |
//! | `process/src/process.rs` | `terminate_then_kill` | `[process/tests/cancel_everywhere.rs] an_escalation_given_up_has_asked_politely_and_no_more` |

use std::fs;
use std::sync::Arc;

use super::{run, soon, sweep, turns};
use loxley::{
    Server, StreamReader, StreamWriter, create_task, open_connection, open_unix_connection,
    start_server, start_unix_server,
};

/// Sends back each line, until there is none.
async fn echo(mut reader: StreamReader, writer: StreamWriter) {
    while let Ok(line) = reader.readline().await {
        if line.is_empty() {
            break;
        }
        writer.write(&line);
        if writer.drain().await.is_err() {
            break;
        }
    }
    writer.close();
}

#[test]
fn a_conversation_over_a_path_given_up_leaves_nothing() {
    run(async || {
        let path = std::env::temp_dir().join(format!("loxley-talk-{}", std::process::id()));
        sweep(
            || {
                let path = path.clone();
                let future = async move {
                    let server = start_unix_server(echo, &path).await.expect("it serves");
                    let (mut reader, writer) =
                        open_unix_connection(&path).await.expect("it listens");
                    writer.write(b"one\ntwo\n");
                    writer.drain().await.expect("sent");
                    let mut lines = reader.lines();
                    for expected in [b"one\n", b"two\n"] {
                        let line = lines.next().await.expect("read").expect("a line");
                        assert_eq!(line.trim_ascii_end(), expected.trim_ascii_end());
                    }
                    writer.close();
                    writer.wait_closed().await.expect("closed");
                    server.close();
                    server.wait_closed().await;
                };
                (future, ())
            },
            async |()| (),
        )
        .await;
        let _ = fs::remove_file(&path);
    });
}

#[test]
fn a_server_given_up_while_it_serves_is_closed() {
    run(async || {
        for for_ever in [false, true] {
            sweep(
                || {
                    let future = async move {
                        let server: Server =
                            start_server(echo, "127.0.0.1:0").await.expect("it serves");
                        let server = Arc::new(server);
                        let addr = server.local_addr().expect("bound");
                        let talks = async move || {
                            let (mut reader, writer) =
                                open_connection(addr).await.expect("connected");
                            writer.write(b"hello\n");
                            assert_eq!(reader.readline().await.expect("read"), b"hello\n");
                            writer.close();
                            writer.wait_closed().await.expect("closed");
                        };
                        if for_ever {
                            let closer = server.clone();
                            drop(create_task(async move {
                                turns().await;
                                closer.close();
                            }));
                            let _ = server.serve_forever().await;
                        } else {
                            server.serving(talks()).await.expect("it serves");
                        }
                        server.close();
                        server.wait_closed().await;
                    };
                    (future, soon(|| ()))
                },
                async |task| task.await.unwrap(),
            )
            .await;
        }
    });
}
