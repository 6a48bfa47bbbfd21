//! `new`: the first files of a server or of a system, from the templates beside this crate.
//!
//! Invariant: nothing that exists is changed. What is written compiles, is tested and runs as it is.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::args::New;
use crate::failure::{Context, Failure, Result};
use crate::system;

/// The files of a server.
const SERVER: [(&str, &str); 4] = [
    ("Cargo.toml", include_str!("../templates/Cargo.toml.in")),
    ("build.rs", include_str!("../templates/build.rs.in")),
    ("src/lib.rs", include_str!("../templates/lib.rs.in")),
    ("src/main.rs", include_str!("../templates/main.rs.in")),
];
const SYSTEM: &str = include_str!("../templates/system.toml.in");
/// Most bytes of a name in a manifest.
const NAME: usize = 28;
/// Names that no crate can have beside the words of the language.
const TAKEN: [&str; 7] = ["abi", "boot", "build", "ipc", "kernel", "deps", "examples"];
/// What a name would hide: the standard crates and the words of the language that look like names.
const WORDS: &str = "alloc core std test proc-macro as async await break const continue crate dyn else enum extern false fn \
                     for if impl in let loop match mod move mut pub ref return self static struct super trait true \
                     type unsafe use where while abstract become box do final gen macro override priv try typeof \
                     unsized virtual yield";

/// Writes what was asked for.
///
/// # Errors
/// [`Failure::Name`], [`Failure::Io`].
pub fn new(args: &New) -> Result<ExitCode> {
    let root = system::root();
    match args {
        New::Server { name } => {
            let folder = server(&root, name)?;
            println!("{}", folder.display());
            eprintln!(
                "try `cargo test -p {name}`; then `cargo xylem new system {name}`, `cargo xylem run {name}`"
            );
        }
        New::System { name, server } => {
            let file = a_system(&root, name, server.as_deref())?;
            println!("{}", file.display());
            eprintln!("try `cargo xylem check {name}`, `cargo xylem run {name}`");
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn server(root: &Path, name: &str) -> Result<PathBuf> {
    const WHAT: &str = "server";
    check_name(WHAT, name)?;
    if WORDS.split_whitespace().any(|word| word == name) || TAKEN.contains(&name) {
        return Err(wrong(WHAT, name, "it means something else already: choose another".into()));
    }
    for folder in ["servers", "tests", "tools", "ipc"] {
        if root.join(folder).join(name).exists() {
            let reason = format!("{folder}/{name} exists already: choose another, or remove it");
            return Err(wrong(WHAT, name, reason));
        }
    }
    let folder = root.join("servers").join(name);
    std::fs::create_dir_all(folder.join("src")).context("create", &folder)?;
    for (file, text) in SERVER {
        let path = folder.join(file);
        let text = text.replace("CRATE", &name.replace('-', "_")).replace("NAME", name);
        std::fs::write(&path, text).context("write", &path)?;
    }
    Ok(folder)
}

fn a_system(root: &Path, name: &str, server: Option<&str>) -> Result<PathBuf> {
    const WHAT: &str = "system";
    check_name(WHAT, name)?;
    let file = root.join("boot/systems").join(format!("{name}.toml"));
    if file.exists() {
        let reason =
            format!("boot/systems/{name}.toml exists already: choose another, or remove it");
        return Err(wrong(WHAT, name, reason));
    }
    let is_there = |server: &str| root.join("servers").join(server).join("src/main.rs").is_file();
    let server = match server {
        Some(server) if !is_there(server) => {
            let reason = format!("make it first: `cargo xylem new server {server}`");
            return Err(wrong("server of a system", server, reason));
        }
        Some(server) => server,
        None if is_there(name) => name,
        None => "hello",
    };
    let text = SYSTEM.replace("NAME", name).replace("SERVER", server);
    std::fs::write(&file, text).context("write", &file)?;
    Ok(file)
}

fn check_name(what: &'static str, name: &str) -> Result<()> {
    let begins = name.as_bytes().first().is_some_and(u8::is_ascii_lowercase);
    let fine = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if begins && name.len() <= NAME && name.bytes().all(fine) {
        return Ok(());
    }
    let reason = format!(
        "use at most {NAME} small letters, digits and `-`, and begin with a letter, like `lamp`"
    );
    Err(wrong(what, name, reason))
}

fn wrong(what: &'static str, name: &str, reason: String) -> Failure {
    Failure::Name { what, name: name.into(), reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("boot/systems")).unwrap();
        std::fs::create_dir_all(root.path().join("servers")).unwrap();
        root
    }

    #[test]
    fn a_new_server_has_its_name_everywhere() {
        let root = tree();
        let folder = server(root.path(), "night-lamp").unwrap();
        for (file, _) in SERVER {
            let text = std::fs::read_to_string(folder.join(file)).unwrap();
            assert!(!text.contains("NAME") && !text.contains("CRATE"), "{file}: {text}");
        }
        let main = std::fs::read_to_string(folder.join("src/main.rs")).unwrap();
        assert!(main.contains("use night_lamp::"), "{main}");
    }

    #[test]
    fn what_exists_is_not_changed() {
        let root = tree();
        server(root.path(), "lamp").unwrap();
        let error = server(root.path(), "lamp").unwrap_err().to_string();
        assert!(error.contains("servers/lamp exists already"), "{error}");
        a_system(root.path(), "lamp", None).unwrap();
        let error = a_system(root.path(), "lamp", None).unwrap_err().to_string();
        assert!(error.contains("boot/systems/lamp.toml exists already"), "{error}");
    }

    #[test]
    fn names_that_cannot_be_are_refused() {
        let root = tree();
        for name in ["", "Lamp", "7up", "a b", "../up", "loop", "core", "kernel", "a_b"] {
            let error = server(root.path(), name).unwrap_err();
            assert!(matches!(error, Failure::Name { .. }), "{name}: {error}");
        }
        assert!(server(root.path(), &"a".repeat(NAME + 1)).is_err());
    }

    #[test]
    fn a_new_system_runs_the_server_of_its_name_or_the_one_given_or_hello() {
        let root = tree();
        let text = |name: &str, server| {
            std::fs::read_to_string(a_system(root.path(), name, server).unwrap()).unwrap()
        };
        server(root.path(), "lamp").unwrap();
        assert!(text("lamp", None).contains("[servers.lamp]"));
        assert!(text("night", Some("lamp")).contains("[servers.lamp]"));
        assert!(text("day", None).contains("[servers.hello]"));
        let error = a_system(root.path(), "dusk", Some("lmap")).unwrap_err().to_string();
        assert!(error.contains("cargo xylem new server lmap"), "{error}");
    }

    #[test]
    fn the_manifest_of_a_new_system_is_read_by_the_packer() {
        let text = SYSTEM.replace("NAME", "night").replace("SERVER", "lamp");
        let manifest = pack::Manifest::parse("night.toml", &text).unwrap();
        assert_eq!((manifest.name.as_str(), manifest.servers.len()), ("night", 5));
    }
}
