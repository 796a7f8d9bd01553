//! Who awaits whom: one task with those that wait for it, and all tasks as a tree. For people who ask why a program stands.
//!
//! Reads what tasks say of themselves (`task/cell.rs`: the leaf they wait for, who awaits them) and never polls anything. All
//! of it is a snapshot: tasks go on while it is taken.

use crate::spawn::{all_tasks, current_task};
use crate::task::{AwaiterKey, TaskRef};
use std::collections::{HashMap, HashSet};
use std::fmt::{self, Write};

/// What is deeper than this many levels is not indented further: a long chain would fill the memory with blanks.
const INDENTED_MAX: usize = 32;

/// A task, the task that awaits it, the one that awaits that, and so on; made by [`capture_call_graph`].
///
/// It is a chain: a task's handle is in one task's hands. A child of a task group is awaited by the task its group is in,
/// and while somebody awaits its handle, by that one. `Display` writes it in asyncio's layout; of each task, where it waits
/// (for a task: where that one was created) and where it was created.
///
/// # Examples
///
/// ```
/// use loxley_runtime::{capture_call_graph, create_task, current_task, gather};
///
/// loxley_runtime::run(async {
///     current_task().unwrap().set_name("main");
///     let asked = async { capture_call_graph(None).expect("a task runs this").to_string() };
///     let (text, ()) = gather((asked, async {})).await.unwrap();
///     // * Task(name='Task-2', id=2)
///     //   + Call stack:
///     //   |   running
///     //   |   File 'src/main.rs', line 4, created
///     //   + Awaited by:
///     //     * Task(name='main', id=1)
///     //       + Call stack:
///     assert!(text.contains("+ Awaited by:\n    * Task(name='main'"), "{text}");
/// });
/// ```
#[derive(Clone, Debug)]
#[doc(alias = "FutureCallGraph")]
#[doc(alias = "FrameCallGraphEntry")]
pub struct CallGraph {
    /// The task itself first.
    chain: Vec<TaskRef>,
    is_ring: bool,
}

impl CallGraph {
    /// The task that was asked about.
    #[must_use]
    pub fn task(&self) -> &TaskRef {
        &self.chain[0]
    }

    /// The task that awaits it, the one that awaits that one, and so on.
    ///
    /// # Examples
    ///
    /// ```
    /// use loxley_runtime::{capture_call_graph, create_task, current_task, yield_now};
    ///
    /// # loxley_runtime::run(async {
    /// let inner = create_task(std::future::pending::<()>());
    /// let seen = inner.as_ref();
    /// let outer = create_task(async { inner.await });
    /// let chain = loop {
    ///     let graph = capture_call_graph(Some(&seen)).unwrap();
    ///     if !graph.awaited_by().is_empty() {
    ///         break graph;
    ///     }
    ///     yield_now().await; // The outer one has not been polled yet.
    /// };
    /// assert_eq!(chain.awaited_by(), [outer.as_ref()]);
    /// # });
    /// ```
    #[must_use]
    pub fn awaited_by(&self) -> &[TaskRef] {
        &self.chain[1..]
    }

    /// Whether the last of them is awaited by one that was named before: such tasks never end unless one of them is
    /// cancelled.
    #[must_use]
    pub fn is_ring(&self) -> bool {
        self.is_ring
    }
}

impl fmt::Display for CallGraph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut margin = String::new();
        for (index, task) in self.chain.iter().enumerate() {
            if index > 0 {
                writeln!(f, "{margin}  + Awaited by:")?;
                if index <= INDENTED_MAX {
                    margin.push_str("    ");
                }
            }
            writeln!(f, "{margin}* {}", Title(task))?;
            writeln!(f, "{margin}  + Call stack:")?;
            writeln!(f, "{margin}  |   {}", Place(task))?;
            let at = task.spawned_at();
            let (file, line) = (at.file(), at.line());
            writeln!(f, "{margin}  |   File '{file}', line {line}, created")?;
        }
        if self.is_ring {
            writeln!(f, "{margin}  + Awaited by one of these: a ring")?;
        }
        Ok(())
    }
}

