//! What the compiler says to beginners who forget something, word by word.
//!
//! `TRYBUILD=overwrite cargo test --test ui` writes the texts anew; read them before you keep them. What the attributes say
//! about their function is in `macros/tests/ui`.
#![cfg(all(feature = "net", feature = "macros"))]

#[test]
fn a_beginners_mistakes_are_explained() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
