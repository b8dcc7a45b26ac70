//! A process under test: its program, environment and log lines.
//!
//! Starts the binaries that were built beside the test's own; must not know which role a binary plays. Its environment
//! holds only what the test gave, so that a developer's variables change nothing. It is killed when the value is dropped.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::wait::wait_for;

/// More than any test writes; beyond it the oldest lines go.
const MAX_LINES: usize = 200_000;
/// How much of the output a failing test shows.
const SHOWN_LINES: usize = 60;
/// Held while a child is being made: until it runs its own program it has a copy of every descriptor of this process.
static STARTING: Mutex<()> = Mutex::new(());

/// Runs what must not happen while a child still holds copies of this process's descriptors: closing a listening socket
/// in order to bind its port again.
pub(crate) fn while_no_process_starts<T>(work: impl FnOnce() -> T) -> T {
    let _alone = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
    work()
}

/// A program with its arguments and the whole of its environment.
#[derive(Debug, Clone)]
pub struct Program {
    path: PathBuf,
    args: Vec<OsString>,
    env: BTreeMap<String, OsString>,
    /// A command that sets something of the process and then becomes the program.
    wrapper: Vec<String>,
}

impl Program {
    /// One of the workspace's binaries, for example `millrace-ingress`.
    ///
    /// # Panics
    /// When it was not built.
    #[must_use]
    pub fn named(name: &str) -> Self {
        let me = std::env::current_exe().expect("a process knows its own program");
        // Tests run from target/PROFILE/deps, the bench runner from target/PROFILE.
        // Whoever measures wants other binaries: MILLRACE_TEST_BINARIES is their folder.
        let chosen = std::env::var_os("MILLRACE_TEST_BINARIES").map(PathBuf::from);
        let folders = chosen.iter().map(PathBuf::as_path).chain(me.ancestors().skip(1).take(2));
        let found = folders.map(|folder| folder.join(name)).find(|path| path.is_file());
        let path = found.unwrap_or_else(|| {
            panic!("no binary {name} near {}: run `cargo xtask test`, which builds it", me.display())
        });
        let kept = ["PATH", "HOME", "TMPDIR", "LD_LIBRARY_PATH"];
        let env = kept.iter().filter_map(|name| Some(((*name).to_owned(), std::env::var_os(name)?))).collect();
        Self { path, args: Vec::new(), env, wrapper: Vec::new() }
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Sets a variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.env.insert(name.to_owned(), value.into());
        self
    }

    /// Removes a variable.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.env.remove(name);
        self
    }

    /// Pins the process to one processor, with `taskset`.
    #[must_use]
    pub fn on_cpu(self, cpu: usize) -> Self {
        self.wrapped(&["taskset", "-c", &cpu.to_string()])
    }

    /// Lets the process open so many files and sockets at first, and so many if it asks, with `prlimit`.
    #[must_use]
    pub fn with_descriptors(self, first: usize, most: usize) -> Self {
        self.wrapped(&["prlimit", &format!("--nofile={first}:{most}")])
    }

    fn wrapped(mut self, words: &[&str]) -> Self {
        self.wrapper.extend(words.iter().map(|word| (*word).to_owned()));
        self
    }

    /// Starts it with nothing on standard input.
    ///
    /// # Panics
    /// When the system refuses.
    #[must_use]
    pub fn start(&self) -> Process {
        let mut words = self.wrapper.iter().map(OsString::from).chain([self.path.clone().into_os_string()]);
        let mut command = Command::new(words.next().unwrap_or_default());
        command.args(words).args(&self.args).env_clear().envs(&self.env);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = while_no_process_starts(|| command.spawn())
            .unwrap_or_else(|error| panic!("cannot start {}: {error}", self.path.display()));
        let lines = Lines::default();
        lines.follow(child.stdout.take().expect("stdout is piped"));
        lines.follow(child.stderr.take().expect("stderr is piped"));
        let name = self.path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        Process { name, child, lines, ended: None }
    }

    /// Starts it and waits for its end; for programs that are expected to refuse their settings.
    ///
    /// # Panics
    /// When it runs longer than `timeout`.
    #[must_use]
    pub fn run_to_end(&self, timeout: Duration) -> (ExitStatus, String) {
        let mut process = self.start();
        let status = process.wait_for_exit(timeout);
        (status, process.output())
    }
}

/// One line of output: a JSON object, or any text as a JSON string.
pub type Line = Value;

#[derive(Debug, Clone, Default)]
struct Lines(Arc<Mutex<Vec<Line>>>);

