//! What the server answers.

use std::io::Write as _;
use std::time::{Duration, Instant};

use super::session::{Args, number};
use super::store::Store;

/// The longest reply.
const REPLY_MAX: usize = 16 << 20;

const OK: &[u8] = b"+OK\r\n";
const NIL: &[u8] = b"$-1\r\n";
const SYNTAX: &[u8] = b"-ERR syntax error\r\n";
const NO_NUMBER: &[u8] = b"-ERR value is not an integer or out of range\r\n";
const FULL: &[u8] = b"-OOM no memory left; delete something, or start with a larger --memory\r\n";

/// A number behind its mark: a length, or an answer.
fn head(out: &mut Vec<u8>, mark: char, number: impl std::fmt::Display) {
    // Writing to memory cannot fail.
    let _ = write!(out, "{mark}{number}\r\n");
}

fn bulk(out: &mut Vec<u8>, bytes: &[u8]) {
    head(out, '$', bytes.len());
    out.extend_from_slice(bytes);
    out.extend_from_slice(b"\r\n");
}

/// Does one command; whether the connection goes on.
pub(super) fn run(store: &Store, args: &Args<'_>, out: &mut Vec<u8>) -> bool {
    if args.count() == 0 {
        return true;
    }
    let mut name = [0; 16];
    let length = args[0].len().min(name.len());
    name[..length].copy_from_slice(&args[0][..length]);
    name.make_ascii_uppercase();
    let name = &name[..length];
    let is_done = values(store, name, args, out)
        || keys(store, name, args, out)
        || times(store, name, args, out)
        || questions(store, name, args, out);
    if !is_done {
        out.extend_from_slice(b"-ERR unknown command, or wrong number of arguments: ");
        let shown = args[0].iter().take(64);
        out.extend(shown.filter(|byte| byte.is_ascii_graphic()));
        out.extend_from_slice(b"\r\n");
    }
    name != b"QUIT"
}

/// Commands that read or write values; whether this was one, as for the next three.
fn values(store: &Store, name: &[u8], args: &Args<'_>, out: &mut Vec<u8>) -> bool {
    match (name, args.count()) {
        (b"GET", 2) => get(store, &args[1], out),
        (b"SET", 3..) => out.extend_from_slice(set(store, args)),
        (b"INCR", 2) => add(store, &args[1], 1, out),
        (b"DECR", 2) => add(store, &args[1], -1, out),
        (b"INCRBY", 3) => match number(&args[2]) {
            Some(by) => add(store, &args[1], by, out),
            None => out.extend_from_slice(NO_NUMBER),
        },
        // Not in one step, as in Redis: other connections may see some of the keys set.
        (b"MSET", count @ 3..) if count % 2 == 1 => {
            let bytes = store.max_bytes;
            let set = |i: usize| {
                store
                    .shard(&args[i])
                    .set(bytes, &args[i], &args[i + 1], None)
            };
            let fits = (1..count).step_by(2).all(set);
            out.extend_from_slice(if fits { OK } else { FULL });
        }
        (b"MGET", count @ 2..) => {
            let start = out.len();
            head(out, '*', count - 1);
            for i in 1..count {
                get(store, &args[i], out);
                if out.len() - start > REPLY_MAX {
                    out.truncate(start);
                    out.extend_from_slice(b"-ERR the reply is too big; ask for fewer keys\r\n");
                    break;
                }
            }
        }
        _ => return false,
    }
    true
}

fn keys(store: &Store, name: &[u8], args: &Args<'_>, out: &mut Vec<u8>) -> bool {
    match (name, args.count()) {
        (b"DEL" | b"UNLINK", count @ 2..) => {
            let removed = (1..count).filter(|i| store.shard(&args[*i]).remove(&args[*i]));
            head(out, ':', removed.count());
        }
        (b"EXISTS", count @ 2..) => {
            let found = (1..count).filter(|i| store.shard(&args[*i]).get(&args[*i]).is_some());
            head(out, ':', found.count());
        }
        (b"DBSIZE", 1) => head(out, ':', store.len()),
        (b"FLUSHALL" | b"FLUSHDB", _) => {
            for mut shard in store.all() {
                shard.retain(|_| false);
            }
            out.extend_from_slice(OK);
        }
        _ => return false,
    }
    true
}

