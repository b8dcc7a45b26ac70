//! Statuses, headers and documents of all refusals.

use http_body_util::BodyExt;

use super::*;

fn topic() -> String {
    "orders".to_owned()
}

const RETRY_AFTER: Duration = Duration::from_millis(1500);

#[track_caller]
fn check(rejection: Rejection, status: u16, header: Option<(&str, &str)>) {
    let answer = rejection.answer();
    assert_eq!((answer.status().as_u16(), rejection.status().as_u16()), (status, status));
    let extra: Vec<_> = answer
        .headers()
        .iter()
        .filter(|(name, _)| *name != CONTENT_TYPE)
        .map(|(name, value)| (name.as_str(), value.to_str().unwrap()))
        .collect();
    assert_eq!(extra, header.into_iter().collect::<Vec<_>>());
}

#[test]
fn every_refusal_has_its_status_and_header() {
    let limit_bytes = 7;
    check(Rejection::LineTooLong { limit_bytes }, 414, None);
    check(Rejection::HeadersTooLarge { limit_bytes }, 431, None);
    check(Rejection::NotHttp, 400, None);
    check(Rejection::OtherVersion, 501, None);
    for ambiguous in [Rejection::TwoFramings, Rejection::BareLineFeed, Rejection::TwoHosts, Rejection::TransferCoding] {
        assert!(ambiguous.ends_connection());
        check(ambiguous, 400, None);
    }
    check(Rejection::NotInflatable { encoding: "gzip" }, 400, None);
    check(Rejection::BodyStalled { bytes_per_second: 1 }, 408, None);
    check(Rejection::BatchTooLong { limit: 1 }, 413, None);
    check(Rejection::MethodNotAllowed, 405, Some(("allow", "POST")));
    check(Rejection::NoHost, 400, None);
    check(Rejection::NoRoute, 404, None);
    check(Rejection::NoToken, 401, Some(("www-authenticate", "Bearer")));
    check(Rejection::TwoTokens, 401, Some(("www-authenticate", r#"Bearer error="invalid_request""#)));
    let invalid = Some(("www-authenticate", r#"Bearer error="invalid_token""#));
    check(Rejection::BadToken(TokenError::Expired), 401, invalid);
    check(Rejection::TokensNotChecked, 500, None);
    check(Rejection::NotAllowed, 403, None);
    check(Rejection::EventNotAllowed, 403, None);
    check(Rejection::BodyTooLarge { limit_bytes }, 413, None);
    check(Rejection::BodyTooSlow { limit: Duration::from_secs(1) }, 408, None);
    check(Rejection::BodyBroken, 400, None);
    check(Rejection::NotAnEvent(EventError::NotAnEvent), 400, None);
    check(Rejection::Overloaded { topic: topic(), retry_after: Duration::ZERO }, 503, Some(("retry-after", "1")));
}

#[test]
fn what_kafka_cannot_take_now_is_503_with_a_time_and_what_it_never_takes_is_not() {
    let produce = |error| Rejection::Produce { error, retry_after: RETRY_AFTER };
    check(produce(ProduceError::TooLarge { topic: topic() }), 413, None);
    check(produce(ProduceError::Event(EventError::NotAnEvent)), 400, None);
    for error in [
        ProduceError::QueueFull { topic: topic() },
        ProduceError::NoBroker { topic: topic() },
        ProduceError::TimedOut { topic: topic() },
        ProduceError::UnknownTopic { topic: topic() },
        ProduceError::NotAllowed { topic: topic() },
        ProduceError::Closed { topic: topic() },
        ProduceError::cancelled(topic()),
    ] {
        check(produce(error), 503, Some(("retry-after", "2")));
    }
}

#[tokio::test]
async fn a_refusal_explains_itself_as_problem_json() {
    let answer = Rejection::BodyTooLarge { limit_bytes: 1_048_576 }.answer();
    assert_eq!(answer.headers()[CONTENT_TYPE], "application/problem+json");
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(
        body,
        r#"{"type":"about:blank","title":"Payload Too Large","status":413,"detail":"the event is larger than 1048576 bytes"}"#
    );
}
