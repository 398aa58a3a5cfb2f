//! Space is given back while others read, and nothing goes with it that is owed or needed.

use super::*;

/// A store with so many members of 5000 bytes in sealed segments, all owed.
fn sealed(dir: &Path, members: u64) -> Store {
    let store = open(dir);
    let app = door(&store);
    (1..members).for_each(|n| drop(commit(&app, step("logs", n, 5000))));
    durable(commit(&app, step("logs", members, 5000)));
    store
}

#[test]
fn an_index_that_is_not_in_memory_is_not_taken_for_an_empty_one() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = sealed(dir.path(), 100);
    let shared = &store.shared;
    let trailers: Vec<_> = shared.state().segments.iter().filter_map(|(n, s)| Some((*n, s.trailer?))).collect();
    let first = trailers[0].0;
    // Others are read until the first is forgotten.
    trailers.iter().for_each(|one| shared.load(*one).expect("readable"));
    assert!(shared.state().segments[&first].live_entries().is_none());
    let (kept, ..) = shared.live_entries(first).expect("readable").expect("sealed");
    assert_eq!(kept.len(), shared.state().segments[&first].live as usize);
    close(&store);
}

#[test]
fn a_lane_that_meets_a_segment_while_it_is_rewritten_is_told_what_it_owes() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = sealed(dir.path(), 100);
    let shared = &store.shared;
    let before = shared.state().segments[&1].trailer.expect("sealed");
    let app = door(&store);
    let (_, mut owed) = numbers(&app, "logs");
    let kept = owed.remove(2);
    settle(&app, &owed);
    app.give_back(vec![kept]);
    wait_for("the first segment to be rewritten", || shared.state().segments[&1].trailer != Some(before));
    // Whoever was about to read the index where it was.
    shared.load((1, before)).expect("not an error");
    assert_eq!(numbers(&app, "logs").0, [3]);
    close(&store);
}
