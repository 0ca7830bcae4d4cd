//! Signaling messages, from either side, and what a registration claims.

#![no_main]

use libfuzzer_sys::fuzz_target;
use peers_proto::signaling::{Challenge, ClientMessage, NONCE_LEN, ServerMessage};

fuzz_target!(|text: &str| {
    if let Ok(message) = ClientMessage::from_json(text) {
        let json = message.to_json().expect("what was received can be sent");
        assert_eq!(ClientMessage::from_json(&json).as_ref(), Ok(&message));
        if let ClientMessage::DeviceRegistered(registration) = &message {
            let challenge =
                Challenge { nonce: [1; NONCE_LEN], server_name: registration.server_name.clone() };
            let names = std::slice::from_ref(&challenge.server_name);
            if let Ok(certificate) = challenge.verify(names, registration) {
                assert_eq!(certificate.device_id(), registration.device_id);
            }
        }
    }
    if let Ok(message) = ServerMessage::from_json(text) {
        let json = message.to_json().expect("what was received can be sent");
        assert_eq!(ServerMessage::from_json(&json).as_ref(), Ok(&message));
    }
});
