//! As much of NATS as a pool of workers needs: <https://docs.nats.io/reference/reference-protocols/nats-protocol> is lines of
//! text, so our streams are enough. The crate `async-nats` has everything else, and wants `Builder::tokio_context`.

use std::io;

use loxley::{StreamReader, StreamWriter, open_connection};

/// What came on a subject.
#[derive(Debug)]
pub struct Message {
    /// Where it was sent to.
    pub subject: String,
    /// Where the sender wants the answer, if it wants one.
    pub reply: Option<String>,
    /// What was sent.
    pub payload: String,
}

/// What comes in.
#[derive(Debug)]
pub struct Messages {
    reader: StreamReader,
    client: Client,
}

/// What goes out; its clones share a connection.
#[derive(Clone, Debug)]
pub struct Client(StreamWriter);

/// Connects and subscribes to `what`: a subject, with `*` for any word of it, and the name of a group if one of several
/// members is to get each message.
///
/// # Errors
///
/// Those of the connection, or the server's word.
pub async fn subscribe(addr: &str, what: &str) -> io::Result<(Messages, Client)> {
    let (mut reader, writer) = open_connection(addr).await?;
    reader.readline().await?; // What the server can do; we need nothing special.
    let hello = format!("CONNECT {{\"verbose\":false}}\r\nSUB {what} 1\r\nPING\r\n");
    writer.write(hello.as_bytes());
    let answer = reader.readline().await?;
    if answer != b"PONG\r\n" {
        return Err(said(&answer));
    }
    let client = Client(writer);
    let messages = Messages {
        reader,
        client: client.clone(),
    };
    Ok((messages, client))
}

fn said(line: &[u8]) -> io::Error {
    let line = String::from_utf8_lossy(line.trim_ascii());
    io::Error::other(format!("the NATS server said {line:?}"))
}

impl Messages {
    /// The next message; none at the end of the connection, and after [`Client::unsubscribe`] when the last has come.
    ///
    /// # Errors
    ///
    /// Those of the connection, or the server's word.
    pub async fn next(&mut self) -> io::Result<Option<Message>> {
        loop {
            let line = self.reader.readline().await?;
            let text = String::from_utf8_lossy(&line);
            let (subject, reply, length) = match text.split_whitespace().collect::<Vec<_>>()[..] {
                [] | ["PONG"] => return Ok(None),
                ["PING"] => {
                    self.client.0.write(b"PONG\r\n");
                    continue;
                }
                ["MSG", subject, _, length] => (subject, None, length),
                ["MSG", subject, _, reply, length] => (subject, Some(reply.to_owned()), length),
                _ => return Err(said(&line)),
            };
            let length: usize = length.parse().map_err(io::Error::other)?;
            let mut payload = self.reader.readexactly(length + 2).await?;
            payload.truncate(length);
            return Ok(Some(Message {
                subject: subject.to_owned(),
                reply,
                payload: String::from_utf8(payload).map_err(io::Error::other)?,
            }));
        }
    }
}

impl Client {
    /// Sends to a subject; the answer is wanted on `reply`, if that is not empty. Only queues.
    pub fn publish(&self, subject: &str, reply: &str, payload: &str) {
        let head = format!("PUB {subject} {reply} {}\r\n", payload.len());
        self.0.writelines([head.as_str(), payload, "\r\n"]);
    }

    /// Nothing new is to come: what the server has sent already is the last.
    pub fn unsubscribe(&self) {
        self.0.write(b"UNSUB 1\r\nPING\r\n");
    }

    /// Closes the connection, once what was published is on its way.
    ///
    /// # Errors
    ///
    /// Those of the connection.
    pub async fn close(&self) -> io::Result<()> {
        self.0.close();
        self.0.wait_closed().await
    }
}
