//! Admission: the levels of devices, what a change of one has for a consequence, and the app's answers about devices that ask.
//!
//! The app's rule for devices without a level is code that may call the client. So the engine never asks it. The driver reads a
//! [`Judgement`], asks the rule where the judgement leaves it the decision, and passes the level with the input, if the
//! judgement still stands.
//!
//! A device asks by its handshake, or by a knock while it may not reach this device. An accepted knock is not trusted yet: the
//! device may come for [`COMPARING`]. Its handshake has the digits that two people compare, and becomes the second question.
//! Until that is answered only the relay carries anything (S135).

use std::collections::HashSet;

use super::trust_book::Judgement;
use super::{Engine, HandshakeId, HandshakeStep, Output};
use crate::certificate::DeviceCertificate;
use crate::end_reason::EndReason;
use crate::handshake::Sas;
use crate::id::{ConnectionId, DeviceId, GroupId, UserId};
use crate::limits::MAX_DECISIONS;
use crate::time::Instant;
use crate::timing::{APPROVAL_TIMEOUT, COMPARING};
use crate::trust::{Capability, KeyChanged, KnownKeys, TrustLevel, allows};

/// The decision about a device that has proven who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// It connects without a question.
    Admit,
    /// The app is asked.
    Ask,
    /// It is refused without a question.
    Refuse,
}

impl From<TrustLevel> for Admission {
    fn from(level: TrustLevel) -> Self {
        if level <= TrustLevel::Untrusted {
            Self::Refuse
        } else if level >= TrustLevel::NewDevice {
            Self::Admit
        } else {
            Self::Ask
        }
    }
}

/// The data that a session may carry, by the level of its peer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scope {
    /// The groups that both devices share.
    pub groups: HashSet<GroupId>,
    /// Data outside of groups.
    pub ungrouped: bool,
}

/// Identifies a question to the app.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QuestionId(u64);

/// A device that has proven who it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applicant {
    /// Its verified certificate.
    pub certificate: DeviceCertificate,
    /// The digits of its handshake; none for a knock.
    pub sas: Option<Sas>,
}

/// A question to the app that waits for the answer.
#[derive(Debug)]
pub(super) struct AppQuestion {
    certificate: DeviceCertificate,
    about: Subject,
    until: Instant,
}

#[derive(Debug, Clone, Copy)]
enum Subject {
    Handshake(HandshakeId),
    Knock(ConnectionId),
}

impl Engine {
    // ---- levels ----

    /// Judges a device, by its user too if that is given or the device's keys are known.
    pub fn judge(&self, device: DeviceId, user: Option<UserId>) -> (Judgement, Option<UserId>) {
        let user = user.or_else(|| Some(UserId::derive(&self.keys_of(device)?.user_pk)));
        (self.book.judge(device, user), user)
    }

    /// True if nothing has changed since this judgement.
    pub fn stands(&self, judgement: Judgement) -> bool {
        self.book.stands(judgement)
    }

    /// Sets how far a device is trusted. From [`TrustLevel::Known`] on it is dialed whenever it can be reached. The session with
    /// it follows at once: it carries what the level allows, and ends at [`TrustLevel::Untrusted`] and below.
    pub fn set_trust(&mut self, device: DeviceId, level: TrustLevel, now: Instant) {
        self.book.set(device, level);
        self.outputs.push_back(Output::Level(device, level));
        self.dialer.set_trust(device, level, now);
        let refused = Admission::from(level) == Admission::Refuse;
        let scope = self.scope(device, level);
        if let Some(live) = self.peers.live_of(device) {
            if refused {
                self.outputs.push_back(Output::End(live.id, EndReason::Closed));
            }
            self.outputs.push_back(Output::Scope(live.id, scope.clone()));
            self.dialer.set_groups(device, scope.groups);
        }
        if refused {
            self.refuse_requests(device);
        }
        self.outputs.push_back(Output::Release(device));
        self.publish_visible();
        self.follow_dialer();
    }

    /// Devices that may reach this one through a relay and see its presence, the most trusted first.
    pub fn visible(&self) -> Vec<DeviceId> {
        self.book.visible()
    }

    /// The keys of a device: pinned, or shown by itself.
    pub fn keys_of(&self, device: DeviceId) -> Option<KnownKeys> {
        self.book.known_keys(device).or_else(|| self.contacts.keys_of(device))
    }

    /// A device has shown its certificate, which proves itself against the id. Dials that wait for its keys go on.
    ///
    /// # Errors
    /// It is known with other keys (D06).
    pub fn handle_certificate(
        &mut self,
        certificate: &DeviceCertificate,
        now: Instant,
    ) -> Result<(), KeyChanged> {
        self.book.check(certificate)?;
        self.learn_keys(certificate, now);
        Ok(())
    }

    fn learn_keys(&mut self, certificate: &DeviceCertificate, now: Instant) {
        self.contacts.add(certificate);
        self.dial_with_keys(certificate.device_id(), now);
    }

    /// The data that a session with a device at this level may carry. Groups are those that this device carries and the app
    /// says the other one is a member of.
    pub(super) fn scope(&self, device: DeviceId, level: TrustLevel) -> Scope {
        let members = self.members.get(&device).filter(|_| allows(level, Capability::Groups));
        let groups = members.into_iter().flatten().filter(|group| self.groups.contains(group));
        Scope { groups: groups.copied().collect(), ungrouped: allows(level, Capability::Messages) }
    }

