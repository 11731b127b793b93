//! A client of the collector that sends any bytes, valid or not.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use socket2::{Domain, Socket, Type};

use crate::DEADLINE;

/// A connection that sends one request after the other.
#[derive(Debug)]
pub struct Client {
    stream: BufReader<TcpStream>,
    host: String,
}

/// A response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpResponse {
    /// The HTTP status.
    pub status: u16,
    /// The headers, their names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Client {
    /// Connects to `http://ADDRESS:PORT`.
    pub fn connect(url: &str) -> Self {
        let host = url.strip_prefix("http://").expect("a URL of this form");
        Client::over_stream(TcpStream::connect(host).expect("the server accepts connections"), host)
    }

    /// Connects from this address of the machine, because proxies use 127.0.0.1 themselves.
    pub fn connect_from(own: Ipv4Addr, url: &str) -> Self {
        Client::try_connect_from(own, url).expect("the server accepts connections")
    }

    /// Connects to a server that may not be running.
    ///
    /// # Errors
    ///
    /// Fails in the same cases as a TCP connection.
    pub fn try_connect_from(own: Ipv4Addr, url: &str) -> io::Result<Self> {
        let host = url.strip_prefix("http://").expect("a URL of this form");
        let server: SocketAddr = host.parse().expect("an address and a port");
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        socket.bind(&SocketAddr::from((own, 0)).into()).expect("an address of this machine");
        socket.connect_timeout(&server.into(), DEADLINE)?;
        Ok(Client::over_stream(socket.into(), host))
    }

    fn over_stream(stream: TcpStream, host: &str) -> Self {
        stream.set_read_timeout(Some(DEADLINE)).expect("a duration");
        stream.set_nodelay(true).expect("a connection");
        Client { stream: BufReader::new(stream), host: host.to_owned() }
    }

    /// Sends a request with a body, and reads the response.
    pub fn post(
        &mut self,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> io::Result<HttpResponse> {
        self.request("POST", path, headers, body)
    }

    /// Sends a request without a body, and reads the response.
    pub fn get(&mut self, path: &str) -> io::Result<HttpResponse> {
        self.request("GET", path, &[], b"")
    }

    /// Sends a request, and reads the response.
    pub fn request(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> io::Result<HttpResponse> {
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\n", self.host);
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        head += &format!("Content-Length: {}\r\n\r\n", body.len());
        self.send(head.as_bytes())?;
        self.send(body)?;
        self.read_response()
    }

    /// Sends raw bytes.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes)
    }

    /// Shuts down the sending side of the connection.
    pub fn stop_sending(&self) {
        let _ = self.stream.get_ref().shutdown(Shutdown::Write);
    }

    /// Whether the server has sent bytes or closed the connection.
    pub fn is_readable(&self) -> bool {
        let stream = self.stream.get_ref();
        stream.set_nonblocking(true).expect("a connection");
        let peeked = stream.peek(&mut [0]);
        stream.set_nonblocking(false).expect("a connection");
        !peeked.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }

    /// Limits how long a read waits for the server.
    pub fn set_read_timeout(&self, patience: Duration) {
        self.stream.get_ref().set_read_timeout(Some(patience)).expect("a duration");
    }

    /// Limits how long a write waits for a server that does not read.
    pub fn set_write_timeout(&self, patience: Duration) {
        self.stream.get_ref().set_write_timeout(Some(patience)).expect("a duration");
    }

    /// Reads a response.
    pub fn read_response(&mut self) -> io::Result<HttpResponse> {
        let status_line = self.read_line()?;
        let status = status_line.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.ok_or(io::ErrorKind::InvalidData)?;
        let mut headers = Vec::new();
        loop {
            let line = self.read_line()?;
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(": ").ok_or(io::ErrorKind::InvalidData)?;
            headers.push((name.to_lowercase(), value.to_owned()));
        }
        let mut reply = HttpResponse { status, headers, body: Vec::new() };
        let bytes = reply.header("content-length").map_or(0, |length| length.parse().unwrap_or(0));
        reply.body.resize(bytes, 0);
        self.stream.read_exact(&mut reply.body)?;
        Ok(reply)
    }

    fn read_line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(line.trim_end().to_owned())
    }
}

impl HttpResponse {
    /// The value of a header, by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// A header that identifies a sender by its write key.
pub fn basic_auth(write_key: &str) -> (&'static str, String) {
    let credentials = base64_simd::STANDARD.encode_to_string(format!("{write_key}:"));
    ("Authorization", format!("Basic {credentials}"))
}
