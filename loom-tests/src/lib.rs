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
//! | @TABLE@ |
//!
//! Seen to survive, for no observable reason to fail: T10 without release (the message has a lock of its own), a bit of T11
//! left behind after completion (nobody reads it any more).
//!
//! # What loom cannot say
//!
//! It lets a plain store that is concurrent with an exchange fall between the two halves of the exchange, so the model of a
//! slot that is emptied and filled behind a slow thief is left to shuttle. It makes no difference between a fence and the
//! access before it: nothing runs in between. The worker's loop itself, `worker.rs`, is copied step by step into
//! `idle_park.rs` and `shutdown.rs`; that the steps are the same is for the reader and for shuttle to see.

pub mod support;
