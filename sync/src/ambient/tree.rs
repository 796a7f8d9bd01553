//! The scopes of one task and the requests it was given: which scope takes which request.
//!
//! Written by the scopes of `scope.rs` (the polling thread, or whoever drops a scope) and by whoever asks the task to stop, so
//! it stands behind a mutex: a future may be polled by one task and dropped by another. No waker is called and nothing of the
//! user's is dropped under it.
//!
//! | edge | method | does |
//! |---|---|---|
//! | S1 | `request`, `interrupt` | a request for the whole task, or for the inside of one scope; at most one per target |
//! | S2 | `deliver` | every request marks the leaf scopes inside its target; without any, the root takes it. While scopes wait outside, a request for the whole task is left for the poll in which they enter |
//! | S3 | `take_mark` | a marked scope acts |
//! | S4 | `raise` | a scope that acted hands the request to the scope around it |
//! | S5 | `leave` | a scope ends; a mark it has not acted on becomes a request again, requests aimed at it die with it |

use crate::CancelledError;
use crate::prim::lock::Mutex;
use std::task::Waker;

/// What a scope does with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Drops its inner future and resolves.
    Catch,
    /// Passes it to what it waits for.
    Forward,
    /// Keeps it until its inner future is done; nothing inside hears of it.
    Hold,
}

/// A scope's place in its tree. The number is never used twice, so a stale key finds nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key {
    index: usize,
    id: u64,
}

impl Key {
    /// The task itself.
    pub(super) const ROOT: Self = Self {
        index: usize::MAX,
        id: 0,
    };
}

/// What became of the requests that were pending.
#[derive(Debug, Default)]
pub struct Delivery {
    /// No scope was in the way: the whole future is to be dropped.
    pub root: Option<CancelledError>,
    /// The marked scopes' own wakers, to be called now: a parent may poll only the children that were woken.
    pub wakers: Vec<Waker>,
    /// Some scope is marked and has yet to act.
    pub marked: bool,
    /// Those that are marked pass on what they are given: there is nothing that a wait would have to end first.
    pub forwards: bool,
    /// A request for the whole task waits for the scopes outside to enter.
    pub enter: bool,
}

/// Whose request it was that ended an owner's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// Nobody else asked: the owner translates or swallows it.
    Mine,
    /// Somebody outside asked too: the owner hands it on.
    Outside,
}

/// The scopes and requests of one task.
#[derive(Debug, Default)]
pub struct Tree(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    nodes: Vec<Option<Node>>,
    free: Vec<usize>,
    live: usize,
    last_id: u64,
    /// How often the task was asked to stop, less what was taken back.
    count: usize,
    marked: usize,
    /// The one request for the whole task, apart because most tasks never have another.
    whole: Option<Request>,
    aimed: Vec<(Target, CancelledError)>,
}

#[derive(Debug)]
struct Node {
    key: Key,
    parent: Key,
    kind: Kind,
    children: usize,
    waker: Option<Waker>,
    mark: Option<Mark>,
    /// How many of the task's requests this scope made itself.
    own: usize,
    /// The task's count when this scope began, or was entered.
    baseline: usize,
    /// Inside a scope that holds: how many requests of those in between there were then.
    baseline_held: usize,
}

#[derive(Debug)]
struct Request {
    error: CancelledError,
    from_self: bool,
    /// The task waited when it was asked: this request interrupts it whatever comes after.
    committed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Target {
    /// The leaves inside this scope.
    Within(Key),
    /// This scope and no other.
    At(Key),
}

#[derive(Debug)]
struct Mark {
    error: CancelledError,
    target: Target,
    from_self: bool,
}

impl Tree {
    /// S1: somebody asks the task to stop.
    pub fn request(&self, error: CancelledError, from_self: bool) {
        let mut state = self.0.lock();
        state.count += 1;
        if state.whole.as_ref().is_some_and(|seen| seen.committed) {
            return;
        }
        state.whole = Some(Request {
            error,
            from_self,
            committed: false,
        });
    }

    /// A request that was held back is one for the whole task again. It was counted when it was made.
    pub(super) fn put_back(&self, error: CancelledError) {
        self.0.lock().whole.get_or_insert(Request {
            error,
            from_self: false,
            committed: true,
        });
    }

    /// The request just made found the task waiting; the caller holds the right to poll, so nothing was delivered since.
    pub fn commit(&self) {
        if let Some(request) = &mut self.0.lock().whole {
            request.committed = true;
        }
    }

    /// How often the task was asked to stop, less what was taken back.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.lock().count
    }

    /// Takes one request back. At zero, what has not interrupted anything yet is forgotten.
    pub fn uncancel(&self) -> usize {
        let mut state = self.0.lock();
        state.take_back(1);
        state.count
    }

    /// Whether the task asked itself to stop and nothing has heard it yet.
    #[must_use]
    pub fn take_own_request(&self) -> Option<CancelledError> {
        let mut state = self.0.lock();
        state
            .whole
            .take_if(|request| request.from_self)
            .map(|request| request.error)
    }

