//! Servers in random programs: whatever is done to them and to their clients, in whatever order, what must hold holds.
//!
//! `LOXLEY_PROGRAMS` says how many programs are run in place of a few, `LOXLEY_SEED` which is the first.

mod streams_support;

use std::env;
use std::fs;
use std::future::{Future, poll_fn};
use std::io;
use std::net::TcpListener as StdListener;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::panic::resume_unwind;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use loxley_io::streams::{Endpoint, ServeError, Server, ServerBuilder, StreamReader, StreamWriter};
use loxley_io::{TcpStream, UnixStream};
use loxley_runtime::{
    Runtime, Task, TaskRef, all_tasks, create_task, current_task, timeout, yield_now,
};
use loxley_sync::Event;
use streams_support::{Dice, until};

/// How long one program may take before it hangs.
const LIMIT: Duration = Duration::from_secs(30);

/// What the handlers of a program share with it.
#[derive(Default)]
struct World {
    server: Mutex<Option<Server>>,
    /// Connections whose handlers have returned.
    kept: Mutex<Vec<(StreamReader, StreamWriter)>>,
    release: Event,
    begun: AtomicUsize,
    ended: AtomicUsize,
    /// How many reports there must be, and were.
    owed: AtomicUsize,
    reported: AtomicUsize,
    log: Mutex<Vec<String>>,
}

impl World {
    fn say(&self, what: String) {
        self.log.lock().unwrap().push(what);
    }

    fn server(&self) -> Option<Server> {
        self.server.lock().unwrap().clone()
    }

    /// What nobody can count on any more.
    fn let_go(&self) {
        self.release.set();
        drop(std::mem::take(&mut *self.kept.lock().unwrap()));
    }
}

/// Counts the end of a handler, however it comes.
struct Ends(Arc<World>);

impl Drop for Ends {
    fn drop(&mut self) {
        self.0.ended.fetch_add(1, Ordering::AcqRel);
    }
}

/// What clients ask of handlers, the ordinary more often.
const KINDS: &[u8] = b"eeeeprncckkxwoyalft";

/// Does what its client asks for.
async fn handle(
    world: Arc<World>,
    mut reader: StreamReader,
    writer: StreamWriter,
) -> Result<(), &'static str> {
    world.begun.fetch_add(1, Ordering::AcqRel);
    let _ends = Ends(world.clone());
    let Ok(what) = reader.readexactly(1).await else {
        return Ok(());
    };
    let server = world.server();
    match (what[0], server) {
        (b'e', _) => {
            while let Ok(bytes) = reader.read(64).await {
                writer.write(&bytes);
                if bytes.is_empty() || writer.drain().await.is_err() {
                    break;
                }
            }
        }
        (b'p', _) => {
            world.owed.fetch_add(1, Ordering::AcqRel);
            // In silence, but for what the server says of it.
            resume_unwind(Box::new("a panic of a handler"));
        }
        (b'r', _) => {
            world.owed.fetch_add(1, Ordering::AcqRel);
            return Err("a failure of a handler");
        }
        (b'n', _) => world.release.wait().await,
        (b'c', _) => {
            writer.write(b"bye");
            writer.close();
            let _ = writer.wait_closed().await;
        }
        (b'f', _) => {
            writer.write(&[7; 4 << 20]);
            let _ = writer.drain().await;
        }
        (b'k', _) => world.kept.lock().unwrap().push((reader, writer)),
        (b't', _) => drop(create_task(async move {
            world.release.wait().await;
            drop((reader, writer));
        })),
        (b'y', _) => {
            current_task().expect("a task").cancel();
            yield_now().await;
            unreachable!("cancelled");
        }
        (b'x', Some(server)) => {
            server.close();
            assert!(!server.is_serving() && server.sockets().is_empty());
        }
        (b'o', Some(server)) => server.wait_closed().await, // For its own connection, too.
        (b'w', Some(server)) => {
            drop((reader, writer));
            server.wait_closed().await;
        }
        (b'a', Some(server)) => server.abort_clients(),
        (b'l', Some(server)) => server.close_clients(),
        (_, server) => assert!(server.is_none()),
    }
    Ok(())
}

enum Connection {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Connection {
    async fn to(end: &Endpoint) -> io::Result<Self> {
        match end {
            Endpoint::Inet(addr) => TcpStream::connect(*addr).await.map(Self::Tcp),
            Endpoint::Unix(addr) => {
                UnixStream::from_std(StdUnixStream::connect_addr(addr)?).map(Self::Unix)
            }
            _ => unreachable!("no other kind"),
        }
    }

    async fn write_all(&self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.write_all(bytes).await,
            Self::Unix(stream) => stream.write_all(bytes).await,
        }
    }

    async fn read(&self, bytes: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(bytes).await,
            Self::Unix(stream) => stream.read(bytes).await,
        }
    }
}

