//! One JSON object per line, written by hand: flat objects of texts and numbers are all a run needs. Pure.

use std::fmt::Write as _;

/// A flat JSON object being written.
#[derive(Debug, Default)]
pub struct Line(String);

impl Line {
    /// An empty object.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a text.
    #[must_use]
    pub fn text(mut self, key: &str, value: &str) -> Self {
        self.key(key);
        self.quote(value);
        self
    }

    /// Adds a number; what JSON cannot hold becomes `null`.
    #[must_use]
    pub fn number(mut self, key: &str, value: f64) -> Self {
        self.key(key);
        if value.is_finite() {
            let _ = write!(self.0, "{value}");
        } else {
            self.0.push_str("null");
        }
        self
    }

    /// The object, without a line end.
    #[must_use]
    pub fn finish(mut self) -> String {
        if self.0.is_empty() {
            self.0.push('{');
        }
        self.0.push('}');
        self.0
    }

    fn key(&mut self, key: &str) {
        self.0.push(if self.0.is_empty() { '{' } else { ',' });
        self.quote(key);
        self.0.push(':');
    }

    fn quote(&mut self, text: &str) {
        self.0.push('"');
        for character in text.chars() {
            match character {
                '"' => self.0.push_str("\\\""),
                '\\' => self.0.push_str("\\\\"),
                control if control < ' ' => {
                    let _ = write!(self.0, "\\u{:04x}", u32::from(control));
                }
                other => self.0.push(other),
            }
        }
        self.0.push('"');
    }
}

#[cfg(test)]
mod tests {
    use super::Line;

    #[test]
    fn texts_are_escaped_and_odd_numbers_are_null() {
        let line = Line::new()
            .text("a", "x\"\\\n")
            .number("b", 1.5)
            .number("c", f64::NAN)
            .finish();
        assert_eq!(line, r#"{"a":"x\"\\\u000a","b":1.5,"c":null}"#);
        assert_eq!(Line::new().finish(), "{}");
    }
}
