//! The parent: starts a child for every round, case and runtime in turn, collects, prints the table, writes the files.
//!
//! It sleeps while a child runs, so that it takes no part in what is measured.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{IsTerminal as _, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use loxley_benches::case::Case;
use loxley_benches::host::Host;
use loxley_benches::json::Line;
use loxley_benches::options::Options;
use loxley_benches::stats::Summary;
use loxley_benches::svg;
use loxley_benches::table::{By, Row, Table};

use crate::Column;

/// A child that takes longer is ended and counts as failed. The longest case takes about 5 s on a slow machine.
const CHILD_LIMIT: Duration = Duration::from_secs(60);
const ROUNDS: usize = 5;
const ROUNDS_QUICK: usize = 2;
/// What ratios refer to, and the runtime the targets speak of.
const BASELINE: &str = "tokio";
const SUBJECT: &str = "loxley";
/// The name of the control column: the baseline once more.
const CONTROL: &str = "tokio again";
const PEERS: [&str; 4] = ["tokio", "smol", "async-executor", "hyper"];

/// A column: the name it is shown under and the runtime its children run.
struct Entrant {
    shown: &'static str,
    runtime: &'static str,
    /// Names of the cases the runtime has; another has none of the kind.
    cases: BTreeSet<&'static str>,
}

impl Entrant {
    fn new(shown: &'static str, (runtime, cases): &Column) -> Self {
        Self {
            shown,
            runtime,
            cases: cases().iter().map(|case| case.name).collect(),
        }
    }
}

/// Values by case and column: for every metric the rounds so far.
type Collected = BTreeMap<(usize, usize), Vec<Vec<f64>>>;

/// Runs everything `options` asks for.
pub fn run(options: &Options, every_case: &[Case], runtimes: &[Column]) -> Result<(), String> {
    let entrants = entrants(options, runtimes)?;
    let cases: Vec<Case> = every_case
        .iter()
        .filter(|case| options.wants(case.name))
        .copied()
        .collect();
    if cases.is_empty() {
        return Err("no case has such a name; --list shows them".to_owned());
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let lock_file = fs::read_to_string(root.join("Cargo.lock")).unwrap_or_default();
    let host = Host::read(&lock_file, &PEERS);
    let rounds = options
        .rounds
        .unwrap_or(if options.quick { ROUNDS_QUICK } else { ROUNDS });
    let setting = format!(
        "{rounds} rounds, {} workers{}{}",
        options.workers,
        if options.best {
            ", ratios of best rounds"
        } else {
            ""
        },
        if options.quick {
            ", quick: a look, not a measurement"
        } else {
            ""
        }
    );
    println!("{host}\n{setting}");

    let folder = target_folder(&root).join("bench");
    let mut log = Log::create(&folder)
        .map_err(|error| format!("cannot write to {}: {error}", folder.display()))?;
    log.line(
        &Line::new()
            .text("host", &host.to_string())
            .text("setting", &setting)
            .finish(),
    );
    let (collected, failures) = rounds_of(options, rounds, &cases, &entrants, &mut log);

    let by = if options.best { By::Best } else { By::Median };
    let table = table(&cases, &entrants, &collected, by);
    println!("{}", table.render());
    for failure in failures {
        println!("failed: {failure}");
    }
    let chart = folder.join("chart.svg");
    let drawing = svg::chart(&table, &format!("{setting}; {}", host.cpu));
    fs::write(&chart, drawing)
        .map_err(|error| format!("cannot write {}: {error}", chart.display()))?;
    println!(
        "raw values: {}\nchart: {}",
        log.path.display(),
        chart.display()
    );
    Ok(())
}

fn entrants(options: &Options, runtimes: &[Column]) -> Result<Vec<Entrant>, String> {
    let known = || runtimes.iter().map(|(name, _)| *name);
    if let Some(unknown) = options
        .runtimes
        .iter()
        .find(|asked| !known().any(|name| name == asked.as_str()))
    {
        return Err(format!(
            "no runtime {unknown}; there are {}",
            known().collect::<Vec<_>>().join(", ")
        ));
    }
    let mut entrants: Vec<Entrant> = runtimes
        .iter()
        .filter(|(name, _)| {
            options.runtimes.is_empty() || options.runtimes.iter().any(|asked| asked == name)
        })
        .map(|column| Entrant::new(column.0, column))
        .collect();
    if options.control {
        let baseline = runtimes
            .iter()
            .find(|(name, _)| *name == BASELINE)
            .expect("the baseline is a runtime");
        entrants.push(Entrant::new(CONTROL, baseline));
    }
    Ok(entrants)
}

fn rounds_of(
    options: &Options,
    rounds: usize,
    cases: &[Case],
    entrants: &[Entrant],
    log: &mut Log,
) -> (Collected, Vec<String>) {
    let mut collected = Collected::new();
    let mut failures = Vec::new();
    for round in 0..rounds {
        for (case_index, case) in cases.iter().enumerate() {
            progress(&format!("round {} of {rounds}: {}", round + 1, case.name));
            for turn in 0..entrants.len() {
                // Whoever begins is another one in every round and every case.
                let column = (turn + round + case_index) % entrants.len();
                let entrant = &entrants[column];
                if !entrant.cases.contains(case.name) {
                    continue;
                }
                match run_child(options, case, entrant.runtime) {
                    Ok(values) => {
                        log.values(round, case, entrant.shown, &values);
                        let metrics = collected
                            .entry((case_index, column))
                            .or_insert_with(|| vec![Vec::new(); case.metrics.len()]);
                        for (samples, value) in metrics.iter_mut().zip(values) {
                            samples.extend(value.is_finite().then_some(value));
                        }
                    }
                    Err(why) => failures.push(format!(
                        "{} on {}, round {}: {why}",
                        case.name,
                        entrant.shown,
                        round + 1
                    )),
                }
            }
        }
    }
    progress("");
    (collected, failures)
}

/// Says on a terminal what is being done; an empty text clears the line.
fn progress(text: &str) {
    if std::io::stderr().is_terminal() {
        eprint!("\r\x1b[K{text}");
    }
}

/// One child, from start to end; its values in the order of the metrics.
fn run_child(options: &Options, case: &Case, runtime: &str) -> Result<Vec<f64>, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut command = Command::new(program);
    command.args([
        "--workers",
        &options.workers.to_string(),
        "--child",
        case.name,
        runtime,
    ]);
    if options.quick {
        command.arg("--quick");
    }
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| error.to_string())?;
    let mut said = child.stdout.take().expect("asked for a pipe");
    let (sender, receiver) = mpsc::channel();
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        let read = said.read_to_string(&mut text);
        // The parent may have given up.
        let _ = sender.send(read.map(|_| text));
    });
    let heard = receiver.recv_timeout(CHILD_LIMIT);
    if heard.is_err() {
        // It may have ended in between; then there is nothing to end.
        let _ = child.kill();
    }
    let status = child.wait().map_err(|error| error.to_string())?;
    let Ok(text) = heard else {
        return Err(format!("took longer than {CHILD_LIMIT:?}"));
    };
    reader.join().expect("reading does not panic");
    if !status.success() {
        return Err(format!("ended with {status}"));
    }
    let text = text.map_err(|error| error.to_string())?;
    let values: Result<Vec<f64>, _> = text.split_whitespace().map(str::parse).collect();
    match values {
        Ok(values) if values.len() == case.metrics.len() => Ok(values),
        _ => Err(format!("said {text:?}")),
    }
}

