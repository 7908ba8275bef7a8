//! The parts of a server that other users of the machine can see: its files, its arguments; and that one store has one
//! server.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::json;

use super::support::{Launch, SOON, Server, until};

fn mode(path: &Path) -> u32 {
    let found = std::fs::metadata(path).unwrap_or_else(|why| panic!("{}: {why}", path.display()));
    found.permissions().mode() & 0o7777
}

/// Files below a folder, and folders.
fn below(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(below(&path));
        }
        found.push(path);
    }
    found
}

#[test]
fn what_a_server_makes_is_its_owners_alone() {
    let mut server = Server::start(Launch::embedded());
    let definition = json!({
        "StartAt": "M",
        "States": {"M": {
            "Type": "Map",
            "ItemProcessor": {
                "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
                "StartAt": "P",
                "States": {"P": {"Type": "Pass", "End": true}},
            },
            "ResultWriter": {"Resource": "arn:aws:states:::s3:putObject", "Parameters": {"Bucket": "results", "Prefix": "p"}},
            "End": true,
        }},
    });
    let machine = server.machine("maps", &definition.to_string());
    let execution = server.execution(&machine, "e", &json!([1, 2, 3]));
    assert_eq!(server.ended(&execution)["status"], "SUCCEEDED");
    let copy = server.folder().join("copy.db");
    let mut backup = Command::new(env!("CARGO_BIN_EXE_reveille"));
    backup.arg("backup").arg(&copy).arg("--store").arg(format!("sqlite:{}", server.store().display()));
    assert!(backup.stdin(Stdio::null()).stdout(Stdio::null()).status().expect("it runs").success());
    let made = below(server.folder());
    for name in ["store.db", "store.db-wal", "store.db-shm", "store.db.lock", "copy.db", "copy.db.token-key"] {
        assert!(made.contains(&server.folder().join(name)), "{name} in {made:?}");
    }
    assert!(made.iter().any(|path| path.starts_with(server.folder().join("objects/results/p"))), "{made:?}");
    // The log is made by the test.
    for path in made.iter().filter(|path| !path.ends_with("log.1")) {
        assert_eq!(mode(path), if path.is_dir() { 0o700 } else { 0o600 }, "{}", path.display());
    }

    // A file with wider access, from an older version or made by hand, is logged or refused.
    assert!(server.stop().success());
    std::fs::set_permissions(server.store(), std::fs::Permissions::from_mode(0o644)).expect("changed");
    server.start_again();
    let told = server.log();
    let told = told.iter().find(|line| line["event"] == "files.exposed").expect("a warning");
    assert!(told["message"].as_str().unwrap().contains("(mode 0644)"), "{told}");
    assert!(server.stop().success());
    server.set("REVEILLE__STORE__EXPOSED_FILES", "refuse");
    let (status, said) = server.fails_to_start();
    assert!(!status.success() && said.contains("chmod go-rwx"), "{said}");
}

#[test]
fn a_second_server_is_kept_out_although_the_lock_file_was_deleted() {
    let server = Server::start(Launch::embedded());
    std::fs::remove_file(server.folder().join("store.db.lock")).expect("it was there");
    for _ in 0..2 {
        let second = Command::new(env!("CARGO_BIN_EXE_reveille"))
            .args(["serve", "--listen", "127.0.0.1:0", "--store", &format!("sqlite:{}", server.store().display())])
            .current_dir(server.folder())
            .output()
            .expect("it runs");
        let said = String::from_utf8_lossy(&second.stderr).into_owned();
        assert_eq!(second.status.code(), Some(1), "{said}");
        assert!(said.contains("is open in another process"), "{said}");
    }
    // The first one has lost nothing of its own.
    let pass = json!({"StartAt": "P", "States": {"P": {"Type": "Pass", "End": true}}}).to_string();
    let machine = server.machine("passes", &pass);
    let execution = server.execution(&machine, "e", &json!({}));
    assert_eq!(server.ended(&execution)["status"], "SUCCEEDED");
}

#[test]
#[cfg(target_os = "linux")]
fn a_password_does_not_stay_in_the_list_of_processes() {
    // A broker that is away: the password must be hidden before anything is done with it.
    let mut server = Command::new(env!("CARGO_BIN_EXE_reveille"))
        .args(["serve", "--listen", "127.0.0.1:0", "--store", "sqlite::memory:"])
        .args(["--bus", "amqp://user:TOPSECRET@127.0.0.1:1/vhost"])
        .current_dir(std::env::temp_dir())
        .env("REVEILLE__ENGINE__TOKEN_KEY", "00112233445566778899aabbccddeeff")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("it starts");
    let arguments = || std::fs::read_to_string(format!("/proc/{}/cmdline", server.id())).unwrap_or_default();
    until("the password is hidden", SOON, || {
        let shown = arguments();
        (shown.contains("amqp://**************@127.0.0.1:1/vhost") && !shown.contains("TOPSECRET")).then_some(())
    });
    server.kill().expect("it runs");
    server.wait().expect("it ended");
}

#[test]
fn a_server_with_a_certificate_speaks_tls_to_the_command_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let (certificate, key) = (folder.path().join("c.pem"), folder.path().join("k.pem"));
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    std::fs::write(&certificate, made.cert.pem()).expect("written");
    std::fs::write(&key, made.signing_key.serialize_pem()).expect("written");
    let mut server = Server::start(
        Launch::embedded()
            .with("REVEILLE__API__TLS__CERTIFICATE", certificate.to_str().unwrap())
            .with("REVEILLE__API__TLS__KEY", key.to_str().unwrap()),
    );
    let port = server.endpoint.rsplit_once(':').unwrap().1.to_owned();
    let health = |endpoint: String, authority: Option<&Path>| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_reveille"));
        command.args(["health", "--endpoint", &endpoint]).env_remove("REVEILLE_CA_FILE");
        if let Some(authority) = authority {
            command.env("REVEILLE_CA_FILE", authority);
        }
        command.output().expect("it runs").status.code()
    };
    assert_eq!(health(format!("https://localhost:{port}"), Some(&certificate)), Some(0));
    assert_ne!(health(format!("https://localhost:{port}"), None), Some(0));
    assert_ne!(health(format!("http://localhost:{port}"), None), Some(0));
    assert_eq!(health(format!("https://localhost:{port}"), Some(&key)), Some(2), "no certificate");

    assert!(server.stop().success());
    std::fs::write(&key, "no key").expect("written");
    let (status, said) = server.fails_to_start();
    assert!(!status.success() && said.contains("api.tls.key names"), "{said}");
}
