use std::io::{BufRead, BufReader, Write};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::harness::cli;
use crate::outside::wait_for;

/// Counts without an end, and prints one row at its start.
const ENDLESS: &str =
    "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT n FROM c WHERE n = 1 OR n < 0";

fn rows(sql: &str) -> Value {
    serde_json::from_str(&cli(["query", "--format", "json", sql]).text()).unwrap()
}

#[test]
fn each_format_prints_a_row() {
    let printed = |format| cli(["query", "--format", format, "SELECT 1 AS n, 'x' AS t, NULL AS z"]).text();
    assert_eq!(printed("json"), "[\n{\"n\":1,\"t\":\"x\",\"z\":null}\n]\n");
    assert_eq!(printed("ndjson"), "{\"n\":1,\"t\":\"x\",\"z\":null}\n");
    assert_eq!(printed("csv"), "n,t,z\n1,x,\n");
    assert_eq!(printed("line"), "n = 1\nt = x\nz = NULL\n");
    assert_eq!(printed("markdown"), "| n   | t   | z    |\n| --- | --- | ---- |\n| 1   | x   | NULL |\n");
    let table = "┌───┬───┬──────┐\n│ n │ t │ z    │\n├───┼───┼──────┤\n│ 1 │ x │ NULL │\n└───┴───┴──────┘\n";
    assert_eq!(printed("table"), table);
    assert_eq!(cli(["query", "SELECT 1 AS n, 'x' AS t, NULL AS z"]).text(), table);
}

#[test]
fn json_keeps_every_type_and_every_byte() {
    let row = &rows(
        "SELECT 9223372036854775807 AS big, 1.5 AS x, 'a' AS a, 2 AS a, x'00ff' AS blob, \
         CAST(x'e9' AS TEXT) AS latin, char(27, 10) || 'é' AS esc, 9e999 AS inf",
    )[0];
    let expected = json!({
        "big": i64::MAX, "x": 1.5, "a": "a", "a:1": 2, "blob": {"base64": "AP8="},
        "latin": {"base64": "6Q=="}, "esc": "\x1b\né", "inf": null,
    });
    assert_eq!(row, &expected);
}

#[test]
fn what_people_read_has_no_control_characters() {
    let sql = "SELECT char(27) || ']0;x' || char(7, 10, 0x202e) || CAST(x'ff' AS TEXT) AS \"a\x1b[2J\"";
    for format in ["table", "line", "markdown"] {
        let text = cli(["query", "--format", format, sql]).text();
        assert!(text.contains(r"\x1b]0;x\x07\n\u{202e}\xff") && text.contains(r"a\x1b[2J"), "{text}");
        assert!(!text.contains(['\x1b', '\x07', '\u{202e}']), "{text:?}");
    }
    let error = cli(["query", "SELECT '\x1b[2J\u{202e}' FROM"]).output();
    assert!(!error.stderr.contains(['\x1b', '\u{202e}']), "{error:?}");
    assert_eq!(error.code(), 2);
}

#[test]
fn csv_for_a_program_keeps_every_byte() {
    let output = cli(["query", "--format", "csv", "SELECT CAST(x'ff1b2c' AS TEXT) AS t"]).output();
    assert_eq!(output.stdout, b"t\n\"\xff\x1b,\"\n");
}

#[test]
fn exit_codes_tell_what_happened() {
    let code = |arguments: &[&str]| cli(arguments).output().code();
    assert_eq!(code(&["query", "SELECT 1"]), 0);
    assert_eq!(code(&["query", "SELEC 1"]), 2);
    assert_eq!(code(&["query", "SELECT nothing FROM daemoneye_info"]), 2);
    assert_eq!(code(&["query"]), 2);
    assert_eq!(code(&["query", "--file", "/no/such/file"]), 2);
    assert_eq!(code(&["query", "--timeout", "soon", "SELECT 1"]), 2);
    assert_eq!(code(&["query", "--timeout", "100ms", ENDLESS]), 4);
    assert_eq!(code(&["query", "--max-rows", "1", "VALUES (1), (2)"]), 1);
    assert_eq!(code(&["nonsense"]), 2);
}

#[test]
fn an_error_points_at_its_place_and_prints_no_row() {
    let output = cli(["query", "--format", "json", "SELECT name,\n  nmae FROM daemoneye_tables"]).output();
    assert_eq!(output.text(), "");
    let lines: Vec<&str> = output.stderr.lines().collect();
    assert_eq!(lines[0], "error: there is no column `nmae`");
    assert_eq!(lines[2..4], ["2 |   nmae FROM daemoneye_tables", "  |   ^^^^"]);
}

