//! The life of a relay client: connect, register, pump, wait, again.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::{Arc, OnceLock};

use futures_util::future::FutureExt as _;
use peers_proto::signaling::{Challenge, IceServers};
use peers_proto::time::Instant;
use peers_proto::{limits, signaling, timing};
use rustls::ClientConfig;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_util::sync::CancellationToken;

use super::RelayClientConfig;
use super::error::RelayError;
use super::learned::Learned;
use super::pump::{SocketEnd, pump};
use super::reconnect::Reconnect;
use super::register::{challenge, register};
use super::shared::RelayShared;
use super::state::{Disconnect, RelayState};
use crate::random;
use crate::transport::CloseReason;
use crate::transport::websocket::{DialError, Endpoint, Race, Socket, upgrade};

/// Owns the client's only task. Dropping it ends everything at once.
#[derive(Debug)]
pub struct RelayTask {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl RelayTask {
    pub(super) fn spawn(dialer: RelayDialer, shared: Arc<RelayShared>) -> Self {
        let stop = CancellationToken::new();
        let task = tokio::spawn(run(dialer, StopGuard(shared), stop.clone()).boxed());
        Self { stop, task }
    }

    /// Closes every transport, tells the relay, and ends; takes at most [`timing::CLOSE_GRACE`] and what the
    /// operating system needs.
    pub async fn shutdown(mut self) {
        self.stop.cancel();
        if let Err(error) = (&mut self.task).await
            && error.is_panic()
        {
            tracing::error!("relay task panicked");
        }
    }
}

impl Drop for RelayTask {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The inputs of a connection to the relay.
pub(super) struct RelayDialer {
    pub(super) config: RelayClientConfig,
    pub(super) endpoint: Endpoint,
    pub(super) server_name: String,
    pub(super) tls: Arc<ClientConfig>,
}

impl RelayDialer {
    async fn register(&self, learned: &Learned) -> Result<(Socket, IceServers), Disconnect> {
        let addresses = self.config.clock.timeout(timing::DIAL_TIMEOUT, self.endpoint.resolve()).await;
        let addresses = addresses.unwrap_or_else(|| Err(DialError::Resolve("timed out".into())))?;
        self.register_at(&addresses, learned).await
    }

    /// Registers at the first of the relay's addresses that lets it. One at a time: a relay ends the registration before.
    async fn register_at(
        &self,
        addresses: &[SocketAddr],
        learned: &Learned,
    ) -> Result<(Socket, IceServers), Disconnect> {
        let clock = &self.config.clock;
        let mut race = Race::new(clock, addresses, learned.address(), |tcp| self.greet(tcp));
        let mut failed: Option<Disconnect> = None;
        while let Some((address, greeted)) = race.next().await {
            let registered = match greeted {
                Ok((socket, challenge)) => self.answer(socket, challenge).await,
                Err(reason) => Err(reason),
            };
            match registered {
                Ok(registered) => {
                    learned.handle_registered(address);
                    return Ok(registered);
                }
                Err(reason) => {
                    tracing::debug!(family = if address.is_ipv4() { 4 } else { 6 }, %reason, "address failed");
                    failed = Some(failed.map_or(reason.clone(), |failed| failed.furthest(reason)));
                }
            }
        }
        Err(failed.unwrap_or(Disconnect::Silent))
    }

    /// From TCP to the relay's first words.
    async fn greet(&self, tcp: TcpStream) -> Result<(Socket, Challenge), Disconnect> {
        // Relay frames are smaller than signaling messages.
        let config = WebSocketConfig::default()
            .max_message_size(Some(limits::MAX_SIGNALING))
            .max_frame_size(Some(limits::MAX_SIGNALING))
            .write_buffer_size(limits::RELAY_BATCH);
        let path = match self.endpoint.path() {
            "" => signaling::PATH,
            path => path,
        };
        let mut socket = upgrade(&self.endpoint.url(path), tcp, config, self.tls.clone()).await?;
        let challenge = challenge(&mut socket).await?;
        Ok((socket, challenge))
    }

    async fn answer(
        &self,
        mut socket: Socket,
        challenge: Challenge,
    ) -> Result<(Socket, IceServers), Disconnect> {
        let accepted = register(&mut socket, &challenge, &self.config, &self.server_name);
        let accepted = self.config.clock.timeout(timing::REGISTRATION_TIMEOUT, accepted).await;
        Ok((socket, accepted.ok_or(Disconnect::Silent)??))
    }

