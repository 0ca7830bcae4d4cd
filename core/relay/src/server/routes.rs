//! The HTTP side: `/v1`, `/health`, `/metrics`.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::State;
use axum::extract::ws::WebSocketUpgrade;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router};
use peers_proto::{limits, signaling};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::connection::Connection;
use super::metrics::Metrics;
use super::shared::Shared;
use super::socket;

/// Bytes a socket has for what it reads, from its first moment on: room for a message. A larger one makes room for itself
/// while it arrives, so that relayed data is no slower for it.
const READ_BUFFER: usize = 4 * 1024;
/// Bytes that are written to a socket at once. The buffer grows to this and one message, and stays so: larger ones made
/// relayed data no faster.
const WRITE_BUFFER: usize = 32 * 1024;

#[derive(Clone)]
pub(super) struct App {
    pub(super) shared: Arc<Shared>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) tasks: TaskTracker,
    pub(super) running: CancellationToken,
    pub(super) trust_forwarded_for: bool,
}

pub(super) fn router(app: App) -> Router {
    Router::new()
        .route(signaling::PATH, get(open))
        .route("/health", get(async || "ok\n"))
        .route("/metrics", get(metrics))
        .with_state(app)
}

async fn open(
    State(app): State<App>,
    Extension(Connection { place, peer }): Extension<Connection>,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Response {
    let ip = if app.trust_forwarded_for { forwarded_for(&headers) } else { None }.unwrap_or(peer.ip());
    let host = headers.get(header::HOST).and_then(|h| h.to_str().ok()).map(str::to_owned);
    // Twice the limit, so that what is a little above it is told so; what is far above just ends.
    let upgrade =
        upgrade.max_message_size(2 * limits::MAX_SIGNALING).max_frame_size(2 * limits::MAX_SIGNALING);
    let upgrade = upgrade.read_buffer_size(READ_BUFFER).write_buffer_size(WRITE_BUFFER);
    let App { shared, tasks, running, .. } = app;
    upgrade.on_upgrade(move |socket| {
        tasks.track_future(async move {
            running.run_until_cancelled(socket::run(shared, place, socket, ip, host)).await;
        })
    })
}

async fn metrics(State(app): State<App>) -> impl IntoResponse {
    let text = app.metrics.render(&app.shared.stats());
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text)
}

/// The address the nearest proxy saw: the last entry. Those before it are whatever the device wrote.
fn forwarded_for(headers: &HeaderMap) -> Option<IpAddr> {
    let last = headers.get_all("x-forwarded-for").iter().next_back()?;
    last.to_str().ok()?.rsplit(',').next()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_nearest_proxys_word_counts() {
        let mut headers = HeaderMap::new();
        assert_eq!(forwarded_for(&headers), None);
        headers.append("x-forwarded-for", "10.9.9.9, 192.0.2.1".parse().unwrap());
        assert_eq!(forwarded_for(&headers), Some([192, 0, 2, 1].into()));
        headers.append("x-forwarded-for", "2001:db8::1".parse().unwrap());
        assert_eq!(forwarded_for(&headers), Some("2001:db8::1".parse().unwrap()));
    }
}
