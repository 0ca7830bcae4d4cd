//! The hostile relay: everything between the devices and a real relay passes through its hands.
#![expect(clippy::unwrap_used, missing_docs, reason = "support of tests")]

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, OnceLock};

use futures_util::{SinkExt, StreamExt};
use peers::DeviceId;
use peers_proto::certificate::DeviceCertificate;
use peers_proto::signaling::{ClientMessage, Registration, RelayFrame, ServerMessage};
use peers_relay::{Relay, RelayConfig};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

/// Messages on their way to one device; a sender of more waits.
const QUEUE: usize = 64;

/// A message from the real relay to a device.
#[derive(Debug, Clone)]
pub enum Told {
    Text(ServerMessage),
    Frame(RelayFrame),
}

/// A message from a device to the relay.
#[derive(Debug, Clone)]
pub enum Said {
    Text(ClientMessage),
    Frame(RelayFrame),
}

/// Something for a device.
#[derive(Debug, Clone)]
pub struct Parcel {
    pub to: DeviceId,
    pub told: Told,
}

/// The device is not at the relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the device has left")]
pub struct Left;

/// The fate of a parcel: itself, nothing, or others.
type Attack = Box<dyn FnMut(Parcel) -> Vec<Parcel> + Send>;

/// A real relay behind a socket that reads and rewrites all. Honest until [`HostileRelay::attack`].
pub struct HostileRelay {
    addr: SocketAddr,
    real: Relay,
    state: Arc<Mutex<State>>,
    _tasks: JoinSet<()>,
}

impl std::fmt::Debug for HostileRelay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HostileRelay").field("addr", &self.addr).finish_non_exhaustive()
    }
}

#[derive(Default)]
struct State {
    attack: Option<Attack>,
    devices: HashMap<DeviceId, mpsc::Sender<Message>>,
    heard: Vec<(DeviceId, Said)>,
}

impl HostileRelay {
    pub async fn start() -> Self {
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = tcp.local_addr().unwrap();
        // The real relay answers to the name under which devices dial the hostile one.
        let bind = "127.0.0.1:0".parse().unwrap();
        let config = RelayConfig { bind, names: vec![addr.to_string()], ..RelayConfig::default() };
        let real = Relay::start(config).await.unwrap();
        let state = Arc::<Mutex<State>>::default();
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(tcp, addr, real.local_addr(), state.clone()));
        Self { addr, real, state, _tasks: tasks }
    }

    pub fn url(&self) -> String {
        format!("ws://{}", self.addr)
    }

    /// A socket to the real relay, dialed under the name the devices use.
    pub async fn socket(&self) -> WebSocketStream<TcpStream> {
        dial(self.addr, self.real.local_addr()).await.unwrap()
    }

    /// From now on every parcel passes through `attack`.
    pub fn attack(&self, attack: impl FnMut(Parcel) -> Vec<Parcel> + Send + 'static) {
        self.state.lock().unwrap().attack = Some(Box::new(attack));
    }

    /// Sends a device something that no other device sent.
    pub async fn tell(&self, parcel: Parcel) -> Result<(), Left> {
        let device = self.state.lock().unwrap().devices.get(&parcel.to).cloned().ok_or(Left)?;
        device.send(parcel.told.encode()).await.map_err(|_| Left)
    }

    /// Everything `device` has said, in order.
    pub fn heard(&self, device: DeviceId) -> Vec<Said> {
        let state = self.state.lock().unwrap();
        state.heard.iter().filter(|(from, _)| *from == device).map(|(_, said)| said.clone()).collect()
    }

    /// The registration of a device.
    pub fn registration(&self, device: DeviceId) -> Registration {
        let registered = self.heard(device).into_iter().find_map(|said| match said {
            Said::Text(ClientMessage::DeviceRegistered(registration)) => Some(registration),
            _ => None,
        });
        registered.unwrap()
    }

    pub fn certificate(&self, device: DeviceId) -> DeviceCertificate {
        DeviceCertificate::decode(&self.registration(device).certificate).unwrap()
    }
}

