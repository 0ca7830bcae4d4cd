//! State that the task, the handles and the transports share: the state machines behind one lock, and their wakers.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use peers_proto::dial::Presence;
use peers_proto::id::{ConnectionId, DeviceId};
use peers_proto::limits;
use peers_proto::signaling::{
    Exchange, ExchangeKind, IceServer, IceServers, Knock, MessageId, RelayFrame, ServerMessage,
};
use peers_proto::time::Instant;
use tokio::sync::{Notify, oneshot, watch};

use super::error::RelayError;
use super::event::{EventInbox, Queued, RelayEvent};
use super::signaling::{self, Answer, Signaling};
use super::state::RelayState;
use super::transports::{
    PushOutcome, ReadOutcome, ReceiveOutcome, RelayedTransports, TransportKey, TransportSignals,
};
use crate::clock::Clock;
use crate::transport::CloseReason;

/// Locked for the length of one call, never across an await.
pub(crate) struct RelayShared {
    device: DeviceId,
    clock: Clock,
    inner: Mutex<Machines>,
    status: watch::Sender<RelayState>,
    registrations: AtomicU64,
    /// There is something to write.
    work: Notify,
    events: Notify,
    ice: Notify,
    network: Notify,
    /// Counts changes to another network.
    networks: watch::Sender<u64>,
    asleep: watch::Sender<bool>,
}

#[derive(Default)]
struct Machines {
    signaling: Signaling,
    transports: RelayedTransports,
    inbox: EventInbox,
    /// The reason for which the client has stopped.
    ended: Option<RelayError>,
    /// Say what is left to say, then end.
    stopping: bool,
}

/// The bytes that the writer writes next.
#[derive(Default)]
pub(super) struct WriteBatch {
    pub(super) texts: Vec<String>,
    pub(super) frames: Vec<Bytes>,
    /// Nothing will ever come again.
    pub(super) last: bool,
}

/// For the handles.
impl RelayShared {
    pub(super) fn new(device: DeviceId, open: bool, clock: Clock) -> Self {
        let inner = Machines { signaling: Signaling::new(open), ..Machines::default() };
        Self {
            device,
            clock,
            inner: Mutex::new(inner),
            status: watch::Sender::new(RelayState::Connecting),
            registrations: AtomicU64::new(0),
            work: Notify::new(),
            events: Notify::new(),
            ice: Notify::new(),
            network: Notify::new(),
            networks: watch::Sender::new(0),
            asleep: watch::Sender::new(false),
        }
    }

    pub(super) fn clock(&self) -> &Clock {
        &self.clock
    }

    pub(super) fn state(&self) -> watch::Receiver<RelayState> {
        self.status.subscribe()
    }

    /// Registrations that were accepted so far.
    pub(super) fn registrations(&self) -> u64 {
        self.registrations.load(Ordering::Relaxed)
    }

    pub(super) fn ended(&self) -> Option<RelayError> {
        self.lock().ended.clone()
    }

    pub(super) fn send_exchange(
        &self,
        kind: ExchangeKind,
        to: DeviceId,
        connection: ConnectionId,
        envelopes: Vec<String>,
        id: MessageId,
    ) -> Result<(), RelayError> {
        let exchange = signaling::exchange(kind, self.device, to, connection, id, envelopes)?;
        self.lock_live()?.signaling.send(kind, exchange, self.clock.now())?;
        self.work.notify_one();
        Ok(())
    }

    pub(super) fn knock(
        &self,
        to: DeviceId,
        connection: ConnectionId,
        message: MessageId,
        knock: Vec<u8>,
    ) -> Result<(), RelayError> {
        let knock = Knock {
            connection_id: connection,
            from_device_id: self.device,
            to_device_id: to,
            message_id: message,
            knock,
            queued: false,
        };
        self.lock_live()?.signaling.knock(knock)?;
        self.work.notify_one();
        Ok(())
    }

    pub(super) fn look_up(&self, device: DeviceId) -> Result<oneshot::Receiver<Answer>, RelayError> {
        let answer = self.lock_live()?.signaling.look_up(device)?;
        self.work.notify_one();
        Ok(answer)
    }

    pub(super) fn watch_devices(&self, devices: Vec<DeviceId>) {
        let mut inner = self.lock();
        let Machines { signaling, transports, .. } = &mut *inner;
        signaling.watch(devices);
        transports.sort_callers(|device| signaling.watches(device));
        drop(inner);
        self.work.notify_one();
    }

    pub(super) fn renew_ice(&self) {
        if self.lock().signaling.renew_ice(self.clock.now()) {
            self.work.notify_one();
        }
    }

    pub(super) fn ice_servers(&self) -> Vec<IceServer> {
        self.lock().signaling.ice_servers(self.clock.now())
    }

    pub(super) fn open_transport(&self, key: TransportKey) -> Result<Arc<TransportSignals>, RelayError> {
        let mut inner = self.lock_live()?;
        if !inner.signaling.registered() {
            return Err(RelayError::NotRegistered);
        }
        inner.transports.open(key)
    }

