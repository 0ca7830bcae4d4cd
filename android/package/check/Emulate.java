import static java.nio.charset.StandardCharsets.UTF_8;

import com.github.unidbg.AndroidEmulator;
import com.github.unidbg.Module;
import com.github.unidbg.arm.backend.Unicorn2Factory;
import com.github.unidbg.linux.android.AndroidEmulatorBuilder;
import com.github.unidbg.linux.android.AndroidResolver;
import com.github.unidbg.pointer.UnidbgPointer;
import java.io.File;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import unicorn.Arm64Const;

/**
 * The library on an emulated processor with the system libraries of Android 6: it is loaded, relocated and initialised as on a
 * phone, and answers. Arguments: an ABI, the library, the generated Kotlin, the library of golden bytes.
 */
class Emulate {
    /** UniFFI's status of a call: one byte, and a buffer with the error. */
    private static final int STATUS_BYTES = 32;
    private static final byte SUCCESS = 0;
    private static final byte ERROR = 1;
    private static final byte PANIC = 2;

    private final AndroidEmulator emulator;
    private final Module library;

    private Emulate(AndroidEmulator emulator, File file) {
        this.emulator = emulator;
        library = emulator.loadLibrary(file, true);
    }

    public static void main(String[] arguments) throws Exception {
        boolean wide = arguments[0].equals("arm64-v8a");
        // The emulator's default is Unicorn 1, which loses its way in the long unrolled loops of ring's ciphers.
        AndroidEmulator emulator = (wide ? AndroidEmulatorBuilder.for64Bit() : AndroidEmulatorBuilder.for32Bit())
            .addBackendFactory(new Unicorn2Factory(false)).setProcessName("app.peers").build();
        emulator.getMemory().setLibraryResolver(new AndroidResolver(23));
        Emulate emulated = new Emulate(emulator, new File(arguments[1]));
        emulated.answersAsTheBindingsExpect(Files.readString(Path.of(arguments[2])));
        if (wide) {
            emulated.makesAnotherDevice();
            System.out.println("another device of a user was made");
            emulated.refusesASecretThatIsTooShort();
            emulated.catchesAPanic();
        }
        new Emulate(emulator, new File(arguments[3])).readsAndWritesTheGoldenBytes();
        System.exit(0);
    }

    /** Codec, certificates, sealing, handshake: the checks of tests/vectors. */
    private void readsAndWritesTheGoldenBytes() {
        int count = library.callFunction(emulator, "peers_vectors_count").intValue();
        expect(count > 0, "there are no golden bytes");
        for (int check = 0; check < count; check++) {
            int passed = library.callFunction(emulator, "peers_vectors_check", check).intValue();
            expect(passed == 1, "check " + check + " of the golden bytes failed");
        }
        System.out.println("the golden bytes passed " + count + " checks");
    }

    /** The contract's version and the checksum of each function, which the generated code compares when it starts. */
    private void answersAsTheBindingsExpect(String kotlin) {
        Matcher version = Pattern.compile("bindings_contract_version = (\\d+)").matcher(kotlin);
        expect(version.find(), "the bindings name no contract");
        compare("ffi_peers_ffi_uniffi_contract_version", Integer.parseInt(version.group(1)));
        Matcher checksums = Pattern.compile("lib\\.(uniffi_peers_ffi_checksum_\\w+)\\(\\) and 0xFFFF\\) != (\\d+)").matcher(kotlin);
        int count = 0;
        for (; checksums.find(); count++) {
            compare(checksums.group(1), Integer.parseInt(checksums.group(2)));
        }
        expect(count > 0, "the bindings name no checksums");
        System.out.println("the contract and " + count + " checksums are those of the bindings");
    }

    private void compare(String function, int expected) {
        int answer = library.callFunction(emulator, function).intValue() & 0xFFFF;
        expect(answer == expected, function + " answers " + answer + ", the bindings expect " + expected);
    }

    /** Randomness, the allocator and buffers both ways: the same user, another device. */
    private void makesAnotherDevice() {
        byte[] secret = "the secret of a device            the secret of its user        ".getBytes(UTF_8);
        byte[] status = new byte[STATUS_BYTES];
        byte[] first = anotherDevice(secret, secret.length, status);
        expect(status[0] == SUCCESS, "another device: status " + status[0]);
        byte[] second = anotherDevice(secret, secret.length, status);
        expect(first.length == 64 && second.length == 64, "another device: a secret of another length");
        expect(Arrays.equals(secret, 32, 64, first, 32, 64), "another device: another user");
        expect(!Arrays.equals(secret, 0, 32, first, 0, 32), "another device: the same device");
        expect(!Arrays.equals(first, 0, 32, second, 0, 32), "another device: the same device twice");
    }

    private void refusesASecretThatIsTooShort() {
        byte[] status = new byte[STATUS_BYTES];
        anotherDevice(new byte[63], 63, status);
        expect(status[0] == ERROR, "a short secret: status " + status[0]);
        System.out.println("a short secret was refused");
    }

    /** UniFFI panics over bytes that say to be more than there are. The panic unwinds to its frame, and the library goes on. */
    private void catchesAPanic() {
        byte[] status = new byte[STATUS_BYTES];
        anotherDevice(new byte[64], 100, status);
        expect(status[0] == PANIC, "a broken buffer: status " + status[0]);
        makesAnotherDevice();
        System.out.println("a panic was caught");
    }

    /** The function takes and returns bytes with their length in front, as UniFFI writes them. */
    private byte[] anotherDevice(byte[] secret, int saidLength, byte[] statusBytes) {
        UnidbgPointer status = allocate(STATUS_BYTES);
        status.write(0, new byte[STATUS_BYTES], 0, STATUS_BYTES);
        UnidbgPointer content = allocate(4 + secret.length);
        content.write(0, new byte[] {0, 0, 0, (byte) saidLength}, 0, 4);
        content.write(4, secret, 0, secret.length);
        // `struct { int32 length; const uint8 *data; }` travels in two registers.
        UnidbgPointer argument = allocate(24);
        returning(argument);
        library.callFunction(emulator, "ffi_peers_ffi_rustbuffer_from_bytes", 4 + secret.length, content.peer, status.peer);
        UnidbgPointer answer = allocate(24);
        returning(answer);
        library.callFunction(emulator, "uniffi_peers_ffi_fn_func_another_device", argument.peer, status.peer);
        status.read(0, statusBytes, 0, STATUS_BYTES);
        if (statusBytes[0] != SUCCESS) return new byte[0];
        return answer.getPointer(16).getByteArray(4, (int) answer.getLong(8) - 4);
    }

    /** Structures of more than 16 bytes are returned where x8 points, and passed by their address (AAPCS64, 6.8 and 6.9). */
    private void returning(UnidbgPointer result) {
        emulator.getBackend().reg_write(Arm64Const.UC_ARM64_REG_X8, result.peer);
    }

    private UnidbgPointer allocate(int bytes) {
        return emulator.getMemory().malloc(bytes, true).getPointer();
    }

    private static void expect(boolean condition, String otherwise) {
        if (!condition) throw new IllegalStateException(otherwise);
    }
}
