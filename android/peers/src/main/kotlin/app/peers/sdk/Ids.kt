package app.peers.sdk

/** Names one installation; derived from its signing key, which the device proves. 32 characters of a-z and 2-7. */
public class DeviceId(public val text: String) {
    override fun equals(other: Any?): Boolean = other is DeviceId && text == other.text

    override fun hashCode(): Int = text.hashCode()

    override fun toString(): String = text
}

/** Names the owner of devices. */
public class UserId(public val text: String) {
    override fun equals(other: Any?): Boolean = other is UserId && text == other.text

    override fun hashCode(): Int = text.hashCode()

    override fun toString(): String = text
}

/** Names a set of users that share data. */
public class GroupId(public val text: String) {
    override fun equals(other: Any?): Boolean = other is GroupId && text == other.text

    override fun hashCode(): Int = text.hashCode()

    override fun toString(): String = text
}