    /// A device is let in without a question: from now on it may reach this one.
    pub(super) fn let_in(&mut self, device: DeviceId) {
        if self.book.handle_admitted(device) {
            self.publish_visible();
        }
    }

    /// The devices that may reach this one have changed: relays learn it before the next step.
    pub(super) fn publish_visible(&mut self) {
        if self.outputs.back() != Some(&Output::Visible) {
            self.outputs.push_back(Output::Visible);
        }
    }

    // ---- knocks ----

    /// True if one more knock may be opened now.
    pub fn admits_knock(&mut self, now: Instant) -> bool {
        self.contacts.admits_knock(now)
    }

    /// The device of this certificate, whose level is `level`, asks to be let in. A refusal has no answer, like an absent
    /// device's. A copy of a knock counts once.
    ///
    /// # Errors
    /// It is known with other keys (D06).
    pub fn handle_knock(
        &mut self,
        certificate: &DeviceCertificate,
        connection: ConnectionId,
        level: TrustLevel,
        now: Instant,
    ) -> Result<(), KeyChanged> {
        let device = certificate.device_id();
        self.book.check(certificate)?;
        if !self.contacts.is_new_knock(device, connection) {
            return Ok(());
        }
        match level.into() {
            Admission::Refuse => {}
            Admission::Admit => {
                self.let_in(device);
                self.welcome(certificate, connection, now);
            }
            // An open device asks once, with the digits. A device that was let come a moment ago may have lost the answer.
            Admission::Ask if self.open || self.book.compares(device) => {
                self.welcome(certificate, connection, now);
            }
            Admission::Ask if self.is_asked_about(device) || self.questions.len() >= MAX_DECISIONS => {}
            Admission::Ask => {
                let applicant = Applicant { certificate: certificate.clone(), sas: None };
                self.ask(applicant, Subject::Knock(connection), now);
            }
        }
        Ok(())
    }

    /// A knock was accepted: for a while the device may reach this one without trust.
    fn let_compare(&mut self, device: DeviceId, now: Instant) {
        if !self.ways.relay {
            // WebRTC would show addresses before anything can be compared: the id has to do.
            return self.set_trust(device, TrustLevel::Trusted, now);
        }
        self.book.handle_knock(device, now + COMPARING);
        self.publish_visible();
    }

    /// Answers a knock: the device learns the keys of this one.
    fn welcome(&mut self, certificate: &DeviceCertificate, connection: ConnectionId, now: Instant) {
        let device = certificate.device_id();
        self.learn_keys(certificate, now);
        self.outputs.push_back(Output::Release(device));
        self.outputs.push_back(Output::Welcome(device, connection));
    }

    // ---- questions to the app ----

    /// The app has answered a question. A device that was accepted with its digits is trusted, even if it has given up. A level
    /// that the app has given it meanwhile counts instead.
    pub fn handle_answer(&mut self, question: QuestionId, accepted: bool, now: Instant) {
        let Some(AppQuestion { certificate, about, .. }) = self.questions.remove(&question) else { return };
        let device = certificate.device_id();
        let decision = self.book.decision(device);
        let accepted = accepted && decision != Some(Admission::Refuse);
        match about {
            Subject::Knock(_) if !accepted => {}
            Subject::Knock(connection) => {
                self.let_compare(device, now);
                self.welcome(&certificate, connection, now);
            }
            Subject::Handshake(handshake) => {
                if accepted && decision != Some(Admission::Admit) {
                    self.set_trust(device, TrustLevel::Trusted, now);
                }
                self.settle(handshake, &certificate, accepted);
            }
        }
        self.follow_dialer();
    }

    /// Asks about a handshake whose peer may not connect without a question.
    pub(super) fn ask_about(&mut self, handshake: HandshakeId, applicant: Applicant, now: Instant) {
        let device = applicant.certificate.device_id();
        if self.is_asked_about(device) {
            // The answer to that question is not this connection's.
            self.step(handshake, HandshakeStep::Leave);
        } else if self.questions.len() >= MAX_DECISIONS {
            self.step(handshake, HandshakeStep::Refuse);
        } else {
            self.ask(applicant, Subject::Handshake(handshake), now);
        }
    }

    fn is_asked_about(&self, device: DeviceId) -> bool {
        self.questions.values().any(|question| question.certificate.device_id() == device)
    }

    fn ask(&mut self, applicant: Applicant, about: Subject, now: Instant) {
        let id = QuestionId(self.next_id());
        let question =
            AppQuestion { certificate: applicant.certificate.clone(), about, until: now + APPROVAL_TIMEOUT };
        self.questions.insert(id, question);
        if let Subject::Handshake(handshake) = about {
            self.step(handshake, HandshakeStep::Ask);
        }
        self.outputs.push_back(Output::Ask(id, Box::new(applicant)));
    }

    pub(super) fn admission_timeout(&self) -> Option<Instant> {
        let questions = self.questions.values().map(|question| question.until);
        questions.chain(self.book.poll_timeout()).min()
    }

    pub(super) fn handle_admission_timeout(&mut self, now: Instant) {
        let late = self.questions.iter().filter(|(_, question)| question.until <= now);
        for question in late.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.handle_answer(question, false, now);
        }
        if self.book.handle_timeout(now) {
            self.publish_visible();
        }
    }
}
