//! Messages on their way from the session to its app.

use std::sync::Arc;

use peers_proto::session::{self, Encoding};

use super::message::Message;
use super::packing::unpack;
use super::shared::{Shared, State};
use crate::error::Error;

/// The next message for an app that wants one.
enum Next {
    Plain(session::ReceivedMessage),
    /// It waits in the session until it is decompressed, so that nothing is lost if the app stops waiting.
    Packed(session::ReceivedMessage),
    /// Another task of the app decompresses it.
    Taken,
    Nothing,
}

impl State {
    fn next_message(&mut self) -> Next {
        if self.front_is_taken {
            return Next::Taken;
        }
        match self.multipath.session.peek_message() {
            None => Next::Nothing,
            Some(message) if message.object.encoding == Encoding::Plain => {
                self.multipath.session.next_message().map_or(Next::Nothing, Next::Plain)
            }
            Some(message) => {
                let message = message.clone();
                self.front_is_taken = true;
                Next::Packed(message)
            }
        }
    }
}

/// Waits for the next message. Nothing is lost if the future is dropped.
pub(super) async fn recv(shared: &Arc<Shared>) -> Result<Message, Error> {
    loop {
        let some = shared.signals.messages.notified();
        tokio::pin!(some);
        some.as_mut().enable();
        let (next, ended) = shared.inspect(|s| (s.next_message(), s.ended.clone()));
        match (next, ended) {
            (Next::Plain(message), _) => {
                return Ok(Message { group: message.group, body: message.object.content });
            }
            (Next::Packed(message), _) => {
                if let Some(message) = unpack_front(shared, message).await? {
                    return Ok(message);
                }
            }
            (Next::Nothing, Some(ended)) => return Err(ended.error()),
            (Next::Nothing | Next::Taken, _) => some.await,
        }
    }
}

/// Up to `max` messages that are there and need no work.
pub(super) fn take_plain(shared: &Shared, max: usize) -> Vec<Message> {
    shared.inspect(|s| {
        let plain = |s: &State| !s.front_is_taken && s.multipath.session.peek_message().is_some_and(is_plain);
        let mut messages = Vec::new();
        while messages.len() < max
            && plain(s)
            && let Some(session::ReceivedMessage { group, object }) = s.multipath.session.next_message()
        {
            messages.push(Message { group, body: object.content });
        }
        messages
    })
}

fn is_plain(message: &session::ReceivedMessage) -> bool {
    message.object.encoding == Encoding::Plain
}

/// Decompresses the message that is next, and takes it. `None` if its group was withdrawn meanwhile.
async fn unpack_front(shared: &Shared, message: session::ReceivedMessage) -> Result<Option<Message>, Error> {
    let _place = Place(shared);
    let session::ReceivedMessage { group, object } = message;
    let content = object.content.clone();
    let body = unpack(shared, object).await;
    let taken = shared.inspect(|s| {
        let same = |front: &session::ReceivedMessage| front.object.content.as_ptr() == content.as_ptr();
        s.multipath.session.peek_message().is_some_and(same) && s.multipath.session.next_message().is_some()
    });
    if taken { body.map(|body| Some(Message { group, body })) } else { Ok(None) }
}

/// The right to the message that is next.
struct Place<'a>(&'a Shared);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.lock().front_is_taken = false;
        self.0.signals.messages.notify_waiters();
    }
}
