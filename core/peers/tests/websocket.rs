//! WebSockets between two devices.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::net::{Ipv4Addr, SocketAddr};

use bytes::{Bytes, BytesMut};
use futures_util::{SinkExt, StreamExt};
use peers::transport::websocket::{AcceptedSocket, DialError, DialOptions, Listener, dial};
use peers::transport::{CloseReason, MAX_TRANSPORT_FRAME, Transport, TransportKind};
use peers_proto::limits::MAX_HANDSHAKES;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{self, Message};

const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

async fn listen() -> (Listener, String) {
    let listener = Listener::bind(ANY).await.unwrap();
    let url = format!("ws://{}", listener.local_addr().unwrap());
    (listener, url)
}

async fn connected() -> (Transport, Transport) {
    let (mut listener, url) = listen().await;
    let options = DialOptions::default();
    let (dialed, accepted) = tokio::join!(dial(&url, &options), listener.accept());
    let ((connection, dialed), AcceptedSocket { connection: seen, transport, .. }) =
        (dialed.unwrap(), accepted.unwrap());
    assert_eq!(connection, seen);
    (dialed, transport)
}

/// A foreign client, connected as a dialer would be.
async fn foreign() -> (tokio_tungstenite::WebSocketStream<TcpStream>, Transport) {
    let (mut listener, url) = listen().await;
    let tcp = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let url = format!("{url}/v1/peer/lan/{}", "00".repeat(16));
    let (client, accepted) = tokio::join!(tokio_tungstenite::client_async(url, tcp), listener.accept());
    (client.unwrap().0, accepted.unwrap().transport)
}

fn pattern(n: u64) -> BytesMut {
    let mut frame = BytesMut::zeroed(16 * 1024);
    frame[..8].copy_from_slice(&n.to_be_bytes());
    frame[16 * 1024 - 8..].copy_from_slice(&(n * 31).to_be_bytes());
    frame
}

// proves S132
#[tokio::test]
async fn a_page_in_a_browser_is_refused() {
    let (mut listener, url) = listen().await;
    let tcp = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let mut request = format!("{url}/v1/peer/lan/{}", "00".repeat(16)).into_client_request().unwrap();
    request.headers_mut().insert("origin", "https://example.com".parse().unwrap());
    let refused = tokio::select! {
        refused = tokio_tungstenite::client_async(request, tcp) => refused,
        _ = listener.accept() => unreachable!(),
    };
    assert!(matches!(refused, Err(tungstenite::Error::Http(response)) if response.status() == 403));
}

// proves S051 S102
#[tokio::test]
async fn both_ends_know_the_connection_and_frames_cross_both_ways() {
    let (a, b) = connected().await;
    assert_eq!((a.route.kind, b.route.kind), (TransportKind::Lan, TransportKind::Lan));
    assert!(a.binding.is_empty() && b.binding.is_empty());
    let run = |mut t: Transport| async move {
        const FRAMES: u64 = 512;
        let send = async {
            for n in 0..FRAMES {
                t.sink.send(pattern(n)).await.unwrap();
            }
            t.sink.flush().await.unwrap();
        };
        let receive = async {
            let mut n = 0;
            while n < FRAMES {
                assert_eq!(t.source.recv().await.unwrap(), pattern(n));
                n += 1;
                while let Some(frame) = t.source.try_recv() {
                    assert_eq!(frame, pattern(n));
                    n += 1;
                }
            }
        };
        tokio::join!(send, receive);
    };
    tokio::join!(run(a), run(b));
}

#[tokio::test]
async fn each_end_reports_one_close_reason() {
    let (mut a, mut b) = connected().await;
    a.sink.send(BytesMut::from(&b"last"[..])).await.unwrap();
    a.sink.close().await;
    assert_eq!(a.source.recv().await, Err(CloseReason::Local));
    assert_eq!(b.source.recv().await.unwrap(), "last");
    for _ in 0..2 {
        assert_eq!(b.source.recv().await, Err(CloseReason::Remote));
    }
    assert_eq!(b.sink.send(BytesMut::new()).await, Err(CloseReason::Remote));

    let (a, mut b) = connected().await;
    drop(a);
    assert!(matches!(b.source.recv().await, Err(CloseReason::Network(_))));
}

#[tokio::test]
async fn what_is_not_a_frame_ends_the_transport() {
    for message in [Message::text("hello"), Message::Binary(Bytes::from(vec![0; MAX_TRANSPORT_FRAME + 1]))] {
        let (mut client, mut transport) = foreign().await;
        // The other side may be gone before all of it is written.
        let _ = client.send(message).await;
        assert!(matches!(transport.source.recv().await, Err(CloseReason::Protocol(_))));
        transport.sink.close().await;
        let goodbye = client.next().await;
        assert!(!matches!(goodbye, Some(Ok(Message::Binary(_) | Message::Text(_)))), "{goodbye:?}");
    }
}

#[tokio::test]
async fn pings_are_answered_and_are_no_frames() {
    let (mut client, mut transport) = foreign().await;
    client.send(Message::Ping(Bytes::from_static(b"?"))).await.unwrap();
    client.send(Message::Binary(Bytes::from_static(b"frame"))).await.unwrap();
    assert_eq!(transport.source.recv().await.unwrap(), "frame");
    transport.sink.flush().await.unwrap();
    assert_eq!(client.next().await.unwrap().unwrap(), Message::Pong(Bytes::from_static(b"?")));
}

#[tokio::test]
async fn unknown_paths_are_refused_and_the_listener_goes_on() {
    let (mut listener, url) = listen().await;
    let address = listener.local_addr().unwrap();
    let stranger = async {
        for path in ["/", "/v1/peer/lan/xyz", "/v1/peer/relay/00000000000000000000000000000000"] {
            let tcp = TcpStream::connect(address).await.unwrap();
            let refused = tokio_tungstenite::client_async(format!("{url}{path}"), tcp).await;
            assert!(refused.is_err(), "{path}");
        }
        dial(&url, &DialOptions::default()).await.unwrap()
    };
    let (_dialed, accepted) = tokio::join!(stranger, listener.accept());
    accepted.unwrap();
}

// Whoever connects and says nothing holds a place, but never keeps others out.
#[tokio::test]
async fn the_oldest_half_open_upgrade_gives_way() {
    let (mut listener, url) = listen().await;
    let address = listener.local_addr().unwrap();
    let dialer = async {
        let mut silent = Vec::new();
        for _ in 0..MAX_HANDSHAKES {
            silent.push(TcpStream::connect(address).await.unwrap());
        }
        let dialed = dial(&url, &DialOptions::default()).await.unwrap();
        let read = silent[0].read(&mut [0; 1]).await;
        assert!(matches!(read, Ok(0) | Err(_)), "the oldest was closed");
        dialed
    };
    let (_dialed, accepted) = tokio::join!(dialer, listener.accept());
    accepted.unwrap();
}

// proves S090
#[tokio::test]
async fn plain_text_stays_in_the_local_network() {
    // Refused before anything is sent: TEST-NET-1 (RFC 5737) leads nowhere.
    let refused = dial("ws://192.0.2.1:9", &DialOptions::default()).await;
    assert_eq!(refused.err(), Some(DialError::Insecure));
    assert_eq!(dial("http://127.0.0.1", &DialOptions::default()).await.err(), Some(DialError::Url));
}

#[tokio::test]
async fn nobody_there_is_a_typed_error() {
    let (listener, url) = listen().await;
    drop(listener);
    assert!(matches!(dial(&url, &DialOptions::default()).await.err(), Some(DialError::Connect(_))));
}
