import java.io.File;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.gradle.api.Project;
import org.gradle.api.artifacts.Configuration;
import org.gradle.api.attributes.AttributeContainer;
import org.gradle.api.attributes.Usage;
import org.gradle.api.attributes.java.TargetJvmEnvironment;
import org.gradle.testfixtures.ProjectBuilder;

/**
 * Gradle's resolution without Gradle's program. Arguments: a scratch folder, coordinates, URLs of repositories. Prints
 * `ENVIRONMENT FILE` for each file that an app gets.
 */
class Resolve {
    public static void main(String[] arguments) {
        int status = 1;
        try {
            resolve(arguments);
            status = 0;
        } catch (RuntimeException error) {
            error.printStackTrace();
        }
        // Gradle's threads would keep the process.
        System.exit(status);
    }

    private static void resolve(String[] arguments) {
        File scratch = new File(arguments[0]);
        Project project = ProjectBuilder.builder()
            .withProjectDir(new File(scratch, "project")).withGradleUserHomeDir(new File(scratch, "home")).build();
        List.of(arguments).subList(2, arguments.length)
            .forEach(url -> project.getRepositories().maven(repository -> repository.setUrl(url)));
        Map<String, Configuration> wanted = new TreeMap<>();
        for (String environment : List.of(TargetJvmEnvironment.ANDROID, TargetJvmEnvironment.STANDARD_JVM)) {
            wanted.put(environment, configuration(project, environment, arguments[1]));
        }
        // Of two versions Maven takes the nearest and Gradle the newest: files that Maven did not fetch are left out.
        wanted.forEach((environment, configuration) -> configuration.getIncoming().artifactView(view -> view.lenient(true))
            .getFiles().forEach(file -> System.out.println(environment + " " + file.getName())));
    }

    private static Configuration configuration(Project project, String environment, String coordinates) {
        Configuration configuration = project.getConfigurations().create(environment.replace("-", ""));
        AttributeContainer attributes = configuration.getAttributes();
        attributes.attribute(Usage.USAGE_ATTRIBUTE, project.getObjects().named(Usage.class, Usage.JAVA_RUNTIME));
        attributes.attribute(TargetJvmEnvironment.TARGET_JVM_ENVIRONMENT_ATTRIBUTE,
            project.getObjects().named(TargetJvmEnvironment.class, environment));
        project.getDependencies().add(configuration.getName(), coordinates);
        return configuration;
    }
}
