//! Takes log lines from any thread and writes them on a thread of its own, so that a slow reader of standard output
//! does not hold up events.
//!
//! The queue is bounded in bytes. When it is full the writer of a line waits briefly, because a supervisor that reads
//! our lines is usually only a moment behind; when that was in vain, lines are dropped without waiting until the reader
//! moves again, and then counted in one line.

use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use tracing_subscriber::fmt::MakeWriter;

/// Bytes that may wait to be written: some ten thousand lines.
const CAPACITY_BYTES: usize = 4 * 1024 * 1024;
/// How long a full queue may hold a thread up, once until the reader moves again.
const PATIENCE: Duration = Duration::from_millis(50);

static STDOUT: OnceLock<Arc<Queue>> = OnceLock::new();

/// Writes the line that says how many lines were dropped.
pub(super) type Note = fn(u64) -> String;

/// Where the formatter writes. Each write is one whole line.
#[derive(Clone)]
pub(super) struct Output(Arc<Queue>);

struct Queue {
    capacity_bytes: usize,
    note: Note,
    state: Mutex<State>,
    arrived: Condvar,
    written: Condvar,
}

#[derive(Default)]
struct State {
    pending: Vec<u8>,
    // The thread holds bytes it took out of `pending`.
    writing: bool,
    stalled: bool,
    dropped_lines: u64,
}

impl Output {
    /// The process's standard output; its thread is started by the first call.
    pub(super) fn stdout(note: Note) -> Self {
        Self(Arc::clone(STDOUT.get_or_init(|| Queue::start(CAPACITY_BYTES, note, io::stdout()))))
    }
}

/// Waits until nothing is pending on standard output, at most for `limit`.
pub(super) fn flush(limit: Duration) {
    if let Some(queue) = STDOUT.get() {
        queue.flush(limit);
    }
}

impl Queue {
    fn start(capacity_bytes: usize, note: Note, target: impl Write + Send + 'static) -> Arc<Self> {
        let queue = Arc::new(Self {
            capacity_bytes,
            note,
            state: Mutex::default(),
            arrived: Condvar::new(),
            written: Condvar::new(),
        });
        let writer = Arc::clone(&queue);
        let started = std::thread::Builder::new().name("log".to_owned()).spawn(move || writer.write_forever(target));
        if started.is_err() {
            // Without its thread the queue would fill up and stall; a stalled queue drops lines at once instead.
            queue.lock().stalled = true;
        }
        queue
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, line: &[u8]) {
        let mut state = self.lock();
        let deadline = Instant::now() + PATIENCE;
        while state.pending.len() + line.len() > self.capacity_bytes && !state.stalled {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                state.stalled = true;
                break;
            }
            state = self.written.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        if state.pending.len() + line.len() > self.capacity_bytes {
            state.dropped_lines += 1;
            return;
        }
        let was_empty = state.pending.is_empty();
        state.pending.extend_from_slice(line);
        drop(state);
        if was_empty {
            self.arrived.notify_one();
        }
    }

    fn write_forever(&self, mut target: impl Write) {
        let mut taken = Vec::new();
        loop {
            let mut state = self.lock();
            state.writing = false;
            self.written.notify_all();
            while state.pending.is_empty() {
                state = self.arrived.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            // Swapping keeps two buffers for ever; a burst must not keep megabytes with them.
            taken.clear();
            taken.shrink_to(64 * 1024);
            std::mem::swap(&mut taken, &mut state.pending);
            state.writing = true;
            state.stalled = false;
            if state.dropped_lines > 0 {
                let note = (self.note)(state.dropped_lines);
                taken.extend_from_slice(note.as_bytes());
                state.dropped_lines = 0;
            }
            drop(state);
            // A closed standard output is no reason to stop moving events, and there is nowhere left to say so.
            drop(target.write_all(&taken).and_then(|()| target.flush()));
        }
    }

    fn flush(&self, limit: Duration) {
        let deadline = Instant::now() + limit;
        let mut state = self.lock();
        while state.writing || !state.pending.is_empty() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            state = self.written.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Write for &Output {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.add(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Output {
    type Writer = &'a Output;

    fn make_writer(&'a self) -> Self::Writer {
        self
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    fn note(lines: u64) -> String {
        format!("{lines} dropped\n")
    }

    /// Passes each write on, and lets it return only when the test says so.
    struct Reader {
        seen: mpsc::SyncSender<Vec<u8>>,
        go_on: mpsc::Receiver<()>,
    }

    impl Write for Reader {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.seen.send(bytes.to_vec()).map_err(io::Error::other)?;
            self.go_on.recv().map_err(io::Error::other)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_logged_while_the_reader_is_busy_are_written_together_and_none_is_lost() {
        let (seen, written) = mpsc::sync_channel(8);
        let (release, go_on) = mpsc::sync_channel(8);
        let queue = Queue::start(1024, note, Reader { seen, go_on });
        queue.add(b"one\n");
        assert_eq!(written.recv().unwrap(), b"one\n");
        queue.add(b"two\n");
        queue.add(b"three\n");
        release.send(()).unwrap();
        assert_eq!(written.recv().unwrap(), b"two\nthree\n");
        release.send(()).unwrap();
        queue.flush(Duration::from_secs(5));
        assert!(queue.lock().pending.is_empty());
    }

    #[test]
    fn a_stuck_reader_costs_one_short_wait_and_the_loss_is_counted() {
        let (seen, written) = mpsc::sync_channel(8);
        let (release, go_on) = mpsc::sync_channel(8);
        let queue = Queue::start(8, note, Reader { seen, go_on });
        queue.add(b"first\n");
        assert_eq!(written.recv().unwrap(), b"first\n");
        queue.add(b"second\n");
        let begun = Instant::now();
        for _ in 0..100 {
            queue.add(b"lost\n");
        }
        assert!(begun.elapsed() < PATIENCE * 20, "every lost line waited");
        release.send(()).unwrap();
        let rest = String::from_utf8(written.recv().unwrap()).unwrap();
        assert!(rest.starts_with("second\n") && rest.ends_with("100 dropped\n"), "{rest}");
    }

    #[test]
    fn flushing_gives_up_on_a_stuck_reader() {
        let (seen, written) = mpsc::sync_channel(8);
        let (_release, go_on) = mpsc::sync_channel::<()>(8);
        let queue = Queue::start(8, note, Reader { seen, go_on });
        queue.add(b"first\n");
        written.recv().unwrap();
        let begun = Instant::now();
        queue.flush(Duration::from_millis(20));
        assert!(begun.elapsed() >= Duration::from_millis(20));
    }
}
