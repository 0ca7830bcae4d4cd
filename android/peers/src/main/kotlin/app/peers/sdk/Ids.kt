package app.peers.sdk

/** Names one installation; derived from its signing key, so whoever proves the key is the device. 32 characters of a-z and 2-7. */
@JvmInline
public value class DeviceId(public val text: String) {
    override fun toString(): String = text
}

/** Names the owner of devices. */
@JvmInline
public value class UserId(public val text: String) {
    override fun toString(): String = text
}

/** Names a set of users that share data. */
@JvmInline
public value class GroupId(public val text: String) {
    override fun toString(): String = text
}