    pub(super) fn network_changed(&self, another: bool) {
        if another {
            // Set at once: a wait for a registration then waits for the next one.
            self.status.send_if_modified(|state| {
                let registered = *state == RelayState::Registered;
                if registered {
                    *state = RelayState::Connecting;
                }
                registered
            });
            self.networks.send_modify(|n| *n += 1);
        } else {
            self.network.notify_one();
        }
    }

    pub(super) fn set_asleep(&self, asleep: bool) {
        self.asleep.send_replace(asleep);
    }

    pub(super) fn reclaim(&self) {
        let mut inner = self.lock();
        if inner.ended.take_if(|ended| *ended == RelayError::Superseded).is_some() {
            self.set_state(RelayState::Connecting);
        }
    }

    /// Waits until the client is asleep, or awake.
    pub(super) async fn asleep(&self, asleep: bool) {
        // The sender is in `self`.
        let _ = self.asleep.subscribe().wait_for(|now| *now == asleep).await;
    }

    /// Counts networks.
    pub(super) fn network(&self) -> u64 {
        *self.networks.borrow()
    }

    /// Waits for another network than there is when this is called.
    pub(super) async fn another_network(&self) {
        let _ = self.networks.subscribe().changed().await;
    }

    /// An event, nothing yet, or (outer) nothing ever again.
    pub(super) fn next_event(&self) -> Option<Option<Queued>> {
        let mut inner = self.lock();
        match inner.inbox.pop() {
            None if inner.ended == Some(RelayError::Stopped) => None,
            event => Some(event),
        }
    }

    pub(super) async fn event_waiting(&self) {
        self.events.notified().await;
    }

    pub(super) fn discard_events(&self) {
        let mut inner = self.lock();
        for key in inner.inbox.close() {
            inner.transports.discard(key);
        }
        drop(inner);
        self.work.notify_one();
    }

