//! The text encodings of `Buffer`.

/// An encoding between bytes and text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TextEncoding {
    Utf8,
    Utf16Le,
    Latin1,
    Ascii,
    Hex,
    Base64,
    Base64Url,
}

impl TextEncoding {
    /// The encoding with a name of Node.js.
    pub(super) fn parse(name: &str) -> Option<Self> {
        Some(match name.to_ascii_lowercase().as_str() {
            "utf8" | "utf-8" => TextEncoding::Utf8,
            "utf16le" | "utf-16le" | "ucs2" | "ucs-2" => TextEncoding::Utf16Le,
            "latin1" | "binary" => TextEncoding::Latin1,
            "ascii" => TextEncoding::Ascii,
            "hex" => TextEncoding::Hex,
            "base64" => TextEncoding::Base64,
            "base64url" => TextEncoding::Base64Url,
            _ => return None,
        })
    }

    /// The text of bytes.
    pub(super) fn to_text(self, bytes: &[u8]) -> String {
        match self {
            TextEncoding::Utf8 => String::from_utf8_lossy(bytes).into_owned(),
            TextEncoding::Utf16Le => {
                let units =
                    bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
                char::decode_utf16(units)
                    .map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER))
                    .collect()
            }
            TextEncoding::Latin1 => bytes.iter().copied().map(char::from).collect(),
            TextEncoding::Ascii => bytes.iter().map(|byte| char::from(byte & 0x7f)).collect(),
            TextEncoding::Hex => {
                let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or('0');
                bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
            }
            TextEncoding::Base64 => base64_simd::STANDARD.encode_to_string(bytes),
            TextEncoding::Base64Url => base64_simd::URL_SAFE_NO_PAD.encode_to_string(bytes),
        }
    }

    /// The bytes of a text. As in Node.js, what does not belong to the encoding is left out.
    pub(super) fn to_bytes(self, text: &str) -> Vec<u8> {
        match self {
            TextEncoding::Utf8 => text.as_bytes().to_vec(),
            TextEncoding::Utf16Le => text.encode_utf16().flat_map(u16::to_le_bytes).collect(),
            TextEncoding::Latin1 | TextEncoding::Ascii => {
                text.encode_utf16().map(|unit| unit.to_le_bytes()[0]).collect()
            }
            TextEncoding::Hex => hex_to_bytes(text),
            TextEncoding::Base64 | TextEncoding::Base64Url => base64_to_bytes(text),
        }
    }
}

/// The bytes of hexadecimal digits, up to the first pair that is none.
fn hex_to_bytes(text: &str) -> Vec<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let pairs = text.as_bytes().chunks_exact(2);
    let bytes = pairs.map_while(|pair| {
        let byte = digit(pair[0])? << 4 | digit(pair[1])?;
        u8::try_from(byte).ok()
    });
    bytes.collect()
}

/// The bytes of Base64 in both alphabets, up to the padding. Other characters are left out.
fn base64_to_bytes(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3 + 2);
    let mut bits = 0_u32;
    let mut count = 0;
    for character in text.bytes() {
        let value = match character {
            b'A'..=b'Z' => character - b'A',
            b'a'..=b'z' => character - b'a' + 26,
            b'0'..=b'9' => character - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            b'=' => break,
            _ => continue,
        };
        bits = bits << 6 | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count & 0xff) as u8);
        }
    }
    bytes
}
