//! `run` and `stop`, as a user calls them: on the rig, on this machine's own `xl`, and by ssh.
//!
//! The program itself is started, with a kernel and an image that are there already. `--on xl` is started inside the rig's
//! domain 0. For `--on ssh://` a script stands in for ssh: it takes ssh's words and carries the command to that domain 0.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::fault::{Outcome, Step, contains, ensure, short};
use super::guest::Guest;
use super::machine::{ASK, Machine};
use crate::system::Packed;
use crate::watch::answers;

/// For a `run --detach`, from its start to its end.
const RUN: Duration = Duration::from_secs(90);

/// On a rig of its own: the page answers this machine, and `stop` ends it all.
pub fn rig(machine: &Machine<'_>) -> Outcome {
    let (packed, cache) = (machine.packed("web")?, cache(machine)?);
    let step = "a free port";
    let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr());
    let port = port.step(step)?.port().to_string();
    let rig = |words: &[&str]| own(words, &packed, |command| command.env("XYLEM_CACHE", &cache));
    let said = rig(&["run", "web", "--detach", "--port", &port]);
    let url = format!("http://127.0.0.1:{port}/");
    let is_there = said.is_ok() && answers(&url);
    let shown = rig(&["ps"]);
    let stopped = rig(&["stop", "web"]);
    let is_gone = !answers(&url);
    rig(&["rig", "down"])?;
    contains(&said?, &format!("web {url}"), "run on the rig")?;
    contains(&shown?, "web: up ", "ps on the rig")?;
    contains(&stopped?, "web has ended", "stop on the rig")?;
    ensure(is_there, "run on the rig", || format!("{url} did not answer"))?;
    ensure(is_gone, "stop on the rig", || format!("{url} still answers"))
}

/// By ssh.
pub fn ssh(machine: &Machine<'_>) -> Outcome {
    let packed = machine.packed("web")?;
    let path = stand_in(machine)?;
    let far = |words: &[&str]| own(words, &packed, |command| command.env("PATH", &path));
    let on = "ssh://root@elsewhere";
    let said = far(&["run", "web", "--detach", "--name", "far", "--on", on])?;
    contains(&said, "far http://10.0.3.", "run by ssh")?;
    machine.found("far")?.is_unhurt("run by ssh")?;
    contains(&far(&["ps", "--in", "far", "--on", on])?, "web: up ", "ps by ssh")?;
    contains(&far(&["restart", "httpd", "--in", "far", "--on", on])?, "started", "restart by ssh")?;
    contains(&far(&["stop", "far", "--on", on])?, "far has ended", "stop by ssh")?;
    let there = Guest::find(machine, "far")?;
    ensure(there.is_none(), "stop by ssh", || "the domain is still there".into())
}

/// This program as it was started: its file may have been built anew by the tests before.
const OWN: &str = "/proc/self/exe";

/// On a machine that is a domain 0 itself.
pub fn xl(machine: &Machine<'_>) -> Outcome {
    let packed = machine.packed("web")?;
    let (step, dom0) = ("copy the program to domain 0", machine.dom0());
    let files = [(Path::new(OWN), "xylem"), (&packed.kernel, "kernel"), (&packed.image, "image")];
    for (file, name) in files {
        dom0.put(file, &format!("/root/{name}")).step(step)?;
    }
    let run = "chmod +x xylem && ./xylem run web --on xl --kernel kernel --image image --memory 16 --name near --detach 2>&1";
    let said = machine.run("run on xl", run, RUN)?;
    contains(&said, "near http://10.0.3.", "run on xl")?;
    let near = machine.found("near")?;
    near.is_unhurt("run on xl")?;
    let said = machine.run("ps on xl", "./xylem ps --in near --on xl 2>&1", ASK)?;
    contains(&said, "web: up ", "ps on xl")?;
    let said = machine.run("stop on xl", "./xylem stop near --on xl 2>&1", ASK)?;
    contains(&said, "near has ended", "stop on xl")?;
    let wrong = machine.exec("a wrong name", "./xylem stop near --on xl 2>&1", ASK)?;
    ensure(!wrong.is_ok(), "a wrong name", || "stop went well twice".into())?;
    contains(&wrong.text, "no domain named near", "a wrong name")
}

/// Runs this program with these words, and with kernel and image for `run`; gives all that it said.
fn own(
    words: &[&str],
    packed: &Packed,
    set: impl FnOnce(&mut Command) -> &mut Command,
) -> Outcome<String> {
    let step = words.join(" ");
    let mut command = Command::new(OWN);
    command.args(words);
    if words.first() == Some(&"run") {
        let memory = packed.memory.to_string();
        command.arg("--kernel").arg(&packed.kernel).arg("--image").arg(&packed.image);
        command.args(["--memory", &memory]);
    }
    let output = set(&mut command).output().step(&step)?;
    let said =
        [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let said = said.concat();
    ensure(output.status.success(), &step, || format!("{}: {}", output.status, short(&said)))?;
    Ok(said)
}

/// A cache that shares everything with the user's but the rigs that run.
fn cache(machine: &Machine<'_>) -> Outcome<PathBuf> {
    let step = "make a cache";
    let users = rig::Cache::open().step(step)?;
    let own = machine.scratch().join("cache");
    fs::create_dir_all(&own).step(step)?;
    for name in ["apt", "tree", "image", "snapshot", "locks"] {
        symlink(users.path().join(name), own.join(name)).step(step)?;
    }
    Ok(own)
}

/// A search path whose `ssh` leads to the machine's domain 0.
fn stand_in(machine: &Machine<'_>) -> Outcome<String> {
    let step = "make a stand-in for ssh";
    let folder = machine.scratch().join("path");
    fs::create_dir_all(&folder).step(step)?;
    machine.instance().stand_in_for_ssh(&folder).step(step)?;
    Ok(format!("{}:{}", folder.display(), std::env::var("PATH").unwrap_or_default()))
}
