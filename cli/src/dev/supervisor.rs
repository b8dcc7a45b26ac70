//! Keeps the roles running as child processes: starts them, reads what they say, restarts what crashes, ends them.
//!
//! Shows nothing itself: everything goes to one channel as [`Said`]. The channel is bounded; while nobody reads it a
//! child's output waits in its pipe and then the child waits, so whoever owns the channel must keep reading, also while
//! [`Supervisor::stop`] runs. No child outlives this process: its standard input is a pipe of ours (see `roles`).

use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::children::{ChildSpec, DRAIN, Role};
use super::lines::{self, Line};

/// Given on top of the drain before a child is killed.
const GRACE: Duration = Duration::from_secs(2);
/// A child that ran this long is not in a crash loop.
const STEADY: Duration = Duration::from_secs(30);
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// A longer line is read in parts. Payloads are never logged, so no honest line is near it.
const LONGEST_LINE: u64 = 1024 * 1024;
/// After a child's end its pipes are empty at once, unless it left a process of its own behind.
const LAST_WORDS: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(crate) enum Said {
    Line(Role, Line),
    /// The child has ended although nobody asked it to.
    Exited(Exit),
}

#[derive(Debug)]
pub(crate) struct Exit {
    pub(crate) role: Role,
    /// Such as "exit status: 1".
    pub(crate) how: String,
    pub(crate) restart_in: Duration,
}

pub(crate) struct Supervisor {
    program: PathBuf,
    said: mpsc::Sender<Said>,
    running: Vec<Running>,
    kill: CancellationToken,
}

struct Running {
    role: Role,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Supervisor {
    pub(crate) fn new(program: PathBuf, said: mpsc::Sender<Said>) -> Self {
        Self { program, said, running: Vec::new(), kill: CancellationToken::new() }
    }

    /// Starts a child and keeps it running until [`Supervisor::stop`].
    pub(crate) fn start(&mut self, spec: ChildSpec) {
        let stop = CancellationToken::new();
        let tasks = TaskTracker::new();
        let keeper = Keeper {
            program: self.program.clone(),
            said: self.said.clone(),
            stop: stop.clone(),
            kill: self.kill.clone(),
        };
        let role = spec.role;
        tasks.spawn(async move { keeper.keep_running(&spec).await });
        tasks.close();
        self.running.push(Running { role, stop, tasks });
    }

    /// Makes [`Supervisor::stop`] kill at once what has not ended yet.
    pub(crate) fn kill_token(&self) -> CancellationToken {
        self.kill.clone()
    }

    /// Ends the ingress first, so that nothing new comes in while the dispatcher finishes; then the others. Bounded by
    /// twice the drain.
    pub(crate) async fn stop(self) {
        let (first, rest): (Vec<_>, Vec<_>) = self.running.into_iter().partition(|child| child.role == Role::Ingress);
        for group in [first, rest] {
            for child in &group {
                child.stop.cancel();
            }
            for child in group {
                child.tasks.wait().await;
            }
        }
    }
}

/// The task of one child.
struct Keeper {
    program: PathBuf,
    said: mpsc::Sender<Said>,
    stop: CancellationToken,
    kill: CancellationToken,
}

impl Keeper {
    async fn keep_running(&self, spec: &ChildSpec) {
        let mut crashes = 0;
        loop {
            let started = Instant::now();
            let how = match self.run_once(spec).await {
                Ok(status) => status.to_string(),
                Err(error) => format!("cannot run: {error}"),
            };
            if self.stop.is_cancelled() {
                return;
            }
            if started.elapsed() >= STEADY {
                crashes = 0;
            }
            let restart_in = pause_before_restart(crashes);
            crashes += 1;
            // Without a reader there is nobody to run for.
            if self.said.send(Said::Exited(Exit { role: spec.role, how, restart_in })).await.is_err() {
                return;
            }
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = tokio::time::sleep(restart_in) => {}
            }
        }
    }

    /// Runs the child to its end, whether by itself or because it was told to.
    async fn run_once(&self, spec: &ChildSpec) -> std::io::Result<ExitStatus> {
        let mut child = Command::new(&self.program)
            .args(&spec.arguments)
            .envs(spec.environment.iter().map(|(name, value)| (*name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // A group of its own: Ctrl-C reaches only us, and we end the children in order.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        // Held to the child's end; waiting for the child would close it and so end it.
        let lifeline = child.stdin.take();
        let readers = TaskTracker::new();
        if let Some(stdout) = child.stdout.take() {
            readers.spawn(read(stdout, spec.role, self.said.clone()));
        }
        if let Some(stderr) = child.stderr.take() {
            readers.spawn(read(stderr, spec.role, self.said.clone()));
        }
        readers.close();
        let status = tokio::select! {
            status = child.wait() => status,
            () = self.stop.cancelled() => self.end(&mut child).await,
        };
        drop(lifeline);
        // What is still open after that belongs to a process that the child left behind.
        drop(tokio::time::timeout(LAST_WORDS, readers.wait()).await);
        status
    }

    /// Asks the child to end as a kubelet does, and insists after the drain.
    async fn end(&self, child: &mut Child) -> std::io::Result<ExitStatus> {
        let pid = child.id().and_then(|id| i32::try_from(id).ok()).and_then(rustix::process::Pid::from_raw);
        if let Some(pid) = pid {
            // Fails only if it has ended already.
            rustix::process::kill_process(pid, rustix::process::Signal::TERM).ok();
        }
        tokio::select! {
            status = child.wait() => return status,
            () = tokio::time::sleep(DRAIN + GRACE) => {}
            () = self.kill.cancelled() => {}
        }
        child.start_kill()?;
        child.wait().await
    }
}

/// Doubles from [`FIRST_PAUSE`] up to [`LONGEST_PAUSE`].
fn pause_before_restart(crashes: u32) -> Duration {
    FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(crashes)).min(LONGEST_PAUSE)
}

async fn read(stream: impl AsyncRead + Unpin, role: Role, said: mpsc::Sender<Said>) {
    let mut reader = BufReader::new(stream);
    let mut line = Vec::new();
    loop {
        line.clear();
        match (&mut reader).take(LONGEST_LINE).read_until(b'\n', &mut line).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let line = lines::read(&String::from_utf8_lossy(&line));
        if line != Line::Quiet && said.send(Said::Line(role, line)).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests;
