import java.nio.file.*;
import java.time.*;
import java.time.format.DateTimeFormatter;
import java.util.*;
import org.apache.flink.table.api.*;
import org.apache.flink.types.Row;

/**
 * Fills in the golden files: each line is an expression, its type and its value as Flink gives them, with tabs between.
 * Lines with '#' are comments; '#zone X' and '#legacy true|false' set what holds for the lines behind them.
 * Usage: java -cp FLINK_JARS Golden.java FILE.tsv... (Flink 1.20.1: table-api-java-bridge, planner-loader, runtime, clients)
 */
public class Golden {
    static TableEnvironment env;

    public static void main(String[] args) throws Exception {
        for (String file : args) {
            env = TableEnvironment.create(EnvironmentSettings.newInstance().inBatchMode().build());
            env.getConfig().setLocalTimeZone(ZoneId.of("UTC"));
            env.getConfig().set("parallelism.default", "1");
            List<String> lines = Files.readAllLines(Path.of(file));
            String[] out = lines.toArray(new String[0]);
            List<Integer> group = new ArrayList<>();
            for (int i = 0; i < out.length; i++) {
                if (out[i].startsWith("#zone ")) {
                    run(out, group);
                    env.getConfig().setLocalTimeZone(ZoneId.of(out[i].substring(6).strip()));
                } else if (out[i].startsWith("#legacy ")) {
                    run(out, group);
                    boolean on = out[i].substring(8).strip().equals("true");
                    env.getConfig().set("table.exec.legacy-cast-behaviour", on ? "enabled" : "disabled");
                } else if (!out[i].isBlank() && !out[i].startsWith("#")) {
                    out[i] = out[i].split("\t")[0];
                    try {
                        env.sqlQuery("SELECT " + out[i] + " AS x");
                        group.add(i);
                        if (group.size() == 60) run(out, group);
                    } catch (Throwable e) {
                        out[i] += "\tREFUSED\t" + last(e);
                    }
                }
            }
            run(out, group);
            Files.write(Path.of(file), Arrays.asList(out));
        }
    }

    static String last(Throwable e) {
        while (e.getCause() != null) e = e.getCause();
        String said = String.valueOf(e.getMessage()).split("\n")[0].replace('\t', ' ');
        return said.length() > 160 ? said.substring(0, 160) : said;
    }

    /** All in one query; if that fails, in two halves. */
    static void run(String[] out, List<Integer> group) {
        if (group.isEmpty()) return;
        StringJoiner select = new StringJoiner(", ", "SELECT ", "");
        for (int i : group) select.add(out[i] + " AS x" + i);
        try {
            TableResult result = env.executeSql(select.toString());
            var types = result.getResolvedSchema().getColumnDataTypes();
            try (var rows = result.collect()) {
                Row row = rows.next();
                for (int k = 0; k < group.size(); k++) {
                    String type = types.get(k).getLogicalType().copy(true).asSummaryString();
                    out[group.get(k)] += "\t" + type + "\t" + text(row.getField(k), true);
                }
            }
        } catch (Throwable e) {
            if (group.size() == 1) {
                out[group.get(0)] += "\tERROR\t" + last(e);
            } else {
                run(out, new ArrayList<>(group.subList(0, group.size() / 2)));
                run(out, new ArrayList<>(group.subList(group.size() / 2, group.size())));
            }
        }
        group.clear();
    }

    static String text(Object v, boolean quoted) {
        if (v == null) return "NULL";
        if (v instanceof String s) {
            String e = s.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r").replace("\0", "\\0");
            return "'" + e + "'";
        }
        if (v instanceof java.math.BigDecimal d) return d.toPlainString();
        if (v instanceof byte[] b) return "x'" + HexFormat.of().formatHex(b) + "'";
        var stamp = DateTimeFormatter.ofPattern("uuuu-MM-dd HH:mm:ss.SSSSSS");
        if (v instanceof LocalDateTime t) return stamp.format(t);
        if (v instanceof Instant t) return stamp.format(t.atOffset(ZoneOffset.UTC)) + "Z";
        if (v instanceof LocalTime t) return DateTimeFormatter.ofPattern("HH:mm:ss.SSSSSS").format(t);
        if (v instanceof Object[] a) {
            var j = new StringJoiner(", ", "[", "]");
            for (Object x : a) j.add(text(x, true));
            return j.toString();
        }
        if (v instanceof Map<?, ?> m) {
            List<String> parts = new ArrayList<>();
            m.forEach((k, x) -> parts.add(text(k, true) + "=" + text(x, true)));
            Collections.sort(parts);
            return "{" + String.join(", ", parts) + "}";
        }
        if (v instanceof Row r) {
            var j = new StringJoiner(", ", "(", ")");
            for (int i = 0; i < r.getArity(); i++) j.add(text(r.getField(i), true));
            return j.toString();
        }
        return String.valueOf(v);
    }
}
