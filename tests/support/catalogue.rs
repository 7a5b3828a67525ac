//! A catalogue of any size: rows as they stand for recordings that were really imported, under many IDs and many keys.
//!
//! The recordings that were really imported stay playable, and are moved so that they lie all over its age. Also used
//! by `benches/scale.rs`.

use std::path::Path;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Connection};

/// When the oldest recording was made, in Unix milliseconds; each later one a second after the one before.
pub const OLDEST_MILLIS: u64 = 1_700_000_000_000;
/// How the IDs of the few oldest recordings begin.
pub const RARE: &str = "rare.";
/// How many those are.
pub const RARE_COUNT: u64 = 7;
/// How the IDs of the others in the oldest fifth begin.
pub const OLD: &str = "old.";
/// How the IDs of one in a hundred of all the others begin, from the oldest of them to the newest.
pub const TEAM: &str = "team-17.";

/// Connects to a database of this program, beside it.
pub async fn connect(database: &Path) -> SqliteConnection {
    let options = SqliteConnectOptions::new().filename(database).disable_statement_logging();
    options.connect().await.expect("connects")
}

/// A tag of every fifth recording.
pub const TAG: &str = "complaint";
/// An agent of every fifth.
pub const AGENT: &str = "agent-3";
/// A word in the metadata of all, and one in that of the few oldest alone.
pub const WORDS: [&str; 2] = ["billing", "zebra"];

/// Says something of every recording, as their metadata would: agent, group of two, tags, parties, and terms to find
/// them by.
pub async fn describe(database: &Path) {
    let mut connection = connect(database).await;
    sqlx::query("PRAGMA synchronous = OFF").execute(&mut connection).await.expect("set");
    let mut transaction = connection.begin().await.expect("begins");
    let statements = DESCRIPTIONS.replace("$1", &OLDEST_MILLIS.to_string());
    sqlx::raw_sql(sqlx::AssertSqlSafe(statements)).execute(&mut *transaction).await.expect("describes");
    transaction.commit().await.expect("commits");
    sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(&mut connection).await.expect("moved into the file");
    connection.close().await.expect("closes");
}

/// Adds `count` recordings to a catalogue that has keys and at least one recording.
pub async fn fill(database: &Path, count: u64) {
    let mut connection = connect(database).await;
    // It is made in a moment and can be made again.
    sqlx::query("PRAGMA synchronous = OFF").execute(&mut connection).await.expect("set");
    let mut transaction = connection.begin().await.expect("begins");
    let statements = STATEMENTS.replace("$1", &count.to_string()).replace("$2", &OLDEST_MILLIS.to_string());
    sqlx::raw_sql(sqlx::AssertSqlSafe(statements)).execute(&mut *transaction).await.expect("fills");
    transaction.commit().await.expect("commits");
    sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(&mut connection).await.expect("moved into the file");
    connection.close().await.expect("closes");
}

/// By age: agents in turn, two recordings a group, every fifth tagged, and terms as `db` writes them.
const DESCRIPTIONS: &str = "
UPDATE recording SET
    agent = 'agent-' || ((listed_at - $1) / 1000 % 5),
    group_name = 'call-' || ((listed_at - $1) / 2000),
    metadata = json_object(
        'agent', 'agent-' || ((listed_at - $1) / 1000 % 5),
        'group', 'call-' || ((listed_at - $1) / 2000),
        'parties', json_array('billing desk', 'caller-' || ((listed_at - $1) / 1000)),
        'tags', json_array(CASE (listed_at - $1) / 1000 % 5 WHEN 1 THEN 'complaint' ELSE 'usual' END)
    );
INSERT INTO recording_term (kind, term, listed_at, id)
SELECT 0, json_extract(metadata, '$.tags[0]'), listed_at, id FROM recording WHERE metadata IS NOT NULL
UNION ALL
SELECT 1, word.value, listed_at, recording.id FROM recording CROSS JOIN json_each('[\"billing\", \"desk\", \"caller\"]') AS word
UNION ALL
SELECT 1, agent, listed_at, id FROM recording
UNION ALL
SELECT 1, 'zebra', listed_at, id FROM recording WHERE listed_at < $1 + 7000;
";

/// Keys by number; rows, whose IDs end in digits that order them in another way than their age; and those that were
/// there before, moved.
const STATEMENTS: &str = "
CREATE TEMP TABLE numbered AS
SELECT row_number() OVER (ORDER BY fingerprint) - 1 AS number, fingerprint FROM database_key;
CREATE UNIQUE INDEX temp.by_number ON numbered (number);

CREATE TEMP TABLE imported AS
SELECT id, row_number() OVER (ORDER BY seal_id) - 1 AS number FROM recording;
CREATE UNIQUE INDEX temp.by_id ON imported (id);
UPDATE recording SET created_at = (
    SELECT $2 + number * $1 / (SELECT count(*) FROM imported) * 1000 + 500
    FROM imported WHERE imported.id = recording.id
);
UPDATE recording SET listed_at = created_at;

INSERT INTO recording (id, media_type, media_len, state, mended, created_at, listed_at, sealed, fingerprint, seal_id)
WITH RECURSIVE new (number) AS (
    SELECT 0 UNION ALL SELECT number + 1 FROM new WHERE number + 1 < $1
),
model AS MATERIALIZED (
    SELECT media_type, media_len, state, mended FROM recording WHERE state = 2 AND sealed = 1 LIMIT 1
),
many AS MATERIALIZED (SELECT count(*) AS keys FROM numbered)
SELECT
    CASE
        WHEN number < 7 THEN 'rare.'
        WHEN number < $1 / 5 THEN 'old.'
        ELSE printf('team-%02d.', number * 37 % 100)
    END || printf('%08x', number * 2654435761 & 4294967295),
    media_type, media_len, state, mended, $2 + number * 1000, $2 + number * 1000, 1,
    (SELECT fingerprint FROM numbered WHERE numbered.number = new.number % keys), randomblob(16)
FROM new CROSS JOIN model CROSS JOIN many;
";
