//! Batches that Freehold runs itself, on both databases.

use domain::{BatchFile, BatchLine, BatchStatus, KeyId, OwnBatch, UnixMs};

use crate::world::{World, on_both};

on_both! {
    what_came_of_a_request_is_kept_once_and_counted,
    a_batch_is_run_by_one_instance_until_its_claim_is_over,
    pages_go_on_after_the_last_one_told_and_show_nothing_of_another_key,
    what_is_old_goes_and_what_runs_stays,
}

const DAY: i64 = 86_400_000;

fn key(name: &str) -> KeyId {
    KeyId(name.into())
}

fn batch(number: i64) -> OwnBatch {
    OwnBatch {
        id: format!("batch_own_{number}"),
        key: key("k"),
        input: format!("file-own_{number}"),
        endpoint: "/v1/embeddings".into(),
        metadata: Some("{\"job\":\"7\"}".into()),
        created: UnixMs(number),
        expires: UnixMs(number + DAY),
        lines: 2,
        answered: 0,
        failed: 0,
        status: BatchStatus::InProgress,
        cancelling: None,
        ended: None,
    }
}

fn file(number: i64, key_id: &str) -> BatchFile {
    let (id, name) = (format!("file-own_{number}"), "a.jsonl".to_owned());
    BatchFile { id, key: key(key_id), name, bytes: 3, created: UnixMs(number) }
}

fn line(number: u64, failed: bool, text: &str) -> BatchLine {
    BatchLine { number, failed, text: text.into() }
}

async fn what_came_of_a_request_is_kept_once_and_counted(world: &World) {
    let store = world.open().await.of_instance("one");
    store.begin_own_batch(&batch(1)).await.unwrap();
    for (number, failed, text) in [(1, false, "late"), (0, true, "bad"), (1, false, "later")] {
        store.keep_batch_line("batch_own_1", &line(number, failed, text)).await.unwrap();
    }
    let counted = OwnBatch { answered: 1, failed: 1, ..batch(1) };
    assert_eq!(store.own_batch(&key("k"), "batch_own_1").await.unwrap(), Some(counted.clone()));
    assert_eq!(store.own_batch(&key("other"), "batch_own_1").await.unwrap(), None);
    assert_eq!(store.own_batch_done("batch_own_1").await.unwrap(), [0, 1]);
    store.cancel_own_batch(&key("k"), "batch_own_1", UnixMs(5)).await.unwrap();
    store.end_own_batch("batch_own_1", BatchStatus::Cancelled, UnixMs(6)).await.unwrap();
    store.end_own_batch("batch_own_1", BatchStatus::Completed, UnixMs(7)).await.unwrap();
    assert_eq!(store.own_batch_lines("batch_own_1", false, 0, 9).await.unwrap(), [line(1, false, "late")]);
    assert_eq!(store.own_batch_lines("batch_own_1", false, 2, 9).await.unwrap(), []);
    assert!(store.forget_batch_lines("batch_own_1", false).await.unwrap());
    let over =
        OwnBatch { status: BatchStatus::Cancelled, cancelling: Some(UnixMs(5)), ended: Some(UnixMs(6)), ..counted };
    assert_eq!(store.own_batch(&key("k"), "batch_own_1").await.unwrap(), Some(over), "its counts stay");
}

async fn a_batch_is_run_by_one_instance_until_its_claim_is_over(world: &World) {
    let store = world.open().await;
    let (one, two) = (store.of_instance("one"), store.of_instance("two"));
    for number in [3, 2, 1] {
        store.begin_own_batch(&batch(number)).await.unwrap();
    }
    let ids = |claimed: Vec<OwnBatch>| claimed.into_iter().map(|batch| batch.id).collect::<Vec<_>>();
    assert_eq!(ids(one.claim_own_batches(UnixMs(0), UnixMs(60), 2).await.unwrap()), ["batch_own_1", "batch_own_2"]);
    assert_eq!(ids(two.claim_own_batches(UnixMs(1), UnixMs(61), 2).await.unwrap()), ["batch_own_3"]);
    assert_eq!(ids(two.claim_own_batches(UnixMs(2), UnixMs(62), 2).await.unwrap()), ["batch_own_3"]);
    // What the one let go of is the other's, after what it has.
    assert_eq!(ids(two.claim_own_batches(UnixMs(60), UnixMs(120), 2).await.unwrap()), ["batch_own_1", "batch_own_3"]);
    assert_eq!(ids(one.claim_own_batches(UnixMs(61), UnixMs(121), 2).await.unwrap()), ["batch_own_2"]);
    one.end_own_batch("batch_own_2", BatchStatus::Completed, UnixMs(62)).await.unwrap();
    assert_eq!(ids(one.claim_own_batches(UnixMs(63), UnixMs(123), 2).await.unwrap()), [""; 0]);
}

async fn pages_go_on_after_the_last_one_told_and_show_nothing_of_another_key(world: &World) {
    let store = world.open().await;
    for number in 1..=3 {
        assert!(store.keep_batch_file(&file(number, "k"), b"abc", 9).await.unwrap());
        store.begin_own_batch(&batch(number)).await.unwrap();
    }
    assert!(!store.keep_batch_file(&file(4, "k"), b"abc", 9).await.unwrap(), "nine bytes are all it may have");
    assert!(store.keep_batch_file(&file(4, "other"), b"abc", 9).await.unwrap());
    let files = store.batch_files(&key("k"), None, 2).await.unwrap();
    assert_eq!(files, [file(3, "k"), file(2, "k")]);
    assert_eq!(store.batch_files(&key("k"), Some("file-own_2"), 2).await.unwrap(), [file(1, "k")]);
    assert_eq!(store.batch_files(&key("k"), Some("file-own_4"), 2).await.unwrap(), [], "another key's");
    let batches = store.own_batches(&key("k"), Some("batch_own_3"), 1).await.unwrap();
    assert_eq!(batches, [batch(2)]);
    assert_eq!(store.batch_file_body("file-own_1").await.unwrap().as_deref(), Some(&b"abc"[..]));
    assert!(!store.forget_batch_file(&key("k"), "file-own_1").await.unwrap(), "a batch of it is under way");
    store.end_own_batch("batch_own_1", BatchStatus::Completed, UnixMs(9)).await.unwrap();
    assert!(store.forget_batch_file(&key("k"), "file-own_1").await.unwrap());
}

async fn what_is_old_goes_and_what_runs_stays(world: &World) {
    let store = world.open().await;
    for number in [1, 2] {
        store.keep_batch_file(&file(number, "k"), b"abc", 9).await.unwrap();
        store.begin_own_batch(&batch(number)).await.unwrap();
        store.keep_batch_line(&batch(number).id, &line(0, false, "x")).await.unwrap();
    }
    store.end_own_batch("batch_own_1", BatchStatus::Expired, UnixMs(50)).await.unwrap();
    store.forget_old_batches(UnixMs(100)).await.unwrap();
    assert_eq!(store.own_batch(&key("k"), "batch_own_1").await.unwrap(), None);
    assert_eq!(store.own_batch_done("batch_own_1").await.unwrap(), [0; 0]);
    assert_eq!(store.batch_files(&key("k"), None, 9).await.unwrap(), [file(2, "k")]);
    assert_eq!(store.own_batch_done("batch_own_2").await.unwrap(), [0]);
}
