//! Leader election: one of several control processes works, the others wait.
//!
//! The Lease has the name that the peer's channel controller uses, so that ours and the peer's never both write. A holder
//! stops working before its Lease runs out for others: it counts from its last renewal, others from when they saw it.
//! Clocks of different machines are never compared. Source: control-plane spec 7.2; Kubernetes' own election rules.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};
use tokio::time::{Instant, sleep, timeout};
use tracing::{debug, info, warn};

use crate::election::Timing;

/// As the peer names it by default, its own prefix being mapped to that of its predecessor.
pub(crate) const LEASE: &str = "kafkachannel-controller.knative.dev.eventing-kafka.pkg.channel.consolidated.reconciler.controller.reconciler.00-of-01";

/// One candidate.
#[derive(Debug)]
pub(crate) struct Election {
    api: Api<Lease>,
    me: String,
    timing: Timing,
    /// Somebody else's Lease: its version, and when we saw it first.
    seen: Option<(String, Instant)>,
}

impl Election {
    pub(crate) fn new(client: Client, namespace: &str, me: String, timing: Timing) -> Self {
        Self { api: Api::namespaced(client, namespace), me, timing, seen: None }
    }

    /// Waits until the Lease is ours, and gives the time from which that counts. `reached` is called with whether the server answered, after every look. Dropping
    /// the future is safe.
    pub(crate) async fn acquire(&mut self, mut reached: impl FnMut(bool)) -> Instant {
        loop {
            // The server may have noted it at any time since; its answer may come much later.
            let asked = Instant::now();
            let looked = timeout(self.timing.deadline, self.take()).await;
            match looked {
                Ok(Ok(true)) => {
                    info!(lease = LEASE, holder = self.me, "This process leads");
                    reached(true);
                    return asked;
                }
                Ok(Ok(false)) => reached(true),
                Ok(Err(error)) => {
                    warn!(lease = LEASE, error = %error, "Lease cannot be read or taken; trying again");
                    reached(false);
                }
                Err(_) => reached(false),
            }
            sleep(self.timing.pause).await;
        }
    }

    /// Renews the Lease, ours since `renewed`, until it is lost, or until the server has not answered for too long.
    pub(crate) async fn keep(&mut self, mut renewed: Instant) {
        loop {
            sleep(self.timing.pause).await;
            let left = self.timing.deadline.saturating_sub(renewed.elapsed());
            let asked = Instant::now();
            match timeout(left, self.take()).await {
                Ok(Ok(true)) => renewed = asked,
                Ok(Ok(false)) => {
                    warn!(lease = LEASE, "Somebody else has the lease");
                    return;
                }
                Ok(Err(error)) => debug!(error = %error, "Lease not renewed"),
                Err(_) => {}
            }
            if renewed.elapsed() >= self.timing.deadline {
                warn!(lease = LEASE, "Lease could not be renewed in time");
                return;
            }
        }
    }

    /// Lets somebody else take over at once. Best effort: the Lease runs out by itself otherwise.
    pub(crate) async fn release(&self) {
        let attempt = async {
            let mut lease = self.api.get(LEASE).await?;
            let mine = lease.spec.as_mut().filter(|spec| spec.holder_identity.as_deref() == Some(&self.me));
            if let Some(spec) = mine {
                spec.holder_identity = Some(String::new());
                spec.lease_duration_seconds = Some(1);
                self.api.replace(LEASE, &PostParams::default(), &lease).await?;
            }
            Ok::<(), kube::Error>(())
        };
        if let Ok(Err(error)) = timeout(self.timing.pause, attempt).await {
            debug!(%error, "Lease not released");
        }
    }

