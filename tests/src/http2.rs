//! An HTTP/2 client that sends frames that no library sends.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread;

/// The bytes at the start of each connection.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const SETTINGS: u8 = 4;
const HEADERS: u8 = 1;
const CONTINUATION: u8 = 9;
const END_HEADERS: u8 = 4;
const FRAME_BYTES_MAX: usize = 16_384;

/// A connection. It reads and discards frames of the server.
#[derive(Debug)]
pub struct Http2Client {
    stream: TcpStream,
    next_id: u32,
}

impl Http2Client {
    /// Connects to `http://ADDRESS:PORT`.
    pub fn connect(url: &str) -> Self {
        let host = url.strip_prefix("http://").expect("a URL of this form");
        let mut stream = TcpStream::connect(host).expect("the server accepts connections");
        stream.write_all(PREFACE).expect("a connection");
        let mut reader = stream.try_clone().expect("a connection");
        thread::spawn(move || {
            let mut piece = [0; 4096];
            while matches!(reader.read(&mut piece), Ok(1..)) {}
        });
        let mut client = Http2Client { stream, next_id: 1 };
        client.write_frame(SETTINGS, 0, 0, b"").expect("a connection");
        client
    }

    /// Starts a POST without ever sending its body, with one header repeated this many times. Each
    /// repetition needs one byte, because the first request puts the header into the table of the
    /// connection.
    ///
    /// # Errors
    ///
    /// Fails if the server has closed the connection.
    pub fn post_with_repeated_header(&mut self, path: &str, times: usize) -> io::Result<()> {
        // `:method POST`, `:scheme http`, `:path` and `:authority` as literals.
        let mut block = vec![0x83, 0x86, 0x04];
        push_literal(&mut block, path.as_bytes());
        block.push(0x01);
        push_literal(&mut block, b"a");
        if self.next_id == 1 {
            block.push(0x40);
            push_literal(&mut block, b"x");
            push_literal(&mut block, b"y");
        }
        // The first entry after the 61 entries of the static table.
        block.resize(block.len() + times, 0x80 | 62);
        let id = self.next_id;
        self.next_id += 2;
        let mut pieces = block.chunks(FRAME_BYTES_MAX).peekable();
        let mut kind = HEADERS;
        while let Some(piece) = pieces.next() {
            let flags = if pieces.peek().is_none() { END_HEADERS } else { 0 };
            self.write_frame(kind, flags, id, piece)?;
            kind = CONTINUATION;
        }
        Ok(())
    }

    fn write_frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> io::Result<()> {
        let length = u32::try_from(payload.len()).expect("a frame is short").to_be_bytes();
        let mut frame = length[1..].to_vec();
        frame.extend([kind, flags]);
        frame.extend(stream.to_be_bytes());
        frame.extend(payload);
        self.stream.write_all(&frame)
    }
}

impl Drop for Http2Client {
    fn drop(&mut self) {
        // The reading thread also holds the connection.
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}

/// A string of fewer than 127 bytes in HPACK.
fn push_literal(block: &mut Vec<u8>, text: &[u8]) {
    block.push(u8::try_from(text.len()).expect("a short text"));
    block.extend(text);
}