    fn lock_live(&self) -> Result<MutexGuard<'_, Machines>, RelayError> {
        let inner = self.lock();
        match &inner.ended {
            Some(error) => Err(error.clone()),
            None if inner.stopping => Err(RelayError::Stopped),
            None => Ok(inner),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Machines> {
        // A panic under the lock would be a bug here; the app's other connections shall not suffer for it.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// For the transports.
impl RelayShared {
    pub(crate) fn push_frame(&self, key: TransportKey, message: Bytes) -> PushOutcome {
        let pushed = self.lock().transports.push(key, message);
        if pushed == PushOutcome::Queued {
            self.work.notify_one();
        }
        pushed
    }

    pub(crate) fn take_frames(
        &self,
        key: TransportKey,
        max: usize,
        into: &mut VecDeque<Bytes>,
    ) -> ReadOutcome {
        self.lock().transports.take(key, max, into)
    }

    pub(crate) fn close_transport(&self, key: TransportKey) {
        self.lock().transports.close(key);
        self.work.notify_one();
    }

    pub(crate) fn drop_half(&self, key: TransportKey) {
        self.lock().transports.drop_half(key);
        self.work.notify_one();
    }
}

/// For the task.
impl RelayShared {
    pub(super) fn set_state(&self, state: RelayState) {
        self.status.send_replace(state);
    }

    pub(super) fn handle_registered(&self, ice: IceServers) {
        self.registrations.fetch_add(1, Ordering::Relaxed);
        self.lock().signaling.handle_registered(ice, self.clock.now());
        self.set_state(RelayState::Registered);
        self.work.notify_one();
    }

    /// The socket is gone. The presence of watched devices is not known any more.
    pub(super) fn handle_lost(&self, reason: &CloseReason) {
        let mut inner = self.lock();
        inner.transports.handle_lost(reason);
        for device in inner.signaling.handle_lost() {
            inner.inbox.push(Queued::Presence(device, Presence::Unknown));
        }
        drop(inner);
        self.events.notify_one();
    }

    /// No more calls; what waits is still written.
    pub(super) fn begin_stop(&self) {
        let mut inner = self.lock();
        inner.stopping = true;
        inner.transports.close_all();
        drop(inner);
        self.work.notify_one();
    }

    /// Calls are welcome again.
    pub(super) fn end_stop(&self) {
        self.lock().stopping = false;
    }

    /// The client has stopped, or was superseded, which lasts until [`Self::reclaim`].
    pub(super) fn end(&self, error: RelayError) {
        let mut inner = self.lock();
        if inner.ended == Some(RelayError::Stopped) {
            return;
        }
        inner.transports.handle_lost(&CloseReason::Local);
        inner.signaling.stop();
        let state =
            if error == RelayError::Superseded { RelayState::Superseded } else { RelayState::Stopped };
        inner.ended = Some(error);
        self.set_state(state);
        drop(inner);
        self.events.notify_one();
    }

    /// Waits until a superseded client is to register anew.
    pub(super) async fn reclaimed(&self) {
        // The sender is in `self`.
        let _ = self.status.subscribe().wait_for(|state| *state != RelayState::Superseded).await;
    }

    /// Signaling first, then frames.
    pub(super) fn take_output(&self, batch: &mut WriteBatch) {
        let mut inner = self.lock();
        let mut bytes = 0;
        while bytes < limits::RELAY_BATCH
            && let Some(text) = inner.signaling.poll_output()
        {
            bytes += text.len();
            batch.texts.push(text);
        }
        let frames =
            inner.transports.poll_output(limits::RELAY_BATCH.saturating_sub(bytes), &mut batch.frames);
        batch.last = inner.stopping && batch.texts.is_empty() && !frames;
    }

    pub(super) async fn work_waiting(&self) {
        self.work.notified().await;
    }

    pub(super) fn wake_writer(&self) {
        self.work.notify_one();
    }

    /// Waits until the network may have changed.
    pub(super) async fn network_change(&self) {
        self.network.notified().await;
    }

    /// Waits for any change of network.
    pub(super) async fn any_network_change(&self) {
        tokio::select! {
            () = self.network_change() => {}
            () = self.another_network() => {}
        }
    }

    /// Asks for ICE servers whenever those at hand are about to end. Never returns.
    pub(super) async fn keep_ice_fresh(&self) {
        loop {
            let at = self.lock().signaling.ice_refresh();
            tokio::select! {
                () = self.clock.sleep_until_any(at) => {
                    self.lock().signaling.refresh_ice();
                    self.work.notify_one();
                }
                () = self.ice.notified() => {}
            }
        }
    }

    /// A text of the relay's that is not about the registration itself.
    pub(super) fn handle_message(&self, message: ServerMessage) {
        let now = self.clock.now();
        let mut inner = self.lock();
        let event = match message {
            ServerMessage::Offer(exchange) => self.exchanged(ExchangeKind::Offer, exchange),
            ServerMessage::Answer(exchange) => self.exchanged(ExchangeKind::Answer, exchange),
            ServerMessage::IceCandidate(exchange) => self.exchanged(ExchangeKind::IceCandidate, exchange),
            ServerMessage::Knock(knock) => self.knocked(knock),
            ServerMessage::DeviceOnline { device_id } if inner.signaling.watches(device_id) => {
                Some(Queued::Presence(device_id, Presence::Online))
            }
            ServerMessage::DeviceOffline { device_id } if inner.signaling.watches(device_id) => {
                Some(Queued::Presence(device_id, Presence::Offline))
            }
            ServerMessage::Error { code, about, .. } => {
                Some(Queued::Other(RelayEvent::Rejected { code, about }))
            }
            ServerMessage::IceServers(ice) => {
                self.handle_ice(&mut inner, ice, now);
                None
            }
            ServerMessage::Certificate { device_id, certificate } => {
                inner.signaling.handle_certificate(device_id, certificate);
                None
            }
            _ => None,
        };
        if let Some(event) = event {
            if !inner.inbox.push(event) {
                tracing::warn!("relay event dropped: events are not taken");
            }
            drop(inner);
            self.events.notify_one();
        }
    }

    fn handle_ice(&self, inner: &mut Machines, ice: IceServers, now: Instant) {
        inner.signaling.handle_ice(ice, now);
        self.ice.notify_one();
    }

    fn exchanged(&self, kind: ExchangeKind, exchange: Exchange) -> Option<Queued> {
        if exchange.to_device_id != self.device {
            tracing::debug!("message ignored: it is for another device");
            return None;
        }
        Some(Queued::Other(RelayEvent::Exchange {
            kind,
            from: exchange.from_device_id,
            connection: exchange.connection_id,
            message: exchange.message_id,
            queued: exchange.queued,
            envelopes: exchange.sdi.into_iter().chain(exchange.ice_candidates).collect(),
        }))
    }

    fn knocked(&self, knock: Knock) -> Option<Queued> {
        (knock.to_device_id == self.device).then_some(Queued::Other(RelayEvent::Knock {
            from: knock.from_device_id,
            connection: knock.connection_id,
            message: knock.message_id,
            knock: knock.knock,
        }))
    }

    /// A binary message.
    pub(super) fn handle_frame(&self, frame: &RelayFrame) {
        let mut inner = self.lock();
        match frame {
            RelayFrame::Data { peer, connection, frame } => {
                let key = TransportKey { peer: *peer, connection: *connection };
                let known = inner.signaling.watches(key.peer);
                let room = !inner.stopping && inner.inbox.has_room(known);
                if let ReceiveOutcome::Opened(signals) = inner.transports.handle_data(key, frame, room, known)
                {
                    if !inner.inbox.push(Queued::Incoming(key, signals, known)) {
                        inner.transports.discard(key);
                    }
                    self.events.notify_one();
                }
            }
            RelayFrame::Close { peer, connection, reason } => {
                inner.transports.handle_close(TransportKey { peer: *peer, connection: *connection }, *reason);
            }
        }
        let wake = inner.transports.take_wake();
        drop(inner);
        if wake {
            self.work.notify_one();
        }
    }
}
