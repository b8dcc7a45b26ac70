//! The HTTP server file: Vert.x option names, as settings of our servers.
//!
//! The same settings apply to the plain and to the TLS port. The port itself comes from the environment.
//!
//! Source: Vert.x 4.5 `HttpServerOptions` and its defaults.

use std::time::Duration;

use super::draft::Draft;
use super::vertx::{Options as _, Unit};
use super::{Properties, PropertyErrors, SocketSettings, Warning, socket};

/// How to serve HTTP.
#[derive(Debug, Clone, PartialEq)]
pub struct HttpServerSettings {
    /// Address to listen at; `0.0.0.0` by default.
    pub host: String,
    /// Connections that may wait to be accepted. Absent: as the operating system does it.
    pub accept_backlog: Option<u32>,
    /// A connection without traffic for so long is closed, also while a request waits for Kafka. Absent: never.
    pub idle_timeout: Option<Duration>,
    /// A connection from which nothing came for so long is closed. Absent: never.
    pub read_idle_timeout: Option<Duration>,
    /// A connection to which nothing went for so long is closed. Absent: never.
    pub write_idle_timeout: Option<Duration>,
    /// Bytes of all headers together; more is answered with 431.
    pub max_header_size: usize,
    /// Bytes of the request line; more is answered with 414.
    pub max_initial_line_length: usize,
    /// Answer `Expect: 100-continue`. Off by default.
    pub handle_100_continue: bool,
    /// Decode gzip and deflate request bodies. Off by default.
    pub decompression: bool,
    /// HTTP/2 on the plain port. On by default.
    pub http2_clear_text: bool,
    /// HTTP/2 on the TLS port. Off by default.
    pub use_alpn: bool,
    /// Bytes; absent: the protocol's default.
    pub http2_connection_window: Option<u32>,
    /// Resets of streams that a client may cause in `http2_reset_window`, before its connection is closed.
    pub http2_max_resets: u32,
    /// See `http2_max_resets`.
    pub http2_reset_window: Duration,
    /// Limit for the TLS handshake; never zero.
    pub tls_handshake_timeout: Duration,
    /// Whether clients show certificates.
    pub client_auth: ClientAuth,
    /// Options of sockets.
    pub socket: SocketSettings,
    /// Connections at the same time; more wait to be accepted (`millrace.ingress.connections.max`, 10,000).
    pub connections_max: usize,
    /// Limit for the headers of a request to arrive (`millrace.ingress.header.timeout.ms`, 30 s). Absent: none.
    pub header_timeout: Option<Duration>,
    /// Limit for the body of a request to arrive (`millrace.ingress.body.timeout.ms`, 60 s). Absent: none.
    pub body_timeout: Option<Duration>,
    /// Bytes a second that the body of a request must keep up with after its first five seconds
    /// (`millrace.ingress.body.rate.min`, 240). Absent: none.
    pub body_rate_min: Option<u32>,
    /// Events in one batch request; more are answered with 413 (`millrace.ingress.batch.max`, 1000; at most 4096).
    pub batch_max: usize,
    /// What to log once.
    pub warnings: Vec<Warning>,
}

/// Whether clients of the TLS port show certificates.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ClientAuth {
    /// They are not asked.
    #[default]
    None,
    /// They are asked, and may refuse.
    Request,
    /// They must.
    Required,
}

const NO_LISTS: &str = "lists and objects cannot be given in a properties file";
const BODILESS: &str = "responses have no body to compress";
const UNUSED: &str = "the service has nothing that it could change";

const WITHOUT_EFFECT: &[(&str, &str)] = &[
    ("port", "the port comes from INGRESS_PORT and INGRESS_TLS_PORT"),
    ("ssl", "TLS is on where its certificate is mounted"),
    ("tracingPolicy", "traces go on where the client began one"),
    ("sni", "there is one certificate"),
    ("useProxyProtocol", "the PROXY protocol is not supported"),
    ("proxyProtocolTimeout", "the PROXY protocol is not supported"),
    ("proxyProtocolTimeoutUnit", "the PROXY protocol is not supported"),
    ("maxChunkSize", "the size of reads follows the traffic"),
    ("logActivity", "events are never written to the log"),
    ("activityLogDataFormat", "events are never written to the log"),
    ("tcpFastOpen", "the kernel's net.ipv4.tcp_fastopen decides"),
    ("compressionSupported", BODILESS),
    ("compressionLevel", BODILESS),
    ("compressionContentSizeThreshold", BODILESS),
    ("decoderInitialBufferSize", UNUSED),
    ("maxFormAttributeSize", UNUSED),
    ("maxFormFields", UNUSED),
    ("maxFormBufferedBytes", UNUSED),
    ("maxWebSocketFrameSize", UNUSED),
    ("maxWebSocketMessageSize", UNUSED),
    ("perFrameWebSocketCompressionSupported", UNUSED),
    ("perMessageWebSocketCompressionSupported", UNUSED),
    ("webSocketAllowServerNoContext", UNUSED),
    ("webSocketClosingTimeout", UNUSED),
    ("webSocketCompressionLevel", UNUSED),
    ("webSocketPreferredClientNoContext", UNUSED),
    ("registerWebSocketWriteHandlers", UNUSED),
    ("registerWriteHandler", UNUSED),
    ("acceptUnmaskedFrames", UNUSED),
    ("alpnVersions", NO_LISTS),
    ("enabledCipherSuites", NO_LISTS),
    ("enabledSecureTransportProtocols", NO_LISTS),
    ("initialSettings", NO_LISTS),
    ("pemKeyCertOptions", NO_LISTS),
    ("pemTrustOptions", NO_LISTS),
    ("crlPaths", NO_LISTS),
    ("crlValues", NO_LISTS),
    ("webSocketSubProtocols", NO_LISTS),
];