/// `Task(name='…', id=…)`.
struct Title<'a>(&'a TaskRef);

impl fmt::Display for Title<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Task(name='{}', id={})", self.0.name(), self.0.id())
    }
}

/// Where a task is.
struct Place<'a>(&'a TaskRef);

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_finished() {
            return f.write_str("ended");
        }
        if self.0.is_runnable() {
            return f.write_str("running");
        }
        let reason = self.0.waiting_for();
        match reason.at {
            Some(at) => write!(
                f,
                "File '{}', line {}, waiting ({:?})",
                at.file(),
                at.line(),
                reason.kind
            ),
            None => write!(f, "waiting ({:?})", reason.kind),
        }
    }
}

/// The task, and who awaits it: of `task`, or of the current one if it is `None`. `None` outside every task.
///
/// Those of other runtimes than the one this is called in are not seen. Looks through all live tasks once.
///
/// # Examples
///
/// ```
/// use loxley_runtime::{capture_call_graph, create_task};
///
/// assert!(capture_call_graph(None).is_none(), "no task runs this");
/// # loxley_runtime::run(async {
/// let alone = create_task(std::future::pending::<()>());
/// let graph = capture_call_graph(Some(&alone.as_ref())).unwrap();
/// assert!(graph.awaited_by().is_empty() && !graph.is_ring());
/// # });
/// ```
///
/// **Differs from asyncio**: no `depth` and `limit`. There are no frames of futures in Rust, so the stack of a task is the
/// line of the leaf it waits for and the line that created it.
pub fn capture_call_graph(task: Option<&TaskRef>) -> Option<CallGraph> {
    let task = task.cloned().or_else(current_task)?;
    let alive: HashMap<AwaiterKey, TaskRef> = all_tasks()
        .into_iter()
        .map(|task| (task.id().into(), task))
        .collect();
    let mut chain = vec![task];
    let mut seen = HashSet::new();
    let is_ring = loop {
        let last = &chain[chain.len() - 1];
        if !seen.insert(AwaiterKey::from(last.id())) {
            chain.pop();
            break true;
        }
        if last.is_finished() {
            break false;
        }
        match last.awaiter().and_then(|key| alive.get(&key)) {
            Some(awaiter) => chain.push(awaiter.clone()),
            None => break false,
        }
    };
    Some(CallGraph { chain, is_ring })
}

/// [`capture_call_graph`] as text; empty outside every task.
///
/// # Examples
///
/// ```
/// use loxley_runtime::{create_task, format_call_graph, sleep, yield_now};
/// use std::time::Duration;
///
/// # loxley_runtime::run(async {
/// let task = create_task(sleep(Duration::from_secs(60)));
/// let seen = task.as_ref();
/// while seen.is_runnable() {
///     yield_now().await;
/// }
/// assert!(format_call_graph(Some(&seen)).contains("waiting (Timer)"));
/// # });
/// ```
#[must_use]
pub fn format_call_graph(task: Option<&TaskRef>) -> String {
    capture_call_graph(task).map_or_else(String::new, |graph| graph.to_string())
}

/// Writes [`format_call_graph`] to the standard output.
///
/// # Panics
///
/// As `print!`, if nobody takes the output.
///
/// # Examples
///
/// ```
/// loxley_runtime::run(async {
///     loxley_runtime::print_call_graph(None); // Why am I here?
/// });
/// ```
#[expect(clippy::print_stdout, reason = "what it is for")]
pub fn print_call_graph(task: Option<&TaskRef>) {
    print!("{}", format_call_graph(task));
}

