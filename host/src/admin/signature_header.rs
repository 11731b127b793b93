//! Reads a component's detached signature in the header `Plugin-Signature`, up to the size of a
//! `.minisig` file. The signature is verified when the plugin is admitted.

use thiserror::Error;

use crate::limits;
use standpipe_plugin_host::swap::SignatureCheck;

/// The header `Plugin-Signature` is invalid.
#[derive(Debug, Clone, Copy, Error, PartialEq, Eq)]
#[error(
    "the header Plugin-Signature is not base64 of a .minisig file of at most {} bytes: send what \
     `base64 -w0 FILE.wasm.minisig` prints",
    limits::PLUGIN_SIGNATURE_BYTES_MAX
)]
pub struct InvalidSignatureHeader;

/// Parses the header `Plugin-Signature`: base64 of the whole text that `minisign -S` writes. Does
/// not verify the signature.
///
/// # Errors
///
/// Fails if the header is not base64 of text within the limit.
pub fn parse_signature_header(
    header: Option<&[u8]>,
) -> Result<SignatureCheck, InvalidSignatureHeader> {
    let Some(header) = header else { return Ok(SignatureCheck::None) };
    let bytes = base64_simd::STANDARD
        .decode_to_vec(header.trim_ascii())
        .map_err(|_| InvalidSignatureHeader)?;
    if bytes.is_empty() || bytes.len() as u64 > limits::PLUGIN_SIGNATURE_BYTES_MAX {
        return Err(InvalidSignatureHeader);
    }
    String::from_utf8(bytes).map(SignatureCheck::Detached).map_err(|_| InvalidSignatureHeader)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_signature_is_base64_of_a_text() {
        assert_eq!(parse_signature_header(None), Ok(SignatureCheck::None));
        let text = "untrusted comment: x\nRW\n";
        let encoded = base64_simd::STANDARD.encode_to_string(text);
        assert_eq!(
            parse_signature_header(Some(encoded.as_bytes())),
            Ok(SignatureCheck::Detached(text.to_owned()))
        );
        let long = base64_simd::STANDARD.encode_to_string("x".repeat(5000));
        for wrong in ["", " ", "YQ", "Y Q=", text, "/w==", &long] {
            assert_eq!(
                parse_signature_header(Some(wrong.as_bytes())),
                Err(InvalidSignatureHeader),
                "{wrong:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn no_header_is_too_much(header: Vec<u8>) {
            let _ = parse_signature_header(Some(&header));
        }

        #[test]
        fn every_text_comes_out_as_it_was(text in "\\PC{1,400}") {
            let encoded = base64_simd::STANDARD.encode_to_string(&text);
            prop_assert_eq!(parse_signature_header(Some(encoded.as_bytes())), Ok(SignatureCheck::Detached(text)));
        }
    }
}
