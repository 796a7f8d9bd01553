//! A process without descriptors left: alone in its file, because the limit is that of the whole process.

use std::fs::File;
use std::io;
use std::net::Shutdown;
use std::time::Duration;

use loxley_io::{UnixStream, copy_bidirectional};
use loxley_runtime::{Runtime, timeout};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

#[test]
fn without_descriptors_for_a_pipe_the_bytes_go_through_a_buffer() {
    let runtime = Runtime::builder()
        .worker_threads(1)
        .build()
        .expect("a runtime");
    let main = async {
        let (client, mut front) = UnixStream::pair().expect("a pair");
        let (mut back, server) = UnixStream::pair().expect("a pair");
        client.write_all(b"question").await.expect("written");
        client.shutdown(Shutdown::Write).expect("shut down");
        server.write_all(b"answer").await.expect("written");
        server.shutdown(Shutdown::Write).expect("shut down");
        let limit = getrlimit(Resource::Nofile);
        let lowered = Rlimit {
            current: Some(64),
            ..limit
        };
        setrlimit(Resource::Nofile, lowered).expect("lowered");
        let mut hoard = Vec::new();
        while let Ok(file) = File::open("/dev/null") {
            hoard.push(file);
        }
        loxley_io::pipe().expect_err("no descriptors");
        let copied = copy_bidirectional(&mut front, &mut back).await;
        drop(hoard);
        assert_eq!(copied.expect("copied"), (8, 6));
        let mut bytes = [0; 16];
        assert_eq!(server.read(&mut bytes).await.expect("read"), 8);
        assert_eq!(client.read(&mut bytes).await.expect("read"), 6);
        io::Result::Ok(())
    };
    runtime
        .block_on(async { timeout(Duration::from_secs(30), main).await })
        .expect("the test hangs")
        .expect("no error");
}
