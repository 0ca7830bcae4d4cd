//! The ICE server list a device gets (S017, S056, S165–S167).

use hmac::{Hmac, Mac};
use peers_proto::id::DeviceId;
use peers_proto::signaling::{IceServer, IceServers, base64};
use peers_proto::time::UnixTime;
use sha1::Sha1;

use crate::config::{IceConfig, TurnConfig};

/// The list for `device` at `now`. TURN servers with a shared secret get credentials that end (coturn's
/// `use-auth-secret`, draft-uberti-behave-turn-rest-00): user `expiry:device`, password
/// `base64(HMAC-SHA1(secret, user))`.
pub(crate) fn servers(config: &IceConfig, device: DeviceId, now: UnixTime) -> IceServers {
    let mut list = IceServers::default();
    if !config.stun.is_empty() {
        list.ice_servers.push(IceServer { urls: config.stun.clone(), username: None, credential: None });
    }
    for turn in &config.turn {
        let (urls, username, credential) = match turn {
            TurnConfig::Static { urls, username, credential } => (urls, username.clone(), credential.clone()),
            TurnConfig::Rest { urls, secret, ttl_seconds } => {
                let username = format!("{}:{device}", now.0.saturating_add(*ttl_seconds));
                let credential = hmac_sha1(secret.as_bytes(), username.as_bytes());
                list.expires_in = Some(list.expires_in.map_or(*ttl_seconds, |t| t.min(*ttl_seconds)));
                (urls, username, credential)
            }
        };
        let (username, credential) = (Some(username), Some(credential));
        list.ice_servers.push(IceServer { urls: urls.clone(), username, credential });
    }
    list
}

#[expect(clippy::expect_used, reason = "HMAC takes keys of every length")]
fn hmac_sha1(key: &[u8], message: &[u8]) -> String {
    let mut mac = Hmac::<Sha1>::new_from_slice(key).expect("any length");
    mac.update(message);
    base64::encode(&mac.finalize().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rest(ttl_seconds: u64) -> TurnConfig {
        TurnConfig::Rest { urls: vec!["turn:t.example.com".into()], secret: "north".into(), ttl_seconds }
    }

    // RFC 2202 section 3, test case 2
    #[test]
    fn credentials_are_hmac_sha1() {
        let expected = [
            0xef, 0xfc, 0xdf, 0x6a, 0xe5, 0xeb, 0x2f, 0xa2, 0xd2, 0x74, 0x16, 0xd5, 0xf1, 0x84, 0xdf, 0x9c,
            0x25, 0x9a, 0x7c, 0x79,
        ];
        assert_eq!(hmac_sha1(b"Jefe", b"what do ya want for nothing?"), base64::encode(&expected));
    }

    // proves S166 S167
    #[test]
    fn turn_credentials_name_the_device_and_their_end() {
        let device = DeviceId::derive(b"a");
        let config = IceConfig { stun: vec![], turn: vec![rest(600), rest(3600)] };
        let list = servers(&config, device, UnixTime(1_700_000_000));
        let user = list.ice_servers[0].username.clone().unwrap();
        assert_eq!(user, format!("1700000600:{device}"));
        assert_eq!(list.ice_servers[0].credential, Some(hmac_sha1(b"north", user.as_bytes())));
        assert_eq!(list.expires_in, Some(600), "the first to end");
    }

    // proves S017 S165 S166
    #[test]
    fn several_stun_servers_and_a_static_turn_server_are_listed() {
        let stun = vec!["stun:one.example.com:3478".to_owned(), "stun:two.example.com:3478".to_owned()];
        let turn = TurnConfig::Static {
            urls: vec!["turn:t.example.com".into()],
            username: "u".into(),
            credential: "c".into(),
        };
        let config = IceConfig { stun: stun.clone(), turn: vec![turn] };
        let list = servers(&config, DeviceId::derive(b"a"), UnixTime(0));
        assert_eq!(list.ice_servers[0].urls, stun);
        assert_eq!(list.ice_servers[1].username.as_deref(), Some("u"));
        assert_eq!(list.expires_in, None);
    }
}
