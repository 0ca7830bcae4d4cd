//! A relay that answers `getCertificate` with something else.

use std::time::Duration;

use peers::{Transports, random};
use peers_proto::certificate::DeviceCertificate;
use peers_proto::keys::{DeviceKeys, UserKeys};
use peers_proto::signaling::{ClientMessage, RelayFrame, ServerMessage};
use peers_proto::time::UnixTime;

use crate::world::{Device, Hits, within};
use peers_tests::hostile_relay::{HostileRelay, Parcel, Said, Told};

/// The offset of the device's signing key in a certificate, see `peers_proto::certificate`.
const SIGN_PK: std::ops::Range<usize> = 33..65;
/// Bytes of each of the two signatures at its end.
const SIGNATURE: usize = 64;

/// The dialer waits for the device itself; the relay keeps its knocks back.
const PATIENCE: Duration = Duration::from_secs(1);

// proves S126, S131: a device id proves its own certificate, and nothing is sent to anybody under another one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_that_is_not_the_dialed_devices_is_refused() {
    let relay = HostileRelay::start().await;
    let victim = Device::start(&relay, "b", Transports::default()).await;
    let accomplice = Device::start(&relay, "c", Transports::default()).await;
    let genuine = relay.certificate(victim.id());
    let mut altered = genuine.as_bytes().to_vec();
    altered[SIGN_PK.end] ^= 1;
    for lie in [
        relay.certificate(accomplice.id()).as_bytes().to_vec(),
        forge(&genuine),
        altered,
        genuine.as_bytes()[..100].to_vec(),
    ] {
        let hits = Hits::default();
        let dialer = Device::start(&relay, "a", Transports::default()).await;
        relay.attack({
            let (hits, victim) = (hits.clone(), victim.id());
            move |mut parcel| {
                if let Told::Text(ServerMessage::Certificate { device_id, certificate }) = &mut parcel.told {
                    assert_eq!(*device_id, victim);
                    *certificate = Some(lie.clone());
                    hits.add();
                }
                let knock = matches!(parcel.told, Told::Text(ServerMessage::Knock(_)));
                if knock { vec![] } else { vec![parcel] }
            }
        });
        let outcome = tokio::time::timeout(PATIENCE, dialer.client.session(victim.id())).await;
        assert!(!matches!(outcome, Ok(Ok(_))), "{outcome:?}");
        assert_eq!(hits.count(), 1);
        for said in relay.heard(dialer.id()) {
            let exposed = matches!(
                said,
                Said::Text(ClientMessage::Offer(_) | ClientMessage::IceCandidate(_))
                    | Said::Frame(RelayFrame::Data { .. })
            );
            assert!(!exposed, "{said:?}");
        }
        dialer.end_unbothered().await;
    }

    // The truth still works.
    relay.attack(|parcel: Parcel| vec![parcel]);
    let dialer = Device::start(&relay, "a", Transports::default()).await;
    within(dialer.client.session(victim.id())).await.unwrap();
    accomplice.end_unbothered().await;
}

/// The victim's `sign_pk`, so that the id fits, with the relay's other keys, signed with all the keys it has.
fn forge(victim: &DeviceCertificate) -> Vec<u8> {
    let (user, device) = (UserKeys::from_seed(random::array()), DeviceKeys::from_seed(random::array()));
    let own = DeviceCertificate::issue(&user, &device, UnixTime(1), victim.name()).unwrap();
    let mut forged = own.as_bytes()[..own.as_bytes().len() - 2 * SIGNATURE].to_vec();
    forged[SIGN_PK].copy_from_slice(victim.sign_pk());
    let by_user = user.sign(b"peers certificate user\0", &forged);
    let by_device = device.sign(b"peers certificate device\0", &forged);
    forged.extend([by_user, by_device].as_flattened());
    forged
}
