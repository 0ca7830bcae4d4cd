import java.io.File;
import java.util.List;
import java.util.Set;
import org.jetbrains.kotlin.abi.tools.AbiFilters;
import org.jetbrains.kotlin.abi.tools.AbiTools;

/** Prints the public API of a jar. Arguments: the jar, and patterns of classes to leave out. */
class AbiDump {
    public static void main(String[] arguments) {
        Set<String> left = Set.copyOf(List.of(arguments).subList(1, arguments.length));
        StringBuilder dump = new StringBuilder();
        AbiTools.Companion.getInstance(AbiDump.class.getClassLoader())
            .printJvmDump(dump, List.of(new File(arguments[0])), new AbiFilters(Set.of(), left, Set.of(), Set.of()));
        System.out.print(dump);
    }
}
