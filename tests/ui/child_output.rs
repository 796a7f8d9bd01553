//! A child of a group gives `()` or a `Result` with the group's error.

#[loxley::main]
async fn main() {
    let group = loxley::task_group(|group: loxley::TaskGroup<std::io::Error>| async move {
        let child = group.create_task(async { 7 });
        drop(child);
        Ok(())
    });
    group.await.unwrap();
}
