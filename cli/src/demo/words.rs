//! What the demo says besides the table of journeys: its legend, its result, and an invitation.

use super::expect::Missing;
use crate::console::Console;

/// Missing things that are listed; the rest are counted.
const LISTED: usize = 20;

/// The legend: what the three subscribers do with every event.
pub(super) fn introduction(console: &Console) {
    let paint = console.paint();
    console.line(&paint.strong("One channel, three subscriptions, everything on this machine"));
    console.blank();
    console.line(&format!("  plain    answers 202 at once          {}", paint.good("delivered")));
    let flaky = format!("{}, {}", paint.odd("retry"), paint.good("delivered"));
    console.line(&format!("  flaky    answers 503 first, then 202  {flaky}"));
    let failing = format!("{}, {}, {}", paint.odd("retry"), paint.bad("failed"), paint.special("dead letter"));
    console.line(&format!("  failing  always answers 500           {failing}"));
    console.blank();
}

pub(super) fn result(console: &Console, number: usize, missing: &[Missing]) {
    let paint = console.paint();
    console.blank();
    if missing.is_empty() {
        let all = paint.good(&format!("{number} of {number} events arrived"));
        console.line(&format!("{all} at plain, at flaky after a retry, and in the dead letter sink of failing."));
        return;
    }
    console.line(&paint.bad("Not everything arrived:"));
    for missing in missing.iter().take(LISTED) {
        console.line(&format!("  {missing}"));
    }
    if missing.len() > LISTED {
        console.line(&format!("  ... and {} more", missing.len() - LISTED));
    }
}

pub(super) fn invitation(console: &Console, url: &str) {
    let paint = console.paint();
    console.blank();
    console.line("Now yours, from another terminal:");
    console.blank();
    console.line(&paint.name(&curl(url)));
    console.blank();
    console.line(&paint.faint("Ctrl-C ends the demo and leaves nothing behind."));
}

/// A command line that posts an event to the channel; its lines stay short, so that it survives being copied.
fn curl(url: &str) -> String {
    format!(
        "  curl -i {url} \\\n    \
         -H 'ce-specversion: 1.0' -H 'ce-id: mine-1' -H 'ce-source: /me' -H 'ce-type: my.order' \\\n    \
         -H 'content-type: application/json' -d '{{\"hello\":\"world\"}}'"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_curl_line_posts_a_whole_event() {
        let line = curl("http://127.0.0.1:8080/default/orders");
        for part in ["http://127.0.0.1:8080/default/orders", "ce-specversion", "ce-id", "ce-source", "ce-type"] {
            assert!(line.contains(part), "{part} is missing in {line}");
        }
        assert!(line.lines().all(|line| line.len() <= 100), "{line}");
    }
}
