buildscript {
    dependencies {
        // Android's plugin compiles Kotlin with the version it brings; this one is newer.
        classpath(libs.kotlin.gradle.plugin)
    }
}

plugins {
    alias(libs.plugins.android.library) apply false
}
