//! That each wish goes along an index: what SQLite says that it would do.

use sqlx::{AssertSqlSafe, Execute, QueryBuilder, Row, Sqlite};

use super::SqliteDatabase;
use super::cases::search::{Along, Gather, Wish};
use crate::access::RecordingSet;
use crate::base::Timestamp;
use crate::catalogue::{Filter, ListedState};

/// What SQLite would do for a statement that is made of a wish.
async fn plan(filter: Filter, along: Along<'_>, make: impl Fn(&Wish<'_>, Along<'_>) -> QueryBuilder<Sqlite>) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let database = SqliteDatabase::open(&folder.path().join("s.db"), true).await.expect("opens");
    let wish = Wish { filter: &filter, set: &RecordingSet::All, listed_at: 9, id: "a", floor: Some(3), rows: 10 };
    let mut query = make(&wish, along);
    let statement = format!("EXPLAIN QUERY PLAN {}", query.build().sql().as_str());
    // Placeholders without values are null, which changes no plan.
    let steps = sqlx::query(AssertSqlSafe(statement)).fetch_all(&database.engine.pool).await.expect("plans");
    steps.iter().map(|step| step.get::<String, _>("detail")).collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn each_wish_goes_along_an_index_in_its_order() {
    let now = Timestamp::MAX;
    let text = || Some("x".to_owned());
    for (filter, along, index) in [
        (Filter { tag: text(), ..Filter::default() }, Along::Tag("x"), "SEARCH found USING"),
        (Filter { group: text(), ..Filter::default() }, Along::Recordings, "INDEX recording_by_group"),
        (Filter { agent: text(), ..Filter::default() }, Along::Recordings, "INDEX recording_by_agent"),
        (Filter { from: Some(now), to: Some(now), ..Filter::default() }, Along::Recordings, "recording_newest_first"),
        (
            Filter { state: Some(ListedState::Complete), ..Filter::default() },
            Along::Recordings,
            "recording_newest_first",
        ),
        (
            Filter { state: Some(ListedState::Unfinished(now)), ..Filter::default() },
            Along::Recordings,
            "INDEX recording_not_complete",
        ),
        (
            Filter { state: Some(ListedState::Recording(now)), ..Filter::default() },
            Along::Recordings,
            "INDEX recording_not_complete",
        ),
        (
            Filter { tag: text(), group: text(), words: vec!["ab".into()], ..Filter::default() },
            Along::Tag("x"),
            "SEARCH found USING",
        ),
    ] {
        let page = plan(filter.clone(), along, |wish, along| wish.query(along)).await;
        let end_of_stretch = plan(filter, along, |wish, along| wish.end_of_stretch(along, 9)).await;
        for plan in [page, end_of_stretch] {
            assert!(plan.contains(index), "{index}: {plan}");
            assert!(!plan.contains("TEMP B-TREE") && !plan.contains("SCAN recording\n"), "{plan}");
        }
    }
    // Rare words: all that have them are gathered, each found by an index.
    let plan = plan(
        Filter { words: vec!["ab".into()], ..Filter::default() },
        Along::Gathered(Gather::Word("ab")),
        |wish, along| wish.query(along),
    )
    .await;
    assert!(plan.contains("recording_term") && !plan.contains("SCAN recording_term"), "{plan}");
}
