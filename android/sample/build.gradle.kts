// A chat app, built as any app is: with the package from the Maven folder of scripts/package, which has to run first.
plugins {
    alias(libs.plugins.android.application)
    alias(libs.plugins.kotlin.compose)
}

val cargo = providers.fileContents(rootProject.layout.projectDirectory.file("../Cargo.toml")).asText.get()
val peersVersion = Regex("(?m)^version = \"(.+)\"").find(cargo)!!.groupValues[1]

android {
    namespace = "app.peers.sample"
    compileSdk = 37

    defaultConfig {
        minSdk = 24
        targetSdk = 37
        versionCode = 1
        versionName = peersVersion
    }

    buildTypes {
        release {
            isMinifyEnabled = true
            isShrinkResources = true
            proguardFiles(getDefaultProguardFile("proguard-android-optimize.txt"))
            // The sample is built to be tried; a real app has a key of its own.
            signingConfig = signingConfigs.getByName("debug")
        }
    }

    buildFeatures {
        compose = true
    }

    compileOptions {
        sourceCompatibility = JavaVersion.VERSION_17
        targetCompatibility = JavaVersion.VERSION_17
    }
}

dependencies {
    implementation("app.peers:peers:$peersVersion")
    implementation(libs.activity.compose)
    implementation(libs.compose.material3)
    implementation(libs.coroutines.android)
    implementation(libs.lifecycle.runtime.compose)
    implementation(libs.lifecycle.viewmodel.savedstate)
}
