//! Checks of `millrace dev`'s arguments that need more than a type.
//!
//! Decides only; looks at the file system to follow links, and writes nothing.

use std::io;
use std::path::{Component, Path, PathBuf};

/// HOST:PORT, or several with commas; blanks around them mean nothing.
///
/// # Errors
/// A text for a person, without the option's name.
pub(super) fn kafka_servers(text: &str) -> Result<String, String> {
    let servers: Vec<&str> = text.split(',').map(str::trim).collect();
    if servers.iter().all(|server| server.is_empty()) {
        return Err("names no server: write HOST:PORT, such as localhost:9092".to_owned());
    }
    for server in &servers {
        let (host, port) = server.rsplit_once(':').unwrap_or((server, ""));
        // An IPv6 address stands in brackets, or its last part would be taken for the port.
        let is_host = match host.strip_prefix('[') {
            Some(rest) => rest.strip_suffix(']').is_some_and(|address| address.contains(':')),
            None => !host.is_empty() && !host.contains([':', '/', '[', ']']) && !host.contains(char::is_whitespace),
        };
        if !is_host || !port.parse::<u16>().is_ok_and(|port| port > 0) {
            return Err(format!("{server:?} is not HOST:PORT, such as localhost:9092"));
        }
    }
    Ok(servers.join(","))
}

/// Whether a path, which need not exist yet, is the folder or lies in it. `folder` is canonical.
///
/// # Errors
/// When the working folder is gone, or a link cannot be followed.
pub(super) fn is_within(path: &Path, folder: &Path) -> io::Result<bool> {
    let absolute = std::path::absolute(path)?;
    let mut found = PathBuf::new();
    for part in absolute.components() {
        match part {
            Component::ParentDir => {
                found.pop();
            }
            Component::CurDir => {}
            Component::Prefix(_) | Component::RootDir | Component::Normal(_) => {
                found.push(part);
                // What does not exist holds no links.
                if found.exists() {
                    found = found.canonicalize()?;
                }
            }
        }
    }
    Ok(found.starts_with(folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_hosts_with_ports() {
        for (text, expected) in [
            ("localhost:9092", "localhost:9092"),
            ("a:1, b.example.com:65535", "a:1,b.example.com:65535"),
            ("[::1]:9092", "[::1]:9092"),
        ] {
            assert_eq!(kafka_servers(text).as_deref(), Ok(expected));
        }
    }

    #[test]
    fn anything_else_is_refused_and_named() {
        for text in ["", " ", ",", "localhost", "localhost:", ":9092", "a:0", "a:65536", "a:1,,b:2", "a:x", "::1:9092"]
        {
            assert!(kafka_servers(text).unwrap_err().contains("HOST:PORT"), "{text:?}");
        }
        for text in ["http://a:9092", "a b:9092", "[a]:9092", "PLAINTEXT://a:9092"] {
            assert!(kafka_servers(text).unwrap_err().contains(text), "{text:?}");
        }
    }

    #[test]
    fn a_folder_holds_itself_and_what_is_below_however_it_is_written() {
        let base = tempfile::tempdir().unwrap();
        let base = base.path().canonicalize().unwrap();
        let objects = base.join("objects");
        std::fs::create_dir(&objects).unwrap();
        std::os::unix::fs::symlink(&objects, base.join("link")).unwrap();
        for inside in ["objects", "objects/state", "objects/a/b", "objects/../objects", "link", "link/new"] {
            assert!(is_within(&base.join(inside), &objects).unwrap(), "{inside}");
        }
        for outside in ["", "state", "objects2", "objects/../state", "nowhere/objects"] {
            assert!(!is_within(&base.join(outside), &objects).unwrap(), "{outside}");
        }
    }
}
