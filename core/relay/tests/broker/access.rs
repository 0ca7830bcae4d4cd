//! Registration under each access rule.

use peers_proto::keys::UserKeys;
use peers_proto::signaling::{ErrorCode, ServerMessage, close_code};
use peers_relay::{AccessConfig, AccessRule, IceConfig, Outbound, RelayConfig, TurnConfig};

use crate::world::{World, device};

/// Registers the device of `seed`, which learns of TURN servers only if it is admitted.
fn admitted(access: AccessConfig, seed: u8, token: Option<&str>) -> bool {
    let turn = TurnConfig::Static {
        urls: vec!["turn:t.example.com:3478".into()],
        username: "u".into(),
        credential: "c".into(),
    };
    let ice = IceConfig { stun: vec![], turn: vec![turn] };
    let mut w = World::with(RelayConfig { access, ice, ..RelayConfig::default() });
    let socket = w.open().unwrap();
    let output = w.prove(socket, seed, token);
    let stats = w.broker.stats();
    match &output[..] {
        [Outbound::Text(ServerMessage::Registered(list))] => {
            assert_eq!((list.ice_servers.len(), stats.devices, stats.not_admitted), (1, 1, 0));
            true
        }
        [Outbound::Text(ServerMessage::Error { code, .. }), Outbound::Close(close, _)] => {
            assert_eq!((*code, *close), (ErrorCode::NotAdmitted, close_code::POLICY));
            assert_eq!((stats.devices, stats.not_admitted), (0, 1));
            false
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn everyone_is_admitted_by_default() {
    assert!(admitted(AccessConfig::default(), 1, None));
    assert!(admitted(AccessConfig::default(), 1, Some("whatever")));
}

#[test]
fn a_list_admits_its_devices_and_the_devices_of_its_users() {
    let list =
        AccessConfig { rule: AccessRule::List, devices: [device(1)].into(), ..AccessConfig::default() };
    assert!(admitted(list.clone(), 1, None));
    assert!(!admitted(list, 2, Some("whatever")));
    // The user of every device in these tests.
    let user = UserKeys::from_seed([200; 32]).user_id();
    let list = AccessConfig { rule: AccessRule::List, users: [user].into(), ..AccessConfig::default() };
    assert!(admitted(list, 2, None));
    let other = UserKeys::from_seed([201; 32]).user_id();
    let list = AccessConfig { rule: AccessRule::List, users: [other].into(), ..AccessConfig::default() };
    assert!(!admitted(list, 2, None));
}

#[test]
fn a_token_admits_the_device_that_brings_it() {
    let tokens = vec!["first".to_owned(), "second".to_owned()];
    let access = AccessConfig { rule: AccessRule::Token, tokens, ..AccessConfig::default() };
    for token in ["first", "second"] {
        assert!(admitted(access.clone(), 1, Some(token)));
    }
    for token in [None, Some(""), Some("firs"), Some("firstt"), Some("First")] {
        assert!(!admitted(access.clone(), 1, token), "{token:?}");
    }
}
