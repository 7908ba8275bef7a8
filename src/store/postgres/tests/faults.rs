//! Lost connections, commits whose fate is not known, a process that was taken for gone, texts, poolers.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::{fresh, sql, store, whole};
use crate::ids::{PartitionId, Version};
use crate::store::contract::given::{append, create, header, id, never, running, with_machine};
use crate::store::postgres::{Options, Postgres};
use crate::store::{Append, Catalog, Epoch, Journal, Node, NodeCard, Ownership, StoreError, StoreResult, patiently};

/// A wait with a generous end: the machine may be busy.
async fn until<T, F: Future<Output = Option<T>>>(what: &str, mut look: impl FnMut() -> F) -> T {
    let end = Instant::now() + Duration::from_mins(1);
    while Instant::now() < end {
        if let Some(seen) = look().await {
            return seen;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{what}: not within a minute");
}

fn unavailable<T: std::fmt::Debug>(result: &StoreResult<T>) {
    assert!(matches!(result, Err(StoreError::Unavailable(_))), "{result:?}");
}

#[tokio::test]
async fn a_process_that_is_alone_shares_the_store_with_no_other() {
    let Some(url) = fresh() else { return };
    let first = whole(&url).await.unwrap();
    with_machine(&first).await;
    let error = whole(&url).await.unwrap_err();
    assert!(error.to_string().contains("is in use by another process"), "{error}");
    first.append(append(1, 0, 1, running())).await.unwrap_err();
    create(&first, header(1), running()).await;
    first.close().await;
    unavailable(&first.append(append(1, 2, 1, running())).await);

    // Given free: the next one has it at once, and finds everything. Its epochs are the next.
    let next = |epoch, version| Append { epoch: Epoch(epoch), ..append(1, version, 1, running()) };
    let second = whole(&url).await.unwrap();
    assert_eq!(second.figures().open_executions, 1);
    second.append(next(2, 2)).await.unwrap();
    assert!(matches!(second.append(next(1, 3)).await, Err(StoreError::Fenced { epoch: Epoch(1), .. })));
    // Gone without a goodbye: the next one waits for its beat, then takes over.
    drop(second);
    let third = whole(&url).await.unwrap();
    third.append(next(3, 3)).await.unwrap();
}

#[tokio::test]
async fn a_process_that_was_taken_for_dead_writes_nothing() {
    let Some(url) = fresh() else { return };
    let frozen = whole(&url).await.unwrap();
    with_machine(&frozen).await;
    create(&frozen, header(1), running()).await;
    frozen.ping().await.unwrap();
    // As another process does it, when the beat has stood still.
    sql(&url, "DELETE FROM nodes");
    let error = frozen.append(append(1, 2, 1, running())).await.unwrap_err();
    assert!(matches!(error, StoreError::Fenced { execution, epoch: Epoch::FIRST } if execution == id(1)), "{error}");
    frozen.delete_machine(&header(1).state_machine).await.unwrap_err();
    unavailable(&frozen.parent_told(id(1)).await);
    assert_eq!(frozen.load(id(1)).await.unwrap().len(), 1);
    assert!(!frozen.machine(&header(1).state_machine).await.unwrap().unwrap().deleting);
    assert!(frozen.beat().await.unwrap().nodes.is_empty(), "it sees that it has no row");
}

#[tokio::test]
async fn lost_connections_are_made_again() {
    let Some(url) = fresh() else { return };
    let name = format!("lost-{}", std::process::id());
    let store = whole(&format!("{url}&application_name={name}")).await.unwrap();
    with_machine(&store).await;
    create(&store, header(1), running()).await;
    for round in 0..3 {
        sql(&url, &format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = '{name}'"));
        let version = until("it reads again", || async { store.execution(id(1)).await.ok().flatten() }).await.version;
        until("it writes again", || async { store.append(append(1, version.0, 1, running())).await.ok() }).await;
        assert_eq!(store.load(id(1)).await.unwrap().len(), 2 + round);
        until("the catalog too", || async { store.reap_machines().await.ok() }).await;
        store.ping().await.unwrap();
    }
}

#[tokio::test]
async fn a_server_that_is_away_at_the_start_is_waited_for() {
    let Some(url) = fresh() else { return };
    let server = url.split('@').nth(1).unwrap().split('/').next().unwrap().to_owned();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let nowhere = url.replace(&server, &port.to_string());
    let opening = tokio::spawn(async move { Postgres::open(&nowhere, Options::default()).await });
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(!opening.is_finished(), "nothing listens there");
    let listener = TcpListener::bind(port).await.unwrap();
    tokio::spawn(pass_on(listener, server.parse().unwrap(), Arc::default()));
    tokio::time::timeout(Duration::from_mins(1), opening).await.unwrap().unwrap().unwrap().ping().await.unwrap();
}

/// In the middle of a start: what comes back is waited for, and a login that was taken away ends the start.
#[tokio::test]
async fn a_start_that_lost_its_server_waits_for_it_but_not_for_a_login_that_is_refused() {
    let Some(url) = fresh() else { return };
    let role = format!("starts_{}", std::process::id());
    sql(&url, &format!("CREATE ROLE {role} LOGIN SUPERUSER"));
    let store = Postgres::open(&url.replace("reveille@", &format!("{role}@")), Options::default()).await.unwrap();
    let lost = || StoreError::Unavailable("lost".into());
    store.reconnected(lost()).await.unwrap();
    let mut attempts = vec![Err(lost()), Err(lost()), Ok(7)].into_iter();
    let steps = std::sync::Mutex::new(&mut attempts);
    assert_eq!(patiently(&store, async || steps.lock().unwrap().next().unwrap()).await.unwrap(), 7);
    sql(&url, &format!("ALTER ROLE {role} NOLOGIN"));
    let error = patiently(&store, async || Err::<(), _>(lost())).await.unwrap_err();
    assert!(matches!(&error, StoreError::Unusable(text) if text.contains("log in")), "{error}");
    drop(store);
    sql(&url, &format!("DROP OWNED BY {role} CASCADE; DROP ROLE {role}"));
}

#[tokio::test]
async fn what_waiting_does_not_mend_is_told_at_once() {
    let Some(url) = fresh() else { return };
    let (server, _) = url.split_once('?').unwrap();
    let host = server.rsplit_once('/').unwrap().0;
    for (bad, why) in [
        (format!("{host}/no_such_database"), "does not exist"),
        (server.replace("reveille@", "stranger@"), "does not exist"),
        ("postgres://".to_owned(), "names no host"),
        (format!("{server}?sslmode=maybe"), "not the URL of a PostgreSQL database"),
        (format!("{server}?channel_binding=require"), "channel_binding"),
        (format!("{server}?sslmode=verify-full"), "TLS"),
    ] {
        let error = Postgres::open(&bad, Options::default()).await.unwrap_err();
        assert!(matches!(&error, StoreError::Unusable(text) if text.contains(why)), "{bad}: {error}");
    }
    // Tables of something else.
    sql(&url, "CREATE TABLE tags (x int)");
    let error = Postgres::open(&url, Options::default()).await.unwrap_err();
    assert!(error.to_string().contains("a database or a schema of its own"), "{error}");
    sql(&url, "DROP TABLE tags");
    Postgres::open(&url, Options::default()).await.unwrap().close().await;
    sql(&url, "UPDATE schema_version SET version = 99");
    let error = Postgres::open(&url, Options::default()).await.unwrap_err();
    assert!(error.to_string().contains("made by a newer version"), "{error}");
}

/// Passes bytes on in both directions. Once it is deaf, an answer of the server closes the connection instead.
async fn pass_on(listener: TcpListener, server: SocketAddr, deaf: Arc<AtomicBool>) {
    while let Ok((client, _)) = listener.accept().await {
        let deaf = Arc::clone(&deaf);
        tokio::spawn(async move {
            let server = TcpStream::connect(server).await.unwrap();
            let ((mut from_client, mut to_client), (mut from_server, mut to_server)) =
                (client.into_split(), server.into_split());
            let there = tokio::spawn(async move { tokio::io::copy(&mut from_client, &mut to_server).await });
            let mut bytes = vec![0; 65_536];
            while let Ok(n @ 1..) = from_server.read(&mut bytes).await {
                if deaf.load(Ordering::Relaxed) || to_client.write_all(&bytes[..n]).await.is_err() {
                    break;
                }
            }
            // The messages have reached the server; none of its answers gets here.
            there.abort();
        });
    }
}

/// The commit lands, its answer is lost: unknown. Loading again tells, and no append lands twice.
#[tokio::test]
async fn a_commit_whose_answer_is_lost_is_settled_by_loading_again() {
    let Some(url) = fresh() else { return };
    let server: SocketAddr = url.split('@').nth(1).unwrap().split('/').next().unwrap().parse().unwrap();
    let deaf = Arc::new(AtomicBool::new(false));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let through = listener.local_addr().unwrap();
    tokio::spawn(pass_on(listener, server, Arc::clone(&deaf)));
    let url = url.replace(&server.to_string(), &through.to_string());
    let store = whole(&url).await.unwrap();
    with_machine(&store).await;
    create(&store, header(1), running()).await;
    let mut version = 2;
    for _ in 0..5 {
        deaf.store(true, Ordering::Relaxed);
        unavailable(&store.append(append(1, version, 1, running())).await);
        deaf.store(false, Ordering::Relaxed);
        // A commit that is still under way at the server may land after a look: its version then conflicts.
        let landed = until("it is settled", || async {
            match store.append(append(1, version, 1, running())).await {
                Ok(()) => Some(false),
                Err(StoreError::VersionConflict { actual, .. }) => {
                    assert_eq!(actual, Version(version + 1));
                    Some(true)
                }
                Err(_) => None,
            }
        })
        .await;
        version += 1;
        assert_eq!(store.execution(id(1)).await.unwrap().unwrap().version, Version(version), "landed before: {landed}");
    }
    assert_eq!(store.load(id(1)).await.unwrap().len(), 6);
}

/// A way to a server. Cut: connections stay, and no byte gets through until it is healed.
async fn gate(server: SocketAddr) -> (SocketAddr, watch::Sender<bool>) {
    async fn pump(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut is_cut: watch::Receiver<bool>) {
        let mut bytes = vec![0; 65_536];
        while let Ok(n @ 1..) = from.read(&mut bytes).await {
            let healed = is_cut.wait_for(|is_cut| !is_cut).await.is_ok();
            if !healed || to.write_all(&bytes[..n]).await.is_err() {
                return;
            }
        }
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (through, (cut, is_cut)) = (listener.local_addr().unwrap(), watch::channel(false));
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let Ok(server) = TcpStream::connect(server).await else { continue };
            let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
            tokio::spawn(pump(from_client, to_server, is_cut.clone()));
            tokio::spawn(pump(from_server, to_client, is_cut.clone()));
        }
    });
    (through, cut)
}

fn card(lapse: Duration) -> NodeCard {
    NodeCard {
        name: "n".into(),
        version: "1".into(),
        speaks: 1,
        key_print: String::new(),
        alone: false,
        lapse,
        partitions: 1,
    }
}

/// The commit of a node that is cut off is given up with its beats, reads as well: a worker's reply that waits for them
/// can go to the next owner. Its fate is not known then; it arrives after the takeover, and the fence refuses it.
#[tokio::test]
async fn a_node_cut_off_gives_up_its_commit_which_is_fenced_when_it_arrives_late() {
    let Some(url) = fresh() else { return };
    let (name, partition) = (format!("cut-{}", std::process::id()), PartitionId(0));
    let server: SocketAddr = url.split('@').nth(1).unwrap().split('/').next().unwrap().parse().unwrap();
    let (through, cut) = gate(server).await;
    let through = format!("{}&application_name={name}", url.replace(&server.to_string(), &through.to_string()));
    let (gone, other) = (
        Postgres::open(&through, Options::default()).await.unwrap(),
        Postgres::open(&url, Options::default()).await.unwrap(),
    );
    let id_of = |joined: Result<Node, _>| joined.map(|node| node.id).unwrap();
    let mine = id_of(gone.join(card(Duration::from_secs(2))).await.unwrap());
    id_of(other.join(card(Duration::from_mins(1))).await.unwrap());
    gone.claim(vec![(partition, Epoch(0))]).await.unwrap();
    with_machine(&gone).await;
    let under = |epoch, version| Append { epoch: Epoch(epoch), ..append(1, version, 1, running()) };
    gone.create(header(1), under(1, 0), never()).await.unwrap();
    assert_eq!(gone.beat().await.unwrap().nodes.len(), 2);

    cut.send_replace(true);
    let (commit, read) = futures_util::join!(gone.append(under(1, 1)), gone.load(id(1)));
    for error in [commit.unwrap_err(), read.unwrap_err()] {
        assert!(matches!(&error, StoreError::Unavailable(why) if why.contains("beats")), "{error}");
    }
    // The commit is on its way still.
    let mut others = other.beat().await.unwrap().nodes.into_iter().filter(|node| node.id == mine);
    assert!(other.bury(mine, others.next().unwrap().beat).await.unwrap());
    assert_eq!(other.claim(vec![(partition, Epoch(1))]).await.unwrap(), [(partition, Epoch(2))]);
    let sessions = format!("SELECT count(*) FROM pg_stat_activity WHERE application_name = '{name}'");
    let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    let count = || async { client.query_one(&sessions, &[]).await.unwrap().get::<_, i64>(0) };
    let before = count().await;
    cut.send_replace(false);
    // It is refused, and its connection, which was given up, ends.
    until("the late commit has arrived", || async { (count().await < before).then_some(()) }).await;
    assert_eq!(other.load(id(1)).await.unwrap().len(), 1, "it did not land");
    other.append(under(2, 1)).await.unwrap();
    until("the woken node learns it", || async {
        let view = gone.beat().await.ok()?;
        (view.node(mine).is_none()).then_some(())
    })
    .await;
    gone.join(card(Duration::from_secs(2))).await.unwrap().unwrap();
    until("it writes nothing of its former life", || async {
        matches!(gone.append(under(1, 1)).await, Err(StoreError::Fenced { .. })).then_some(())
    })
    .await;
    assert_eq!(gone.load(id(1)).await.unwrap().len(), 2);
}

/// A commit that waits for a lock is given up after some seconds; its session does not stay behind.
#[tokio::test]
async fn a_commit_without_an_answer_is_cancelled() {
    let Some(url) = fresh() else { return };
    let name = format!("stuck-{}", std::process::id());
    let store = whole(&format!("{url}&application_name={name}")).await.unwrap();
    with_machine(&store).await;
    create(&store, header(1), running()).await;
    let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    client.batch_execute("BEGIN; SELECT * FROM totals FOR UPDATE").await.unwrap();
    unavailable(&store.append(append(1, 2, 1, running())).await);
    let waiting =
        format!("SELECT 1 FROM pg_stat_activity WHERE application_name = '{name}' AND wait_event_type = 'Lock'");
    until("no session waits", || async { client.query(&waiting, &[]).await.unwrap().is_empty().then_some(()) }).await;
    client.batch_execute("ROLLBACK").await.unwrap();
    until("it writes again", || async { store.append(append(1, 2, 1, running())).await.ok() }).await;
    assert_eq!(store.load(id(1)).await.unwrap().len(), 2);
}

#[tokio::test]
async fn many_at_once_are_answered_each_for_itself() {
    let Some(store) = store() else { return };
    with_machine(&store).await;
    for n in 0..40 {
        create(&store, header(n), running()).await;
    }
    // In one group: appends that fit, others that do not, names that meet.
    let appends = (0..60).map(|n| store.append(append(n, if n % 7 == 3 { 9 } else { 2 }, 1, running())));
    let births = (100..130).map(|n| {
        let header = crate::store::ExecutionHeader { id: id(n), ..header(n / 2 + 1_000) };
        store.create(header, append(n, 0, 1, running()), crate::store::contract::given::never())
    });
    let (appended, born) =
        futures_util::join!(futures_util::future::join_all(appends), futures_util::future::join_all(births));
    for (n, result) in (0_u32..).zip(appended) {
        match result {
            Ok(()) => assert!(n < 40 && n % 7 != 3, "{n}"),
            Err(StoreError::VersionConflict { .. }) => assert!(n < 40 && n % 7 == 3, "{n}"),
            Err(StoreError::NotFound { .. }) => assert!(n >= 40, "{n}"),
            Err(other) => panic!("{n}: {other}"),
        }
    }
    let (made, taken): (Vec<_>, Vec<_>) = born.into_iter().partition(Result::is_ok);
    assert_eq!((made.len(), taken.len()), (15, 15));
    assert!(taken.iter().all(|result| matches!(result, Err(StoreError::AlreadyExists { what: "execution", .. }))));
    assert_eq!(store.figures().open_executions, 55);
}
