//! Answers that are given again.

use super::Answer;

/// Whether this answer was given before.
pub fn is_replayed(answer: &Answer) -> bool {
    answer.header("idempotency-replayed") == Some("true")
}

/// Checks that `again` is the answer `first`, given again.
#[track_caller]
pub fn assert_replays(first: &Answer, again: &Answer) {
    assert!(!is_replayed(first), "{first:?}");
    assert!(is_replayed(again), "{again:?}");
    assert_eq!(again.status, first.status);
    assert_eq!(again.body, first.body);
    for name in ["content-type", "cache-control", "etag", "location"] {
        assert_eq!(again.header(name), first.header(name), "{name}");
    }
}
