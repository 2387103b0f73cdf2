//! Signatures as in Standard Webhooks (<https://www.standardwebhooks.com/>). They prove to a
//! receiver that a message is from this host and recent.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// The prefix of a secret.
const PREFIX: &str = "whsec_";
/// The length of a secret in bytes, by the standard.
const BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// A secret shared by host and receiver. It is never shown.
#[derive(Clone)]
pub struct Secret(Vec<u8>);

/// The error for a text that is no secret. It does not repeat the text.
#[derive(Debug, thiserror::Error)]
#[error("this is not a webhook secret: write `whsec_` and the base64 of 24 to 64 random bytes")]
pub struct NoSecret;

impl Secret {
    /// Reads a secret in the form `whsec_…`.
    pub fn parse(text: &str) -> Result<Self, NoSecret> {
        let encoded = text.trim().strip_prefix(PREFIX).ok_or(NoSecret)?;
        let bytes = STANDARD.decode(encoded).map_err(|_| NoSecret)?;
        if BYTES.contains(&bytes.len()) { Ok(Self(bytes)) } else { Err(NoSecret) }
    }

    /// The value of the header `webhook-signature`.
    pub fn sign(&self, id: &str, timestamp: u64, body: &str) -> String {
        // HMAC pads a short key with zeros. The padding here gives 64 bytes, a length that the library always accepts.
        let mut key = [0; 64];
        for (padded, byte) in key.iter_mut().zip(&self.0) {
            *padded = *byte;
        }
        let mut mac = Hmac::<Sha256>::new(&key.into());
        for part in [id, ".", &timestamp.to_string(), ".", body] {
            mac.update(part.as_bytes());
        }
        format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("(secret)")
    }
}
