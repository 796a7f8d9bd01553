//! What the attributes refuse, and in which words. `TRYBUILD=overwrite cargo test -p loxley-macros` writes the texts anew.

#[test]
fn refusals_name_the_token_and_what_to_change() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