#[test]
fn rows_before_a_failure_are_printed_and_an_array_stays_open() {
    let given = |format| {
        let sql = "VALUES (1), (2), (3)";
        cli(["query", "--max-rows", "2", "--format", format, sql]).output().text()
    };
    assert_eq!(given("ndjson"), "{\"column1\":1}\n{\"column1\":2}\n");
    assert_eq!(given("json"), "[\n{\"column1\":1},\n{\"column1\":2}\n");
    assert!(given("table").ends_with("│       2 │\n└─────────┘\n"));
}

#[test]
fn parameters_have_the_type_that_they_are_written_in() {
    let typed = |value: &str| {
        let param = format!("v={value}");
        cli([
            "query",
            "--format",
            "csv",
            "--param",
            &param,
            "SELECT typeof(:v) || ' ' || coalesce(:v, '') AS t",
        ])
        .text()
    };
    assert_eq!(typed("42"), "t\ninteger 42\n");
    assert_eq!(typed("'42'"), "t\ntext 42\n");
    assert_eq!(typed("4.5"), "t\nreal 4.5\n");
    assert_eq!(typed("null"), "t\nnull \n");
    assert_eq!(typed("/tmp/x y"), "t\ntext /tmp/x y\n");
    let missing = cli(["query", "SELECT :v"]).output();
    assert_eq!(missing.code(), 2);
    assert!(missing.stderr.contains("--param v="), "{missing:?}");
}

#[test]
fn a_script_goes_on_after_an_error_and_ends_with_its_code() {
    let script = ".mode csv\n.headers off\nSELECT 'a;b';\nSELEC 2; -- a remark;\n.nothing\nSELECT 3";
    let piped = cli::<&str>([]).stdin(script).output();
    assert_eq!(piped.text(), "a;b\n3\n");
    assert_eq!(piped.code(), 2);
    assert!(piped.stderr.contains("SELEC") && piped.stderr.contains("no command .nothing"), "{piped:?}");
    let dash = cli(["query", "-"]).stdin(script).output();
    assert_eq!((dash.text(), dash.code()), (piped.text(), 2));
}

#[test]
fn a_script_in_a_file_reads_and_writes_files() {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let mut file = std::fs::File::create(directory.path().join(name)).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    };
    write("inner.sql", "SELECT :n AS n;");
    write(
        "outer.sql",
        ".mode ndjson\n.output out.txt\n.read inner.sql\n.output\nSELECT 2 AS n;\n.quit\nSELECT 3",
    );
    let run = |arguments: &[&str]| cli(arguments).within(directory.path()).text();
    assert_eq!(run(&["query", "--param", "n=1", "--file", "outer.sql"]), "{\"n\":2}\n");
    assert_eq!(run(&["query", "--format", "line", "SELECT 1"]), "1 = 1\n");
    write("show.sql", ".mode csv\nSELECT 4;\n");
    assert_eq!(run(&["query", "--file", "show.sql"]), "4\n4\n");
    let written = std::io::read_to_string(
        std::fs::OpenOptions::new().read(true).open(directory.path().join("out.txt")).unwrap(),
    );
    assert_eq!(written.unwrap(), "{\"n\":1}\n");
    write("loop.sql", ".read loop.sql\n");
    let endless = cli(["query", "--file", "loop.sql"]).within(directory.path()).output();
    assert_eq!(endless.code(), 2);
}

#[test]
fn a_piped_session_answers_each_statement_as_soon_as_it_is_complete() {
    let mut child = cli::<&str>([]).start();
    let mut stdin = child.stdin.take().unwrap();
    let mut answers = BufReader::new(child.stdout.take().unwrap()).lines();
    stdin.write_all(b".mode ndjson\n").unwrap();
    for n in 1..4 {
        write!(stdin, "SELECT\n{n} AS n;\n").unwrap();
        assert_eq!(answers.next().unwrap().unwrap(), format!("{{\"n\":{n}}}"));
    }
    drop(stdin);
    assert!(child.wait().unwrap().success());
}

#[test]
fn ctrl_c_ends_a_query_within_200_ms() {
    let mut child = cli(["query", "--format", "ndjson", ENDLESS]).start();
    let mut first = String::new();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    stdout.read_line(&mut first).unwrap();
    let pressed = Instant::now();
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let status = child.wait().unwrap();
    assert!(pressed.elapsed() < Duration::from_millis(200), "{:?}", pressed.elapsed());
    assert_eq!(status.code(), Some(130));
}

/// Peak memory of a process so far, in bytes.
fn memory_peak(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}

