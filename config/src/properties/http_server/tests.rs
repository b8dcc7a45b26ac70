//! The HTTP server file: defaults, every setting, and what happens to what makes no sense.

use super::*;

fn settings(entries: &[(&str, &str)]) -> Result<HttpServerSettings, PropertyErrors> {
    http_server(&entries.iter().copied().collect())
}

#[track_caller]
fn check_warned(key: &str, value: &str, reason: &str) {
    let settings = settings(&[(key, value)]).unwrap();
    let expected = Warning { key: key.to_owned(), reason: reason.to_owned() };
    assert_eq!(settings.warnings, [expected]);
    assert_eq!(HttpServerSettings { warnings: Vec::new(), ..settings }, http_server(&Properties::new()).unwrap());
}

#[track_caller]
fn check_error(key: &str, value: &str, expected: &str) {
    assert_eq!(settings(&[(key, value)]).unwrap_err().to_string(), format!("{key}: {expected}"));
}

#[test]
fn the_shipped_file_changes_nothing_and_warns_of_nothing() {
    let shipped = settings(&[("idleTimeout", "0")]).unwrap();
    assert_eq!(shipped, http_server(&Properties::new()).unwrap());
    assert_eq!(shipped.warnings, []);
    assert_eq!((shipped.host.as_str(), shipped.idle_timeout), ("0.0.0.0", None));
    assert_eq!((shipped.max_header_size, shipped.max_initial_line_length), (8192, 4096));
    assert!(shipped.http2_clear_text && !shipped.use_alpn && !shipped.handle_100_continue && !shipped.decompression);
    assert_eq!((shipped.http2_max_resets, shipped.http2_reset_window), (200, Duration::from_secs(30)));
    assert_eq!(shipped.tls_handshake_timeout, Duration::from_secs(10));
    assert!(shipped.socket.no_delay && shipped.socket.reuse_address && !shipped.socket.keep_alive);
    assert_eq!((shipped.connections_max, shipped.batch_max), (10_000, 1000));
    assert_eq!(shipped.header_timeout, Some(Duration::from_secs(30)));
    assert_eq!(shipped.body_timeout, Some(Duration::from_secs(60)));
}

#[test]
fn every_setting_has_its_key() {
    let settings = settings(&[
        ("host", "127.0.0.1 "),
        ("acceptBacklog", "100"),
        ("idleTimeout", "1e3"),
        ("idleTimeoutUnit", "MILLISECONDS"),
        ("readIdleTimeout", "2000"),
        ("writeIdleTimeout", "3000"),
        ("maxHeaderSize", "100"),
        ("maxInitialLineLength", "200"),
        ("handle100ContinueAutomatically", "TRUE"),
        ("decompressionSupported", "true"),
        ("http2ClearTextEnabled", "false"),
        ("useAlpn", "true"),
        ("http2ConnectionWindowSize", "65536"),
        ("http2RstFloodMaxRstFramePerWindow", "5"),
        ("http2RstFloodWindowDuration", "1"),
        ("http2RstFloodWindowDurationTimeUnit", "MINUTES"),
        ("sslHandshakeTimeout", "500"),
        ("sslHandshakeTimeoutUnit", "MILLISECONDS"),
        ("clientAuth", "REQUIRED"),
        ("millrace.ingress.connections.max", "7"),
        ("millrace.ingress.header.timeout.ms", "0"),
        ("millrace.ingress.body.timeout.ms", "9"),
        ("millrace.ingress.body.rate.min", "12"),
        ("millrace.ingress.batch.max", "11"),
    ])
    .unwrap();
    let ms = Duration::from_millis;
    assert_eq!(settings.warnings, []);
    assert_eq!((settings.host.as_str(), settings.accept_backlog), ("127.0.0.1", Some(100)));
    assert_eq!(
        (settings.idle_timeout, settings.read_idle_timeout, settings.write_idle_timeout),
        (Some(ms(1000)), Some(ms(2000)), Some(ms(3000)))
    );
    assert_eq!((settings.max_header_size, settings.max_initial_line_length), (100, 200));
    assert!(settings.handle_100_continue && settings.decompression && settings.use_alpn);
    assert!(!settings.http2_clear_text);
    assert_eq!(settings.http2_connection_window, Some(65536));
    assert_eq!((settings.http2_max_resets, settings.http2_reset_window), (5, ms(60_000)));
    assert_eq!((settings.tls_handshake_timeout, settings.client_auth), (ms(500), ClientAuth::Required));
    assert_eq!((settings.connections_max, settings.body_rate_min, settings.batch_max), (7, Some(12), 11));
    assert_eq!((settings.header_timeout, settings.body_timeout), (None, Some(ms(9))));
}

