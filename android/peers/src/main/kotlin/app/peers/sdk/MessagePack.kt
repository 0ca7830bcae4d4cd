package app.peers.sdk

import java.io.ByteArrayOutputStream
import java.io.DataOutputStream
import java.nio.BufferUnderflowException
import java.nio.ByteBuffer
import java.nio.charset.CharacterCodingException

/** Values as MessagePack (github.com/msgpack/msgpack, spec.md), smallest encodings. */
internal class MessagePackWriter {
    private val bytes = ByteArrayOutputStream()
    private val out = DataOutputStream(bytes)

    fun toByteArray(): ByteArray = bytes.toByteArray()

    fun write(value: Value): Unit = when (value) {
        Value.Null -> out.writeByte(0xc0)
        is Value.Bool -> out.writeByte(if (value.value) 0xc3 else 0xc2)
        is Value.Integer -> integer(value.value)
        is Value.Decimal -> {
            out.writeByte(0xcb)
            out.writeDouble(value.value)
        }
        is Value.Text -> text(value.value)
        is Value.Bytes -> {
            length(value.value.size, 0xc4)
            out.write(value.value)
        }
        is Value.List -> {
            count(value.values.size, 0x90, 0xdc)
            value.values.forEach(::write)
        }
        is Value.Object -> {
            count(value.values.size, 0x80, 0xde)
            value.values.forEach { (name, field) ->
                text(name)
                write(field)
            }
        }
    }

    private fun integer(value: Long) = when (value) {
        in -32..127 -> out.writeByte(value.toInt())
        in Byte.MIN_VALUE..Byte.MAX_VALUE -> {
            out.writeByte(0xd0)
            out.writeByte(value.toInt())
        }
        in Short.MIN_VALUE..Short.MAX_VALUE -> {
            out.writeByte(0xd1)
            out.writeShort(value.toInt())
        }
        in Int.MIN_VALUE..Int.MAX_VALUE -> {
            out.writeByte(0xd2)
            out.writeInt(value.toInt())
        }
        else -> {
            out.writeByte(0xd3)
            out.writeLong(value)
        }
    }

    private fun text(value: String) {
        val utf8 = value.encodeToByteArray()
        if (utf8.size < 32) out.writeByte(0xa0 or utf8.size) else length(utf8.size, 0xd9)
        out.write(utf8)
    }

    /** Lengths of one, two or four bytes have consecutive tags. */
    private fun length(size: Int, tag: Int) = when {
        size < 0x100 -> {
            out.writeByte(tag)
            out.writeByte(size)
        }
        size < 0x10000 -> {
            out.writeByte(tag + 1)
            out.writeShort(size)
        }
        else -> {
            out.writeByte(tag + 2)
            out.writeInt(size)
        }
    }

    private fun count(size: Int, short: Int, long: Int) = when {
        size < 16 -> out.writeByte(short or size)
        size < 0x10000 -> {
            out.writeByte(long)
            out.writeShort(size)
        }
        else -> {
            out.writeByte(long + 1)
            out.writeInt(size)
        }
    }
}

/** Reads what peers sent: never deeper than [MAX_DEPTH], never more memory than the input justifies. */
internal class MessagePackReader(bytes: ByteArray) {
    private val input = ByteBuffer.wrap(bytes)

    fun readAll(): Value =
        try {
            val value = read(0)
            if (input.hasRemaining()) throw PeersException.Codec("bytes after the object")
            value
        } catch (error: BufferUnderflowException) {
            throw PeersException.Codec("the object is cut short", error)
        } catch (error: CharacterCodingException) {
            throw PeersException.Codec("a text is not UTF-8", error)
        }

    private fun read(depth: Int): Value {
        if (depth > MAX_DEPTH) throw PeersException.Codec("nested too deeply")
        return when (val tag = byte()) {
            in 0x00..0x7f -> Value.Integer(tag.toLong())
            in 0x80..0x8f -> map(tag and 0x0f, depth)
            in 0x90..0x9f -> list(tag and 0x0f, depth)
            in 0xa0..0xbf -> Value.Text(text(tag and 0x1f))
            0xc0 -> Value.Null
            0xc2 -> Value.Bool(false)
            0xc3 -> Value.Bool(true)
            in 0xc4..0xc6 -> Value.Bytes(raw(size(tag - 0xc4)))
            0xca -> Value.Decimal(input.float.toDouble())
            0xcb -> Value.Decimal(input.double)
            in 0xcc..0xce -> Value.Integer(unsigned(tag - 0xcc))
            0xcf -> Value.Integer(input.long.also { if (it < 0) throw PeersException.Codec("a number is too large") })
            0xd0 -> Value.Integer(input.get().toLong())
            0xd1 -> Value.Integer(input.short.toLong())
            0xd2 -> Value.Integer(input.int.toLong())
            0xd3 -> Value.Integer(input.long)
            in 0xd9..0xdb -> Value.Text(text(size(tag - 0xd9)))
            in 0xdc..0xdd -> list(size(tag - 0xdc + 1), depth)
            in 0xde..0xdf -> map(size(tag - 0xde + 1), depth)
            in 0xe0..0xff -> Value.Integer((tag - 0x100).toLong())
            else -> throw PeersException.Codec("a type that objects do not have")
        }
    }

    private fun list(count: Int, depth: Int): Value = Value.List(buildList { repeat(count) { add(read(depth + 1)) } })

    private fun map(count: Int, depth: Int): Value = Value.Object(
        buildMap {
            repeat(count) {
                val name = (read(depth + 1) as? Value.Text ?: throw PeersException.Codec("a key is not a text")).value
                if (put(name, read(depth + 1)) != null) throw PeersException.Codec("a key comes twice")
            }
        },
    )

    private fun text(size: Int): String = raw(size).decodeToString(throwOnInvalidSequence = true)

    private fun raw(size: Int): ByteArray {
        if (size > input.remaining()) throw BufferUnderflowException()
        return ByteArray(size).also(input::get)
    }

    /** A length of one, two or four bytes. */
    private fun size(width: Int): Int {
        val size = unsigned(width)
        // Every element and every byte takes one byte at least.
        if (size > input.remaining()) throw BufferUnderflowException()
        return size.toInt()
    }

    private fun unsigned(width: Int): Long = when (width) {
        0 -> byte().toLong()
        1 -> input.short.toLong() and 0xffff
        else -> input.int.toLong() and 0xffff_ffff
    }

    private fun byte(): Int = input.get().toInt() and 0xff

    private companion object {
        const val MAX_DEPTH = 32
    }
}