/// Settings of servers.
///
/// # Errors
/// Every value that cannot be used, each naming its key.
pub fn http_server(properties: &Properties) -> Result<HttpServerSettings, PropertyErrors> {
    let mut draft = Draft::new(properties);
    let unit = draft.name("idleTimeoutUnit", &Unit::NAMES).unwrap_or(Unit::SECONDS);
    let reset_unit = draft.name("http2RstFloodWindowDurationTimeUnit", &Unit::NAMES).unwrap_or(Unit::SECONDS);
    let handshake_unit = draft.name("sslHandshakeTimeoutUnit", &Unit::NAMES).unwrap_or(Unit::SECONDS);
    // Without an effect, but as with the peer not any number will do.
    let _checked = size(&mut draft, "maxChunkSize", 8192);
    draft.without_effect(WITHOUT_EFFECT);
    Ok(HttpServerSettings {
        host: draft.word("host").filter(|host| !host.is_empty()).unwrap_or_else(|| "0.0.0.0".to_owned()),
        accept_backlog: unsigned(draft.int("acceptBacklog", -1..=i32::MAX)).filter(|backlog| *backlog > 0),
        idle_timeout: draft.span("idleTimeout", unit),
        read_idle_timeout: draft.span("readIdleTimeout", unit),
        write_idle_timeout: draft.span("writeIdleTimeout", unit),
        max_header_size: size(&mut draft, "maxHeaderSize", 8192),
        max_initial_line_length: size(&mut draft, "maxInitialLineLength", 4096),
        handle_100_continue: draft.flag("handle100ContinueAutomatically").unwrap_or(false),
        decompression: draft.flag("decompressionSupported").unwrap_or(false),
        http2_clear_text: draft.flag("http2ClearTextEnabled").unwrap_or(true),
        use_alpn: draft.flag("useAlpn").unwrap_or(false),
        http2_connection_window: unsigned(draft.int("http2ConnectionWindowSize", -1..=i32::MAX))
            .filter(|bytes| *bytes > 0),
        http2_max_resets: unsigned(draft.int("http2RstFloodMaxRstFramePerWindow", 0..=i32::MAX)).unwrap_or(200),
        http2_reset_window: draft.span("http2RstFloodWindowDuration", reset_unit).unwrap_or(Duration::from_secs(30)),
        tls_handshake_timeout: draft.span("sslHandshakeTimeout", handshake_unit).unwrap_or(Duration::from_secs(10)),
        client_auth: draft
            .name(
                "clientAuth",
                &[("NONE", ClientAuth::None), ("REQUEST", ClientAuth::Request), ("REQUIRED", ClientAuth::Required)],
            )
            .unwrap_or_default(),
        socket: socket::read(&mut draft),
        connections_max: draft.size("millrace.ingress.connections.max", 1..=1_000_000).unwrap_or(10_000),
        header_timeout: limit(&mut draft, "millrace.ingress.header.timeout.ms", 30),
        body_timeout: limit(&mut draft, "millrace.ingress.body.timeout.ms", 60),
        body_rate_min: draft
            .size("millrace.ingress.body.rate.min", 0..=1_000_000_000)
            .map_or(Some(240), |rate| u32::try_from(rate).ok())
            .filter(|rate| *rate > 0),
        batch_max: draft.size("millrace.ingress.batch.max", 1..=4096).unwrap_or(1000),
        warnings: draft.finish()?,
    })
}

fn unsigned(number: Option<i32>) -> Option<u32> {
    number.and_then(|number| u32::try_from(number).ok())
}

fn size(draft: &mut Draft<'_>, key: &'static str, default: usize) -> usize {
    draft.int(key, 1..=i32::MAX).and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or(default)
}

/// One of our own limits: 0 is none.
fn limit(draft: &mut Draft<'_>, key: &'static str, default_seconds: u64) -> Option<Duration> {
    let limit = draft.millis(key, 0..=86_400_000).unwrap_or(Duration::from_secs(default_seconds));
    Some(limit).filter(|limit| !limit.is_zero())
}

#[cfg(test)]
mod tests;
