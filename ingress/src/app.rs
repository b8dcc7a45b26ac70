//! Puts the parts of ingress together, keeps them until a signal, and takes them apart in order.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use millrace_config::env::{Env, IngressEnv, ProcessEnv};
use millrace_config::properties::http_server::ClientAuth;
use millrace_config::snapshot::Snapshot;
use millrace_config::watch::{Watch, WatchSettings};
use millrace_runtime::admin::{self, Admin, Door};
use millrace_runtime::build_info;
use millrace_runtime::drain::{Drain, Signals};
use millrace_runtime::event_types::EventTypes;
use millrace_runtime::health::Readiness;
use millrace_runtime::kafka_tokens::KafkaTokens;
use millrace_runtime::metrics::Metrics;
use millrace_runtime::metrics::kafka_producer::ProducerFamilies;
use millrace_runtime::secrets::Secrets;
use millrace_runtime::startup::{self, Problems, Usage, with_causes};
use millrace_runtime::telemetry::Telemetry;
use millrace_runtime::tls::CertificateFiles;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{error, info, warn};

use crate::auth::Tokens;
use crate::auth::discovery::{self, Discovery, Origin};
use crate::debug;
use crate::handler::Ingress;
use crate::metrics::IngressMetrics;
use crate::probe::ProbePaths;
use crate::producer::pool::Pool;
use crate::reconcile::{Outputs, Reader, Reconciler, Sources};
use crate::routes::Routes;
use crate::server::{self, Server, TlsPort};
use crate::settings::Settings;

const PROCESS: &str = "millrace-ingress";

/// What the separate binary says of itself.
pub const USAGE: Usage = Usage {
    process: PROCESS,
    about: "Takes CloudEvents over HTTP and answers 202 once Kafka has stored them.",
    required: IngressEnv::REQUIRED,
};

/// How long threads of the runtime may take to end.
const LAST_THREADS: Duration = Duration::from_millis(500);
/// Of the time for draining, what is kept for flushing producers: one part in four.
const FLUSH_SHARE: u32 = 4;

/// Runs ingress with the process's environment until SIGTERM or SIGINT. Blocks.
pub fn main() -> ExitCode {
    // The peer's line, which operators look for; the problems themselves follow it.
    startup::run(PROCESS, || run(&ProcessEnv).inspect_err(|_| error!("Failed to startup the receiver")))
}

fn run(env: &dyn Env) -> Result<(), Problems> {
    startup::logging(env, PROCESS);
    info!(version = build_info::version(), profile = build_info::profile(), "Starting Receiver");
    let settings = Settings::read(env)?;
    let workers = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers)
        .thread_name("ingress")
        .enable_all()
        .build()?;
    let outcome = runtime.block_on(async {
        // Registered first: a signal during start-up is not lost.
        let mut signals = Signals::register()?;
        let running = start(settings).await?;
        // Not inside the line: what a level switches off is not evaluated.
        let signal = signals.next().await;
        info!(signal, "Running shutdown hook");
        running.drain().await;
        Ok(())
    });
    // Waiting for the runtime's threads, for a moment, keeps them from ending while the process does.
    runtime.shutdown_timeout(LAST_THREADS);
    outcome
}

/// An ingress that accepts events.
#[derive(Debug)]
pub struct Running {
    address: SocketAddr,
    tls_address: watch::Receiver<Option<SocketAddr>>,
    admin_addresses: Vec<SocketAddr>,
    readiness: Readiness,
    reconciler: Reconciler,
    connections: TaskTracker,
    admin_stop: CancellationToken,
    drain: Drain,
    telemetry: Telemetry,
    metrics: IngressMetrics,
    // Ends the watching when dropped.
    _certificate_watch: Watch,
    // Ends the watching of the features when dropped.
    _oidc: Discovery,
}

