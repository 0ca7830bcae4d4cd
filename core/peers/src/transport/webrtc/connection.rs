//! The task that owns a peer connection: it waits for the channel, drains it, and always closes.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::FutureExt as _;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::JoinHandle;
use webrtc::data_channel::{DataChannel, DataChannelEvent, RTCDataChannelMessage};
use webrtc::media_stream::track_remote::TrackRemote;
use webrtc::peer_connection::{
    PeerConnection, PeerConnectionEventHandler, RTCIceConnectionState, RTCIceGatheringState,
    RTCPeerConnectionIceEvent, RTCPeerConnectionState,
};

use super::candidate;
use super::inbox::FrameInbox;
use super::runtime::ConnectionShared;
use super::sdp;
use crate::clock::Clock;
use crate::transport::closed::Closed;
use crate::transport::{CloseReason, MAX_TRANSPORT_FRAME};

/// Ends the peer connection when the last holder drops it. The stack itself leaks a connection that is dropped.
pub(super) struct Guard {
    closed: Closed,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl Guard {
    /// Ends with `Local` unless it has ended, and waits until the sockets are closed.
    pub(super) async fn close(&self) {
        self.closed.set(CloseReason::Local);
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(task) = task {
            let _ = task.await;
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        // The task sees this, closes the peer connection within its bound and ends. No caller needs to wait for it.
        self.closed.set(CloseReason::Local);
    }
}

/// The parts that the owning task works with.
pub(super) struct Connection {
    pub(super) pc: Arc<dyn PeerConnection>,
    pub(super) channel: Arc<dyn DataChannel>,
    pub(super) inbox: Arc<FrameInbox>,
    pub(super) shared: Arc<ConnectionShared>,
    pub(super) said: Said,
}

/// The words received. Each comes once: an answer to every one of many would pile up unacknowledged.
#[derive(Debug, Default)]
pub(super) struct Said {
    open: bool,
    heard: bool,
}

impl Said {
    /// Takes a text, and returns its answer.
    fn take(&mut self, text: &[u8]) -> Result<Option<&'static str>, CloseReason> {
        let (said, answer) = match text {
            b if b == OPEN.as_bytes() => (&mut self.open, Some(HEARD)),
            b if b == HEARD.as_bytes() => (&mut self.heard, None),
            _ => return Err(CloseReason::Protocol("a text beside the frames")),
        };
        if std::mem::replace(said, true) {
            return Err(CloseReason::Protocol("a word said twice"));
        }
        Ok(answer)
    }
}

impl Connection {
    /// Starts the task. `opened` gets a message when the channel opens, and is dropped if it never does.
    pub(super) fn spawn(self, establishment: Duration, opened: oneshot::Sender<()>) -> Guard {
        let closed = self.shared.closed.clone();
        let task = tokio::spawn(self.run(establishment, opened).boxed());
        Guard { closed, task: Mutex::new(Some(task)) }
    }

    async fn run(mut self, establishment: Duration, opened: oneshot::Sender<()>) {
        let closed = self.shared.closed.clone();
        let reason = tokio::select! {
            biased;
            reason = closed.wait() => reason,
            reason = self.serve(establishment, opened) => {
                closed.set(reason);
                closed.wait().await
            }
        };
        if let Err(error) = self.pc.close().await {
            tracing::debug!(%error, "peer connection not closed");
        }
        self.inbox.finish(reason);
    }

    async fn serve(&mut self, establishment: Duration, opened: oneshot::Sender<()>) -> CloseReason {
        match Clock::system().timeout(establishment, self.open()).await {
            None => return CloseReason::TimedOut,
            Some(Err(reason)) => return reason,
            Some(Ok(())) => {}
        }
        self.shared.open();
        self.shared.rest.allow(Arc::downgrade(&self.channel));
        let _ = opened.send(());
        loop {
            match self.event().await {
                Some(DataChannelEvent::OnMessage(message)) => {
                    if let Err(reason) = self.arrived(message).await {
                        return reason;
                    }
                }
                Some(DataChannelEvent::OnClose) => return CloseReason::Remote,
                Some(_) => {}
                None => return CloseReason::Network("the stack stopped".into()),
            }
        }
    }

