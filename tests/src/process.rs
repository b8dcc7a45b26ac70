//! A process under test: its log lines, its signals and its end.
//!
//! Must not know which role a binary plays. It is killed when the value is dropped.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ExitStatus};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::wait::wait_for;

mod program;

pub use program::Program;

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
