//! What the server remembers: shards behind mutexes, bounded by the bytes that are stored.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// What an entry costs beside its bytes, about.
const OVERHEAD: usize = 96;
const SHARDS: usize = 16;

pub(crate) struct Store {
    shards: [Mutex<Shard>; SHARDS],
    hasher: RandomState,
    pub(super) max_bytes: usize,
}

#[derive(Default)]
pub(super) struct Shard {
    entries: HashMap<Box<[u8]>, Entry>,
    pub(super) bytes: usize,
}

pub(super) struct Entry {
    pub(super) value: Vec<u8>,
    pub(super) expires: Option<Instant>,
}

impl Store {
    pub(crate) fn new(max_bytes: usize) -> Self {
        Self {
            shards: std::array::from_fn(|_| Mutex::default()),
            hasher: RandomState::new(),
            max_bytes,
        }
    }

    pub(super) fn shard(&self, key: &[u8]) -> MutexGuard<'_, Shard> {
        let hash = self.hasher.hash_one(key) % SHARDS as u64;
        self.lock(usize::try_from(hash).unwrap_or_default())
    }

    fn lock(&self, index: usize) -> MutexGuard<'_, Shard> {
        self.shards[index]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn all(&self) -> impl Iterator<Item = MutexGuard<'_, Shard>> {
        (0..SHARDS).map(|index| self.lock(index))
    }

    pub(super) fn len(&self) -> usize {
        self.all().map(|shard| shard.entries.len()).sum()
    }

    /// Forgets what has expired; called now and then.
    pub(crate) fn sweep(&self) {
        let now = Instant::now();
        for mut shard in self.all() {
            shard.retain(|entry| entry.expires.is_none_or(|at| at > now));
        }
    }
}

impl Shard {
    pub(super) fn get(&mut self, key: &[u8]) -> Option<&mut Entry> {
        let expires = self.entries.get(key)?.expires;
        if expires.is_some_and(|at| at <= Instant::now()) {
            self.remove(key);
        }
        self.entries.get_mut(key)
    }

    /// Whether there was something that had not expired.
    pub(super) fn remove(&mut self, key: &[u8]) -> bool {
        let Some(entry) = self.entries.remove(key) else {
            return false;
        };
        self.bytes -= cost(key, &entry.value);
        entry.expires.is_none_or(|at| at > Instant::now())
    }

    pub(super) fn set(
        &mut self,
        max_bytes: usize,
        key: &[u8],
        value: &[u8],
        expires: Option<Instant>,
    ) -> bool {
        let old = self.entries.get_mut(key);
        let freed = old.as_ref().map_or(0, |entry| cost(key, &entry.value));
        let bytes = self.bytes - freed + cost(key, value);
        // Each shard has its share.
        if bytes > max_bytes / SHARDS {
            return false;
        }
        self.bytes = bytes;
        if let Some(entry) = old {
            entry.value.clear();
            entry.value.extend_from_slice(value);
            entry.expires = expires;
        } else {
            let value = value.to_vec();
            self.entries.insert(key.into(), Entry { value, expires });
        }
        true
    }

    pub(super) fn retain(&mut self, mut keep: impl FnMut(&Entry) -> bool) {
        let bytes = &mut self.bytes;
        self.entries.retain(|key, entry| {
            let kept = keep(entry);
            *bytes -= if kept { 0 } else { cost(key, &entry.value) };
            kept
        });
    }
}

fn cost(key: &[u8], value: &[u8]) -> usize {
    OVERHEAD + key.len() + value.len()
}
