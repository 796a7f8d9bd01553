//! Source files as `tests/tidy.rs` reads them: every line split into its code, without what stands in literals, and its
//! comments.

use std::fs;
use std::path::Path;

/// One file, line by line.
pub(crate) struct File {
    /// Relative to the repository, with forward slashes.
    pub(crate) path: String,
    pub(crate) lines: Vec<Line>,
}

/// One line.
pub(crate) struct Line {
    pub(crate) raw: String,
    /// The line without comments, and without the contents of literals.
    pub(crate) code: String,
    /// The comments on the line.
    pub(crate) comment: String,
    /// Part of a test: in a test file, or below the `#[cfg(test)]` that opens a file's tests.
    pub(crate) in_test: bool,
}

pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every source file of the repository, but for what is wrong on purpose: the samples of these rules, and of the macros'
/// refusals.
pub(crate) fn files() -> Vec<File> {
    let mut files = Vec::new();
    let mut folders = vec![root().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("the folder is readable") {
            let path = entry.expect("the entry is readable").path();
            let relative = path.strip_prefix(root()).expect("below the root");
            let relative = relative.to_string_lossy().replace('\\', "/");
            let name = relative.rsplit('/').next().unwrap_or_default();
            if path.is_dir() && name != "target" && !name.starts_with('.') {
                folders.push(path);
            } else if name.ends_with(".rs")
                && !relative.starts_with("tests/tidy")
                && !relative.contains("/ui/")
            {
                let text = fs::read_to_string(&path).expect("a source file is text");
                files.push(File::new(relative, &text));
            }
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files
}

impl File {
    pub(crate) fn new(path: String, text: &str) -> Self {
        let is_test = ["tests/", "loom-tests/"]
            .iter()
            .any(|root| path.starts_with(root));
        let mut in_test = is_test || path.contains("/tests/") || path.ends_with("/tests.rs");
        let mut inside = Inside::Code;
        let mut lines = Vec::new();
        let mut below_cfg = false;
        for raw in text.lines() {
            let (code, comment) = split(raw, &mut inside);
            // `mod tests;` has its own file; `mod tests {` goes on to the end of this one.
            in_test |= below_cfg && code.starts_with("mod ") && code.contains('{');
            below_cfg = code.starts_with("#[cfg(") && code.contains("test");
            lines.push(Line {
                raw: raw.to_owned(),
                code,
                comment,
                in_test,
            });
        }
        Self { path, lines }
    }

    pub(crate) fn is_under(&self, places: &[&str]) -> bool {
        places.iter().any(|place| self.path.starts_with(place))
    }

    /// Whether a comment on this line, or at most `reach` lines above, holds one of `words`.
    pub(crate) fn is_explained(&self, at: usize, reach: usize, words: &[&str]) -> bool {
        let near = &self.lines[at.saturating_sub(reach)..=at];
        near.iter()
            .any(|line| words.iter().any(|word| line.comment.contains(word)))
    }

    /// The lines outside tests that name one of `needles`.
    pub(crate) fn naming(&self, needles: &[&str]) -> Vec<String> {
        self.where_line(
            |line| !line.in_test && needles.iter().any(|needle| line.names(needle)),
            &format!("not to be named here: {}", needles.join(", ")),
        )
    }

    pub(crate) fn where_line(&self, matches: impl Fn(&Line) -> bool, what: &str) -> Vec<String> {
        let hits = (0..self.lines.len()).filter(|&at| matches(&self.lines[at]));
        hits.flat_map(|at| self.finding_if(true, at, what))
            .collect()
    }

    pub(crate) fn finding_if(&self, holds: bool, at: usize, what: &str) -> Vec<String> {
        if !holds {
            return Vec::new();
        }
        let line = self.lines.get(at).map_or("", |line| line.raw.trim());
        vec![format!("{}:{}: {what}\n    {line}", self.path, at + 1)]
    }
}

impl Line {
    /// Whether the code names `needle`, not as the tail of a longer word.
    pub(crate) fn names(&self, needle: &str) -> bool {
        self.code.match_indices(needle).any(|(at, _)| {
            let before = self.code[..at].chars().next_back();
            !before.is_some_and(is_of_word)
        })
    }

    pub(crate) fn has_word(&self, word: &str) -> bool {
        self.code
            .split(|c| !is_of_word(c))
            .any(|found| found == word)
    }
}

fn is_of_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// What the end of a line leaves open.
#[derive(Clone, Copy)]
enum Inside {
    Code,
    /// A block comment, and how deep.
    Comment(usize),
    /// A string, and for a raw one its number of `#`.
    Text(Option<usize>),
}

/// Splits a line into code and comment, dropping what stands inside literals.
fn split(raw: &str, inside: &mut Inside) -> (String, String) {
    let (mut code, mut comment) = (String::new(), String::new());
    let mut rest = raw;
    while let Some(first) = rest.chars().next() {
        let mut step = first.len_utf8();
        match *inside {
            Inside::Comment(depth) => {
                if rest.starts_with("*/") {
                    step = 2;
                    *inside = if depth == 1 {
                        Inside::Code
                    } else {
                        Inside::Comment(depth - 1)
                    };
                } else if rest.starts_with("/*") {
                    step = 2;
                    *inside = Inside::Comment(depth + 1);
                } else {
                    comment.push(first);
                }
            }
            Inside::Text(None) if first == '\\' => {
                step += rest[1..].chars().next().map_or(0, char::len_utf8);
            }
            Inside::Text(hashes) => {
                let closing = format!("\"{}", "#".repeat(hashes.unwrap_or(0)));
                if rest.starts_with(&closing) {
                    step = closing.len();
                    code.push('"');
                    *inside = Inside::Code;
                }
            }
            Inside::Code if rest.starts_with("//") => {
                comment.push_str(rest);
                step = rest.len();
            }
            Inside::Code if rest.starts_with("/*") => {
                step = 2;
                *inside = Inside::Comment(1);
            }
            Inside::Code => {
                if let Some((length, opened)) = literal(rest, code.chars().next_back()) {
                    step = length;
                    *inside = opened;
                    code.push('"');
                } else {
                    code.push(first);
                }
            }
        }
        rest = &rest[step..];
    }
    (code, comment)
}

/// The length of what opens a literal here, and what it leaves open: a string, a raw string, or a whole character.
fn literal(rest: &str, before: Option<char>) -> Option<(usize, Inside)> {
    if rest.starts_with('"') {
        return Some((1, Inside::Text(None)));
    }
    if rest.starts_with('r') && before.is_none_or(|c| !is_of_word(c) || c == 'b') {
        let hashes = rest[1..].chars().take_while(|&c| c == '#').count();
        if rest[1 + hashes..].starts_with('"') {
            return Some((hashes + 2, Inside::Text(Some(hashes))));
        }
    }
    let mut characters = rest.strip_prefix('\'')?.char_indices();
    let (_, first) = characters.next()?;
    // `'\''` and `'\u{7f}'` end at the next quote after the escaped character, `'a'` right after it; `'a` is a lifetime.
    let end = if first == '\\' {
        characters.next()?;
        characters.find(|&(_, c)| c == '\'')?.0
    } else {
        characters.next().filter(|&(_, c)| c == '\'')?.0
    };
    Some((end + 2, Inside::Code))
}

#[test]
fn literals_and_comments_are_no_code() {
    let file = File::new(
        "a.rs".to_owned(),
        "f('\"', \"unsafe // \\\" {\", r#\"unsafe\"#); /* unsafe /* deep */\nunsafe */ g::<'a>('\\'') // unsafe\n\"\nunsafe\n\"",
    );
    let code: Vec<&str> = file.lines.iter().map(|line| line.code.as_str()).collect();
    assert_eq!(
        code,
        ["f(\", \"\", \"\"); ", " g::<'a>(\") ", "\"", "", "\""]
    );
    assert!(file.lines.iter().all(|line| !line.has_word("unsafe")));
    assert!(file.lines[1].comment.contains("unsafe"));
}

#[test]
fn a_test_module_ends_the_code_of_a_file_but_a_test_file_does_not() {
    let in_test = |text: &str| {
        let file = File::new("io/src/a.rs".to_owned(), text);
        file.lines.last().expect("the text has lines").in_test
    };
    assert!(in_test("#[cfg(test)]\nmod tests {\nfn f() {}"));
    assert!(!in_test(
        "#[cfg(all(test, not(loom)))]\nmod tests;\nfn f() {}"
    ));
    assert!(!in_test("#[cfg(test)]\nfn helper() {}\nfn f() {}"));
}