    /// One registration from its beginning to its end; `since` tells when it was accepted.
    async fn serve(&self, shared: &RelayShared, learned: &Learned, since: &OnceLock<Instant>) -> SocketEnd {
        learned.arrive(shared.network());
        // A change of network leaves a half-made connection behind on the old one: begin again.
        let (socket, ice) = tokio::select! {
            begun = self.register(learned) => match begun {
                Ok(begun) => begun,
                Err(lost) => {
                    learned.handle_failed();
                    return SocketEnd::Lost(lost);
                }
            },
            () = shared.any_network_change() => return SocketEnd::Lost(Disconnect::NetworkChanged),
        };
        since.get_or_init(|| self.config.clock.now());
        shared.handle_registered(ice);
        tokio::select! {
            end = pump(shared, learned, socket) => end,
            () = shared.another_network() => SocketEnd::Lost(Disconnect::NetworkChanged),
        }
    }

    /// Lets `serve` write what waits, if the relay reads. A relay that does not read it sees the socket end.
    async fn say_goodbye(&self, shared: &RelayShared, serve: impl Future<Output = SocketEnd>) {
        shared.begin_stop();
        if *shared.state().borrow() == RelayState::Registered {
            let _ = self.config.clock.timeout(timing::CLOSE_GRACE, serve).await;
        }
    }
}

/// Ends the shared state with the task, however the task ends.
struct StopGuard(Arc<RelayShared>);

impl Drop for StopGuard {
    fn drop(&mut self) {
        self.0.end(RelayError::Stopped);
    }
}

async fn run(dialer: RelayDialer, ending: StopGuard, stop: CancellationToken) {
    let shared = &*ending.0;
    let clock = &dialer.config.clock;
    let learned = Learned::default();
    let mut reconnect = Reconnect::default();
    loop {
        shared.set_state(RelayState::Connecting);
        let since = OnceLock::new();
        let mut serve = pin!(dialer.serve(shared, &learned, &since));
        let end = tokio::select! {
            end = &mut serve => end,
            () = stop.cancelled() => return dialer.say_goodbye(shared, serve).await,
            () = shared.asleep(true) => {
                dialer.say_goodbye(shared, serve).await;
                shared.handle_lost(&CloseReason::Local);
                shared.set_state(RelayState::Suspended);
                tokio::select! {
                    () = shared.asleep(false) => {}
                    () = stop.cancelled() => return,
                }
                shared.end_stop();
                reconnect.reset();
                continue;
            }
        };
        let reason = match end {
            SocketEnd::Lost(reason) => reason,
            SocketEnd::Superseded => {
                shared.handle_lost(&CloseReason::Network(RelayError::Superseded.to_string()));
                shared.end(RelayError::Superseded);
                tokio::select! {
                    () = shared.reclaimed() => {}
                    () = stop.cancelled() => return,
                }
                reconnect.reset();
                continue;
            }
            SocketEnd::Stopped => return,
        };
        shared.handle_lost(&CloseReason::Network(format!("the relay is gone: {reason}")));
        if reason == Disconnect::NetworkChanged {
            reconnect.reset();
            continue;
        }
        if since.get().is_some_and(|since| clock.now() - *since >= timing::RECONNECT_STABLE) {
            reconnect.reset();
        }
        let retry_in = match reason {
            _ if reason.is_for_the_operator() => timing::NOT_ADMITTED_RETRY,
            _ => reconnect.failed(u32::from_ne_bytes(random::array())),
        };
        tracing::debug!(%reason, ?retry_in, "relay lost");
        shared.set_state(RelayState::Waiting { retry_in, reason });
        tokio::select! {
            () = clock.sleep(retry_in) => {}
            () = shared.any_network_change() => reconnect.reset(),
            () = shared.asleep(true) => {}
            () = stop.cancelled() => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::{SinkExt, StreamExt};
    use peers_proto::certificate::DeviceCertificate;
    use peers_proto::keys::{DeviceKeys, UserKeys};
    use peers_proto::signaling::{ErrorCode, ServerMessage};
    use peers_proto::time::UnixTime;
    use peers_relay::Relay;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio_tungstenite::tungstenite::Message;

    use super::*;
    use crate::clock::Clock;
    use crate::transport::websocket::public_roots;

    const LOCALHOST: (&str, u16) = ("127.0.0.1", 0);

    /// The behaviour of an address that accepts TCP and is no way to the relay.
    #[derive(Debug, Clone, Copy)]
    enum Wrong {
        /// Nothing: TLS or the upgrade never ends.
        Mute,
        HangsUp,
        NotFound,
        /// The upgrade, and no challenge.
        NoChallenge,
        AnotherRelay,
        Refuses,
        /// The challenge, and no answer to it.
        NoAnswer,
    }

    /// Serves wrongly for ever.
    async fn wrong(kind: Wrong) -> SocketAddr {
        let tcp = TcpListener::bind(LOCALHOST).await.unwrap();
        let address = tcp.local_addr().unwrap();
        tokio::spawn(async move {
            let mut held = Vec::new();
            loop {
                let (mut tcp, _) = tcp.accept().await.unwrap();
                match kind {
                    Wrong::Mute => held.push(tcp),
                    Wrong::HangsUp => drop(tcp),
                    Wrong::NotFound => {
                        let _ = tcp.read(&mut [0; 1024]).await;
                        let _ = tcp.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n").await;
                    }
                    _ => drop(tokio::spawn(misbehave(kind, tcp))),
                }
            }
        });
        address
    }

    async fn misbehave(kind: Wrong, tcp: TcpStream) {
        let mut socket = tokio_tungstenite::accept_async(tcp).await.unwrap();
        let name = if matches!(kind, Wrong::AnotherRelay) { "another.example.com" } else { "relay.test" };
        let challenge = ServerMessage::Challenge(Challenge { nonce: [7; 32], server_name: name.into() });
        if !matches!(kind, Wrong::NoChallenge) {
            let _ = socket.send(Message::text(challenge.to_json().unwrap())).await;
        }
        while let Some(Ok(_)) = socket.next().await {
            if matches!(kind, Wrong::Refuses | Wrong::AnotherRelay) {
                let (code, text) = (ErrorCode::Denied, String::new());
                let refusal = ServerMessage::Error { code, text, about: None };
                let _ = socket.send(Message::text(refusal.to_json().unwrap())).await;
            }
        }
    }

    fn dialer(clock: Clock) -> RelayDialer {
        let keys = Arc::new(DeviceKeys::from_seed([1; 32]));
        let user = UserKeys::from_seed([1; 32]);
        let certificate = DeviceCertificate::issue(&user, &keys, UnixTime(1), "phone").unwrap();
        let url = "ws://relay.test".to_owned();
        RelayDialer {
            endpoint: Endpoint::parse(&url).unwrap(),
            server_name: "relay.test".into(),
            tls: public_roots(),
            config: RelayClientConfig { url, keys, certificate, clock, tls: None, token: None, open: false },
        }
    }

    /// The outcome, and its time by the clock, which goes on in steps while anything waits for it.
    async fn timed<T>(clock: &Clock, work: impl Future<Output = T>) -> (T, Duration) {
        let begun = clock.now();
        let passes = async {
            loop {
                tokio::time::sleep(Duration::from_millis(20)).await;
                clock.advance(Duration::from_millis(250));
            }
        };
        tokio::select! {
            done = work => (done, clock.now() - begun),
            () = passes => unreachable!(),
        }
    }

    #[tokio::test]
    async fn an_address_that_answers_wrongly_gives_way_to_the_next_which_is_the_first_from_then_on() {
        let names = vec!["relay.test".to_owned()];
        let config =
            peers_relay::RelayConfig { bind: ([127, 0, 0, 1], 0).into(), names, ..Default::default() };
        let relay = Relay::start(config).await.unwrap();
        for (kind, at_most) in [
            (Wrong::HangsUp, Duration::ZERO),
            (Wrong::NotFound, Duration::ZERO),
            (Wrong::AnotherRelay, Duration::ZERO),
            (Wrong::Refuses, Duration::ZERO),
            (Wrong::Mute, timing::ANSWER_PATIENCE),
            (Wrong::NoChallenge, timing::ANSWER_PATIENCE),
            (Wrong::NoAnswer, timing::REGISTRATION_TIMEOUT),
        ] {
            let clock = Clock::manual();
            let (dialer, learned) = (dialer(clock.clone()), Learned::default());
            let addresses = [wrong(kind).await, relay.local_addr()];
            let (registered, took) = timed(&clock, dialer.register_at(&addresses, &learned)).await;
            assert!(registered.is_ok(), "{kind:?}: {:?}", registered.err());
            // Real sockets: a busy machine needs some of this clock's time.
            assert!(took <= at_most + Duration::from_secs(3), "{kind:?}: {took:?}");
            assert_eq!(learned.address(), Some(relay.local_addr()), "{kind:?}");
            // This clock stands still: waiting for the first address would never end.
            tokio::time::timeout(Duration::from_secs(60), dialer.register_at(&addresses, &learned))
                .await
                .unwrap()
                .unwrap();
        }
    }

    #[tokio::test]
    async fn of_addresses_that_are_all_wrong_the_one_that_got_furthest_says_why() {
        let clock = Clock::manual();
        let dialer = dialer(clock.clone());
        let addresses = [wrong(Wrong::NotFound).await, wrong(Wrong::Refuses).await, wrong(Wrong::Mute).await];
        let outcome = timed(&clock, dialer.register_at(&addresses, &Learned::default())).await.0;
        assert_eq!(outcome.err(), Some(Disconnect::Refused(ErrorCode::Denied)));
    }
}
