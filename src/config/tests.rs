use std::time::Duration;

use super::*;
use crate::bus::QueueKind;
use crate::ids::Realm;
use crate::telemetry::LogFormat;

fn load(
    file: Option<&str>,
    environment: &[(&str, &str)],
    flags: &[(&'static str, &str)],
) -> Result<Settings, SettingsError> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("reveille.toml");
    if let Some(text) = file {
        std::fs::write(&path, text).unwrap();
    }
    Settings::load(&Sources {
        file: file.map(|_| path),
        environment: environment.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
        flags: flags.iter().map(|(k, v)| (*k, (*v).to_owned())).collect(),
    })
}

fn refused(file: Option<&str>, environment: &[(&str, &str)]) -> String {
    load(file, environment, &[]).unwrap_err().to_string()
}

#[test]
fn the_shipped_file_has_every_key_documented_and_with_an_allowed_default() {
    let flat = layers::shipped().unwrap();
    let names: Vec<&str> = flat.keys().map(String::as_str).collect();
    let mut expected: Vec<&str> = keys::KEYS.iter().map(|key| key.name).collect();
    expected.sort_unstable();
    assert_eq!(names, expected);
    let mut section = "";
    let mut commented = false;
    for line in layers::DEFAULT_FILE.lines() {
        if let Some(name) = line.strip_prefix('[') {
            section = name.trim_end_matches(']');
            commented = false;
        } else if line.starts_with('#') {
            commented = true;
        } else if let Some((key, _)) = line.split_once(" = ") {
            assert!(commented, "{section}.{key} has no comment");
        } else {
            commented = false;
        }
    }
}

#[test]
fn the_shipped_settings_are_those_that_the_design_names() {
    let settings = Settings::shipped().unwrap();
    assert_eq!(settings.api.listen.to_string(), "127.0.0.1:8083");
    assert!(settings.access_keys().unwrap().is_empty());
    assert_eq!(settings.store.sqlite_path(), Some(Path::new("reveille.db")));
    assert_eq!(settings.store.synchronous, Synchronous::Full);
    assert!(settings.bus.is_embedded());
    assert_eq!((settings.bus.queue_kind, settings.bus.prefetch), (QueueKind::Quorum, crate::limits::REPLY_PREFETCH));
    assert_eq!(settings.engine.realm(), Realm::new("us-east-1", "123456789012"));
    assert_eq!(settings.engine.bounds, crate::limits::EngineBounds::default());
    assert_eq!(settings.engine.retention(), Duration::from_hours(90 * 24));
    assert_eq!(settings.objects.folder, crate::objects::Options::default().folder);
    assert_eq!(settings.logs, LogOptions::default());
    assert_eq!(settings.integrations, ServiceTable::default());
    assert_eq!(settings.token_key_file(), Path::new("reveille.db.token-key"));
    assert!(settings.warnings().is_empty());
}

#[test]
fn a_stronger_layer_wins() {
    let file = "[api]\nlisten = \"127.0.0.1:1\"\n[engine]\nregion = \"eu-west-1\"\naccount = 1\n[bus]\nprefetch = 5\nqueues = [\"a\", \"b\"]\n";
    let environment = [
        ("REVEILLE__API__LISTEN", "127.0.0.1:2"),
        ("REVEILLE__BUS__PREFETCH", "10"),
        ("REVEILLE_CONFIG", "x"),
        ("HOME", "/"),
    ];
    let settings = load(Some(file), &environment, &[("api.listen", "0.0.0.0:3")]).unwrap();
    assert_eq!(settings.api.listen.to_string(), "0.0.0.0:3");
    assert_eq!(settings.bus.prefetch, 10);
    assert_eq!(settings.engine.realm(), Realm::new("eu-west-1", "000000000001"));
    let queues: Vec<String> = settings.bus.queues().unwrap().into_iter().map(|queue| queue.name).collect();
    assert_eq!(queues, ["a", "b"]);
    assert_eq!(settings.warnings().len(), 1);
}

#[test]
fn a_new_store_gets_a_partition_for_each_thread_where_none_are_asked_for() {
    for (threads, partitions, made) in
        [("1", "0", 2), ("6", "0", 6), ("200", "0", 64), ("6", "1", 1), ("6", "300", 300)]
    {
        let flags = [("engine.threads", threads), ("engine.partitions", partitions)];
        assert_eq!(load(None, &[], &flags).unwrap().partitions(), made, "{threads} threads, {partitions} asked for");
        let flags = [flags[0], flags[1], ("store.url", "postgres://host/db")];
        let shared = load(None, &[], &flags).unwrap().partitions();
        assert_eq!(shared, if partitions == "0" { 48 } else { made });
    }
}

#[test]
fn an_unknown_key_is_refused_with_its_name_its_place_and_a_hint() {
    assert_eq!(
        refused(None, &[("REVEILLE__API__LISTN", "x")]),
        "there is no setting api.listn (in the environment); did you mean api.listen?"
    );
    let text = refused(Some("[engine]\nlisten = \"x\"\n"), &[]);
    assert!(
        text.starts_with("there is no setting engine.listen (in ") && text.ends_with("did you mean api.listen?"),
        "{text}"
    );
    assert!(refused(Some("[nonsense]\nfrobnicate = 1\n"), &[]).contains("there are: api.listen, api.keys"));
}

#[test]
fn a_bad_value_is_refused_with_the_keys_name_and_what_is_allowed() {
    for (name, value, expected) in [
        (
            "REVEILLE__API__LISTEN",
            "8083",
            "api.listen is '8083'; allowed: an address with a port, such as 127.0.0.1:8083 or [::]:8083",
        ),
        ("REVEILLE__BUS__PREFETCH", "0", "bus.prefetch is '0'; allowed: a whole number from 1 to 65535"),
        ("REVEILLE__STORE__SYNCHRONOUS", "maybe", "store.synchronous is 'maybe'; allowed: full, normal"),
        ("REVEILLE__STORE__CHECK", "yes", "store.check is 'yes'; allowed: true, false"),
        ("REVEILLE__ENGINE__ACCOUNT", "12", "engine.account is '12'; allowed: twelve digits"),
        (
            "REVEILLE__BUS__URL",
            "http://u:secret@h",
            "bus.url is not a supported URL; allowed: a URL that begins with embedded:, amqp://, amqps://",
        ),
    ] {
        assert_eq!(refused(None, &[(name, value)]), format!("{expected} (in the environment)"));
    }
    assert!(refused(Some("[api\n"), &[]).contains("cannot be read"));
    assert!(
        refused(None, &[("REVEILLE__ENGINE__REGION", "US East")]).starts_with("engine.region is 'US East'; allowed:")
    );
    assert!(
        refused(None, &[("REVEILLE__API__KEYS", "nocolon")]).starts_with("api.keys has an entry that is not ID:SECRET")
    );
    assert!(refused(None, &[("REVEILLE__STORE__URL", "sqlite:")]).starts_with("store.url has no path"));
    let none = Settings::load(&Sources { file: Some("no/such/file.toml".into()), ..Sources::default() }).unwrap_err();
    assert_eq!(none.to_string(), "the settings file no/such/file.toml does not exist or is no file");
}

#[test]
fn secrets_come_from_files_and_are_never_shown() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("bus-url");
    std::fs::write(&file, "amqp://user:hunter2@broker:5672/vhost?heartbeat=5\n").unwrap();
    let file = file.to_str().unwrap();
    let key = "00112233445566778899aabbccddeeff";
    let environment = [
        ("REVEILLE__BUS__URL_FILE", file),
        ("REVEILLE__ENGINE__TOKEN_KEY", key),
        ("REVEILLE__API__KEYS", "AKID:hunter3"),
    ];
    let settings = load(None, &environment, &[]).unwrap();
    assert_eq!(settings.bus.url.expose(), "amqp://user:hunter2@broker:5672/vhost?heartbeat=5");
    assert_eq!(settings.bus.url.to_string(), "amqp://broker:5672/vhost");
    assert_eq!(settings.access_keys().unwrap()[0].id, "AKID");
    settings.token_keys().unwrap();
    let shown = format!("{settings:?}");
    assert!(!shown.contains("hunter") && !shown.contains(key), "{shown}");
    // A value of a stronger layer takes back the file of a weaker one.
    let settings =
        load(Some(&format!("[bus]\nurl_file = \"{file}\"\n")), &[("REVEILLE__BUS__URL", "embedded:")], &[]).unwrap();
    assert!(settings.bus.is_embedded());
    let text = refused(None, &[("REVEILLE__BUS__URL_FILE", "no/such/file")]);
    assert!(text.starts_with("bus.url_file names no/such/file, which cannot be read"), "{text}");
}