    /// S2. `has_outsiders`: some scopes of the task have not entered, and can in a poll.
    #[must_use]
    pub fn deliver(&self, has_outsiders: bool) -> Delivery {
        let mut state = self.0.lock();
        let mut delivery = Delivery::default();
        let mut whole = if has_outsiders {
            delivery.enter = state.whole.is_some();
            None
        } else {
            state.whole.take()
        };
        if let Some(request) = whole.take_if(|_| state.live == 0) {
            delivery.root = Some(request.error);
        }
        let aimed = std::mem::take(&mut state.aimed);
        for mark in Mark::of_all(whole, aimed) {
            for key in state.takers(mark.target) {
                if key == Key::ROOT {
                    delivery.root.get_or_insert(mark.error.clone());
                } else {
                    state.mark(key, &mark, &mut delivery.wakers);
                }
            }
        }
        delivery.marked = state.marked > 0;
        delivery.forwards = delivery.marked && state.all_marked_forward();
        delivery
    }

    /// Whether some scope is marked and has yet to act.
    #[must_use]
    pub fn is_marked(&self) -> bool {
        self.0.lock().marked > 0
    }

    /// `baseline`: the count when the scope began, if it knows.
    pub(super) fn enter(
        &self,
        parent: Key,
        kind: Kind,
        waker: Waker,
        baseline: Option<usize>,
    ) -> Key {
        let mut state = self.0.lock();
        state.last_id += 1;
        let index = state.free.pop().unwrap_or(state.nodes.len());
        let key = Key {
            index,
            id: state.last_id,
        };
        let baseline = baseline.unwrap_or(state.count);
        let baseline_held = state.count_held(parent).unwrap_or(0);
        let node = Node {
            key,
            parent,
            kind,
            children: 0,
            waker: Some(waker),
            mark: None,
            own: 0,
            baseline,
            baseline_held,
        };
        if index == state.nodes.len() {
            state.nodes.push(Some(node));
        } else {
            state.nodes[index] = Some(node);
        }
        state.live += 1;
        if let Some(parent) = state.node(parent) {
            parent.children += 1;
        }
        key
    }

    /// The scope is polled from inside another scope than before.
    pub(super) fn move_to(&self, key: Key, parent: Key) {
        let mut state = self.0.lock();
        let before = state
            .node(key)
            .map(|node| std::mem::replace(&mut node.parent, parent));
        if let Some(node) = before.and_then(|before| state.node(before)) {
            node.children -= 1;
        }
        if let Some(node) = state.node(parent) {
            node.children += 1;
        }
    }

    /// Remembers the waker of the scope's last poll; the one before, to be dropped outside.
    pub(super) fn set_waker(&self, key: Key, waker: &Waker) -> Option<Waker> {
        let mut state = self.0.lock();
        let node = state.node(key)?;
        if node
            .waker
            .as_ref()
            .is_some_and(|seen| seen.will_wake(waker))
        {
            return None;
        }
        node.waker.replace(waker.clone())
    }

    /// S3. And whether it was raised inside the scope, so that what is inside has given up.
    pub(super) fn take_mark(&self, key: Key) -> Option<(CancelledError, bool)> {
        let mut state = self.0.lock();
        let mark = state.node(key)?.mark.take()?;
        state.marked -= 1;
        Some((mark.error, mark.target == Target::At(key)))
    }

    /// S1: the scope asks its own inside to stop. True: there is no scope inside, so it acts itself.
    pub(super) fn interrupt(&self, key: Key, error: CancelledError) -> bool {
        let mut state = self.0.lock();
        let Some(node) = state.node(key) else {
            return true;
        };
        node.own += 1;
        let is_leaf = node.children == 0;
        state.count += 1;
        if !is_leaf {
            state.aim(Target::Within(key), error);
        }
        is_leaf
    }

    /// Takes the scope's own requests off the count, and says whether any others were made since it was entered. Inside a
    /// scope that holds, those of the whole task are not heard: only those of the scopes in between are others.
    pub(super) fn settle(&self, key: Key) -> Settled {
        let mut state = self.0.lock();
        state
            .aimed
            .retain(|(target, _)| *target != Target::Within(key));
        let Some(node) = state.node(key) else {
            return Settled::Mine;
        };
        let own = std::mem::take(&mut node.own);
        let (parent, baseline, baseline_held) = (node.parent, node.baseline, node.baseline_held);
        state.take_back(own);
        let has_others = match state.count_held(parent) {
            Some(count) => count > baseline_held,
            None => state.count > baseline,
        };
        if has_others {
            Settled::Outside
        } else {
            Settled::Mine
        }
    }

    /// S4. Whether it now waits for the root, which only the runtime can serve.
    pub(super) fn raise(&self, to: Key, error: CancelledError) -> bool {
        let mut state = self.0.lock();
        let mark = Mark {
            error,
            target: Target::At(to),
            from_self: false,
        };
        if state.node(to).is_some() {
            let mut wakers = Vec::new();
            state.mark(to, &mark, &mut wakers);
            drop(state);
            drop(wakers);
            return false;
        }
        state.aim(Target::At(Key::ROOT), mark.error);
        true
    }