#[test]
fn every_socket_option_has_its_key() {
    let settings = settings(&[
        ("tcpNoDelay", "false"),
        ("tcpKeepAlive", "true"),
        ("tcpKeepAliveIdleSeconds", "1"),
        ("tcpKeepAliveIntervalSeconds", "2"),
        ("tcpKeepAliveCount", "3"),
        ("soLinger", "0"),
        ("reuseAddress", "false"),
        ("reusePort", "true"),
        ("sendBufferSize", "4096"),
        ("receiveBufferSize", "8192"),
        ("trafficClass", "16"),
        ("tcpCork", "true"),
        ("tcpQuickAck", "true"),
        ("tcpUserTimeout", "1500"),
    ])
    .unwrap();
    assert_eq!(settings.warnings, []);
    let expected = SocketSettings {
        no_delay: false,
        keep_alive: true,
        keep_alive_idle: Some(Duration::from_secs(1)),
        keep_alive_interval: Some(Duration::from_secs(2)),
        keep_alive_count: Some(3),
        linger: Some(Duration::ZERO),
        reuse_address: false,
        reuse_port: true,
        send_buffer: Some(4096),
        receive_buffer: Some(8192),
        traffic_class: Some(16),
        fast_open: false,
        cork: true,
        quick_ack: true,
        user_timeout: Some(Duration::from_millis(1500)),
    };
    assert_eq!(settings.socket, expected);
}

#[test]
fn minus_one_is_what_the_operating_system_does() {
    let entries = [
        ("acceptBacklog", "-1"),
        ("soLinger", "-1"),
        ("sendBufferSize", "-1"),
        ("receiveBufferSize", "-1"),
        ("trafficClass", "-1"),
        ("tcpKeepAliveCount", "-1"),
        ("http2ConnectionWindowSize", "-1"),
    ];
    assert_eq!(settings(&entries).unwrap(), http_server(&Properties::new()).unwrap());
}

#[test]
fn a_value_of_the_wrong_kind_has_no_effect_but_a_warning() {
    check_warned("idleTimeout", "ten", "\"ten\" is not a number, ignored");
    check_warned("idleTimeout", "true", "\"true\" is not a number, ignored");
    check_warned("tcpNoDelay", "1", "\"1\" is neither true nor false, ignored");
    check_warned("host", "127", "\"127\" is not a text, ignored");
    check_warned("idleTimeoutUnit", "1", "\"1\" is not a text, ignored");
}

#[test]
fn keys_without_effect_are_warned_about_with_the_reason() {
    check_warned("port", "80", "ignored: the port comes from INGRESS_PORT and INGRESS_TLS_PORT");
    check_warned("enabledCipherSuites", "X", "ignored: lists and objects cannot be given in a properties file");
    check_warned("idletimeout", "3", "unknown key, ignored");
    check_warned("idle.timeout", "3", "unknown key, ignored");
}

#[test]
fn numbers_out_of_range_and_unknown_words_are_errors() {
    check_error("idleTimeout", "-1", "\"-1\" is not a number from 0 to 2147483647");
    check_error("maxHeaderSize", "0", "\"0\" is not a number from 1 to 2147483647");
    check_error("trafficClass", "256", "\"256\" is not a number from -1 to 255");
    check_error(
        "idleTimeoutUnit",
        "seconds",
        "\"seconds\" is not one of NANOSECONDS, MICROSECONDS, MILLISECONDS, SECONDS, MINUTES, HOURS, DAYS",
    );
    check_error("clientAuth", "MAYBE", "\"MAYBE\" is not one of NONE, REQUEST, REQUIRED");
    check_error("millrace.ingress.batch.max", "1e3", "\"1e3\" is not a whole number from 1 to 4096");
}

#[test]
fn every_problem_is_reported_at_once() {
    let errors = settings(&[("idleTimeout", "-1"), ("clientAuth", "X"), ("maxChunkSize", "-5")]).unwrap_err();
    let mut keys: Vec<&str> = errors.0.iter().map(|error| error.key.as_str()).collect();
    keys.sort_unstable();
    assert_eq!(keys, ["clientAuth", "idleTimeout", "maxChunkSize"]);
}
