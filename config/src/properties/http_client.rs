//! The web client file: Vert.x option names, as settings of the clients that deliver events.
//!
//! Source: Vert.x 4.5 `WebClientOptions` and its defaults.

use std::time::Duration;

use super::draft::Draft;
use super::vertx::{Options as _, Unit};
use super::{Properties, PropertyErrors, SocketSettings, Warning, socket};

/// How to send HTTP requests.
#[derive(Debug, Clone, PartialEq)]
pub struct HttpClientSettings {
    /// HTTP/1.1 connections for each host and port, egress and role; further requests wait.
    pub max_pool_size: usize,
    /// HTTP/2 connections, likewise.
    pub http2_max_pool_size: usize,
    /// Streams on one HTTP/2 connection. Absent: as many as the server allows.
    pub http2_multiplexing_limit: Option<u32>,
    /// An unused HTTP/2 connection is closed after so long. Absent: never.
    pub http2_keep_alive_timeout: Option<Duration>,
    /// Bytes; absent: the protocol's default.
    pub http2_connection_window: Option<u32>,
    /// Requests that may wait for a connection; more fail at once, to be tried again. Absent: no limit of its own (what
    /// is in flight is bounded elsewhere).
    pub max_wait_queue_size: Option<usize>,
    /// Use a connection for several requests. On by default.
    pub keep_alive: bool,
    /// An unused HTTP/1.1 connection is closed after so long. Absent: never.
    pub keep_alive_timeout: Option<Duration>,
    /// How often unused connections are looked for. Absent: not at all.
    pub pool_cleaner_period: Option<Duration>,
    /// A connection without traffic for so long is closed, also while it waits for a response. Absent: never.
    pub idle_timeout: Option<Duration>,
    /// A connection from which nothing came for so long is closed. Absent: never.
    pub read_idle_timeout: Option<Duration>,
    /// A connection to which nothing went for so long is closed. Absent: never.
    pub write_idle_timeout: Option<Duration>,
    /// Limit for a TCP connection to be made. Absent: none but the attempt's.
    pub connect_timeout: Option<Duration>,
    /// Limit for the TLS handshake; never zero.
    pub tls_handshake_timeout: Duration,
    /// Check that the certificate is for the host. On by default.
    pub verify_host: bool,
    /// Accept any certificate. Off by default.
    pub trust_all: bool,
    /// Trust what the system trusts, besides the contract's bundles (`millrace.tls.system.roots`, true).
    pub system_roots: bool,
    /// Send a `User-Agent` header. On by default.
    pub user_agent_enabled: bool,
    /// Its value, if the file gives one.
    pub user_agent: Option<String>,
    /// Speak HTTP/2: over TLS if `use_alpn` is set too, in clear text with prior knowledge. Off by default.
    pub http2: bool,
    /// With `http2`: agree on the version in the TLS handshake. Alone it changes nothing. Off by default.
    pub use_alpn: bool,
    /// Bytes of all response headers together; more is a failed attempt.
    pub max_header_size: usize,
    /// Bytes of the status line; more is a failed attempt.
    pub max_initial_line_length: usize,
    /// Size of reads, in bytes.
    pub max_chunk_size: usize,
    /// Accept gzip and deflate responses. Off by default.
    pub decompression: bool,
    /// Options of sockets.
    pub socket: SocketSettings,
    /// What to log once.
    pub warnings: Vec<Warning>,
}

const NO_LISTS: &str = "lists and objects cannot be given in a properties file";
const REDIRECTS: &str = "redirects are not followed: a subscriber's answer decides about its event";
const PIPELINING: &str = "requests are not pipelined";
const UPGRADE: &str = "HTTP/2 in clear text is spoken from the first byte";
const URL: &str = "the URL of the target decides";
const UNUSED: &str = "deliveries have nothing that it could change";

const WITHOUT_EFFECT: &[(&str, &str)] = &[
    ("ssl", URL),
    ("defaultHost", URL),
    ("defaultPort", URL),
    ("followRedirects", REDIRECTS),
    ("maxRedirects", REDIRECTS),
    ("pipelining", PIPELINING),
    ("pipeliningLimit", PIPELINING),
    ("http2ClearTextUpgrade", UPGRADE),
    ("http2ClearTextUpgradeWithPreflightRequest", UPGRADE),
    ("http2UpgradeMaxContentLength", UPGRADE),
    ("tracingPolicy", "traces go on where the event carries one"),
    ("forceSni", "the host of the URL is always named in the TLS handshake"),
    ("poolEventLoopSize", UNUSED),
    ("decoderInitialBufferSize", UNUSED),
    ("activityLogDataFormat", UNUSED),
    ("logActivity", UNUSED),
    ("shared", UNUSED),
    ("name", UNUSED),
    ("metricsName", UNUSED),
    ("localAddress", "the operating system chooses the address to send from"),
    ("maxWebSockets", UNUSED),
    ("maxWebSocketFrameSize", UNUSED),
    ("maxWebSocketMessageSize", UNUSED),
    ("sendUnmaskedFrames", UNUSED),
    ("tryUsePerFrameWebSocketCompression", UNUSED),
    ("tryUsePerMessageWebSocketCompression", UNUSED),
    ("tryWebSocketDeflateFrameCompression", UNUSED),
    ("webSocketAllowClientNoContext", UNUSED),
    ("webSocketClosingTimeout", UNUSED),
    ("webSocketCompressionLevel", UNUSED),
    ("webSocketRequestServerNoContext", UNUSED),
    ("alpnVersions", NO_LISTS),
    ("initialSettings", NO_LISTS),
    ("enabledSecureTransportProtocols", NO_LISTS),
    ("enabledCipherSuites", NO_LISTS),
    ("crlPaths", NO_LISTS),
    ("crlValues", NO_LISTS),
    ("pemTrustOptions", NO_LISTS),
    ("pemKeyCertOptions", NO_LISTS),
    ("proxyOptions", NO_LISTS),
    ("nonProxyHosts", NO_LISTS),
    ("sameOriginRedirectBlockedHeaders", NO_LISTS),
    ("crossOriginRedirectBlockedHeaders", NO_LISTS),
];

