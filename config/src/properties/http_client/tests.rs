//! The web client file: defaults, every setting, and what happens to what makes no sense.

use super::*;

fn settings(entries: &[(&str, &str)]) -> Result<HttpClientSettings, PropertyErrors> {
    http_client(&entries.iter().copied().collect())
}

#[test]
fn the_shipped_file_gives_its_two_settings_and_no_warning() {
    let shipped = settings(&[("idleTimeout", "10000"), ("maxPoolSize", "100")]).unwrap();
    // Seconds, as in the peer, whatever the writer of the file may have thought.
    assert_eq!(shipped.idle_timeout, Some(Duration::from_secs(10_000)));
    assert_eq!(shipped.max_pool_size, 100);
    let default = http_client(&Properties::new()).unwrap();
    assert_eq!(HttpClientSettings { idle_timeout: None, max_pool_size: 5, ..shipped }, default);
}

#[test]
fn defaults_are_those_of_the_peer() {
    let default = http_client(&Properties::new()).unwrap();
    assert_eq!(default.warnings, []);
    assert_eq!((default.http2_max_pool_size, default.http2_multiplexing_limit), (1, None));
    assert_eq!((default.max_wait_queue_size, default.idle_timeout), (None, None));
    assert!(default.keep_alive && default.verify_host && default.user_agent_enabled && default.system_roots);
    assert!(!default.trust_all && !default.http2 && !default.use_alpn && !default.decompression);
    assert_eq!(default.keep_alive_timeout, Some(Duration::from_secs(60)));
    assert_eq!(default.http2_keep_alive_timeout, Some(Duration::from_secs(60)));
    assert_eq!(default.pool_cleaner_period, Some(Duration::from_secs(1)));
    assert_eq!(default.connect_timeout, Some(Duration::from_secs(60)));
    assert_eq!(default.tls_handshake_timeout, Duration::from_secs(10));
    assert_eq!((default.max_header_size, default.max_initial_line_length, default.max_chunk_size), (8192, 4096, 8192));
    assert_eq!(default.user_agent, None);
}

#[test]
fn every_setting_has_its_key() {
    let settings = settings(&[
        ("http2MaxPoolSize", "2"),
        ("http2MultiplexingLimit", "3"),
        ("http2KeepAliveTimeout", "4"),
        ("http2ConnectionWindowSize", "65536"),
        ("maxWaitQueueSize", "0"),
        ("keepAlive", "false"),
        ("keepAliveTimeout", "5"),
        ("poolCleanerPeriod", "6"),
        ("idleTimeoutUnit", "MINUTES"),
        ("idleTimeout", "7"),
        ("readIdleTimeout", "8"),
        ("writeIdleTimeout", "9"),
        ("connectTimeout", "10"),
        ("sslHandshakeTimeout", "11"),
        ("verifyHost", "false"),
        ("trustAll", "true"),
        ("millrace.tls.system.roots", "false"),
        ("userAgentEnabled", "false"),
        ("userAgent", "knative/1"),
        ("protocolVersion", "HTTP_2"),
        ("useAlpn", "true"),
        ("maxHeaderSize", "12"),
        ("maxInitialLineLength", "13"),
        ("maxChunkSize", "14"),
        ("decompressionSupported", "true"),
        ("tcpNoDelay", "false"),
    ])
    .unwrap();
    let seconds = Duration::from_secs;
    assert_eq!(settings.warnings, []);
    assert_eq!((settings.http2_max_pool_size, settings.http2_multiplexing_limit), (2, Some(3)));
    assert_eq!(settings.http2_keep_alive_timeout, Some(seconds(4)));
    assert_eq!((settings.http2_connection_window, settings.max_wait_queue_size), (Some(65536), Some(0)));
    assert_eq!((settings.keep_alive, settings.keep_alive_timeout), (false, Some(seconds(5))));
    assert_eq!(settings.pool_cleaner_period, Some(Duration::from_millis(6)));
    assert_eq!(settings.idle_timeout, Some(seconds(420)));
    assert_eq!((settings.read_idle_timeout, settings.write_idle_timeout), (Some(seconds(480)), Some(seconds(540))));
    assert_eq!(settings.connect_timeout, Some(Duration::from_millis(10)));
    assert_eq!(settings.tls_handshake_timeout, seconds(11));
    assert!(!settings.verify_host && settings.trust_all && !settings.system_roots && !settings.user_agent_enabled);
    assert_eq!(settings.user_agent.as_deref(), Some("knative/1"));
    assert!(settings.http2 && settings.use_alpn && settings.decompression && !settings.socket.no_delay);
    assert_eq!((settings.max_header_size, settings.max_initial_line_length, settings.max_chunk_size), (12, 13, 14));
}

#[test]
fn zero_switches_a_time_limit_off() {
    let settings = settings(&[("keepAliveTimeout", "0"), ("connectTimeout", "0"), ("poolCleanerPeriod", "0")]).unwrap();
    assert_eq!(
        (settings.keep_alive_timeout, settings.connect_timeout, settings.pool_cleaner_period),
        (None, None, None)
    );
}

#[test]
fn a_value_of_the_wrong_kind_leaves_the_default() {
    let settings = settings(&[("connectTimeout", "soon"), ("maxPoolSize", "true"), ("verifyHost", "no")]).unwrap();
    let keys: Vec<&str> = settings.warnings.iter().map(|warning| warning.key.as_str()).collect();
    assert_eq!(keys, ["connectTimeout", "maxPoolSize", "verifyHost"]);
    assert_eq!(settings.connect_timeout, Some(Duration::from_secs(60)));
    assert_eq!((settings.max_pool_size, settings.verify_host), (5, true));
}

#[test]
fn keys_without_effect_are_warned_about_once_each() {
    let entries: Vec<(&str, &str)> = WITHOUT_EFFECT.iter().map(|(key, _)| (*key, "true")).collect();
    let settings = settings(&entries).unwrap();
    assert_eq!(settings.warnings.len(), entries.len());
    assert!(settings.warnings.iter().all(|warning| warning.reason.starts_with("ignored: ")));
}

#[test]
fn numbers_out_of_range_and_unknown_words_are_errors() {
    for (key, value) in [
        ("maxPoolSize", "0"),
        ("maxPoolSize", "-1"),
        ("maxWaitQueueSize", "-2"),
        ("idleTimeout", "-1"),
        ("keepAliveTimeout", "-1"),
        ("protocolVersion", "HTTP_3"),
        ("idleTimeoutUnit", "s"),
        ("millrace.tls.system.roots", "yes"),
    ] {
        let errors = settings(&[(key, value)]).unwrap_err();
        assert_eq!(errors.0.len(), 1, "{key}");
        assert_eq!(errors.0[0].key, key);
    }
}

#[test]
fn socket_options_that_only_servers_can_use_are_named() {
    let settings = settings(&[("tcpFastOpen", "true"), ("reusePort", "true"), ("tcpCork", "true")]).unwrap();
    let keys: Vec<_> = settings.warnings.iter().map(|warning| warning.key.as_str()).collect();
    assert_eq!(keys, ["reusePort", "tcpFastOpen"]);
}
