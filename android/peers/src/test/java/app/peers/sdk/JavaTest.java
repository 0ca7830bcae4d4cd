package app.peers.sdk;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import kotlin.Unit;
import org.junit.jupiter.api.Test;

/** What an app in Java calls: all that does not suspend. */
class JavaTest {
    private static final DeviceId FRIEND = new DeviceId("a".repeat(32));
    private static final GroupId NOTES = new GroupId("b".repeat(32));

    @Test
    void everySettingCanBeMade() throws Exception {
        File keys = new File(Files.createTempDirectory("peers").toFile(), "keys");
        try (Peers peers = new Peers(config -> {
            config.relay("ws://127.0.0.1:1");
            config.relay("wss://relay.example.com", "token", List.of(), List.of("beef"));
            config.identity(new FileIdentity(keys));
            config.setName("java");
            config.setTransports(Set.of(PathKind.RELAY));
            config.setPrefer(List.of(PathTier.RELAY));
            config.setResumeWindow(5, TimeUnit.MINUTES);
            config.setLogLevel(LogLevel.INFO);
            config.logTo(record -> {});
            config.setLoopback(true);
            config.trust(FRIEND);
            config.trust(FRIEND, TrustLevel.KNOWN);
            config.trustPolicy((device, user) -> device.equals(FRIEND) ? TrustLevel.KNOWN : null);
            config.group(NOTES);
            config.member(NOTES, FRIEND);
            config.address(FRIEND, "ws://127.0.0.1:1");
            config.iceServer("stun:stun.example.com");
            config.iceServer("turn:turn.example.com", "name", "password");
            return Unit.INSTANCE;
        })) {
            assertEquals(PeersState.STOPPED, peers.getState().getValue());
            assertThrows(PeersException.NotStarted.class, () -> peers.networkChanged(new NetworkSnapshot(true)));
            assertThrows(PeersException.NotStarted.class, peers::getDeviceId);
            assertThrows(PeersException.NotStarted.class, () -> peers.trust(FRIEND));
            assertEquals(List.of(), peers.getSessions());
            assertNotNull(peers.exportLog());
        }
    }

    @Test
    void errorsAreCaughtByTheirType() {
        try {
            new Peers(config -> Unit.INSTANCE);
        } catch (PeersException error) {
            assertEquals("config", error.getCode());
            return;
        }
        throw new AssertionError("a client without an identity");
    }

    @Test
    void valuesCrossAndKeysComeFromAStoreInJava() throws Exception {
        Value value = Value.from(Map.of("text", "hello", "count", 3));
        assertEquals(value, Value.decode(value.encode()));
        assertThrows(PeersException.Codec.class, () -> Value.decode(new byte[] {(byte) 0xc1}));
        JavaIdentity store = new JavaIdentity();
        store.store(new byte[64]);
        assertArrayEquals(new byte[64], store.load());
        assertThrows(PeersException.Identity.class, () -> Identity.anotherDevice(new byte[63]));
    }

    @Test
    void idsAreEqualByTheirText() {
        assertEquals(new DeviceId("x"), new DeviceId("x"));
        assertEquals(new UserId("x").hashCode(), new UserId("x").hashCode());
        assertEquals("x", new GroupId("x").getText());
    }

    private static final class JavaIdentity extends StoredIdentity {
        private byte[] secret;

        @Override
        protected byte[] load() throws IOException {
            return secret;
        }

        @Override
        protected void store(byte[] secret) throws IOException {
            this.secret = secret;
        }
    }

    /** What each event has; compiled, since events come by a flow. */
    @SuppressWarnings("unused")
    private static String words(PeerEvent event) throws PeersException {
        if (event instanceof PeerEvent.Incoming incoming) {
            incoming.accept();
            return incoming.getDevice() + incoming.getSas();
        }
        if (event instanceof PeerEvent.Connected connected) return connected.getDevice() + " by " + connected.getPath();
        if (event instanceof PeerEvent.Disconnected ended) return ended.getSession().getDevice() + ": " + ended.getReason();
        if (event instanceof PeerEvent.Missed missed) return "missed " + missed.getCount();
        if (event instanceof PeerEvent.QualityChanged changed) return "quality " + changed.getQuality().getScore();
        return event.toString();
    }

    @SuppressWarnings("unused")
    private static long words(PathInfo info, PeerStream stream, PeersException.StreamReset reset) {
        stream.reset(7);
        stream.stop();
        return info.getSent() + info.getReceived() + info.getThroughput() + reset.getReason();
    }
}
