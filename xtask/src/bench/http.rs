//! As much of an HTTP client as a load needs: one request, one answer, on a connection that is kept.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// A kept connection.
pub struct Connection {
    reader: BufReader<TcpStream>,
}

/// The head of an answer.
pub struct Head {
    /// The status.
    pub status: u16,
    /// Whether the server ends the connection after this answer.
    pub closes: bool,
    length: Length,
}

enum Length {
    Bytes(usize),
    Chunked,
}

impl Connection {
    /// Connects.
    pub fn open(address: SocketAddr) -> io::Result<Connection> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        Ok(Connection { reader: BufReader::with_capacity(16 * 1024, stream) })
    }

    /// Writes a whole request and reads the head of its answer.
    pub fn ask(&mut self, request: &[u8]) -> io::Result<Head> {
        self.reader.get_mut().write_all(request)?;
        let mut line = String::new();
        self.line(&mut line)?;
        let status =
            line.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or_else(|| broken("no status"))?;
        let (mut length, mut closes) = (None, false);
        loop {
            self.line(&mut line)?;
            if line.is_empty() {
                break;
            }
            let Some((name, value)) = line.split_once(':') else { continue };
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse().ok().map(Length::Bytes);
            } else if name.eq_ignore_ascii_case("transfer-encoding") {
                length = Some(Length::Chunked);
            } else if name.eq_ignore_ascii_case("connection") {
                closes = value.trim().eq_ignore_ascii_case("close");
            }
        }
        let length = length.ok_or_else(|| broken("neither a length nor chunks"))?;
        Ok(Head { status, closes, length })
    }

    /// Reads the body to its end; `piece` sees what comes as it comes.
    pub fn body(&mut self, head: &Head, mut piece: impl FnMut(&[u8])) -> io::Result<()> {
        match head.length {
            Length::Bytes(count) => self.bytes(count, &mut piece),
            Length::Chunked => {
                let mut line = String::new();
                loop {
                    self.line(&mut line)?;
                    let size = line.split(';').next().unwrap_or_default().trim();
                    let count = usize::from_str_radix(size, 16).map_err(|_| broken("a chunk without size"))?;
                    self.bytes(count, &mut piece)?;
                    self.line(&mut line)?;
                    if count == 0 {
                        return Ok(());
                    }
                }
            }
        }
    }

    fn bytes(&mut self, mut count: usize, piece: &mut impl FnMut(&[u8])) -> io::Result<()> {
        while count > 0 {
            let buffer = self.reader.fill_buf()?;
            if buffer.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let taken = buffer.len().min(count);
            piece(&buffer[..taken]);
            self.reader.consume(taken);
            count -= taken;
        }
        Ok(())
    }

    fn line(&mut self, line: &mut String) -> io::Result<()> {
        line.clear();
        if (&mut self.reader).take(64 * 1024).read_line(line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        line.truncate(line.trim_end().len());
        Ok(())
    }
}

fn broken(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    fn answered(answer: &'static str) -> (u16, String) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 4];
            stream.read_exact(&mut request).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
        });
        let mut connection = Connection::open(address).unwrap();
        let head = connection.ask(b"ask!").unwrap();
        let mut body = String::new();
        connection.body(&head, |piece| body.push_str(std::str::from_utf8(piece).unwrap())).unwrap();
        server.join().unwrap();
        (head.status, body)
    }

    #[test]
    fn a_body_of_known_length_is_read_to_its_end() {
        assert_eq!(answered("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhellorest"), (200, "hello".into()));
    }

    #[test]
    fn a_chunked_body_is_put_together() {
        let answer =
            "HTTP/1.1 429 Too Many\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\n\r\n";
        assert_eq!(answered(answer), (429, "abc0123456789".into()));
    }
}