fn table(cases: &[Case], entrants: &[Entrant], collected: &Collected, by: By) -> Table {
    let rows = cases.iter().enumerate().flat_map(|(case_index, case)| {
        case.metrics
            .iter()
            .enumerate()
            .map(move |(metric_index, metric)| Row {
                label: format!("{} {}", case.name, metric.name).trim().to_owned(),
                metric: *metric,
                cells: (0..entrants.len())
                    .map(|column| {
                        Summary::of(collected.get(&(case_index, column))?.get(metric_index)?)
                    })
                    .collect(),
            })
    });
    Table {
        runtimes: entrants
            .iter()
            .map(|entrant| entrant.shown.to_owned())
            .collect(),
        baseline: entrants
            .iter()
            .position(|entrant| entrant.shown == BASELINE),
        subject: entrants.iter().position(|entrant| entrant.shown == SUBJECT),
        by,
        rows: rows.collect(),
    }
}

/// Where cargo builds: the folder this program was built under, else `target` of the workspace.
fn target_folder(root: &Path) -> PathBuf {
    let program = std::env::current_exe().unwrap_or_default();
    // target/release/deps/compare-…
    program
        .ancestors()
        .nth(3)
        .map_or_else(|| root.join("target"), Path::to_path_buf)
}

/// The file of raw values, one JSON object per line.
struct Log {
    path: PathBuf,
    file: fs::File,
}

impl Log {
    fn create(folder: &Path) -> std::io::Result<Self> {
        fs::create_dir_all(folder)?;
        let path = folder.join("results.jsonl");
        let file = fs::File::create(&path)?;
        Ok(Self { path, file })
    }

    fn values(&mut self, round: usize, case: &Case, runtime: &str, values: &[f64]) {
        for (metric, value) in case.metrics.iter().zip(values) {
            let line = Line::new()
                .text("case", case.name)
                .text("metric", metric.name)
                .text("runtime", runtime)
                .number("round", (round + 1) as f64)
                .number("value", *value)
                .text("unit", metric.unit.name());
            self.line(&line.finish());
        }
    }

    fn line(&mut self, line: &str) {
        // A full disk must not end the run: the table is still to come.
        let _ = writeln!(self.file, "{line}");
    }
}
