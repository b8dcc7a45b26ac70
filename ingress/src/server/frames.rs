//! Follows the frames of an HTTP/2 connection as they come, to know whether its client is in the middle of a head.
//!
//! hyper tells of a request when its head is whole, and has no time limit for one that drips. Only the nine bytes in front
//! of each frame are looked at, never what is in it. Source: RFC 9113, sections 3.4, 4.1 and 6.10.

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const HEAD_BYTES: usize = 9;
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const CONTINUATION: u8 = 9;
const END_HEADERS: u8 = 4;

/// Where in its frames a client is.
#[derive(Debug, Default)]
pub(super) struct Frames {
    place: Place,
    /// A block of headers has begun and its last frame has not come.
    in_block: bool,
}

#[derive(Debug)]
enum Place {
    /// So many bytes of the preface have come.
    Preface(usize),
    /// What has come of a frame's head.
    Head([u8; HEAD_BYTES], usize),
    /// So many bytes of a frame are still to come. Data has time limits of its own.
    Payload { left: usize, data: bool },
    /// This is not where an HTTP/2 connection begins: nothing is known.
    Lost,
}

impl Default for Place {
    fn default() -> Self {
        Self::Preface(0)
    }
}

impl Frames {
    /// Takes note of what has come. True while the client owes the rest of something; absent when nothing is known.
    pub(super) fn scan(&mut self, mut bytes: &[u8]) -> Option<bool> {
        while !bytes.is_empty() {
            match &mut self.place {
                Place::Preface(seen) => {
                    let (first, rest) = bytes.split_at((PREFACE.len() - *seen).min(bytes.len()));
                    if !PREFACE.get(*seen..).is_some_and(|expected| expected.starts_with(first)) {
                        self.place = Place::Lost;
                        return None;
                    }
                    *seen += first.len();
                    if *seen == PREFACE.len() {
                        self.place = Place::Head([0; HEAD_BYTES], 0);
                    }
                    bytes = rest;
                }
                Place::Head(head, seen) => {
                    let ((byte, rest), slot) = bytes.split_first().zip(head.get_mut(*seen))?;
                    *slot = *byte;
                    *seen += 1;
                    bytes = rest;
                    if *seen == HEAD_BYTES {
                        let head = *head;
                        self.begin(head);
                    }
                }
                Place::Payload { left, .. } => {
                    let (first, rest) = bytes.split_at((*left).min(bytes.len()));
                    *left -= first.len();
                    if *left == 0 {
                        self.place = Place::Head([0; HEAD_BYTES], 0);
                    }
                    bytes = rest;
                }
                Place::Lost => return None,
            }
        }
        let owes = match self.place {
            Place::Preface(_) => true,
            Place::Head(_, seen) => seen > 0,
            Place::Payload { data, .. } => !data,
            Place::Lost => return None,
        };
        Some(owes || self.in_block)
    }

    fn begin(&mut self, head: [u8; HEAD_BYTES]) {
        let [high, middle, low, kind, flags, ..] = head;
        let left = usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low);
        if kind == HEADERS || kind == CONTINUATION {
            self.in_block = flags & END_HEADERS == 0;
        }
        self.place = match left {
            0 => Place::Head([0; HEAD_BYTES], 0),
            left => Place::Payload { left, data: kind == DATA },
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, length: u8) -> Vec<u8> {
        [vec![0, 0, length, kind, flags, 0, 0, 0, 1], vec![7; usize::from(length)]].concat()
    }

    #[track_caller]
    fn check(parts: &[&[u8]], expected: &[Option<bool>]) {
        let mut frames = Frames::default();
        assert_eq!(parts.iter().map(|part| frames.scan(part)).collect::<Vec<_>>(), expected);
    }

    const SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];

    #[test]
    fn a_client_owes_the_rest_of_its_preface_and_of_each_frame_but_data() {
        check(&[PREFACE, &SETTINGS], &[Some(false), Some(false)]);
        check(
            &[b"PRI", &PREFACE[3..], &SETTINGS[..4], &SETTINGS[4..]],
            &[Some(true), Some(false), Some(true), Some(false)],
        );
        let (headers, data) = (frame(1, 4, 20), frame(0, 0, 20));
        check(
            &[PREFACE, &headers[..9], &headers[9..28], &headers[28..]],
            &[Some(false), Some(true), Some(true), Some(false)],
        );
        check(&[PREFACE, &data[..12], &data[12..]], &[Some(false), Some(false), Some(false)]);
    }

    #[test]
    fn a_block_of_headers_lasts_until_its_last_continuation() {
        let parts = [PREFACE.to_vec(), frame(1, 0, 5), frame(9, 0, 5), frame(9, 4, 0)];
        check(&parts.each_ref().map(Vec::as_slice), &[Some(false), Some(true), Some(true), Some(false)]);
        let whole = parts.concat();
        check(&[&whole], &[Some(false)]);
        for cut in 0..whole.len() {
            let (first, rest) = whole.split_at(cut);
            let mut frames = Frames::default();
            frames.scan(first);
            assert_eq!(frames.scan(rest), Some(false), "cut at {cut}");
        }
    }

    #[test]
    fn what_does_not_begin_as_http_2_is_not_followed() {
        check(&[b"POST / HTTP/1.1\r\n", PREFACE], &[None, None]);
        check(&[&SETTINGS, &frame(1, 0, 5)], &[None, None]);
    }
}