#[test]
fn a_sort_of_four_million_rows_stays_small_and_is_stopped_at_once() {
    const SORT: &str = "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 4000000)
        SELECT n, hex(n * 7919) AS h FROM c ORDER BY h, n DESC";
    let mut child = cli(["query", "--format", "ndjson", "--timeout", "120s", SORT]).start();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut first = String::new();
    // The first row comes when all are sorted.
    stdout.read_line(&mut first).unwrap();
    assert!(first.contains("\"h\":\"3130"), "{first}");
    // SQLite's sorter holds a few megabytes, the rest is in a file that has no name.
    assert!(memory_peak(child.id()) < 100 << 20, "{}", memory_peak(child.id()));
    drop(stdout);
    assert_eq!(child.wait().unwrap().code(), Some(0));

    let child = cli(["query", "--format", "ndjson", "--timeout", "120s", SORT]).start();
    // In the middle of the sort: it has used the processor for a while, and gives no row yet.
    wait_for("the sort", || cpu_ticks(child.id()) > 20);
    let pressed = Instant::now();
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(pressed.elapsed() < Duration::from_millis(500), "{:?}", pressed.elapsed());
    assert_eq!(output.status.code(), Some(130));
    assert_eq!(output.stdout, b"");
}

/// Clock ticks that a process has run in user mode (proc_pid_stat(5)).
fn cpu_ticks(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.rsplit(") ").next().unwrap().split(' ').nth(11).unwrap().parse().unwrap()
}

#[test]
fn a_reader_that_leaves_ends_the_program_quietly() {
    let endless = "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT n FROM c";
    for format in ["json", "csv", "table"] {
        let mut child = cli(["query", "--format", format, endless]).start();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        stdout.read_line(&mut String::new()).unwrap();
        drop(stdout);
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{format}");
        assert_eq!(String::from_utf8(output.stderr).unwrap(), "", "{format}");
    }
}

#[test]
fn the_catalogue_is_told() {
    assert!(cli(["tables"]).text().contains("daemoneye_tables"));
    let table = cli(["tables", "kernel_modules"]).text();
    assert!(table.contains("Bytes of memory") && table.contains("Examples"), "{table}");
    let schema = cli(["schema", "daemoneye_tables"]).text();
    assert!(
        schema.contains("CREATE TABLE daemoneye_tables (\n    name TEXT, -- (key) Table name.\n"),
        "{schema}"
    );
    assert_eq!(cli(["tables", "no_such_table"]).output().code(), 2);
    assert_eq!(cli(["schema", "no_such_table"]).output().code(), 2);
    assert!(cli(["completions", "bash"]).text().contains("daemoneye-cli"));
}

#[test]
fn a_statement_is_validated_without_being_run() {
    let text = cli(["validate", "SELECT name AS n, 1 AS one FROM daemoneye_tables"]).text();
    assert_eq!(text, "ok\ncolumns     n TEXT, one\ntables      daemoneye_tables\n");
    assert_eq!(cli(["validate", ENDLESS]).output().code(), 0);
    assert_eq!(cli(["validate", "SELECT"]).output().code(), 2);
}

#[test]
fn the_tests_of_rules_are_listed_and_one_that_fails_shows_what_it_got() {
    let shipped = cli(["--here", "rules", "test"]).output();
    assert_eq!(shipped.code(), 0, "{shipped:?}");
    let text = shipped.text();
    assert!(text.contains("deleted-executable\n  ok  fires on a deleted image\n"), "{text}");
    assert!(text.ends_with(" tests; 0 files are refused\n"), "{text}");
    let directory = tempfile::tempdir().unwrap();
    let good = include_str!("../../rules/defense_evasion/deleted-executable.yaml");
    std::fs::write(directory.path().join("good.yaml"), good).unwrap();
    let bad = good.replace("id: deleted-executable", "id: bad").replace("exe_deleted = 1", "exe_deleted = 2");
    std::fs::write(directory.path().join("bad.yaml"), bad).unwrap();
    let tested = cli(["--here", "rules", "test", directory.path().to_str().unwrap()]).output();
    assert_eq!(tested.code(), 1, "{tested:?}");
    assert!(
        tested.text().contains("  ok  ") && tested.text().ends_with("; 1 file is refused\n"),
        "{tested:?}"
    );
    assert!(tested.stderr.contains("bad.yaml:") && tested.stderr.contains("fails: "), "{tested:?}");
}

#[test]
fn explain_reports_each_table() {
    let sql = "SELECT name FROM daemoneye_tables WHERE name = 'daemoneye_info'";
    let report: Value = serde_json::from_str(&cli(["explain", "--format", "json", sql]).text()).unwrap();
    assert_eq!(report["rows"], 1);
    let table = &report["tables"][0];
    assert_eq!(table["table"], "daemoneye_tables");
    assert_eq!(table["pushed"], json!(["name ="]));
    assert_eq!((&table["scans"], &table["rows_produced"]), (&json!(1), &json!(1)));
    let human = cli(["explain", sql]).text();
    assert!(human.contains("pushed down  name =") && human.contains("1 produced, 1 kept"), "{human}");
}
