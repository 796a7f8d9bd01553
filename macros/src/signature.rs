//! Takes an `async fn` apart, as far as wrapping it needs: what stands before `async`, the name, the return type, the body.
//!
//! Called by `expand.rs`. It never changes a token, and refuses with the span of the token that must change.

use std::iter::Peekable;

use proc_macro::{Delimiter, Group, Ident, Span, TokenStream, TokenTree};

/// What must change, and where.
pub(crate) struct Error {
    pub(crate) span: Span,
    pub(crate) text: String,
}

impl Error {
    pub(crate) fn new(span: Span, text: impl Into<String>) -> Self {
        Self {
            span,
            text: text.into(),
        }
    }
}

/// An `async fn` without arguments or generics.
pub(crate) struct Signature {
    pub(crate) lead: Lead,
    pub(crate) name: Ident,
    /// `-> T`, or nothing.
    pub(crate) output: TokenStream,
    pub(crate) body: Group,
}

/// What stands before `async fn`.
pub(crate) struct Lead {
    /// `#[…]`, with their `#`.
    pub(crate) attributes: TokenStream,
    /// The first word of each attribute, to find one that must not be there twice.
    pub(crate) attribute_names: Vec<Ident>,
    /// `pub`, `pub(crate)`, or nothing.
    pub(crate) visibility: TokenStream,
}

impl Lead {
    fn read(tokens: &mut Peekable<impl Iterator<Item = TokenTree>>) -> Self {
        let mut lead = Self {
            attributes: TokenStream::new(),
            attribute_names: Vec::new(),
            visibility: TokenStream::new(),
        };
        while let Some(hash) = tokens.next_if(|token| is_punct(token, '#')) {
            lead.attributes.extend([hash]);
            let group = tokens.next_if(|token| is_group(token, Delimiter::Bracket));
            if let Some(TokenTree::Group(group)) = &group {
                if let Some(TokenTree::Ident(name)) = group.stream().into_iter().next() {
                    lead.attribute_names.push(name);
                }
            }
            lead.attributes.extend(group);
        }
        if let Some(public) = tokens.next_if(|token| is_ident(token, "pub")) {
            lead.visibility.extend([public]);
            let restriction = tokens.next_if(|token| is_group(token, Delimiter::Parenthesis));
            lead.visibility.extend(restriction);
        }
        lead
    }
}

impl Signature {
    /// Reads `item`. `what` is the attribute as the user wrote it, for the error texts.
    pub(crate) fn read(what: &str, item: TokenStream) -> Result<Self, Error> {
        let end = item
            .clone()
            .into_iter()
            .last()
            .map_or_else(Span::call_site, |token| token.span());
        let mut tokens = item.into_iter().peekable();
        let lead = Lead::read(&mut tokens);

        // 1. `async fn name`, and nothing else in front of it.
        match tokens.next() {
            Some(token) if is_ident(&token, "async") => {}
            Some(token) if is_ident(&token, "fn") => {
                let text = format!("{what} needs an async function: write `async fn`");
                return Err(Error::new(token.span(), text));
            }
            Some(token) => {
                let text = format!("{what} goes on a plain `async fn`, not on `{token}`");
                return Err(Error::new(token.span(), text));
            }
            None => return Err(Error::new(end, format!("{what} goes on an `async fn`"))),
        }
        match tokens.next() {
            Some(token) if is_ident(&token, "fn") => {}
            other => {
                let span = other.map_or(end, |token| token.span());
                return Err(Error::new(
                    span,
                    format!("{what} goes on a plain `async fn`"),
                ));
            }
        }
        let Some(TokenTree::Ident(name)) = tokens.next() else {
            return Err(Error::new(end, "the function has no name"));
        };

        // 2. No generics, no arguments.
        let arguments = match tokens.next() {
            Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Parenthesis => group,
            Some(token) => {
                let text =
                    format!("a function under {what} cannot be generic: remove the parameters");
                return Err(Error::new(token.span(), text));
            }
            None => return Err(Error::new(end, "the function has no argument list")),
        };
        if let Some(first) = arguments.stream().into_iter().next() {
            let text = format!("nobody calls a function under {what} with arguments: remove them");
            return Err(Error::new(first.span(), text));
        }

        // 3. The return type is whatever stands before the body.
        let mut rest: Vec<TokenTree> = tokens.collect();
        let body = match rest.pop() {
            Some(TokenTree::Group(body)) if body.delimiter() == Delimiter::Brace => body,
            _ => {
                return Err(Error::new(
                    end,
                    format!("a function under {what} needs a body"),
                ));
            }
        };
        if let Some(clause) = rest.iter().find(|token| is_ident(token, "where")) {
            let text =
                format!("a function under {what} cannot be generic: remove the `where` clause");
            return Err(Error::new(clause.span(), text));
        }
        Ok(Self {
            lead,
            name,
            output: rest.into_iter().collect(),
            body,
        })
    }
}

pub(crate) fn is_punct(token: &TokenTree, character: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == character)
}

fn is_ident(token: &TokenTree, word: &str) -> bool {
    matches!(token, TokenTree::Ident(ident) if ident.to_string() == word)
}

fn is_group(token: &TokenTree, delimiter: Delimiter) -> bool {
    matches!(token, TokenTree::Group(group) if group.delimiter() == delimiter)
}
