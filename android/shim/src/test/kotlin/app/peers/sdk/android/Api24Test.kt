package app.peers.sdk.android

import java.io.File
import java.util.zip.ZipFile
import kotlin.test.assertEquals
import kotlin.test.assertFalse
import kotlin.test.assertTrue
import org.junit.Test
import org.objectweb.asm.ClassReader
import org.objectweb.asm.ClassVisitor
import org.objectweb.asm.Handle
import org.objectweb.asm.MethodVisitor
import org.objectweb.asm.Opcodes
import org.objectweb.asm.commons.ClassRemapper
import org.objectweb.asm.commons.Remapper

/** The library's classes, against those of Android 7: what is missing there would end the app when it is first used. */
class Api24Test {
    private val android = File(System.getProperty("robolectric.dependency.dir")).listFiles().orEmpty()
        .single { it.name.startsWith("android-all-7.0") }.let(::Classes)
    private val library = System.getProperty("java.class.path").split(File.pathSeparator).map(::File)
        .filter { it.name == "peers.jar" || it.name == "shim.jar" }

    @Test
    fun `what the library uses of Java and Android is there on Android 7`() {
        assertEquals(2, library.size)
        val uses = library.flatMap(::uses).toSet()
        assertTrue(uses.any { it.owner == "android/net/ConnectivityManager" } && uses.any { it.owner == "java/nio/ByteBuffer" })
        assertEquals("", uses.filterNot(::isThere).map(Use::toString).sorted().joinToString("\n"))
    }

    @Test
    fun `what came later is seen`() {
        for (use in listOf(
            Use("java/nio/file/Path"),
            Use("java/time/Instant", "now", "()Ljava/time/Instant;"),
            Use("java/nio/ByteBuffer", "flip", "()Ljava/nio/ByteBuffer;"),
            Use("android/net/NetworkCapabilities", "getTransportInfo", "()Landroid/net/TransportInfo;"),
            Use("android/net/TransportInfo"),
        )) assertFalse(isThere(use), "$use")
        assertTrue(isThere(Use("java/nio/ByteBuffer", "flip", "()Ljava/nio/Buffer;")))
        assertTrue(isThere(Use("android/net/NetworkCapabilities", "hasTransport", "(I)Z")))
    }

    private fun isThere(use: Use): Boolean = when {
        use.owner.startsWith("android/") -> android.hold(use)
        use.owner.startsWith("java") -> LATER.none { use.owner.startsWith(it) } && !use.isOfNewBuffers
        else -> true
    }

    /** All that the classes of [jar] mention. D8 replaces what makes lambdas and texts, but not what they call. */
    private fun uses(jar: File): Set<Use> = buildSet {
        val types = object : Remapper(Opcodes.ASM9) {
            override fun map(internalName: String): String = internalName.also { if (it !in REPLACED) add(Use(it)) }
        }
        ZipFile(jar).use { archive ->
            for (entry in archive.entries()) if (entry.name.endsWith(".class")) {
                val reader = ClassReader(archive.getInputStream(entry).readBytes())
                reader.accept(ClassRemapper(Members { add(it) }, types), ClassReader.SKIP_DEBUG)
            }
        }
    }

    /** A class, or one of its methods and fields. */
    private data class Use(val owner: String, val name: String? = null, val descriptor: String = "") {
        /** Android before 14 has these methods with the type `Buffer` alone. */
        val isOfNewBuffers get() = Regex("java/nio/.+Buffer").matches(owner) && name in CURSOR &&
            descriptor.endsWith(";") && !descriptor.endsWith("/Buffer;")

        override fun toString() = if (name == null) owner else "$owner.$name$descriptor"
    }

    private class Members(private val report: (Use) -> Unit) : ClassVisitor(Opcodes.ASM9) {
        override fun visitMethod(
            access: Int,
            name: String?,
            descriptor: String?,
            signature: String?,
            exceptions: Array<String>?,
        ): MethodVisitor = object : MethodVisitor(Opcodes.ASM9) {
            override fun visitMethodInsn(opcode: Int, owner: String, name: String, descriptor: String, isInterface: Boolean) =
                report(Use(owner, name, descriptor))

            override fun visitFieldInsn(opcode: Int, owner: String, name: String, descriptor: String) =
                report(Use(owner, name, descriptor))

            override fun visitInvokeDynamicInsn(name: String, descriptor: String, maker: Handle, vararg arguments: Any) =
                arguments.filterIsInstance<Handle>().forEach { report(Use(it.owner, it.name, it.desc)) }
        }
    }

    private class Classes(jar: File) {
        private class Shape(val parents: List<String>, val members: Set<String>)

        private val archive = ZipFile(jar)
        private val shapes = mutableMapOf<String, Shape?>()

        /** True as well if a class of Java may have it. */
        fun hold(use: Use): Boolean {
            if (shape(use.owner) == null) return false
            if (use.name == null) return true
            val parts = mutableListOf(use.owner)
            while (parts.isNotEmpty()) {
                val name = parts.removeAt(0)
                val shape = shape(name) ?: if (name == "java/lang/Object") continue else return true
                if (use.name + use.descriptor in shape.members) return true
                parts += shape.parents
            }
            return use.name in OF_EVERY_OBJECT
        }

        private fun shape(name: String): Shape? = shapes.getOrPut(name) {
            archive.getEntry("$name.class")?.let { entry -> read(ClassReader(archive.getInputStream(entry).readBytes())) }
        }

        private fun read(reader: ClassReader): Shape {
            val members = mutableSetOf<String>()
            val collect = object : ClassVisitor(Opcodes.ASM9) {
                override fun visitMethod(
                    access: Int,
                    name: String,
                    descriptor: String,
                    signature: String?,
                    exceptions: Array<String>?,
                ) = null.also { members += name + descriptor }

                override fun visitField(access: Int, name: String, descriptor: String, signature: String?, value: Any?) =
                    null.also { members += name + descriptor }
            }
            reader.accept(collect, ClassReader.SKIP_CODE or ClassReader.SKIP_DEBUG)
            return Shape(listOfNotNull(reader.superName) + reader.interfaces, members)
        }
    }

    private companion object {
        /**
         * Of Java, what Android 7 does not have: Robolectric's jar of it holds Android's own classes only. Source: the pages of
         * these classes and packages in Android's reference, "Added in API level".
         */
        val LATER = listOf(
            "java/nio/file/", "java/time/", "java/lang/invoke/", "java/lang/module/", "java/net/http/", "java/util/Base64",
            "java/lang/ref/Cleaner", "java/lang/ProcessHandle", "java/lang/StackWalker", "java/lang/Record",
            "java/util/concurrent/Flow", "java/lang/management/", "javax/management/",
        )
        val REPLACED = setOf(
            "LambdaMetafactory",
            "StringConcatFactory",
            "CallSite",
            "MethodHandle",
            "MethodHandles",
            "MethodHandles\$Lookup",
            "MethodType",
        ).map { "java/lang/invoke/$it" }
        val CURSOR = setOf("clear", "flip", "limit", "mark", "position", "reset", "rewind")
        val OF_EVERY_OBJECT = setOf("<init>", "equals", "hashCode", "toString", "getClass", "wait", "notify", "notifyAll")
    }
}
