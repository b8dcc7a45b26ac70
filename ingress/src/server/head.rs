//! A look at the bytes of a head, for what hyper keeps to itself or costs more to ask it: whether two framings or two
//! hosts contradict each other, whether lines end as they must, which version was asked for.
//!
//! Not a parser: hyper decides what is a request. This only hops from line end to line end, once for each head that
//! begins a read, and costs well under 1 % of a request. Heads that a client pipelines behind others are not looked at;
//! hyper ends a connection after contradicting framings by itself, so nothing behind them is executed in any case.
//! Source: RFC 9112, sections 2.2, 2.3 and 6.3; spec ingress 1.1.

/// A line that came in pieces is kept up to this size: hyper reads no longer heads.
const LONGEST_PIECES: usize = 128 * 1024;

/// What was seen of one head.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Traits(u8);

impl Traits {
    const LENGTH: u8 = 1;
    const ENCODING: u8 = 1 << 1;
    const BARE_LINE_FEED: u8 = 1 << 2;
    const OTHER_VERSION: u8 = 1 << 3;
    const LINE_COMPLETE: u8 = 1 << 4;
    const HOST: u8 = 1 << 5;
    const SECOND_HOST: u8 = 1 << 6;

    pub(super) fn bits(self) -> u8 {
        self.0
    }

    pub(super) fn from_bits(bits: u8) -> Self {
        Self(bits)
    }

    fn has(self, bit: u8) -> bool {
        self.0 & bit != 0
    }

    /// `Content-Length` and `Transfer-Encoding`: two parsers may see the end of the body in two places.
    pub(super) fn has_two_framings(self) -> bool {
        self.has(Self::LENGTH) && self.has(Self::ENCODING)
    }

    /// More than one `Host`: whoever looks at the other one routes the request elsewhere.
    pub(super) fn has_two_hosts(self) -> bool {
        self.has(Self::SECOND_HOST)
    }

    /// A line without its carriage return: what one parser takes as two lines is one to another.
    pub(super) fn has_bare_line_feed(self) -> bool {
        self.has(Self::BARE_LINE_FEED)
    }

    /// The request line ends in a version of HTTP that is not 1.0 or 1.1.
    pub(super) fn has_other_version(self) -> bool {
        self.has(Self::OTHER_VERSION)
    }

    /// The request line has ended.
    pub(super) fn has_line(self) -> bool {
        self.has(Self::LINE_COMPLETE)
    }
}

/// One head on its way in.
#[derive(Debug, Default)]
pub(super) struct Head {
    traits: Traits,
    complete: bool,
    /// The beginning of a line whose end has not come; without a heap unless heads come in pieces.
    piece: Vec<u8>,
}

impl Head {
    /// Forgets the last head.
    pub(super) fn begin(&mut self) {
        self.traits = Traits::default();
        self.complete = false;
        self.piece.clear();
    }

    /// Looks at the next bytes of the connection. Bytes behind the head are not looked at.
    pub(super) fn scan(&mut self, mut bytes: &[u8]) -> Traits {
        while !self.complete {
            let Some((line, rest)) = memchr::memchr(b'\n', bytes).and_then(|end| bytes.split_at_checked(end + 1))
            else {
                if self.piece.len() + bytes.len() <= LONGEST_PIECES {
                    self.piece.extend_from_slice(bytes);
                }
                break;
            };
            bytes = rest;
            if self.piece.is_empty() {
                self.line(line);
            } else {
                let mut whole = std::mem::take(&mut self.piece);
                whole.extend_from_slice(line);
                self.line(&whole);
            }
        }
        self.traits
    }

    /// One line with its end.
    fn line(&mut self, line: &[u8]) {
        if !line.ends_with(b"\r\n") {
            self.traits.0 |= Traits::BARE_LINE_FEED;
        }
        let is_empty = matches!(line, b"\n" | b"\r\n");
        if !self.traits.has_line() {
            // Empty lines before a request are skipped, as HTTP asks for.
            if !is_empty {
                self.traits.0 |= Traits::LINE_COMPLETE;
                if is_other_version(line) {
                    self.traits.0 |= Traits::OTHER_VERSION;
                }
            }
            return;
        }
        if is_empty {
            self.complete = true;
            return;
        }
        // Most lines are told apart by their first byte alone.
        match line.first() {
            Some(b't' | b'T') if is_field(line, b"transfer-encoding") => self.traits.0 |= Traits::ENCODING,
            Some(b'c' | b'C') if is_field(line, b"content-length") => self.traits.0 |= Traits::LENGTH,
            Some(b'h' | b'H') if is_field(line, b"host") => {
                self.traits.0 |= if self.traits.has(Traits::HOST) { Traits::SECOND_HOST } else { Traits::HOST };
            }
            Some(_) | None => {}
        }
    }
}