/// Asks for `kind`, and then stays, leaves at once, or listens to the end. Connections may break off at any point.
async fn client(end: Endpoint, kind: u8, manner: usize, leave: Arc<Event>) -> io::Result<()> {
    let connection = Connection::to(&end).await?;
    if manner > 0 {
        connection.write_all(&[kind]).await?;
    }
    if manner < 2 {
        return Ok(());
    }
    let mut buf = [0; 1024];
    for turn in 0..manner * usize::from(kind == b'e') {
        let text = format!("turn {turn}");
        connection.write_all(text.as_bytes()).await?;
        let mut answer = Vec::new();
        while answer.len() < text.len() {
            let n = connection.read(&mut buf).await?;
            if n == 0 {
                return Ok(());
            }
            answer.extend_from_slice(&buf[..n]);
        }
        assert_eq!(answer, text.as_bytes());
    }
    if manner % 2 == 1 {
        let listens = async { while let Ok(1..) = connection.read(&mut buf).await {} };
        unless(&leave, listens).await;
    } else {
        leave.wait().await;
    }
    Ok(())
}

/// Comes when the server is closed. It is refused or reset, or left standing by the kernel if it came while that closed the
/// socket; but never served.
async fn late(end: Endpoint, leave: Arc<Event>) {
    let served = async {
        let connection = Connection::to(&end).await?;
        connection.read(&mut [0]).await
    };
    let served = unless(&leave, served).await;
    assert!(!matches!(served, Some(Ok(1..))), "served after the end");
}

/// What `future` gives, unless it is time to leave before.
async fn unless<F: Future>(leave: &Event, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut leaves = pin!(leave.wait());
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => leaves.as_mut().poll(cx).map(|()| None),
    })
    .await
}

/// One program: its server, and everybody who has to do with it.
struct Program {
    dice: Dice,
    world: Arc<World>,
    server: Server,
    ends: Vec<Endpoint>,
    most: usize,
    is_closed: bool,
    /// The tasks that are not of the program.
    outside: Vec<TaskRef>,
    leave: Arc<Event>,
    clients: Vec<Task<io::Result<()>>>,
    others: Vec<Task<()>>,
}

/// What a server may listen on, of the `nth` kind; and the file that comes with it.
fn door(builder: ServerBuilder, nth: usize, name: &str) -> (ServerBuilder, Option<PathBuf>) {
    let path = env::temp_dir().join(name);
    match nth {
        0 => (builder.unix(&path), Some(path)),
        1 => (builder.unix(format!("\0{name}")), None),
        2 => (
            builder.listener(StdListener::bind("127.0.0.1:0").unwrap()),
            None,
        ),
        _ => (builder.addr("127.0.0.1:0"), None),
    }
}

impl Program {
    fn roll(&mut self, below: usize) -> usize {
        self.dice.roll(below)
    }

    /// One random act.
    fn act(&mut self) {
        let act = self.roll(20);
        let server = self.server.clone();
        match act {
            0 => match server.start_serving() {
                Err(ServeError::Closed) => self.is_closed = true,
                started => started.expect("listening"),
            },
            1 if self.roll(3) == 0 => {
                server.close();
                self.is_closed = true;
            }
            2 => server.close_clients(),
            3 => server.abort_clients(),
            4 => self.others.push(create_task(async move {
                match server.serve_forever().await {
                    Err(ServeError::Closed) => assert!(server.sockets().is_empty()),
                    other => assert!(matches!(other, Err(ServeError::AlreadyServing))),
                }
            })),
            5 => {
                let polls = self.roll(4);
                self.others.push(create_task(async move {
                    let mut serves = pin!(server.serve_forever());
                    for _ in 0..polls {
                        if poll_fn(|cx| Poll::Ready(serves.as_mut().poll(cx).is_ready())).await {
                            return;
                        }
                        yield_now().await;
                    }
                }));
            }
            6 => self.others.push(create_task(async move {
                server.wait_closed().await;
                assert!(!server.is_serving() && server.sockets().is_empty());
                assert_eq!(server.connections(), 0);
            })),
            7 => {
                self.others.last().map(Task::cancel);
            }
            8 => drop(self.world.kept.lock().unwrap().pop()),
            9 if !self.clients.is_empty() => {
                let nth = self.roll(self.clients.len());
                self.clients[nth].cancel();
            }
            10 if self.roll(10) == 0 => {
                let mut tasks = all_tasks();
                tasks.retain(|task| !self.outside.contains(task));
                for task in &tasks {
                    task.cancel();
                }
                self.world.say(format!("cancel {}", tasks.len()));
            }
            _ => {
                let nth = self.roll(self.ends.len());
                let end = self.ends[nth].clone();
                let kind = KINDS[self.roll(KINDS.len())];
                let manner = self.roll(6);
                self.world.say(format!("{} {manner} {end}", kind as char));
                let asks = client(end, kind, manner, self.leave.clone());
                self.clients.push(create_task(asks));
            }
        }
        self.world.say(format!("did {act}"));
        assert!(self.server.connections() <= self.most, "not more");
        assert!(!(self.is_closed && self.server.is_serving()));
    }

