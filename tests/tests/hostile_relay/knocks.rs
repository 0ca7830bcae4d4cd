//! A relay that keeps knocks.

use std::sync::{Arc, Mutex};

use peers::{Client, DeviceId, Event, Events, Transports, random};
use peers_proto::id::ConnectionId;
use peers_proto::signaling::{Knock, MessageId, ServerMessage, knock};
use peers_tests::hostile_relay::{HostileRelay, Parcel, Told};
use peers_tests::party::Party;

use crate::world::within;

const RELAY: Transports = Transports { webrtc: false, relay: true };

/// A device whose app is asked about every stranger.
async fn start(relay: &HostileRelay) -> (Client, Events) {
    let builder = Client::builder().relay(relay.url()).loopback(true).transports(RELAY);
    let (client, events) = builder.start().await.unwrap();
    within(client.watch_state().wait_for(|s| *s == peers::ClientState::Online)).await.unwrap();
    (client, events)
}

/// The next device that the app is asked about, and refuses.
async fn refused(events: &mut Events) -> DeviceId {
    loop {
        if let Event::Incoming(incoming) = within(events.next()).await.unwrap() {
            let device = incoming.device();
            incoming.reject();
            return device;
        }
    }
}

fn of_a_stranger(to: DeviceId) -> (DeviceId, Knock) {
    let stranger = Party::new("stranger").unwrap();
    let connection_id = ConnectionId::from_bytes(random::array());
    let knock = Knock {
        connection_id,
        from_device_id: stranger.id(),
        to_device_id: to,
        message_id: MessageId::from_bytes(random::array()),
        knock: knock::make(&stranger.keys, &stranger.certificate, to, connection_id),
        queued: false,
    };
    (stranger.id(), knock)
}

// Knocks have no expiry: their recipient remembers them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_is_asked_once_about_a_knock_however_often_it_is_repeated() {
    let relay = HostileRelay::start().await;
    let kept = Arc::<Mutex<Option<Knock>>>::default();
    relay.attack({
        let kept = kept.clone();
        move |parcel| {
            if let Told::Text(ServerMessage::Knock(knock)) = &parcel.told {
                kept.lock().unwrap().get_or_insert(knock.clone());
            }
            vec![parcel]
        }
    });
    let ((a, _at_a), (b, mut at_b)) = (start(&relay).await, start(&relay).await);
    let (caller, called) = (a.device_id(), b.device_id());
    let dialing = tokio::spawn({
        let a = a.clone();
        async move { a.session(called).await.map(drop) }
    });
    assert_eq!(refused(&mut at_b).await, caller);
    let kept = kept.lock().unwrap().clone().unwrap();
    let mut asked = Vec::new();
    for _ in 0..4 {
        let again = Knock { message_id: MessageId::from_bytes(random::array()), ..kept.clone() };
        let (stranger, of_stranger) = of_a_stranger(called);
        for knock in [again, of_stranger] {
            let told = Told::Text(ServerMessage::Knock(knock));
            relay.tell(Parcel { to: called, told }).await.unwrap();
        }
        // The stranger's knock came later than the repeated one.
        while asked.last() != Some(&stranger) {
            asked.push(refused(&mut at_b).await);
        }
    }
    assert!(!asked.contains(&caller), "asked again");
    dialing.abort();
}
