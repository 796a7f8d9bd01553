//! The environment of a child, and where in it the program is looked for.
//!
//! Called by users, and by `options.rs` when a child is laid out. Reads this program's variables; never changes them, and
//! never looks whether a file is there.

use std::ffi::{CString, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::process;

use crate::options::Command;

/// Where a program is looked for in an environment without `PATH`; the C library has the same.
const DEFAULT_PATH: &[u8] = b"/bin:/usr/bin";

/// What of this program's environment the child gets.
impl Command {
    /// Sets a variable of the child's environment. `PATH` set here is also where the program is looked for.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_process::{Stdio, create_subprocess_shell};
    /// # loxley_runtime::run(async {
    /// let mut child = create_subprocess_shell("echo $GREETING")
    ///     .env("GREETING", "good morning")
    ///     .stdout(Stdio::piped())
    ///     .spawn()
    ///     .await?;
    /// assert_eq!(child.communicate(None).await?.stdout, b"good morning\n");
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub fn env(mut self, key: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        let (key, value) = (key.as_ref(), value.as_ref());
        self.check_nul("the name of a variable", key);
        self.check_nul("the value of a variable", value);
        if key.as_encoded_bytes().contains(&b'=') || key.is_empty() {
            self.note(&format!(
                "{key:?} is no name for a variable: it must not be empty, nor contain `=`"
            ));
        }
        self.inner.env(key, value);
        self.env_touched(key)
    }

    /// Sets several variables of the child's environment.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_process::{Stdio, create_subprocess_shell};
    /// # loxley_runtime::run(async {
    /// let mut child = create_subprocess_shell("echo $A$B")
    ///     .envs([("A", "1"), ("B", "2")])
    ///     .stdout(Stdio::piped())
    ///     .spawn()
    ///     .await?;
    /// assert_eq!(child.communicate(None).await?.stdout, b"12\n");
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub fn envs<I, K, V>(mut self, variables: I) -> Self
    where
        I: IntoIterator<Item = (K, V)>,
        K: AsRef<OsStr>,
        V: AsRef<OsStr>,
    {
        for (key, value) in variables {
            self = self.env(key, value);
        }
        self
    }

    /// Takes a variable out of the child's environment.
    ///
    /// # Examples
    ///
    /// What the child must not know:
    ///
    /// ```
    /// # use loxley_process::{Stdio, create_subprocess_shell};
    /// # loxley_runtime::run(async {
    /// let mut child = create_subprocess_shell("echo ${TOKEN-none}")
    ///     .env("TOKEN", "secret")
    ///     .env_remove("TOKEN")
    ///     .stdout(Stdio::piped())
    ///     .spawn()
    ///     .await?;
    /// assert_eq!(child.communicate(None).await?.stdout, b"none\n");
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub fn env_remove(mut self, key: impl AsRef<OsStr>) -> Self {
        self.inner.env_remove(key.as_ref());
        self.env_touched(key.as_ref())
    }

    /// The child starts with the variables set after this, and no others.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_process::{Stdio, create_subprocess_exec};
    /// # loxley_runtime::run(async {
    /// let mut child = create_subprocess_exec("/usr/bin/env", [""; 0])
    ///     .env_clear()
    ///     .env("ONLY", "this")
    ///     .stdout(Stdio::piped())
    ///     .spawn()
    ///     .await?;
    /// assert_eq!(child.communicate(None).await?.stdout, b"ONLY=this\n");
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub fn env_clear(mut self) -> Self {
        self.inner.env_clear();
        self.clears_env = true;
        self.needs_fork |= !self.program_is_path();
        self
    }
}

impl Command {
    /// Ours, and what was changed of it: in the map that std has for it, of a command that nobody runs.
    pub(crate) fn environment(&self) -> process::Command {
        let mut env = process::Command::new("");
        env.env_clear();
        if !self.clears_env {
            env.envs(std::env::vars_os());
        }
        for (key, value) in self.inner.get_envs() {
            match value {
                Some(value) => env.env(key, value),
                None => env.env_remove(key),
            };
        }
        env
    }

    /// Where the program may be: as `execvp` looks for it.
    pub(crate) fn places(&self, env: &process::Command) -> Option<Vec<CString>> {
        let name = self.program.as_bytes();
        if self.program_is_path() {
            return Some(vec![CString::new(name).ok()?]);
        }
        let path = variables(env).find(|(key, _)| *key == "PATH");
        let path = path.map_or(DEFAULT_PATH, |(_, path)| path.as_bytes());
        let dirs = path.split(|&byte| byte == b':');
        dirs.map(|dir| match dir {
            // The directory in which the child is.
            [] => CString::new(name).ok(),
            dir => CString::new([dir, b"/", name].concat()).ok(),
        })
        .collect()
    }

    fn program_is_path(&self) -> bool {
        self.program.as_encoded_bytes().contains(&b'/')
    }

    /// std looks for the program in the child's PATH, which takes a fork.
    fn env_touched(mut self, key: &OsStr) -> Self {
        self.needs_fork |= key == "PATH" && !self.program_is_path();
        self
    }
}

/// Those of an [`environment`](Command::environment).
pub(crate) fn variables(env: &process::Command) -> impl Iterator<Item = (&OsStr, &OsStr)> {
    env.get_envs()
        .filter_map(|(key, value)| Some((key, value?)))
}

/// `KEY=value`.
pub(crate) fn variable((key, value): (&OsStr, &OsStr)) -> Option<CString> {
    CString::new([key.as_bytes(), b"=", value.as_bytes()].concat()).ok()
}
