//! AWS Signature Version 4, as far as it signs the query of a GET request without a body.
//!
//! Pure. Source: "Create a signed AWS API request" of Amazon's documentation.

use std::fmt::Write as _;
use std::time::Duration;

use aws_lc_rs::{digest, hmac};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use percent_encoding::utf8_percent_encode;

use super::super::endpoint::PLAIN;
use super::identity::Identity;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// What a request is for.
pub(in super::super) struct Place<'a> {
    pub(in super::super) service: &'a str,
    pub(in super::super) region: &'a str,
    pub(in super::super) host: &'a str,
}

/// The query of `GET https://HOST/`, with these parameters, signed at `now` for `lasts`.
pub(in super::super) fn presigned_query(
    place: &Place<'_>,
    parameters: &[(&str, &str)],
    identity: &Identity,
    now: Duration,
    lasts: Duration,
) -> String {
    let Place { service, region, host } = place;
    let (date, time) = stamps(now);
    let scope = format!("{date}/{region}/{service}/aws4_request");
    let (credential, lasts) = (format!("{}/{scope}", identity.key), lasts.as_secs().to_string());
    let mut all: Vec<(&str, &str)> = parameters.to_vec();
    all.extend([
        ("X-Amz-Algorithm", ALGORITHM),
        ("X-Amz-Credential", &credential),
        ("X-Amz-Date", &time),
        ("X-Amz-Expires", &lasts),
        ("X-Amz-SignedHeaders", "host"),
    ]);
    if let Some(session) = &identity.session {
        all.push(("X-Amz-Security-Token", session));
    }
    let encoded = |text: &str| utf8_percent_encode(text, PLAIN).to_string();
    let mut pairs: Vec<String> =
        all.iter().map(|(name, value)| format!("{}={}", encoded(name), encoded(value))).collect();
    pairs.sort();
    let query = pairs.join("&");
    let request =
        format!("GET\n/\n{query}\nhost:{host}\n\nhost\n{}", hex(digest::digest(&digest::SHA256, b"").as_ref()));
    let hashed = hex(digest::digest(&digest::SHA256, request.as_bytes()).as_ref());
    let to_sign = format!("{ALGORITHM}\n{time}\n{scope}\n{hashed}");
    let signature = sign(identity, &[&date, region, service, "aws4_request"], &to_sign);
    format!("{query}&X-Amz-Signature={signature}")
}

/// Each part of the scope is signed with what signed the one before.
fn sign(identity: &Identity, scope: &[&str], text: &str) -> String {
    let mut key = format!("AWS4{}", identity.secret).into_bytes();
    for part in scope {
        key = mac(&key, part);
    }
    hex(&mac(&key, text))
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes()).as_ref().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap_or_default();
        text
    })
}

/// A day and a moment, as `20150830` and `20150830T123600Z`.
fn stamps(now: Duration) -> (String, String) {
    let seconds = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    let time = Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX).to_zoned(TimeZone::UTC).datetime();
    let date = format!("{:04}{:02}{:02}", time.year(), time.month(), time.day());
    let moment = format!("{date}T{:02}{:02}{:02}Z", time.hour(), time.minute(), time.second());
    (date, moment)
}

#[cfg(test)]
mod tests {
    //! Numbers that Amazon publishes.

    use super::*;

    fn identity() -> Identity {
        Identity {
            key: "AKIDEXAMPLE".to_owned(),
            secret: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".to_owned(),
            session: None,
            expires_ms: None,
        }
    }

    #[test]
    fn the_key_is_derived_as_in_amazons_example() {
        // From "Examples of how to derive a signing key for Signature Version 4".
        let mut key = format!("AWS4{}", identity().secret).into_bytes();
        for part in ["20120215", "us-east-1", "iam", "aws4_request"] {
            key = mac(&key, part);
        }
        assert_eq!(hex(&key), "f4780e2d9f65fa895f9c67b32ce1baf0b0d8a43505a000a1a9e090d414db404d");
    }

    #[test]
    fn a_text_is_signed_as_in_amazons_example() {
        // From "Task 3: Calculate the signature": the request to list users of 30 August 2015.
        let text = "AWS4-HMAC-SHA256\n20150830T123600Z\n20150830/us-east-1/iam/aws4_request\n\
                    f536975d06c0309214f805bb90ccff089219ecd68b2577efef23edd43b7e1a59";
        let signed = sign(&identity(), &["20150830", "us-east-1", "iam", "aws4_request"], text);
        assert_eq!(signed, "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7");
    }

    #[test]
    fn times_are_written_without_signs_between() {
        assert_eq!(stamps(Duration::from_secs(1_440_938_160)), ("20150830".to_owned(), "20150830T123600Z".to_owned()));
    }
}
