//! Writes the function that users get: their own `async fn`, nested untouched in a plain one that runs it.
//!
//! ```text
//! #[attributes] pub fn name() -> T {
//!     async fn name() -> T { body }
//!     ::loxley::run(name())
//! }
//! ```
//!
//! Nesting the function, not its body in an `async` block, keeps `?`, `return` and `impl Trait` in the return type working
//! and gives every type error its usual place.

use std::fmt::Write as _;

use proc_macro::{Delimiter, Group, Literal, Punct, Spacing, TokenStream, TokenTree};

use crate::options::{Flavor, Options};
use crate::signature::{Error, Signature};

/// Which of the two attributes is expanded.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Attribute {
    Main,
    Test,
}

impl Attribute {
    fn name(self) -> &'static str {
        match self {
            Self::Main => "#[loxley::main]",
            Self::Test => "#[loxley::test]",
        }
    }

    /// For the texts of errors.
    pub(crate) fn options(self) -> &'static str {
        match self {
            Self::Main => "the options are `flavor`, `worker_threads`, `debug` and `crate`",
            Self::Test => {
                "the options are `flavor`, `worker_threads`, `debug`, `leak_check`, `paused` and `crate`"
            }
        }
    }
}

pub(crate) fn attribute(
    attribute: Attribute,
    arguments: TokenStream,
    item: TokenStream,
) -> TokenStream {
    let signature = match Signature::read(attribute.name(), item.clone()) {
        Ok(signature) => signature,
        Err(error) => {
            return [compile_error(&error), stand_in(item)]
                .into_iter()
                .collect();
        }
    };
    let function = [
        TokenTree::Ident(signature.name.clone()),
        group(Delimiter::Parenthesis, TokenStream::new()),
    ];
    let future = function.into_iter().collect();
    match Options::read(attribute, arguments)
        .and_then(|options| check(attribute, &signature, options))
    {
        Ok(options) => {
            let marker = match attribute {
                Attribute::Main => TokenStream::new(),
                Attribute::Test => tokens("#[::core::prelude::v1::test]"),
            };
            [marker, wrap(signature, call(attribute, options, future))]
                .into_iter()
                .collect()
        }
        // The body is still checked, so that its errors show beside this one.
        Err(error) => [compile_error(&error), wrap(signature, tokens("loop {}"))]
            .into_iter()
            .collect(),
    }
}

/// What neither the signature nor the options can judge alone.
fn check(attribute: Attribute, signature: &Signature, options: Options) -> Result<Options, Error> {
    let twice = signature
        .lead
        .attribute_names
        .iter()
        .find(|name| name.to_string() == "test");
    match (attribute, twice) {
        (Attribute::Test, Some(name)) => Err(Error::new(
            name.span(),
            "#[loxley::test] makes the function a test: remove `#[test]`",
        )),
        _ => Ok(options),
    }
}

/// The expression that runs `future`.
fn call(attribute: Attribute, options: Options, future: TokenStream) -> TokenStream {
    let mut knobs = String::new();
    let flavor = options.flavor.unwrap_or(match attribute {
        Attribute::Test if options.worker_threads.is_none() => Flavor::CurrentThread,
        _ => Flavor::MultiThread,
    });
    if flavor == Flavor::CurrentThread {
        knobs.push_str(".current_thread()");
    }
    // Writing to a string cannot fail.
    if let Some(count) = options.worker_threads {
        let _ = write!(knobs, ".worker_threads({count})");
    }
    for (knob, value) in [
        ("debug", options.debug),
        ("leak_check", options.leak_check),
        ("paused", options.paused),
    ] {
        if let Some(value) = value {
            let _ = write!(knobs, ".{knob}({value})");
        }
    }
    let path = options.path.unwrap_or_else(|| tokens("::loxley"));
    let (function, arguments) = match attribute {
        Attribute::Main if knobs.is_empty() => ("::run".to_owned(), future),
        Attribute::Main => (format!("::Runtime::builder(){knobs}.run"), future),
        Attribute::Test => {
            let config = tokens(&format!("::testing::Config::new(){knobs},"));
            (
                "::testing::run".to_owned(),
                [path.clone(), config, future].into_iter().collect(),
            )
        }
    };
    let arguments = group(Delimiter::Parenthesis, arguments).into();
    [path, tokens(&function), arguments].into_iter().collect()
}

/// `attributes visibility fn name() output { async fn name() output body  last }`
fn wrap(signature: Signature, last: TokenStream) -> TokenStream {
    let Signature {
        lead,
        name,
        output,
        body,
    } = signature;
    let name = TokenStream::from(TokenTree::Ident(name));
    let no_arguments = TokenStream::from(group(Delimiter::Parenthesis, TokenStream::new()));
    let body = TokenStream::from(TokenTree::Group(body));
    let inner = [
        tokens("async fn"),
        name.clone(),
        no_arguments.clone(),
        output.clone(),
        body,
        last,
    ];
    let outer = group(Delimiter::Brace, inner.into_iter().collect()).into();
    [
        lead.attributes,
        lead.visibility,
        tokens("fn"),
        name,
        no_arguments,
        output,
        outer,
    ]
    .into_iter()
    .collect()
}

/// What stands for a refused item, so that a `main` is not reported as missing, or as async, as well.
fn stand_in(item: TokenStream) -> TokenStream {
    let is = |token: &TokenTree, word: &str| matches!(token, TokenTree::Ident(ident) if ident.to_string() == word);
    if !item.clone().into_iter().any(|token| is(&token, "async")) {
        return item;
    }
    match item.into_iter().skip_while(|token| !is(token, "fn")).nth(1) {
        Some(TokenTree::Ident(name)) => tokens(&format!("#[allow(dead_code)] fn {name}() {{}}")),
        _ => TokenStream::new(),
    }
}

/// `::core::compile_error! { "text" }`, all of it at the place that must change.
fn compile_error(error: &Error) -> TokenStream {
    let mut text = TokenTree::Literal(Literal::string(&error.text));
    text.set_span(error.span);
    let mut all: Vec<TokenTree> = tokens("::core::compile_error").into_iter().collect();
    all.push(TokenTree::Punct(Punct::new('!', Spacing::Alone)));
    all.push(group(Delimiter::Brace, text.into()));
    for token in &mut all {
        token.set_span(error.span);
    }
    all.into_iter().collect()
}

fn group(delimiter: Delimiter, stream: TokenStream) -> TokenTree {
    TokenTree::Group(Group::new(delimiter, stream))
}

/// Parses our own text; user text never goes through here.
fn tokens(text: &str) -> TokenStream {
    text.parse().expect("the macro's own text is valid")
}
