//! A web crawler: a queue of pages to fetch, workers that take from it and put in what they find, and an end when all
//! is done.
//!
//! ```text
//! cargo run --release --example web_crawler -- http://127.0.0.1:8080/ [WORKERS]
//! ```
//!
//! It stays on its host, fetches each page once, and speaks plain HTTP.

#![expect(clippy::print_stdout, reason = "a program that speaks to its user")]

use std::collections::HashSet;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use loxley::{Queue, TaskGroup, open_connection, task_group, timeout};

/// How long a page may take, and how long it may be.
const LIMIT: Duration = Duration::from_secs(10);
const PAGE_MAX: usize = 1 << 20;

/// What all workers share.
struct Crawl {
    authority: String,
    to_do: Queue<String>,
    seen: Mutex<HashSet<String>>,
}

impl Crawl {
    /// Takes a page on, unless it was before.
    fn add(&self, path: String) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.insert(path.clone()) {
            // Unbounded, because the workers who put in are those who take out: with a bound they could all wait to
            // put.
            let _ = self.to_do.put_nowait(path);
        }
    }

    async fn fetch(&self, path: &str) -> io::Result<(String, String)> {
        let (mut reader, writer) = open_connection(self.authority.as_str()).await?;
        let request = format!("GET {path} HTTP/1.0\r\nHost: {}\r\n\r\n", self.authority);
        writer.write(request.as_bytes());
        let status = reader.readline().await?;
        let mut page = Vec::new();
        while page.len() < PAGE_MAX {
            match reader.read(64 << 10).await? {
                piece if piece.is_empty() => break,
                piece => page.extend_from_slice(&piece),
            }
        }
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes.trim_ascii()).into_owned();
        Ok((text(&status), text(&page)))
    }
}

#[loxley::main]
async fn main() -> io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let usage = || io::Error::other("usage: web_crawler http://HOST:PORT/PATH [WORKERS]");
    let url = arguments.next().ok_or_else(usage)?;
    let workers = arguments
        .next()
        .and_then(|text| text.parse().ok())
        .unwrap_or(8);
    let rest = url.strip_prefix("http://").ok_or_else(usage)?;
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let crawl = Arc::new(Crawl {
        authority: authority.to_owned(),
        to_do: Queue::new(0),
        seen: Mutex::default(),
    });
    crawl.add(format!("/{path}"));
    let group = task_group(|group: TaskGroup<io::Error>| async move {
        for number in 0..workers {
            group.create_task(work(number, crawl.clone()));
        }
        // Every page that was put in is done: then nobody can find another one.
        crawl.to_do.join().await;
        crawl.to_do.shutdown(false);
        let pages = crawl
            .seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .len();
        Ok(pages)
    });
    let pages = group.await.map_err(io::Error::other)?;
    println!("{pages} pages");
    Ok(())
}

async fn work(number: usize, crawl: Arc<Crawl>) {
    while let Ok(path) = crawl.to_do.get().await {
        match timeout(LIMIT, crawl.fetch(&path)).await {
            Ok(Ok((status, page))) => {
                println!("worker {number}: {path}: {status}");
                links(&page).for_each(|link| crawl.add(link.to_owned()));
            }
            Ok(Err(error)) => println!("worker {number}: {path}: {error}"),
            Err(late) => println!("worker {number}: {path}: {late}"),
        }
        // A page counts as done when its links are in the queue, not before.
        let _ = crawl.to_do.task_done();
    }
}

/// The links to pages of the same host: `href="/…"`.
fn links(page: &str) -> impl Iterator<Item = &str> {
    let targets = page.split("href=\"").skip(1);
    let targets = targets.filter_map(|rest| Some(rest.split_once('"')?.0));
    targets
        .filter(|target| target.starts_with('/') && !target.starts_with("//"))
        .map(|target| target.split('#').next().unwrap_or(target))
}
