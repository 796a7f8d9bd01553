//! A small seedable generator for choices that need no secrecy: which victim to steal from, which tie to break how.
//!
//! xorshift64* after S. Vigna, "An experimental exploration of Marsaglia's xorshift generators, scrambled" (2016).

/// The generator one worker owns.
#[derive(Debug)]
pub(crate) struct Rng(u64);

impl Rng {
    /// A generator for one of several owners of the same seed.
    pub(crate) fn new(seed: u64, owner: u64) -> Self {
        // One round of splitmix64 spreads neighbouring owners; zero is the one state xorshift cannot leave.
        let mut z = seed.wrapping_add((owner + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Self((z ^ (z >> 31)).max(1))
    }

    /// A seed that differs from run to run.
    pub(crate) fn entropy() -> u64 {
        use std::hash::{BuildHasher, RandomState};
        RandomState::new().hash_one(0_u64)
    }

    /// A number below `bound`.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let high = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32;
        // Multiply and shift: no division, and close enough to even for choosing a victim.
        usize::try_from((high * bound as u64) >> 32).unwrap_or(0)
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn every_victim_is_chosen_and_none_beyond_the_bound() {
        let mut rng = Rng::new(7, 0);
        let mut seen = [0_u32; 5];
        for _ in 0..1_000 {
            seen[rng.below(5)] += 1;
        }
        assert!(seen.iter().all(|&times| times > 100), "{seen:?}");
    }

    #[test]
    fn the_same_seed_gives_the_same_choices_and_owners_differ() {
        let draw = |seed, owner| {
            let mut rng = Rng::new(seed, owner);
            (0..8).map(|_| rng.below(1_000)).collect::<Vec<_>>()
        };
        assert_eq!(draw(1, 0), draw(1, 0));
        assert_ne!(draw(1, 0), draw(1, 1));
    }
}
