//! An HTTP/1.1 client that sends exactly the bytes it is told and reads one response at a time.
//!
//! Blocking, one connection. Must not repair what a test sends, nor follow, retry or reconnect.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::event::TestEvent;

/// One connection.
#[derive(Debug)]
pub struct RawClient {
    stream: TcpStream,
    /// Bytes read beyond the last response.
    ahead: Vec<u8>,
}

/// One response, header names as they were sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// All headers in order.
    pub headers: Vec<(String, String)>,
    /// The body without its framing.
    pub body: Vec<u8>,
}

impl Response {
    /// The first header with this name, in any case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The body as text, for messages.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl RawClient {
    /// Connects; reads and writes time out after 30 s.
    ///
    /// # Errors
    /// When nobody listens.
    pub fn connect(address: SocketAddr) -> io::Result<Self> {
        Self::connect_with_timeout(address, crate::PATIENCE)
    }

    /// Connects with a limit for each read and write.
    ///
    /// # Errors
    /// When nobody listens.
    pub fn connect_with_timeout(address: SocketAddr, timeout: Duration) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, timeout)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(timeout))?;
        stream.set_write_timeout(Some(timeout))?;
        Ok(Self { stream, ahead: Vec::new() })
    }

    /// Sends these bytes.
    ///
    /// # Errors
    /// When the connection is gone.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Reads the next response; interim (1xx) ones are skipped.
    ///
    /// # Errors
    /// When the connection ends or times out first, or the bytes are not a response.
    pub fn response(&mut self) -> io::Result<Response> {
        loop {
            let head = self.read_head()?;
            let mut response = parse_head(&head)?;
            if (100..200).contains(&response.status) {
                continue;
            }
            response.body = self.read_body(&response)?;
            return Ok(response);
        }
    }

    /// Sends and reads one response.
    ///
    /// # Errors
    /// As [`Self::send`] and [`Self::response`].
    pub fn exchange(&mut self, bytes: &[u8]) -> io::Result<Response> {
        self.send(bytes)?;
        self.response()
    }

    /// Posts an event in binary mode.
    ///
    /// # Errors
    /// As [`Self::exchange`].
    pub fn post(&mut self, host: &str, path: &str, event: &TestEvent) -> io::Result<Response> {
        let (headers, body) = event.binary();
        self.exchange(&request("POST", host, path, &headers, &body))
    }

    /// Posts an event in structured mode.
    ///
    /// # Errors
    /// As [`Self::exchange`].
    pub fn post_structured(&mut self, host: &str, path: &str, event: &TestEvent) -> io::Result<Response> {
        let headers = [("content-type".to_owned(), "application/cloudevents+json".to_owned())];
        self.exchange(&request("POST", host, path, &headers, &event.structured()))
    }

    /// Whether the other side has closed; waits for it for at most `timeout`.
    ///
    /// # Errors
    /// When the socket refuses a timeout.
    pub fn is_closed_within(&mut self, timeout: Duration) -> io::Result<bool> {
        self.stream.set_read_timeout(Some(timeout))?;
        let mut byte = [0];
        match self.stream.read(&mut byte) {
            Ok(0) => Ok(true),
            Ok(_) => {
                self.ahead.extend(byte);
                Ok(false)
            }
            Err(error) => Ok(!matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)),
        }
    }

    fn read_head(&mut self) -> io::Result<Vec<u8>> {
        loop {
            if let Some(end) = self.ahead.windows(4).position(|window| window == b"\r\n\r\n") {
                return Ok(self.ahead.drain(..end + 4).collect());
            }
            self.read_more()?;
        }
    }

    fn read_body(&mut self, response: &Response) -> io::Result<Vec<u8>> {
        if let Some(length) = response.header("content-length") {
            let length = length.parse().map_err(|_| invalid("content-length is not a number"))?;
            return self.take(length);
        }
        if response.header("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked")) {
            return self.read_chunks();
        }
        if matches!(response.status, 204 | 304) {
            return Ok(Vec::new());
        }
        while self.read_more().is_ok() {}
        Ok(std::mem::take(&mut self.ahead))
    }

    fn read_chunks(&mut self) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let line = self.read_line()?;
            let size = line.split(';').next().unwrap_or_default().trim();
            let size = usize::from_str_radix(size, 16).map_err(|_| invalid("a chunk size is not hexadecimal"))?;
            body.extend(self.take(size)?);
            self.read_line()?;
            if size == 0 {
                return Ok(body);
            }
        }
    }

    fn read_line(&mut self) -> io::Result<String> {
        loop {
            if let Some(end) = self.ahead.windows(2).position(|window| window == b"\r\n") {
                let line: Vec<u8> = self.ahead.drain(..end + 2).collect();
                return Ok(String::from_utf8_lossy(&line).trim_end().to_owned());
            }
            self.read_more()?;
        }
    }

    fn take(&mut self, length: usize) -> io::Result<Vec<u8>> {
        while self.ahead.len() < length {
            self.read_more()?;
        }
        Ok(self.ahead.drain(..length).collect())
    }

    fn read_more(&mut self) -> io::Result<()> {
        let mut buffer = [0; 16 * 1024];
        let count = self.stream.read(&mut buffer)?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.ahead.extend(buffer.get(..count).unwrap_or_default());
        Ok(())
    }
}