    /// Closes the server, and sees that everybody leaves.
    async fn end(mut self) {
        self.server.close();
        for end in self.ends.clone() {
            self.others.push(create_task(late(end, self.leave.clone())));
        }
        match self.roll(3) {
            0 => {
                self.server.close_clients();
                // Those who do not read what is queued for them.
                self.leave.set();
            }
            1 => self.server.abort_clients(),
            _ => {
                self.world.let_go();
                self.leave.set();
                for _ in 0..self.roll(40) {
                    yield_now().await;
                }
                // Those who wait for themselves.
                self.server.close_clients();
            }
        }
        self.world.say("waits".to_owned());
        self.server.wait_closed().await;
        assert_eq!(self.server.connections(), 0);
        self.world.let_go();
        self.leave.set();
        self.world.say("waits for tasks".to_owned());
        for client in self.clients {
            if let Err(error) = client.await {
                assert!(error.is_cancelled(), "{error}");
            }
        }
        for other in self.others {
            if let Err(error) = other.await {
                assert!(error.is_cancelled(), "{error}");
            }
        }
        self.world.server.lock().unwrap().take();
    }
}

async fn program(seed: u64, world: Arc<World>) {
    let mut dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    for _ in 0..8 {
        dice.roll(2);
    }
    let outside = all_tasks();
    let baseline = outside.len();
    let mut builder = ServerBuilder::new();
    let mut files = Vec::new();
    for nth in 0..=dice.roll(3) {
        let name = format!("loxley-programs-{}-{seed}-{nth}", std::process::id());
        let (with, file) = door(builder, dice.roll(5), &name);
        builder = with;
        files.extend(file);
    }
    let most = [1, 2, 5, usize::MAX][dice.roll(4)];
    let token = Arc::new(());
    let (held, seen) = (token.clone(), world.clone());
    let server = builder
        .max_connections(most)
        .start_serving(dice.roll(3) > 0)
        .start(move |reader, writer| {
            let _held = &held;
            handle(seen.clone(), reader, writer)
        })
        .await
        .expect("bound");
    *world.server.lock().unwrap() = Some(server.clone());
    let mut program = Program {
        ends: server.sockets(),
        dice,
        world: world.clone(),
        server,
        most,
        is_closed: false,
        outside,
        leave: Arc::default(),
        clients: Vec::new(),
        others: Vec::new(),
    };
    for _ in 0..4 + program.roll(40) {
        program.act();
        for _ in 0..program.roll(3) * program.roll(10) {
            yield_now().await;
        }
    }
    program.end().await;
    world.say("waits for handlers".to_owned());
    until(|| all_tasks().len() <= baseline && Arc::strong_count(&token) == 1).await;
    // Of handlers that ran late.
    world.let_go();
    let (begun, ended) = (&world.begun, &world.ended);
    assert_eq!(begun.load(Ordering::Acquire), ended.load(Ordering::Acquire));
    let (owed, reported) = (&world.owed, &world.reported);
    assert_eq!(
        owed.load(Ordering::Acquire),
        reported.load(Ordering::Acquire)
    );
    assert!(!files.iter().any(|file| file.exists()));
}

fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").map_or(0, Iterator::count)
}

fn from_environment(name: &str) -> Option<u64> {
    env::var(name).ok()?.parse().ok()
}

#[test]
fn servers_keep_their_word_whatever_is_done_to_them() {
    let first = from_environment("LOXLEY_SEED").unwrap_or(1);
    let count = from_environment("LOXLEY_PROGRAMS").unwrap_or(40);
    let mut before = None;
    for seed in first..first + count {
        let world = Arc::new(World::default());
        let told = world.clone();
        let builder = match seed % 2 {
            0 => Runtime::builder().worker_threads(3),
            _ => Runtime::builder().current_thread(),
        };
        let runtime = builder
            .unhandled_error(move |_| {
                told.reported.fetch_add(1, Ordering::AcqRel);
            })
            .build()
            .expect("a runtime");
        let ended = runtime.block_on(async {
            let main = create_task(program(seed, world.clone()));
            timeout(LIMIT, main).await
        });
        let log = || world.log.lock().unwrap().join("; ");
        match ended {
            Ok(Ok(())) => {}
            Ok(Err(error)) => panic!("seed {seed}: {error}, after {}", log()),
            Err(_) => panic!("seed {seed} hangs after {}", log()),
        }
        let left = runtime.shutdown_timeout(Duration::from_secs(10));
        assert!(left.is_clean(), "seed {seed}: {left}, after {}", log());
        let now = descriptors();
        let most = *before.get_or_insert(now);
        assert!(now <= most, "seed {seed} leaves descriptors: {}", log());
    }
}