impl Told {
    fn encode(&self) -> Message {
        match self {
            Self::Text(message) => Message::text(message.to_json().unwrap()),
            Self::Frame(frame) => Message::Binary(frame.encode()),
        }
    }
}

async fn accept(tcp: TcpListener, name: SocketAddr, real: SocketAddr, state: Arc<Mutex<State>>) {
    let mut sockets = JoinSet::new();
    while let Ok((device, _)) = tcp.accept().await {
        sockets.spawn(serve(device, name, real, state.clone()));
    }
}

async fn dial(name: SocketAddr, real: SocketAddr) -> Option<WebSocketStream<TcpStream>> {
    let tcp = TcpStream::connect(real).await.ok()?;
    let (socket, _) = tokio_tungstenite::client_async(format!("ws://{name}/v1"), tcp).await.ok()?;
    Some(socket)
}

/// One device, until either side closes.
async fn serve(device: TcpStream, name: SocketAddr, real: SocketAddr, state: Arc<Mutex<State>>) {
    let Ok(socket) = tokio_tungstenite::accept_async(device).await else { return };
    let Some(relay) = dial(name, real).await else { return };
    let (mut to_device, mut from_device) = socket.split();
    let (mut to_relay, mut from_relay) = relay.split();
    let (queue, mut mail) = mpsc::channel(QUEUE);
    let device = OnceLock::new();
    tokio::select! {
        () = async {
            while let Some(Ok(message)) = from_device.next().await {
                state.lock().unwrap().hear(&device, &queue, &message);
                // Each side of this relay answers its own pings.
                if !message.is_ping() && !message.is_pong() && to_relay.send(message).await.is_err() {
                    break;
                }
            }
        } => {}
        () = async {
            while let Some(Ok(message)) = from_relay.next().await {
                let mail = match device.get() {
                    Some(device) => state.lock().unwrap().pass_on(*device, &queue, message),
                    None => vec![(queue.clone(), message)],
                };
                for (queue, message) in mail {
                    // A device that has left does not get its mail.
                    let _ = queue.send(message).await;
                }
            }
        } => {}
        () = async {
            while let Some(message) = mail.recv().await {
                if to_device.send(message).await.is_err() {
                    break;
                }
            }
        } => {}
    }
}

impl State {
    fn hear(&mut self, device: &OnceLock<DeviceId>, queue: &mpsc::Sender<Message>, message: &Message) {
        let said = match message {
            Message::Text(text) => Said::Text(ClientMessage::from_json(text).unwrap()),
            Message::Binary(bytes) => Said::Frame(RelayFrame::decode(bytes).unwrap()),
            _ => return,
        };
        if let Said::Text(ClientMessage::DeviceRegistered(registration)) = &said {
            device.set(registration.device_id).unwrap();
            self.devices.insert(registration.device_id, queue.clone());
        }
        self.heard.push((*device.get().unwrap(), said));
    }

    fn pass_on(
        &mut self,
        to: DeviceId,
        queue: &mpsc::Sender<Message>,
        message: Message,
    ) -> Vec<(mpsc::Sender<Message>, Message)> {
        let told = match &message {
            Message::Text(text) => Told::Text(ServerMessage::from_json(text).unwrap()),
            Message::Binary(bytes) => Told::Frame(RelayFrame::decode(bytes).unwrap()),
            Message::Ping(_) | Message::Pong(_) => return Vec::new(),
            _ => return vec![(queue.clone(), message)],
        };
        let Some(attack) = &mut self.attack else { return vec![(queue.clone(), message)] };
        let parcels = attack(Parcel { to, told });
        parcels.iter().map(|parcel| (self.devices[&parcel.to].clone(), parcel.told.encode())).collect()
    }
}
