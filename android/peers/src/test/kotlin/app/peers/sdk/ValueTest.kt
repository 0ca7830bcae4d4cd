package app.peers.sdk

import kotlin.random.Random
import kotlin.test.Test
import kotlin.test.assertContentEquals
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith

class ValueTest {
    // proves S012
    @Test
    fun `every kind of value survives the way`() {
        val integers = listOf(0L, 127, 128, -32, -33, -128, -129, 32767, 32768, -32769, 1L shl 31, Long.MAX_VALUE, Long.MIN_VALUE)
        val texts = listOf(0, 31, 32, 255, 256, 65_536).map { "x".repeat(it) } + "grüezi 🌍"
        val value = Value.of(
            "null" to null,
            "bools" to listOf(true, false),
            "integers" to integers,
            "decimal" to -1.5e300,
            "texts" to texts,
            "bytes" to listOf(0, 255, 256, 65_536).map { ByteArray(it) { 7 } },
            "lists" to listOf(List(15) { it }, List(16) { it }, List(70_000) { it }),
            "object" to (0 until 20).associate { "key $it" to it },
        )
        assertEquals(value, Value.decode(value.encode()))
    }

    // proves S012
    @Test
    fun `the encoding is MessagePack`() {
        val bytes = Value.of("compact" to true, "schema" to 0).encode()
        assertEquals("82a7636f6d70616374c3a6736368656d6100", bytes.joinToString("") { "%02x".format(it) })
    }

    @Test
    fun `numbers other writers choose are read`() {
        for ((hex, expected) in mapOf("ccff" to 255L, "cdffff" to 65_535L, "ceffffffff" to 4_294_967_295L, "cf0000000000000001" to 1L)) {
            assertEquals(Value.Integer(expected), Value.decode(hex.bytes()))
        }
        assertEquals(Value.Decimal(1.5), Value.decode("ca3fc00000".bytes()))
    }

    @Test
    fun `every truncation is an error`() {
        val whole = Value.of("a" to listOf(1, "two", 3.0), "b" to ByteArray(300)).encode()
        for (length in whole.indices) assertFailsWith<PeersException.Codec> { Value.decode(whole.copyOf(length)) }
        assertFailsWith<PeersException.Codec> { Value.decode(whole + 0) }
    }

    @Test
    fun `what no object may be is an error`() {
        val deep = "91".repeat(40) + "c0"
        val liar = "ddffffffff"
        for (bad in listOf(deep, liar, "c1", "d4000000", "82a16101a16102", "810101", "a2c328", "cfffffffffffffffff")) {
            assertFailsWith<PeersException.Codec>(bad) { Value.decode(bad.bytes()) }
        }
    }

    @Test
    fun `random bytes are a value or a typed error`() {
        val random = Random(7)
        repeat(20_000) {
            val bytes = random.nextBytes(random.nextInt(40))
            val value = try {
                Value.decode(bytes)
            } catch (_: PeersException.Codec) {
                return@repeat
            }
            assertEquals(value, Value.decode(value.encode()))
        }
    }

    @Test
    fun `only plain values become objects`() {
        assertFailsWith<IllegalArgumentException> { Value.of("thread" to Thread.currentThread()) }
        assertContentEquals(byteArrayOf(1), (Value.of("a" to byteArrayOf(1))["a"] as Value.Bytes).value)
    }

    private fun String.bytes() = chunked(2).map { it.toInt(16).toByte() }.toByteArray()
}
