//! Takes back what was cleared ahead.

use super::{Command, Refused, Sealed, Subject};
use crate::event::Event;
use crate::grant::NotGranted;
use crate::ids::Time;

/// Takes back the standing grant that was made with a call. What it cleared before stays cleared.
/// Whoever the caller knows may do so, because nothing becomes possible by it.
#[derive(Clone, Debug)]
pub struct Revoke {
    /// Who.
    pub by: String,
}

impl Sealed for Revoke {}
impl Command for Revoke {
    type Out = ();

    fn decide(self, subject: &Subject, _now: Time) -> Result<(Vec<Event>, ()), Refused> {
        let (_, call) = subject.call()?;
        let granted = call.granted.as_ref().ok_or(NotGranted::NoSuchGrant)?;
        // Taken back is taken back, whoever says so once more.
        let revoked = granted.revoked.is_none().then_some(Event::GrantRevoked { call: call.number, by: self.by });
        Ok((revoked.into_iter().collect(), ()))
    }
}