    /// Waits until the channel is open at both ends.
    ///
    /// The stack drops what arrives before its own side has opened, and the sender never learns of it. So each side sends
    /// [`OPEN`] when it has opened, and nothing else until it has heard from the peer. The message of the side that opens later
    /// always arrives, and so does the answer to it.
    async fn open(&mut self) -> Result<(), CloseReason> {
        loop {
            match self.event().await {
                Some(DataChannelEvent::OnOpen) => self.say(OPEN).await?,
                Some(DataChannelEvent::OnMessage(message)) => return self.arrived(message).await,
                Some(DataChannelEvent::OnClose) => return Err(CloseReason::Remote),
                Some(_) => {}
                None => return Err(CloseReason::Network("the stack stopped".into())),
            }
        }
    }

    async fn arrived(&mut self, message: RTCDataChannelMessage) -> Result<(), CloseReason> {
        self.shared.delivered();
        if message.is_string {
            return match self.said.take(&message.data)? {
                Some(answer) => self.say(answer).await,
                None => Ok(()),
            };
        }
        if message.data.len() > MAX_TRANSPORT_FRAME {
            return Err(CloseReason::Protocol("a frame beyond the limit"));
        }
        self.inbox.push(message.data.freeze())
    }

    async fn say(&self, text: &str) -> Result<(), CloseReason> {
        self.channel.send_text(text).await.map_err(|e| CloseReason::Network(e.to_string()))
    }

    /// The channel's next event. Before it waits it lets the stack hand over what it parked.
    async fn event(&self) -> Option<DataChannelEvent> {
        let mut next = pin!(self.channel.poll());
        poll_fn(|cx| {
            let polled = next.as_mut().poll(cx);
            if polled.is_pending() {
                self.shared.kick.drained();
            }
            polled
        })
        .await
    }
}

/// The channel's own word, a text message where frames are binary: its sender has opened.
const OPEN: &str = "open";
/// The answer to [`OPEN`].
const HEARD: &str = "heard";

/// Receiver of the stack's events. It runs on the driver, so nothing here waits.
pub(super) struct StackEvents {
    pub(super) shared: Arc<ConnectionShared>,
    pub(super) candidates: mpsc::Sender<String>,
    /// The first candidate is known, and with it every host candidate: the stack adds those together.
    pub(super) gathered: Arc<Notify>,
    pub(super) relay_only: bool,
    /// A TURN server gave this side an address.
    pub(super) relayed: AtomicBool,
}

#[async_trait]
impl PeerConnectionEventHandler for StackEvents {
    async fn on_ice_candidate(&self, event: RTCPeerConnectionIceEvent) {
        self.gathered.notify_one();
        let Ok(init) = event.candidate.to_json() else { return };
        // Host candidates are inside the description.
        let Some(candidate) = sdp::publishable(&init.candidate, self.relay_only)
            .filter(|candidate| candidate.kind != candidate::CandidateKind::Host)
        else {
            return;
        };
        self.relayed.fetch_or(candidate.kind == candidate::CandidateKind::Relay, Ordering::Relaxed);
        if self.candidates.try_send(candidate.to_string()).is_err() {
            self.shared.counters.local_candidates_dropped.add(1);
        }
    }

    async fn on_ice_gathering_state_change(&self, state: RTCIceGatheringState) {
        if state == RTCIceGatheringState::Complete {
            self.gathered.notify_one();
            if self.relay_only && !self.relayed.load(Ordering::Relaxed) {
                let why = match self.shared.turn_refusal() {
                    Some(refusal) => refusal.to_string(),
                    None => "TURN: no server answers".into(),
                };
                self.shared.closed.set(CloseReason::Network(why));
            }
        }
    }

    async fn on_ice_connection_state_change(&self, state: RTCIceConnectionState) {
        // DTLS has its first flight now, which waits for the driver's next round: ICE's tick, 20 ms away.
        if state == RTCIceConnectionState::Connected {
            self.shared.kick.received();
            self.shared.kick.fire();
        }
    }

    async fn on_connection_state_change(&self, state: RTCPeerConnectionState) {
        if state == RTCPeerConnectionState::Failed {
            self.shared.closed.set(CloseReason::Network("no path to the peer".into()));
        }
    }

    async fn on_data_channel(&self, _: Arc<dyn DataChannel>) {
        self.shared.closed.set(CloseReason::Protocol("a second data channel"));
    }

    async fn on_track(&self, _: Arc<dyn TrackRemote>) {
        self.shared.closed.set(CloseReason::Protocol("media"));
    }
}