/// The bytes of a request with a `Host` and a `Content-Length`.
#[must_use]
pub fn request(method: &str, host: &str, path: &str, headers: &[(String, String)], body: &[u8]) -> Vec<u8> {
    let mut bytes =
        format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\ncontent-length: {}\r\n", body.len()).into_bytes();
    for (name, value) in headers {
        bytes.extend(format!("{name}: {value}\r\n").bytes());
    }
    bytes.extend(b"\r\n");
    bytes.extend(body);
    bytes
}

/// One GET on a connection of its own.
///
/// # Errors
/// As [`RawClient::exchange`].
pub fn get(address: SocketAddr, path: &str) -> io::Result<Response> {
    RawClient::connect(address)?.exchange(&request("GET", "localhost", path, &[], b""))
}

fn parse_head(head: &[u8]) -> io::Result<Response> {
    let text = String::from_utf8_lossy(head);
    let mut lines = text.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|code| code.parse().ok());
    let status = status.ok_or_else(|| invalid("no status line"))?;
    let headers = lines.filter_map(|line| line.split_once(':'));
    let headers = headers.map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect();
    Ok(Response { status, headers, body: Vec::new() })
}

fn invalid(reason: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    fn answered_with(bytes: &'static [u8]) -> io::Result<Response> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            assert!(stream.read(&mut [0; 1024]).unwrap() > 0);
            stream.write_all(bytes).unwrap();
        });
        let response = RawClient::connect(address).unwrap().exchange(b"GET / HTTP/1.1\r\n\r\n");
        server.join().unwrap();
        response
    }

    #[test]
    fn a_response_with_a_length_is_read() {
        let response = answered_with(b"HTTP/1.1 202 Accepted\r\nX-A: b \r\ncontent-length: 2\r\n\r\nhi").unwrap();
        assert_eq!((response.status, response.text().as_str(), response.header("x-a")), (202, "hi", Some("b")));
    }

    #[test]
    fn a_chunked_response_is_read() {
        let response =
            answered_with(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n1;x=y\r\n!\r\n0\r\n\r\n");
        assert_eq!(response.unwrap().text(), "hi!");
    }

    #[test]
    fn a_response_up_to_the_end_of_the_connection_is_read() {
        assert_eq!(answered_with(b"HTTP/1.1 200 OK\r\n\r\nhello").unwrap().text(), "hello");
    }

    #[test]
    fn an_interim_response_is_skipped() {
        let response = answered_with(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 400 B\r\ncontent-length: 0\r\n\r\n");
        assert_eq!(response.unwrap().status, 400);
    }

    #[test]
    fn a_connection_that_ends_without_an_answer_is_an_error() {
        assert_eq!(answered_with(b"").unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }
}
