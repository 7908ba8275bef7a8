//! Names of buckets and keys, from any source: an object lies below its own bucket and nowhere else, and is read and
//! listed under the name that it was written under; a service is asked for that bucket and that key.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};

use crate::objects::{ObjectError, Objects, Options, Service};

/// A bucket, byte 0, a key, byte 0, a prefix.
pub fn object(data: &[u8]) {
    thread_local!(static WORLD: World = World::new());
    let text = String::from_utf8_lossy(data);
    let mut parts = text.splitn(3, '\0');
    let mut next = || parts.next().unwrap_or_default();
    let (bucket, key, prefix) = (next(), next(), next());
    WORLD.with(|world| {
        world.runtime.block_on(world.in_folder(bucket, key, prefix));
        world.runtime.block_on(world.of_service(bucket, key));
    });
}

struct World {
    runtime: tokio::runtime::Runtime,
    place: tempfile::TempDir,
    folder: Objects,
    service: Objects,
    asked: Receiver<String>,
}

impl World {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let place = tempfile::tempdir().expect("a folder");
        fs::create_dir(place.path().join("objects")).expect("a folder");
        fs::write(place.path().join("bait"), "bait").expect("a file");
        let folder = Objects::new(&Options { folder: place.path().join("objects"), service: None });
        let (endpoint, asked) = server();
        let service = Service { endpoint, region: "us-east-1".into(), key: None, path_style: true };
        let service = Objects::new(&Options { service: Some(service), ..Options::default() });
        Self { runtime, place, folder, service, asked }
    }

    async fn in_folder(&self, bucket: &str, key: &str, prefix: &str) {
        let written = write(&self.folder, bucket, key).await;
        self.is_within(bucket);
        match &written {
            Ok(()) => {
                let read = self.folder.read_whole(bucket, key).await;
                assert_eq!(read.as_deref().ok(), Some(&b"body"[..]), "written and not read: {read:?}");
                let listed = keys(&self.folder, bucket, "").await.expect("the bucket is listed");
                let kept = key.trim_matches('/');
                assert_eq!(listed, [kept], "{bucket:?} {key:?}: written and not listed");
                let some = keys(&self.folder, bucket, prefix).await;
                let fits = kept.starts_with(prefix);
                assert!(
                    some.is_err() && !fits || some.as_ref().is_ok_and(|some| some.is_empty() != fits),
                    "{prefix:?}: {some:?}"
                );
            }
            Err(error) => self.tells_no_path(error),
        }
        for outcome in
            [self.folder.read_whole(bucket, prefix).await.map(drop), keys(&self.folder, bucket, prefix).await.map(drop)]
        {
            if let Err(error) = outcome {
                self.tells_no_path(&error);
            }
        }
        self.is_within(bucket);
        for entry in fs::read_dir(self.place.path().join("objects")).expect("the folder is there") {
            let path = entry.expect("an entry").path();
            let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            removed.expect("it can be removed");
        }
    }

    /// Nothing beside the folder was made or changed, and in it nothing but the bucket.
    fn is_within(&self, bucket: &str) {
        let names = |folder: &Path| {
            let entries = fs::read_dir(folder).expect("the folder is there");
            let mut names: Vec<_> = entries.map(|entry| entry.expect("an entry").file_name()).collect();
            names.sort();
            names
        };
        assert_eq!(names(self.place.path()), ["bait", "objects"], "something lies beside the folder");
        assert_eq!(fs::read(self.place.path().join("bait")).expect("it is there"), b"bait");
        let made = names(&self.place.path().join("objects"));
        assert!(made.iter().all(|name| name == bucket), "{bucket:?}: made were {made:?}");
    }

    fn tells_no_path(&self, error: &ObjectError) {
        let (said, path) = (error.to_string(), self.place.path().to_string_lossy().into_owned());
        assert!(!said.contains(&path), "an error tells of the server's own paths: {said}");
    }

    async fn of_service(&self, bucket: &str, key: &str) {
        let outcome = self.service.read_whole(bucket, key).await;
        let mut lines: Vec<String> = self.asked.try_iter().collect();
        let Err(error) = outcome else { panic!("the service has nothing") };
        if matches!(error, ObjectError::BadName(_)) {
            assert!(lines.is_empty(), "{bucket:?} {key:?} is refused and asked for: {lines:?}");
            return;
        }
        assert!(!lines.is_empty(), "{bucket:?} {key:?}: {error}");
        let first = lines.remove(0);
        let target = first.strip_prefix("GET ").and_then(|rest| rest.strip_suffix(" HTTP/1.1"));
        let target = target.unwrap_or_else(|| panic!("{key:?} became {first:?}"));
        let place = format!("/{bucket}/");
        let path = target.strip_prefix(&place).unwrap_or_else(|| panic!("{bucket:?} {key:?} became {first:?}"));
        assert!(!path.contains(['?', '#', ' ']), "{key:?} became {first:?}");
        assert!(path.split('/').all(|part| !["", ".", ".."].contains(&part)), "{key:?} became {first:?}");
        assert_eq!(decoded(path), key.trim_matches('/').as_bytes(), "{key:?} became {first:?}");
        let other = lines
            .iter()
            .find(|line| !line.starts_with(&format!("GET /{bucket}?")) && !line.starts_with(&format!("GET {place}")));
        assert_eq!(other, None, "of {bucket:?} something else is asked for");
    }
}

async fn write(objects: &Objects, bucket: &str, key: &str) -> Result<(), ObjectError> {
    let mut upload = objects.write(bucket, key).await?;
    upload.write(b"body").await?;
    upload.finish().await.map(drop)
}

async fn keys(objects: &Objects, bucket: &str, prefix: &str) -> Result<Vec<String>, ObjectError> {
    let mut listing = objects.list(bucket, prefix).await?;
    let mut keys = Vec::new();
    while let Some(found) = listing.next().await? {
        keys.push(found.key);
    }
    Ok(keys)
}

/// `%41` is `A`.
fn decoded(text: &str) -> Vec<u8> {
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
    while let Some((first, more)) = rest.split_first() {
        if let (b'%', [a, b, more @ ..]) = (first, more) {
            let digits = [*a, *b];
            let digits = std::str::from_utf8(&digits).expect("digits");
            bytes.push(u8::from_str_radix(digits, 16).expect("digits"));
            rest = more;
        } else {
            bytes.push(*first);
            rest = more;
        }
    }
    bytes
}

/// A service without a bucket or an object, with its requests.
fn server() -> (String, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
    let (tell, asked) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let tell = tell.clone();
            std::thread::spawn(move || answer(stream.expect("a connection"), &tell));
        }
    });
    (endpoint, asked)
}

fn answer(mut stream: TcpStream, tell: &Sender<String>) {
    let (mut head, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => return,
            Ok(n) => head.extend_from_slice(&buffer[..n]),
        }
        if !head.ends_with(b"\r\n\r\n") {
            continue;
        }
        let line = String::from_utf8_lossy(&head).lines().next().unwrap_or_default().to_owned();
        head.clear();
        if tell.send(line).is_err() || stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n").is_err()
        {
            return;
        }
    }
}
