//! What a process has one of because threads serve it: a fork has its memory, but none of its threads, and gets one of its own.
//!
//! Used for the threads of look-ups and of the standard streams. Nothing is ever freed: whoever was forked has what its
//! ancestors had, and leaves it alone.

use std::process;
use std::sync::OnceLock;

/// One value for each process in a line of forks.
#[derive(Debug)]
pub(crate) struct PerProcess<T: 'static>(OnceLock<Node<T>>);

#[derive(Debug)]
struct Node<T> {
    process: u32,
    value: T,
    /// That of a process forked from this one, in its copy of the memory.
    next: OnceLock<Box<Self>>,
}

impl<T> PerProcess<T> {
    pub(crate) const fn new() -> Self {
        Self(OnceLock::new())
    }

    /// The last of the line: nobody but this process could have added to it.
    fn last(&self) -> Option<&Node<T>> {
        let mut node = self.0.get()?;
        while let Some(next) = node.next.get() {
            node = next;
        }
        Some(node)
    }

    /// This process's, if it has one.
    pub(crate) fn get(&self) -> Option<&T> {
        let node = self.last()?;
        (node.process == process::id()).then_some(&node.value)
    }

    /// This process's; made now if it has none.
    pub(crate) fn get_or_init(&self, make: impl Fn() -> T) -> &T {
        let fresh = || Node {
            process: process::id(),
            value: make(),
            next: OnceLock::new(),
        };
        match self.last() {
            Some(node) if node.process == process::id() => &node.value,
            Some(node) => &node.next.get_or_init(|| Box::new(fresh())).value,
            None => &self.0.get_or_init(fresh).value,
        }
    }
}
