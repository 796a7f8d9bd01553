//! Subprocesses: what a child says, and how it ends.

use std::io;

use loxley::process::Stdio;
use loxley::{create_subprocess_exec, create_subprocess_shell, try_gather};

async fn run(line: &str) -> io::Result<()> {
    let mut child = create_subprocess_shell(line)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .await?;
    let output = child.communicate(None).await?;
    println!(
        "['{line}' exited with {}]",
        child.returncode().unwrap_or_default()
    );
    if !output.stdout.is_empty() {
        println!(
            "[stdout]\n{}",
            String::from_utf8_lossy(&output.stdout).trim_end()
        );
    }
    if !output.stderr.is_empty() {
        println!(
            "[stderr]\n{}",
            String::from_utf8_lossy(&output.stderr).trim_end()
        );
    }
    Ok(())
}

/// Example 40. How a child ended, and what it said.
pub(crate) async fn run_ls() -> io::Result<()> {
    run("ls /zzz").await
}

/// Example 41. Two at once.
pub(crate) async fn run_two() -> io::Result<()> {
    let both = try_gather((run("ls /zzz"), run("sleep 1; echo \"hello\"")));
    both.await.map(drop)
}

/// Example 42. A program without a shell, and its first line.
pub(crate) async fn get_date() -> io::Result<()> {
    let mut child = create_subprocess_exec("date", ["+%Y-%m-%d %H:%M:%S"])
        .stdout(Stdio::piped())
        .spawn()
        .await?;
    let mut stdout = child.stdout.take().expect("it is piped");
    let line = stdout.readline().await?;
    child.wait().await?;
    println!(
        "Current date: {}",
        String::from_utf8_lossy(&line).trim_end()
    );
    Ok(())
}