impl Lines {
    fn follow(&self, source: impl Read + Send + 'static) {
        let lines = self.clone();
        thread::spawn(move || {
            for text in BufReader::new(source).split(b'\n').map_while(Result::ok) {
                let text = String::from_utf8_lossy(&text).into_owned();
                let line = serde_json::from_str(&text).ok().filter(Value::is_object).unwrap_or(Value::String(text));
                let mut all = lines.0.lock().unwrap_or_else(PoisonError::into_inner);
                if all.len() >= MAX_LINES {
                    all.drain(..MAX_LINES / 2);
                }
                all.push(line);
            }
        });
    }

    fn with<T>(&self, read: impl FnOnce(&[Line]) -> T) -> T {
        read(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A running process.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    lines: Lines,
    ended: Option<ExitStatus>,
}

impl Process {
    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The lines printed so far on both outputs.
    #[must_use]
    pub fn lines(&self) -> Vec<Line> {
        self.lines.with(<[Line]>::to_vec)
    }

    /// The lines printed so far as text.
    #[must_use]
    pub fn output(&self) -> String {
        self.lines.with(text_of)
    }

    /// How many lines satisfy the predicate.
    #[must_use]
    pub fn count_lines(&self, mut predicate: impl FnMut(&Line) -> bool) -> usize {
        self.lines.with(|lines| lines.iter().filter(|line| predicate(line)).count())
    }

    /// Waits for the first line that satisfies the predicate.
    ///
    /// # Panics
    /// When there is none in `timeout`, or the process ends before it.
    #[track_caller]
    pub fn wait_for_log(&mut self, what: &str, timeout: Duration, mut predicate: impl FnMut(&Line) -> bool) -> Line {
        let name = self.name.clone();
        wait_for(&format!("a line of {name}: {what}"), timeout, || {
            let ended = self.has_ended();
            let found = self.lines.with(|lines| lines.iter().find(|line| predicate(line)).cloned());
            if let (None, Some(status)) = (&found, ended) {
                panic!("{name} ended ({status}) before it printed {what}:\n{}", self.tail());
            }
            found.ok_or_else(|| format!("these lines:\n{}", self.tail()))
        })
    }

    /// Waits for a line with this `message`.
    ///
    /// # Panics
    /// As [`Self::wait_for_log`].
    #[track_caller]
    pub fn wait_for_message(&mut self, message: &str, timeout: Duration) -> Line {
        self.wait_for_log(&format!("{message:?}"), timeout, |line| is_message(line, message))
    }

    /// Sends SIGTERM.
    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Sends SIGINT, as Ctrl-C does.
    pub fn interrupt(&self) {
        self.signal(Signal::INT);
    }

    /// Sends SIGKILL and waits for the end.
    ///
    /// # Panics
    /// When the process outlives it.
    pub fn kill(&mut self) {
        self.signal(Signal::KILL);
        self.wait_for_exit(Duration::from_secs(10));
    }

    /// Sends SIGTERM and waits for the end.
    ///
    /// # Panics
    /// When it takes longer than `timeout`.
    #[track_caller]
    pub fn stop(&mut self, timeout: Duration) -> ExitStatus {
        self.terminate();
        self.wait_for_exit(timeout)
    }

    /// Waits for the end.
    ///
    /// # Panics
    /// When it takes longer than `timeout`.
    #[track_caller]
    pub fn wait_for_exit(&mut self, timeout: Duration) -> ExitStatus {
        let name = self.name.clone();
        let status = wait_for(&format!("the end of {name}"), timeout, || {
            self.has_ended().ok_or_else(|| format!("it runs; its lines:\n{}", self.tail()))
        });
        // The readers get the last lines within moments of the end.
        thread::sleep(Duration::from_millis(20));
        status
    }

    /// The status if it has ended.
    pub fn has_ended(&mut self) -> Option<ExitStatus> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait().expect("a child can be waited for");
        }
        self.ended
    }

    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).expect("a child has a pid");
        if self.ended.is_none() {
            // It may have ended by itself a moment ago; whoever cares looks at its status.
            kill_process(pid, signal).ok();
        }
    }

    fn tail(&self) -> String {
        self.lines.with(|lines| text_of(lines.get(lines.len().saturating_sub(SHOWN_LINES)..).unwrap_or_default()))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("--- the last lines of {} ---\n{}", self.name, self.tail());
        }
        self.signal(Signal::KILL);
        self.child.wait().ok();
    }
}

/// Whether a line is a JSON log line with this message.
#[must_use]
pub fn is_message(line: &Line, message: &str) -> bool {
    line.get("message").and_then(Value::as_str) == Some(message)
}

/// Whether a log line has this text in a field.
#[must_use]
pub fn has(line: &Line, field: &str, text: &str) -> bool {
    line.get(field).and_then(Value::as_str) == Some(text)
}

fn text_of(lines: &[Line]) -> String {
    let text = lines.iter().map(|line| line.as_str().map_or_else(|| line.to_string(), str::to_owned));
    text.collect::<Vec<_>>().join("\n")
}
