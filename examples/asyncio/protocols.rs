//! Transports and protocols: what their callbacks print, over streams and sockets. There are no protocol classes: a
//! connection is a task, `connection_made` is where it begins, `data_received` is a read, `connection_lost` is its
//! end.

use std::io;
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use loxley::process::Stdio;
use loxley::{
    StreamReader, StreamWriter, TcpStream, UdpSocket, create_subprocess_exec, create_task, sleep,
    start_server,
};

use crate::argument;

fn address() -> String {
    argument(1).unwrap_or_else(|| "127.0.0.1:8888".to_owned())
}

/// Example 55. TCP echo server.
pub(crate) async fn tcp_echo_server() -> io::Result<()> {
    async fn connection(mut reader: StreamReader, writer: StreamWriter) -> io::Result<()> {
        println!("Connection from {}", writer.peer_addr()?);
        let data = reader.read(1024).await?;
        let message = String::from_utf8_lossy(&data);
        println!("Data received: '{message}'");
        println!("Send: '{message}'");
        writer.write(&data);
        println!("Close the client socket");
        writer.close();
        writer.wait_closed().await
    }
    let server = start_server(connection, address()).await?;
    for socket in server.sockets() {
        println!("Serving on {socket}");
    }
    match server.serve_forever().await? {}
}

/// Example 56. TCP echo client, on a bare socket.
pub(crate) async fn tcp_echo_client() -> io::Result<()> {
    let message = "Hello World!";
    let stream = TcpStream::connect(address()).await?;
    stream.write_all(message.as_bytes()).await?;
    println!("Data sent: '{message}'");
    let mut data = [0; 1024];
    loop {
        match stream.read(&mut data).await? {
            0 => break,
            n => println!("Data received: '{}'", String::from_utf8_lossy(&data[..n])),
        }
    }
    println!("The server closed the connection");
    Ok(())
}

/// Example 57. UDP echo server, for an hour.
pub(crate) async fn udp_echo_server() -> io::Result<()> {
    println!("Starting UDP server");
    let socket = UdpSocket::bind(address()).await?;
    println!("Serving on {}", socket.local_addr()?);
    let mut data = [0; 1500];
    let serve = async {
        loop {
            let (n, addr): (usize, SocketAddr) = socket.recv_from(&mut data).await?;
            let message = String::from_utf8_lossy(&data[..n]);
            println!("Received '{message}' from {addr}");
            println!("Send '{message}' to {addr}");
            socket.send_to(&data[..n], addr).await?;
        }
    };
    loxley::timeout(Duration::from_secs(3600), serve)
        .await
        .unwrap_or(Ok(()))
}

/// Example 58. UDP echo client.
pub(crate) async fn udp_echo_client() -> io::Result<()> {
    let message = "Hello World!";
    let socket = UdpSocket::bind("127.0.0.1:0").await?;
    socket.connect(address()).await?;
    println!("Send: {message}");
    socket.send(message.as_bytes()).await?;
    let mut data = [0; 1500];
    let n = socket.recv(&mut data).await?;
    println!("Received: {}", String::from_utf8_lossy(&data[..n]));
    println!("Close the socket");
    drop(socket);
    println!("Connection closed");
    Ok(())
}

/// Example 59. A socket that is there already.
pub(crate) async fn existing_socket() -> io::Result<()> {
    let (rsock, wsock) = UnixStream::pair()?;
    let rsock = loxley::UnixStream::from_std(rsock)?;
    drop(create_task(async move {
        // Simulate the reception of data from the network.
        sleep(Duration::from_millis(10)).await;
        io::Write::write_all(&mut &wsock, b"abc")
    }));
    let mut data = [0; 100];
    let n = rsock.read(&mut data).await?;
    println!("Received: {}", String::from_utf8_lossy(&data[..n]));
    Ok(())
}

/// Example 60. A child: its output to the end, and its own end; these two come in any order, and both are waited for.
pub(crate) async fn subprocess_date() -> io::Result<()> {
    let mut child = create_subprocess_exec("date", ["+%Y-%m-%d %H:%M:%S"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .await?;
    let mut stdout = child.stdout.take().expect("it is piped");
    let pipe_connection_lost = stdout.read_to_end().await?;
    let process_exited = child.wait().await?;
    assert_eq!(process_exited, 0);
    println!(
        "Current date: {}",
        String::from_utf8_lossy(&pipe_connection_lost).trim_end()
    );
    Ok(())
}

/// Example 61. The socket under a stream, for an option that has no method.
pub(crate) async fn extra_info_socket() -> io::Result<()> {
    let server = start_server(|_, _| async {}, "127.0.0.1:0").await?;
    let addr = server.local_addr().expect("it listens");
    let (_reader, writer) = loxley::open_connection(addr).await?;
    if let Some(socket) = writer.socket() {
        println!("{:?}", rustix::net::sockopt::socket_type(socket)?);
    }
    Ok(())
}
