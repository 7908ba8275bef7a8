//! Compose files and manifests: each setting that they name is there, each secret is made, each service is confined.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use super::{none, root, texts};

fn is_deployment(file: &str) -> bool {
    let name = file.rsplit('/').next().unwrap_or(file);
    name.starts_with("docker-compose") || name == "Dockerfile" || file.starts_with("packaging/")
}

/// The words of a text that begin so, as far as `goes_on` lets them.
fn words<'t>(text: &'t str, begin: &str, goes_on: fn(char) -> bool) -> Vec<&'t str> {
    text.match_indices(begin)
        .map(|(at, _)| &text[at..])
        .map(|rest| &rest[..rest.find(|c| !goes_on(c)).unwrap_or(rest.len())])
        .collect()
}

/// Names of settings, as `config/default.toml` has them.
fn settings() -> BTreeSet<String> {
    let text = fs::read_to_string(root().join("config/default.toml")).expect("the settings");
    let (mut names, mut table) = (BTreeSet::new(), String::new());
    for line in text.lines() {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            name.clone_into(&mut table);
        } else if let Some((name, _)) = line.split_once(" = ").filter(|_| !line.starts_with('#')) {
            names.insert(format!("{table}.{name}"));
        }
    }
    names
}

#[test]
fn each_setting_of_a_deployment_is_there() {
    let known = settings();
    assert!(known.contains("store.url_file") && known.contains("telemetry.otlp.endpoint"), "{known:?}");
    let (mut broken, mut seen) = (Vec::new(), 0);
    for (file, text) in texts().into_iter().filter(|(file, _)| is_deployment(file)) {
        for variable in words(&text, "REVEILLE__", |c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_') {
            let name = variable.trim_start_matches("REVEILLE__").replace("__", ".").to_lowercase();
            seen += 1;
            if !known.contains(&name) {
                broken.push(format!("{file}: {variable} is no setting"));
            }
        }
    }
    assert!(seen > 15, "{seen}");
    none(&broken);
}

/// Top-level entries of a block of a compose file, each with its lines.
fn entries<'t>(text: &'t str, block: &str) -> Vec<(&'t str, String)> {
    let mut found: Vec<(&str, String)> = Vec::new();
    let body = text.lines().skip_while(|line| *line != block).skip(1);
    for line in body.take_while(|line| line.is_empty() || line.starts_with(' ')) {
        let key = line.strip_prefix("  ").filter(|rest| rest.starts_with(|c: char| c.is_ascii_alphanumeric()));
        match key.and_then(|rest| rest.split_once(':')) {
            Some((name, rest)) => found.push((name, format!("{rest}\n"))),
            None => {
                if let Some((_, lines)) = found.last_mut() {
                    lines.push_str(line);
                    lines.push('\n');
                }
            }
        }
    }
    found
}

/// An entry with all that its anchors bring in.
fn whole(text: &str, entry: &str) -> String {
    let mut all = entry.to_owned();
    for anchor in words(entry, "<<: *", |c| !c.is_whitespace() || c == ' ') {
        let name = anchor.trim_start_matches("<<: *").trim();
        let block = text.lines().find(|line| line.ends_with(&format!("&{name}"))).expect("the anchor is there");
        let lines = text.lines().skip_while(|line| *line != block).skip(1);
        let lines: Vec<&str> = lines.take_while(|line| line.starts_with(' ')).collect();
        all.push_str(&whole(text, &lines.join("\n")));
    }
    all
}

#[test]
fn each_service_of_a_compose_file_is_confined_and_its_secrets_are_made() {
    let secrets = std::env::temp_dir().join(format!("reveille-secrets-{}", std::process::id()));
    let made = Command::new(root().join("scripts/compose-secrets.sh")).arg(&secrets).output().expect("it runs");
    assert!(made.status.success(), "{made:?}");
    let mut broken = Vec::new();
    for file in ["docker-compose.yml", "docker-compose.cluster.yml"] {
        let text = fs::read_to_string(root().join(file)).expect("a compose file");
        let services = entries(&text, "services:");
        assert!(services.len() >= 5, "{file}: {services:?}");
        for (name, entry) in &services {
            let all = whole(&text, entry);
            for needed in
                ["cap_drop: [ALL]", "no-new-privileges:true", "restart: unless-stopped", "mem_limit:", "pids_limit:"]
            {
                if !all.contains(needed) {
                    broken.push(format!("{file}: {name} lacks {needed}"));
                }
            }
            if !all.contains("read_only: true") && !all.contains("# Not read_only:") {
                broken.push(format!("{file}: {name} may write to its image"));
            }
            for port in all.lines().filter(|line| line.trim_start().starts_with("- \"") && line.contains(":80")) {
                if !port.contains("127.0.0.1:") {
                    broken.push(format!("{file}: {name} listens on all addresses: {port}"));
                }
            }
            for path in words(&all, "./config/", |c| c.is_ascii_alphanumeric() || "./-".contains(c)) {
                if !root().join(path).is_file() {
                    broken.push(format!("{file}: {name} mounts {path}, which is not there"));
                }
            }
        }
        let declared = entries(&text, "secrets:");
        for (name, entry) in &declared {
            let source = entry.split("secrets/").nth(1).map(|rest| rest.trim_end_matches(['}', ' ', '\n']));
            if source != Some(name) || !secrets.join(name).is_file() {
                broken.push(format!("{file}: scripts/compose-secrets.sh does not make the secret {name}"));
            }
        }
        for used in words(&text, "/run/secrets/", |c| c.is_ascii_alphanumeric() || "/.-".contains(c)) {
            let name = used.trim_start_matches("/run/secrets/");
            if !declared.iter().any(|(declared, _)| *declared == name) {
                broken.push(format!("{file}: {used} is not declared"));
            }
        }
    }
    fs::remove_dir_all(&secrets).expect("deleted");
    none(&broken);
}