/// Starts everything. Returns when the port listens; readiness comes with the first contract.
///
/// # Errors
///
/// Every port that cannot be listened on, and whatever else keeps ingress from starting.
pub async fn start(settings: Settings) -> Result<Running, Problems> {
    let mut problems = Problems::new();
    let http = &settings.http_server.1;
    let listener = problems.check(server::bind(settings.env.port, "INGRESS_PORT", http).await);
    let tls = tls_port(&settings, &mut problems).await;
    let mut admin_listeners = Vec::new();
    for place in &settings.admin {
        if let Some(door) = problems.check(place.open().await) {
            admin_listeners.push((door, place.metrics_path.clone()));
        }
    }
    let (Some(listener), Some((tls, certificate_watch)), true) = (listener, tls, problems.is_empty()) else {
        return Err(problems);
    };
    let address = listener.local_addr()?;

    let (drain, readiness, metrics) = (Drain::new(settings.env.admin.drain), Readiness::new(), Metrics::new());
    let ingress_metrics = IngressMetrics::register(&metrics, !settings.env.metrics.disable_event_type)?;
    metrics.build_info()?;
    let of_clients = !settings.env.metrics.disable_kafka_clients;
    let of_clients = of_clients.then(|| ProducerFamilies::register(&metrics)).transpose()?;
    let kafka_tokens = KafkaTokens::new(settings.env.aws.clone(), drain.clone());
    let pool = Pool::new(drain.clone(), of_clients, kafka_tokens);
    let outputs = Outputs {
        routes: Routes::default(),
        report: Snapshot::default(),
        http: Snapshot::new(settings.http_server.1.clone()),
        readiness: readiness.clone(),
        metrics: ingress_metrics.clone(),
        event_types: EventTypes::new(settings.cluster.clone(), drain.clone(), &metrics)?,
    };
    let probes =
        ProbePaths { liveness: settings.env.liveness_path.clone(), readiness: settings.env.readiness_path.clone() };
    let (tokens, oidc) = authenticate(&settings, &drain).await?;
    let telemetry = Telemetry::start(&settings.observability, &settings.env.service, &settings.env.otel, &metrics)?;
    let (routes, tracer) = (outputs.routes.clone(), telemetry.tracer());
    let ingress = Ingress::new(routes, probes, readiness.clone(), ingress_metrics.clone(), tokens, tracer);
    let server = Server::new(Arc::new(ingress), outputs.http.clone(), drain.clone());
    let connections = server.connections();
    let tls_address = tls.address.subscribe();
    drain.tracker().spawn(server.run(listener, tls));

    let admin_stop = CancellationToken::new();
    let routes = debug::routes(outputs.report.clone());
    let admin = Admin { metrics, readiness: readiness.clone(), routes };
    let admin_addresses = serve_admin(admin_listeners, &admin, &drain, &admin_stop)?;
    say_started(&settings, address, *tls_address.borrow());
    let reconciler = reconcile(settings, outputs, pool, &drain)?;
    Ok(Running {
        address,
        tls_address,
        admin_addresses,
        readiness,
        reconciler,
        connections,
        admin_stop,
        drain,
        telemetry,
        metrics: ingress_metrics,
        _certificate_watch: certificate_watch,
        _oidc: oidc,
    })
}

/// The TLS port, open if there is a certificate, and what keeps an eye on that. A pair that cannot be used at start is a
/// problem, as for the peer; later ones change nothing.
async fn tls_port(settings: &Settings, problems: &mut Problems) -> Option<(TlsPort, Watch)> {
    let http = &settings.http_server.1;
    let files = problems.check(CertificateFiles::open(&settings.env.tls))?;
    let certificates = files.certificates();
    // What nobody uses is not made: the algorithms of TLS are a third of a MiB of a process that has no other use for them.
    if certificates.is_present() || http.client_auth != ClientAuth::None {
        problems.check(server::tls_config(&certificates, http))?;
    }
    let port = settings.env.tls_port;
    let listener = match certificates.is_present() {
        true => Some(problems.check(server::bind(port, "INGRESS_TLS_PORT", http).await)?),
        false => None,
    };
    let address = listener.as_ref().and_then(|listener| listener.local_addr().ok());
    let (now_present, present) = watch::channel(certificates.is_present());
    let watching = files.watch(WatchSettings::default(), move |present| {
        now_present.send_replace(present);
    });
    let watching = problems.check(watching)?;
    let address = watch::Sender::new(address);
    Some((TlsPort { port, certificates, present, listener, address }, watching))
}

