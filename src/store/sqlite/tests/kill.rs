//! A killed process loses nothing that it was told is durable.
//!
//! The test runs its own binary again: that child appends in a loop and says each acknowledged version on its standard
//! output, until it is killed at some moment.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::store::Journal;
use crate::store::contract::given::{self, append, create, due, header, id, running};

use super::super::{Options, Sqlite};

const CHILD: &str = "REVEILLE_TEST_KILL_STORE";
const WRITERS: u32 = 8;

/// Does nothing but as the child of the test below.
#[test]
fn appends_until_killed() {
    let Ok(path) = std::env::var(CHILD) else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    runtime.block_on(async {
        let store = Sqlite::open(Path::new(&path), Options { checkpoint_pages: 50, ..Options::default() }).unwrap();
        if store.execution(id(1)).await.unwrap().is_none() {
            given::with_machine(&store).await;
            for n in 1..=WRITERS {
                create(&store, header(n), running()).await;
            }
        }
        let writers: Vec<_> = (1..=WRITERS)
            .map(|n| {
                let store = store.clone();
                tokio::spawn(async move {
                    let mut version = store.execution(id(n)).await.unwrap().unwrap().version.0;
                    loop {
                        let events = 1 + u32::try_from(version % 3).unwrap();
                        let summary = if version % 2 == 0 { running() } else { due(5) };
                        store.append(append(n, version, events, summary)).await.unwrap();
                        version += u64::from(events);
                        // One write, so that lines of two writers do not mix.
                        std::io::stdout().lock().write_all(format!("acknowledged {n} {version}\n").as_bytes()).unwrap();
                    }
                })
            })
            .collect();
        futures_util::future::join_all(writers).await;
    });
}

#[tokio::test]
async fn a_killed_process_loses_no_acknowledged_append() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let mut acknowledged = [0_u64; WRITERS as usize + 1];
    for round in 0..6_u64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "store::sqlite::tests::kill::appends_until_killed", "--nocapture"])
            .env(CHILD, &path)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut take = |line: &str| {
            let words: Vec<&str> = line.split_whitespace().collect();
            if let ["acknowledged", n, version] = words[..] {
                acknowledged[n.parse::<usize>().unwrap()] = version.parse().unwrap();
                return true;
            }
            false
        };
        // So many are acknowledged, however long that takes; then any moment is as good as another.
        for _ in 0..20 + round * 37 % 101 {
            while !take(&lines.next().unwrap().unwrap()) {}
        }
        child.kill().unwrap();
        child.wait().unwrap();
        for line in lines.map_while(Result::ok) {
            take(&line);
        }

        let store = Sqlite::open(&path, super::options()).unwrap();
        for n in 1..=WRITERS {
            let version = store.execution(id(n)).await.unwrap().unwrap().version.0;
            assert!(version >= acknowledged[n as usize], "execution {n}: {version} of {acknowledged:?}");
            let batches = store.load(id(n)).await.unwrap();
            let mut after = 0;
            for batch in &batches {
                assert_eq!(batch.after.0, after, "batches are contiguous");
                after += u64::from(batch.events);
            }
            assert_eq!(after, version);
        }
    }
    assert!(acknowledged.iter().sum::<u64>() > 100, "versions follow from what was acknowledged: {acknowledged:?}");
}
