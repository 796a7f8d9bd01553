#[loxley_macros::main(threads = 4)]
async fn main() -> Result<(), std::io::Error> {
    let count: usize = "four";
    Ok(())
}
