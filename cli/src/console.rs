//! Everything a person reads goes through here: lines, colours, and the cleaning of text that others wrote.
//!
//! Colours appear only on a terminal and never when `NO_COLOR` is set (no-color.org) or the terminal is dumb.
//! A line is written whole, so that lines of different tasks never mix. When the reader is gone (`millrace dev | head`)
//! lines are dropped: what runs matters more than what is shown.

use std::fmt::Write as _;
use std::io::{IsTerminal, Write};
use std::sync::{Arc, Mutex, PoisonError};

use millrace_config::env::{Env, ProcessEnv};

/// A place to print lines. Cheap to clone; clones share the place.
#[derive(Clone)]
pub(crate) struct Console {
    out: Arc<Mutex<Box<dyn Write + Send>>>,
    paint: Paint,
}

impl Console {
    pub(crate) fn stdout() -> Self {
        let out = std::io::stdout();
        let paint = Paint::detect(&ProcessEnv, out.is_terminal());
        Self { out: Arc::new(Mutex::new(Box::new(out))), paint }
    }

    pub(crate) fn stderr() -> Self {
        let out = std::io::stderr();
        let paint = Paint::detect(&ProcessEnv, out.is_terminal());
        Self { out: Arc::new(Mutex::new(Box::new(out))), paint }
    }

    pub(crate) fn paint(&self) -> Paint {
        self.paint
    }

    /// Prints one line, or several if the text holds line breaks.
    pub(crate) fn line(&self, text: &str) {
        // A panic while printing leaves the writer usable, so a poisoned lock is no reason to stop printing.
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        let written = out.write_all(format!("{text}\n").as_bytes()).and_then(|()| out.flush());
        // The reader is gone; see the module's first lines.
        drop(written);
    }

    pub(crate) fn blank(&self) {
        self.line("");
    }
}

/// Colours, or the same text without them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Paint {
    enabled: bool,
}

impl Paint {
    #[cfg(test)]
    pub(crate) const PLAIN: Self = Self { enabled: false };

    fn detect(env: &dyn Env, is_terminal: bool) -> Self {
        let refused = env.get("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = env.get("TERM").is_some_and(|term| term == "dumb");
        Self { enabled: is_terminal && !refused && !dumb }
    }

    fn wrap(self, code: &str, text: &str) -> String {
        if self.enabled && !text.is_empty() { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    pub(crate) fn strong(self, text: &str) -> String {
        self.wrap("1", text)
    }
    pub(crate) fn faint(self, text: &str) -> String {
        self.wrap("2", text)
    }
    /// It worked.
    pub(crate) fn good(self, text: &str) -> String {
        self.wrap("32", text)
    }
    /// It is not over, or it is worth a look.
    pub(crate) fn odd(self, text: &str) -> String {
        self.wrap("33", text)
    }
    /// It failed.
    pub(crate) fn bad(self, text: &str) -> String {
        self.wrap("31", text)
    }
    /// It went somewhere special: a dead letter sink.
    pub(crate) fn special(self, text: &str) -> String {
        self.wrap("35", text)
    }
    /// A name or an address to copy.
    pub(crate) fn name(self, text: &str) -> String {
        self.wrap("36", text)
    }
}

/// Text that others wrote, without anything that could move the cursor or change the terminal.
///
/// Line breaks and tabs become spaces too: use it for what belongs on one line.
pub(crate) fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Like [`one_line`], but line breaks and tabs stay.
pub(crate) fn many_lines(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' && c != '\t' { '\u{fffd}' } else { c }).collect()
}

/// At most `width` characters, the last of them an ellipsis if some are missing.
pub(crate) fn fit(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    text.chars().take(width.saturating_sub(1)).chain(['…']).collect()
}

/// Milliseconds with as many digits as a person needs.
pub(crate) fn millis(milliseconds: f64) -> String {
    let mut text = String::new();
    let written = if milliseconds < 10.0 {
        write!(text, "{milliseconds:.1} ms")
    } else if milliseconds < 10_000.0 {
        write!(text, "{milliseconds:.0} ms")
    } else {
        write!(text, "{:.1} s", milliseconds / 1000.0)
    };
    written.expect("writing to a String cannot fail");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fake(&'static [(&'static str, &'static str)]);
    impl Env for Fake {
        fn get(&self, name: &str) -> Option<String> {
            self.0.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        }
    }

    #[track_caller]
    fn coloured(env: &'static [(&'static str, &'static str)], is_terminal: bool, expected: bool) {
        let text = Paint::detect(&Fake(env), is_terminal).good("ok");
        assert_eq!(text.contains('\u{1b}'), expected, "{text:?}");
    }

    #[test]
    fn colours_appear_on_a_terminal_only() {
        coloured(&[], true, true);
        coloured(&[], false, false);
    }

    #[test]
    fn no_color_is_respected_unless_it_is_empty() {
        coloured(&[("NO_COLOR", "1")], true, false);
        coloured(&[("NO_COLOR", "")], true, true);
        coloured(&[("TERM", "dumb")], true, false);
    }

    #[test]
    fn an_event_cannot_write_escape_sequences_to_the_terminal() {
        assert_eq!(one_line("a\u{1b}[2Jb\nc"), "a [2Jb c");
        assert_eq!(many_lines("a\u{1b}[2J\nb\tc\u{9b}"), "a\u{fffd}[2J\nb\tc\u{fffd}");
    }

    #[test]
    fn long_text_ends_with_an_ellipsis() {
        assert_eq!(fit("exactly-12ch", 12), "exactly-12ch");
        assert_eq!(fit("äöü-longer-than-that", 5), "äöü-…");
    }

    #[test]
    fn durations_are_short() {
        assert_eq!(millis(0.34), "0.3 ms");
        assert_eq!(millis(200.0), "200 ms");
        assert_eq!(millis(61_000.0), "61.0 s");
    }
}
