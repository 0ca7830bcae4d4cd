//! Does what the sans-IO [`Dialer`] decides.

use std::sync::{Arc, Mutex, PoisonError};

use peers_proto::dial::{DialOutput, Dialer, Outcome, Standing};
use peers_proto::end_reason::EndReason;
use peers_proto::id::DeviceId;
use peers_proto::path::Preference;
use peers_proto::time::Instant;
use tokio::sync::Notify;

use super::Engine;
use crate::error::Error;
use crate::random;
use crate::session::Shared;

/// The decisions about whom to dial.
pub(crate) struct Policy {
    dialer: Mutex<Dialer>,
    changed: Notify,
}

impl Policy {
    pub(crate) fn new(local: DeviceId, preference: Preference, now: Instant) -> Self {
        let dialer = Dialer::new(local, preference, u64::from_be_bytes(random::array()), now);
        Self { dialer: Mutex::new(dialer), changed: Notify::new() }
    }

    fn dialer<R>(&self, f: impl FnOnce(&mut Dialer) -> R) -> R {
        f(&mut self.dialer.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Engine {
    /// Tells the dialer something; what follows is done by its task.
    pub(crate) fn decide(&self, f: impl FnOnce(&mut Dialer, Instant)) {
        let now = self.clock.now();
        self.policy.dialer(|dialer| f(dialer, now));
        self.policy.changed.notify_one();
    }

    /// Where a session stands now.
    pub(crate) fn tell_standing(&self, device: DeviceId, shared: &Shared) {
        let (status, route) = shared.inspect(|s| (s.paths.status(), s.paths.route()));
        let tier = route.map(|route| route.tier());
        let improvable = tier.is_some_and(|tier| !self.ways(device, Some(tier)).is_empty());
        let standing = Standing { status, tier, improvable };
        self.decide(|dialer, now| dialer.handle_standing(device, standing, now));
    }

    /// Where all sessions stand, which may have changed: a relay that registers this device names TURN servers.
    pub(crate) fn tell_standings(&self) {
        for session in self.registry.all() {
            self.tell_standing(session.device(), &session.shared);
        }
    }

    /// Dials and evicts as decided. Never returns.
    pub(crate) async fn follow_policy(self: Arc<Self>) {
        loop {
            while let Some(output) = self.policy.dialer(Dialer::poll_output) {
                self.act(output);
            }
            let due = self.policy.dialer(|dialer| dialer.poll_timeout());
            tokio::select! {
                () = self.clock.sleep_until_any(due) => {
                    let now = self.clock.now();
                    self.policy.dialer(|dialer| dialer.handle_timeout(now));
                }
                () = self.policy.changed.notified() => {}
            }
        }
    }

    fn act(self: &Arc<Self>, output: DialOutput) {
        match output {
            DialOutput::Dial(device, purpose) => {
                tracing::debug!(%device, ?purpose, "dialing");
                let engine = self.clone();
                self.spawn(async move {
                    let mut outcome = engine.dial(device, purpose);
                    let Ok(outcome) = outcome.wait_for(Option::is_some).await.map(|o| o.clone()) else {
                        // Given up for a change of network, which the dialer was told of.
                        return;
                    };
                    tracing::debug!(%device, ?purpose, ?outcome, "dialed");
                    let outcome = match outcome {
                        Some(Ok(())) => Outcome::Connected,
                        Some(Err(Error::Denied)) => Outcome::Denied,
                        Some(Err(_)) | None => Outcome::Failed,
                    };
                    engine.decide(|dialer, now| dialer.handle_outcome(device, purpose, outcome, now));
                });
            }
            DialOutput::Evict(device, why) => {
                tracing::info!(%device, %why, "one connection too many: this one goes");
                if let Some(session) = self.registry.get(device) {
                    session.shared.end(EndReason::Evicted.into());
                }
            }
        }
    }
}
