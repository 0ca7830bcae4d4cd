//! One TCP connection: a request that is answered, or becomes a socket.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tower_service::Service;

use super::shared::{Shared, Signals};
use crate::broker::SocketId;

/// From the first byte to the answer or the upgrade. A phone on a bad link takes a second; what takes longer holds a
/// descriptor for nothing.
const REQUEST: Duration = Duration::from_secs(10);
/// Bytes of a request's head: what a browser and a proxy together add stays far below.
const MAX_HEAD: usize = 16 * 1024;
/// Bytes the kernel takes beyond what is under way to the device: more only adds to what is late.
const UNSENT: u32 = 128 * 1024;

/// A connection's place among those the broker counts, until the last clone of its [`Arc`] is dropped.
#[derive(Debug)]
pub(super) struct Place {
    shared: Arc<Shared>,
    pub(super) id: SocketId,
    pub(super) signals: Arc<Signals>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.shared.close(self.id);
    }
}

/// Travels with the request to whatever answers it.
#[derive(Debug, Clone)]
pub(super) struct Connection {
    pub(super) place: Arc<Place>,
    pub(super) peer: SocketAddr,
}

pub(super) async fn serve(shared: Arc<Shared>, router: Router, tcp: TcpStream, peer: SocketAddr) {
    let Ok((id, signals)) = shared.accept(peer.ip()) else { return };
    let place = Arc::new(Place { shared, id, signals: signals.clone() });
    prepare(&tcp);
    let connection = Connection { place, peer };
    let service = hyper::service::service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(connection.clone());
        let answer = router.clone().call(request);
        async {
            let mut answer = answer.await?;
            if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
                // One request per connection: a second one would have to be waited for.
                answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, Infallible>(answer)
        }
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
}

fn prepare(tcp: &TcpStream) {
    // Signaling is small messages that wait for nothing; relayed data is batched before it is written.
    if let Err(error) = tcp.set_nodelay(true) {
        tracing::debug!(%error, "no TCP_NODELAY");
    }
    #[cfg(any(target_os = "linux", target_os = "android"))]
    if let Err(error) = socket2::SockRef::from(tcp).set_tcp_notsent_lowat(UNSENT) {
        tracing::debug!(%error, "no TCP_NOTSENT_LOWAT");
    }
}