/// The way to check tokens. Waits for the issuer's keys for as long as start-up may, if the feature is on.
async fn authenticate(settings: &Settings, drain: &Drain) -> Result<(Tokens, Discovery), Problems> {
    let (env, tokens) = (&settings.env, Tokens::default());
    let origin = match &env.oidc_discovery {
        Some(url) => Origin::Url(url.clone()),
        None => Origin::Cluster(settings.cluster.clone()),
    };
    let task = (&drain.tracker(), drain.token());
    let oidc = discovery::start(env.features.clone(), origin, tokens.clone(), env.wait_startup, task).await?;
    Ok((tokens, oidc))
}

fn reconcile(settings: Settings, outputs: Outputs, pool: Pool, drain: &Drain) -> Result<Reconciler, Problems> {
    let Settings { env, producer, http_server, cluster, .. } = settings;
    let sources = Sources {
        contract: env.contract,
        producer: (env.producer_config, producer.0),
        http_server: (env.http_server_config, http_server.0),
    };
    let reader = Reader::new(Secrets::new(cluster), drain.clone());
    Ok(Reconciler::start(sources, producer.1, pool, reader, outputs)?)
}

fn serve_admin(
    listeners: Vec<(Door, String)>,
    admin: &Admin,
    drain: &Drain,
    stop: &CancellationToken,
) -> Result<Vec<SocketAddr>, Problems> {
    let mut addresses = Vec::new();
    for (listener, path) in listeners {
        addresses.push(listener.local_addr()?);
        let (admin, stop) = (admin.clone(), stop.clone());
        drain.tracker().spawn(async move {
            if let Err(problem) = admin::serve(listener, admin, &path, stop).await {
                error!(error = with_causes(&problem), "Admin server stopped");
            }
        });
    }
    Ok(addresses)
}

fn say_started(settings: &Settings, address: SocketAddr, tls_address: Option<SocketAddr>) {
    settings.say_warnings();
    let tls_port = tls_address.map(|address| address.port());
    if tls_port.is_none() {
        info!(path = %settings.env.tls.display(), "No TLS key pair: the TLS port opens when there is one");
    }
    info!(port = address.port(), tls_port, "Receiver started");
}

impl Running {
    /// Where events are accepted.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where events are accepted over TLS; absent while there is no certificate.
    #[must_use]
    pub fn tls_address(&self) -> Option<SocketAddr> {
        *self.tls_address.borrow()
    }

    /// Where the admin server listens; empty when nobody asked for one.
    #[must_use]
    pub fn admin_addresses(&self) -> &[SocketAddr] {
        &self.admin_addresses
    }

    /// Leaves in good order: not ready, nothing new accepted, what was accepted is finished, producers are flushed. True
    /// when all of it was done within the time for draining; returns at its end in any case.
    pub async fn drain(self) -> bool {
        self.readiness.set(false);
        self.drain.start();
        let for_requests = self.drain.remaining() - self.drain.deadline / FLUSH_SHARE;
        let answered = tokio::time::timeout(for_requests, self.connections.wait()).await.is_ok();
        if !answered {
            // Streams of HTTP/2 count among the connections here, the gauge counts requests alone.
            match (self.metrics.in_flight(), self.connections.len()) {
                (0, connections) => info!(connections, "Connections without requests are left open by their clients"),
                (requests, _) => warn!(requests, "Requests still wait for Kafka, they are given up"),
            }
        }
        // Only now: routes must exist as long as requests come in on open connections.
        let reconciler = self.reconciler;
        let stopping = tokio::task::spawn_blocking(move || reconciler.stop());
        let stopped = tokio::time::timeout(self.drain.remaining(), stopping).await.is_ok();
        self.admin_stop.cancel();
        let finished = self.drain.finish().await && answered && stopped;
        self.telemetry.finish(self.drain.remaining()).await;
        if finished {
            info!("Receiver stopped");
        } else {
            warn!(deadline = ?self.drain.deadline, "Receiver stopped before everything was finished");
        }
        finished
    }
}
