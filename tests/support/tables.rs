//! Tables at the head of test modules: rows that name tests, read so that another test can hold them true.
#![allow(dead_code, reason = "each test binary uses its part")]

use std::fs;
use std::path::{Path, PathBuf};

/// The repository's root.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The text of a file of the repository.
#[track_caller]
pub(crate) fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every `.rs` file below a folder of the repository, in order.
pub(crate) fn sources(folder: &str) -> Vec<PathBuf> {
    let (mut found, mut folders) = (Vec::new(), vec![PathBuf::from(folder)]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(root().join(&folder)).expect("a folder of the repository") {
            let entry = entry.expect("an entry");
            let path = folder.join(entry.file_name());
            if entry.file_type().expect("its kind").is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// The functions under `#[test]` of a file.
pub(crate) fn tests_of(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut is_next = false;
    for line in text.lines() {
        let line = line.trim();
        is_next |= line == "#[test]" || line.starts_with("#[loxley::test");
        let function = line.strip_prefix("async ").unwrap_or(line);
        if let (true, Some(rest)) = (is_next, function.strip_prefix("fn ")) {
            let end = rest.find(['(', '<']).unwrap_or(rest.len());
            names.push(rest[..end].to_owned());
            is_next = false;
        }
    }
    names
}

/// One row: the cells before the last, and what the last one names.
pub(crate) struct Row {
    pub(crate) cells: Vec<String>,
    pub(crate) held_by: Vec<String>,
}

/// The rows of the tables in a module's head, without their heads.
pub(crate) fn rows(text: &str) -> Vec<Row> {
    let mut rows = Vec::new();
    for line in text.lines() {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let ["//!", before @ .., held_by, ""] = &cells[..] else {
            continue;
        };
        if *held_by == "held by" || held_by.starts_with('-') {
            continue;
        }
        rows.push(Row {
            cells: before.iter().map(ToString::to_string).collect(),
            held_by: held_by
                .split(", ")
                .map(|name| name.trim_matches('`').to_owned())
                .collect(),
        });
    }
    rows
}

/// What is wrong with the names in the tables of `module`: a test that does not exist, or one of its own in no row.
/// `[file] test` is a test of another file; `folder` is where a file without one lies.
pub(crate) fn wrong_names(module: &Path, folder: &str) -> Vec<String> {
    let text = read(module);
    let own = tests_of(&text);
    let mut wrong = Vec::new();
    let mut named = Vec::new();
    for name in rows(&text).into_iter().flat_map(|row| row.held_by) {
        let is_there = match name.split_once("] ") {
            Some((file, test)) => {
                let file = file.trim_start_matches('[');
                let file = match file.contains('/') {
                    true => PathBuf::from(file),
                    false => Path::new(folder).join(format!("{file}.rs")),
                };
                tests_of(&read(file)).contains(&test.to_owned())
            }
            None => own.contains(&name),
        };
        if !is_there {
            wrong.push(format!("{}: no test {name}", module.display()));
        }
        named.push(name);
    }
    for test in own.iter().filter(|test| !named.contains(test)) {
        wrong.push(format!("{}: {test} is in no table", module.display()));
    }
    wrong
}
