//! A server and its client over a wire that cuts what goes over it: the records are the same.

mod streams_support;
mod wire_support;

use loxley_io::streams::{ReadError, StreamReader, StreamWriter};
use loxley_io::{open_connection, start_server};
use streams_support::{each, pattern, same};
use wire_support::{CUTS, Cut, Fate, Wire};

/// A protocol with all kinds of records: a line that says how many bytes follow, these, and a mark of two bytes.
async fn serve(mut reader: StreamReader, writer: StreamWriter) -> Result<(), ReadError> {
    let mut lines = 0;
    loop {
        let line = reader.readline().await?;
        let text = String::from_utf8_lossy(&line);
        let Ok(count) = text.trim_end().parse() else {
            writer.write(format!("{lines} records\r\n").as_bytes());
            return Ok(());
        };
        let body = reader.readexactly(count).await?;
        assert_eq!(reader.readuntil(["\r\n", "\n\n"]).await?, b"\r\n");
        lines += 1;
        writer.writelines([format!("{count}\r\n").as_bytes(), &body, b"\r\n\r\n"]);
        writer.drain().await?;
    }
}

#[test]
fn records_over_a_server_are_the_same_however_the_wire_cuts_them() {
    each(|| async {
        let server = start_server(serve, "127.0.0.1:0").await.unwrap();
        for &cut in CUTS {
            let wire = Wire::to(server.local_addr().unwrap(), cut).await;
            let (mut reader, writer) = open_connection(wire.addr).await.unwrap();
            let bodies = [0, 1, 2, 700, 5000].map(pattern);
            for body in &bodies {
                writer.write(format!("{}\r\n", body.len()).as_bytes());
                writer.write(body);
                writer.write(b"\r\n");
            }
            writer.write(b"done\n");
            for body in &bodies {
                assert_eq!(
                    reader.readline().await.unwrap(),
                    format!("{}\r\n", body.len()).as_bytes()
                );
                same(&reader.readexactly(body.len()).await.unwrap(), body);
                assert_eq!(reader.readuntil("\r\n\r\n").await.unwrap(), b"\r\n\r\n");
            }
            assert_eq!(reader.read_to_end().await.unwrap(), b"5 records\r\n");
            writer.close();
            writer.wait_closed().await.unwrap();
        }
        server.close();
        server.wait_closed().await;
    });
}

#[test]
fn a_record_that_is_cut_off_is_incomplete_wherever_the_wire_ends() {
    streams_support::each_reporting(|reports| async move {
        let server = start_server(serve, "127.0.0.1:0").await.unwrap();
        let record = b"3\r\nabc\r\n";
        for cut_after in 1..record.len() {
            let wire = Wire::to(server.local_addr().unwrap(), Cut::Whole).await;
            let (mut reader, writer) = open_connection(wire.addr).await.unwrap();
            wire.to_server.set(Fate::CutAfter(cut_after));
            writer.write(record);
            // Whatever the server says of it, it says no more than a beginning of the answer, and the connection ends.
            let got = reader.read_to_end().await.unwrap_or_default();
            assert!(b"0 records\r\n".starts_with(&got), "{got:?}");
        }
        server.close();
        server.wait_closed().await;
        for report in reports.list() {
            assert!(report.contains("127.0.0.1"), "{report}");
        }
    });
}
