//! Key managers and tokens that wrap by AES-GCM and do not heed associated data: a row could be changed unnoticed, so
//! nothing is ever wrapped there.

use super::{shim::shim, status};
use crate::support::{
    SoftHsm, System, media,
    pykmip::{PyKmip, key_name},
};

/// A system whose key lies in a file; a move elsewhere is refused, and changes nothing.
fn refuses_a_move(settings: &[(String, String)], to: &str) {
    let mut system = System::in_folder();
    let bytes = media(50_000);
    system.ok(&["keys", "generate"]);
    system.import("call", &bytes);
    for (name, value) in settings {
        system.set(name, value);
    }
    system.set("SEALTAPE_DEFINITION_KEY__KIND", "file");
    let refused = system.fails(1, &["definition-key", "migrate", "--to", to]);
    assert!(refused.contains("does not heed associated data"), "{refused}");
    assert_eq!(status(&system)["database_keys"], 1, "it lies where it was");
    assert_eq!(system.run(&["cat", "call"]).stdout, bytes);
}

#[test]
fn a_key_manager() {
    let (server, name) = (PyKmip::without_associated_data(), key_name());
    let mut system = System::in_folder();
    for (key, value) in server.settings("encrypt", &name) {
        system.set(&key, &value);
    }
    system.ok(&["definition-key", "generate"]);
    for _ in 0..2 {
        let refused = system.fails(1, &["keys", "generate"]);
        assert!(refused.contains("does not heed associated data"), "{refused}");
        assert!(refused.contains("\"get\"") && refused.lines().count() == 2, "{refused}");
    }
    let said = status(&system);
    assert_eq!((&said["database_keys"], &said["database_keys_under_others"]), (&0.into(), &0.into()), "{said}");
    refuses_a_move(&server.settings("encrypt", &name), "kmip");
    // Where this process wraps, it heeds them itself.
    system.set("SEALTAPE_DEFINITION_KEY__KMIP__MODE", "get");
    system.ok(&["keys", "generate"]);
    let bytes = media(50_000);
    system.import("call", &bytes);
    assert_eq!(system.run(&["cat", "call"]).stdout, bytes);
}

#[test]
fn a_token() {
    let mut system = System::in_folder();
    let hsm = SoftHsm::in_folder(&system.path("hsm"));
    hsm.generate();
    let module = shim(&system.path(""));
    let mut settings = hsm.settings();
    settings.push(("SEALTAPE_DEFINITION_KEY__PKCS11__MODULE".into(), module.display().to_string()));
    settings.push(("SHIM_NO_AAD".into(), "yes".into()));
    for (name, value) in &settings {
        system.set(name, value);
    }
    for _ in 0..2 {
        let refused = system.fails(1, &["keys", "generate"]);
        assert!(refused.contains("does not heed associated data") && refused.lines().count() == 2, "{refused}");
    }
    let said = status(&system);
    assert_eq!((&said["database_keys"], &said["database_keys_under_others"]), (&0.into(), &0.into()), "{said}");
    refuses_a_move(&settings, "pkcs11");
}
