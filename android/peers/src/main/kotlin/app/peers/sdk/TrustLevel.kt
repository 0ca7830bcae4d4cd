package app.peers.sdk

import app.peers.sdk.generated.TrustLevel as GeneratedTrustLevel

/** How far a device is trusted, lowest first. */
public enum class TrustLevel {
    /** Known to do harm. Nothing outweighs this. */
    MALICIOUS,

    /** Explicitly not trusted. */
    UNTRUSTED,

    /** Never seen. */
    UNKNOWN,

    /** Of a user met for the first time. */
    NEW_USER,

    /** A new device of a known user. */
    NEW_DEVICE,

    /** Known for a while. */
    KNOWN,

    /** Trusted by decision of this user. */
    TRUSTED,

    /** Another device of this user. */
    OWN,
}

internal fun TrustLevel.toGenerated(): GeneratedTrustLevel = when (this) {
    TrustLevel.MALICIOUS -> GeneratedTrustLevel.MALICIOUS
    TrustLevel.UNTRUSTED -> GeneratedTrustLevel.UNTRUSTED
    TrustLevel.UNKNOWN -> GeneratedTrustLevel.UNKNOWN
    TrustLevel.NEW_USER -> GeneratedTrustLevel.NEW_USER
    TrustLevel.NEW_DEVICE -> GeneratedTrustLevel.NEW_DEVICE
    TrustLevel.KNOWN -> GeneratedTrustLevel.KNOWN
    TrustLevel.TRUSTED -> GeneratedTrustLevel.TRUSTED
    TrustLevel.OWN -> GeneratedTrustLevel.OWN
}