/// All live tasks of the current runtime as a tree: each under the one that awaits it, with where it waits. The tasks that
/// nobody awaits stand at the left; rings, which never end by themselves, are named below. Empty outside a runtime; another
/// thread asks under a guard of [`Handle::enter`](crate::Handle::enter).
///
/// For a page of a server that shows what it does, or a signal handler.
///
/// # Examples
///
/// ```
/// use loxley_runtime::{TaskGroup, current_task, format_task_tree, task_group, yield_now};
/// use std::{convert::Infallible, future::pending};
///
/// loxley_runtime::run(async {
///     current_task().unwrap().set_name("main");
///     let group = task_group(|tg: TaskGroup<Infallible>| async move {
///         tg.create_task(pending::<()>()).set_name("songs");
///         let text = format_task_tree();
///         // └── (T) main: running
///         //     └── (T) songs: waiting (Unknown)
///         assert!(text.starts_with("└── (T) main: running\n    └── (T) songs: "), "{text}");
///         tg.cancel();
///         Ok(())
///     });
///     group.await.unwrap();
/// });
/// ```
#[must_use]
#[doc(alias = "pstree")]
#[doc(alias = "ps")]
#[doc(alias = "dump")]
pub fn format_task_tree() -> String {
    let mut tasks = all_tasks();
    tasks.sort_by_key(TaskRef::id);
    let index: HashMap<AwaiterKey, usize> = tasks
        .iter()
        .enumerate()
        .map(|(index, task)| (task.id().into(), index))
        .collect();
    let awaiters: Vec<_> = tasks
        .iter()
        .map(|task| index.get(&task.awaiter()?).copied())
        .collect();
    let mut tree = Tree {
        awaits: vec![Vec::new(); tasks.len()],
        shown: vec![false; tasks.len()],
        tasks,
        text: String::new(),
    };
    let mut roots = Vec::new();
    for (at, awaiter) in awaiters.iter().enumerate() {
        match awaiter {
            Some(awaiter) => tree.awaits[*awaiter].push(at),
            None => roots.push(at),
        }
    }
    tree.show_all(roots);
    while let Some(first) = tree.shown.iter().position(|shown| !shown) {
        tree.show_ring(&ring_above(first, &awaiters));
    }
    tree.text
}

/// The tasks of the ring that all lead to who await the task at `first`; nobody else awaits it.
fn ring_above(first: usize, awaiters: &[Option<usize>]) -> Vec<usize> {
    let mut path = Vec::new();
    let mut places = HashMap::new();
    let mut next = Some(first);
    while let Some(at) = next {
        if let Some(begin) = places.insert(at, path.len()) {
            return path.split_off(begin);
        }
        path.push(at);
        next = awaiters[at];
    }
    path
}

struct Tree {
    tasks: Vec<TaskRef>,
    /// Which tasks each awaits.
    awaits: Vec<Vec<usize>>,
    shown: Vec<bool>,
    text: String,
}

impl Tree {
    /// Everything below `roots`. With a list of its own and no recursion: chains may be long.
    fn show_all(&mut self, roots: Vec<usize>) {
        let mut open = vec![(roots.into_iter(), String::new())];
        loop {
            let depth = open.len();
            let Some((siblings, margin)) = open.last_mut() else {
                return;
            };
            let Some(at) = siblings.next() else {
                open.pop();
                continue;
            };
            let is_last = siblings.len() == 0;
            let (branch, below) = if is_last {
                ("└── ", "    ")
            } else {
                ("├── ", "│   ")
            };
            let inner = match depth <= INDENTED_MAX {
                true => format!("{margin}{below}"),
                false => margin.clone(),
            };
            let task = &self.tasks[at];
            // Writing to a string does not fail.
            let _ = writeln!(
                self.text,
                "{margin}{branch}(T) {}: {}",
                task.name(),
                Place(task)
            );
            self.shown[at] = true;
            open.push((std::mem::take(&mut self.awaits[at]).into_iter(), inner));
        }
    }

    /// Tasks that await each other, and what else they await.
    fn show_ring(&mut self, ring: &[usize]) {
        let names: Vec<_> = ring.iter().map(|at| self.tasks[*at].name()).collect();
        // Writing to a string does not fail.
        let _ = writeln!(
            self.text,
            "a ring, each awaited by the next: {}",
            names.join(", ")
        );
        let mut below = Vec::new();
        for at in ring {
            self.shown[*at] = true;
            below.append(&mut self.awaits[*at]);
        }
        below.retain(|at| !self.shown[*at]);
        self.show_all(below);
    }
}
