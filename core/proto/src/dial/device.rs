//! One device, as the dialer knows it.

use std::collections::HashSet;

use super::backoff::{Backoff, full_jitter};
use super::{Presence, Purpose, Standing};
use crate::id::{GroupId, UserId};
use crate::network::AppState;
use crate::path::Status;
use crate::time::Instant;
use crate::timing::{REST_MAX, REST_MIN, UPGRADE_STABLE};
use crate::trust::TrustLevel;

#[derive(Debug)]
pub(super) struct Device {
    /// Later ones were met, or asked for, later.
    pub(super) order: u64,
    pub(super) level: TrustLevel,
    /// To be looked for, although nobody asks.
    pub(super) known: bool,
    /// The app asked for it.
    pub(super) asked: bool,
    pub(super) session: Option<SessionRecord>,
    /// As far as relays say.
    pub(super) presence: Option<Presence>,
    pub(super) dialing: Option<Purpose>,
    pub(super) backoff: Backoff,
    /// It is not looked for before.
    pub(super) rests_until: Option<Instant>,
    /// Sessions in a row that were ended for want of room or by the peer.
    pub(super) goodbyes: u32,
    /// The time of the next dial, if it is still wanted then.
    pub(super) due: Option<Instant>,
}

#[derive(Debug)]
pub(super) struct SessionRecord {
    pub(super) standing: Standing,
    pub(super) user: UserId,
    pub(super) groups: HashSet<GroupId>,
    pub(super) used: Instant,
    /// Since when nothing better is wanted.
    pub(super) best_since: Option<Instant>,
}

impl Device {
    /// A device that nothing is known about.
    pub(super) fn new(order: u64) -> Self {
        Self {
            order,
            level: TrustLevel::Unknown,
            known: false,
            asked: false,
            session: None,
            presence: None,
            dialing: None,
            backoff: Backoff::default(),
            rests_until: None,
            goodbyes: 0,
            due: None,
        }
    }

    /// Whether nothing follows from what is known about it: it is not looked for, and nobody waits for it.
    pub(super) fn is_idle(&self) -> bool {
        self.session.is_none() && self.dialing.is_none() && !self.known && !self.asked
    }

    /// Takes the standing of its session; false if there is none, or nothing is new. Something better that is lost within
    /// [`UPGRADE_STABLE`] counts as not found: the same way would be taken and left again and again.
    pub(super) fn handle_standing(&mut self, standing: Standing, now: Instant) -> bool {
        let Some(session) = self.session.as_mut().filter(|session| session.standing != standing) else {
            return false;
        };
        session.standing = standing;
        session.used = now;
        self.backoff.forgive(Purpose::Path);
        match (session.best_since, standing.is_best()) {
            (None, true) => session.best_since = Some(now),
            (Some(since), false) => {
                session.best_since = None;
                if now - since < UPGRADE_STABLE {
                    self.backoff.failed(Purpose::Better);
                } else {
                    self.backoff.forgive(Purpose::Better);
                }
            }
            (None, false) | (Some(_), true) => {}
        }
        true
    }

    /// The purpose of a dial now; `upgrades`: whether something better is looked for.
    pub(super) fn purpose(&self, app: AppState, upgrades: bool) -> Option<Purpose> {
        let Some(session) = &self.session else {
            let worth_it = self.known
                && !matches!(self.presence, Some(Presence::Offline | Presence::Unknown))
                && app == AppState::Foreground;
            return worth_it.then_some(Purpose::Path);
        };
        match session.standing.status {
            Status::Down | Status::Verifying => Some(Purpose::Path),
            // It said so; a relay tells when it is back.
            Status::Away => (self.presence == Some(Presence::Online)).then_some(Purpose::Path),
            Status::Usable => (upgrades && session.standing.improvable).then_some(Purpose::Better),
        }
    }

    /// The purpose to dial it for now: the search for something better does not hold up the search for anything at all.
    pub(super) fn to_dial(&self, app: AppState, upgrades: bool) -> Option<Purpose> {
        let purpose = self.purpose(app, upgrades)?;
        match self.dialing {
            None => Some(purpose),
            Some(Purpose::Better) if purpose == Purpose::Path => Some(purpose),
            Some(_) => None,
        }
    }

    /// Its session was closed by either side: both may have better to do than to meet again and again.
    pub(super) fn rest(&mut self, random: u32, now: Instant) {
        // It was there to close the session. An absence that was reported before is not one since then.
        if self.presence == Some(Presence::Offline) {
            self.presence = Some(Presence::Unknown);
        }
        // An end may be reported twice.
        if !self.rests(now) {
            self.goodbyes = self.goodbyes.saturating_add(1);
            self.rests_until = Some(now + full_jitter(REST_MIN, REST_MAX, self.goodbyes, random));
        }
    }

    pub(super) fn rests(&self, now: Instant) -> bool {
        self.rests_until.is_some_and(|until| now < until)
    }
}
