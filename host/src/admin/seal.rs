//! Reads a component's detached signature from the header `Plugin-Signature`, up to the size of a
//! `.minisig` file. Whether the signature is right is decided where the plugin is admitted.

use thiserror::Error;

use crate::limits;
use standpipe_plugin_host::swap::Seal;

/// A header that holds no signature.
#[derive(Debug, Clone, Copy, Error, PartialEq, Eq)]
#[error(
    "the header Plugin-Signature is not base64 of a .minisig file of at most {} bytes: send what \
     `base64 -w0 FILE.wasm.minisig` prints",
    limits::PLUGIN_SIGNATURE_BYTES_MAX
)]
pub struct BadSeal;

/// What speaks for a component, from the value of the header `Plugin-Signature`:
/// base64 of all the text that `minisign -S` writes.
///
/// Whether it is the right signature is not looked at here.
///
/// # Errors
///
/// The header is there, and holds no text.
pub fn seal(header: Option<&[u8]>) -> Result<Seal, BadSeal> {
    let Some(header) = header else { return Ok(Seal::Missing) };
    let bytes = base64_simd::STANDARD.decode_to_vec(header.trim_ascii()).map_err(|_| BadSeal)?;
    if bytes.is_empty() || bytes.len() as u64 > limits::PLUGIN_SIGNATURE_BYTES_MAX {
        return Err(BadSeal);
    }
    String::from_utf8(bytes).map(Seal::Detached).map_err(|_| BadSeal)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_signature_is_base64_of_a_text() {
        assert_eq!(seal(None), Ok(Seal::Missing));
        let text = "untrusted comment: x\nRW\n";
        let encoded = base64_simd::STANDARD.encode_to_string(text);
        assert_eq!(seal(Some(encoded.as_bytes())), Ok(Seal::Detached(text.to_owned())));
        let long = base64_simd::STANDARD.encode_to_string("x".repeat(5000));
        for wrong in ["", " ", "YQ", "Y Q=", text, "/w==", &long] {
            assert_eq!(seal(Some(wrong.as_bytes())), Err(BadSeal), "{wrong:?}");
        }
    }

    proptest! {
        #[test]
        fn no_header_is_too_much(header: Vec<u8>) {
            let _ = seal(Some(&header));
        }

        #[test]
        fn every_text_comes_out_as_it_was(text in "\\PC{1,400}") {
            let encoded = base64_simd::STANDARD.encode_to_string(&text);
            prop_assert_eq!(seal(Some(encoded.as_bytes())), Ok(Seal::Detached(text)));
        }
    }
}
