//! The little HTTP/1.1 that a counting endpoint needs: keep-alive, content length or chunks.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;

/// A request that has come in whole; reused from one to the next.
#[derive(Debug, Default)]
pub(super) struct Request {
    pub(super) path: String,
    pub(super) gzip: bool,
    pub(super) body: Vec<u8>,
}

#[derive(Debug)]
pub(super) struct Connection {
    reader: BufReader<TcpStream>,
    line: String,
}

impl Connection {
    pub(super) fn new(stream: TcpStream) -> Connection {
        Connection { reader: BufReader::with_capacity(64 << 10, stream), line: String::new() }
    }

    /// Reads the next request into `request`; false if the other side has ended the connection.
    pub(super) fn read(&mut self, request: &mut Request) -> io::Result<bool> {
        if self.next_line()? == 0 {
            return Ok(false);
        }
        request.path.clear();
        request.path.push_str(self.line.split(' ').nth(1).unwrap_or("/"));
        request.gzip = false;
        request.body.clear();
        let (mut length, mut chunked, mut expects) = (0_usize, false, false);
        loop {
            self.next_line()?;
            let line = self.line.trim_end();
            if line.is_empty() {
                break;
            }
            let Some((name, value)) = line.split_once(':') else { continue };
            let value = value.trim();
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.parse().map_err(io::Error::other)?,
                "transfer-encoding" => chunked = value.eq_ignore_ascii_case("chunked"),
                "content-encoding" => request.gzip = value == "gzip",
                "expect" => expects = true,
                _ => {}
            }
        }
        if expects {
            self.reader.get_mut().write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        if !chunked {
            self.take(length, &mut request.body)?;
            return Ok(true);
        }
        loop {
            self.next_line()?;
            let size = self.line.trim().split(';').next().unwrap_or("");
            let size = usize::from_str_radix(size, 16).map_err(io::Error::other)?;
            self.take(size, &mut request.body)?;
            self.next_line()?;
            if size == 0 {
                return Ok(true);
            }
        }
    }

    pub(super) fn answer(&mut self, status: u16, body: &[u8]) -> io::Result<()> {
        let head =
            format!("HTTP/1.1 {status} OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n", body.len());
        let stream = self.reader.get_mut();
        stream.write_all(head.as_bytes())?;
        stream.write_all(body)
    }

    fn next_line(&mut self) -> io::Result<usize> {
        self.line.clear();
        self.reader.read_line(&mut self.line)
    }

    fn take(&mut self, length: usize, into: &mut Vec<u8>) -> io::Result<()> {
        let had = into.len();
        into.resize(had + length, 0);
        self.reader.read_exact(&mut into[had..])
    }
}
