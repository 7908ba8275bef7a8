//! Keeps secrets of this process from other users of the machine. Called first of all.

/// Makes new files readable by their owner only: stores, objects and backups hold payloads and task tokens.
#[cfg(unix)]
pub(super) fn keep_files_private() {
    use rustix::fs::Mode;
    rustix::process::umask(Mode::RWXG | Mode::RWXO);
}

#[cfg(not(unix))]
pub(super) fn keep_files_private() {}

/// Removes user and password from the URLs of the command line, which every user can list (`ps`), after they have been
/// read. It works only on Linux, where a process may write to its own arguments.
pub(super) fn hide_arguments() {
    #[cfg(target_os = "linux")]
    let _ = overwrite();
}

#[cfg(target_os = "linux")]
fn overwrite() -> std::io::Result<()> {
    use std::io::{Seek as _, SeekFrom, Write as _};
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let Some(begin) = argument_address(&stat) else { return Ok(()) };
    let arguments = std::fs::read("/proc/self/cmdline")?;
    let mut memory = std::fs::OpenOptions::new().write(true).open("/proc/self/mem")?;
    let mut at = 0;
    for argument in arguments.split_inclusive(|byte| *byte == 0) {
        if let Some((from, to)) = user_info(argument) {
            memory.seek(SeekFrom::Start(begin + (at + from) as u64))?;
            memory.write_all(&vec![b'*'; to - from])?;
        }
        at += argument.len();
    }
    Ok(())
}

/// The address of the arguments in memory: field 48 of `stat` (proc(5)). Field 2 is a name in brackets.
#[cfg(target_os = "linux")]
fn argument_address(stat: &str) -> Option<u64> {
    let behind_name = &stat[stat.rfind(')')? + 1..];
    behind_name.split_ascii_whitespace().nth(45)?.parse().ok().filter(|address| *address != 0)
}

/// The range of user and password in a URL.
#[cfg(target_os = "linux")]
fn user_info(argument: &[u8]) -> Option<(usize, usize)> {
    let from = argument.windows(3).position(|bytes| bytes == b"://")? + 3;
    let to = argument.iter().rposition(|byte| *byte == b'@')?;
    (from < to).then_some((from, to))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn user_and_password_are_found_in_urls_of_every_form() {
        for (argument, hidden) in [
            ("amqp://user:password@host:5672/vhost\0", Some("user:password")),
            ("--bus=amqps://user:p@ss/w?rd@host\0", Some("user:p@ss/w?rd")),
            ("amqp://user@host\0", Some("user")),
            ("amqp://host:5672/vhost\0", None),
            ("amqp://@host\0", None),
            ("user@host\0", None),
            ("sqlite:store.db\0", None),
            ("\0", None),
        ] {
            let found = user_info(argument.as_bytes()).map(|(from, to)| &argument[from..to]);
            assert_eq!(found, hidden, "{argument}");
        }
    }

    #[test]
    fn the_address_is_found_behind_a_name_of_any_form() {
        let fields: Vec<String> = (3..=52).map(|n| n.to_string()).collect();
        for name in ["reveille", "a) b", "))"] {
            assert_eq!(argument_address(&format!("7 ({name}) {}", fields.join(" "))), Some(48), "{name}");
        }
        assert_eq!(argument_address("7 (x) 1 2 3"), None);
    }
}
