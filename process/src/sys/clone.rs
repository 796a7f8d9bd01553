//! A new process in two system calls: `clone3`, and what it becomes. Everything else is laid out before.
//!
//! Called by `start.rs`, on systems that have it: [`spawn`] says so when they do not, and std makes the process then. It
//! waits until the process has become its program, and for nothing else.
//!
//! The C library's `posix_spawn` asks for the action of every signal in the child, and sets it, because it cannot know of
//! whom it shares memory with: some 130 calls per child. `CLONE_CLEAR_SIGHAND` (Linux 5.5) has the kernel do that, and
//! `CLONE_PIDFD` brings the process descriptor along.
//!
//! **Between clone and exec** the child runs on a stack of its own in this program's memory, and the thread that made it
//! sleeps in the kernel until it is done (`CLONE_VFORK`). So it may read whatever that thread may read, and must not
//! allocate, lock, unwind or drop: any of that would happen to us. No handler of a signal can run in it, for it has none.
//! A child with fewer rights than ours must not share our memory: another user takes std's fork.

#![expect(
    unsafe_code,
    reason = "std has no way to have the kernel reset signals, and none to get a process descriptor along"
)]

use std::ffi::{CStr, CString, c_char};
use std::io;
use std::mem::{MaybeUninit, size_of};
use std::os::fd::{AsFd, FromRawFd, OwnedFd};
use std::ptr;

use rustix::fs::Mode;
use rustix::io::{Errno, FdFlags, fcntl_setfd};

use super::plan::{Cloned, Plan};
use super::{as_pid, reap_failed};

/// What is left of a child's stack by the calls below is much less.
const STACK: usize = 32 << 10;
/// What the machine wants of a stack's address.
const STACK_ALIGN: usize = 16;

/// How a child that could not become a program exits; nobody sees it.
const EXIT_FAILED: i32 = 127;

/// What the child sees of its parent's memory.
struct Shared<'a> {
    plan: &'a Plan<'a>,
    args: Vec<*const c_char>,
    env: Vec<*const c_char>,
    /// Why there is no program, as the child's last word. 0: there is.
    errno: i32,
}

