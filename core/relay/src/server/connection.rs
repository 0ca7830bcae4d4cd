//! One TCP connection: a request that is answered, or becomes a socket.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::StatusCode;
use hyper::header::{self, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::upgrade::{OnUpgrade, Parts};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::App;
use super::routes;
use super::shared::{ConnectionSignals, ServerShared};
use super::socket;
use crate::broker::SocketId;

/// From the first byte to the answer or the upgrade. A phone on a bad link takes a second; what takes longer holds a
/// descriptor for nothing.
const REQUEST: Duration = Duration::from_secs(10);
/// Bytes of a request's head: what a browser and a proxy together add stays far below.
const MAX_HEAD: usize = 16 * 1024;
/// Bytes the kernel takes beyond what is under way to the device: more only adds to what is late.
const UNSENT: u32 = 128 * 1024;

/// A connection's place among those the broker counts, until it is dropped.
struct ConnectionPlace<'a> {
    shared: &'a ServerShared,
    id: SocketId,
}

impl Drop for ConnectionPlace<'_> {
    fn drop(&mut self) {
        self.shared.close(self.id);
    }
}

/// A connection that is a WebSocket now.
pub(super) struct Upgraded {
    pub(super) tcp: TcpStream,
    /// Facts of the request.
    pub(super) early: Vec<u8>,
    /// The device's own address, wherever the connection comes from.
    pub(super) ip: IpAddr,
}

/// The request's answer, and where to look for the WebSocket.
pub(super) type Upgrade = Mutex<Option<(OnUpgrade, IpAddr)>>;

pub(super) async fn serve(app: Arc<App>, tcp: TcpStream, peer: SocketAddr) {
    let Ok((id, signals)) = app.shared.accept(peer.ip()) else { return };
    let place = ConnectionPlace { shared: &app.shared, id };
    prepare(&tcp);
    // On the heap, so that a socket, which may live for days, has no room for the request in its task.
    let upgraded = Box::pin(answer(&app, tcp, peer, &signals)).await;
    if let Some(upgraded) = upgraded {
        socket::run(&app, place.id, &signals, upgraded).await;
    }
}

/// Answers one request.
async fn answer(
    app: &App,
    tcp: TcpStream,
    peer: SocketAddr,
    signals: &ConnectionSignals,
) -> Option<Upgraded> {
    let upgrade = Upgrade::default();
    let service = service_fn(|request| {
        let mut answer = routes::answer(app, request, peer, &upgrade);
        if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
            // One request per connection: a second one would have to be waited for.
            answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        std::future::ready(Ok::<_, Infallible>(answer))
    });
    let http = http1::Builder::new()
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(tcp), service)
        .with_upgrades();
    tokio::select! {
        served = tokio::time::timeout(REQUEST, http) => match served {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "request failed"),
            Err(_) => tracing::debug!("request timed out"),
        },
        () = signals.cut.notified() => tracing::debug!("request cut"),
    }
    let (upgrade, ip) = upgrade.into_inner().unwrap_or_else(PoisonError::into_inner)?;
    let Parts { io, read_buf, .. } = upgrade.await.ok()?.downcast::<TokioIo<TcpStream>>().ok()?;
    Some(Upgraded { tcp: io.into_inner(), early: read_buf.into(), ip })
}

fn prepare(tcp: &TcpStream) {
    // Signaling is small messages that wait for nothing; relayed data is batched before it is written.
    if let Err(error) = tcp.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY not set");
    }
    #[cfg(any(target_os = "linux", target_os = "android"))]
    if let Err(error) = socket2::SockRef::from(tcp).set_tcp_notsent_lowat(UNSENT) {
        tracing::debug!(%error, "TCP_NOTSENT_LOWAT not set");
    }
}
