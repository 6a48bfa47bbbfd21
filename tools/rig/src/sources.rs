//! Finds a Debian archive in the apt sources of the host.
//!
//! Invariant: pure; it reads what it is given. Security and other archives are not taken, nor those of other
//! distributions: only an address whose path ends in `/debian`.

use std::path::{Path, PathBuf};

/// One sources file: its path (the ending tells the format) and its text.
#[derive(Debug, Clone)]
pub struct SourceFile {
    /// Where it is: `*.sources` is deb822, all else the old one-line format.
    pub path: PathBuf,
    /// What is in it.
    pub text: String,
}

/// The first Debian archive in the files, in their order; `read` opens lists that `mirror+file:` addresses name.
pub fn find(files: &[SourceFile], read: impl Fn(&Path) -> Option<String>) -> Option<String> {
    files
        .iter()
        .flat_map(addresses)
        .filter_map(|address| match address.strip_prefix("mirror+file:") {
            Some(path) => first_of_list(&read(Path::new(path.trim_start_matches("//")))?),
            None => Some(address),
        })
        .find(|address| is_debian(address))
}

/// Reads the sources files of this host, in the order apt does: `sources.list`, then the parts by name.
pub fn of_host() -> Vec<SourceFile> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir("/etc/apt/sources.list.d")
        .map(|entries| entries.filter_map(|entry| Some(entry.ok()?.path())).collect())
        .unwrap_or_default();
    paths.retain(|path| {
        path.extension().is_some_and(|ending| ending == "sources" || ending == "list")
    });
    paths.sort();
    paths.insert(0, "/etc/apt/sources.list".into());
    paths
        .into_iter()
        .filter_map(|path| Some(SourceFile { text: std::fs::read_to_string(&path).ok()?, path }))
        .collect()
}

fn addresses(file: &SourceFile) -> Vec<String> {
    if file.path.extension().is_some_and(|ending| ending == "sources") {
        deb822(&file.text)
    } else {
        file.text.lines().filter_map(one_line).collect()
    }
}

/// The addresses of the enabled `deb` stanzas.
fn deb822(text: &str) -> Vec<String> {
    let text: String = text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| format!("{line}\n"))
        .collect();
    text.split("\n\n")
        .filter(|stanza| is_wanted(stanza))
        .flat_map(|stanza| field(stanza, "uris"))
        .collect()
}

fn is_wanted(stanza: &str) -> bool {
    let enabled =
        field(stanza, "enabled").first().is_none_or(|word| !word.eq_ignore_ascii_case("no"));
    enabled && field(stanza, "types").iter().any(|word| word == "deb")
}

/// The words of a field, its continuation lines included.
fn field(stanza: &str, name: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut inside = false;
    for line in stanza.lines() {
        let value = if line.starts_with([' ', '\t']) {
            line
        } else {
            let (key, value) = line.split_once(':').unwrap_or((line, ""));
            inside = key.eq_ignore_ascii_case(name);
            value
        };
        if inside {
            words.extend(value.split_whitespace().map(str::to_owned));
        }
    }
    words
}

/// The address in a line `deb [options] address suite components`.
fn one_line(line: &str) -> Option<String> {
    let rest = line.trim().strip_prefix("deb")?.strip_prefix([' ', '\t'])?.trim_start();
    let rest = match rest.strip_prefix('[') {
        Some(options) => options.split_once(']')?.1,
        None => rest,
    };
    rest.split_whitespace().next().map(str::to_owned)
}

fn first_of_list(text: &str) -> Option<String> {
    text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#')).map(
        |line| {
            // A list may carry priorities after a tab.
            line.split_whitespace().next().unwrap_or(line).to_owned()
        },
    )
}

fn is_debian(address: &str) -> bool {
    let known =
        ["http://", "https://", "file:", "copy:"].iter().any(|scheme| address.starts_with(scheme));
    known && address.trim_end_matches('/').ends_with("/debian")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> SourceFile {
        SourceFile { path: path.into(), text: text.into() }
    }

    fn found(path: &str, text: &str) -> Option<String> {
        find(&[file(path, text)], |_| None)
    }

    #[test]
    fn deb822_stanzas_of_debian_12_are_read() {
        let text = "Types: deb\n# a comment between\nURIs: http://mirror.example/debian\nSuites: bookworm bookworm-updates\nComponents: main\n\n\
                    Types: deb\nURIs: http://mirror.example/debian-security\nSuites: bookworm-security\n";
        assert_eq!(found("debian.sources", text).as_deref(), Some("http://mirror.example/debian"));
    }

    #[test]
    fn a_stanza_that_is_off_or_of_sources_only_is_passed_over() {
        let text = "Types: deb\nEnabled: no\nURIs: http://off.example/debian\n\n\
                    Types: deb-src\nURIs: http://src.example/debian\n\n\
                    Types: deb deb-src\nURIs:\n http://first.example/debian/\n http://second.example/debian\n";
        assert_eq!(found("debian.sources", text).as_deref(), Some("http://first.example/debian/"));
    }

    #[test]
    fn old_lines_with_and_without_options_are_read() {
        let text = "# deb http://commented.example/debian trixie main\n\
                    deb-src http://src.example/debian trixie main\n\
                    deb [arch=amd64 signed-by=/usr/share/keyrings/x.gpg] https://mirror.example/debian trixie main\n";
        assert_eq!(found("sources.list", text).as_deref(), Some("https://mirror.example/debian"));
        assert_eq!(
            found("sources.list", "deb\thttp://tab.example/debian x").as_deref(),
            Some("http://tab.example/debian")
        );
    }

    #[test]
    fn ubuntu_has_no_debian_archive() {
        let text = "Types: deb\nURIs: http://archive.example/ubuntu/\nSuites: noble noble-updates\nComponents: main universe\n";
        assert_eq!(found("ubuntu.sources", text), None);
        assert_eq!(
            found("docker.list", "deb https://download.example/linux/debian-extra x stable"),
            None
        );
    }

    #[test]
    fn a_mirror_list_is_opened() {
        let files = [file(
            "debian.sources",
            "Types: deb\nURIs: mirror+file:///etc/apt/mirrors/debian.list\n",
        )];
        let read = |path: &Path| {
            (path == Path::new("/etc/apt/mirrors/debian.list"))
                .then(|| "# mirrors\nhttp://listed.example/debian\tpriority:1\n".to_owned())
        };
        assert_eq!(find(&files, read).as_deref(), Some("http://listed.example/debian"));
        assert_eq!(find(&files, |_| None), None);
    }

    #[test]
    fn the_first_file_with_an_archive_wins() {
        let files = [
            file("a.list", "deb http://one.example/other x"),
            file("b.list", "deb http://two.example/debian x"),
        ];
        assert_eq!(find(&files, |_| None).as_deref(), Some("http://two.example/debian"));
    }
}
