//! Outputs to sockets, and the ends of sockets.

use peers_proto::id::DeviceId;
use peers_proto::signaling::{ErrorCode, MessageId, ServerMessage, close_code};

use super::outbox::SocketOutbox;
use super::{Broker, Outbound, SocketId};

impl Broker {
    /// A socket that has output waiting; each once until its output was taken.
    pub fn poll_output(&mut self) -> Option<SocketId> {
        self.ready.pop_front()
    }

    /// A connection to end now, whatever it is doing: it does not read, or others need its place.
    pub fn poll_cut(&mut self) -> Option<SocketId> {
        self.cut.pop_front()
    }

    /// Moves about `bytes` of the socket's output into `batch`; call until nothing comes, and only after what was taken
    /// before is written. Messages of other devices take at most half of it while relayed data waits.
    pub fn take_output(&mut self, id: SocketId, bytes: usize, batch: &mut Vec<Outbound>) {
        let Some(socket) = self.sockets.get_mut(&id) else { return };
        socket.ready = false;
        let reader = socket.reader();
        let mut taken = self.outbox(id, |outbox| {
            outbox.handle_written();
            outbox.take_own(batch)
        });
        let mail = match self.sockets.get(&id).is_some_and(|s| s.outbox.has_data()) {
            true => (bytes / 2).max(1),
            false => bytes,
        };
        while taken < mail
            && let Some((message, cost)) = reader.and_then(|device| self.mail.pop(device))
        {
            self.outbox(id, |outbox| outbox.handle_taken(cost));
            taken += cost;
            batch.push(Outbound::Text(message));
        }
        self.outbox(id, |outbox| {
            outbox.take_data(bytes.saturating_sub(taken), batch);
        });
        if !reader.is_some_and(|device| self.mail.has_letters(device)) {
            self.outbox(id, |outbox| outbox.take_last(batch));
        }
    }

    /// Something of the relay's own.
    pub(super) fn send(&mut self, id: SocketId, outbound: Outbound) {
        if self.sockets.get(&id).is_none_or(|s| s.closing) {
            return;
        }
        if self.outbox(id, |outbox| outbox.push_own(outbound)) {
            self.wake(id);
        } else {
            self.slow.push(id);
        }
    }

    pub(super) fn send_presence(&mut self, id: SocketId, device: DeviceId, online: bool) {
        if self.sockets.get(&id).is_some_and(|s| !s.closing) {
            self.outbox(id, |outbox| outbox.push_presence(device, online));
            self.wake(id);
        }
    }

    /// Changes an outbox, and what all of them hold. Without a socket nothing happens.
    pub(super) fn outbox<R: Default>(
        &mut self,
        id: SocketId,
        change: impl FnOnce(&mut SocketOutbox) -> R,
    ) -> R {
        let Some(socket) = self.sockets.get_mut(&id) else { return R::default() };
        let outbox = &mut socket.outbox;
        let before = (outbox.messages_held(), outbox.data_held());
        let result = change(outbox);
        self.messages_held = self.messages_held + outbox.messages_held() - before.0;
        self.data_held = self.data_held + outbox.data_held() - before.1;
        result
    }

    /// Tells the device what it did wrong, and closes.
    pub(super) fn fault(&mut self, id: SocketId, code: ErrorCode, text: &str, about: Option<MessageId>) {
        self.counters.violations += 1;
        let close = if code == ErrorCode::TooLarge { close_code::TOO_LARGE } else { close_code::POLICY };
        let error = ServerMessage::Error { code, text: text.to_owned(), about };
        self.close(id, Some(error), close, "see the error message");
    }

    /// Ends the registration now and the socket after the relay's messages, the last of which is `last`.
    pub(super) fn close(
        &mut self,
        id: SocketId,
        last: Option<ServerMessage>,
        code: u16,
        reason: &'static str,
    ) {
        self.leave(id);
        let Some(socket) = self.sockets.get_mut(&id) else { return };
        socket.closing = true;
        self.outbox(id, |outbox| {
            outbox.abandon_data();
            outbox.close(last, code, reason);
        });
        self.wake(id);
    }

    pub(super) fn wake(&mut self, id: SocketId) {
        if let Some(socket) = self.sockets.get_mut(&id)
            && !std::mem::replace(&mut socket.ready, true)
        {
            self.ready.push_back(id);
        }
    }
}
