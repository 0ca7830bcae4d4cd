// The AAR as scripts/package makes it without Gradle, which has to run first: it builds the native libraries and the generated
// half of the bindings.
plugins {
    alias(libs.plugins.android.library)
}

val built = rootDir.resolve("../build")

android {
    namespace = "app.peers.sdk"
    compileSdk = 37

    defaultConfig {
        minSdk = 24
        consumerProguardFiles("../package/consumer-rules.pro")
    }

    compileOptions {
        sourceCompatibility = JavaVersion.VERSION_17
        targetCompatibility = JavaVersion.VERSION_17
    }

    sourceSets.named("main") {
        kotlin.directories += "../shim/src/main/kotlin"
        kotlin.directories += built.resolve("generated/kotlin").path
        jniLibs.directories += built.resolve("package/android/jni").path
    }
}

dependencies {
    api(libs.kotlin.stdlib)
    api(libs.coroutines)
    implementation(libs.lifecycle.process)
    implementation(libs.jna) { artifact { type = "aar" } }
}