    /// Takes or renews it if it is free, ours, or has run out. False: it is somebody else's.
    async fn take(&mut self) -> Result<bool, kube::Error> {
        let Some(found) = self.api.get_opt(LEASE).await? else {
            let lease = Lease {
                metadata: ObjectMeta { name: Some(LEASE.to_owned()), ..ObjectMeta::default() },
                spec: Some(self.spec(None)),
            };
            return answered(self.api.create(&PostParams::default(), &lease).await.map(|_| ()));
        };
        let holder = found.spec.as_ref().and_then(|spec| spec.holder_identity.clone()).unwrap_or_default();
        if !holder.is_empty() && holder != self.me && !self.has_run_out(&found) {
            return Ok(false);
        }
        let lease = Lease { spec: Some(self.spec(found.spec.as_ref())), metadata: found.metadata };
        // With the version that was read: of two that try, one wins.
        answered(self.api.replace(LEASE, &PostParams::default(), &lease).await.map(|_| ()))
    }

    fn has_run_out(&mut self, lease: &Lease) -> bool {
        let version = lease.metadata.resource_version.clone().unwrap_or_default();
        let seconds = lease.spec.as_ref().and_then(|spec| spec.lease_duration_seconds).unwrap_or_default();
        let lasts = Duration::from_secs(u64::try_from(seconds).unwrap_or_default());
        match &self.seen {
            Some((seen, since)) if *seen == version => since.elapsed() > lasts,
            Some(_) | None => {
                self.seen = Some((version, Instant::now()));
                false
            }
        }
    }

    fn spec(&self, previous: Option<&LeaseSpec>) -> LeaseSpec {
        let now = Some(MicroTime(Timestamp::now()));
        let mine = previous.filter(|spec| spec.holder_identity.as_deref() == Some(&self.me));
        let transitions = previous.and_then(|spec| spec.lease_transitions).unwrap_or_default();
        LeaseSpec {
            holder_identity: Some(self.me.clone()),
            lease_duration_seconds: i32::try_from(self.timing.lease.as_secs()).ok(),
            acquire_time: mine.map_or(now.clone(), |spec| spec.acquire_time.clone()),
            renew_time: now,
            lease_transitions: Some(if mine.is_some() { transitions } else { transitions.saturating_add(1) }),
            ..LeaseSpec::default()
        }
    }
}

/// A conflict means that somebody else was faster.
fn answered(result: Result<(), kube::Error>) -> Result<bool, kube::Error> {
    match result {
        Ok(()) => Ok(true),
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use http::{Request, Response};
    use kube::client::Body;

    use super::*;

    const SLOW: Duration = Duration::from_secs(2);
    const TIMING: Timing =
        Timing { lease: Duration::from_secs(4), deadline: Duration::from_secs(3), pause: Duration::from_millis(100) };

    /// A candidate at a server that answers two requests, the first of them late, and then no more.
    fn election() -> Election {
        let requests = Arc::new(AtomicU32::new(0));
        let answer = move |_: Request<Body>| {
            let number = requests.fetch_add(1, Ordering::Relaxed);
            async move {
                match number {
                    0 => sleep(SLOW).await,
                    1 => {}
                    _ => std::future::pending().await,
                }
                let lease = serde_json::json!({
                    "metadata": {"name": LEASE, "resourceVersion": "7"}, "spec": {"holderIdentity": "me"}
                });
                Ok::<_, Infallible>(Response::new(Body::from(lease.to_string().into_bytes())))
            }
        };
        Election::new(Client::new(tower::service_fn(answer), "ns"), "ns", "me".to_owned(), TIMING)
    }

    #[tokio::test]
    async fn a_lease_counts_from_when_it_was_asked_for() {
        let start = Instant::now();
        let since = election().acquire(|_| {}).await;
        assert!(since - start < SLOW && start.elapsed() >= SLOW, "{:?}", since - start);
    }

    #[tokio::test]
    async fn a_late_answer_does_not_lengthen_the_time_of_a_holder() {
        let start = Instant::now();
        election().keep(start).await;
        // Asked after the first pause, answered late, and never again. From the answer on it would be two seconds more.
        let held = start.elapsed();
        assert!(held >= TIMING.deadline && held < TIMING.deadline + SLOW - TIMING.pause, "{held:?}");
    }
}