    /// S5. The scope's waker, to be dropped or called outside, and whether there is a request to be delivered again.
    pub(super) fn leave(&self, key: Key) -> (Option<Waker>, bool) {
        let mut state = self.0.lock();
        let Some(node) = state
            .nodes
            .get_mut(key.index)
            .and_then(|slot| slot.take_if(|node| node.key == key))
        else {
            return (None, false);
        };
        state.free.push(key.index);
        state.live -= 1;
        state.take_back(node.own);
        state
            .aimed
            .retain(|(target, _)| *target != Target::Within(key));
        if let Some(parent) = state.node(node.parent) {
            parent.children -= 1;
        }
        let has_mark = node.mark.is_some();
        if let Some(mark) = node.mark {
            state.marked -= 1;
            match mark.target {
                Target::Within(Key::ROOT) => {
                    state.whole.get_or_insert(Request {
                        error: mark.error,
                        from_self: mark.from_self,
                        committed: false,
                    });
                }
                Target::At(target) if target == key => {
                    state.aim(Target::At(node.parent), mark.error);
                }
                target => state.aim(target, mark.error),
            }
        }
        (node.waker, has_mark)
    }
}

impl Mark {
    fn of_all(
        whole: Option<Request>,
        aimed: Vec<(Target, CancelledError)>,
    ) -> impl Iterator<Item = Self> {
        let whole = whole.map(|request| Self {
            error: request.error,
            target: Target::Within(Key::ROOT),
            from_self: request.from_self,
        });
        let aimed = aimed.into_iter().map(|(target, error)| Self {
            error,
            target,
            from_self: false,
        });
        whole.into_iter().chain(aimed)
    }
}

impl State {
    fn node(&mut self, key: Key) -> Option<&mut Node> {
        self.nodes
            .get_mut(key.index)?
            .as_mut()
            .filter(|node| node.key == key)
    }

    fn peek(&self, key: Key) -> Option<&Node> {
        self.nodes
            .get(key.index)?
            .as_ref()
            .filter(|node| node.key == key)
    }

    /// If `key` is inside a scope that holds, or is one: the requests made by the scopes from it up to that one.
    fn count_held(&self, mut key: Key) -> Option<usize> {
        let mut count = 0;
        loop {
            let node = self.peek(key)?;
            if node.kind == Kind::Hold {
                return Some(count);
            }
            count += node.own;
            key = node.parent;
        }
    }

    /// Takes requests off the count. At zero, what has not interrupted anything yet is forgotten.
    fn take_back(&mut self, requests: usize) {
        if requests == 0 {
            return;
        }
        self.count = self.count.saturating_sub(requests);
        if self.count == 0 {
            self.whole.take_if(|request| !request.committed);
        }
    }

    fn all_marked_forward(&self) -> bool {
        let mut marked = self
            .nodes
            .iter()
            .flatten()
            .filter(|node| node.mark.is_some());
        marked.all(|node| node.kind == Kind::Forward)
    }

    fn aim(&mut self, target: Target, error: CancelledError) {
        if !self.aimed.iter().any(|(seen, _)| *seen == target) {
            self.aimed.push((target, error));
        }
    }

    /// The scopes that take a request with this target, or the root.
    fn takers(&self, target: Target) -> Vec<Key> {
        match target {
            // Scopes were there when it was raised and have gone: the next one out takes it.
            Target::At(key) => vec![if self.peek(key).is_some() {
                key
            } else {
                Key::ROOT
            }],
            Target::Within(Key::ROOT) if self.live == 0 => vec![Key::ROOT],
            Target::Within(key) => {
                let nodes = self.nodes.iter().flatten();
                nodes
                    .filter(|node| self.is_leaf(node, key))
                    .map(|node| node.key)
                    .collect()
            }
        }
    }

    /// Whether `node` is an innermost scope inside `target`, as seen past scopes that hold.
    fn is_leaf(&self, node: &Node, target: Key) -> bool {
        let holds = node.kind == Kind::Hold && node.key != target;
        if node.children > 0 && !holds {
            return false;
        }
        let mut at = node.key;
        while at != target {
            let Some(inner) = self.peek(at) else {
                // The chain ended at the root, or at a scope that has gone.
                return target == Key::ROOT;
            };
            if at != node.key && inner.kind == Kind::Hold {
                return false;
            }
            at = inner.parent;
        }
        true
    }

    fn mark(&mut self, key: Key, mark: &Mark, wakers: &mut Vec<Waker>) {
        let Some(node) = self.node(key) else {
            return;
        };
        // One error serves all requests that reach the same scope. But one that holds must see that what is inside has given up.
        if let Some(seen) = &mut node.mark {
            if node.kind == Kind::Hold && mark.target == Target::At(key) {
                seen.target = mark.target;
            }
            return;
        }
        node.mark = Some(Mark {
            error: mark.error.clone(),
            target: mark.target,
            from_self: mark.from_self,
        });
        wakers.extend(node.waker.clone());
        self.marked += 1;
    }
}
