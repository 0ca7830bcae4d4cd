//! Requests of the app for the session with a device.

use super::dials::{DialFailure, DialId};
use super::{Admission, Engine, Output, SessionId};
use crate::dial::Purpose;
use crate::id::DeviceId;
use crate::network::AppState;
use crate::trust::TrustLevel;

/// Identifies a request. The driver chooses it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// A request that waits for its answer.
#[derive(Debug)]
pub(super) struct SessionRequest {
    device: DeviceId,
    /// The dial whose failure is its answer.
    pub(super) dial: Option<DialId>,
}

impl Engine {
    /// The app asks for the session with a device, whose level is `level`. It is dialed unless a path carries its session, and
    /// is trusted from now on where no rule says something else. A device that the app's own rules refuse is not dialed. A
    /// suspended app is refused; a request that waits when the app is suspended goes on when it is back. [`Output::Answer`] has
    /// the result.
    pub fn request(&mut self, id: RequestId, device: DeviceId, level: TrustLevel) {
        self.requests.insert(id, SessionRequest { device, dial: None });
        if Admission::from(level) == Admission::Refuse {
            return self.answer(id, Err(DialFailure::Denied));
        }
        if self.book.handle_dialed(device) {
            self.outputs.push_back(Output::Release(device));
            self.publish_visible();
        }
        self.dialer.handle_asked(device);
        if self.app == AppState::Suspended {
            return self.answer(id, Err(DialFailure::Suspended));
        }
        self.serve_one(id);
        self.follow_dialer();
    }

    /// The app does not wait for the answer any more.
    pub fn cancel_request(&mut self, id: RequestId) {
        self.requests.remove(&id);
    }

    /// This device is not let in any more.
    pub(super) fn refuse_requests(&mut self, device: DeviceId) {
        let refused = self.requests.iter().filter(|(_, request)| request.device == device);
        for id in refused.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.answer(id, Err(DialFailure::Denied));
        }
    }

    /// True if the app waits for this device. Others are not knocked at.
    pub(super) fn is_wanted(&self, device: DeviceId) -> bool {
        self.requests.values().any(|request| request.device == device)
    }

    /// Something has changed about the session with this device, or a dial for it has ended.
    pub(super) fn serve(&mut self, device: DeviceId) {
        let waiting = self.requests.iter().filter(|(_, request)| request.device == device);
        for id in waiting.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.serve_one(id);
        }
    }

    /// Every dial was stopped.
    pub(super) fn serve_all(&mut self) {
        for id in self.requests.keys().copied().collect::<Vec<_>>() {
            self.serve_one(id);
        }
    }

    /// A dial was decided: a failure answers the requests that waited for it.
    pub(super) fn handle_dialed(&mut self, dial: DialId, outcome: Result<(), DialFailure>) {
        let waiting = self.requests.iter().filter(|(_, request)| request.dial == Some(dial));
        for id in waiting.map(|(id, _)| *id).collect::<Vec<_>>() {
            let Some(request) = self.requests.get_mut(&id) else { continue };
            request.dial = None;
            let device = request.device;
            match &outcome {
                // The peer may have connected meanwhile, and a suspended app has no network to fail on.
                Err(failure) if !self.is_usable(device) && self.app != AppState::Suspended => {
                    self.answer(id, Err(failure.clone()))
                }
                Ok(()) | Err(_) => self.serve_one(id),
            }
        }
    }

    fn serve_one(&mut self, id: RequestId) {
        let Some(request) = self.requests.get(&id) else { return };
        let device = request.device;
        // It waits until the app is back.
        if self.app == AppState::Suspended {
            return;
        }
        match self.peers.live_of(device) {
            // Its end comes.
            Some(live) if live.ending => return,
            Some(live) if live.usable => {
                let session = live.id;
                return self.answer(id, Ok(session));
            }
            // Its driver reports the path that was just made.
            Some(live) if live.joining => return,
            _ => {}
        }
        if request.dial.is_none() {
            let dial = self.dial(device, Purpose::Path);
            if let Some(request) = self.requests.get_mut(&id) {
                request.dial = Some(dial);
            }
        }
    }

    fn is_usable(&self, device: DeviceId) -> bool {
        self.peers.live_of(device).is_some_and(|live| live.usable && !live.ending)
    }

    fn answer(&mut self, id: RequestId, answer: Result<SessionId, DialFailure>) {
        if self.requests.remove(&id).is_some() {
            self.outputs.push_back(Output::Answer(id, answer));
        }
    }
}
