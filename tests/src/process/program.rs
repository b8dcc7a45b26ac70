//! What a process under test is started with: its binary, arguments, environment and limits.
//!
//! The binaries are those that were built beside the test's own. The environment holds only what the test gave, so that a
//! developer's variables change nothing.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use super::{Lines, Process, while_no_process_starts};

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
