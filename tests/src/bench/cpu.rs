//! Reads what the kernel knows of a process: processor time, memory, and what others did on its processor.
//!
//! Linux only.

use std::fs;
use std::time::Duration;

/// Processor time at one moment.
#[derive(Debug, Clone, Copy, Default)]
pub struct Usage {
    /// Time on a processor, all threads together.
    pub process: Duration,
    /// Busy time of the processor it is pinned to, whoever used it.
    pub processor: Duration,
}

impl Usage {
    /// What was used since an earlier moment.
    #[must_use]
    pub fn since(self, earlier: Self) -> Self {
        Self {
            process: self.process.saturating_sub(earlier.process),
            processor: self.processor.saturating_sub(earlier.processor),
        }
    }

    /// The share of others' time on the processor in the process's own.
    #[must_use]
    pub fn noise(self) -> f64 {
        let foreign = self.processor.saturating_sub(self.process);
        foreign.as_secs_f64() / self.process.as_secs_f64().max(f64::MIN_POSITIVE)
    }
}

/// Usage now. A thread that has ended is not counted any more; the processes measured here keep theirs.
#[must_use]
pub fn usage(pid: u32, processor: usize) -> Usage {
    Usage { process: process_time(pid), processor: processor_time(processor) }
}

fn process_time(pid: u32) -> Duration {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let times = tasks.filter_map(|task| {
        let text = fs::read_to_string(task.path().join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(times.sum())
}

fn processor_time(processor: usize) -> Duration {
    let text = fs::read_to_string("/proc/stat").unwrap_or_default();
    let name = format!("cpu{processor} ");
    let numbers = text.lines().find_map(|line| line.strip_prefix(&name)).unwrap_or_default();
    let ticks: Vec<u64> = numbers.split_whitespace().filter_map(|number| number.parse().ok()).collect();
    // user nice system idle iowait irq softirq; a tick is 10 ms.
    let busy: u64 = [0, 1, 2, 5, 6].iter().filter_map(|index| ticks.get(*index)).sum();
    Duration::from_millis(busy * 10)
}

/// Resident memory in KiB.
#[must_use]
pub fn resident_kib(pid: u32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or_default()
}

/// Threads and open descriptors.
#[must_use]
pub fn threads_and_descriptors(pid: u32) -> (usize, usize) {
    let count = |folder: &str| fs::read_dir(format!("/proc/{pid}/{folder}")).map_or(0, Iterator::count);
    (count("task"), count("fd"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_shows_as_processor_time() {
        let before = usage(std::process::id(), 0);
        let mut number = 0_u64;
        let used = loop {
            number = number.wrapping_mul(31).wrapping_add(1);
            let used = usage(std::process::id(), 0).since(before);
            if used.process > Duration::from_millis(20) {
                break used;
            }
        };
        assert!(number > 0 && used.process < Duration::from_secs(60), "{used:?}");
        assert!(resident_kib(std::process::id()) > 100);
    }
}
