//! Random reads of random bytes in random pieces, beside a reference that has everything in one slice.

#[path = "streams_support/reference.rs"]
mod reference;
mod streams_support;

use loxley_runtime::testing::{Config, run};
use reference::{Chance, check};
use streams_support::Dice;

impl Chance for Dice {
    fn roll(&mut self, sides: usize) -> usize {
        Self::roll(self, sides)
    }
}

#[test]
fn random_reads_give_what_a_plain_slice_gives() {
    run(Config::new().current_thread(), async {
        for seed in 1..=3000 {
            check(&mut Dice(0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(seed))).await;
        }
    });
}
