//! How leader election is timed, and what its ConfigMap may say.
//!
//! Pure. Values are Go durations, as Knative's processes read them.
//! Source: control-plane spec 4.5 and 7.2.

use std::time::Duration;

/// How long things may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// After so long without a renewal somebody else may take over.
    pub lease: Duration,
    /// After so long without a renewal the holder stops.
    pub deadline: Duration,
    /// Pause between renewals, and between looks at somebody else's Lease.
    pub pause: Duration,
}

/// Each time's key today, and the one of older maps, which wins as long as it is there.
const KEYS: [(&str, &str); 3] =
    [("leaseDuration", "lease-duration"), ("renewDeadline", "renew-deadline"), ("retryPeriod", "retry-period")];

impl Default for Timing {
    fn default() -> Self {
        Self { lease: Duration::from_secs(15), deadline: Duration::from_secs(10), pause: Duration::from_secs(2) }
    }
}

impl Timing {
    /// From the ConfigMap; what cannot be read stays as it is by default, and so does all of it when a holder would stop
    /// too late.
    #[must_use]
    pub fn from_config(get: impl Fn(&str) -> Option<String>) -> Self {
        let default = Self::default();
        let read = |(new, old): (&str, &str), default: Duration| {
            [old, new].into_iter().find_map(|key| go_duration(&get(key)?)).unwrap_or(default)
        };
        let [lease, deadline, pause] = KEYS;
        let found = Self {
            lease: read(lease, default.lease),
            deadline: read(deadline, default.deadline),
            pause: read(pause, default.pause),
        };
        if found.is_safe() { found } else { default }
    }

    /// Whether a holder stops before somebody else may take over.
    fn is_safe(&self) -> bool {
        self.pause < self.deadline && self.deadline < self.lease
    }
}

/// What is wrong with the values of a ConfigMap: the key, and why. What is said to be wrong does not count.
#[must_use]
pub fn problems(get: impl Fn(&str) -> Option<String>) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut times = Vec::new();
    for (new, old) in KEYS {
        for key in [old, new] {
            let Some(text) = get(key) else { continue };
            match go_duration(&text) {
                Some(time) => times.push((new, time)),
                None => found.push((key.to_owned(), format!("{text:?} is no duration, such as 15s or 1m30s"))),
            }
        }
    }
    let default = Timing::default();
    let time =
        |key: &str, default: Duration| times.iter().find(|(found, _)| *found == key).map_or(default, |(_, time)| *time);
    let [(lease, _), (deadline, _), (pause, _)] = KEYS;
    let timing = Timing {
        lease: time(lease, default.lease),
        deadline: time(deadline, default.deadline),
        pause: time(pause, default.pause),
    };
    if !timing.is_safe() {
        let text = format!("{pause} must be shorter than {deadline}, and {deadline} shorter than {lease}");
        found.push((lease.to_owned(), format!("{text}; otherwise the defaults apply to all three")));
    }
    if let Some(buckets) = get("buckets")
        && buckets.trim() != "1"
    {
        let text = format!(
            "there is one Lease: {buckets:?} would keep control and Knative's controller from excluding each other"
        );
        found.push(("buckets".to_owned(), text));
    }
    found
}

/// Such as `15s`, `1m30s` or `1.5s`; not zero.
fn go_duration(text: &str) -> Option<Duration> {
    let mut total = Duration::ZERO;
    let mut rest = text.trim();
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at_checked(end)?;
        let unit_end = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let (unit, next) = tail.split_at_checked(unit_end)?;
        let unit = match unit {
            "h" => Duration::from_hours(1),
            "m" => Duration::from_mins(1),
            "s" => Duration::from_secs(1),
            "ms" => Duration::from_millis(1),
            _ => return None,
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let whole: u32 = if whole.is_empty() && !fraction.is_empty() { 0 } else { whole.parse().ok()? };
        // Thousandths of a unit: finer than anybody times an election.
        let thousandths: u32 = format!("{fraction:0<3}").chars().take(3).collect::<String>().parse().ok()?;
        total = total.checked_add(unit.checked_mul(whole)?)?.checked_add(unit.checked_mul(thousandths)? / 1000)?;
        rest = next;
    }
    (!total.is_zero()).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_go_writes_them() {
        let table =
            [("15s", 15_000), ("1m30s", 90_000), ("500ms", 500), ("2h", 7_200_000), ("1.5s", 1_500), (".5s", 500)];
        for (text, millis) in table {
            assert_eq!(go_duration(text), Some(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "15", "s", "1d", "-1s", "0s", "1.s.", "."] {
            assert_eq!(go_duration(text), None, "{text}");
        }
    }

    fn config(values: &[(&str, &str)]) -> impl Fn(&str) -> Option<String> {
        let values: Vec<(String, String)> =
            values.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        move |key: &str| values.iter().find(|(found, _)| found == key).map(|(_, value)| value.clone())
    }

    #[test]
    fn timing_that_would_let_two_lead_is_not_taken() {
        let read = |values: &[(&str, &str)]| Timing::from_config(config(values));
        assert_eq!(read(&[("leaseDuration", "60s"), ("renewDeadline", "40s")]).deadline, Duration::from_secs(40));
        assert_eq!(read(&[("leaseDuration", "10s"), ("renewDeadline", "40s")]), Timing::default());
        assert_eq!(read(&[("leaseDuration", "soon"), ("renewDeadline", "8s")]).lease, Duration::from_secs(15));
        assert_eq!(read(&[("lease-duration", "30s"), ("leaseDuration", "60s")]).lease, Duration::from_secs(30));
    }

    #[test]
    fn whatever_is_not_taken_is_told() {
        let keys =
            |values: &[(&str, &str)]| problems(config(values)).into_iter().map(|(key, _)| key).collect::<Vec<String>>();
        assert_eq!(keys(&[("leaseDuration", "15s"), ("buckets", "1")]), Vec::<String>::new());
        assert_eq!(keys(&[("leaseDuration", "soon")]), ["leaseDuration"]);
        assert_eq!(keys(&[("renewDeadline", "1m")]), ["leaseDuration"]);
        assert_eq!(keys(&[("retryPeriod", "2"), ("buckets", "3")]), ["retryPeriod", "buckets"]);
    }
}
