//! tokio-tungstenite over our `TcpStream`: an echo, both ends ours.

use futures_util::{SinkExt as _, StreamExt as _};
use loxley::{TcpListener, TcpStream, create_task, gather};
use loxley_ecosystem::local::Outcome;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{accept_async, client_async};

/// Sends back every message until both have said goodbye.
async fn echo(stream: TcpStream) -> Outcome {
    let mut socket = accept_async(stream).await?;
    while let Some(message) = socket.next().await {
        let message = message?;
        if message.is_text() || message.is_binary() {
            socket.send(message).await?;
        }
    }
    Ok(())
}

#[loxley::test(worker_threads = 2)]
async fn messages_come_back_as_they_were_sent() -> Outcome {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let addr = listener.local_addr()?;
    let server = create_task(async move { echo(listener.accept().await?.0).await });

    let stream = TcpStream::connect(addr).await?;
    let (mut socket, response) = client_async(format!("ws://{addr}/echo"), stream).await?;
    assert_eq!(response.status(), 101);
    for message in [
        Message::text("hello"),
        Message::binary(vec![]),
        Message::binary(vec![7; 1 << 20]),
    ] {
        socket.send(message.clone()).await?;
        assert_eq!(socket.next().await.ok_or("the echo ends")??, message);
    }
    socket.close(None).await?;
    while let Some(message) = socket.next().await {
        assert!(message?.is_close());
    }
    server.await?
}

#[loxley::test(worker_threads = 2)]
async fn one_end_sends_while_it_receives() -> Outcome {
    const COUNT: usize = 1000;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let addr = listener.local_addr()?;
    let server = create_task(async move { echo(listener.accept().await?.0).await });

    let stream = TcpStream::connect(addr).await?;
    let (socket, _) = client_async(format!("ws://{addr}/"), stream).await?;
    let (mut sink, mut messages) = socket.split();
    let send = async move {
        for number in 0..COUNT {
            sink.send(Message::text(number.to_string())).await?;
        }
        sink.close().await?;
        Outcome::Ok(())
    };
    let receive = async move {
        let mut received = 0;
        while let Some(message) = messages.next().await {
            match message? {
                Message::Text(text) => assert_eq!(text, received.to_string()),
                other => assert!(other.is_close(), "{other:?}"),
            }
            received += 1;
        }
        Outcome::Ok(received)
    };
    let (sent, received) = gather((send, receive)).await?;
    sent?;
    // And the goodbye.
    assert_eq!(received?, COUNT + 1);
    server.await?
}
