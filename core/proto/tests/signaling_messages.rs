//! The signaling messages against their golden examples, and against everything that is not one.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking; helpers outside #[test] are tests too")]

use peers_proto::limits;
use peers_proto::signaling::{ClientMessage, ErrorCode, MessageError, ServerMessage, base64};
use proptest::prelude::*;
use serde_json::{Value, json};

fn vectors(side: &str) -> Vec<Value> {
    let all: Value = serde_json::from_str(include_str!("../../../tests/vectors/signaling.json")).unwrap();
    all[side].as_array().unwrap().clone()
}

fn client_round_trip(text: &str) -> Result<Value, MessageError> {
    ClientMessage::from_json(text).map(|m| serde_json::from_str(&m.to_json().unwrap()).unwrap())
}

fn server_round_trip(text: &str) -> Result<Value, MessageError> {
    ServerMessage::from_json(text).map(|m| serde_json::from_str(&m.to_json().unwrap()).unwrap())
}

// proves S060 S061 S098 S099 S100
#[test]
fn golden_messages_read_and_write_the_same() {
    for golden in vectors("client") {
        assert_eq!(client_round_trip(&golden.to_string()), Ok(golden.clone()), "{golden}");
    }
    for golden in vectors("server") {
        assert_eq!(server_round_trip(&golden.to_string()), Ok(golden.clone()), "{golden}");
    }
}