fn times(store: &Store, name: &[u8], args: &Args<'_>, out: &mut Vec<u8>) -> bool {
    let unit = if name.starts_with(b"P") { 1 } else { 1_000 };
    match (name, args.count()) {
        (b"EXPIRE" | b"PEXPIRE", 3) => match number(&args[2]) {
            Some(span) => {
                let mut shard = store.shard(&args[1]);
                let entry = shard.get(&args[1]);
                head(out, ':', usize::from(entry.is_some()));
                if let Some(entry) = entry {
                    entry.expires = deadline(span, unit);
                }
            }
            None => out.extend_from_slice(NO_NUMBER),
        },
        (b"PERSIST", 2) => {
            let mut shard = store.shard(&args[1]);
            let expires = shard.get(&args[1]).and_then(|entry| entry.expires.take());
            head(out, ':', usize::from(expires.is_some()));
        }
        (b"TTL" | b"PTTL", 2) => {
            let mut shard = store.shard(&args[1]);
            match shard.get(&args[1]).map(|entry| entry.expires) {
                None => out.extend_from_slice(b":-2\r\n"),
                Some(None) => out.extend_from_slice(b":-1\r\n"),
                Some(Some(at)) => {
                    let left = at.saturating_duration_since(Instant::now());
                    head(out, ':', left.as_millis().div_ceil(u128::from(unit)));
                }
            }
        }
        _ => return false,
    }
    true
}

/// What clients ask before they begin, and about us.
fn questions(store: &Store, name: &[u8], args: &Args<'_>, out: &mut Vec<u8>) -> bool {
    match (name, args.count()) {
        (b"PING", 1) => out.extend_from_slice(b"+PONG\r\n"),
        (b"PING" | b"ECHO", 2) => bulk(out, &args[1]),
        (b"COMMAND", _) => out.extend_from_slice(b"*0\r\n"),
        (b"CONFIG", 3..) if args[1].eq_ignore_ascii_case(b"GET") => {
            out.extend_from_slice(b"*2\r\n");
            bulk(out, &args[2]);
            bulk(out, b"");
        }
        (b"CLIENT", 2..) | (b"QUIT", _) => out.extend_from_slice(OK),
        (b"SELECT", 2) if args[1] == *b"0" => out.extend_from_slice(OK),
        (b"INFO", _) => {
            let used: usize = store.all().map(|shard| shard.bytes).sum();
            let text = format!(
                "# Server\r\nredis_version:7.0.0\r\n# Memory\r\nused_memory:{used}\r\n\
                 # Keyspace\r\ndb0:keys={}\r\n",
                store.len()
            );
            bulk(out, text.as_bytes());
        }
        _ => return false,
    }
    true
}

fn get(store: &Store, key: &[u8], out: &mut Vec<u8>) {
    match store.shard(key).get(key) {
        Some(entry) => bulk(out, &entry.value),
        None => out.extend_from_slice(NIL),
    }
}

/// SET key value [EX seconds | PX milliseconds] [NX | XX]
fn set(store: &Store, args: &Args<'_>) -> &'static [u8] {
    let (mut expires, mut wants) = (None, None);
    let mut i = 3;
    while i < args.count() {
        let word = args[i].to_ascii_uppercase();
        i += 1;
        match &*word {
            b"NX" if wants.is_none() => wants = Some(false),
            b"XX" if wants.is_none() => wants = Some(true),
            b"EX" | b"PX" if expires.is_none() && i < args.count() => {
                match number(&args[i]) {
                    Some(span @ 1..) => {
                        expires = deadline(span, if word[0] == b'P' { 1 } else { 1_000 });
                    }
                    _ => return NO_NUMBER,
                }
                i += 1;
            }
            _ => return SYNTAX,
        }
    }
    let mut shard = store.shard(&args[1]);
    if wants.is_some_and(|there| there != shard.get(&args[1]).is_some()) {
        return NIL;
    }
    let fits = shard.set(store.max_bytes, &args[1], &args[2], expires);
    if fits { OK } else { FULL }
}

fn add(store: &Store, key: &[u8], by: i64, out: &mut Vec<u8>) {
    let mut shard = store.shard(key);
    let (old, expires) = match shard.get(key) {
        Some(entry) => (number(&entry.value), entry.expires),
        None => (Some(0), None),
    };
    let Some(new) = old.and_then(|old| old.checked_add(by)) else {
        out.extend_from_slice(NO_NUMBER);
        return;
    };
    if shard.set(store.max_bytes, key, new.to_string().as_bytes(), expires) {
        head(out, ':', new);
    } else {
        out.extend_from_slice(FULL);
    }
}

/// So many units of milliseconds from now; one that is too far away is none.
fn deadline(span: i64, unit: u64) -> Option<Instant> {
    let span = u64::try_from(span).unwrap_or(0).saturating_mul(unit);
    Instant::now().checked_add(Duration::from_millis(span))
}
