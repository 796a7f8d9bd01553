//! Reads `name = literal, …`: the arguments of the attributes.
//!
//! Called by `expand.rs`. Each error names the token that must change and what may stand there.

use proc_macro::{Ident, Span, TokenStream, TokenTree};

use crate::expand::Attribute;
use crate::signature::{Error, is_punct};

/// How tasks are scheduled.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flavor {
    CurrentThread,
    MultiThread,
}

/// What the user asked for; `None` where nothing was said.
#[derive(Default)]
pub(crate) struct Options {
    pub(crate) flavor: Option<Flavor>,
    pub(crate) worker_threads: Option<usize>,
    pub(crate) debug: Option<bool>,
    pub(crate) leak_check: Option<bool>,
    pub(crate) paused: Option<bool>,
    pub(crate) path: Option<TokenStream>,
}

impl Options {
    pub(crate) fn read(attribute: Attribute, arguments: TokenStream) -> Result<Self, Error> {
        let mut options = Self::default();
        let mut seen: Vec<String> = Vec::new();
        let mut threads_at = None;
        let mut tokens = arguments.into_iter().peekable();
        while let Some(token) = tokens.next() {
            let TokenTree::Ident(name) = token else {
                return Err(Error::new(
                    token.span(),
                    format!("expected an option: {}", attribute.options()),
                ));
            };
            if seen.contains(&name.to_string()) {
                return Err(Error::new(name.span(), format!("`{name}` is given twice")));
            }
            seen.push(name.to_string());
            if tokens.next_if(|token| is_punct(token, '=')).is_none() {
                let is_whole = tokens.next().is_none_or(|token| is_punct(&token, ','));
                if !(is_whole && options.switch_on(attribute, &name)) {
                    return Err(Error::new(name.span(), format!("write `{name} = …`")));
                }
                continue;
            }
            let mut value: Vec<TokenTree> = Vec::new();
            while let Some(token) = tokens.next_if(|token| !is_punct(token, ',')) {
                value.push(token);
            }
            tokens.next();
            if name.to_string() == "worker_threads" {
                threads_at = Some(name.span());
            }
            options.set(attribute, &name, &Value::new(&name, &value))?;
        }
        match threads_at {
            Some(span) if options.flavor == Some(Flavor::CurrentThread) => Err(Error::new(
                span,
                "the \"current_thread\" flavor has one thread: remove `worker_threads`, or use \"multi_thread\"",
            )),
            _ => Ok(options),
        }
    }

    /// A name alone: `true`, where that is what the option takes.
    fn switch_on(&mut self, attribute: Attribute, name: &Ident) -> bool {
        let switch = match (name.to_string().as_str(), attribute) {
            ("debug", _) => &mut self.debug,
            ("leak_check", Attribute::Test) => &mut self.leak_check,
            ("paused" | "start_paused", Attribute::Test) => &mut self.paused,
            _ => return false,
        };
        *switch = Some(true);
        true
    }

    fn set(&mut self, attribute: Attribute, name: &Ident, value: &Value) -> Result<(), Error> {
        match (name.to_string().as_str(), attribute) {
            ("flavor", _) => self.flavor = Some(value.flavor()?),
            ("worker_threads", _) => self.worker_threads = Some(value.positive()?),
            ("debug", _) => self.debug = Some(value.boolean()?),
            ("crate", _) => self.path = Some(value.path()?),
            ("leak_check", Attribute::Test) => self.leak_check = Some(value.boolean()?),
            ("paused" | "start_paused", Attribute::Test) => self.paused = Some(value.boolean()?),
            _ => {
                let text = format!("unknown option `{name}`: {}", attribute.options());
                return Err(Error::new(name.span(), text));
            }
        }
        Ok(())
    }
}

/// What stands right of the `=`.
struct Value {
    name: String,
    text: String,
    span: Span,
}

impl Value {
    fn new(name: &Ident, tokens: &[TokenTree]) -> Self {
        Self {
            name: name.to_string(),
            text: tokens.iter().map(TokenTree::to_string).collect(),
            span: tokens.first().map_or_else(|| name.span(), TokenTree::span),
        }
    }

    fn expected(&self, what: &str) -> Error {
        Error::new(self.span, format!("`{}` takes {what}", self.name))
    }

    fn flavor(&self) -> Result<Flavor, Error> {
        match self.text.as_str() {
            "\"current_thread\"" => Ok(Flavor::CurrentThread),
            "\"multi_thread\"" => Ok(Flavor::MultiThread),
            _ => Err(self.expected("\"current_thread\" or \"multi_thread\"")),
        }
    }

    fn boolean(&self) -> Result<bool, Error> {
        self.text
            .parse()
            .map_err(|_| self.expected("`true` or `false`"))
    }

    fn positive(&self) -> Result<usize, Error> {
        let digits = self.text.replace('_', "");
        match digits.strip_suffix("usize").unwrap_or(&digits).parse() {
            Ok(number) if number > 0 => Ok(number),
            _ => Err(self.expected("a whole number from 1")),
        }
    }

    fn path(&self) -> Result<TokenStream, Error> {
        let wrong = || self.expected("a path in quotes, such as \"::loxley\"");
        let path = self
            .text
            .strip_prefix('"')
            .and_then(|rest| rest.strip_suffix('"'));
        let stream: TokenStream = path.ok_or_else(wrong)?.parse().map_err(|_| wrong())?;
        if stream.is_empty() {
            Err(wrong())
        } else {
            Ok(stream)
        }
    }
}
