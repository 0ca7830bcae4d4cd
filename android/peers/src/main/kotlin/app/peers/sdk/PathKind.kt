package app.peers.sdk

import app.peers.sdk.generated.PathKind as GeneratedPathKind
import app.peers.sdk.generated.PathTier as GeneratedPathTier

/** What carries a session now, best first. */
public enum class PathKind(private val text: String) {
    /** A WebSocket on the same network. */
    LAN("lan"),

    /** A WebRTC data channel. */
    WEBRTC("webrtc"),

    /** A WebSocket over TLS to a device that listens publicly. */
    INTERNET("internet"),

    /** Through the relay. */
    RELAY("relay"),

    /** Supplied by the app. */
    CUSTOM("custom"),
    ;

    override fun toString(): String = text
}

internal fun GeneratedPathKind.toPath(): PathKind = when (this) {
    GeneratedPathKind.LAN -> PathKind.LAN
    GeneratedPathKind.WEB_RTC -> PathKind.WEBRTC
    GeneratedPathKind.INTERNET -> PathKind.INTERNET
    GeneratedPathKind.RELAY -> PathKind.RELAY
    GeneratedPathKind.CUSTOM -> PathKind.CUSTOM
}

internal fun PathKind.toGenerated(): GeneratedPathKind = when (this) {
    PathKind.LAN -> GeneratedPathKind.LAN
    PathKind.WEBRTC -> GeneratedPathKind.WEB_RTC
    PathKind.INTERNET -> GeneratedPathKind.INTERNET
    PathKind.RELAY -> GeneratedPathKind.RELAY
    PathKind.CUSTOM -> GeneratedPathKind.CUSTOM
}

/** Kinds of path, best first as long as [PeersConfig.prefer] names no others. */
public enum class PathTier {
    /** A WebSocket on the same network. */
    LAN,

    /** WebRTC, and no server in between. */
    DIRECT,

    /** WebRTC through a TURN server, or a WebSocket over TLS to a device that listens publicly. */
    FORWARDED,

    /** Through the relay. */
    RELAY,

    /** Supplied by the app. */
    CUSTOM,
}

internal fun PathTier.toGenerated(): GeneratedPathTier = when (this) {
    PathTier.LAN -> GeneratedPathTier.LAN
    PathTier.DIRECT -> GeneratedPathTier.DIRECT
    PathTier.FORWARDED -> GeneratedPathTier.FORWARDED
    PathTier.RELAY -> GeneratedPathTier.RELAY
    PathTier.CUSTOM -> GeneratedPathTier.CUSTOM
}