/// Files, variables and flags that are wrong in many ways, each with a secret in it.
#[test]
fn no_error_repeats_a_secret() {
    const URL: &str = "amqp://u:TOPSECRET@h/";
    for file in [
        format!("[bus]\nurl = \"{URL}\n"),
        format!("[bus]\nurl = '{URL}\"\n"),
        format!("[bus]\nurl = {URL}\n"),
        format!("[bus]\nurl = \"{URL}\"\nurl = \"{URL}\"\n"),
        format!("[bus\nurl = \"{URL}\"\n"),
        format!("[bus]\nurl = [\"{URL}\"\n"),
        "[bus]\nurl = 5\nTOPSECRET\n".to_owned(),
        "[engine]\ntoken_key = TOPSECRET\n".to_owned(),
        "[engine]\ntoken_key = \"TOPSECRET\\q\"\n".to_owned(),
        "[api]\nkeys = [\"ID:TOPSECRET\"]\n".to_owned(),
        "[objects]\nendpoint = \"http://u:TOPSECRET@h\"\n".to_owned(),
    ] {
        let said = refused(Some(&file), &[]);
        assert!(!said.contains("TOPSECRET"), "{said}");
        assert!(said.contains("line ") || said.contains("allowed:"), "{said}");
    }
    let said = refused(Some("[api]\nlisten = \"127.0.0.1:1\"\n\n[bus]\n  url = \"embedded:\n"), &[]);
    assert!(said.contains("no TOML at line 5, column "), "{said}");
    for (name, value) in [
        ("REVEILLE__BUS__QUEUE_KIND", URL),
        ("REVEILLE__BUS__PREFETCH", URL),
        ("REVEILLE__BUS__PREFIX", URL),
        ("REVEILLE__API__LISTEN", URL),
        ("REVEILLE__API__ALLOW_UNSIGNED", URL),
        ("REVEILLE__ENGINE__REGION", URL),
        ("REVEILLE__ENGINE__ACCOUNT", URL),
        ("REVEILLE__STORE__SYNCHRONOUS", URL),
        ("REVEILLE__STORE__URL", URL),
        ("REVEILLE__BUS__URL_FILE", URL),
        ("REVEILLE__API__KEYS_FILE", "ID:TOPSECRET"),
        ("REVEILLE__OBJECTS__KEY_FILE", "ID:TOPSECRET"),
        ("REVEILLE__API__KEYS", "ID:sec:TOPSECRET"),
        ("REVEILLE__API__KEYS", "TOPSECRET"),
        ("REVEILLE__ENGINE__TOKEN_KEY", "TOPSECRET!"),
    ] {
        let said =
            load(None, &[(name, value)], &[]).and_then(|settings| settings.token_keys()).unwrap_err().to_string();
        assert!(!said.contains("TOPSECRET"), "{name}: {said}");
    }
}