fn is_field(line: &[u8], name: &[u8]) -> bool {
    line.get(name.len()) == Some(&b':') && line.get(..name.len()).is_some_and(|found| found.eq_ignore_ascii_case(name))
}

/// `HTTP/2.0`, `HTTP/1.2`, `HTTP/3`: a version, and none that is spoken here. A line without any is merely malformed.
fn is_other_version(line: &[u8]) -> bool {
    let line = line.trim_ascii_end();
    let version = line.rsplit(|byte| *byte == b' ').next().and_then(|word| word.strip_prefix(b"HTTP/"));
    let Some(version) = version else { return false };
    let is_number = !version.is_empty() && version.iter().all(|byte| byte.is_ascii_digit() || *byte == b'.');
    is_number && !matches!(version, b"1.0" | b"1.1")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The traits of a head, the same for every way to cut it in two.
    #[track_caller]
    fn traits(text: &str) -> Traits {
        let bytes = text.as_bytes();
        let whole = Head::default().scan(bytes);
        for cut in 0..bytes.len() {
            let (one, two) = bytes.split_at(cut);
            let mut head = Head::default();
            head.scan(one);
            assert_eq!(head.scan(two), whole, "{text:?} cut at {cut}");
        }
        whole
    }

    #[track_caller]
    fn check(text: &str, framings: bool, bare: bool, version: bool) {
        let traits = traits(text);
        let found = (traits.has_two_framings(), traits.has_bare_line_feed(), traits.has_other_version());
        assert_eq!(found, (framings, bare, version), "{text:?}");
    }

    #[test]
    fn an_ordinary_head_has_nothing_odd() {
        check("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nTransfer-Encoding: x\n", false, false, false);
        check("\r\n\r\nPOST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", false, false, false);
        check("POST / HTTP/1.1\r\nContent-Lengths: 1\r\nX-Transfer-Encoding: y\r\n\r\n", false, false, false);
    }

    #[test]
    fn two_framings_are_seen_in_any_order_and_case() {
        check("POST / HTTP/1.1\r\ncontent-length: 5\r\nTRANSFER-ENCODING: chunked\r\n\r\n", true, false, false);
        check("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nA: b\r\nContent-Length: 5\r\n\r\n", true, false, false);
    }

    #[test]
    fn a_second_host_is_seen() {
        assert!(traits("POST / HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n").has_two_hosts());
        assert!(!traits("POST / HTTP/1.1\r\nHost: a\r\nHosts: a\r\n\r\nHost: a\r\n").has_two_hosts());
    }

    #[test]
    fn line_feeds_alone_and_other_versions_are_seen() {
        check("POST / HTTP/1.1\nHost: x\r\n\r\n", false, true, false);
        check("POST / HTTP/1.1\r\nHost: x\r\n\n", false, true, false);
        for version in ["HTTP/2.0", "HTTP/1.2", "HTTP/0.9", "HTTP/3", "HTTP/11"] {
            check(&format!("POST / {version}\r\n\r\n"), false, false, true);
        }
        for line in ["POST /", "POST / HTTP/", "POST / http/2.0", "POST / HTTP/x", "POST /HTTP/2.0"] {
            check(&format!("{line}\r\n\r\n"), false, false, false);
        }
    }

    #[test]
    fn a_request_line_that_has_not_ended_is_told_from_one_that_has() {
        assert!(!traits("POST /aaaaaaaaaa").has_line());
        assert!(traits("POST / HTTP/1.1\r\nHos").has_line());
    }

    #[test]
    fn the_next_head_starts_afresh() {
        let mut head = Head::default();
        head.scan(b"POST / HTTP/2.0\r\nA: b\n\r\n");
        head.begin();
        assert_eq!(head.scan(b"POST / HTTP/1.1\r\n\r\n"), Traits(Traits::LINE_COMPLETE));
    }
}
