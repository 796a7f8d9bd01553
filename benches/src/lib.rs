//! The peer-free half of the benchmark harness: what a case is, how samples become a table, a chart and JSON lines.
//!
//! Used by `benches/compare`, which adds the runtimes and the cases. Nothing here may name a runtime, start a thread or
//! read a clock, so that this half stays cheap to build and can be tested without one.
//!
//! How a run goes: for every round, every case and every runtime the harness starts a fresh child process that does
//! the case once and prints its values. Runtimes take turns inside a round and the turn rotates, so slow drift of the
//! machine (other load, frequency) touches all of them alike. A row shows medians over the rounds with the span from
//! minimum to maximum; nothing is ever asserted about time.

pub mod case;
pub mod host;
pub mod json;
pub mod options;
pub mod stats;
pub mod svg;
pub mod table;