#[test]
fn what_an_operator_should_know_is_told() {
    let warned = |environment: &[(&str, &str)]| load(None, environment, &[]).unwrap().warnings().join("; ");
    assert_eq!(warned(&[]), "");
    let open = ("REVEILLE__API__LISTEN", "0.0.0.0:8083");
    let keys = ("REVEILLE__API__KEYS", "id:secret");
    let tls = [("REVEILLE__API__TLS__CERTIFICATE", "c.pem"), ("REVEILLE__API__TLS__KEY", "k.pem")];
    assert!(warned(&[open]).contains("api.keys is empty"));
    assert!(warned(&[open, keys]).starts_with("api.listen is 0.0.0.0:8083, without TLS"));
    assert_eq!(warned(&[open, keys, tls[0], tls[1]]), "");
    assert!(refused(None, &[tls[0]]).starts_with("api.tls.key and api.tls.certificate go together"));
}

#[test]
fn no_password_of_any_form_is_shown_in_a_url() {
    for (url, shown) in [
        ("embedded:", "embedded:"),
        ("sqlite:/var/lib/r.db", "sqlite:/var/lib/r.db"),
        ("amqp://broker", "amqp://broker"),
        ("amqp://u:p,w@a:1/v?x=1,amqps://u:p@b/v, amqp://c", "amqp://a:1/v, amqps://b/v, amqp://c"),
        ("amqps://u:p@h/v", "amqps://h/v"),
        ("amqps://u:p@ss@h/v", "amqps://h/v"),
        ("amqp://u:p/w@h/v", "amqp://h/v"),
        ("postgres://u:p@h/d?password=x", "postgres://h/d"),
    ] {
        assert_eq!(SecretUrl::new(url).to_string(), shown);
    }
}