/// Settings of clients.
///
/// # Errors
/// Every value that cannot be used, each naming its key.
pub fn http_client(properties: &Properties) -> Result<HttpClientSettings, PropertyErrors> {
    let mut draft = Draft::new(properties);
    let unit = draft.name("idleTimeoutUnit", &Unit::NAMES).unwrap_or(Unit::SECONDS);
    let handshake_unit = draft.name("sslHandshakeTimeoutUnit", &Unit::NAMES).unwrap_or(Unit::SECONDS);
    let versions = [("HTTP_1_0", false), ("HTTP_1_1", false), ("HTTP_2", true)];
    draft.without_effect(WITHOUT_EFFECT);
    let socket = socket::read(&mut draft);
    for (key, is_on) in [("tcpFastOpen", socket.fast_open), ("reusePort", socket.reuse_port)] {
        if is_on {
            draft.warn(key, "without effect on connections that go out");
        }
    }
    Ok(HttpClientSettings {
        max_pool_size: size(&mut draft, "maxPoolSize", 5),
        http2_max_pool_size: size(&mut draft, "http2MaxPoolSize", 1),
        http2_multiplexing_limit: draft
            .int("http2MultiplexingLimit", -1..=i32::MAX)
            .and_then(|streams| u32::try_from(streams).ok())
            .filter(|streams| *streams > 0),
        http2_keep_alive_timeout: seconds(&mut draft, "http2KeepAliveTimeout", 60),
        http2_connection_window: draft
            .int("http2ConnectionWindowSize", -1..=i32::MAX)
            .and_then(|bytes| u32::try_from(bytes).ok())
            .filter(|bytes| *bytes > 0),
        // Unlike sizes, 0 means something: nobody waits.
        max_wait_queue_size: draft.int("maxWaitQueueSize", -1..=i32::MAX).and_then(|size| usize::try_from(size).ok()),
        keep_alive: draft.flag("keepAlive").unwrap_or(true),
        keep_alive_timeout: seconds(&mut draft, "keepAliveTimeout", 60),
        pool_cleaner_period: span(&mut draft, "poolCleanerPeriod", Unit::MILLISECONDS, Duration::from_secs(1)),
        idle_timeout: draft.span("idleTimeout", unit),
        read_idle_timeout: draft.span("readIdleTimeout", unit),
        write_idle_timeout: draft.span("writeIdleTimeout", unit),
        connect_timeout: span(&mut draft, "connectTimeout", Unit::MILLISECONDS, Duration::from_secs(60)),
        tls_handshake_timeout: draft.span("sslHandshakeTimeout", handshake_unit).unwrap_or(Duration::from_secs(10)),
        verify_host: draft.flag("verifyHost").unwrap_or(true),
        trust_all: draft.flag("trustAll").unwrap_or(false),
        system_roots: draft.boolean("millrace.tls.system.roots").unwrap_or(true),
        user_agent_enabled: draft.flag("userAgentEnabled").unwrap_or(true),
        user_agent: draft.word("userAgent").filter(|agent| !agent.is_empty()),
        http2: draft.name("protocolVersion", &versions).unwrap_or(false),
        use_alpn: draft.flag("useAlpn").unwrap_or(false),
        max_header_size: size(&mut draft, "maxHeaderSize", 8192),
        max_initial_line_length: size(&mut draft, "maxInitialLineLength", 4096),
        max_chunk_size: size(&mut draft, "maxChunkSize", 8192),
        decompression: draft.flag("decompressionSupported").unwrap_or(false),
        socket,
        warnings: draft.finish()?,
    })
}

fn size(draft: &mut Draft<'_>, key: &'static str, default: usize) -> usize {
    draft.int(key, 1..=i32::MAX).and_then(|size| usize::try_from(size).ok()).unwrap_or(default)
}

fn seconds(draft: &mut Draft<'_>, key: &'static str, default: u64) -> Option<Duration> {
    span(draft, key, Unit::SECONDS, Duration::from_secs(default))
}

/// A time that has a default, so that 0 ("none") and an absent key differ.
fn span(draft: &mut Draft<'_>, key: &'static str, unit: Unit, default: Duration) -> Option<Duration> {
    // A value that was warned about counts as absent.
    match draft.int(key, 0..=i32::MAX) {
        Some(_) => draft.span(key, unit),
        None => Some(default),
    }
}

#[cfg(test)]
mod tests;
