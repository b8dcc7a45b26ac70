//! Finds out whose tokens are accepted: the issuer's name and keys, at start and again and again.
//!
//! One task owns it. It looks only while the feature `authentication-oidc` is on, whose directory is watched; what was
//! found stays in force while the issuer cannot be reached, also when the feature goes off. Never stops the process.
//! Source: spec ingress 5.2, design rows 16 and 25.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use millrace_config::features::Features;
use millrace_config::watch::{self, Watch, WatchError, WatchSettings};
use millrace_runtime::startup::with_causes;
use millrace_runtime::throttle::Throttle;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

mod fetch;

use fetch::FetchError;
pub(crate) use fetch::Origin;

use super::keys::Keys;
use super::trust::Tokens;

/// How often keys are fetched without a reason. A token with an unknown key is one, so this only finds removed keys.
const REFRESH: Duration = Duration::from_secs(600);
/// Between two fetches, whatever asks for them.
const PACE: Duration = Duration::from_secs(1);
/// The pause after a failure doubles from `PACE` to this.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// A failure that lasts is said that often.
const REMIND: Duration = Duration::from_secs(300);
/// How long both documents may take together.
const FETCH_LIMIT: Duration = Duration::from_secs(10);

/// Whether tokens are to be checked at all: the feature, followed by the watch of its directory.
#[derive(Debug)]
struct Switch {
    directory: PathBuf,
    on: AtomicBool,
    /// The directory may have changed while the feature is on.
    looked: Notify,
    said: Throttle<String>,
}

/// Keeps watching the features; ends it when dropped.
#[derive(Debug)]
pub(crate) struct Discovery {
    _watch: Option<Watch>,
}

/// Starts looking, on a task that ends with `stop`. Returns when the first look is over, or after `wait`, or at once
/// while the feature is off. Without a features directory nothing is ever looked for.
///
/// # Errors
///
/// When the directory cannot be watched.
pub(crate) async fn start(
    features: Option<PathBuf>,
    origin: Origin,
    tokens: Tokens,
    wait: Duration,
    (tracker, stop): (&tokio_util::task::TaskTracker, CancellationToken),
) -> Result<Discovery, WatchError> {
    let Some(directory) = features else {
        warn!("CONFIG_FEATURES_PATH is not set: no token can be checked, targets with an audience take nothing");
        return Ok(Discovery { _watch: None });
    };
    let switch = Arc::new(Switch {
        directory,
        on: AtomicBool::new(false),
        looked: Notify::new(),
        said: Throttle::new(Duration::MAX),
    });
    switch.look();
    let on = switch.is_on();
    let task = Task { switch: Arc::clone(&switch), origin, tokens: tokens.clone(), said: Throttle::new(REMIND) };
    tracker.spawn(async move {
        tokio::select! {
            () = stop.cancelled() => {}
            () = task.run() => {}
        }
    });
    let paths = vec![switch.directory.clone()];
    let watch = watch::watch(paths, WatchSettings::default(), move || switch.look())?;
    if on && tokio::time::timeout(wait, tokens.ended(0)).await.is_err() {
        warn!(limit = ?wait, "OIDC is not loaded yet, start goes on");
    }
    Ok(Discovery { _watch: Some(watch) })
}

impl Switch {
    /// Reads the feature. Blocks for a few small files.
    fn look(&self) {
        let on = match Features::read(&self.directory) {
            Ok(features) if features.is_present() => features.authentication_oidc(),
            Ok(_absent) => {
                self.say("no such directory".to_owned());
                false
            }
            // A directory that cannot be read for a moment does not turn a feature off.
            Err(problem) => {
                self.say(with_causes(&problem));
                self.is_on()
            }
        };
        let was = self.on.swap(on, Ordering::AcqRel);
        if was != on {
            info!(enabled = on, "Feature authentication-oidc");
        }
        if on {
            self.looked.notify_one();
        }
    }

    fn is_on(&self) -> bool {
        self.on.load(Ordering::Acquire)
    }

    fn say(&self, reason: String) {
        if self.said.is_news(reason.clone(), std::time::Instant::now()) {
            warn!(path = %self.directory.display(), reason, "Features not read");
        }
    }
}

struct Task {
    switch: Arc<Switch>,
    origin: Origin,
    tokens: Tokens,
    said: Throttle<String>,
}

impl Task {
    async fn run(self) {
        let (mut next, mut pause) = (Instant::now(), PACE);
        loop {
            self.until_needed(next).await;
            let begun = Instant::now();
            self.tokens.begin();
            let outcome = tokio::time::timeout(FETCH_LIMIT, self.fetch()).await.unwrap_or(Err(FetchError::TooSlow));
            self.tokens.end();
            match outcome {
                Ok(()) => (next, pause) = (begun + REFRESH, PACE),
                Err(problem) => {
                    self.say(&problem);
                    (next, pause) = (Instant::now() + pause, (pause * 2).min(LONGEST_PAUSE));
                }
            }
            tokio::time::sleep_until(begun + PACE).await;
        }
    }

    /// Waits until `next`, or until somebody asks, or the features changed while nothing is known; and in any case until
    /// the feature is on or was once.
    async fn until_needed(&self, next: Instant) {
        let is_due = async { tokio::time::sleep_until(next).await };
        let mut is_due = std::pin::pin!(is_due);
        loop {
            let is_loaded = self.tokens.is_loaded();
            if !is_loaded && !self.switch.is_on() {
                self.switch.looked.notified().await;
                return;
            }
            tokio::select! {
                () = &mut is_due => return,
                () = self.tokens.wanted() => return,
                () = self.switch.looked.notified() => if !is_loaded { return },
            }
        }
    }

    async fn fetch(&self) -> Result<(), FetchError> {
        let found = fetch::fetch(&self.origin).await?;
        let keys = Keys::read(&found.keys).map_err(FetchError::Keys)?;
        let count = keys.len();
        if self.tokens.renew(found.issuer.clone(), keys, std::time::Instant::now()) {
            info!(issuer = found.issuer, keys = count, "OIDC keys loaded");
        }
        Ok(())
    }

    fn say(&self, problem: &FetchError) {
        let error = with_causes(problem);
        if self.said.is_news(error.clone(), std::time::Instant::now()) {
            let instead = if self.tokens.is_loaded() {
                "the keys that are known stay in force"
            } else {
                "targets with an audience take nothing"
            };
            warn!(error, "OIDC keys not loaded, {instead}");
        }
    }
}
