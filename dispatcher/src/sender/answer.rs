//! Reads answers, within bounds: the head as the properties say, the body as far as somebody needs it.
//!
//! Source: dispatcher spec 9.4 (`maxHeaderSize`, `maxInitialLineLength`, `decompressionSupported`), 3.3.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::response::Parts;
use http::{HeaderMap, Response, StatusCode, Version};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::ext::ReasonPhrase;
use millrace_config::properties::http_client::HttpClientSettings;
use millrace_runtime::startup::with_causes;

use super::ERROR_BODY_BYTES;
use super::encoding::{self, EncodingError};
use super::guard::Handle;
use crate::outcome::{Answer, Failure, telling};

/// An answer's body may have this many bytes; a longer one fails the delivery. A reply is an event, and events
/// beyond Kafka's default record size could not be stored anyway.
const ANSWER_LIMIT_BYTES: usize = 1024 * 1024;

/// Bytes of a status line besides its reason: version, code, blanks and line end.
const STATUS_LINE_BYTES: usize = "HTTP/1.1 200 \r\n".len();

/// What the body of a successful answer is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AnswerBody {
    /// It may be an event: it is read whole.
    Wanted,
    /// Nobody looks at it, however long it is. It must be complete nevertheless, as far as it is read.
    Ignored,
}

/// How answers are read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answers {
    pub(super) decompress: bool,
    header_bytes: usize,
    line_bytes: usize,
}

impl Answers {
    pub(super) fn new(settings: &HttpClientSettings) -> Self {
        Self {
            decompress: settings.decompression,
            header_bytes: settings.max_header_size,
            line_bytes: settings.max_initial_line_length,
        }
    }

    /// `handle` is that of the connection.
    ///
    /// # Errors
    ///
    /// Every status from 300 on, answers that are too long, broken or cut.
    pub(super) async fn read(
        &self,
        response: Response<Incoming>,
        wanted: AnswerBody,
        handle: Option<&Handle>,
    ) -> Result<Answer, Failure> {
        let (parts, body) = response.into_parts();
        let under_way = handle.map(|handle| (handle, handle.headed(keep_alive(&parts.headers))));
        let result = self.read_parts(parts, body, wanted).await;
        if let Some((handle, request)) = under_way {
            handle.answered(request);
        }
        result
    }

    async fn read_parts(&self, mut parts: Parts, body: Incoming, wanted: AnswerBody) -> Result<Answer, Failure> {
        self.check_head(&parts)?;
        if parts.status >= StatusCode::MULTIPLE_CHOICES {
            // The status says enough, whatever becomes of the body.
            let (beginning, _complete) = read_beginning(body).await;
            let body = if self.decompress {
                encoding::decode_beginning(&mut parts.headers, beginning, ERROR_BODY_BYTES)
            } else {
                beginning
            };
            return Err(Failure::Status { status: parts.status, headers: Box::new(telling(&parts.headers)), body });
        }
        let mut body = match wanted {
            AnswerBody::Wanted => read_whole(body).await?,
            AnswerBody::Ignored => {
                let (_beginning, complete) = read_beginning(body).await;
                complete?;
                Bytes::new()
            }
        };
        if self.decompress {
            body = encoding::decode(&mut parts.headers, body, ANSWER_LIMIT_BYTES).map_err(|error| match error {
                EncodingError::TooLarge => Failure::AnswerTooLarge { limit_bytes: ANSWER_LIMIT_BYTES },
                EncodingError::Malformed => Failure::Transport("the answer's compression is broken".to_owned()),
            })?;
        }
        Ok(Answer { status: parts.status, headers: parts.headers, body })
    }

    fn check_head(&self, parts: &Parts) -> Result<(), Failure> {
        // Name, colon, blank, value, line end.
        let size =
            |headers: &HeaderMap| headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
        let headers: usize = size(&parts.headers);
        if headers > self.header_bytes {
            return Err(Failure::Transport(format!("headers of the answer exceed {} bytes", self.header_bytes)));
        }
        let reason = parts.extensions.get::<ReasonPhrase>().map_or(0, |reason| reason.as_bytes().len());
        if parts.version < Version::HTTP_2 && reason + STATUS_LINE_BYTES > self.line_bytes {
            return Err(Failure::Transport(format!("status line of the answer exceeds {} bytes", self.line_bytes)));
        }
        Ok(())
    }
}

/// What the server says of how long it keeps an unused connection: `Keep-Alive: timeout=5, max=100`.
fn keep_alive(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get("keep-alive")?.to_str().ok()?;
    let seconds = text.split(',').find_map(|part| {
        let (name, value) = part.split_once('=')?;
        name.trim().eq_ignore_ascii_case("timeout").then(|| value.trim().parse().ok()).flatten()
    })?;
    Some(Duration::from_secs(seconds))
}

async fn read_whole(mut body: Incoming) -> Result<Bytes, Failure> {
    let mut read = BytesMut::new();
    let mut single: Option<Bytes> = None;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Failure::Transport(with_causes(&error)))?;
        let Ok(data) = frame.into_data() else { continue };
        let length = single.as_ref().map_or(read.len(), Bytes::len);
        if length + data.len() > ANSWER_LIMIT_BYTES {
            return Err(Failure::AnswerTooLarge { limit_bytes: ANSWER_LIMIT_BYTES });
        }
        // Nearly every answer comes in one frame or none: keep that frame as it is.
        if let Some(first) = single.take() {
            read.extend_from_slice(&first);
            read.extend_from_slice(&data);
        } else if read.is_empty() {
            single = Some(data);
        } else {
            read.extend_from_slice(&data);
        }
    }
    Ok(single.unwrap_or_else(|| read.freeze()))
}

/// The first bytes of an answer, and whether it was complete as far as it was read. A short body is read to its end, so that
/// the connection can be used again; a longer one costs its connection.
async fn read_beginning(mut body: Incoming) -> (Bytes, Result<(), Failure>) {
    let mut read = BytesMut::new();
    let mut seen = 0;
    while let Some(frame) = body.frame().await {
        let frame = match frame {
            Ok(frame) => frame,
            Err(error) => return (read.freeze(), Err(Failure::Transport(with_causes(&error)))),
        };
        let Ok(data) = frame.into_data() else { continue };
        seen += data.len();
        let room = ERROR_BODY_BYTES - read.len();
        read.extend_from_slice(data.get(..room).unwrap_or(&data));
        if seen > ANSWER_LIMIT_BYTES {
            break;
        }
    }
    (read.freeze(), Ok(()))
}
