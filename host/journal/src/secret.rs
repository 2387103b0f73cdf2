//! Values derived from the journal's secret, so that no value has to be stored for each run or call.

use hmac::{Hmac, KeyInit, Mac};
use holdshort_gate::{CallNumber, EffectKey, JournalId, RunId};
use sha2::Sha256;

/// A journal's name and secret, drawn when it was created.
#[derive(Clone)]
pub(crate) struct Identity {
    pub(crate) id: JournalId,
    pub(crate) secret: [u8; 32],
}

impl Identity {
    /// A new name and a new secret.
    pub(crate) fn draw() -> Result<Self, getrandom::Error> {
        let (mut id, mut secret) = ([0; 16], [0; 32]);
        getrandom::fill(&mut id)?;
        getrandom::fill(&mut secret)?;
        Ok(Self { id: JournalId(hex(&id)), secret })
    }

    /// The idempotency key of a call's effect.
    pub(crate) fn effect_key(&self, run: &RunId, call: CallNumber) -> EffectKey {
        let mac = self.derive("effect", &format!("{}\0{run}\0{call}", self.id.0));
        EffectKey(hex(&mac))
    }

    /// The seed of a run's randomness.
    pub(crate) fn seed(&self, run: &RunId) -> [u8; 32] {
        self.derive("seed", &run.0)
    }

    fn derive(&self, purpose: &str, what: &str) -> [u8; 32] {
        // HMAC pads a short key with zeros to 64 bytes. The key is padded here already, because with an array of 64
        // bytes `Hmac::new` cannot fail.
        let mut key = [0; 64];
        for (padded, byte) in key.iter_mut().zip(self.secret) {
            *padded = byte;
        }
        let mut mac = Hmac::<Sha256>::new(&key.into());
        mac.update(purpose.as_bytes());
        mac.update(&[0]);
        mac.update(what.as_bytes());
        mac.finalize().into_bytes().into()
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
