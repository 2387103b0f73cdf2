//! Delivers notifications to one target: in the order of the journal, at least once, and
//! independently of other targets.

use std::sync::PoisonError;
use std::time::Duration;

use holdshort_gate::{CallState, ReviewerName, Time};
use holdshort_journal::{Hint, JournalEntry, NotificationRecord, Position, ReadError};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use super::message::{Format, email};
use super::notice::{Kind, Notice, NoticeCall};
use super::webhook::{NotDelivered, RetryTime};
use super::{Notify, Target, Transport};

/// The number of events per read of the journal.
const CHUNK: usize = 64;
/// Without a notification, the target's position is saved after this many events.
const UNWRITTEN_MAX: u64 = 1_024;
/// The interval at which the host looks for calls whose deadline is near. The query uses an index.
const REMIND_EVERY: Duration = Duration::from_secs(1);
/// The pause after a failed read of the journal.
const LOOK_AGAIN: Duration = Duration::from_secs(5);
/// The longest wait between two attempts.
const WAIT_MAX: Duration = Duration::from_secs(15 * 60);

/// The schedule for repeated attempts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// The number of attempts after the first. Then the notification is given up.
    pub times: u32,
    /// The approximate wait before the second attempt. Each further wait is twice as long, up to 15
    /// minutes.
    pub first: Duration,
}

impl Retry {
    /// The wait after `failed` attempts. The random number `drawn` varies it between half and all of its length, so
    /// that many hosts do not send at the same moment.
    pub fn wait(&self, failed: u32, drawn: u32) -> Duration {
        let whole =
            self.first.saturating_mul(1u32.checked_shl(failed.saturating_sub(1)).unwrap_or(u32::MAX)).min(WAIT_MAX);
        whole / 2 + (whole / 2).mul_f64(f64::from(drawn) / f64::from(u32::MAX))
    }
}

/// Follows the journal for `target` until the journal closes or the target refuses all further notifications.
pub(super) async fn run(notify: &Notify, target: &Target) {
    let mut deliverer = Deliverer { notify, target, at: Position(0), written: Position(0) };
    let mut hints = notify.journal.hints();
    let mut began = false;
    loop {
        let brought = async {
            if !began {
                deliverer.at = notify.journal.notified_up_to(&target.name).await?.unwrap_or(Position(0));
                deliverer.written = deliverer.at;
                began = true;
            }
            Ok::<bool, ReadError>(deliverer.catch_up().await? && deliverer.remind().await?)
        };
        match brought.await {
            Err(error) => {
                tracing::error!(target = target.name, %error, "the journal cannot be read, so no notifications are sent; trying again");
                tokio::time::sleep(LOOK_AGAIN).await;
            }
            Ok(wanted) if wanted && wait(&mut hints, target).await => {}
            Ok(_) => return,
        }
    }
}

/// Waits for a commit or for the next check of deadlines. Returns false once the journal is closed.
async fn wait(hints: &mut Receiver<Hint>, target: &Target) -> bool {
    let hinted = async {
        let open = !matches!(hints.recv().await, Err(RecvError::Closed));
        // One read covers all commits that happened meanwhile.
        while hints.try_recv().is_ok() {}
        open
    };
    if target.events.contains(&Kind::Reminder) {
        return tokio::time::timeout(REMIND_EVERY, hinted).await.unwrap_or(true);
    }
    hinted.await
}

struct Deliverer<'a> {
    notify: &'a Notify,
    target: &'a Target,
    /// All notifications up to this position are delivered or given up.
    at: Position,
    /// The position saved in the journal.
    written: Position,
}

