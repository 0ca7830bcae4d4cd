//! What may pass between two devices: what belongs to a group both are members of, and, if the peer is trusted that far,
//! what belongs to none. Everything else is refused, and judged again whenever membership or trust changes.

use std::collections::HashSet;

use crate::id::GroupId;
use crate::limits::MAX_GROUPS;

use super::calls::{CallId, InboundCallId};
use super::control::Control;
use super::error::{SendError, SessionError};
use super::event::{CallError, SessionEvent};
use super::machine::{SessionConfig, SessionMachine};
use super::streams::Origin;
use super::wire::FailureCode;

impl SessionConfig {
    /// Whether the peer may send what belongs to this group, or to none.
    pub(super) fn admits(&self, group: Option<GroupId>) -> bool {
        group.map_or(self.ungrouped, |group| self.groups.contains(&group))
    }

    /// Whether this side may. What belongs to no group is for the peer to judge.
    fn permits(&self, group: Option<GroupId>) -> bool {
        group.is_none_or(|group| self.groups.contains(&group))
    }
}

impl SessionMachine {
    /// Replaces the groups both are members of. What belongs to others is refused from now on, also what has arrived and was
    /// not taken, and what waits to be sent: messages are dropped, calls denied, streams ended. Only a message whose
    /// beginning was sent is sent to its end.
    pub fn set_groups(&mut self, groups: HashSet<GroupId>) {
        self.config.groups = groups;
        self.withdraw();
    }

    /// Changes whether the peer may send what belongs to no group. If it may not, what has arrived and was not taken is
    /// refused as in [`SessionMachine::set_groups`].
    pub fn set_ungrouped(&mut self, allowed: bool) {
        self.config.ungrouped = allowed;
        self.withdraw();
    }

    /// The group of one of the peer's lanes.
    pub(super) fn group_of(&self, lane: u64) -> Result<Option<GroupId>, SessionError> {
        if lane == 0 {
            return Ok(None);
        }
        let group = self.lanes.groups.get(&lane).ok_or(SessionError::Violation("lane not declared"))?;
        Ok(Some(*group))
    }

    /// The lane of a group, declared to the peer when it is first used.
    pub(super) fn lane(&mut self, group: Option<GroupId>) -> Result<u64, SendError> {
        let Some(group) = group else { return Ok(0) };
        if !self.config.permits(Some(group)) {
            return Err(SendError::NotInGroup);
        }
        if let Some(lane) = self.lane_of.get(&group) {
            return Ok(*lane);
        }
        if self.lane_of.len() >= MAX_GROUPS {
            return Err(SendError::TooManyGroups);
        }
        let lane = self.lane_of.len() as u64 + 1;
        self.lane_of.insert(group, lane);
        self.outbox.control.push(Control::Lane { lane, group });
        Ok(lane)
    }

    fn withdraw(&mut self) {
        self.withdraw_arrived();
        self.withdraw_waiting();
        let config = &self.config;
        let allowed = |origin: Origin| {
            if origin.own { config.permits(origin.group) } else { config.admits(origin.group) }
        };
        self.news.extend(self.streams.withdraw(allowed, &mut self.outbox.control));
        self.settle();
    }

    /// Messages and calls of the peer.
    fn withdraw_arrived(&mut self) {
        let config = &self.config;
        let released = self.inbox.retain(|message| config.admits(message.group));
        let calls = self.inbound.matching(|about| !config.admits(about.group));
        let answers = self.outbox.answers_outside(|group| config.admits(group));
        self.release_message(released);
        for call in calls {
            if let Some(about) = self.inbound.remove(call) {
                self.release_request(about.cost);
                self.events.push_back(SessionEvent::RequestCancelled(InboundCallId(call)));
                self.fail_inbound(call, FailureCode::Denied, String::new());
            }
        }
        for call in answers {
            self.outbox.drop_response(call);
            self.fail_inbound(call, FailureCode::Denied, String::new());
        }
    }

    /// Messages and calls of this side.
    fn withdraw_waiting(&mut self) {
        let config = &self.config;
        let lanes = self.lane_of.iter().filter(|(group, _)| !config.permits(Some(**group)));
        for lane in lanes.map(|(_, lane)| *lane) {
            self.outbox.drop_messages(lane);
        }
        for call in self.calls.matching(|group| !config.permits(*group)) {
            self.calls.remove(call);
            self.abandon(call);
            let denied = CallError::Failed { code: FailureCode::Denied, text: String::new() };
            self.events.push_back(SessionEvent::Response(CallId(call), Err(denied)));
        }
        self.tell_room();
    }
}
