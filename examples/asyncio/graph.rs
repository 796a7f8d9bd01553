//! Who awaits whom: one task's call graph, and all tasks as a tree.

use std::convert::Infallible;
use std::time::Duration;

use loxley::{TaskGroup, format_task_tree, print_call_graph, sleep, task_group};

/// Example 67. A task of a group asks who waits for it.
pub(crate) async fn awaited_by() {
    let group = task_group(|tg: TaskGroup<Infallible>| async move {
        let test = tg.create_task(async { print_call_graph(None) });
        test.set_name("test");
        Ok(())
    });
    group.await.expect("nothing in it can fail");
}

/// The tracks of an album, all at once.
async fn play_album(tracks: [&'static str; 2]) {
    let group = task_group(|tg: TaskGroup<Infallible>| async move {
        for track in tracks {
            tg.create_task(sleep(Duration::from_secs(5)))
                .set_name(track);
        }
        Ok(())
    });
    group.await.expect("nothing in it can fail");
}

/// Example 68. What plays while the program is looked at: asyncio does that from outside, by `pstree PID`; here a program
/// shows itself, say on a page of its server or at a signal.
pub(crate) async fn music_player() {
    let group = task_group(|tg: TaskGroup<Infallible>| async move {
        let albums = [("Greenwood", ["Oak", "Ash"]), ("Longbow", ["Yew", "Elm"])];
        for (name, tracks) in albums {
            tg.create_task(play_album(tracks)).set_name(name);
        }
        sleep(Duration::from_secs(1)).await;
        print!("{}", format_task_tree());
        Ok(())
    });
    group.await.expect("nothing in it can fail");
}