/// Starts the program; `None` if this system, or a filter on it, has no such call.
///
/// # Errors
///
/// The system's own: no process or descriptor is left, a step in the child failed, there is no such program. There is no
/// child then.
pub(crate) fn spawn(plan: &Plan<'_>) -> io::Result<Option<Cloned>> {
    let mut shared = Shared {
        plan,
        args: pointers(&plan.args),
        env: pointers(&plan.env),
        errno: 0,
    };
    let mut pidfd = -1;
    let answer = clone(&mut shared, plan.wants_pidfd.then_some(&mut pidfd));
    let pid = match answer {
        Ok(pid) => pid,
        Err(Errno::NOSYS | Errno::INVAL | Errno::PERM) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    // SAFETY: the kernel has just opened it for us, and nobody else knows of it.
    let pidfd = (pidfd >= 0).then(|| unsafe { OwnedFd::from_raw_fd(pidfd) });
    if shared.errno != 0 {
        reap_failed(as_pid(pid));
        return Err(io::Error::from_raw_os_error(shared.errno));
    }
    Ok(Some(Cloned { pid, pidfd }))
}

/// What `execve` takes: the texts' addresses, and a null at the end.
fn pointers(texts: &[CString]) -> Vec<*const c_char> {
    let addresses = texts.iter().map(|text| text.as_ptr());
    addresses.chain([ptr::null()]).collect()
}

/// Makes the child and returns when it has become a program, or has failed and said why in `shared`.
fn clone(shared: &mut Shared<'_>, pidfd: Option<&mut i32>) -> Result<u32, Errno> {
    let mut stack = Vec::<MaybeUninit<u8>>::with_capacity(STACK + STACK_ALIGN);
    let base = stack.as_mut_ptr();
    let skipped = base.align_offset(STACK_ALIGN);
    // SAFETY: plain numbers, for which all bits zero are a value.
    let mut args: libc::clone_args = unsafe { MaybeUninit::zeroed().assume_init() };
    args.flags = [libc::CLONE_VM, libc::CLONE_VFORK]
        .into_iter()
        .fold(CLEAR_SIGHAND, |flags, flag| {
            flags | u64::from(flag.unsigned_abs())
        });
    args.exit_signal = u64::from(libc::SIGCHLD.unsigned_abs());
    args.stack = address(base.wrapping_add(skipped));
    args.stack_size = STACK as u64;
    if let Some(pidfd) = pidfd {
        args.flags |= u64::from(libc::CLONE_PIDFD.unsigned_abs());
        args.pidfd = address(ptr::from_mut(pidfd));
    }
    let answer: i64;
    // SAFETY: `args` is what the call takes, and says how long it is. In the parent the block is one system call, and it
    // names what that changes. The child never leaves the block: on the stack given to it, which has room and is alive
    // because the parent sleeps until the child is done with our memory, it calls a function that does not return. Registers
    // 12 and 13 are what they were before the call, so it finds that function and its argument in them.
    unsafe {
        std::arch::asm!(
            "syscall",
            "test rax, rax",
            "jnz 2f",
            // The end of the frames, for whoever walks them.
            "xor ebp, ebp",
            "mov rdi, r12",
            "call r13",
            "ud2",
            "2:",
            inlateout("rax") libc::SYS_clone3 => answer,
            in("rdi") &raw mut args,
            in("rsi") size_of::<libc::clone_args>(),
            in("r12") ptr::from_mut(shared),
            in("r13") live as extern "C" fn(*mut Shared<'_>) -> !,
            lateout("rcx") _,
            lateout("r11") _,
        );
    }
    drop(stack);
    match u32::try_from(answer) {
        Ok(pid) => Ok(pid),
        Err(_) => Err(Errno::from_raw_os_error(
            i32::try_from(-answer).unwrap_or(libc::EINVAL),
        )),
    }
}

/// libc's own has the wrong type for its size.
const CLEAR_SIGHAND: u64 = 0x1_0000_0000;

fn address<T>(pointer: *mut T) -> u64 {
    pointer.expose_provenance() as u64
}

/// The child's life until it is another program. No panic, no allocation, no lock, no drop: see the top of the file.
extern "C" fn live(shared: *mut Shared<'_>) -> ! {
    // SAFETY: the parent gave the address of a value that it neither touches nor frees while this runs.
    let shared = unsafe { &mut *shared };
    shared.errno = match prepare(shared.plan) {
        Ok(()) => become_program(shared),
        Err(error) => error.raw_os_error(),
    };
    // SAFETY: ends this process at once; nothing of the parent is run or flushed.
    unsafe { libc::_exit(EXIT_FAILED) }
}

/// What the child does to itself. All of it is system calls through rustix, which keep no state in our memory.
fn prepare(plan: &Plan<'_>) -> Result<(), Errno> {
    if plan.setup.new_session {
        rustix::process::setsid()?;
    }
    if let Some(group) = plan.process_group {
        rustix::process::setpgid(None, rustix::process::Pid::from_raw(group))?;
    }
    if let Some(mask) = plan.setup.umask {
        rustix::process::umask(Mode::from_raw_mode(mask.into()));
    }
    if let Some(dir) = &plan.cwd {
        rustix::process::chdir(dir.as_c_str())?;
    }
    let [stdin, stdout, stderr] = plan.streams;
    if let Some(fd) = stdin {
        rustix::stdio::dup2_stdin(fd)?;
    }
    if let Some(fd) = stdout {
        rustix::stdio::dup2_stdout(fd)?;
    }
    if let Some(fd) = stderr {
        rustix::stdio::dup2_stderr(fd)?;
    }
    for fd in &plan.setup.keep {
        fcntl_setfd(fd.as_fd(), FdFlags::empty())?;
    }
    reset_signals();
    Ok(())
}

/// Lets every signal through, and lets SIGPIPE kill: a Rust program ignores it, and others do not expect that. What else is
/// ignored stays so, as across every exec.
fn reset_signals() {
    // SAFETY: plain data, for which all bits zero are a value: the default action and an empty mask.
    let default: libc::sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
    // SAFETY: reads one action, and the old one is not asked for. The child has a table of its own.
    unsafe { libc::sigaction(libc::SIGPIPE, &raw const default, ptr::null_mut()) };
    // SAFETY: reads one set. The mask is the child's own.
    unsafe {
        libc::sigprocmask(
            libc::SIG_SETMASK,
            &raw const default.sa_mask,
            ptr::null_mut(),
        )
    };
}

/// Tries one place after the other, as `execvp` does; comes back only with the reason why none of them will do.
fn become_program(shared: &Shared<'_>) -> i32 {
    let mut last = libc::ENOENT;
    let mut was_denied = false;
    for program in &shared.plan.programs {
        last = exec(program, shared);
        match last {
            libc::EACCES => was_denied = true,
            // It is not there, or where it would be cannot be reached.
            libc::ENOENT | libc::ENOTDIR | libc::ESTALE | libc::ENODEV | libc::ETIMEDOUT => {}
            _ => return last,
        }
    }
    match was_denied {
        true => libc::EACCES,
        false => last,
    }
}

fn exec(program: &CStr, shared: &Shared<'_>) -> i32 {
    // SAFETY: all three are texts, or lists of such, that end in a null; the parent keeps them alive.
    unsafe { libc::execve(program.as_ptr(), shared.args.as_ptr(), shared.env.as_ptr()) };
    // SAFETY: takes nothing, and gives the address of this thread's errno.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: it is good as long as the thread; the child shares it with the parent, which sleeps meanwhile.
    unsafe { *errno }
}
