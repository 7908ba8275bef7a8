//! Through pgbouncer in transaction mode: each transaction may get another session.

use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::{sql, wait, whole};
use crate::ids::Version;
use crate::store::contract::given::{
    append, at, create, failed, header, id, ids, machine_arn, page, running, with_machine,
};
use crate::store::postgres::connect::Connector;
use crate::store::postgres::{Options, Postgres};
use crate::store::{Catalog, Journal};

/// The user whom pgbouncer runs as instead of root, which it refuses.
const NOBODY: u32 = 65_534;

struct Pooler {
    child: Child,
    _folder: tempfile::TempDir,
    url: String,
}

impl Drop for Pooler {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A pooler with two sessions over a database of its own.
fn pooler() -> Option<Pooler> {
    // Two tests of one process must not share it.
    static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let server = std::env::var("REVEILLE_TEST_POSTGRES_URL").ok()?;
    let program =
        ["/usr/sbin/pgbouncer", "/usr/bin/pgbouncer"].into_iter().find(|path| std::fs::exists(path).is_ok_and(|is| is));
    let Some(program) = program else {
        eprintln!("skipped: pgbouncer is not installed");
        return None;
    };
    let next = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let database = format!("pooled_{}_{next}", std::process::id());
    sql(&server, &format!("DROP DATABASE IF EXISTS {database}"));
    sql(&server, &format!("CREATE DATABASE {database} TEMPLATE template0"));
    let config: tokio_postgres::Config = server.parse().unwrap();
    let (port, user) = (config.get_ports()[0], config.get_user().unwrap());
    // Free when it was asked for; it is taken at once.
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let folder = tempfile::tempdir().unwrap();
    let settings = folder.path().join("pgbouncer.ini");
    let text = format!(
        "[databases]\n{database} = host=127.0.0.1 port={port} dbname={database} user={user}\n[pgbouncer]\nlisten_addr = 127.0.0.1\n\
         listen_port = {free}\nauth_type = any\npool_mode = transaction\ndefault_pool_size = 2\nunix_socket_dir =\n"
    );
    std::fs::write(&settings, text).unwrap();
    let mut command = Command::new(program);
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(folder.path(), Some(NOBODY), Some(NOBODY)).unwrap();
        std::os::unix::fs::chown(&settings, Some(NOBODY), Some(NOBODY)).unwrap();
        command.uid(NOBODY).gid(NOBODY);
    }
    let child =
        command.arg(&settings).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let pooler = Pooler { child, _folder: folder, url: format!("postgres://{user}@127.0.0.1:{free}/{database}") };
    let end = Instant::now() + Duration::from_mins(1);
    while std::net::TcpStream::connect(("127.0.0.1", free)).is_err() {
        assert!(Instant::now() < end, "pgbouncer does not listen");
        std::thread::sleep(Duration::from_millis(50));
    }
    Some(pooler)
}

/// Names belong to a session, so they are used where no pooler changes it.
#[test]
fn statements_have_names_without_a_pooler_only() {
    let Some(pooler) = pooler() else { return };
    let server = std::env::var("REVEILLE_TEST_POSTGRES_URL").unwrap();
    wait(async {
        let named = |url: String| async move {
            let session = Connector::read(&url, &Options::default()).unwrap().connect("-c work_mem=1MB").await.unwrap();
            assert_eq!(session.read("SELECT 1", &[]).await.unwrap().len(), 1);
            let names = "SELECT count(*) FROM pg_prepared_statements WHERE statement = 'SELECT 1'";
            let names: i64 = session.query_typed_one(names, &[]).await.unwrap().get(0);
            let memory: String = session.query_typed_one("SHOW work_mem", &[]).await.unwrap().get(0);
            (session.is_own(), names, memory == "1MB")
        };
        assert_eq!(named(server.clone()).await, (true, 1, true));
        // The settings of the URL stay.
        assert_eq!(named(format!("{server}?options=-csearch_path%3Dpg_catalog")).await, (true, 1, true));
        assert_eq!(named(pooler.url.clone()).await, (false, 0, false));
    });
}

/// The compiler of PostgreSQL costs each listing of a large store more than its rows.
#[test]
fn statements_are_not_compiled_unless_the_url_says_so() {
    let Ok(server) = std::env::var("REVEILLE_TEST_POSTGRES_URL") else { return };
    wait(async {
        let compiles = |url: String| async move {
            let session = Connector::read(&url, &Options::default()).unwrap().connect("").await.unwrap();
            session.query_typed_one("SHOW jit", &[]).await.unwrap().get::<_, String>(0)
        };
        assert_eq!(compiles(server.clone()).await, "off");
        assert_eq!(compiles(format!("{server}?options=-cjit%3Don")).await, "on");
    });
}

#[test]
fn everything_goes_through_a_pooler_in_transaction_mode() {
    let Some(pooler) = pooler() else { return };
    wait(async {
        let store =
            Postgres::open(&pooler.url, Options { readers: 4, durable: false, ..Options::default() }).await.unwrap();
        store.hold_all(16).await.unwrap();
        with_machine(&store).await;
        let births = (0..50).map(|n| create(&store, header(n), running()));
        futures_util::future::join_all(births).await;
        for round in 0..10 {
            let appends = (0..50).map(|n| store.append(append(n, 2 + round, 1, running())));
            assert!(futures_util::future::join_all(appends).await.iter().all(Result::is_ok));
            let loads = (0..50).map(|n| store.load(id(n)));
            let journals = futures_util::future::join_all(loads).await;
            assert!(
                journals.iter().all(|journal| journal.as_ref().is_ok_and(|batches| batches.len() as u64 == round + 2))
            );
        }
        // Refused ones beside others, and what runs in a transaction of several statements.
        let (refused, applied) =
            futures_util::join!(store.append(append(1, 3, 1, running())), store.append(append(2, 12, 1, failed(5))));
        assert!(refused.is_err() && applied.is_ok());
        assert_eq!(store.execution(id(2)).await.unwrap().unwrap().version, Version(13));
        store.delete_machine(&machine_arn("m")).await.unwrap();
        assert_eq!(store.purge(at(100), 9).await.unwrap(), 1);
        assert_eq!(store.list(page(3)).await.unwrap().len(), 3);
        assert_eq!(ids(&store.owing(crate::ids::PartitionId(0), Some(id(46)), 9).await.unwrap()), [47, 48, 49].map(id));
        store.ping().await.unwrap();
        let other = whole(&pooler.url).await.unwrap_err();
        assert!(other.to_string().contains("is in use by another process"), "{other}");
        store.close().await;
        whole(&pooler.url).await.unwrap().close().await;
    });
}
