//! Revokes a grant.

use super::{Command, Refused, Sealed, Subject};
use crate::event::Event;
use crate::grant::NotGranted;
use crate::ids::{CallId, Time};
use crate::name::ReviewerName;

/// Revokes the grant that was made with a call. The calls that the grant has cleared stay cleared. Every reviewer may
/// revoke a grant, because a revocation permits nothing.
#[derive(Clone, Debug)]
pub struct Revoke {
    /// The reviewer who revokes the grant.
    pub by: ReviewerName,
}

impl Sealed for Revoke {}
impl Command for Revoke {
    type About = CallId;
    type Output = ();

    fn decide(self, subject: &Subject, _now: Time) -> Result<(Vec<Event>, ()), Refused> {
        let (_, call) = subject.call()?;
        let granted = call.granted.as_ref().ok_or(NotGranted::NoSuchGrant)?;
        // A second revocation is no error.
        let revoked = granted.revoked.is_none().then_some(Event::GrantRevoked { call: call.number, by: self.by });
        Ok((revoked.into_iter().collect(), ()))
    }
}
