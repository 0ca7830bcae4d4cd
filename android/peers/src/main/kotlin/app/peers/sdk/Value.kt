package app.peers.sdk

/** An object as it crosses between devices: MessagePack, without its extensions. */
public sealed interface Value {
    /** Nothing. */
    public data object Null : Value

    /** Yes or no. */
    public data class Bool(val value: Boolean) : Value

    /** A whole number. */
    public data class Integer(val value: Long) : Value

    /** A number. */
    public data class Decimal(val value: Double) : Value

    /** A text. */
    public data class Text(val value: String) : Value

    /** Raw bytes. */
    public class Bytes(public val value: ByteArray) : Value {
        override fun equals(other: Any?): Boolean = other is Bytes && value.contentEquals(other.value)

        override fun hashCode(): Int = value.contentHashCode()

        override fun toString(): String = "Bytes(${value.size})"
    }

    /** Several values. */
    public data class List(val values: kotlin.collections.List<Value>) : Value

    /** Named values. */
    public data class Object(val values: Map<String, Value>) : Value {
        public operator fun get(name: String): Value? = values[name]
    }

    /** As MessagePack. */
    public fun encode(): ByteArray = MessagePackWriter().apply { write(this@Value) }.toByteArray()

    public companion object {
        /** From MessagePack; [PeersException.Codec] when it is not. */
        @JvmStatic
        @Throws(PeersException::class)
        public fun decode(bytes: ByteArray): Value = MessagePackReader(bytes).readAll()

        /** An object of plain Kotlin values: null, Boolean, Int, Long, Double, String, ByteArray, List, Map, Value. */
        @JvmStatic
        public fun of(vararg fields: Pair<String, Any?>): Object = Object(fields.associate { (k, v) -> k to from(v) })

        /** A plain Kotlin value as in [of]; IllegalArgumentException for anything else. */
        @JvmStatic
        public fun from(value: Any?): Value = when (value) {
            null -> Null
            is Value -> value
            is Boolean -> Bool(value)
            is Int -> Integer(value.toLong())
            is Long -> Integer(value)
            is Double -> Decimal(value)
            is String -> Text(value)
            is ByteArray -> Bytes(value)
            is kotlin.collections.List<*> -> List(value.map(::from))
            is Map<*, *> -> Object(value.entries.associate { (k, v) -> k.toString() to from(v) })
            else -> throw IllegalArgumentException("no object can hold a ${value.javaClass.name}")
        }
    }
}
