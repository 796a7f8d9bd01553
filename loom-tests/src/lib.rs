//! Models of every protocol between threads: each interleaving that loom can find of a few threads, on the code that ships.
//!
//! A file of `tests/` models one protocol. Its tests are named by what could go wrong and say which edges they cover; they
//! also pass as plain tests, which keeps them compiling. `shuttle_scheduler.rs` is the other way round: the whole scheduler,
//! under random schedules, with `--cfg shuttle` only.
//!
//! ```text
//! RUSTFLAGS="--cfg loom -Cdebug-assertions" cargo test --release -p loxley-loom-tests
//! RUSTFLAGS="--cfg shuttle" cargo test --release -p loxley-loom-tests --test shuttle_scheduler
//! ```
//!
//! With debug assertions the legal states of each edge are checked too.
//!
//! # What was planted
//!
//! A model that cannot fail proves nothing. Each of these was planted once, one at a time, and seen to be caught by the
//! models of its row; "no release" and the like mean an ordering made weaker by that half.
//!
//! | protocol | model | edges | planted and caught |
//! |---|---|---|---|
//! | a task's word | `task_state` | T2–T10, T12 | T2 without acquire; T6 without release; T7's mark forgotten; T4 by value leaves no mark; T3 or T4 without release; a wake enqueues a running task; T5 by value without acquire; T10 without mark, or in two steps; T9's look at the count relaxed, or off by one; T9 without release or acquire; T12 without release or acquire, or the sole owner's look relaxed; the rare part published twice |
//! | requests and scopes | `task_cancel` | S1–S5, T8, T10, T13 | none caught yet; survives: T13 after the requests are taken, which needs a second request between two steps |
//! | a task's rare part | `cold` | C1–C5, T2, T3, T6, T10, T13 | C2 without the request that stood there; C3 left out after C2; C4 as a store; T6 without release |
//! | outcome of a task | `join` | T9, T11, T12 | T9 without release; the look at *complete* relaxed; `set_join` without release, without acquire, or blind to *complete*; `clear_join` without acquire, blind, or left out; `drop_join` without acquire or release |
//! | live tasks | `registry` | G1–G7 | G1, G3, G4 or G5 relaxed; G2 relaxed, or deaf to a visit; a visit without its mark; G5 with a stale link; G6 relaxed, or taken in two steps; G7 without its flag; the count of G1 left out; the length relaxed |
//! | LIFO slot | `slot` | hand-over to T2 | the put relaxed; the take relaxed, or in two steps |
//! | sleep | `idle_park` | I1–I5, P1–P4 | no SleepFence; no PushFence; a claim that does not count, or does not count down; a last searcher that tells nobody; I5 that takes a claim for its own, or keeps the count; a sleeper still counted as searching; a token overwritten by a store; a token that publishes nothing, or is not left; P1 deaf to a token; P4 relaxed; the driver not unparked; the place of the sleep mixed up |
//! | monitor's deep sleep | `idle_park` | see `monitor.rs` | either fence left out; no second look |
//! | shared queue | `injector` | the push before I4 | the length stored before the push or outside of the lock; a batch put back in reverse |
//! | silence | `shutdown` | steps 1–6, G2, G5, G7, I3–I5, P1–P4 | a departure by another thread not counted; two last workers; the last one silent |
//! | scheduler as a whole | `shuttle_scheduler` | I3 and what follows | no look at the queues after falling asleep |
//!
//! Seen to survive, and why:
//!
//! - T10 without release: the message has a lock of its own.
//! - `begin` without its fence: it unparks every worker anyhow, and the token publishes the flag.
//! - `is_drained` without the rosters, or with relaxed accesses to them: each worker closes the foreign roster and its own
//!   before it looks, and one that leaves early leaves its work to nobody.
//! - the monitor's `end` left out: it looks at the workers again after each token.
//!
//! # What loom cannot say
//!
//! It lets a plain store that is concurrent with an exchange fall between the two halves of the exchange, so the model of a
//! slot that is emptied and filled behind a slow thief is left to shuttle. It makes no difference between a fence and the
//! access before it: nothing runs in between. The worker's loop itself, `worker.rs`, is copied step by step into
//! `idle_park.rs` and `shutdown.rs`; that the steps are the same is for the reader and for shuttle to see.

pub mod support;
