//! `StreamReader`: the input decides what comes, how it is cut and what is asked for. Every answer is compared with that of a
//! plain slice, by the code of the property test.
#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use loxley_runtime::Runtime;

#[path = "../../io/tests/streams_support/reference.rs"]
mod reference;
#[path = "../../io/tests/streams_support/mod.rs"]
mod streams_support;

use reference::Chance;
use streams_support::Dice;

/// The fuzzer's choices, and then some that depend on nothing else.
struct Choices<'a> {
    bytes: &'a [u8],
    after: Dice,
}

impl Chance for Choices<'_> {
    fn roll(&mut self, sides: usize) -> usize {
        let width = if sides > 256 { 2 } else { 1 };
        match self.bytes.split_at_checked(width) {
            Some((some, rest)) => {
                self.bytes = rest;
                let number = some
                    .iter()
                    .fold(0, |sum, byte| sum << 8 | usize::from(*byte));
                number % sides
            }
            None => self.after.roll(sides),
        }
    }
}

fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        Runtime::builder()
            .current_thread()
            .build()
            .expect("a runtime")
    })
}

fuzz_target!(|bytes: &[u8]| {
    let after = Dice(0x9e37_79b9_7f4a_7c15);
    runtime().block_on(async { reference::check(&mut Choices { bytes, after }).await });
});
