pluginManagement {
    repositories {
        google()
        mavenCentral()
        gradlePluginPortal()
    }
}

dependencyResolutionManagement {
    repositoriesMode = RepositoriesMode.FAIL_ON_PROJECT_REPOS
    repositories {
        google()
        mavenCentral()
        // The package as scripts/package makes it, for the sample.
        exclusiveContent {
            forRepository { maven(rootDir.resolve("../build/package/maven")) }
            filter { includeGroup("app.peers") }
        }
    }
}

rootProject.name = "peers-android"
include(":peers", ":sample", ":sample:smoke")
