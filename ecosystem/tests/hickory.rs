//! hickory-resolver over our sockets, asking a small name server of our own: over UDP, and over TCP when an answer does not
//! fit into a datagram.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use hickory_resolver::Resolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig};
use hickory_resolver::proto::op::{Message, OpCode, ResponseCode};
use hickory_resolver::proto::rr::rdata::A;
use hickory_resolver::proto::rr::{RData, Record};
use loxley::{TcpListener, UdpSocket, create_task};
use loxley_ecosystem::dns::Dns;
use loxley_ecosystem::local::Outcome;

const HOME: Ipv4Addr = Ipv4Addr::LOCALHOST;

/// Knows `home.test.` and `long.test.`, which has many addresses.
fn answer(question: &[u8], is_udp: bool) -> Outcome<Vec<u8>> {
    let question = Message::from_vec(question)?;
    let mut answer = Message::response(question.metadata.id, OpCode::Query);
    for query in &question.queries {
        answer.add_query(query.clone());
        let count = match query.name().to_string().as_str() {
            "home.test." => 1,
            "long.test." => 200,
            _ => {
                answer.metadata.response_code = ResponseCode::NXDomain;
                0
            }
        };
        for last in 0..count {
            let address = RData::A(A::new(192, 0, 2, last));
            answer.add_answer(Record::from_rdata(query.name().clone(), 60, address));
        }
    }
    let bytes = answer.to_vec()?;
    if is_udp && bytes.len() > 512 {
        return Ok(answer.truncate().to_vec()?);
    }
    Ok(bytes)
}

/// A name server on one port of both kinds; the number of connections that were made to it.
async fn name_server() -> Outcome<(u16, Arc<AtomicUsize>)> {
    let tcp = TcpListener::bind((HOME, 0)).await?;
    let port = tcp.local_addr()?.port();
    let udp = UdpSocket::bind((HOME, port)).await?;
    drop(create_task(async move {
        let mut question = [0; 1500];
        loop {
            let (n, from) = udp.recv_from(&mut question).await?;
            udp.send_to(&answer(&question[..n], true)?, from).await?;
        }
        #[expect(unreachable_code, reason = "the type of the loop's errors")]
        Outcome::Ok(())
    }));
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = connections.clone();
    drop(create_task(async move {
        loop {
            let (stream, _) = tcp.accept().await?;
            counted.fetch_add(1, Ordering::Relaxed);
            drop(create_task(async move {
                loop {
                    let mut length = [0; 2];
                    stream.read_exact(&mut length).await?;
                    let mut question = vec![0; usize::from(u16::from_be_bytes(length))];
                    stream.read_exact(&mut question).await?;
                    let answer = answer(&question, false)?;
                    let length = u16::try_from(answer.len())?.to_be_bytes();
                    stream.write_all(&[&length, &answer[..]].concat()).await?;
                }
                #[expect(unreachable_code, reason = "the type of the loop's errors")]
                Outcome::Ok(())
            }));
        }
        #[expect(unreachable_code, reason = "the type of the loop's errors")]
        Outcome::Ok(())
    }));
    Ok((port, connections))
}

fn resolver(port: u16) -> Outcome<Resolver<Dns>> {
    let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
        connection.port = port;
        connection
    });
    let server = NameServerConfig::new(IpAddr::V4(HOME), true, connections.into());
    let config = ResolverConfig::from_parts(None, vec![], vec![server]);
    Ok(Resolver::builder_with_config(config, Dns).build()?)
}

#[loxley::test(worker_threads = 2)]
async fn names_are_looked_up_over_udp() -> Outcome {
    let (port, connections) = name_server().await?;
    let resolver = resolver(port)?;
    let lookups = (0..20).map(|_| resolver.ipv4_lookup("home.test."));
    for answer in futures_util::future::join_all(lookups).await {
        let found = answer?.answers().to_vec();
        assert_eq!(found.len(), 1);
    }
    assert_eq!(connections.load(Ordering::Relaxed), 0);
    Ok(())
}

#[loxley::test(worker_threads = 2)]
async fn an_answer_too_long_for_a_datagram_comes_over_tcp() -> Outcome {
    let (port, connections) = name_server().await?;
    let found = resolver(port)?.ipv4_lookup("long.test.").await?;
    assert_eq!(found.answers().len(), 200);
    assert_eq!(connections.load(Ordering::Relaxed), 1);
    Ok(())
}

#[loxley::test(worker_threads = 2)]
async fn a_name_that_is_not_there_is_an_error() -> Outcome {
    let (port, _) = name_server().await?;
    let resolver = resolver(port)?;
    let (one, other) = (
        resolver.ipv4_lookup("nowhere.test."),
        resolver.ipv4_lookup("elsewhere.test."),
    );
    let (one, other) = futures_util::future::join(one, other).await;
    assert!(one.is_err_and(|error| error.is_nx_domain()));
    assert!(other.is_err_and(|error| error.is_nx_domain()));
    Ok(())
}