impl Deliverer<'_> {
    /// Delivers everything up to the journal's end. Returns false once the target refuses all
    /// further notifications.
    async fn catch_up(&mut self) -> Result<bool, ReadError> {
        loop {
            let entries = self.notify.journal.feed(self.at, CHUNK).await?;
            if entries.is_empty() {
                return Ok(true);
            }
            for entry in entries {
                if let Some(notice) = self.worth(&entry).await? {
                    if !self.bring(&notice).await {
                        return Ok(false);
                    }
                    self.at = entry.position;
                    self.write().await;
                }
                self.at = entry.position;
            }
            if self.at.0.saturating_sub(self.written.0) >= UNWRITTEN_MAX {
                self.write().await;
            }
        }
    }

    /// The notification for an event, if this target gets one.
    async fn worth(&self, entry: &JournalEntry) -> Result<Option<Notice>, ReadError> {
        let event = &entry.recorded.event;
        let wanted = |kind| self.target.events.contains(&kind);
        if !Notice::kind(event).is_some_and(|kind| wanted(kind) || (kind == Kind::Decided && wanted(Kind::Held))) {
            return Ok(None);
        }
        let journal = &self.notify.journal;
        let Some((run, call)) = journal.as_of(&entry.run, event.call(), entry.position).await? else {
            return Ok(None);
        };
        let Some(notice) = Notice::of(journal.id(), entry, &run, call.as_ref()) else { return Ok(None) };
        if !wanted(notice.kind) {
            return Ok(None);
        }
        Ok((self.concerns(&notice) && self.still_asks(&notice).await?).then_some(notice))
    }

    /// Whether the target can act on the notification. Webhooks get every notification.
    fn concerns(&self, notice: &Notice) -> bool {
        let (Transport::Mail { reviewer, delegations, .. }, Some(call)) = (&self.target.transport, &notice.call) else {
            return true;
        };
        let now = self.notify.journal.now();
        let stands_for = delegations.iter().filter(|(_, until)| now < *until).map(|(name, _)| name);
        let barred = call.requirement.as_ref().is_some_and(|requirement| {
            requirement.bars(reviewer, &notice.started_by, call.edited_by.as_ref()).is_err()
        });
        concerns(notice, call, reviewer) || (!barred && stands_for.into_iter().any(|name| concerns(notice, call, name)))
    }

    /// Whether the notification's request to a reviewer is still open. The request may be closed already, for example
    /// after the target was unreachable. Programs get every notification.
    async fn still_asks(&self, notice: &Notice) -> Result<bool, ReadError> {
        let for_people = match &self.target.transport {
            Transport::Webhook(webhook) => webhook.format == Format::Chat,
            Transport::Mail { .. } => true,
        };
        let Some(about) = notice.call.as_ref().filter(|_| for_people && notice.kind.asks()) else { return Ok(true) };
        let subject = self.notify.journal.subject(&notice.run, Some(about.number)).await?;
        let wanted = if notice.kind == Kind::InDoubt { CallState::InDoubt } else { CallState::Held };
        let call = subject.and_then(|subject| subject.call);
        Ok(call.is_some_and(|call| {
            let same_stage = call.stage == about.stage || notice.kind == Kind::InDoubt;
            call.phase.state() == wanted && call.revision == about.revision && same_stage
        }))
    }

    /// Retries until the target accepts or the attempts are used up. Returns false if the target refuses all further
    /// notifications. This notification then counts as undelivered, and the host tries it again after a restart.
    async fn bring(&self, notice: &Notice) -> bool {
        let (name, id) = (&self.target.name, &notice.id);
        let mut failed = 0;
        loop {
            let NotDelivered { why, again } =
                match self.target.send(notice, &self.notify.base, (self.notify.clock)()).await {
                    Ok(said) => {
                        tracing::debug!(target = name, id, said, "told");
                        return true;
                    }
                    Err(not_told) => not_told,
                };
            if again == RetryTime::Never {
                tracing::error!(
                    target = name,
                    id,
                    why,
                    "the target answered 410 (gone) and gets no more notifications until this host restarts; remove the target from the configuration"
                );
                self.notify.gone.lock().unwrap_or_else(PoisonError::into_inner).insert(name.clone());
                return false;
            }
            failed += 1;
            if failed > self.target.retry.times {
                tracing::warn!(target = name, id, why, "the host has given up on this notification, which is not sent");
                return true;
            }
            if failed == 1 {
                tracing::warn!(target = name, id, why, "the notification is not delivered yet; trying again");
            }
            let usual = self.target.retry.wait(failed, getrandom::u32().unwrap_or(u32::MAX));
            let asked = if let RetryTime::After(pause) = again { pause } else { Duration::ZERO };
            tokio::time::sleep(usual.max(asked)).await;
        }
    }

    /// Sends a reminder for every held call close to its deadline, once for each revision. Returns
    /// false once the target refuses all further notifications.
    async fn remind(&self) -> Result<bool, ReadError> {
        if !self.target.events.contains(&Kind::Reminder) {
            return Ok(true);
        }
        let journal = &self.notify.journal;
        loop {
            let now = journal.now();
            let lead = u64::try_from(self.target.lead.as_micros()).unwrap_or(u64::MAX);
            let near = (now, Time(now.0.saturating_add(lead)));
            let due = journal.to_remind(&self.target.name, near, CHUNK).await?;
            for id in &due {
                let Some((run, Some(call))) = journal.as_of(&id.run, Some(id.call), Position(u64::MAX)).await? else {
                    continue;
                };
                let notice = Notice::reminder(journal.id(), &id.run, &run, &call, now);
                if self.concerns(&notice) && self.still_asks(&notice).await? && !self.bring(&notice).await {
                    return Ok(false);
                }
                let (target, revision) = (self.target.name.clone(), call.revision);
                self.record_notification(NotificationRecord::Reminded { target, call: id.clone(), revision }).await?;
            }
            if due.len() < CHUNK {
                return Ok(true);
            }
        }
    }

    /// Saves the position. If that fails, delivery continues, and after a restart the host may deliver some
    /// notifications again.
    async fn write(&mut self) {
        let note = NotificationRecord::Delivered { target: self.target.name.clone(), up_to: self.at };
        if self.record_notification(note).await.is_ok() {
            self.written = self.at;
        }
    }

    async fn record_notification(&self, note: NotificationRecord) -> Result<(), ReadError> {
        let written = self.notify.journal.record_notification(note).await;
        written.map(drop).map_err(|error| {
            tracing::warn!(target = self.target.name, %error, "the delivery was not recorded; the notification may be sent again");
            ReadError::Store(error.to_string())
        })
    }
}

/// Whether the reviewer `name` can act on the call.
fn concerns(notice: &Notice, call: &NoticeCall, name: &ReviewerName) -> bool {
    let admits = call.requirement.as_ref().map(|requirement| {
        // Reviewers of any stage may resolve an effect in doubt.
        let asked = if notice.kind == Kind::InDoubt {
            requirement.admits(name, call.level).is_ok()
        } else {
            requirement.admits_in(name, call.stage, call.level)
        };
        asked && requirement.bars(name, &notice.started_by, call.edited_by.as_ref()).is_ok()
    });
    admits.unwrap_or(true)
}

impl Target {
    /// Sends one notification once. Returns the target's answer, or the reason why it is unknown whether the target got
    /// it.
    pub async fn send(&self, notice: &Notice, base: &str, now: Time) -> Result<String, NotDelivered> {
        match &self.transport {
            Transport::Webhook(webhook) => {
                let answer = webhook.send(notice, base, now).await?;
                Ok(format!("the target answered {}: {}", answer.status, answer.body)
                    .trim_end_matches([':', ' '])
                    .to_owned())
            }
            Transport::Mail { address, post, .. } => Ok(post(email(notice, base, address)).await?),
        }
    }
}
