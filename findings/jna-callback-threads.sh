#!/usr/bin/env bash
# JNA 5.19.1: a callback's thread initializer counts only if it was set before native code first got the callback. Set later, it is
# ignored without an error: each call from a native thread goes on making, and ending, a Java thread of its own.
# Guess: `Native.setCallbackThreadInitializer` works from the next call on, or throws.
# Met: 5,000 calls from one Rust thread through UniFFI's Kotlin ran on 5,000 Java threads, at 50 µs instead of 1 for each call.
set -euo pipefail
version=5.19.1
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
mvn -B -Dmaven.repo.local="$dir/m2" -DoutputDirectory="$dir" -Dartifact="net.java.dev.jna:jna:$version" \
    org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy > maven.log || { cat maven.log; exit 1; }

cat > calls.c <<'END'
#include <pthread.h>
#include <stddef.h>

struct calls {
    void (*callback)(void);
    int count;
};

static void *call(void *argument) {
    struct calls *calls = argument;
    for (int i = 0; i < calls->count; i++) calls->callback();
    return NULL;
}

int call_from_one_thread(void (*callback)(void), int count) {
    struct calls calls = {callback, count};
    pthread_t thread;
    int error = pthread_create(&thread, NULL, call, &calls);
    return error ? error : pthread_join(thread, NULL);
}
END
gcc -shared -fPIC -Wall -Werror -pthread -o libcalls.so calls.c

cat > Threads.java <<'END'
import com.sun.jna.Callback;
import com.sun.jna.CallbackThreadInitializer;
import com.sun.jna.Native;
import java.util.Collections;
import java.util.IdentityHashMap;
import java.util.Set;

class Threads {
    interface Hook extends Callback { void invoke(); }

    static final Set<Thread> SEEN = Collections.newSetFromMap(new IdentityHashMap<>());

    static native int call_from_one_thread(Hook hook, int count);

    /** Java threads that 100 calls from one native thread run on. */
    static int threads(Hook hook) {
        SEEN.clear();
        if (call_from_one_thread(hook, 100) != 0) throw new IllegalStateException("no native thread");
        return SEEN.size();
    }

    public static void main(String[] arguments) {
        Native.register("calls");
        Hook early = () -> SEEN.add(Thread.currentThread());
        Hook late = () -> SEEN.add(Thread.currentThread());
        CallbackThreadInitializer attached = new CallbackThreadInitializer(true, false);
        Native.setCallbackThreadInitializer(early, attached);
        int before = threads(early), without = threads(late);
        Native.setCallbackThreadInitializer(late, attached);
        int after = threads(late);
        System.out.printf("JNA %s, Java threads for 100 calls from one native thread%n", Native.VERSION);
        System.out.printf("  initializer set before the first call: %d%n", before);
        System.out.printf("  no initializer:                        %d%n", without);
        System.out.printf("  initializer set after that:            %d%n", after);
        if (before != 1 || without != 100 || after != 100) throw new AssertionError("the behaviour has changed");
    }
}
END
javac -cp "jna-$version.jar" Threads.java
java -cp "jna-$version.jar:." -Djna.library.path="$dir" Threads
