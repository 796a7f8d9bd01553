//! The command line of the harness. Pure: texts in, a value or a message out.

/// What is printed for `--help` and after a mistake.
pub const USAGE: &str = "\
cargo bench [-p loxley-benches] -- [options]
  --rounds N       rounds over everything (default 5; 2 with --quick)
  --workers N      worker threads of each runtime (default 2)
  --filter TEXT    only cases whose name contains TEXT (may be given several times)
  --runtimes A,B   of loxley, tokio, smol, epoll (default all)
  --aa             one more column, tokio again: what the noise alone does to a ratio
  --best           ratios of best rounds, not of medians: guidance where other work runs beside
  --quick          smaller inputs, a look in place of a measurement
  --list           names the cases and ends";

/// What the user asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// How often everything is done; `None` if not said.
    pub rounds: Option<usize>,
    /// Worker threads of each runtime.
    pub workers: usize,
    /// Cases whose name contains one of these; all if empty.
    pub filters: Vec<String>,
    /// Runtimes by name; all if empty.
    pub runtimes: Vec<String>,
    /// Whether the control column is wanted.
    pub control: bool,
    /// Ratios from best rounds.
    pub best: bool,
    /// A look in place of a measurement.
    pub quick: bool,
    /// What this process is to do.
    pub mode: Mode,
}

/// What a process of the harness is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mode {
    /// Start children, collect, print.
    Compare,
    /// Name the cases.
    List,
    /// Print [`USAGE`].
    Help,
    /// Do one case on one runtime and print its values.
    Child {
        /// Name of the case.
        case: String,
        /// Name of the runtime.
        runtime: String,
    },
    /// Be the client of a network case; the rest of the words are its own.
    Client(Vec<String>),
}

impl Options {
    /// Reads the words after the program's name.
    ///
    /// # Errors
    ///
    /// A sentence naming the word that is not understood.
    pub fn parse(words: impl IntoIterator<Item = String>) -> Result<Self, String> {
        let mut options = Self {
            rounds: None,
            workers: 2,
            filters: Vec::new(),
            runtimes: Vec::new(),
            control: false,
            best: false,
            quick: false,
            mode: Mode::Compare,
        };
        let mut words = words.into_iter();
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or_else(|| format!("{word} needs a value"));
            match word.as_str() {
                "--rounds" => options.rounds = Some(number(&word, &value()?)?),
                "--workers" => options.workers = number(&word, &value()?)?,
                "--filter" => options.filters.push(value()?),
                "--runtimes" => options.runtimes = value()?.split(',').map(str::to_owned).collect(),
                "--aa" => options.control = true,
                "--best" => options.best = true,
                "--quick" => options.quick = true,
                "--list" => options.mode = Mode::List,
                "--help" | "-h" => options.mode = Mode::Help,
                "--child" => {
                    options.mode = Mode::Child {
                        case: value()?,
                        runtime: value()?,
                    }
                }
                "--client" => options.mode = Mode::Client(words.by_ref().collect()),
                // What cargo itself adds.
                "--bench" => {}
                _ if !word.starts_with('-') => options.filters.push(word),
                _ => return Err(format!("unknown option {word}")),
            }
        }
        Ok(options)
    }

    /// Whether the case of this name was asked for.
    #[must_use]
    pub fn wants(&self, case: &str) -> bool {
        self.filters.is_empty()
            || self
                .filters
                .iter()
                .any(|filter| case.contains(filter.as_str()))
    }
}

fn number(option: &str, text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err(format!("{option} needs a number above 0, not {text}")),
        Ok(number) => Ok(number),
    }
}

#[cfg(test)]
mod tests {
    use super::{Mode, Options};

    fn parse(line: &str) -> Result<Options, String> {
        Options::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn cargos_own_word_is_passed_over_and_bare_words_filter() {
        let options = parse("--bench spawn --rounds 9").expect("all known");
        assert_eq!(options.rounds, Some(9));
        assert!(options.wants("spawn_many_local") && !options.wants("yield_1"));
    }

    #[test]
    fn mistakes_are_named() {
        assert_eq!(
            parse("--rounds 0").expect_err("zero"),
            "--rounds needs a number above 0, not 0"
        );
        assert_eq!(
            parse("--rounds").expect_err("nothing"),
            "--rounds needs a value"
        );
        assert_eq!(
            parse("--fast").expect_err("unknown"),
            "unknown option --fast"
        );
    }

    #[test]
    fn a_child_knows_its_case_and_runtime() {
        let options = parse("--child yield_1 tokio --workers 3 --quick").expect("all known");
        assert_eq!(
            options.mode,
            Mode::Child {
                case: "yield_1".to_owned(),
                runtime: "tokio".to_owned()
            }
        );
        assert_eq!((options.workers, options.quick), (3, true));
    }
}
