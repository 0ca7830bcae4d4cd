//! The HTTP side: `/v1`, `/health`, `/metrics`.

use std::net::{IpAddr, SocketAddr};
use std::sync::PoisonError;

use hyper::body::Incoming;
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use peers_proto::signaling;
use tungstenite::handshake::server::create_response_with_body;

use super::App;
use super::connection::Upgrade;

/// The answer to a request from `peer`. One for a WebSocket leaves its later half in `upgrade`.
pub(super) fn answer(
    app: &App,
    mut request: Request<Incoming>,
    peer: SocketAddr,
    upgrade: &Upgrade,
) -> Response<String> {
    if ![Method::GET, Method::HEAD].contains(request.method()) {
        return status(StatusCode::METHOD_NOT_ALLOWED);
    }
    match request.uri().path() {
        signaling::PATH => match create_response_with_body(&request, String::new) {
            Ok(answer) => {
                let forwarded = forwarded_for(request.headers()).filter(|_| app.trust_forwarded_for);
                let socket = (hyper::upgrade::on(&mut request), forwarded.unwrap_or(peer.ip()));
                *upgrade.lock().unwrap_or_else(PoisonError::into_inner) = Some(socket);
                answer
            }
            Err(error) => {
                tracing::debug!(%error, "upgrade refused");
                status(StatusCode::BAD_REQUEST)
            }
        },
        "/health" => Response::new("ok\n".to_owned()),
        "/metrics" => {
            let mut answer = Response::new(app.metrics.render(&app.shared.stats()));
            let text = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
            answer.headers_mut().insert(header::CONTENT_TYPE, text);
            answer
        }
        _ => status(StatusCode::NOT_FOUND),
    }
}

fn status(status: StatusCode) -> Response<String> {
    let mut answer = Response::default();
    *answer.status_mut() = status;
    answer
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
