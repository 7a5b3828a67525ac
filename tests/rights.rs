//! What the database has to allow the program: no superuser is needed, and for everything but making tables not even their
//! owner.

use std::{path::Path, time::Duration};

use serde_json::json;

use crate::support::postgres::Postgres;
use crate::support::{Server, System, media, put, request, text, tool};

/// As the file that stands beside the manual names him.
const PROXY: &str = "sealtape_proxy";

/// Grants what `deploy/rights.sql` grants, as the owner.
fn grant(url: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/manual/deploy/rights.sql");
    let mut psql = tool("psql");
    let output = psql.args([url, "--set=ON_ERROR_STOP=1", "--file"]).arg(file).output().expect("psql runs");
    assert!(output.status.success(), "{}", text(&output.stderr));
}

#[test]
fn a_user_who_owns_nothing_serves_and_does_all_work_but_making_tables() {
    let postgres = Postgres::start();
    postgres.user(PROXY);
    let (url, bytes) = (postgres.database("rights"), media(50_000));
    let mut system = System::on_postgres(url.clone());
    system.ok(&["keys", "generate"]);
    // As a server is that was upgraded.
    postgres.execute("rights", "GRANT CREATE ON SCHEMA public TO PUBLIC");
    grant(&url);
    let may_make = format!(
        "SELECT count(*) FROM pg_roles WHERE rolname = '{PROXY}' AND has_schema_privilege(oid, 'public', 'CREATE')"
    );
    assert_eq!(postgres.count("rights", &may_make), 0, "rows, and no tables");
    let strong =
        "SELECT count(*) FROM pg_roles WHERE rolname LIKE 'sealtape%' AND (rolsuper OR rolcreaterole OR rolcreatedb)";
    assert_eq!(postgres.count("rights", strong), 0, "neither user is more than he has to be");

    system.set("SEALTAPE_DATABASE__URL", &postgres.url_of(PROXY, "rights"));
    let server = system.serve();
    for id in ["stays", "goes"] {
        assert_eq!(put(&server.address, id, &[], &bytes).json()["catalogued"], true, "{id}");
    }
    let json = [("Content-Type", "application/json")];
    let changed = request(&server.address, "PATCH", "/recordings/stays", &json, br#"{"agent": "seven"}"#);
    assert_eq!(changed.status, 200, "{changed:?}");
    assert_eq!(request(&server.address, "DELETE", "/recordings/goes", &[], b"").status, 204);
    let first = system.json(&["keys", "list"])[0]["fingerprint"].as_str().expect("a key").to_owned();
    system.ok(&["encryption", "disable"]);
    system.import("plain", &bytes);
    system.ok(&["encryption", "enable"]);
    for work in [
        &["encrypt", "--all"][..],
        &["keys", "generate"],
        &["rewrap", "--all"],
        &["keys", "deactivate", &first],
        &["reseal", "--all"],
        &["definition-key", "cycle"],
        &["recordings", "hold", "stays"],
        &["recordings", "release", "stays"],
        &["verify", "--all", "--repair"],
        &["recordings", "rebuild"],
        &["audit", "verify"],
    ] {
        system.ok(work);
    }
    for id in ["stays", "plain"] {
        let plays = |server: &Server| server.get(&format!("/recordings/{id}/media")).body == bytes;
        assert!(server.wait_until(Duration::from_secs(20), plays), "{id}: {}", server.log());
    }
    assert_eq!(server.get("/readyz").json()["degraded"], json!([]));

    // What a newer version makes is his to use, and not to make.
    let newest = "SELECT max(version) FROM _sqlx_migrations";
    let version = postgres.count("rights", newest);
    postgres.execute("rights", &format!("DELETE FROM _sqlx_migrations WHERE version = {version}"));
    for start in [&["keys", "list"][..], &["serve", "--listen", "127.0.0.1:0"]] {
        let error = system.fails(1, start);
        assert!(error.contains("permission denied") && error.contains("its owner makes its tables"), "{error}");
    }
    system.set("SEALTAPE_DATABASE__URL", &url);
    system.ok(&["keys", "list"]);
    assert_eq!(postgres.count("rights", newest), version);
    system.set("SEALTAPE_DATABASE__URL", &postgres.url_of(PROXY, "rights"));
    system.ok(&["keys", "generate"]);
    assert!(server.get("/recordings/stays/media").body == bytes);
}
