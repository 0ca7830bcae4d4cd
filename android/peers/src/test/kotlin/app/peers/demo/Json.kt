package app.peers.demo

/** The flat JSON objects of the demo's protocol: texts, numbers and truth values, one object a line. */
internal object Json {
    private val field = Regex(""""([a-z_]+)"\s*:\s*(?:"([^"\\]*)"|([^,}\s]+))""")

    fun read(line: String): Map<String, String> =
        field.findAll(line).associate { (name, text, other) -> name to text.ifEmpty { other } }

    fun write(vararg fields: Pair<String, Any>): String =
        fields.joinToString(",", "{", "}") { (name, value) -> "\"$name\":${literal(value)}" }

    private fun literal(value: Any): String = when (value) {
        is Number, is Boolean -> value.toString()
        else -> value.toString().replace(Regex("[\"\\\\\\p{Cntrl}]"), " ").let { "\"$it\"" }
    }

    private operator fun MatchResult.component1() = groupValues[1]

    private operator fun MatchResult.component2() = groupValues[2]

    private operator fun MatchResult.component3() = groupValues[3]
}