#[test]
fn logs_and_integrations_are_read() {
    let file = "[logs]\nformat = \"json\"\nfilter = \"debug\"\n[[integrations]]\nresource = \"glue:*\"\nrouting_key = \"jobs\"\nheaders = { Tenant = \"a\" }\n";
    let settings = load(Some(file), &[], &[]).unwrap();
    assert_eq!(settings.logs, LogOptions { format: LogFormat::Json, filter: "debug".to_owned() });
    let row = TableEntry {
        resource: "glue:*".to_owned(),
        routing_key: "jobs".to_owned(),
        headers: [("Tenant".to_owned(), "a".to_owned())].into(),
        ..TableEntry::default()
    };
    assert_eq!(settings.integrations, ServiceTable::new(vec![row]).unwrap());
    let text = refused(Some("[[integrations]]\nresource = \"glue\"\n"), &[]);
    assert!(text.starts_with("integrations[0].resource is 'glue'; allowed: service:action"), "{text}");
    assert!(refused(Some("[[integrations]]\nresorce = \"glue:x\"\n"), &[]).contains("unknown field `resorce`"));
}

#[test]
fn a_key_may_be_limited_to_classes_of_operations() {
    let keys =
        |text: &str| load(None, &[("REVEILLE__API__KEYS", text)], &[]).and_then(|settings| settings.access_keys());
    let allowed = keys("a:s1, b:s/2+x:read+complete").unwrap();
    assert_eq!(allowed[0].allow, None);
    assert_eq!(
        (allowed[1].secret.expose_secret(), allowed[1].allow.clone().unwrap()),
        ("s/2+x", vec!["read".into(), "complete".into()])
    );
    for (text, expected) in [
        (
            "a:s:write",
            "api.keys lets the key 'a' do 'write'; allowed: read, start, complete, admin, payload, no-payload, joined by +",
        ),
        ("a:s:", "api.keys lets the key 'a' do ''"),
        ("a:s,a:t", "api.keys has the key 'a' twice"),
        (
            "a:hush:read:more",
            "api.keys has an entry that is not ID:SECRET; allowed: ID:SECRET, or ID:SECRET:read+start+complete+admin",
        ),
    ] {
        let told = keys(text).unwrap_err().to_string();
        assert!(told.starts_with(expected), "{told}");
        assert!(!told.contains("hush"), "{told}");
    }
}

#[test]
fn a_queue_may_have_bounds_and_what_is_none_is_refused_with_its_place() {
    let queues =
        |text: &str| load(None, &[("REVEILLE__BUS__QUEUES", text)], &[]).map(|settings| settings.bus.queues().unwrap());
    let read = queues("work, slow; max_length=1000 ;delivery_limit=5").unwrap();
    let shown: Vec<_> = read.iter().map(|q| (q.name.as_str(), q.max_length, q.delivery_limit)).collect();
    assert_eq!(shown, [("work", None, None), ("slow", Some(1000), Some(5))]);
    for (text, expected) in [
        (
            "work;max_length=0",
            "bus.queues has 'max_length=0' at the queue 'work'; allowed: max_length=N, delivery_limit=N, N from 1",
        ),
        ("work;ttl=5", "bus.queues has 'ttl=5'"),
        ("work;max_length", "bus.queues has 'max_length'"),
        (";max_length=5", "bus.queues has an entry without a name"),
    ] {
        let said = refused(None, &[("REVEILLE__BUS__QUEUES", text)]);
        assert!(said.starts_with(expected), "{said}");
    }
    assert!(refused(None, &[("REVEILLE__BUS__PREFIX", "a b")]).starts_with("bus.prefix is 'a b'"));
    let said =
        refused(None, &[("REVEILLE__BUS__QUEUES", "work;delivery_limit=5"), ("REVEILLE__BUS__QUEUE_KIND", "classic")]);
    assert!(said.contains("only quorum queues have"), "{said}");
}
