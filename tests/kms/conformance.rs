//! What every holder of definition keys promises, and every one that makes them.

use std::{path::PathBuf, process::Command, time::Duration};

use sealtape::base::Timestamp;
use sealtape::crypto::{Key, WrappedRowKey};
use sealtape::keys::{DefinitionKey, DefinitionKeyHolder, DefinitionKeyName, KeyRow};
use sealtape::kms::{
    DefinitionKeyKeeper, EmbeddedDefinitionKey, FileDefinitionKeys, KmipDefinitionKeys, KmipMode, KmipSettings,
    NonceMaker, Pkcs11DefinitionKeys, Pkcs11Settings,
};

use crate::support::{
    SoftHsm,
    pykmip::{PyKmip, key_name},
    softhsm, text,
};

#[tokio::test]
async fn a_file_and_the_program() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("definition.key");
    keeper(&FileDefinitionKeys::at(&path), &FileDefinitionKeys::at(&path)).await;
    holder(&EmbeddedDefinitionKey::new()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_manager_that_wraps() {
    of_key_manager(KmipMode::Encrypt).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_manager_that_gives_the_key() {
    of_key_manager(KmipMode::Get).await;
}

/// SoftHSM finds its tokens by a variable of the environment, which another process has of its own.
#[test]
fn a_token() {
    let folder = tempfile::tempdir().expect("a folder");
    let hsm = SoftHsm::in_folder(folder.path());
    let this = std::env::current_exe().expect("this program");
    let mut command = Command::new(this);
    command.args(["--exact", "kms::conformance::the_token_of_the_environment", "--ignored", "--nocapture"]);
    let output = command.env("SOFTHSM2_CONF", hsm.configuration()).env("PIN_FILE", hsm.pin_file()).output();
    let output = output.expect("runs");
    let said = text(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}{}", text(&output.stderr));
}

#[ignore = "`a_token` runs it, and says where the token lies"]
#[tokio::test(flavor = "multi_thread")]
async fn the_token_of_the_environment() {
    let settings = Pkcs11Settings {
        module: softhsm::module(),
        token: softhsm::TOKEN.into(),
        label: softhsm::LABEL.into(),
        pin_file: Some(PathBuf::from(std::env::var_os("PIN_FILE").expect("set"))),
        nonce: NonceMaker::Host,
        timeout: Duration::from_secs(30),
    };
    let keys = || Pkcs11DefinitionKeys::at(settings.clone()).expect("begins");
    keeper(&keys(), &keys()).await;
}

async fn of_key_manager(mode: KmipMode) {
    let server = PyKmip::shared();
    let settings = KmipSettings {
        endpoints: vec![format!("127.0.0.1:{}", server.port)],
        ca: server.path("authority.pem"),
        cert: server.path("client.pem"),
        key: server.path("client.key"),
        id: None,
        name: key_name(),
        mode,
        timeout: Duration::from_secs(30),
    };
    let keys = |settings: &KmipSettings| KmipDefinitionKeys::at(settings.clone()).expect("begins");
    keeper(&keys(&settings), &keys(&settings)).await;
    // By its identifier it is the same key.
    let id = server.administer(&format!("print(id_of('{}'))", settings.name));
    let by_id = keys(&KmipSettings { id: Some(id), name: "no such name".into(), ..settings.clone() });
    let first = keys(&settings).first().await.expect("has one");
    assert_eq!(by_id.first().await.expect("the same").name(), first.name());
    holder(&by_id).await;
    assert!(by_id.prepare().await.is_err(), "what is named by its identifier is not exchanged");
}

/// What every holder promises.
async fn holder(holder: &dyn DefinitionKeyHolder) {
    holder.probe().await.expect("can be used");
    let first = holder.first().await.expect("has one");
    let again = holder.find(first.name()).await.expect("looks").expect("and finds it by its name");
    let row = KeyRow::generate(&*first, Timestamp::MAX).await.expect("wraps");
    assert_eq!(row.definition_key, *first.name(), "rows carry the name");
    row.unwrap(&*again).await.expect("unwraps");
    for strange in ["0".repeat(64), "kmip:4711".into(), "pkcs11:id=4711".into(), String::new()] {
        let found = holder.find(&DefinitionKeyName(strange.clone())).await.expect("looks");
        assert!(found.is_none(), "no other key in place of {strange}");
    }
    one_by_one_and_all_at_once(&*first).await;
}

/// What is done to one of several that are wrapped, and to what it is bound to.
type Change<'a> = &'a dyn Fn(usize, &mut WrappedRowKey, &mut Vec<u8>);

/// What is wrapped comes back only as it was, with what it was bound to, in the order that was asked.
async fn one_by_one_and_all_at_once(definition_key: &dyn DefinitionKey) {
    let keys: Vec<(Key, Vec<u8>)> =
        (0..5_u8).map(|number| (Key::generate().expect("random"), vec![number; usize::from(number) * 7])).collect();
    let wrapped = definition_key.wrap_all(&keys).await.expect("wraps");
    assert_eq!(wrapped.len(), keys.len());
    let nonces: std::collections::HashSet<_> = wrapped.iter().map(|wrapped| wrapped.nonce.clone()).collect();
    assert_eq!(nonces.len(), keys.len(), "each has a nonce of its own");
    let bound = |changed: Change| -> Vec<(WrappedRowKey, Vec<u8>)> {
        let one = |(at, (wrapped, (_, aad))): (usize, (&WrappedRowKey, &(Key, Vec<u8>)))| {
            let (mut wrapped, mut aad) = (wrapped.clone(), aad.clone());
            changed(at, &mut wrapped, &mut aad);
            (wrapped, aad)
        };
        wrapped.iter().zip(&keys).enumerate().map(one).collect()
    };
    let back = definition_key.unwrap_all(&bound(&|_, _, _| ())).await.expect("unwraps");
    let expected: Vec<Option<Key>> = keys.iter().map(|(key, _)| Some(key.clone())).collect();
    assert!(back == expected, "as they were");
    assert!(definition_key.unwrap_all(&[]).await.expect("nothing").is_empty());
    // A change in one of them is of that one alone.
    let changes: [(&str, Change); 5] = [
        ("nonce", &|at, wrapped, _| wrapped.nonce[11] ^= u8::from(at == 2)),
        ("ciphertext", &|at, wrapped, _| wrapped.ciphertext[0] ^= u8::from(at == 2)),
        ("tag", &|at, wrapped, _| wrapped.ciphertext[47] ^= u8::from(at == 2)),
        ("what it was bound to", &|at, _, aad| aad.truncate(if at == 2 { aad.len() - 1 } else { aad.len() })),
        ("something more bound", &|at, _, aad| aad.extend((at == 2).then_some(0))),
    ];
    for (what, changed) in changes {
        let back = definition_key.unwrap_all(&bound(changed)).await.expect("asked");
        let is_there: Vec<bool> = back.iter().map(Option::is_some).collect();
        assert_eq!(is_there, [true, true, false, true, true], "{what}");
    }
    let (key, aad) = &keys[1];
    let alone = definition_key.wrap(key, aad).await.expect("wraps one");
    assert!(definition_key.unwrap(&alone, aad).await.expect("unwraps one").as_ref() == Some(key));
    assert!(definition_key.unwrap(&alone, b"another row").await.expect("asked").is_none());
}

/// What every one promises that makes keys. `running` is another process's view of the same.
async fn keeper(keys: &dyn DefinitionKeyKeeper, running: &dyn DefinitionKeyKeeper) {
    assert!(!keys.exist().await.expect("looks"), "nothing was made yet");
    let missing = keys.first().await.err().expect("none").to_string();
    assert!(missing.contains("no definition key") || missing.contains("no "), "{missing}");
    let first = keys.generate().await.expect("makes one");
    assert!(keys.exist().await.expect("looks"));
    assert!(keys.generate().await.err().expect("refused").is_there_already(), "a second one would hide it");
    holder(keys).await;
    assert!(running.find(first.name()).await.expect("looks").is_some(), "found where it was not made");

    let mut place = first;
    for round in 0..3 {
        assert!(keys.next().await.expect("looks").is_none(), "round {round}");
        let (next, is_made) = keys.prepare().await.expect("makes the next");
        assert!(is_made && next.name() != place.name());
        let (again, is_made) = keys.prepare().await.expect("again");
        assert!(!is_made && again.name() == next.name(), "a second time changes nothing");
        assert_eq!(keys.first().await.expect("has one").name(), place.name(), "still in place");
        assert!(running.find(next.name()).await.expect("looks").is_some(), "a running process finds the next one");
        assert!(keys.promote(&DefinitionKeyName("another".into())).await.is_err(), "not the one that was meant");
        let wrapped = next.wrap(&Key::generate().expect("random"), b"row").await.expect("wraps");
        let obsolete = keys.promote(next.name()).await.expect("promotes").expect("there was one in place");
        assert!(obsolete.contains("obsolete"), "{obsolete}");
        assert_eq!(keys.first().await.expect("has one").name(), next.name(), "in place");
        let found = running.find(next.name()).await.expect("looks").expect("found after it changed its place");
        assert!(found.unwrap(&wrapped, b"row").await.expect("unwraps").is_some());
        assert!(keys.promote(next.name()).await.expect("has its place").is_none(), "nothing is left to do");
        assert!(keys.promote(place.name()).await.is_err(), "there is no next one");
        assert_eq!(keys.first().await.expect("has one").name(), next.name(), "and nothing has changed");
        place = next;
    }
    holder(keys).await;
}