#[test]
fn golden_messages_cover_every_event() {
    let events =
        |side| vectors(side).iter().map(|m| m["event"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
    for name in
        ["device-registered", "offer", "answer", "iceCandidate", "getIceServers", "getCertificate", "watch"]
    {
        assert!(events("client").iter().any(|e| e == name), "{name}");
    }
    for name in [
        "challenge",
        "registered",
        "superseded",
        "offer",
        "answer",
        "iceCandidate",
        "device-online",
        "device-offline",
        "iceServers",
        "certificate",
        "error",
    ] {
        assert!(events("server").iter().any(|e| e == name), "{name}");
    }
}

#[test]
fn unknown_fields_are_ignored_at_every_level() {
    for mut golden in vectors("client").into_iter().chain(vectors("server")) {
        let plain = golden.clone();
        golden["fromTheFuture"] = json!({"deep": [1, null]});
        if let Some(server) = golden.get_mut("iceServers").and_then(|s| s.get_mut(0)) {
            server["credentialType"] = json!("password");
        }
        let text = golden.to_string();
        assert!(
            client_round_trip(&text) == Ok(plain.clone()) || server_round_trip(&text) == Ok(plain),
            "{text}"
        );
    }
}

#[test]
fn an_unknown_event_is_told_apart_from_malformed_text() {
    let unknown = ClientMessage::from_json(r#"{"event":"teleport","to":1}"#);
    assert_eq!(unknown, Err(MessageError::UnknownEvent("teleport".into())));
    // A device does not speak the relay's part.
    let golden = r#"{"event":"device-online","deviceId":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}"#;
    assert_eq!(ClientMessage::from_json(golden), Err(MessageError::UnknownEvent("device-online".into())));
    let long = format!(r#"{{"event":"{}"}}"#, "é".repeat(1000));
    assert_eq!(ClientMessage::from_json(&long), Err(MessageError::UnknownEvent("é".repeat(64))));
    for malformed in
        ["", "{", "[]", "1", "null", "{}", r#"{"event":1}"#, r#"{"event":"offer"}"#, r#"{"event":"watch"}"#]
    {
        assert!(
            matches!(ClientMessage::from_json(malformed), Err(MessageError::Malformed(_))),
            "{malformed}"
        );
    }
}

#[test]
fn an_error_code_of_a_newer_relay_is_still_an_error() {
    let error = ServerMessage::from_json(r#"{"event":"error","code":"out-of-tea","text":"sorry"}"#).unwrap();
    assert!(matches!(error, ServerMessage::Error { code: ErrorCode::Other, .. }));
}

#[test]
fn contents_must_fit_the_event() {
    for mut message in vectors("client") {
        match message["event"].as_str().unwrap() {
            "offer" | "answer" => {
                message["iceCandidates"] = json!(["eA=="]);
                assert!(client_round_trip(&message.to_string()).is_err());
                message.as_object_mut().unwrap().remove("sdi");
                assert!(client_round_trip(&message.to_string()).is_err());
            }
            "iceCandidate" => {
                message["iceCandidates"] = json!(vec!["eA=="; limits::MAX_CANDIDATES]);
                assert!(client_round_trip(&message.to_string()).is_ok());
                message["iceCandidates"] = json!(vec!["eA=="; limits::MAX_CANDIDATES + 1]);
                assert!(client_round_trip(&message.to_string()).is_err());
                message["iceCandidates"] = json!([]);
                assert!(client_round_trip(&message.to_string()).is_err());
            }
            "watch" if message["deviceIds"] != json!([]) => {
                let id = message["deviceIds"][0].clone();
                message["deviceIds"] = json!(vec![id.clone(); limits::MAX_WATCHED]);
                assert!(client_round_trip(&message.to_string()).is_ok());
                message["deviceIds"] = json!(vec![id; limits::MAX_WATCHED + 1]);
                assert!(client_round_trip(&message.to_string()).is_err());
            }
            "device-registered" => {
                for (field, bad) in [("nonce", "AQE="), ("signature", "AQE"), ("deviceId", "me")] {
                    let mut message = message.clone();
                    message[field] = json!(bad);
                    assert!(client_round_trip(&message.to_string()).is_err(), "{field}");
                }
                message["token"] = json!("é".repeat(limits::MAX_ACCESS_TOKEN / 2));
                assert!(client_round_trip(&message.to_string()).is_ok());
                message["token"] = json!("é".repeat(limits::MAX_ACCESS_TOKEN / 2) + "!");
                assert!(client_round_trip(&message.to_string()).is_err());
            }
            "knock" => {
                message["knock"] = json!(base64::encode(&[1; limits::MAX_KNOCK]));
                assert!(client_round_trip(&message.to_string()).is_ok());
                message["knock"] = json!(base64::encode(&[1; limits::MAX_KNOCK + 1]));
                assert!(client_round_trip(&message.to_string()).is_err());
                assert!(server_round_trip(&message.to_string()).is_err());
                message["knock"] = json!("eB==");
                assert!(client_round_trip(&message.to_string()).is_err(), "not canonical");
            }
            _ => {}
        }
    }
}

#[test]
fn size_is_checked_before_anything_else() {
    let text = format!(r#"{{"event":"getIceServers","x":"{}"}}"#, "a".repeat(limits::MAX_SIGNALING));
    assert_eq!(ClientMessage::from_json(&text), Err(MessageError::TooLarge));
    let mut offer = ServerMessage::from_json(&vectors("server")[3].to_string()).unwrap();
    if let ServerMessage::Offer(exchange) = &mut offer {
        exchange.sdi = Some("A".repeat(limits::MAX_SIGNALING));
    }
    assert_eq!(offer.to_json(), Err(MessageError::TooLarge));
}

#[test]
fn deep_nesting_is_refused_not_followed() {
    let text = format!(r#"{{"event":"offer","x":{}{}}}"#, "[".repeat(30_000), "]".repeat(30_000));
    assert!(matches!(ClientMessage::from_json(&text), Err(MessageError::Malformed(_))));
}

#[test]
fn every_truncation_is_a_typed_error() {
    for golden in vectors("client") {
        let text = golden.to_string();
        for n in 0..text.len() {
            assert!(
                matches!(ClientMessage::from_json(&text[..n]), Err(MessageError::Malformed(_))),
                "{n} {text}"
            );
        }
    }
}

proptest! {
    #[test]
    fn any_text_is_a_message_or_a_typed_error(text in ".{0,200}") {
        let _ = ClientMessage::from_json(&text);
        let _ = ServerMessage::from_json(&text);
    }

    #[test]
    fn any_edit_of_a_message_is_a_message_or_a_typed_error(which in 0usize..10, at: prop::sample::Index, c: char) {
        let mut chars: Vec<char> = vectors("client")[which].to_string().chars().collect();
        let at = at.index(chars.len());
        chars[at] = c;
        let text: String = chars.into_iter().collect();
        if let Ok(message) = ClientMessage::from_json(&text) {
            prop_assert_eq!(ClientMessage::from_json(&message.to_json().unwrap()), Ok(message));
        }
    }
}
