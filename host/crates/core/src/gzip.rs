//! Reads gzip like the program `gzip`: consecutive members form one text, and zeros after a member
//! are padding, which tapes, block devices and some object stores add.

use std::io::{self, BufRead, Read};

use flate2::bufread::GzDecoder;

/// Decompresses members until the end of the input.
#[derive(Debug)]
pub struct GzipReader<R> {
    part: GzipPart<R>,
    members_left: usize,
}

#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "there is one for each input that is read")]
enum GzipPart<R> {
    /// Within a member.
    Member(GzDecoder<R>),
    /// After a member.
    Between(R),
    End,
}

impl<R: BufRead> GzipReader<R> {
    /// Creates a reader of at most this number of members. Each member takes some memory and time
    /// to start, however short it is.
    pub fn new(reader: R, members_max: usize) -> Self {
        GzipReader { part: GzipPart::Between(reader), members_left: members_max }
    }

    /// Skips padding after a member. Returns whether more data follows.
    fn skip_padding(reader: &mut R) -> io::Result<bool> {
        loop {
            let bytes = reader.fill_buf()?;
            let zeros = bytes.iter().take_while(|&&byte| byte == 0).count();
            let (is_end, is_found) = (bytes.is_empty(), zeros < bytes.len());
            reader.consume(zeros);
            if is_end || is_found {
                return Ok(is_found);
            }
        }
    }
}

impl<R: BufRead> Read for GzipReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            match &mut self.part {
                GzipPart::Member(decoder) => match decoder.read(buffer)? {
                    0 => {}
                    read => return Ok(read),
                },
                GzipPart::Between(reader) => {
                    let has_more = Self::skip_padding(reader)?;
                    if has_more && self.members_left == 0 {
                        return Err(io::Error::new(
                            io::ErrorKind::InvalidData,
                            "too many gzip members",
                        ));
                    }
                    self.members_left -= usize::from(has_more);
                    let GzipPart::Between(reader) =
                        std::mem::replace(&mut self.part, GzipPart::End)
                    else {
                        unreachable!("it is behind a member");
                    };
                    if has_more {
                        self.part = GzipPart::Member(GzDecoder::new(reader));
                    }
                    continue;
                }
                GzipPart::End => return Ok(0),
            }
            if let GzipPart::Member(decoder) = std::mem::replace(&mut self.part, GzipPart::End) {
                self.part = GzipPart::Between(decoder.into_inner());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufReader, Write};

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    /// Reads in pieces of this number of bytes.
    fn read(bytes: &[u8], piece: usize) -> io::Result<Vec<u8>> {
        let mut text = Vec::new();
        let reader = BufReader::with_capacity(piece, bytes);
        GzipReader::new(reader, 3).read_to_end(&mut text)?;
        Ok(text)
    }

    #[test]
    fn members_are_one_text_and_zeros_behind_them_are_padding() {
        let zeros = |count| vec![0; count];
        let (a, b, empty) = (gzip(b"first "), gzip(b"second"), gzip(b""));
        for piece in [1, 2, 7, 512, 65536] {
            for (bytes, text) in [
                (a.clone(), "first "),
                ([&a[..], &b].concat(), "first second"),
                ([&a[..], &empty, &b].concat(), "first second"),
                ([&a[..], &zeros(1)].concat(), "first "),
                ([&a[..], &zeros(511)].concat(), "first "),
                ([&a[..], &zeros(100_000)].concat(), "first "),
                ([&a[..], &zeros(9), &b, &zeros(600)].concat(), "first second"),
                ([&empty[..], &zeros(3)].concat(), ""),
                (Vec::new(), ""),
            ] {
                assert_eq!(read(&bytes, piece).unwrap(), text.as_bytes(), "{text} by {piece}");
            }
        }
    }

    #[test]
    fn what_is_neither_a_member_nor_padding_is_an_error() {
        let a = gzip(b"first ");
        for bytes in [
            [&a[..], b"garbage"].concat(),
            [&a[..], &[0, 0], b"garbage"].concat(),
            a[..a.len() - 1].to_vec(),
            [&a[..], &a[..5]].concat(),
            [&a[..a.len() - 8], &[0; 8][..]].concat(),
            a.repeat(4),
        ] {
            assert!(read(&bytes, 512).is_err(), "{bytes:?}");
        }
        assert!(read(&a.repeat(3), 512).is_ok());
    }
}
