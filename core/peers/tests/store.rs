//! Levels and keys that outlive a client.

#![expect(clippy::unwrap_used, reason = "tests")]

mod support;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};

use peers::{
    Client, ClientBuilder, DeviceId, Error, Event, FileStore, Identity, MemoryStore, PeerStore, StoreError,
    Transports, TrustLevel, TrustPolicy, UserId,
};
use peers_store::{Change, RecordError, RecordTable, Records};
use support::{World, answering, everybody, talk};

const RELAY: Transports = Transports { webrtc: false, relay: true };

/// The folder of a test's stores.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("peers-store-{name}-{}", std::process::id()));
        std::fs::create_dir(&folder).unwrap();
        Self(folder)
    }

    fn open(&self) -> FileStore {
        FileStore::open(self.0.join("store")).unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The keys of a device in each of its runs.
static IDENTITY: LazyLock<Identity> = LazyLock::new(Identity::generate);

fn kept(folder: &Folder) -> impl FnOnce(ClientBuilder) -> ClientBuilder {
    let store = folder.open();
    move |builder| builder.identity(IDENTITY.clone()).store(store)
}

// proves S010 S127
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_that_was_let_in_comes_back_without_a_question_after_a_restart() {
    let (world, folder) = (World::start().await, Folder::new("levels"));
    let mut host = world.client("host", RELAY, kept(&folder)).await;
    let guest = world.client("guest", RELAY, answering).await;
    let (id, target) = (guest.client.device_id(), host.client.device_id());
    let dialing = tokio::spawn({
        let client = guest.client.clone();
        async move { client.session(target).await }
    });
    host.incoming().await.accept();
    host.incoming().await.accept();
    dialing.await.unwrap().unwrap();
    host.client.shutdown().await;

    let mut host = world.client("host", RELAY, kept(&folder)).await;
    let session = host.client.session(id).await.unwrap();
    talk(&session, &guest.connected().await).await;
    host.client.trust(id, TrustLevel::Malicious).unwrap();
    host.disconnected().await;
    host.client.shutdown().await;

    let host = world.client("host", RELAY, |b| kept(&folder)(b).trust(id, TrustLevel::Trusted)).await;
    assert_eq!(host.client.session(id).await.unwrap_err(), Error::Denied, "a blocked device stays blocked");
}

// proves D06
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_with_other_keys_than_before_the_restart_is_refused() {
    let (world, folder) = (World::start().await, Folder::new("keys"));
    let mut seed = *Identity::generate().seed();
    let guest = |seed: [u8; 64]| {
        let identity = Identity::from_seed(&seed);
        world.client("guest", RELAY, move |b| answering(b.identity(identity)))
    };
    let host = |b: ClientBuilder| kept(&folder)(b).open(true).trust_policy(everybody());
    let first = guest(seed).await;
    let run = world.client("host", RELAY, host).await;
    let target = run.client.device_id();
    let session = first.client.session(target).await.unwrap();
    talk(&session, &run.connected().await).await;
    run.client.shutdown().await;
    first.client.shutdown().await;

    // The same device claims to be somebody else's.
    seed[63] ^= 1;
    let run = world.client("host", RELAY, host).await;
    let other = guest(seed).await;
    assert_ne!(first.client.user_id(), other.client.user_id());
    assert_eq!(other.client.session(target).await.unwrap_err(), Error::Denied);
    assert_eq!(run.client.sessions().len(), 0);
}

/// A store whose disk is full, or is not.
#[derive(Clone, Default)]
struct Disk {
    full: Arc<AtomicBool>,
    store: Arc<MemoryStore>,
}

impl PeerStore for Disk {
    fn load(&self) -> Result<Records, StoreError> {
        self.store.load()
    }

    fn write(&self, changes: &[Change]) -> Result<(), StoreError> {
        if self.full.load(Ordering::Relaxed) { Err(StoreError::Full) } else { self.store.write(changes) }
    }
}

#[tokio::test]
async fn a_level_that_cannot_be_stored_is_an_error_and_is_stored_by_the_next_write() {
    let (disk, device) = (Disk::default(), DeviceId::from_bytes([1; 20]));
    let (client, _events) = Client::builder().store(disk.clone()).start().await.unwrap();
    disk.full.store(true, Ordering::Relaxed);
    let error = client.trust(device, TrustLevel::Untrusted).unwrap_err();
    assert_eq!(error, Error::Store("the disk is full".into()));
    assert_eq!(client.session(device).await.unwrap_err(), Error::Denied, "it counts all the same");
    disk.full.store(false, Ordering::Relaxed);
    client.trust(DeviceId::from_bytes([2; 20]), TrustLevel::Known).unwrap();
    let level = |records: &Records, n| records.devices[&DeviceId::from_bytes([n; 20])].level.unwrap().level;
    let records = disk.load().unwrap();
    assert_eq!([level(&records, 1), level(&records, 2)], [TrustLevel::Untrusted, TrustLevel::Known]);
}

// proves S127
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_level_that_the_app_sets_before_its_answer_counts_instead() {
    for (level, expected) in [(TrustLevel::Malicious, false), (TrustLevel::NewDevice, true)] {
        let (world, disk) = (World::start().await, Disk::default());
        let mut host = world.client("host", RELAY, |b| b.store(disk.clone()).open(true)).await;
        let guest = world.client("guest", RELAY, |b| b).await;
        let (id, target) = (guest.client.device_id(), host.client.device_id());
        let dialing = tokio::spawn({
            let client = guest.client.clone();
            async move { client.session(target).await }
        });
        let incoming = host.incoming().await;
        host.client.trust(id, level).unwrap();
        incoming.accept();
        assert_eq!(dialing.await.unwrap().is_ok(), expected, "{level:?}");
        host.client.shutdown().await;
        assert_eq!(disk.load().unwrap().devices[&id].level.unwrap().level, level);
        let error = host.client.trust(id, TrustLevel::Known).unwrap_err();
        assert_eq!(error, Error::Closed);
    }
}

/// Answers with a level, and calls the client as it does.
struct Calls(std::sync::OnceLock<Client>);

impl TrustPolicy for Calls {
    fn trust(&self, device: DeviceId, _: UserId) -> Option<TrustLevel> {
        self.0.get()?.trust(device, TrustLevel::Known).ok()?;
        Some(TrustLevel::Known)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rule_may_set_the_level_that_it_answers_with() {
    let (world, disk) = (World::start().await, Disk::default());
    let policy = Arc::new(Calls(std::sync::OnceLock::new()));
    let rule = policy.clone();
    let mut host = world.client("host", RELAY, |b| b.store(disk.clone()).open(true).trust_policy(rule)).await;
    policy.0.set(host.client.clone()).unwrap_or_else(|_| panic!("set twice"));
    let guest = world.client("guest", RELAY, |b| b).await;
    guest.client.session(host.client.device_id()).await.unwrap();
    while !matches!(host.events.next().await, Some(Event::Connected { .. })) {}
    host.client.shutdown().await;
    let record = disk.load().unwrap().devices.remove(&guest.client.device_id()).unwrap();
    assert_eq!(record.level.map(|given| given.level), Some(TrustLevel::Known));
    assert_eq!(record.user(), Some(guest.client.user_id()));
}

#[tokio::test]
async fn a_device_too_many_for_the_store_does_not_count_unless_it_is_blocked() {
    let disk = Disk::default();
    let (client, _events) = Client::builder().store(disk.clone()).start().await.unwrap();
    let device = |n: usize| DeviceId::from_bytes(std::array::from_fn(|at| (n >> (8 * (at % 4))) as u8));
    for n in 0..peers_store::limits::MAX_DEVICES {
        client.trust(device(n), TrustLevel::Untrusted).unwrap();
    }
    let too_many = RecordError::TooMany(RecordTable::Devices).to_string();
    let too_many = Err(Error::Store(too_many));
    assert_eq!(client.trust(device(9_000_000), TrustLevel::Known), too_many);
    assert_eq!(client.trust(device(9_000_001), TrustLevel::Untrusted), too_many);
    client.trust(device(0), TrustLevel::Known).unwrap();
    assert_ne!(client.session(device(9_000_000)).await.unwrap_err(), Error::Denied);
    assert_eq!(client.session(device(9_000_001)).await.unwrap_err(), Error::Denied);
}
